// What a layer with low-rank factors gives, forward and backward: for the tests of one adapter and of several.
#pragma once

#include "tensors.h"

namespace graft::test {

struct LoraResult {
  std::vector<double> y, s, dx, da, db, dbias;
  bool operator==(const LoraResult&) const = default;
};

inline void expect_equal(const LoraResult& a, const LoraResult& b, const std::string& what) {
  EXPECT_EQ(a.y, b.y) << what;
  EXPECT_EQ(a.s, b.s) << what;
  EXPECT_EQ(a.dx, b.dx) << what;
  EXPECT_EQ(a.da, b.da) << what;
  EXPECT_EQ(a.db, b.db) << what;
  EXPECT_EQ(a.dbias, b.dbias) << what;
}

}  // namespace graft::test
