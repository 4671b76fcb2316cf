// The formula of adamw over neighbouring elements, with moments in fp32: what both sizes of moments share.
#if defined(GRAFT_CPU_FAST_ADAMW_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef GRAFT_CPU_FAST_ADAMW_INL_H
#undef GRAFT_CPU_FAST_ADAMW_INL_H
#else
#define GRAFT_CPU_FAST_ADAMW_INL_H
#endif

#include <cstdint>

#include "cpu/fast/simd-inl.h"
#include "ops/adamw.h"

HWY_BEFORE_NAMESPACE();
namespace graft::cpu::fast::HWY_NAMESPACE {

/** put_parameter(parameter, i, n) stores what becomes of p[i] and following. */
template <class P, class Put>
HWY_INLINE void adamw_run(const ops::AdamWFactors<float>& f, const float* g, const P* p, float* m, float* v,
                          std::int64_t count, Put&& put_parameter) {
  const F d;
  const VF clip = hn::Set(d, f.clip), beta1 = hn::Set(d, f.beta1), beta2 = hn::Set(d, f.beta2);
  const VF rest1 = hn::Set(d, f.rest1), rest2 = hn::Set(d, f.rest2), keep = hn::Set(d, f.keep);
  const VF rate = hn::Set(d, f.rate), root = hn::Set(d, f.root), eps = hn::Set(d, f.eps);
  for_lanes(d, count, [&](std::int64_t i, std::int64_t n) {
    const VF gradient = hn::Mul(clip, at(d, g + i, n));
    const VF mean = hn::MulAdd(beta1, at(d, m + i, n), hn::Mul(rest1, gradient));
    const VF square = hn::MulAdd(beta2, at(d, v + i, n), hn::Mul(hn::Mul(rest2, gradient), gradient));
    const VF step = hn::Div(hn::Mul(rate, mean), hn::MulAdd(root, hn::Sqrt(square), eps));
    const VF parameter = hn::Sub(hn::Mul(keep, at(d, p + i, n)), step);
    put(d, mean, m + i, n);
    put(d, square, v + i, n);
    put_parameter(parameter, i, n);
  });
}

}  // namespace graft::cpu::fast::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
