// y = x Wᵀ of a few rows straight from NF4 codes: T·R sums in registers for R rows of W. x lies in fp32, block by
// block, even and odd elements apart, as the nibbles give them; W is taken in parts of columns for which x is in cache.
// Bytes: 0.5 and a scale's 1/64 (double quantised) an element of W, once; FLOPs 2·T·N·K.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/fast/nf4_few_rows.cpp"
#include <hwy/foreach_target.h>
// why: foreach_target includes this file again for each instruction set; it must come before what follows.
#include <algorithm>
#include <utility>

#include "core/context.h"
#include "cpu/fast/byte_tables.h"
#include "cpu/fast/coded_weight.h"
#include "cpu/fast/nf4-inl.h"
#include "cpu/fast/nf4.h"
#include "cpu/fast/skinny.h"
#include "cpu/fast/skinny_bf16.h"
#include "cpu/fast/visit.h"

#ifndef GRAFT_NF4_FEW_ROWS
#define GRAFT_NF4_FEW_ROWS
namespace graft::cpu::fast {
inline constexpr std::int64_t kPartBytes = 16384;
}  // namespace graft::cpu::fast
#endif

HWY_BEFORE_NAMESPACE();
namespace graft::cpu::fast::HWY_NAMESPACE {

constexpr std::int64_t kBlock = core::kNf4Block;

// One block of one row of x becomes `apart`: of each 2·Lanes elements first the even ones, then the odd ones.
void even_and_odd(const float* x, float* apart) {
  const F d;
  const std::int64_t lanes = static_cast<std::int64_t>(hn::Lanes(d));
  for (std::int64_t i = 0; i < kBlock; i += 2 * lanes) {
    const Pair pair = load_in_turn(x + i);
    hn::StoreU(pair.even, d, apart + i);
    hn::StoreU(pair.odd, d, apart + i + lanes);
  }
}

// acc [T] += one block of W · that block of x.
template <int T>
HWY_INLINE void add_block(const std::uint8_t* bytes, float scale, const float* x, VF (&acc)[T]) {
  const F d;
  const Levels<> levels(scale, false);
  constexpr std::int64_t lanes = static_cast<std::int64_t>(kLanes);
  for (std::int64_t i = 0; i < kBlock / 2; i += lanes) {
    const Pair pair = levels.of(bytes + i);
    for (int t = 0; t < T; ++t) {
      acc[t] = hn::MulAdd(pair.even, hn::LoadU(d, x + t * kBlock + 2 * i), acc[t]);
      acc[t] = hn::MulAdd(pair.odd, hn::LoadU(d, x + t * kBlock + 2 * i + lanes), acc[t]);
    }
  }
}

// sums [R, T] of vectors += W[n + r] · x[t] over some blocks. why no loop over r: compilers leave one of this size
// rolled, and then its sums are in memory.
template <int T, std::size_t... r>
HWY_INLINE void dot_rows(const graft_weight& w, const core::Nf4Scales& scales, std::int64_t n, std::int64_t first,
                         std::int64_t last, const float* x, float* sums, std::index_sequence<r...>) {
  const F d;
  const std::int64_t blocks = w.k / kBlock;
  const auto* codes = static_cast<const std::uint8_t*>(w.storage.data);
  constexpr std::size_t R = sizeof...(r);
  VF acc[R][T];
  for (std::size_t i = 0; i < R * T; ++i) acc[i / T][i % T] = hn::LoadU(d, sums + i * kLanes);
  for (std::int64_t block = first; block < last; ++block) {
    const std::int64_t at[] = {(n + static_cast<std::int64_t>(r)) * blocks + block...};
    (add_block<T>(codes + at[r] * (kBlock / 2), scales[at[r]], x + block * kBlock * T, acc[r]), ...);
  }
  for (std::size_t i = 0; i < R * T; ++i) hn::StoreU(acc[i / T][i % T], d, sums + i * kLanes);
}

// out [rows, T] of W's rows n...
template <int T>
void dot_some(const graft_weight& w, const core::Nf4Scales& scales, std::int64_t n, std::int64_t rows, const float* x,
              float* out) {
  constexpr int R = T <= 2 ? 4 : kLanes == 16 ? (T <= 4 ? 4 : 2) : T <= 4 ? 2 : 1;
  // why: as many blocks as let x stay in the first cache while all rows go over it.
  constexpr std::int64_t step = kPartBytes / (T * kBlock * static_cast<std::int64_t>(sizeof(float)));
  const F d;
  const std::int64_t lanes = static_cast<std::int64_t>(hn::Lanes(d)), blocks = w.k / kBlock;
  float sums[kFewRowsPart * T * kLanes];
  std::fill_n(sums, rows * T * lanes, 0.0f);
  for (std::int64_t first = 0; first < blocks; first += step) {
    const std::int64_t last = std::min(blocks, first + step);
    std::int64_t r = 0;
    for (; r + R <= rows; r += R)
      dot_rows<T>(w, scales, n + r, first, last, x, sums + r * T * lanes, std::make_index_sequence<R>());
    for (; r < rows; ++r)
      dot_rows<T>(w, scales, n + r, first, last, x, sums + r * T * lanes, std::make_index_sequence<1>());
  }
  for (std::int64_t i = 0; i < rows * T; ++i) out[i] = sum(d, hn::LoadU(d, sums + i * lanes));
}

void dots(const graft_weight& w, const core::Nf4Scales& scales, std::int64_t n, std::int64_t rows, const float* x,
          std::int64_t t, float* sums) {
  static_assert(kFewRows == 8);
  switch (t) {
    case 1:
      return dot_some<1>(w, scales, n, rows, x, sums);
    case 2:
      return dot_some<2>(w, scales, n, rows, x, sums);
    case 3:
      return dot_some<3>(w, scales, n, rows, x, sums);
    case 4:
      return dot_some<4>(w, scales, n, rows, x, sums);
    case 5:
      return dot_some<5>(w, scales, n, rows, x, sums);
    case 6:
      return dot_some<6>(w, scales, n, rows, x, sums);
    case 7:
      return dot_some<7>(w, scales, n, rows, x, sums);
    case 8:
      return dot_some<8>(w, scales, n, rows, x, sums);
  }
}

}  // namespace graft::cpu::fast::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace graft::cpu::fast {
HWY_EXPORT(even_and_odd);
HWY_EXPORT(dots);

