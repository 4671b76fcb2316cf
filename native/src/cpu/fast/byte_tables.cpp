// Per block of 64 codes: 4 shuffles and 4 interleavings give four vectors of whole numbers, each for T products of 16
// pairs; their sums, exact in 32 bits, become fp32 once a block and are multiplied by its scale. Bytes: those of the
// codes, once. Rounding to whole numbers loses at most 2^-14 of the largest; where that is much of the others, what was
// lost is multiplied too: of x by block, of a sketch's table with all of its group.
#include "cpu/fast/byte_tables.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>
#include <cstring>

#include "core/error.h"
#include "cpu/fast/sketch.h"
#include "cpu/isa.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define GRAFT_AVX2 [[gnu::target("avx2,fma")]]
#define GRAFT_AVX2_INLINE GRAFT_AVX2 [[gnu::always_inline]] inline

namespace graft::cpu::fast {
namespace {

constexpr std::int64_t kBlock = 64;
static_assert(kBlock == core::kNf4Block && kBlock == core::kSketchBlock);

// why 14 bits: eight products of two such numbers, |a| <= 2^14 and |b| < 2^14, are below 2^31.
constexpr int kBits = 14;

// Of each half of a block, by its lower nibbles and its upper ones, number i is the code that the byte at
// 16·(i/8 mod 2) + 8·(i/16) + i mod 8 names: bytes are interleaved in halves of a vector.
constexpr std::array<std::uint8_t, kBlock> order_of(Nibbles nibbles) {
  std::array<std::uint8_t, kBlock> order{};
  for (int i = 0; i < kBlock; ++i) {
    const int upper = i / 32, byte = 16 * (i / 8 % 2) + 8 * (i / 16 % 2) + i % 8;
    order[static_cast<std::size_t>(i)] =
        static_cast<std::uint8_t>(nibbles == Nibbles::kHalves ? 32 * upper + byte : 2 * byte + 1 - upper);
  }
  return order;
}

constexpr int kLargestExponent = 60;
constexpr std::int64_t kPart = 512;    // blocks whose scales are found at once
constexpr std::int64_t kAhead = 2048;  // bytes of codes; the rows follow each other in memory
constexpr int kEntries = core::kSketchEntries;
constexpr std::int64_t kTables = 8;  // of a sketch's row, made at once

GRAFT_AVX2_INLINE float sum_of(__m256 v) {
  const __m128 four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

template <int count>
struct Floats {
  __m256 of[count / 8];
};

template <int count>
GRAFT_AVX2_INLINE Floats<count> of_floats(const float* values) {
  Floats<count> floats;
  for (int i = 0; i < count / 8; ++i) floats.of[i] = _mm256_loadu_ps(values + 8 * i);
  return floats;
}

template <bool most>
GRAFT_AVX2_INLINE __m128i extremes_of(__m128i a, __m128i b) {
  return most ? _mm_max_epu32(a, b) : _mm_min_epu32(a, b);
}

// The largest, or least, of eight whole numbers without a sign.
template <bool most>
GRAFT_AVX2_INLINE std::uint32_t extreme_of(__m256i v) {
  __m128i four = extremes_of<most>(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  four = extremes_of<most>(four, _mm_shuffle_epi32(four, 0x4e));
  return static_cast<std::uint32_t>(_mm_cvtsi128_si32(extremes_of<most>(four, _mm_shuffle_epi32(four, 0xb1))));
}

// A power of two and its inverse.
struct Scale {
  float scale, unit;  // unit 0: there is none
};

// By which the largest, of these bits, becomes 2^13 or more, below 2^14. None where it is not finite, or so large or
// small that sums of whole numbers times a unit could leave fp32 where products of the values do not.
GRAFT_AVX2_INLINE Scale scale_of(std::uint32_t largest) {
  const auto exponent = largest == 0 ? 127 + kBits - 1 : static_cast<std::int32_t>(largest >> 23);
  if (std::abs(exponent - 127) > kLargestExponent) return {0, 0};
  return {std::bit_cast<float>((2 * 127 + kBits - 1 - exponent) << 23),
          std::bit_cast<float>((exponent - kBits + 1) << 23)};
}

GRAFT_AVX2_INLINE __m256 size_of(__m256 v) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), v); }

// Whole numbers of 16 bits · a unit.
struct Whole {
  __m256i of[kBlock / 16];
  float unit;  // 0: no such numbers
};

// Each rounded to the nearest.
GRAFT_AVX2_INLINE Whole to_whole(const Floats<kBlock>& values) {
  __m256i top = _mm256_setzero_si256();
  for (const __m256 v : values.of) top = _mm256_max_epu32(top, (__m256i)size_of(v));
  const Scale by = scale_of(extreme_of<true>(top));
  const __m256 scale = _mm256_set1_ps(by.scale);
  Whole whole;
  for (int i = 0; i < kBlock / 16; ++i)
    whole.of[i] =
        _mm256_permute4x64_epi64(_mm256_packs_epi32(_mm256_cvtps_epi32(_mm256_mul_ps(values.of[2 * i], scale)),
                                                    _mm256_cvtps_epi32(_mm256_mul_ps(values.of[2 * i + 1], scale))),
                                 0xd8);
  whole.unit = by.unit;
  return whole;
}

// What rounding lost, exactly.
GRAFT_AVX2_INLINE Floats<kBlock> lost(const Floats<kBlock>& values, const Whole& whole) {
  Floats<kBlock> rest;
  for (int i = 0; i < kBlock / 8; ++i) {
    const __m128i words =
        i % 2 == 0 ? _mm256_castsi256_si128(whole.of[i / 2]) : _mm256_extracti128_si256(whole.of[i / 2], 1);
    const __m256 held = _mm256_cvtepi32_ps(_mm256_cvtepi16_epi32(words));
    rest.of[i] = _mm256_fnmadd_ps(held, _mm256_set1_ps(whole.unit), values.of[i]);
  }
  return rest;
}

// Whether a block of x lost at most 2^-9 of its sum, in which no element counts for more than 64 units: a large one,
// which may meet a weight of zero, excuses an eighth of a unit.
GRAFT_AVX2_INLINE bool holds(const Floats<kBlock>& values, const Floats<kBlock>& rest, float unit) {
  const __m256 most = _mm256_set1_ps(64 * unit);
  __m256 gone = _mm256_setzero_ps(), sums = gone;
  for (int i = 0; i < kBlock / 8; ++i) {
    gone = _mm256_add_ps(gone, size_of(rest.of[i]));
    sums = _mm256_add_ps(sums, _mm256_min_ps(size_of(values.of[i]), most));
  }
  return 512 * sum_of(gone) <= sum_of(sums);
}

// 16 entries as whole numbers · a unit.
struct Table {
  __m256i low, high;  // the numbers' bytes, twice
  float unit;         // 0: no such numbers
  bool again;         // an entry lost more than 2^-8 of itself, twice what rounding to bf16 may
};

// why the unit is no power of two: the least entry, which rounding would cost most, is a whole number.
GRAFT_AVX2_INLINE Table whole_table(Floats<kEntries> entries, Floats<kEntries>& rest) {
  const __m256 sizes[] = {size_of(entries.of[0]), size_of(entries.of[1])};
  Scale by = scale_of(extreme_of<true>(_mm256_max_epu32((__m256i)sizes[0], (__m256i)sizes[1])));
  // Less one, so that a zero is the largest.
  const __m256i less[] = {_mm256_add_epi32((__m256i)sizes[0], _mm256_set1_epi32(-1)),
                          _mm256_add_epi32((__m256i)sizes[1], _mm256_set1_epi32(-1))};
  const float least = std::bit_cast<float>(extreme_of<false>(_mm256_min_epu32(less[0], less[1])) + 1);
  const auto number = static_cast<float>(_mm_cvttss_si32(_mm_set_ss(least * by.scale)));
  if (number >= 1) by = {number / least, least / number};
  const __m256 scale = _mm256_set1_ps(by.scale), unit = _mm256_set1_ps(by.unit);
  __m256i numbers[2];
  __m256 over[2];
  for (int i = 0; i < 2; ++i) {
    numbers[i] = _mm256_cvtps_epi32(_mm256_mul_ps(entries.of[i], scale));
    rest.of[i] = _mm256_fnmadd_ps(_mm256_cvtepi32_ps(numbers[i]), unit, entries.of[i]);
    over[i] = _mm256_cmp_ps(_mm256_mul_ps(size_of(rest.of[i]), _mm256_set1_ps(256)), sizes[i], _CMP_GT_OQ);
  }
  // In each half of a vector: four low bytes of entries 0 to 7, four of 8 to 15, then the high ones.
  const __m256i apart = _mm256_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15, 0, 2, 4, 6, 8, 10, 12,
                                         14, 1, 3, 5, 7, 9, 11, 13, 15);
  const __m256i bytes = _mm256_shuffle_epi8(_mm256_packs_epi32(numbers[0], numbers[1]), apart);
  return {_mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 0, 4, 1, 5)),
          _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(2, 6, 3, 7, 2, 6, 3, 7)), by.unit,
          _mm256_movemask_ps(_mm256_or_ps(over[0], over[1])) != 0};
}

