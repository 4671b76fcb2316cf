// Arguments of adamw; the contract is graft/ops/adamw.h.
#pragma once

#include <cstdint>

#include "core/graph.h"
#include "graft/tensor.h"
#include "ops/ops.h"

namespace graft::ops {

struct AdamWSquaredNorm {
  const graft_tensor* g;
  graft_tensor* sum;
  void check() const;
};

struct AdamWStep {
  const graft_tensor* g;
  double lr, beta1, beta2, eps, weight_decay;
  std::int64_t step;
  double max_norm;
  const graft_tensor* squared_norm;  // may be NULL
  std::uint64_t seed;
  graft_tensor* p;
  graft_tensor* m;
  graft_tensor* v;
  graft_tensor* p_out;  // may be NULL
  /** p is bf16, its own compute copy, and rounded at random. */
  bool rounds_at_random() const { return p->dtype == GRAFT_DTYPE_BF16; }
  core::StepValues values = {};  // where lr has a factor, and step is
  void check() const;
  /** On the CPU: at once. */
  void follow(const core::StepValues& from, bool readable);
  /** What would stay as it is in kept work. */
  const char* frozen() const { return values.lr == nullptr ? "lr and step" : rounds_at_random() ? "seed" : nullptr; }
};

/** The same step where m and v are u8 codes. */
struct AdamWStep8Bit : AdamWStep {
  graft_tensor* m_scale;
  graft_tensor* v_scale;
  void check() const;
};

/** What a step multiplies by, in the compute type C. The bias corrections are folded in, so that
 *    g ← clip·g;  m ← β₁m + (1−β₁)g;  v ← β₂v + (1−β₂)g²;  p ← keep·p − rate·m / (root·√v + eps). */
template <class C>
struct AdamWFactors {
  C clip, beta1, beta2, rest1, rest2, keep, rate, root, eps;
  explicit AdamWFactors(const AdamWStep& a);
};

extern template struct AdamWFactors<float>;
extern template struct AdamWFactors<double>;

}  // namespace graft::ops
