// Per block of 64 codes: 4 shuffles, 4 interleavings and 8 shifts or masks give eight vectors of floats, each for T
// multiply-adds; the scale of an NF4 block multiplies its sum. Bytes: those of the codes, once.
#include "cpu/fast/byte_tables.h"

#include <utility>

#include "core/error.h"
#include "cpu/fast/sketch.h"
#include "cpu/fast/skinny_bf16.h"
#include "cpu/isa.h"

namespace graft::cpu::fast {

namespace {
constexpr std::int64_t kBlock = 64;
static_assert(kBlock == core::kNf4Block && kBlock == core::kSketchBlock);
}  // namespace

void order_for_byte_tables(const float* from, std::int64_t rows, std::int64_t columns, Nibbles nibbles, float* to) {
  // Of each half of a block, by its lower nibbles and its upper ones, vector v holds in lane i what the byte at
  // 16·(i/4) + 8·(v/2) + 2·(i%4) + v%2 names: bytes are interleaved in halves of a vector.
  std::uint8_t order[kBlock];
  for (int i = 0; i < kBlock; ++i) {
    const int upper = i / 32, vector = i / 8 % 4, lane = i % 8;
    const int byte = 16 * (lane / 4) + 8 * (vector / 2) + 2 * (lane % 4) + vector % 2;
    order[i] = static_cast<std::uint8_t>(nibbles == Nibbles::kHalves ? 32 * upper + byte : 2 * byte + 1 - upper);
  }
  for (std::int64_t block = 0; block < columns; block += kBlock)
    for (std::int64_t t = 0; t < rows; ++t)
      for (std::int64_t i = 0; i < kBlock; ++i)
        to[block * rows + t * kBlock + i] = from[t * columns + block + order[i]];
}

}  // namespace graft::cpu::fast

#if defined(__x86_64__)
#include <immintrin.h>

#define GRAFT_AVX2 [[gnu::target("avx2,fma")]]
#define GRAFT_AVX2_INLINE GRAFT_AVX2 [[gnu::always_inline]] inline

