// Vectors of 32 bf16 or of 16 pairs of them, for the skinny products on AVX-512.
#pragma once

#if defined(__x86_64__)
#include <immintrin.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "core/float_types.h"
#include "cpu/fast/skinny.h"

#define GRAFT_BF16_PAIRS [[gnu::target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]]

namespace graft::cpu::fast {

inline constexpr __mmask16 kAll = 0xffff;  // why: GCC 12 warns of an uninitialised value inside the plain intrinsics

// why: rows come from memory, and the processor's own prefetch follows neither strips of 64 bytes down many rows nor
// the jump from one group of rows to the next. Hints may go past the end.
inline void prefetch(const core::bf16* p) { _mm_prefetch(reinterpret_cast<const char*>(p), _MM_HINT_T0); }

inline constexpr std::int64_t kAhead = 64;  // columns: two strips

// The first n <= 32 values that are kept, then zeros.
// why not a masked load: for 16-bit elements some processors are slow at it; a plain load and a masked move are not.
template <bool full, bool masked>
GRAFT_BF16_PAIRS [[gnu::always_inline]] inline __m512i load32(const core::bf16* p, std::int64_t n,
                                                              const std::uint8_t* bits) {
  const __m512i v = full ? _mm512_loadu_si512(p) : _mm512_maskz_loadu_epi16((__mmask32{1} << n) - 1, p);
  if constexpr (!masked) return v;
  std::uint32_t kept;
  std::memcpy(&kept, bits, sizeof(kept));
  return _mm512_maskz_mov_epi16(kept, v);
}

inline constexpr std::int64_t kStrip = 32;  // bf16 values of a vector

/** R rows by 32 columns of x, one such strip after the other: where they lie or, if some are missing or masked, copied
 * with zeros. */
template <std::int64_t R>
class Strips {
 public:
  struct Rows {
    const core::bf16* data;
    std::int64_t pitch;
  };

  Strips(const Matrix& x, Keep keep) : x_(x), keep_(keep), data_(static_cast<const core::bf16*>(x.data)) {}

  /** Rows from t on, columns from i on; valid until the next call. */
  GRAFT_BF16_PAIRS [[gnu::always_inline]] inline Rows at(std::int64_t t, std::int64_t i) {
    const std::int64_t rows = std::min(R, x_.rows - t), columns = std::min(kStrip, x_.columns - i);
    const core::bf16* from = data_ + t * x_.row_stride + i;
    for (std::int64_t r = 0; r < rows; ++r) prefetch(from + r * x_.row_stride + 2 * kAhead);
    if (rows == R && columns == kStrip && keep_.bits == nullptr) return {from, x_.row_stride};
    for (std::int64_t r = 0; r < R; ++r)
      _mm512_store_si512(copy_[r], r < rows ? row(t + r, i, columns) : _mm512_setzero_si512());
    return {copy_[0], kStrip};
  }

  /** Row t, columns i to i + 31. */
  GRAFT_BF16_PAIRS [[gnu::always_inline]] inline __m512i row(std::int64_t t, std::int64_t i,
                                                             std::int64_t columns) const {
    const core::bf16* from = data_ + t * x_.row_stride + i;
    if (keep_.bits != nullptr) {
      const std::uint8_t* bits = keep_.bits + t * keep_.pitch + i / 8;
      return columns == kStrip ? load32<true, true>(from, columns, bits) : load32<false, true>(from, columns, bits);
    }
    return columns == kStrip ? load32<true, false>(from, columns, nullptr)
                             : load32<false, false>(from, columns, nullptr);
  }

  GRAFT_BF16_PAIRS [[gnu::always_inline]] inline __m512i whole_row(std::int64_t t, std::int64_t i) const {
    return _mm512_loadu_si512(data_ + t * x_.row_stride + i);
  }

  void fetch(std::int64_t t, std::int64_t i) const { prefetch(data_ + t * x_.row_stride + i); }