// The sums of two neighbouring products each: 16 whole numbers · x.
GRAFT_AVX2_INLINE __m256i pairs(__m256i whole, const std::int16_t* x) {
  return _mm256_madd_epi16(whole, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(x)));
}

// sum [T] += blocks of codes · x [blocks, T, 64] · scales [blocks, T].
template <int T>
GRAFT_AVX2_INLINE void add_blocks(const Table& table, const std::uint8_t* codes, const std::int16_t* x,
                                  const float* scales, std::int64_t blocks, __m256 (&sum)[T]) {
  const __m256i nibble = _mm256_set1_epi8(15);
  for (std::int64_t block = 0; block < blocks; ++block, codes += kBlock / 2, x += T * kBlock, scales += T) {
    _mm_prefetch(codes + kAhead, _MM_HINT_T0);
    const __m256i bytes = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes));
    const __m256i lower = _mm256_and_si256(bytes, nibble);
    const __m256i upper = _mm256_and_si256(_mm256_srli_epi16(bytes, 4), nibble);
    const __m256i low[] = {_mm256_shuffle_epi8(table.low, lower), _mm256_shuffle_epi8(table.low, upper)};
    const __m256i high[] = {_mm256_shuffle_epi8(table.high, lower), _mm256_shuffle_epi8(table.high, upper)};
    const __m256i whole[] = {_mm256_unpacklo_epi8(low[0], high[0]), _mm256_unpackhi_epi8(low[0], high[0]),
                             _mm256_unpacklo_epi8(low[1], high[1]), _mm256_unpackhi_epi8(low[1], high[1])};
    for (int t = 0; t < T; ++t) {
      const std::int16_t* row = x + t * kBlock;
      const __m256i first = _mm256_add_epi32(pairs(whole[0], row), pairs(whole[1], row + 16));
      const __m256i second = _mm256_add_epi32(pairs(whole[2], row + 32), pairs(whole[3], row + 48));
      const __m256 all = _mm256_cvtepi32_ps(_mm256_add_epi32(first, second));
      sum[t] = _mm256_fmadd_ps(all, _mm256_broadcast_ss(scales + t), sum[t]);
    }
  }
}

