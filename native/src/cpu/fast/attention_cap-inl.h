// Soft-capped scores: c · tanh(scale · x / c) of products x. Included once per instruction set, as simd-inl.h is.
#if defined(GRAFT_CPU_FAST_ATTENTION_CAP_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef GRAFT_CPU_FAST_ATTENTION_CAP_INL_H
#undef GRAFT_CPU_FAST_ATTENTION_CAP_INL_H
#else
#define GRAFT_CPU_FAST_ATTENTION_CAP_INL_H
#endif

#include "cpu/fast/simd-inl.h"
#include "cpu/fast/tanh-inl.h"

HWY_BEFORE_NAMESPACE();
namespace graft::cpu::fast::HWY_NAMESPACE {

/** How products become scores: x · factor, where with a cap x has gone through cap() before. */
struct Scores {
  float factor;  // scale, or with a cap the cap; log2(e) in it
  float scale;
  float inner;  // scale / cap; 0 without a cap
  bool capped;

  template <class Args>
  explicit Scores(const Args& a)
      : factor(static_cast<float>(a.softcap > 0 ? a.softcap : a.scale) * kLog2E),
        scale(static_cast<float>(a.scale)),
        inner(a.softcap > 0 ? static_cast<float>(a.scale / a.softcap) : 0.0f),
        capped(a.softcap > 0) {}

  /** x becomes tanh(x · inner), in place, over whole vectors. */
  HWY_NOINLINE void cap(float* x, std::int64_t count) const {
    const F d;
    for (std::int64_t j = 0; j < count; j += static_cast<std::int64_t>(hn::Lanes(d)))
      hn::StoreU(tanh_of(d, hn::Mul(hn::LoadU(d, x + j), hn::Set(d, inner))), d, x + j);
  }
};

}  // namespace graft::cpu::fast::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
