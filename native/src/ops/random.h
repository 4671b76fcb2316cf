// Arguments of random; the contract is graft/ops/random.h.
#pragma once

#include <cstdint>

#include "graft/tensor.h"
#include "ops/ops.h"

namespace graft::ops {

/** The smallest and the largest number of a dtype that lie in [low, high). */
struct Bounds {
  double smallest, largest;
};

struct RandomUniform {
  std::uint64_t seed;
  std::uint64_t offset;
  double low;
  double high;
  graft_tensor* y;
  void check() const;
  static const char* frozen() { return "offset"; }
  /** What rounding to y's dtype may not leave. */
  Bounds bounds() const;
};

struct RandomNormal {
  std::uint64_t seed;
  std::uint64_t offset;
  double mean;
  double deviation;
  graft_tensor* y;
  void check() const;
  static const char* frozen() { return "offset"; }
};

struct RandomAddNormal {
  std::uint64_t seed;
  std::uint64_t offset;
  double factor;
  graft_tensor* y;
  void check() const;
  static const char* frozen() { return "offset"; }
};

struct RandomKeep {
  std::uint64_t seed;
  std::uint64_t offset;
  double keep;
  graft_tensor* y;
  void check() const;
  static const char* frozen() { return "offset"; }
};

}  // namespace graft::ops
