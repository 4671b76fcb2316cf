// tdpbf16ps adds, for 16 by 16 sums at once, the products of 16 pairs of bf16. Two tiles of rows by two of columns are
// summed together over 16 words at a time. Operands are tiles as they lie; a transposed A is turned word by word once
// for all columns, and what hangs over an edge passes through a small copy with zeros.
#include <algorithm>
#include <cstring>

#include "cpu/fast/amx.h"
#include "cpu/fast/pairs_avx512.h"
#include "cpu/fast/tile_product.h"

#if defined(__x86_64__) && defined(__linux__)

namespace graft::cpu::fast {
namespace {

constexpr std::int64_t kBlocks = 8;  // of 16 words, whose A is prepared together

struct TileAt {
  const void* data;
  std::int64_t bytes;  // from row to row
};

struct Left {
  TileAt tiles[kBlocks][2];
  alignas(64) std::uint32_t copies[kBlocks][2][kTileWords];
};

__mmask16 first_lanes(std::int64_t n) { return static_cast<__mmask16>((1u << std::min(n, kSide)) - 1); }

// rows of A from row m on by the words [w, w + words), both at most 16.
GRAFT_BF16_TILES TileAt left_tile(const Operands<Pair>& p, std::int64_t m, std::int64_t rows, std::int64_t w,
                                  std::int64_t words, std::uint32_t* copy) {
  const Pair* from = p.a + m * p.am + w * p.ak;
  if (p.ak == 1 && rows == kSide && words == kSide) return {from, p.am * 4};
  __m512i lines[kSide];
  const bool turned = p.ak != 1;
  const std::int64_t count = turned ? words : rows, pitch = turned ? p.ak : p.am;
  const __mmask16 lanes = first_lanes(turned ? rows : words);
  for (std::int64_t i = 0; i < kSide; ++i)
    lines[i] = i < count ? _mm512_maskz_loadu_epi32(lanes, from + i * pitch) : _mm512_setzero_si512();
  if (turned) transpose16(lines);
  for (std::int64_t i = 0; i < kSide; ++i) _mm512_store_si512(copy + i * kSide, lines[i]);
  return {copy, kTileRowBytes};
}

// words of B from word w on by 16 columns, then zeros.
GRAFT_BF16_TILES TileAt right_tile(const Operands<Pair>& p, std::int64_t w, std::int64_t words, std::int64_t j,
                                   std::uint32_t* copy) {
  const Pair* from = p.b + w * p.ldb + j;
  if (words == kSide) return {from, p.ldb * 4};
  for (std::int64_t i = 0; i < kSide; ++i)
    _mm512_store_si512(copy + i * kSide, i < words ? _mm512_loadu_si512(from + i * p.ldb) : _mm512_setzero_si512());
  return {copy, kTileRowBytes};
}

// 16 columns of C, one tile of rows below the other; a tile that is not whole passes through the copy.
class Sums {
 public:
  GRAFT_BF16_TILES Sums(float* c, std::int64_t ldc, std::int64_t rows) : c_(c), ldc_(ldc), rows_(rows) {}

  GRAFT_BF16_TILES TileAt read() {
    if (rows_ == kSide) return {c_, ldc_ * 4};
    for (std::int64_t r = 0; r < kSide; ++r)
      _mm512_store_ps(copy_ + r * kSide, r < rows_ ? _mm512_loadu_ps(c_ + r * ldc_) : _mm512_setzero_ps());
    written();
    return {copy_, kTileRowBytes};
  }

  float* target() { return rows_ == kSide ? c_ : copy_; }
  std::int64_t bytes() const { return rows_ == kSide ? ldc_ * 4 : kTileRowBytes; }

  GRAFT_BF16_TILES void finish() {
    if (rows_ == kSide) return;
    written();
    for (std::int64_t r = 0; r < rows_; ++r) _mm512_storeu_ps(c_ + r * ldc_, _mm512_load_ps(copy_ + r * kSide));
  }