std::string refuse_few_rows_nf4(const graft_weight& w) {
  return w.k % core::kNf4Block == 0 ? "" : "rows of " + std::to_string(w.k) + " elements end within a block";
}

namespace {

// x by blocks of 64 columns, of each all rows, and of each row first the even elements, then the odd ones.
const std::uint16_t* paired(core::Scratch& scratch, const Matrix& x) {
  constexpr std::int64_t size = core::kNf4Block, half = size / 2;
  const std::int64_t blocks = x.columns / size;
  auto* to = scratch.take<std::uint16_t>(x.rows * x.columns);
  for (std::int64_t block = 0; block < blocks; ++block)
    for (std::int64_t t = 0; t < x.rows; ++t) {
      const auto* from = static_cast<const std::uint16_t*>(x.data) + t * x.row_stride + block * size;
      std::uint16_t* out = to + (block * x.rows + t) * size;
      for (std::int64_t i = 0; i < half; ++i) out[i] = from[2 * i], out[half + i] = from[2 * i + 1];
    }
  return to;
}

// x in fp32 by blocks of 64 columns, of each all rows, even and odd elements apart.
const float* apart(const float* x, std::int64_t rows, std::int64_t columns, float* to) {
  constexpr std::int64_t size = core::kNf4Block;
  for (std::int64_t block = 0; block < columns / size; ++block)
    for (std::int64_t t = 0; t < rows; ++t)
      HWY_DYNAMIC_DISPATCH(even_and_odd)(x + t * columns + block * size, to + (block * rows + t) * size);
  return to;
}

}  // namespace

void few_rows_nf4(core::Context& context, const Matrix& x, const graft_weight& w, const Matrix& y, float beta,
                  const float* bias) {
  core::Scratch scratch(context.arena);
  const std::int64_t rows = x.rows;
  const core::Nf4Scales scales(w);
  const std::uint16_t* narrow = nullptr;
  const float* wide = nullptr;
  WholeRows whole;
  if (x.dtype == GRAFT_DTYPE_BF16 && has_bf16_pairs()) {
    narrow = paired(scratch, x);
  } else {
    float* floats = scratch.take<float>(rows * w.k);
    float* ordered = scratch.take<float>(rows * w.k);
    convert(x, 1, row_major(floats, GRAFT_DTYPE_F32, rows, w.k, w.k));
    if (by_byte_tables(x)) whole = in_whole_numbers(scratch, floats, rows, w.k, Nibbles::kNeighbours);
    if (whole.values == nullptr) wide = apart(floats, rows, w.k, ordered);
  }
  for_few_rows_parts(context, w.n, [&](std::int64_t first, std::int64_t count) {
    float sums[kFewRowsPart * kFewRows];
    if (narrow != nullptr) {
      few_rows_pairs(w, scales, first, count, narrow, rows, sums);
    } else if (whole.values != nullptr) {
      nf4_byte_tables(w, scales, first, count, whole, sums);
    } else {
      HWY_DYNAMIC_DISPATCH(dots)(w, scales, first, count, wide, rows, sums);
    }
    store_few_rows(sums, rows, first, count, beta, bias, y);
  });
}

}  // namespace graft::cpu::fast
#endif
