// y = x Wᵀ of a few rows of bf16 from NF4 codes, on processors that multiply pairs of bf16 into fp32 (AVX-512 BF16):
// twice the rate of fp32, which 8 rows need to stay below the time of reading the codes. A block's levels are rounded
// to bf16 once they are scaled. Per block of a row of W: 9 instructions to decode,
// 2·T products. Bytes: as nf4_few_rows.cpp.
#include <algorithm>

#include "core/error.h"
#include "core/nf4.h"
#include "cpu/fast/coded_weight.h"
#include "cpu/fast/nf4.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define GRAFT_BF16_PAIRS [[gnu::target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")]]

namespace graft::cpu::fast {
namespace {

constexpr std::int64_t kBlock = core::kNf4Block;
constexpr std::int64_t kPart = 16;  // blocks of a part: x of 8 rows stays in the first cache while rows go over it
constexpr std::int64_t kRowsAhead = 8;

struct Rows {
  const std::uint8_t* codes;
  const core::Nf4Scales* scales;
  std::int64_t blocks;  // of a row
};

// acc [R, T] += one block of R rows of W · x: first R times 32 even and 32 odd elements, then each row of x once.
template <int T, int R>
GRAFT_BF16_PAIRS [[gnu::always_inline]] inline void add_block(const std::uint8_t* codes, std::int64_t pitch,
                                                              const float* scales, __m512 levels,
                                                              const std::uint16_t* x, __m512 (&acc)[R][T]) {
  __m512bh even[R], odd[R];
  for (int r = 0; r < R; ++r) {
    const auto* bytes = reinterpret_cast<const __m256i*>(codes + r * pitch);
    // A level is the upper half of a lane, its number 2·code + 1; what rounds it is half of the last place.
    const __m512i scaled = (__m512i)_mm512_mul_ps(levels, _mm512_set1_ps(scales[r * kPart]));
    const __m512i table = _mm512_add_epi32(scaled, _mm512_set1_epi32(0x8000));
    const __m512i pairs = _mm512_cvtepu8_epi16(_mm256_loadu_si256(bytes));
    // why: the parts of rows lie too far apart for the processor to fetch them ahead.
    _mm_prefetch(reinterpret_cast<const char*>(bytes) + kRowsAhead * pitch, _MM_HINT_T0);
    const __m512i one = _mm512_set1_epi16(1);  // the instruction looks at 5 bits of an index
    even[r] = (__m512bh)_mm512_permutexvar_epi16(_mm512_or_si512(_mm512_srli_epi16(pairs, 3), one), table);
    odd[r] = (__m512bh)_mm512_permutexvar_epi16(_mm512_or_si512(_mm512_slli_epi16(pairs, 1), one), table);
  }
  for (int t = 0; t < T; ++t) {
    __m512bh x_even = (__m512bh)_mm512_loadu_si512(x + t * kBlock);
    __m512bh x_odd = (__m512bh)_mm512_loadu_si512(x + t * kBlock + kBlock / 2);
    asm("" : "+v"(x_even), "+v"(x_odd));  // why: GCC would load them again for each row of W
    for (int r = 0; r < R; ++r) {
      acc[r][t] = _mm512_dpbf16_ps(acc[r][t], even[r], x_even);
      acc[r][t] = _mm512_dpbf16_ps(acc[r][t], odd[r], x_odd);
    }
  }
}

// sums [R, T] of vectors += W[n + r] · x[t] over one part.
template <int T, int R>
GRAFT_BF16_PAIRS inline void add_rows(const Rows& w, std::int64_t n, std::int64_t first, std::int64_t last,
                                      const std::uint16_t* x, float* sums) {
  float scales[R * kPart];  // why ahead: the products would wait for them, and fill the processor's queue
  for (int r = 0; r < R; ++r)
    for (std::int64_t i = 0; i < last - first; ++i) scales[r * kPart + i] = (*w.scales)[(n + r) * w.blocks + first + i];
  const __m512 levels = _mm512_loadu_ps(core::kNf4Levels.data());
  __m512 acc[R][T];
  for (int r = 0; r < R; ++r)
    for (int t = 0; t < T; ++t) acc[r][t] = _mm512_loadu_ps(sums + (r * T + t) * 16);
  const std::int64_t pitch = w.blocks * (kBlock / 2);
  for (std::int64_t block = first; block < last; ++block)
    add_block<T, R>(w.codes + n * pitch + block * (kBlock / 2), pitch, scales + (block - first), levels,
                    x + block * kBlock * T, acc);
  for (int r = 0; r < R; ++r)
    for (int t = 0; t < T; ++t) _mm512_storeu_ps(sums + (r * T + t) * 16, acc[r][t]);
}

// out[i] = the 16 lanes of vector i, added up.
GRAFT_BF16_PAIRS void sum_lanes(const float* vectors, std::int64_t count, float* out) {
  for (std::int64_t i = 0; i < count; ++i) {
    const float* lanes = vectors + i * 16;
    const __m256 eight = _mm256_add_ps(_mm256_loadu_ps(lanes), _mm256_loadu_ps(lanes + 8));
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    out[i] = _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
  }
}

// out [rows, T]
template <int T>
void dots(const Rows& w, std::int64_t n, std::int64_t rows, const std::uint16_t* x, float* out) {
  constexpr int R = T <= 4 ? 4 : 2;
  float sums[kFewRowsPart * T * 16];
  std::fill_n(sums, rows * T * 16, 0.0f);
  for (std::int64_t first = 0; first < w.blocks; first += kPart) {
    const std::int64_t last = std::min(w.blocks, first + kPart);
    std::int64_t r = 0;
    for (; r + R <= rows; r += R) add_rows<T, R>(w, n + r, first, last, x, sums + r * T * 16);
    for (; r < rows; ++r) add_rows<T, 1>(w, n + r, first, last, x, sums + r * T * 16);
  }
  sum_lanes(sums, rows * T, out);
}

}  // namespace

void few_rows_pairs(const graft_weight& w, const core::Nf4Scales& scales, std::int64_t n, std::int64_t rows,
                    const std::uint16_t* x, std::int64_t t, float* out) {
  const Rows all{static_cast<const std::uint8_t*>(w.storage.data), &scales, w.k / kBlock};
  static_assert(kFewRows == 8);
  switch (t) {
    case 1:
      return dots<1>(all, n, rows, x, out);
    case 2:
      return dots<2>(all, n, rows, x, out);
    case 3:
      return dots<3>(all, n, rows, x, out);
    case 4:
      return dots<4>(all, n, rows, x, out);
    case 5:
      return dots<5>(all, n, rows, x, out);
    case 6:
      return dots<6>(all, n, rows, x, out);
    case 7:
      return dots<7>(all, n, rows, x, out);
    default:
      return dots<8>(all, n, rows, x, out);
  }
}

}  // namespace graft::cpu::fast

#else

namespace graft::cpu::fast {

void few_rows_pairs(const graft_weight&, const core::Nf4Scales&, std::int64_t, std::int64_t, const std::uint16_t*,
                    std::int64_t, float*) {
  core::fail(GRAFT_INTERNAL, "this processor has no pairs of bf16");
}

}  // namespace graft::cpu::fast

#endif
