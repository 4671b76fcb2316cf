// vdpbf16ps adds x0·y0 + x1·y1 of the bf16 pairs in each 32-bit lane to an fp32 lane.
// row_products: pairs along the row, broadcast from 8 rows of x against 16 rows of a, whose pairs lie together; no sum
// over lanes is left.
// outer_sum: pairs along the rows of m, made by interleaving two of them; 8 sums by 32 columns in registers. The pairs
// of s are broadcast from memory. Subnormal bf16 values count as zero, as in the library's GEMM.
#include "cpu/fast/skinny_bf16.h"

#include <algorithm>
#include <cstring>

#include "core/float_types.h"
#include "cpu/fast/pairs_avx512.h"
#include "cpu/fast/skinny_amx.h"
#include "cpu/isa.h"

#if defined(__x86_64__)

namespace graft::cpu::fast {
namespace {

// 16 or, at half the price, 8 sums.
struct Sixteen {
  using Sums = __m512;
  static constexpr std::int64_t kRanks = 16;
  GRAFT_BF16_PAIRS [[gnu::always_inline]] static inline Sums zero() { return _mm512_setzero_ps(); }
  GRAFT_BF16_PAIRS [[gnu::always_inline]] static inline Sums add(Sums sums, const std::uint32_t* words, int pair) {
    return _mm512_dpbf16_ps(sums, (__m512bh)_mm512_loadu_si512(words), (__m512bh)_mm512_set1_epi32(pair));
  }
  GRAFT_BF16_PAIRS [[gnu::always_inline]] static inline void store(Sums sums, float factor, std::int64_t n,
                                                                   float* out) {
    const __mmask16 mask = n >= kRanks ? kAll : static_cast<__mmask16>((1u << n) - 1);
    _mm512_mask_storeu_ps(out, mask, _mm512_mul_ps(_mm512_set1_ps(factor), sums));
  }
};

struct Eight {
  using Sums = __m256;
  static constexpr std::int64_t kRanks = 8;
  GRAFT_BF16_PAIRS [[gnu::always_inline]] static inline Sums zero() { return _mm256_setzero_ps(); }
  GRAFT_BF16_PAIRS [[gnu::always_inline]] static inline Sums add(Sums sums, const std::uint32_t* words, int pair) {
    const __m256i both = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words));
    return _mm256_dpbf16_ps(sums, (__m256bh)both, (__m256bh)_mm256_set1_epi32(pair));
  }
  GRAFT_BF16_PAIRS [[gnu::always_inline]] static inline void store(Sums sums, float factor, std::int64_t n,
                                                                   float* out) {
    _mm256_mask_storeu_ps(out, static_cast<__mmask8>((1u << n) - 1), _mm256_mul_ps(_mm256_set1_ps(factor), sums));
  }
};

// out [R, ranks], of which there are n, from R rows of x and a tile of a; each sum in P parts.
template <class V, int R, int P>
GRAFT_BF16_PAIRS inline void row_block(Strips<R>& x, std::int64_t t, const Matrix& like, const std::uint32_t* tiles,
                                       std::int64_t step, float factor, std::int64_t n, float* out, std::int64_t rank) {
  typename V::Sums parts[P][R];
  for (int p = 0; p < P; ++p)
    for (int r = 0; r < R; ++r) parts[p][r] = V::zero();
  for (std::int64_t i = 0; i < like.columns; i += kStrip, tiles += step) {
    const auto rows = x.at(t, i);
    for (std::int64_t pair = 0; pair < kSide; pair += P)
      for (int p = 0; p < P; ++p)
        for (int r = 0; r < R; ++r) {
          int both;
          std::memcpy(&both, rows.data + r * rows.pitch + 2 * (pair + p), sizeof(both));
          parts[p][r] = V::add(parts[p][r], tiles + (pair + p) * kSide, both);
        }
  }
  for (int r = 0; r < R && t + r < like.rows; ++r) {
    for (int p = 1; p < P; ++p) parts[0][r] += parts[p][r];
    V::store(parts[0][r], factor, n, out + r * rank);
  }
}

