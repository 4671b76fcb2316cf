// The 16 levels times the scale of a block lie in vectors, so that a code is one permutation: 16 elements an
// instruction with AVX-512, 8 by two and a blend with AVX2. The high nibbles of some bytes are the even elements, the
// low ones the odd elements.
#if defined(GRAFT_CPU_FAST_NF4_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef GRAFT_CPU_FAST_NF4_INL_H
#undef GRAFT_CPU_FAST_NF4_INL_H
#else
#define GRAFT_CPU_FAST_NF4_INL_H
#endif

#include <type_traits>

#include "core/nf4.h"
#include "cpu/fast/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace graft::cpu::fast::HWY_NAMESPACE {

using U32 = hn::RebindToUnsigned<F>;

constexpr std::size_t kLanes = hn::MaxLanes(F());
constexpr bool kTableInVectors = kLanes == 8 || kLanes == 16;

struct Pair {
  VF even, odd;
};

/** The levels of one block: in two vectors of 8, or in one of 16, or in memory. */
template <bool in_vectors = kTableInVectors>
class Levels {
 public:
  /** bf16: each level is rounded to that type. */
  HWY_INLINE Levels(float scale, bool bf16) {
    const F d;
    const VF factor = hn::Set(d, scale);
    low_ = rounded(hn::Mul(hn::LoadU(d, core::kNf4Levels.data()), factor), bf16);
    high_ = kLanes == 16 ? low_ : rounded(hn::Mul(hn::LoadU(d, core::kNf4Levels.data() + 8), factor), bf16);
  }

  /** The elements of Lanes bytes. */
  HWY_INLINE Pair of(const std::uint8_t* bytes) const {
    const hn::Rebind<std::uint8_t, F> d8;
    const U32 du;
    const auto pairs = hn::PromoteTo(du, hn::LoadU(d8, bytes));
    return {level(hn::ShiftRight<4>(pairs)), level(hn::And(pairs, hn::Set(du, 15)))};
  }

 private:
  static HWY_INLINE VF rounded(VF v, bool bf16) { return bf16 ? hn::BitCast(F(), hn::ShiftLeft<16>(bf16_bits(v))) : v; }

  HWY_INLINE VF level(hn::Vec<U32> code) const {
    const F d;
    const U32 du;
    if constexpr (kLanes == 16) return hn::TableLookupLanes(low_, hn::IndicesFromVec(d, code));
    const auto index = hn::IndicesFromVec(d, hn::And(code, hn::Set(du, 7)));
    const auto upper = hn::RebindMask(d, hn::TestBit(code, hn::Set(du, 8)));
    return hn::IfThenElse(upper, hn::TableLookupLanes(high_, index), hn::TableLookupLanes(low_, index));
  }

  VF low_, high_;
};

template <>
class Levels<false> {
 public:
  HWY_INLINE Levels(float scale, bool bf16) {
    for (std::size_t i = 0; i < 16; ++i) {
      const float level = core::kNf4Levels[i] * scale;
      levels_[i] = bf16 ? static_cast<float>(core::bf16(level)) : level;
    }
  }

  HWY_INLINE Pair of(const std::uint8_t* bytes) const {
    const F d;
    float even[kLanes], odd[kLanes];
    for (std::size_t i = 0; i < hn::Lanes(d); ++i) {
      even[i] = levels_[bytes[i] >> 4];
      odd[i] = levels_[bytes[i] & 15];
    }
    return {hn::LoadU(d, even), hn::LoadU(d, odd)};
  }

 private:
  float levels_[16];
};

/** out [2·Lanes] = even and odd elements in turn. */
HWY_INLINE void store_in_turn(Pair pair, float* out) {
  const F d;
#if HWY_TARGET == HWY_SCALAR
  hn::StoreU(pair.even, d, out);
  hn::StoreU(pair.odd, d, out + 1);
#else
  hn::StoreInterleaved2(pair.even, pair.odd, d, out);
#endif
}

/** in [2·Lanes]: what store_in_turn wrote. */
HWY_INLINE Pair load_in_turn(const float* in) {
  const F d;
#if HWY_TARGET == HWY_SCALAR
  return {hn::LoadU(d, in), hn::LoadU(d, in + 1)};
#else
  Pair pair;
  hn::LoadInterleaved2(d, in, pair.even, pair.odd);
  return pair;
#endif
}

}  // namespace graft::cpu::fast::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // per-target include guard