// scaled [blocks, T] = scales [blocks] · units [blocks, T].
template <int T>
GRAFT_AVX2_INLINE void multiply(const float* scales, const float* units, std::int64_t blocks, float* scaled) {
  for (std::int64_t i = 0; i < blocks; ++i)
    for (int t = 0; t < T; ++t) scaled[i * T + t] = scales[i] * units[i * T + t];
}

// sum [T] += blocks first.. of codes · x, with the second parts that x has there, · scales [blocks], or without scales.
template <int T>
GRAFT_AVX2_INLINE void add_range(const Table& table, const std::uint8_t* codes, const float* scales, std::int64_t first,
                                 std::int64_t blocks, const WholeRows& x, __m256 (&sum)[T]) {
  float scaled[kPart * T];
  const float* units = x.units + first * T;
  if (scales != nullptr) multiply<T>(scales, units, blocks, scaled), units = scaled;
  add_blocks(table, codes, x.values + first * T * kBlock, units, blocks, sum);
  if (x.seconds == 0) return;
  const std::int64_t* const end = x.again + x.seconds;
  for (const std::int64_t* at = std::lower_bound(x.again, end, first); at < end && *at < first + blocks; ++at) {
    const std::int64_t second = at - x.again, block = *at - first;
    units = x.second_units + second * T;
    if (scales != nullptr) multiply<T>(scales + block, units, 1, scaled), units = scaled;
    add_blocks(table, codes + block * (kBlock / 2), x.second_values + second * T * kBlock, units, 1, sum);
  }
}

