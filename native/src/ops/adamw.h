// Arguments of adamw; the contract is graft/ops/adamw.h.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/graph.h"
#include "graft/ops/adamw.h"
#include "ops/paca.h"

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

/** The steps of a table of parameters. */
struct AdamWSteps {
  const graft_adamw_parameter* parameters;
  std::int64_t count;
  double beta1, beta2, eps;
  std::int64_t step;
  double max_norm;
  const graft_tensor* squared_norm;  // may be NULL
  double lr_factor = 1;
  core::StepValues values = {};
  std::shared_ptr<const std::vector<graft_adamw_parameter>> copy = {};  // of the table, where it is kept

  /** What the steps have in common; no tensors. */
  AdamWStep shared() const {
    return {nullptr,      0, beta1,   beta2,   eps,     0,       step,  max_norm,
            squared_norm, 0, nullptr, nullptr, nullptr, nullptr, values};
  }
  /** Calls body with the AdamWStep or AdamWStep8Bit of one parameter. */
  template <class Body>
  void visit(std::int64_t i, Body&& body) const {
    const graft_adamw_parameter& of = parameters[i];
    AdamWStep plain = shared();
    plain.g = of.g, plain.lr = lr_factor * of.lr, plain.weight_decay = of.weight_decay, plain.seed = of.seed;
    plain.p = of.p, plain.m = of.m, plain.v = of.v, plain.p_out = of.p_out;
    of.m_scale == nullptr&& of.v_scale == nullptr ? body(plain) : body(AdamWStep8Bit{plain, of.m_scale, of.v_scale});
  }
  /** What a parameter's columns are written by; only where it has w. */
  PacaWrite columns(std::int64_t i) const {
    const graft_adamw_parameter& of = parameters[i];
    return {of.p, of.original, of.indices, of.scale, of.w};
  }
  void check() const;
  void follow(const core::StepValues& from, bool readable);
  const char* frozen() const;
  AdamWSteps kept() const;
};

/** The squared norm of a table of parameters' gradients. */
struct AdamWSquaredNorms {
  const graft_adamw_parameter* parameters;
  std::int64_t count;
  graft_tensor* sum;
  std::shared_ptr<const std::vector<graft_adamw_parameter>> copy = {};
  AdamWSquaredNorm of(std::int64_t i) const { return {parameters[i].g, sum}; }
  void check() const;
  AdamWSquaredNorms kept() const;
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
