// Vectors of float over f32, bf16 and f16 memory, with Highway. Included by each fast/<stem>.cpp once per instruction
// set (hwy/foreach_target.h), inside which all names live in HWY_NAMESPACE.
#if defined(GRAFT_CPU_FAST_SIMD_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef GRAFT_CPU_FAST_SIMD_INL_H
#undef GRAFT_CPU_FAST_SIMD_INL_H
#else
#define GRAFT_CPU_FAST_SIMD_INL_H
#endif

#include <hwy/highway.h>

#include <cstdint>
#include <cstring>

#include "core/float_types.h"

HWY_BEFORE_NAMESPACE();
namespace graft::cpu::fast::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using F = hn::ScalableTag<float>;
using VF = hn::Vec<F>;

HWY_INLINE VF load(F d, const float* p) { return hn::LoadU(d, p); }
HWY_INLINE VF load(F d, const core::bf16* p) {
  const hn::Rebind<std::uint16_t, F> d16;
  const hn::RebindToUnsigned<F> d32;
  return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(d32, hn::LoadU(d16, &p->bits))));
}
HWY_INLINE VF load(F d, const core::f16* p) {
  const hn::Rebind<hwy::float16_t, F> d16;
  return hn::PromoteTo(d, hn::LoadU(d16, reinterpret_cast<const hwy::float16_t*>(p)));
}

HWY_INLINE void store(F d, VF v, float* p) { hn::StoreU(v, d, p); }
/** v as bf16, in the lower halves. Rounds to nearest even; NaN keeps its sign and becomes quiet. */
HWY_INLINE hn::Vec<hn::RebindToUnsigned<F>> bf16_bits(VF v) {
  const hn::RebindToUnsigned<F> d32;
  const auto u = hn::BitCast(d32, v);
  const auto odd = hn::And(hn::ShiftRight<16>(u), hn::Set(d32, 1));
  const auto rounded = hn::ShiftRight<16>(hn::Add(hn::Add(u, hn::Set(d32, 0x7fff)), odd));
  const auto quiet = hn::Or(hn::ShiftRight<16>(u), hn::Set(d32, 0x40));
  return hn::IfThenElse(hn::RebindMask(d32, hn::IsNaN(v)), quiet, rounded);
}
HWY_INLINE void store([[maybe_unused]] F d, VF v, core::bf16* p) {
  const hn::RebindToSigned<F> di;
  const hn::Rebind<std::uint16_t, F> d16;
  hn::StoreU(hn::DemoteTo(d16, hn::BitCast(di, bf16_bits(v))), d16, &p->bits);
}
HWY_INLINE void store([[maybe_unused]] F d, VF v, core::f16* p) {
#if HWY_TARGET == HWY_SCALAR
  // why: Highway's portable conversion cuts off instead of rounding.
  *p = core::f16(hn::GetLane(v));
#else
  const hn::Rebind<hwy::float16_t, F> d16;
  hn::StoreU(hn::DemoteTo(d16, v), d16, reinterpret_cast<hwy::float16_t*>(p));
#endif
}

/** The first n < Lanes(d) elements; the other lanes are zero. */
template <class T>
HWY_INLINE VF load_n(F d, const T* p, std::size_t n) {
  T buffer[HWY_MAX_BYTES / sizeof(float)] = {};
  std::memcpy(buffer, p, n * sizeof(T));
  return load(d, buffer);
}

template <class T>
HWY_INLINE void store_n(F d, VF v, T* p, std::size_t n) {
  T buffer[HWY_MAX_BYTES / sizeof(float)];
  store(d, v, buffer);
  std::memcpy(p, buffer, n * sizeof(T));
}

/** Calls body(i, n) for i = 0, L, 2L, … with n = L, the lanes, and once with what is left. Body must use loads and
 * stores through at() and put(). */
template <class Body>
HWY_INLINE void for_lanes(F d, std::int64_t count, Body&& body) {
  const std::int64_t lanes = static_cast<std::int64_t>(hn::Lanes(d));
  std::int64_t i = 0;
  for (; i + lanes <= count; i += lanes) body(i, lanes);
  if (i < count) body(i, count - i);
}

template <class T>
HWY_INLINE VF at(F d, const T* p, std::int64_t n) {
  return HWY_LIKELY(n == static_cast<std::int64_t>(hn::Lanes(d))) ? load(d, p)
                                                                  : load_n(d, p, static_cast<std::size_t>(n));
}

template <class T>
HWY_INLINE void put(F d, VF v, T* p, std::int64_t n) {
  if (HWY_LIKELY(n == static_cast<std::int64_t>(hn::Lanes(d)))) {
    store(d, v, p);
  } else {
    store_n(d, v, p, static_cast<std::size_t>(n));
  }
}

HWY_INLINE float sum(F d, VF v) { return hn::GetLane(hn::SumOfLanes(d, v)); }

constexpr float kLog2E = 1.44269504088896341f;

/** 2^x for x <= 127, within 2 units of the last place; results below the smallest normal number are 0; NaN stays. */
HWY_INLINE VF exp2_of(VF x) {
  const F d;
  const hn::RebindToSigned<F> di;
  // 1.5·2^23 + 127: adding it leaves the exponent of the nearest power of two in the low bits.
  const VF magic = hn::Set(d, 12583039.0f);
  const VF shifted = hn::Add(x, magic);
  const VF f = hn::Sub(x, hn::Sub(shifted, magic));
  VF p = hn::Set(d, 1.535336188319500e-4f);
  p = hn::MulAdd(p, f, hn::Set(d, 1.339887440266574e-3f));
  p = hn::MulAdd(p, f, hn::Set(d, 9.618437357674640e-3f));
  p = hn::MulAdd(p, f, hn::Set(d, 5.550332471162809e-2f));
  p = hn::MulAdd(p, f, hn::Set(d, 2.402264791363012e-1f));
  p = hn::MulAdd(p, f, hn::Set(d, 6.931472028550421e-1f));
  p = hn::MulAdd(p, f, hn::Set(d, 1.0f));
  const VF power = hn::BitCast(d, hn::ShiftLeft<23>(hn::BitCast(di, shifted)));
  return hn::IfThenZeroElse(hn::Lt(x, hn::Set(d, -126.0f)), hn::Mul(p, power));
}

}  // namespace graft::cpu::fast::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
