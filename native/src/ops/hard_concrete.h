// Arguments of hard_concrete; the contract is graft/ops/hard_concrete.h.
#pragma once

#include <cstdint>

#include "core/hard_concrete.h"
#include "graft/weight.h"
#include "ops/ops.h"

namespace graft::ops {

struct HardConcreteWrite {
  const graft_tensor* d;
  const graft_tensor* a;
  const graft_tensor* original;
  core::HardConcrete gates;
  std::uint64_t offset;
  double factor;
  graft_weight* w;
  void check() const;
  const char* frozen() const { return gates.mode == GRAFT_GATE_SAMPLED ? "offset" : nullptr; }
};

struct HardConcreteBackward {
  const graft_tensor* d;
  const graft_tensor* a;
  core::HardConcrete gates;
  std::uint64_t offset;
  double factor;
  double penalty;
  graft_tensor* g;
  graft_tensor* da;
  graft_tensor* sums;
  void check() const;
  const char* frozen() const { return gates.mode == GRAFT_GATE_SAMPLED ? "offset" : nullptr; }
};

}  // namespace graft::ops