template <int R, int P>
GRAFT_BF16_PAIRS void row_blocks(const Matrix& x, Keep keep, const std::uint32_t* tiles, std::int64_t rank,
                                 float factor, float* out) {
  Strips<R> strips(x, keep);
  const std::int64_t step = tile_words(rank, kStrip);
  for (std::int64_t t = 0; t < x.rows; t += R)
    for (std::int64_t j = 0; j < rank; j += kSide) {
      const auto block = rank - j > Eight::kRanks ? row_block<Sixteen, R, P> : row_block<Eight, R, P>;
      block(strips, t, x, tiles + j * kSide, step, factor, rank - j, out + t * rank + j, rank);
    }
}

// pairs: J ranks of the first 32 rows; those of the next 32 follow after `step` words. next: the strip to fetch.
template <int J, bool full, bool masked>
GRAFT_BF16_PAIRS [[gnu::always_inline]] inline void outer_block(const std::uint32_t* pairs, std::int64_t step,
                                                                const core::bf16* m, const core::bf16* next,
                                                                std::int64_t pitch, std::int64_t rows, Keep keep,
                                                                std::int64_t i, std::int64_t n, float factor,
                                                                float* sums, std::int64_t sums_pitch) {
  __m512 low[J], high[J];
  for (int j = 0; j < J; ++j) low[j] = high[j] = _mm512_setzero_ps();
  for (std::int64_t t = 0; t < rows; t += 2) {
    const std::uint8_t* bits = masked ? keep.bits + t * keep.pitch + i / 8 : nullptr;
    if constexpr (J == 8 && full)
      for (int row = 0; row < 2; ++row) prefetch(next + (t + row) * pitch);
    const __m512i even = load32<full, masked>(m + t * pitch + i, n, bits);
    const __m512i odd = t + 1 < rows
                            ? load32<full, masked>(m + (t + 1) * pitch + i, n, masked ? bits + keep.pitch : nullptr)
                            : _mm512_setzero_si512();
    const Interleaved both = interleave(even, odd);
    const std::uint32_t* at = pairs + t / kPairedRows * step + t % kPairedRows / 2;
    for (int j = 0; j < J; ++j) {
      const __m512bh pair = (__m512bh)_mm512_set1_epi32(static_cast<int>(at[j * (kPairedRows / 2)]));
      low[j] = _mm512_dpbf16_ps(low[j], (__m512bh)both.low, pair);
      high[j] = _mm512_dpbf16_ps(high[j], (__m512bh)both.high, pair);
    }
  }
  for (int j = 0; j < J; ++j) add_interleaved(low[j], high[j], factor, n, sums + j * sums_pitch + i);
}

template <bool full, bool masked>
GRAFT_BF16_PAIRS inline void outer_ranks(const std::uint32_t* pairs, std::int64_t rank, const core::bf16* m,
                                         const core::bf16* next, std::int64_t pitch, std::int64_t rows, Keep keep,
                                         std::int64_t i, std::int64_t n, float factor, float* sums,
                                         std::int64_t sums_pitch) {
  const std::int64_t step = pair_words(kPairedRows, rank);
  std::int64_t j = 0;
  for (; j + 8 <= rank; j += 8)
    outer_block<8, full, masked>(pairs + j * (kPairedRows / 2), step, m, next, pitch, rows, keep, i, n, factor,
                                 sums + j * sums_pitch, sums_pitch);
  for (; j < rank; ++j)
    outer_block<1, full, masked>(pairs + j * (kPairedRows / 2), step, m, next, pitch, rows, keep, i, n, factor,
                                 sums + j * sums_pitch, sums_pitch);
}

