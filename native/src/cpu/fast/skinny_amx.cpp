// tdpbf16ps adds, for 16 by 16 sums at once, the products of 16 pairs of bf16.
// row_products: x's rows are tiles as they lie in memory; 32 rows by up to 32 of a stand in four tiles of sums.
// outer_sum: 64 rows of m by 256 columns are interleaved in pairs of rows into tiles, which meet up to 32 rows of the
// sums. What is masked by dropout or hangs over an edge passes through a small copy with zeros. Subnormal bf16 values
// count as zero, as in the library's GEMM.
#include "cpu/fast/skinny_amx.h"

#include <algorithm>
#include <cstring>

#include "cpu/fast/pairs_avx512.h"

#if defined(__x86_64__) && defined(__linux__)
namespace graft::cpu::fast {
namespace {

constexpr std::int64_t kRows = 2 * kSide;  // of x in two tiles

using Source = Strips<kRows>;

std::int64_t tiles_of(std::int64_t n, std::int64_t side) { return (n + side - 1) / side; }

template <bool two>
GRAFT_BF16_TILES inline void store_sums(float (&sums)[4][kTileWords]) {
  _tile_stored(0, sums[0], kTileRowBytes);
  _tile_stored(1, sums[1], kTileRowBytes);
  if constexpr (two) {
    _tile_stored(2, sums[2], kTileRowBytes);
    _tile_stored(3, sums[3], kTileRowBytes);
  }
}

// 32 rows of x by 16 or 32 of a.
template <bool two>
GRAFT_BF16_TILES void row_block(Source& x, std::int64_t t, std::int64_t columns, const std::uint32_t* tiles,
                                std::int64_t step, float (&sums)[4][kTileWords]) {
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (std::int64_t i = 0; i < columns; i += kStrip, tiles += step) {
    const auto rows = x.at(t, i);
    written();
    const std::int64_t bytes = rows.pitch * 2;
    _tile_loadd(4, rows.data, bytes);
    _tile_loadd(5, rows.data + kSide * rows.pitch, bytes);
    _tile_loadd(6, tiles, kTileRowBytes);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 5, 6);
    if constexpr (two) {
      _tile_loadd(7, tiles + kTileWords, kTileRowBytes);
      _tile_dpbf16ps(2, 4, 7);
      _tile_dpbf16ps(3, 5, 7);
    }
  }
  store_sums<two>(sums);
}

constexpr std::int64_t kStrips = 8;  // of 32 columns, interleaved together: long enough runs of a row
constexpr std::int64_t kBlocks = 2;  // of 32 rows: these tiles stay in the first-level cache

// The strips of rows t to t + 63, interleaved in pairs of rows.
struct Interleaves {
  struct Strip {
    std::uint32_t tiles[kBlocks][2][kTileWords];
    std::uint32_t gap[16];  // why: else the strips fall into the same sets of the cache
  } strips[kStrips];
};

template <bool whole>
GRAFT_BF16_TILES void interleave_rows(const Source& m, std::int64_t rows, std::int64_t t, std::int64_t first,
                                      std::int64_t columns, Interleaves& tiles) {
  for (std::int64_t p = 0; p < kBlocks * kSide; ++p) {
    const std::int64_t even = t + 2 * p, odd = even + 1;
    for (std::int64_t strip = 0; whole ? strip < kStrips : strip * kStrip < columns; ++strip) {
      const std::int64_t i = first + strip * kStrip, n = std::min(kStrip, first + columns - i);
      m.fetch(even + kBlocks * kStrip, i);
      m.fetch(odd + kBlocks * kStrip, i);
      const Interleaved both = whole ? interleave(m.whole_row(even, i), m.whole_row(odd, i))
                                     : interleave(even < rows ? m.row(even, i, n) : _mm512_setzero_si512(),
                                                  odd < rows ? m.row(odd, i, n) : _mm512_setzero_si512());
      auto& to = tiles.strips[strip].tiles[p / kSide];
      _mm512_store_si512(to[0] + p % kSide * kSide, both.low);
      _mm512_store_si512(to[1] + p % kSide * kSide, both.high);
    }
  }
  written();
}

// sums of 16 or 32 ranks by 32 columns += the products of 64 rows.
template <bool two>
GRAFT_BF16_TILES void outer_block(const std::uint32_t* pairs, std::int64_t step, std::int64_t blocks,
                                  const std::uint32_t (&tiles)[kBlocks][2][kTileWords], float (&sums)[4][kTileWords]) {
  _tile_loadd(0, sums[0], kTileRowBytes);
  _tile_loadd(1, sums[1], kTileRowBytes);
  if constexpr (two) {
    _tile_loadd(2, sums[2], kTileRowBytes);
    _tile_loadd(3, sums[3], kTileRowBytes);
  }
  for (std::int64_t b = 0; b < blocks; ++b, pairs += step) {
    _tile_loadd(4, tiles[b][0], kTileRowBytes);
    _tile_loadd(5, tiles[b][1], kTileRowBytes);
    _tile_loadd(6, pairs, kTileRowBytes);
    _tile_dpbf16ps(0, 6, 4);
    _tile_dpbf16ps(1, 6, 5);
    if constexpr (two) {
      _tile_loadd(7, pairs + kTileWords, kTileRowBytes);
      _tile_dpbf16ps(2, 7, 4);
      _tile_dpbf16ps(3, 7, 5);
    }
  }
  store_sums<two>(sums);
}

}  // namespace

