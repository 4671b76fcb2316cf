// tanh of every float. Included once per instruction set, as simd-inl.h is.
#if defined(GRAFT_CPU_FAST_TANH_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef GRAFT_CPU_FAST_TANH_INL_H
#undef GRAFT_CPU_FAST_TANH_INL_H
#else
#define GRAFT_CPU_FAST_TANH_INL_H
#endif

#include <hwy/contrib/math/math-inl.h>

#include "cpu/fast/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace graft::cpu::fast::HWY_NAMESPACE {

HWY_INLINE VF tanh_of(F d, VF x) {
  // why: expm1 of large values is infinite, and the quotient NaN; beyond 10 tanh is 1 in fp32. NaN stays.
  const VF limit = hn::Set(d, 10.0f);
  const VF inside = hn::IfThenElse(hn::Lt(hn::Abs(x), limit), x, hn::CopySign(limit, x));
  return hn::IfThenElse(hn::IsNaN(x), x, hn::Tanh(d, inside));
}

}  // namespace graft::cpu::fast::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