template <bool masked>
void outer_rows(const std::uint32_t* pairs, std::int64_t rank, const core::bf16* m, std::int64_t pitch,
                std::int64_t rows, std::int64_t columns, Keep keep, float factor, float* sums,
                std::int64_t sums_pitch) {
  // why: what follows the last strips of these rows are the first strips of the next ones.
  const auto next = [&](std::int64_t i) { return m + (i < columns ? i : i - columns + rows * pitch); };
  std::int64_t i = 0;
  for (; i + 32 <= columns; i += 32)
    outer_ranks<true, masked>(pairs, rank, m, next(i + kAhead), pitch, rows, keep, i, 32, factor, sums, sums_pitch);
  if (i < columns)
    outer_ranks<false, masked>(pairs, rank, m, m, pitch, rows, keep, i, columns - i, factor, sums, sums_pitch);
}

// 4 rows of out by 32 columns; a's rows are interleaved in pairs: element i of pair j is a[2j, i] and a[2j+1, i].
template <int R, bool full>
GRAFT_BF16_PAIRS [[gnu::always_inline]] inline void update_block(const std::uint32_t* s, std::int64_t pairs,
                                                                 const std::uint32_t* a, std::int64_t a_pitch,
                                                                 Keep keep, float factor, core::bf16* out,
                                                                 std::int64_t pitch, std::int64_t i, std::int64_t n) {
  __m512 acc[R][2];
  for (int t = 0; t < R; ++t) acc[t][0] = acc[t][1] = _mm512_setzero_ps();
  const __mmask32 whole = n >= 32 ? ~__mmask32{0} : (__mmask32{1} << n) - 1;
  const __mmask16 masks[2] = {static_cast<__mmask16>(whole), static_cast<__mmask16>(whole >> 16)};
  for (std::int64_t j = 0; j < pairs; ++j) {
    const std::uint32_t* row = a + j * a_pitch + i;
    const __m512bh left = (__m512bh)(full ? _mm512_loadu_si512(row) : _mm512_maskz_loadu_epi32(masks[0], row));
    const __m512bh right =
        (__m512bh)(full ? _mm512_loadu_si512(row + 16) : _mm512_maskz_loadu_epi32(masks[1], row + 16));
    for (int t = 0; t < R; ++t) {
      const __m512bh pair = (__m512bh)_mm512_set1_epi32(static_cast<int>(s[t * pairs + j]));
      acc[t][0] = _mm512_dpbf16_ps(acc[t][0], left, pair);
      acc[t][1] = _mm512_dpbf16_ps(acc[t][1], right, pair);
    }
  }
  const __m512 scale = _mm512_set1_ps(factor);
  for (int t = 0; t < R; ++t) {
    std::uint32_t kept = ~0u;
    if (keep.bits != nullptr) std::memcpy(&kept, keep.bits + t * keep.pitch + i / 8, sizeof(kept));
    for (int half = 0; half < 2; ++half) {
      core::bf16* to = out + t * pitch + i + 16 * half;
      const __m256i bits =
          full ? _mm256_loadu_si256(reinterpret_cast<const __m256i*>(to)) : _mm256_maskz_loadu_epi16(masks[half], to);
      const __m512 before =
          _mm512_castsi512_ps(_mm512_maskz_slli_epi32(0xffff, _mm512_maskz_cvtepu16_epi32(0xffff, bits), 16));
      const __m512 sum =
          _mm512_mask3_fmadd_ps(acc[t][half], scale, before, static_cast<__mmask16>(kept >> (16 * half)));
      const __m256i rounded = (__m256i)_mm512_cvtneps_pbh(sum);
      if constexpr (full) {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), rounded);
      } else {
        _mm256_mask_storeu_epi16(to, masks[half], rounded);
      }
    }
  }
}

