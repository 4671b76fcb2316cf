// Operands of tile products out of rows in memory. Three layouts of a matrix X [rows, columns], in words (see
// tile_product-inl.h):
//     along     [rows][columns/per word]   a left operand that sums over X's columns
//     down      [rows/per word][columns]   a right operand, or a transposed left one, that sums over X's rows
//     across    [columns/per word][rows]   a right operand that sums over X's columns
// What a word reaches beyond X is zero.
#if defined(GRAFT_CPU_FAST_TILE_PACK_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef GRAFT_CPU_FAST_TILE_PACK_INL_H
#undef GRAFT_CPU_FAST_TILE_PACK_INL_H
#else
#define GRAFT_CPU_FAST_TILE_PACK_INL_H
#endif

#include "cpu/fast/tile_product-inl.h"

HWY_BEFORE_NAMESPACE();
namespace graft::cpu::fast::HWY_NAMESPACE {

template <class T>
HWY_INLINE void pack_along(const T* x, std::int64_t stride, std::int64_t rows, std::int64_t columns, float* to,
                           std::int64_t ld) {
  const F d;
  for (std::int64_t r = 0; r < rows; ++r, x += stride, to += ld) {
    for_lanes(d, columns, [&](std::int64_t j, std::int64_t n) { put(d, at(d, x + j, n), to + j, n); });
    std::fill(to + columns, to + ld, 0.0f);
  }
}

HWY_INLINE void pack_along(const core::bf16* x, std::int64_t stride, std::int64_t rows, std::int64_t columns, Pair* to,
                           std::int64_t ld) {
  for (std::int64_t r = 0; r < rows; ++r, x += stride, to += ld) {
    std::fill(to + columns / 2, to + ld, Pair{0});
    std::memcpy(to, x, static_cast<std::size_t>(columns) * sizeof(core::bf16));
  }
}

template <class T>
HWY_INLINE void pack_down(const T* x, std::int64_t stride, std::int64_t rows, std::int64_t columns, float* to,
                          std::int64_t ld) {
  pack_along(x, stride, rows, columns, to, ld);
}

HWY_INLINE void pack_down(const core::bf16* x, std::int64_t stride, std::int64_t rows, std::int64_t columns, Pair* to,
                          std::int64_t ld) {
  const F d;
  const hn::RebindToUnsigned<F> d32;
  for (std::int64_t r = 0; r < rows; r += 2, x += 2 * stride, to += ld) {
    const bool both = r + 1 < rows;
    for_lanes(d, columns, [&](std::int64_t j, std::int64_t n) {
      const auto even = hn::ShiftRight<16>(hn::BitCast(d32, at(d, x + j, n)));
      const auto odd = both ? hn::BitCast(d32, at(d, x + stride + j, n)) : hn::Zero(d32);
      put(d, hn::BitCast(d, hn::Or(even, odd)), reinterpret_cast<float*>(to + j), n);
    });
    std::fill(to + columns, to + ld, Pair{0});
  }
}

/** to[c][r] = from[r][c]; rows and columns are multiples of 4. */
HWY_INLINE void transpose_words(const void* from_words, std::int64_t ld_from, std::int64_t rows, std::int64_t columns,
                                void* to_words, std::int64_t ld_to) {
  const float* from = static_cast<const float*>(from_words);
  float* to = static_cast<float*>(to_words);
#if HWY_TARGET == HWY_SCALAR
  for (std::int64_t c = 0; c < columns; ++c)
    for (std::int64_t r = 0; r < rows; ++r) to[c * ld_to + r] = from[r * ld_from + c];
#else
  const hn::FixedTag<float, 4> d4;
  const hn::FixedTag<double, 2> d2;
  for (std::int64_t c = 0; c < columns; c += 4) {
    for (std::int64_t r = 0; r < rows; r += 4) {
      const float* p = from + r * ld_from + c;
      const auto row0 = hn::LoadU(d4, p), row1 = hn::LoadU(d4, p + ld_from);
      const auto row2 = hn::LoadU(d4, p + 2 * ld_from), row3 = hn::LoadU(d4, p + 3 * ld_from);
      const auto low01 = hn::BitCast(d2, hn::InterleaveLower(d4, row0, row1));
      const auto high01 = hn::BitCast(d2, hn::InterleaveUpper(d4, row0, row1));
      const auto low23 = hn::BitCast(d2, hn::InterleaveLower(d4, row2, row3));
      const auto high23 = hn::BitCast(d2, hn::InterleaveUpper(d4, row2, row3));
      float* q = to + c * ld_to + r;
      hn::StoreU(hn::BitCast(d4, hn::InterleaveLower(d2, low01, low23)), d4, q);
      hn::StoreU(hn::BitCast(d4, hn::InterleaveUpper(d2, low01, low23)), d4, q + ld_to);
      hn::StoreU(hn::BitCast(d4, hn::InterleaveLower(d2, high01, high23)), d4, q + 2 * ld_to);
      hn::StoreU(hn::BitCast(d4, hn::InterleaveUpper(d2, high01, high23)), d4, q + 3 * ld_to);
    }
  }
#endif
}

/** through: scratch of round_up(rows, 4) · round_up(words of a row, 4) words. ld >= round_up(rows, 4). */
template <class T, class Word>
HWY_INLINE void pack_across(const T* x, std::int64_t stride, std::int64_t rows, std::int64_t columns, Word* to,
                            std::int64_t ld, Word* through) {
  const std::int64_t words = round_up((columns + kPerWord<Word> - 1) / kPerWord<Word>, 4);
  const std::int64_t padded_rows = round_up(rows, 4);
  pack_along(x, stride, rows, columns, through, words);
  std::fill(through + rows * words, through + padded_rows * words, Word{});
  transpose_words(through, words, padded_rows, words, to, ld);
}

#if GRAFT_PAIRS
/** 16 values as bf16, rounded to nearest even. */
GRAFT_PAIR_ATTR HWY_INLINE void store_narrow(VF v, core::bf16* to) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), (__m256i)_mm512_cvtneps_pbh(v.raw));
}

/** One row of bf16 words for a down layout, out of two rows of floats. */
GRAFT_PAIR_ATTR HWY_INLINE void store_down(VF even, VF odd, Pair* to) {
  const __m512i lower = _mm512_maskz_cvtepu16_epi32(0xffff, (__m256i)_mm512_cvtneps_pbh(even.raw));
  const __m512i upper = _mm512_maskz_cvtepu16_epi32(0xffff, (__m256i)_mm512_cvtneps_pbh(odd.raw));
  _mm512_storeu_si512(to, _mm512_or_si512(lower, _mm512_maskz_slli_epi32(0xffff, upper, 16)));
}
#endif

}  // namespace graft::cpu::fast::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
