// The sigmoid of every float. Included once per instruction set, as simd-inl.h is.
#if defined(GRAFT_CPU_FAST_SIGMOID_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef GRAFT_CPU_FAST_SIGMOID_INL_H
#undef GRAFT_CPU_FAST_SIGMOID_INL_H
#else
#define GRAFT_CPU_FAST_SIGMOID_INL_H
#endif

#include "cpu/fast/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace graft::cpu::fast::HWY_NAMESPACE {

/** s = 1/(1 + e^-z), 0 where it is below the smallest normal number, and 1 − s, which does not cancel. NaN stays. */
struct Sigmoid {
  VF s, rest;
};

HWY_INLINE Sigmoid sigmoid(F d, VF z) {
  // why a limit: beyond 127 the power is infinite, and an infinity times zero would be NaN.
  const VF limit = hn::Set(d, 126.0f), one = hn::Set(d, 1.0f), power = hn::Mul(z, hn::Set(d, -kLog2E));
  const auto beyond = hn::Gt(power, limit);
  const VF e = exp2_of(hn::IfThenElse(beyond, limit, power)), s = hn::Div(one, hn::Add(one, e));
  // why zero: times a factor as large as floats go, the smallest number is not nothing.
  return {hn::IfThenZeroElse(beyond, s), hn::Mul(e, s)};
}

}  // namespace graft::cpu::fast::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