namespace graft::cpu::fast {
namespace {

struct Bytes {
  __m256i low, high;  // of 16 values, twice
};

// 8 values rounded to bf16, each in the lower half of its lane; NaN stays NaN.
GRAFT_AVX2_INLINE __m256i rounded(const float* values) {
  const __m256 v = _mm256_loadu_ps(values);
  const __m256i bits = (__m256i)v, cut = _mm256_srli_epi32(bits, 16);
  const __m256i half = _mm256_add_epi32(_mm256_and_si256(cut, _mm256_set1_epi32(1)), _mm256_set1_epi32(0x7fff));
  const __m256i nearest = _mm256_srli_epi32(_mm256_add_epi32(bits, half), 16);
  const __m256i quiet = _mm256_or_si256(cut, _mm256_set1_epi32(0x40));
  return _mm256_blendv_epi8(nearest, quiet, (__m256i)_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
}

GRAFT_AVX2_INLINE Bytes bytes_of(const float* values) {
  const __m256i words = _mm256_permute4x64_epi64(_mm256_packus_epi32(rounded(values), rounded(values + 8)), 0xd8);
  const __m256i low = _mm256_and_si256(words, _mm256_set1_epi16(0xff)), high = _mm256_srli_epi16(words, 8);
  return {_mm256_permute4x64_epi64(_mm256_packus_epi16(low, low), 0x88),
          _mm256_permute4x64_epi64(_mm256_packus_epi16(high, high), 0x88)};
}

// sum [T] += the values of 32 codes, a byte each, · x [T] (kBlock apart).
template <int T>
GRAFT_AVX2_INLINE void add_half(const Bytes& table, __m256i codes, const float* x, __m256 (&sum)[T]) {
  const __m256i low = _mm256_shuffle_epi8(table.low, codes), high = _mm256_shuffle_epi8(table.high, codes);
  const __m256i first = _mm256_unpacklo_epi8(low, high), second = _mm256_unpackhi_epi8(low, high);
  const __m256i upper = _mm256_set1_epi32(static_cast<int>(0xffff0000u));
  const __m256 values[] = {(__m256)_mm256_slli_epi32(first, 16), (__m256)_mm256_and_si256(first, upper),
                           (__m256)_mm256_slli_epi32(second, 16), (__m256)_mm256_and_si256(second, upper)};
  for (int t = 0; t < T; ++t)
    for (int v = 0; v < 4; ++v) sum[t] = _mm256_fmadd_ps(values[v], _mm256_loadu_ps(x + t * kBlock + v * 8), sum[t]);
}

// lower, upper [T] += one block of codes · x [T].
template <int T>
GRAFT_AVX2_INLINE void add_block(const Bytes& table, const std::uint8_t* codes, const float* x, __m256 (&lower)[T],
                                 __m256 (&upper)[T]) {
  const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes)), nibble = _mm256_set1_epi8(15);
  add_half(table, _mm256_and_si256(bytes, nibble), x, lower);
  add_half(table, _mm256_and_si256(_mm256_srli_epi16(bytes, 4), nibble), x + kBlock / 2, upper);
}

GRAFT_AVX2_INLINE float sum_of(__m256 v) {
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

template <int T>
GRAFT_AVX2 void nf4_rows(const graft_weight& w, const core::Nf4Scales& scales, std::int64_t n, std::int64_t count,
                         const float* x, float* out) {
  const Bytes table = bytes_of(core::kNf4Levels.data());
  const std::int64_t blocks = w.k / kBlock;
  for (std::int64_t r = 0; r < count; ++r) {
    const std::int64_t first = (n + r) * blocks;
    const std::uint8_t* codes = static_cast<const std::uint8_t*>(w.storage.data) + first * (kBlock / 2);
    __m256 sum[T];
    for (int t = 0; t < T; ++t) sum[t] = _mm256_setzero_ps();
    for (std::int64_t block = 0; block < blocks; ++block) {
      __m256 lower[T], upper[T];
      for (int t = 0; t < T; ++t) lower[t] = upper[t] = _mm256_setzero_ps();
      add_block(table, codes + block * (kBlock / 2), x + block * kBlock * T, lower, upper);
      const __m256 scale = _mm256_set1_ps(scales[first + block]);
      for (int t = 0; t < T; ++t) sum[t] = _mm256_fmadd_ps(_mm256_add_ps(lower[t], upper[t]), scale, sum[t]);
    }
    for (int t = 0; t < T; ++t) out[r * T + t] = sum_of(sum[t]);
  }
}

template <int T>
GRAFT_AVX2 void sketch_rows(const graft_weight& w, std::int64_t n, std::int64_t count, const float* x, float* out) {
  const core::SketchLayout layout(w);
  for (std::int64_t r = 0; r < count; ++r) {
    __m256 lower[T], upper[T];
    for (int t = 0; t < T; ++t) lower[t] = upper[t] = _mm256_setzero_ps();
    for (std::int64_t group = 0; group < layout.groups; ++group) {
      float held[core::kSketchEntries];
      const Bytes table = bytes_of(table_of(w, n + r, group, held));
      for (std::int64_t block = 0; block < layout.blocks; ++block)
        add_block(table, layout.block(n + r, group, block), x + (group * layout.blocks + block) * kBlock * T, lower,
                  upper);
    }
    for (int t = 0; t < T; ++t) out[r * T + t] = sum_of(_mm256_add_ps(lower[t], upper[t]));
  }
}

}  // namespace

bool by_byte_tables(const Matrix& x) {
  static const bool serves = allowed(core::Isa::kAvx2) && __builtin_cpu_supports("avx2") != 0 &&
                             __builtin_cpu_supports("fma") != 0 &&
                             !(allowed(core::Isa::kAvx512) && __builtin_cpu_supports("avx512bw") != 0);
  return serves && x.dtype == GRAFT_DTYPE_BF16 && x.rows <= kByteTableRows;
}

void nf4_byte_tables(const graft_weight& w, const core::Nf4Scales& scales, std::int64_t n, std::int64_t count,
                     const float* x, std::int64_t rows, float* out) {
  (rows == 1 ? nf4_rows<1> : nf4_rows<2>)(w, scales, n, count, x, out);
}

void sketch_byte_tables(const graft_weight& w, std::int64_t n, std::int64_t count, const float* x, std::int64_t rows,
                        float* out) {
  (rows == 1 ? sketch_rows<1> : sketch_rows<2>)(w, n, count, x, out);
}

}  // namespace graft::cpu::fast

#else

namespace graft::cpu::fast {

bool by_byte_tables(const Matrix&) { return false; }

void nf4_byte_tables(const graft_weight&, const core::Nf4Scales&, std::int64_t, std::int64_t, const float*,
                     std::int64_t, float*) {
  core::fail(GRAFT_INTERNAL, "this processor has no shuffles of bytes");
}

void sketch_byte_tables(const graft_weight&, std::int64_t, std::int64_t, const float*, std::int64_t, float*) {
  core::fail(GRAFT_INTERNAL, "this processor has no shuffles of bytes");
}

}  // namespace graft::cpu::fast
#endif