 private:
  float* c_;
  std::int64_t ldc_, rows_;
  alignas(64) float copy_[kTileWords];
};

template <int rows, int columns>
GRAFT_BF16_TILES void block(const Operands<Pair>& p, std::int64_t row_count, const Span& span, const Left& left,
                            std::int64_t j, bool accumulate) {
  Sums upper[2] = {{p.c + j, p.ldc, std::min(row_count, kSide)}, {p.c + j + kSide, p.ldc, std::min(row_count, kSide)}};
  float* lower_c = p.c + kSide * p.ldc + j;
  Sums lower[2] = {{lower_c, p.ldc, row_count - kSide}, {lower_c + kSide, p.ldc, row_count - kSide}};
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  if (accumulate) {
    const TileAt c0 = upper[0].read();
    _tile_loadd(0, c0.data, c0.bytes);
    if constexpr (columns == 2) {
      const TileAt c1 = upper[1].read();
      _tile_loadd(1, c1.data, c1.bytes);
    }
    if constexpr (rows == 2) {
      const TileAt c2 = lower[0].read();
      _tile_loadd(2, c2.data, c2.bytes);
    }
    if constexpr (rows == 2 && columns == 2) {
      const TileAt c3 = lower[1].read();
      _tile_loadd(3, c3.data, c3.bytes);
    }
  }
  alignas(64) std::uint32_t copies[2][kTileWords];
  for (std::int64_t w = span.first, n = 0; w < span.last; w += kSide, ++n) {
    const std::int64_t words = std::min(kSide, span.last - w);
    const TileAt b0 = right_tile(p, w, words, j, copies[0]);
    const TileAt b1 = columns == 2 ? right_tile(p, w, words, j + kSide, copies[1]) : b0;
    written();
    _tile_loadd(4, left.tiles[n][0].data, left.tiles[n][0].bytes);
    _tile_loadd(6, b0.data, b0.bytes);
    _tile_dpbf16ps(0, 4, 6);
    if constexpr (columns == 2) {
      _tile_loadd(7, b1.data, b1.bytes);
      _tile_dpbf16ps(1, 4, 7);
    }
    if constexpr (rows == 2) {
      _tile_loadd(5, left.tiles[n][1].data, left.tiles[n][1].bytes);
      _tile_dpbf16ps(2, 5, 6);
      if constexpr (columns == 2) _tile_dpbf16ps(3, 5, 7);
    }
  }
  _tile_stored(0, upper[0].target(), upper[0].bytes());
  if constexpr (columns == 2) _tile_stored(1, upper[1].target(), upper[1].bytes());
  if constexpr (rows == 2) _tile_stored(2, lower[0].target(), lower[0].bytes());
  if constexpr (rows == 2 && columns == 2) _tile_stored(3, lower[1].target(), lower[1].bytes());
  for (int q = 0; q < columns; ++q) {
    upper[q].finish();
    if (rows == 2) lower[q].finish();
  }
}

}  // namespace

GRAFT_BF16_TILES void product_in_tiles(std::int64_t rows, const Operands<Pair>& p, const Span& span) {
  Left left;
  Span part = span;
  do {
    part.last = std::min(span.last, part.first + kBlocks * kSide);
    for (std::int64_t w = part.first, n = 0; w < part.last; w += kSide, ++n) {
      const std::int64_t words = std::min(kSide, part.last - w);
      left.tiles[n][0] = left_tile(p, 0, std::min(rows, kSide), w, words, left.copies[n][0]);
      if (rows > kSide) left.tiles[n][1] = left_tile(p, kSide, rows - kSide, w, words, left.copies[n][1]);
    }
    const bool accumulate = p.accumulate || part.first != span.first;
    for (std::int64_t j = 0; j < span.columns; j += 2 * kSide) {
      const bool two = span.columns - j > kSide;
      if (rows > kSide) {
        (two ? block<2, 2> : block<2, 1>)(p, rows, part, left, j, accumulate);
      } else {
        (two ? block<1, 2> : block<1, 1>)(p, rows, part, left, j, accumulate);
      }
    }
    part.first = part.last;
  } while (part.first < span.last);
}

}  // namespace graft::cpu::fast

#else

namespace graft::cpu::fast {
void product_in_tiles(std::int64_t, const Operands<Pair>&, const Span&) {}
}  // namespace graft::cpu::fast

#endif
