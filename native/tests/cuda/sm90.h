// Tests of the main loops for compute capability 9.0: switched on for each, skipped on other devices.
#pragma once

#include <cstdlib>

#include "core/capability.h"
#include "schedules.h"

namespace graft::test {

class Sm90Test : public testing::Test {
 protected:
  void SetUp() override {
    if (core::capability_of()(0) != 90) GTEST_SKIP() << "compute capability " << core::capability_of()(0);
    setenv("GRAFT_SM90", "1", 1);
  }
  void TearDown() override { unsetenv("GRAFT_SM90"); }
};

}  // namespace graft::test
