// A table of up to 16 entries lies in one vector of 16 lanes or two of 8, so that a lookup is one permutation, or two
// and a blend. A block's bytes, one a lane, hold the codes of Lanes neighbouring columns in each of their bit fields.
#if defined(GRAFT_CPU_FAST_SKETCH_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef GRAFT_CPU_FAST_SKETCH_INL_H
#undef GRAFT_CPU_FAST_SKETCH_INL_H
#else
#define GRAFT_CPU_FAST_SKETCH_INL_H
#endif

#include <utility>

#include "core/sketch.h"
#include "cpu/fast/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace graft::cpu::fast::HWY_NAMESPACE {

using U32 = hn::RebindToUnsigned<F>;
using VU = hn::Vec<U32>;

constexpr std::size_t kLanes = hn::MaxLanes(F());
constexpr std::size_t kVectors = core::kSketchBlock / kLanes;  // of a block
constexpr bool kTableInVectors = kLanes == 8 || kLanes == 16;
using EachVector = std::make_index_sequence<kVectors>;

/** The codes of columns q·Lanes.. of a block. */
template <int bits, std::size_t q>
HWY_INLINE VU codes_at(const std::uint8_t* bytes) {
  const U32 du;
  if constexpr (kTableInVectors) {
    const hn::Rebind<std::uint8_t, F> d8;
    // A field of `width` bits of all the `run` bytes holds as many columns.
    constexpr int width = bits == 4 ? 4 : 2, run = 8 * width, first = static_cast<int>(q * kLanes);
    constexpr int field = first / run * width, at = first % run;
    const VU lanes = hn::PromoteTo(du, hn::LoadU(d8, bytes + at));
    const VU low = hn::And(hn::ShiftRight<field>(lanes), hn::Set(du, (1 << width) - 1));
    if constexpr (bits != 3) return low;
    std::uint32_t thirds;
    std::memcpy(&thirds, bytes + 16 + first / 32 * 4, sizeof(thirds));
    const auto lane_bit = hn::Shl(hn::Set(du, 1u << first % 32), hn::Iota(du, 0));
    return hn::Or(low, hn::IfThenElseZero(hn::TestBit(hn::Set(du, thirds), lane_bit), hn::Set(du, 4)));
  }
  std::uint32_t codes[kLanes];
  for (std::size_t i = 0; i < kLanes; ++i)
    codes[i] = static_cast<std::uint32_t>(core::code_of(bytes, bits, static_cast<std::int64_t>(q * kLanes + i)));
  return hn::LoadU(du, codes);
}

/** Up to 16 entries as 32-bit patterns. */
template <int bits>
class SketchTable {
 public:
  SketchTable() = default;
  /** entries [16] */
  explicit HWY_INLINE SketchTable(const void* entries) {
    const auto* from = static_cast<const std::uint32_t*>(entries);
    const U32 du;
    if constexpr (kTableInVectors) {
      low_ = hn::LoadU(du, from);
      high_ = kLanes == 16 ? low_ : hn::LoadU(du, from + 8);
    } else {
      from_ = from;
    }
  }

  HWY_INLINE VU at(VU code) const {
    const U32 du;
    if constexpr (!kTableInVectors) {
      std::uint32_t lanes[kLanes];
      hn::StoreU(code, du, lanes);
      for (std::uint32_t& lane : lanes) lane = from_[lane];
      return hn::LoadU(du, lanes);
    } else if constexpr (kLanes == 16 || bits < 4) {
      return hn::TableLookupLanes(low_, hn::IndicesFromVec(du, code));
    } else {
      const auto index = hn::IndicesFromVec(du, hn::And(code, hn::Set(du, 7)));
      return hn::IfThenElse(hn::TestBit(code, hn::Set(du, 8)), hn::TableLookupLanes(high_, index),
                            hn::TableLookupLanes(low_, index));
    }
  }

 private:
  VU low_, high_;
  const std::uint32_t* from_;
};

template <int bits, std::size_t... q>
HWY_INLINE void block_codes(const std::uint8_t* bytes, VU* codes, std::index_sequence<q...>) {
  ((codes[q] = codes_at<bits, q>(bytes)), ...);
}

/** codes [kVectors] of a block. */
template <int bits>
HWY_INLINE void block_codes(const std::uint8_t* bytes, VU* codes) {
  block_codes<bits>(bytes, codes, EachVector());
}

}  // namespace graft::cpu::fast::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif  // per-target include guard