// Words of 16 pairs of rows by 16 ranks, one rank after the other.
GRAFT_BF16_PAIRS void pair_block(const Matrix& s, std::int64_t t, std::int64_t j, std::uint32_t* pairs) {
  const __mmask16 mask = s.columns - j >= 16 ? kAll : static_cast<__mmask16>((1u << (s.columns - j)) - 1);
  const auto row = [&](std::int64_t r) {
    return r < s.rows ? static_cast<const char*>(s.data) + r * s.row_stride * graft_dtype_bytes(s.dtype) : nullptr;
  };
  __m512i words[16];
  for (int p = 0; p < 16; ++p) {
    const __m512i upper = _mm512_maskz_slli_epi32(kAll, narrow16(s.dtype, row(t + 2 * p + 1), j, mask), 16);
    words[p] = _mm512_or_si512(narrow16(s.dtype, row(t + 2 * p), j, mask), upper);
  }
  transpose16(words);
  for (int q = 0; q < 16; ++q) _mm512_storeu_si512(pairs + 16 * q, words[q]);
}

}  // namespace

bool has_bf16_pairs() {
  static const bool has = allowed(core::Isa::kAvx512Bf16) && __builtin_cpu_supports("avx512bf16") &&
                          __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                          __builtin_cpu_supports("avx512dq");
  return has;
}

std::int64_t tile_words(std::int64_t rows, std::int64_t columns) {
  return (columns + kStrip - 1) / kStrip * ((rows + kSide - 1) / kSide) * kTileWords;
}

GRAFT_BF16_PAIRS void pack_tiles(const Matrix& a, std::uint32_t* tiles) {
  const Strips<1> source(a, {});
  for (std::int64_t i = 0; i < a.columns; i += kStrip)
    for (std::int64_t j = 0; j < a.rows; j += kSide, tiles += kTileWords) {
      __m512i words[kSide];
      for (std::int64_t r = 0; r < kSide; ++r)
        words[r] = j + r < a.rows ? source.row(j + r, i, std::min(kStrip, a.columns - i)) : _mm512_setzero_si512();
      transpose16(words);
      for (std::int64_t r = 0; r < kSide; ++r) _mm512_storeu_si512(tiles + r * kSide, words[r]);
    }
}

GRAFT_BF16_PAIRS void pack_tiles_transposed(const Matrix& a, std::uint32_t* tiles) {
  const core::bf16* data = static_cast<const core::bf16*>(a.data);
  for (std::int64_t i = 0; i < a.rows; i += kStrip)
    for (std::int64_t j = 0; j < a.columns; j += kSide, tiles += kTileWords) {
      const std::int64_t n = std::min(kSide, a.columns - j);
      const __mmask16 mask = static_cast<__mmask16>((1u << n) - 1);
      for (std::int64_t p = 0; p < kSide; ++p) {
        const std::int64_t even = i + 2 * p, odd = even + 1;
        const __m512i low = narrow16(a.dtype, even < a.rows ? data + even * a.row_stride : nullptr, j, mask);
        const __m512i high = narrow16(a.dtype, odd < a.rows ? data + odd * a.row_stride : nullptr, j, mask);
        _mm512_storeu_si512(tiles + p * kSide, _mm512_or_si512(low, _mm512_maskz_slli_epi32(kAll, high, 16)));
      }
    }
}

void row_products_bf16(const Matrix& x, Keep keep, const PackedRows& a, float factor, float* out) {
  if (has_bf16_tiles()) return row_products_tiles(x, keep, a.tiles, a.rows.rows, factor, out);
  (x.rows == 1 ? row_blocks<1, 4> : row_blocks<8, 1>)(x, keep, a.tiles, a.rows.rows, factor, out);
}