GRAFT_BF16_TILES void row_products_tiles(const Matrix& x, Keep keep, const std::uint32_t* tiles, std::int64_t rank,
                                         float factor, float* out) {
  const WholeTiles whole;
  Source source(x, keep);
  alignas(64) float sums[4][kTileWords];
  const std::int64_t step = tiles_of(rank, kSide) * kTileWords;
  for (std::int64_t t = 0; t < x.rows; t += kRows)
    for (std::int64_t j = 0; j < rank; j += 2 * kSide) {
      const bool two = rank - j > kSide;
      (two ? row_block<true> : row_block<false>)(source, t, x.columns, tiles + j * kSide, step, sums);
      for (std::int64_t r = 0; r < std::min(kRows, x.rows - t); ++r)
        for (std::int64_t q = 0; q < (two ? 2 : 1); ++q) {
          const std::int64_t first = j + q * kSide, n = std::min(kSide, rank - first);
          const __m512 row = _mm512_load_ps(sums[q * 2 + r / kSide] + r % kSide * kSide);
          _mm512_mask_storeu_ps(out + (t + r) * rank + first, static_cast<__mmask16>((1u << n) - 1),
                                _mm512_mul_ps(_mm512_set1_ps(factor), row));
        }
    }
}

GRAFT_BF16_TILES void outer_sum_tiles(const Narrow& s, const Matrix& m, Keep keep, float factor, float* sums,
                                      std::int64_t pitch) {
  const WholeTiles whole;
  const Source source(m, keep);
  const std::int64_t step = pair_words(kPairedRows, s.rank);
  alignas(64) Interleaves tiles;
  alignas(64) float strips[kStrips][4][kTileWords];
  for (std::int64_t first = 0; first < m.columns; first += kStrips * kStrip) {
    const std::int64_t columns = std::min(kStrips * kStrip, m.columns - first);
    for (std::int64_t j = 0; j < s.rank; j += 2 * kSide) {
      const std::int64_t ranks = std::min(2 * kSide, s.rank - j);
      std::memset(strips, 0, sizeof(strips));
      for (std::int64_t t = 0; t < m.rows; t += kBlocks * kStrip) {
        const bool all = keep.bits == nullptr && columns == kStrips * kStrip && m.rows - t >= kBlocks * kStrip;
        (all ? interleave_rows<true> : interleave_rows<false>)(source, m.rows, t, first, columns, tiles);
        const std::uint32_t* pairs = s.pairs + t / kStrip * step + j * kSide;
        const std::int64_t blocks = std::min(kBlocks, tiles_of(m.rows - t, kStrip));
        for (std::int64_t strip = 0; strip * kStrip < columns; ++strip)
          (ranks > kSide ? outer_block<true> : outer_block<false>)(pairs, step, blocks, tiles.strips[strip].tiles,
                                                                   strips[strip]);
      }
      for (std::int64_t q = 0; q < ranks; ++q)
        for (std::int64_t i = 0; i < columns; i += kStrip) {
          const float* row = strips[i / kStrip][q / kSide * 2] + q % kSide * kSide;
          add_interleaved(_mm512_load_ps(row), _mm512_load_ps(row + kTileWords), factor, columns - i,
                          sums + (j + q) * pitch + first + i);
        }
    }
  }
}

}  // namespace graft::cpu::fast

#else

namespace graft::cpu::fast {

void row_products_tiles(const Matrix&, Keep, const std::uint32_t*, std::int64_t, float, float*) {}
void outer_sum_tiles(const Narrow&, const Matrix&, Keep, float, float*, std::int64_t) {}

}  // namespace graft::cpu::fast

#endif