template <int T>
GRAFT_AVX2 void nf4_rows(const graft_weight& w, const core::Nf4Scales& scales, std::int64_t n, std::int64_t count,
                         const WholeRows& x, float* out) {
  Floats<kEntries> rest;
  const Table table = whole_table(of_floats<kEntries>(core::kNf4Levels.data()), rest);
  const std::int64_t blocks = w.k / kBlock, rows = std::max<std::int64_t>(1, kPart / std::max<std::int64_t>(1, blocks));
  const auto codes = [&](std::int64_t block) {
    return static_cast<const std::uint8_t*>(w.storage.data) + (n * blocks + block) * (kBlock / 2);
  };
  std::fill_n(out, count * T, 0.0f);
  // why the scales of several rows at once: a row of a small model has so few that finding them took long.
  for (std::int64_t r = 0; r < count; r += rows)
    for (std::int64_t block = 0; block < blocks; block += kPart) {
      const std::int64_t some = std::min(rows, count - r), part = std::min(kPart, blocks - block);
      float found[kPart];
      scales.decode((n + r) * blocks + block, some * part, found);
      for (std::int64_t i = r; i < r + some; ++i) {
        __m256 sum[T];
        for (int t = 0; t < T; ++t) sum[t] = _mm256_setzero_ps();
        add_range(table, codes(i * blocks + block), found + (i - r) * part, block, part, x, sum);
        for (int t = 0; t < T; ++t) out[i * T + t] += sum_of(sum[t]) * table.unit;
      }
    }
}

// Those of a row's group.
GRAFT_AVX2_INLINE Floats<kEntries> entries_of(const graft_weight& w, std::int64_t n, std::int64_t group) {
  if (w.table.dtype != GRAFT_DTYPE_BF16) {
    float held[kEntries];
    return of_floats<kEntries>(table_of(w, n, group, held));
  }
  const auto* from = static_cast<const std::uint16_t*>(w.table.data) + (n * w.table.shape[1] + group) * kEntries;
  const __m256i words = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  return {(__m256)_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm256_castsi256_si128(words)), 16),
          (__m256)_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm256_extracti128_si256(words, 1)), 16)};
}

// total [T] += a row's group whose codes mean these whole numbers · x.
template <int T>
GRAFT_AVX2_INLINE void add_group(const Table& table, const std::uint8_t* codes, std::int64_t first, std::int64_t blocks,
                                 const WholeRows& x, __m256 (&total)[T]) {
  __m256 sum[T];
  for (int t = 0; t < T; ++t) sum[t] = _mm256_setzero_ps();
  add_range(table, codes, nullptr, first, blocks, x, sum);
  for (int t = 0; t < T; ++t) total[t] = _mm256_fmadd_ps(sum[t], _mm256_set1_ps(table.unit), total[t]);
}

template <int T>
GRAFT_AVX2 bool sketch_row(const graft_weight& w, const core::SketchLayout& layout, std::int64_t n, const WholeRows& x,
                           float* out) {
  __m256 total[T];
  for (int t = 0; t < T; ++t) total[t] = _mm256_setzero_ps();
  // why tables before products: a table hangs on its largest entry for longer than the processor looks ahead.
  Table tables[kTables];
  for (std::int64_t group = 0; group < layout.groups; group += kTables) {
    const std::int64_t some = std::min(kTables, layout.groups - group);
    Floats<kEntries> rest;
    for (std::int64_t i = 0; i < some; ++i) tables[i] = whole_table(entries_of(w, n, group + i), rest);
    for (std::int64_t i = group; i < group + some; ++i) {
      const Table& table = tables[i - group];
      if (table.unit == 0) return false;
      add_group(table, layout.block(n, i, 0), i * layout.blocks, layout.blocks, x, total);
      if (!table.again) continue;
      whole_table(entries_of(w, n, i), rest);
      const Table second = whole_table(rest, rest);
      if (second.unit == 0) return false;
      add_group(second, layout.block(n, i, 0), i * layout.blocks, layout.blocks, x, total);
    }
  }
  for (int t = 0; t < T; ++t) out[t] = sum_of(total[t]);
  return true;
}