 private:
  const Matrix& x_;
  const Keep keep_;
  const core::bf16* data_;
  alignas(64) core::bf16 copy_[R][kStrip];
};

/** Two rows' 32 columns in pairs: low has columns 0-3, 8-11, …, high 4-7, 12-15, …. */
struct Interleaved {
  __m512i low, high;
};

GRAFT_BF16_PAIRS [[gnu::always_inline]] inline Interleaved interleave(__m512i even, __m512i odd) {
  return {_mm512_unpacklo_epi16(even, odd), _mm512_unpackhi_epi16(even, odd)};
}

/** sums[i] += factor · the first n <= 32 columns of what was summed in Interleaved's order. */
GRAFT_BF16_PAIRS [[gnu::always_inline]] inline void add_interleaved(__m512 low, __m512 high, float factor,
                                                                    std::int64_t n, float* sums) {
  const __m512i left = _mm512_setr_epi32(0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
  const __m512i right = _mm512_setr_epi32(8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31);
  const __mmask32 mask = n >= 32 ? ~__mmask32{0} : (__mmask32{1} << n) - 1;
  const __mmask16 masks[2] = {static_cast<__mmask16>(mask), static_cast<__mmask16>(mask >> 16)};
  const __m512 halves[2] = {_mm512_permutex2var_ps(low, left, high), _mm512_permutex2var_ps(low, right, high)};
  for (int h = 0; h < 2; ++h) {
    float* to = sums + 16 * h;
    _mm512_mask_storeu_ps(to, masks[h],
                          _mm512_fmadd_ps(halves[h], _mm512_set1_ps(factor), _mm512_maskz_loadu_ps(masks[h], to)));
  }
}

// 16 values of a row of f32 or bf16 as bf16 in 32-bit lanes; zeros where the mask or the row is missing.
GRAFT_BF16_PAIRS [[gnu::always_inline]] inline __m512i narrow16(graft_dtype dtype, const void* row, std::int64_t first,
                                                                __mmask16 mask) {
  if (row == nullptr) return _mm512_setzero_si512();
  const __m256i bits =
      dtype == GRAFT_DTYPE_BF16
          ? _mm256_maskz_loadu_epi16(mask, static_cast<const core::bf16*>(row) + first)
          : (__m256i)_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(mask, static_cast<const float*>(row) + first));
  return _mm512_maskz_cvtepu16_epi32(kAll, bits);
}

/** Lane i of v[j] and lane j of v[i] change places. */
GRAFT_BF16_PAIRS inline void transpose16(__m512i (&v)[16]) {
  __m512i w[16];
  for (int i = 0; i < 16; i += 2) {
    w[i] = _mm512_maskz_unpacklo_epi32(kAll, v[i], v[i + 1]);
    w[i + 1] = _mm512_maskz_unpackhi_epi32(kAll, v[i], v[i + 1]);
  }
  for (int i = 0; i < 16; i += 4)
    for (int half = 0; half < 2; ++half) {
      v[i + 2 * half] = _mm512_maskz_unpacklo_epi64(0xff, w[i + half], w[i + half + 2]);
      v[i + 2 * half + 1] = _mm512_maskz_unpackhi_epi64(0xff, w[i + half], w[i + half + 2]);
    }
  // v[4q + c]: in quarter p, lane 4p + c of the four rows 4q to 4q + 3.
  for (int c = 0; c < 4; ++c) {
    const __m512i a = _mm512_maskz_shuffle_i32x4(kAll, v[c], v[4 + c], 0x88),
                  b = _mm512_maskz_shuffle_i32x4(kAll, v[c], v[4 + c], 0xdd),
                  e = _mm512_maskz_shuffle_i32x4(kAll, v[8 + c], v[12 + c], 0x88),
                  f = _mm512_maskz_shuffle_i32x4(kAll, v[8 + c], v[12 + c], 0xdd);
    w[c] = _mm512_maskz_shuffle_i32x4(kAll, a, e, 0x88);
    w[8 + c] = _mm512_maskz_shuffle_i32x4(kAll, a, e, 0xdd);
    w[4 + c] = _mm512_maskz_shuffle_i32x4(kAll, b, f, 0x88);
    w[12 + c] = _mm512_maskz_shuffle_i32x4(kAll, b, f, 0xdd);
  }
  for (int i = 0; i < 16; ++i) v[i] = w[i];
}

}  // namespace graft::cpu::fast

#endif
