// vdpbf16ps adds x0·y0 + x1·y1 of the bf16 pairs in each 32-bit lane to an fp32 lane.
// row_products: pairs along the row; 2 rows of x by 8 of a in registers, per 32 columns 10 loads and 16 products.
// outer_sum: pairs along the rows of m, made by interleaving two of them; 8 sums by 32 columns in registers. The pairs
// of s are broadcast from a small table. Subnormal bf16 values count as zero, as in the library's GEMM.
#include "cpu/fast/skinny_bf16.h"

#include <algorithm>
#include <cstring>

#include "core/float_types.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define GRAFT_BF16_PAIRS [[gnu::target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]]

namespace graft::cpu::fast {
namespace {

GRAFT_BF16_PAIRS inline __m512i load32(const core::bf16* p, std::int64_t n, const std::uint8_t* bits) {
  __mmask32 mask = n >= 32 ? ~__mmask32{0} : (__mmask32{1} << n) - 1;
  if (bits != nullptr) {
    std::uint32_t kept;
    std::memcpy(&kept, bits, sizeof(kept));
    mask &= kept;
  }
  return _mm512_maskz_loadu_epi16(mask, p);
}

// why not _mm512_reduce_add_ps: GCC 12 warns of an uninitialised value inside it.
GRAFT_BF16_PAIRS inline float sum_of(__m512 v) {
  alignas(64) float lanes[16];
  _mm512_store_ps(lanes, v);
  const __m256 eight = _mm256_add_ps(_mm256_load_ps(lanes), _mm256_load_ps(lanes + 8));
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

template <int R, int J>
GRAFT_BF16_PAIRS inline void row_block(const core::bf16* x, std::int64_t x_pitch, Keep keep, const core::bf16* a,
                                       std::int64_t a_pitch, std::int64_t columns, float factor, float* out,
                                       std::int64_t rank) {
  __m512 acc[R][J];
  for (int t = 0; t < R; ++t)
    for (int j = 0; j < J; ++j) acc[t][j] = _mm512_setzero_ps();
  for (std::int64_t i = 0; i < columns; i += 32) {
    const std::int64_t n = columns - i;
    __m512bh row[R];
    for (int t = 0; t < R; ++t)
      row[t] =
          (__m512bh)load32(x + t * x_pitch + i, n, keep.bits == nullptr ? nullptr : keep.bits + t * keep.pitch + i / 8);
    for (int j = 0; j < J; ++j) {
      const __m512bh other = (__m512bh)load32(a + j * a_pitch + i, n, nullptr);
      for (int t = 0; t < R; ++t) acc[t][j] = _mm512_dpbf16_ps(acc[t][j], row[t], other);
    }
  }
  for (int t = 0; t < R; ++t)
    for (int j = 0; j < J; ++j) out[t * rank + j] = factor * sum_of(acc[t][j]);
}

template <int R>
GRAFT_BF16_PAIRS inline void rows_of(const core::bf16* x, std::int64_t x_pitch, Keep keep, const Matrix& a,
                                     float factor, float* out) {
  const core::bf16* other = static_cast<const core::bf16*>(a.data);
  std::int64_t j = 0;
  for (; j + 8 <= a.rows; j += 8)
    row_block<R, 8>(x, x_pitch, keep, other + j * a.row_stride, a.row_stride, a.columns, factor, out + j, a.rows);
  for (; j < a.rows; ++j)
    row_block<R, 1>(x, x_pitch, keep, other + j * a.row_stride, a.row_stride, a.columns, factor, out + j, a.rows);
}

template <int J, bool masked>
GRAFT_BF16_PAIRS inline void outer_block(const std::uint32_t* pairs, std::int64_t rank, const core::bf16* m,
                                         std::int64_t pitch, std::int64_t rows, Keep keep, std::int64_t i,
                                         std::int64_t n, float factor, float* sums, std::int64_t sums_pitch) {
  __m512 low[J], high[J];
  for (int j = 0; j < J; ++j) low[j] = high[j] = _mm512_setzero_ps();
  for (std::int64_t t = 0; t < rows; t += 2) {
    const std::uint8_t* bits = masked ? keep.bits + t * keep.pitch + i / 8 : nullptr;
    const __m512i even = load32(m + t * pitch + i, n, bits);
    const __m512i odd = t + 1 < rows ? load32(m + (t + 1) * pitch + i, n, masked ? bits + keep.pitch : nullptr)
                                     : _mm512_setzero_si512();
    const __m512bh first = (__m512bh)_mm512_unpacklo_epi16(even, odd),
                   second = (__m512bh)_mm512_unpackhi_epi16(even, odd);
    for (int j = 0; j < J; ++j) {
      const __m512bh pair = (__m512bh)_mm512_set1_epi32(static_cast<int>(pairs[t / 2 * rank + j]));
      low[j] = _mm512_dpbf16_ps(low[j], first, pair);
      high[j] = _mm512_dpbf16_ps(high[j], second, pair);
    }
  }
  // The interleaving works within 128 bits: low holds columns 0-3, 8-11, …, high 4-7, 12-15, ….
  const __m512i left = _mm512_setr_epi32(0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
  const __m512i right = _mm512_setr_epi32(8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31);
  const __mmask32 mask = n >= 32 ? ~__mmask32{0} : (__mmask32{1} << n) - 1;
  const __mmask16 left_mask = static_cast<__mmask16>(mask), right_mask = static_cast<__mmask16>(mask >> 16);
  for (int j = 0; j < J; ++j) {
    float* out = sums + j * sums_pitch + i;
    const __m512 scale = _mm512_set1_ps(factor);
    const __m512 a = _mm512_permutex2var_ps(low[j], left, high[j]), b = _mm512_permutex2var_ps(low[j], right, high[j]);
    _mm512_mask_storeu_ps(out, left_mask, _mm512_fmadd_ps(a, scale, _mm512_maskz_loadu_ps(left_mask, out)));
    _mm512_mask_storeu_ps(out + 16, right_mask, _mm512_fmadd_ps(b, scale, _mm512_maskz_loadu_ps(right_mask, out + 16)));
  }
}

template <bool masked>
GRAFT_BF16_PAIRS void outer_rows(const std::uint32_t* pairs, std::int64_t rank, const core::bf16* m, std::int64_t pitch,
                                 std::int64_t rows, std::int64_t columns, Keep keep, float factor, float* sums,
                                 std::int64_t sums_pitch) {
  for (std::int64_t i = 0; i < columns; i += 32) {
    std::int64_t j = 0;
    for (; j + 8 <= rank; j += 8)
      outer_block<8, masked>(pairs + j, rank, m, pitch, rows, keep, i, columns - i, factor, sums + j * sums_pitch,
                             sums_pitch);
    for (; j < rank; ++j)
      outer_block<1, masked>(pairs + j, rank, m, pitch, rows, keep, i, columns - i, factor, sums + j * sums_pitch,
                             sums_pitch);
  }
}

}  // namespace

bool has_bf16_pairs() {
  static const bool has = __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  return has;
}

GRAFT_BF16_PAIRS void row_products_bf16(const Matrix& x, Keep keep, const Matrix& a, float factor, float* out) {
  const core::bf16* data = static_cast<const core::bf16*>(x.data);
  const auto from = [&](std::int64_t t) {
    return Keep{keep.bits == nullptr ? nullptr : keep.bits + t * keep.pitch, keep.pitch};
  };
  std::int64_t t = 0;
  for (; t + 2 <= x.rows; t += 2)
    rows_of<2>(data + t * x.row_stride, x.row_stride, from(t), a, factor, out + t * a.rows);
  for (; t < x.rows; ++t) rows_of<1>(data + t * x.row_stride, x.row_stride, from(t), a, factor, out + t * a.rows);
}

GRAFT_BF16_PAIRS void outer_sum_bf16(const float* s, std::int64_t rank, const Matrix& m, Keep keep, float factor,
                                     float* sums, std::int64_t pitch) {
  constexpr std::int64_t kPairs = 4096;  // the table stays in the first-level cache
  std::uint32_t pairs[kPairs];
  const core::bf16* data = static_cast<const core::bf16*>(m.data);
  // Ranks and rows that fit the table; sums go on from one block of rows to the next.
  for (std::int64_t j = 0; j < rank; j += 64) {
    const std::int64_t width = std::min<std::int64_t>(64, rank - j);
    const std::int64_t block = 2 * (kPairs / width);
    for (std::int64_t first = 0; first < m.rows; first += block) {
      const std::int64_t rows = std::min(block, m.rows - first);
      for (std::int64_t t = 0; t < rows; t += 2)
        for (std::int64_t c = 0; c < width; ++c) {
          const float* here = s + (first + t) * rank + j + c;
          const std::uint32_t second = t + 1 < rows ? core::bf16(here[rank]).bits : 0;
          pairs[t / 2 * width + c] = core::bf16(*here).bits | second << 16;
        }
      const Keep below{keep.bits == nullptr ? nullptr : keep.bits + first * keep.pitch, keep.pitch};
      const core::bf16* part = data + first * m.row_stride;
      if (keep.bits == nullptr) {
        outer_rows<false>(pairs, width, part, m.row_stride, rows, m.columns, below, factor, sums + j * pitch, pitch);
      } else {
        outer_rows<true>(pairs, width, part, m.row_stride, rows, m.columns, below, factor, sums + j * pitch, pitch);
      }
    }
  }
}

}  // namespace graft::cpu::fast

#else

namespace graft::cpu::fast {

bool has_bf16_pairs() { return false; }
void row_products_bf16(const Matrix&, Keep, const Matrix&, float, float*) {}
void outer_sum_bf16(const float*, std::int64_t, const Matrix&, Keep, float, float*, std::int64_t) {}

}  // namespace graft::cpu::fast

#endif