GRAFT_AVX2_INLINE void store_in_order(const Whole& whole, Nibbles nibbles, std::int16_t* to) {
  static constexpr auto kNeighbours = order_of(Nibbles::kNeighbours), kHalves = order_of(Nibbles::kHalves);
  const auto& order = nibbles == Nibbles::kHalves ? kHalves : kNeighbours;
  std::int16_t words[kBlock];
  std::memcpy(words, whole.of, sizeof words);
  for (std::size_t i = 0; i < kBlock; ++i) to[i] = words[order[i]];
}

}  // namespace

bool by_byte_tables(const Matrix& x) {
  static const bool serves = allowed(core::Isa::kAvx2) && __builtin_cpu_supports("avx2") != 0 &&
                             __builtin_cpu_supports("fma") != 0 &&
                             !(allowed(core::Isa::kAvx512) && __builtin_cpu_supports("avx512bw") != 0);
  return serves && x.dtype == GRAFT_DTYPE_BF16 && x.rows <= kByteTableRows;
}

GRAFT_AVX2 WholeRows in_whole_numbers(core::Scratch& scratch, const float* from, std::int64_t rows,
                                      std::int64_t columns, Nibbles nibbles) {
  const std::int64_t blocks = columns / kBlock;
  auto* values = scratch.take<std::int16_t>(2 * rows * columns);
  float* units = scratch.take<float>(2 * rows * blocks);
  auto* again = scratch.take<std::int64_t>(blocks);
  std::int16_t* second_values = values + rows * columns;
  float* second_units = units + rows * blocks;
  std::int64_t seconds = 0;
  for (std::int64_t block = 0; block < blocks; ++block) {
    const float* row = from + block * kBlock;
    bool held = true;
    for (std::int64_t t = 0; t < rows; ++t) {
      const auto floats = of_floats<kBlock>(row + t * columns);
      const auto whole = to_whole(floats);
      if (whole.unit == 0) return {};
      held = held && holds(floats, lost(floats, whole), whole.unit);
      units[block * rows + t] = whole.unit;
      store_in_order(whole, nibbles, values + (block * rows + t) * kBlock);
    }
    for (std::int64_t t = 0; t < rows && !held; ++t) {
      const auto floats = of_floats<kBlock>(row + t * columns);
      const auto second = to_whole(lost(floats, to_whole(floats)));
      if (second.unit == 0) return {};
      second_units[seconds * rows + t] = second.unit;
      store_in_order(second, nibbles, second_values + (seconds * rows + t) * kBlock);
    }
    if (!held) again[seconds++] = block;
  }
  return {values, units, again, second_values, second_units, rows, seconds};
}

void nf4_byte_tables(const graft_weight& w, const core::Nf4Scales& scales, std::int64_t n, std::int64_t count,
                     const WholeRows& x, float* out) {
  (x.rows == 1 ? nf4_rows<1> : nf4_rows<2>)(w, scales, n, count, x, out);
}

bool sketch_byte_tables(const graft_weight& w, const core::SketchLayout& layout, std::int64_t n, const WholeRows& x,
                        float* out) {
  return (x.rows == 1 ? sketch_row<1> : sketch_row<2>)(w, layout, n, x, out);
}

}  // namespace graft::cpu::fast

#else

namespace graft::cpu::fast {

bool by_byte_tables(const Matrix&) { return false; }

WholeRows in_whole_numbers(core::Scratch&, const float*, std::int64_t, std::int64_t, Nibbles) { return {}; }

void nf4_byte_tables(const graft_weight&, const core::Nf4Scales&, std::int64_t, std::int64_t, const WholeRows&,
                     float*) {
  core::fail(GRAFT_INTERNAL, "this processor has no shuffles of bytes");
}

bool sketch_byte_tables(const graft_weight&, const core::SketchLayout&, std::int64_t, const WholeRows&, float*) {
  core::fail(GRAFT_INTERNAL, "this processor has no shuffles of bytes");
}

}  // namespace graft::cpu::fast
#endif