void outer_sum_bf16(const Narrow& s, const Matrix& m, Keep keep, float factor, float* sums, std::int64_t pitch) {
  if (has_bf16_tiles()) return outer_sum_tiles(s, m, keep, factor, sums, pitch);
  constexpr std::int64_t kPairs = 1024;  // of them, and three strips of m, stay in the first-level cache
  const std::int64_t block = kPairedRows * std::max<std::int64_t>(1, kPairs / pair_words(kPairedRows, s.rank));
  const core::bf16* data = static_cast<const core::bf16*>(m.data);
  for (std::int64_t first = 0; first < m.rows; first += block) {
    const std::int64_t rows = std::min(block, m.rows - first);
    const std::uint32_t* pairs = s.from(first).pairs;
    const Keep below{keep.bits == nullptr ? nullptr : keep.bits + first * keep.pitch, keep.pitch};
    const core::bf16* part = data + first * m.row_stride;
    if (keep.bits == nullptr) {
      outer_rows<false>(pairs, s.rank, part, m.row_stride, rows, m.columns, below, factor, sums, pitch);
    } else {
      outer_rows<true>(pairs, s.rank, part, m.row_stride, rows, m.columns, below, factor, sums, pitch);
    }
  }
}

void pair_rows_bf16(const Matrix& s, std::uint32_t* pairs) {
  for (std::int64_t t = 0; t < s.rows; t += kPairedRows)
    for (std::int64_t j = 0; j < s.columns; j += 16, pairs += pair_words(kPairedRows, 16)) pair_block(s, t, j, pairs);
}

void interleave_bf16(const float* s, std::int64_t rows, std::int64_t columns, std::uint32_t* pairs) {
  const std::int64_t half = (columns + 1) / 2;
  for (std::int64_t t = 0; t < rows; ++t)
    for (std::int64_t j = 0; j < half; ++j) {
      const std::uint32_t second = 2 * j + 1 < columns ? core::bf16(s[t * columns + 2 * j + 1]).bits : 0;
      pairs[t * half + j] = core::bf16(s[t * columns + 2 * j]).bits | second << 16;
    }
}

GRAFT_BF16_PAIRS void rank_update_bf16(const std::uint32_t* s, std::int64_t pairs, const std::uint32_t* a,
                                       std::int64_t a_pitch, Keep keep, float factor, const Matrix& out) {
  core::bf16* data = static_cast<core::bf16*>(out.data);
  for (std::int64_t t = 0; t < out.rows;) {
    const Keep here{keep.bits == nullptr ? nullptr : keep.bits + t * keep.pitch, keep.pitch};
    const bool four = t + 4 <= out.rows;
    core::bf16* row = data + t * out.row_stride;
    const auto* pair = s + t * pairs;
    std::int64_t i = 0;
    for (; four && i + 32 <= out.columns; i += 32)
      update_block<4, true>(pair, pairs, a, a_pitch, here, factor, row, out.row_stride, i, 32);
    for (; i < out.columns; i += 32)
      for (int r = 0; r < (four ? 4 : 1); ++r)
        update_block<1, false>(pair + r * pairs, pairs, a, a_pitch,
                               {here.bits == nullptr ? nullptr : here.bits + r * keep.pitch, keep.pitch}, factor,
                               row + r * out.row_stride, out.row_stride, i, out.columns - i);
    t += four ? 4 : 1;
  }
}

}  // namespace graft::cpu::fast

#else

namespace graft::cpu::fast {

bool has_bf16_pairs() { return false; }
std::int64_t tile_words(std::int64_t, std::int64_t) { return 0; }
void pack_tiles(const Matrix&, std::uint32_t*) {}
void pack_tiles_transposed(const Matrix&, std::uint32_t*) {}
void row_products_bf16(const Matrix&, Keep, const PackedRows&, float, float*) {}
void outer_sum_bf16(const Narrow&, const Matrix&, Keep, float, float*, std::int64_t) {}
void pair_rows_bf16(const Matrix&, std::uint32_t*) {}
void interleave_bf16(const float*, std::int64_t, std::int64_t, std::uint32_t*) {}
void rank_update_bf16(const std::uint32_t*, std::int64_t, const std::uint32_t*, std::int64_t, Keep, float,
                      const Matrix&) {}

}  // namespace graft::cpu::fast

#endif
