// y = x Wᵀ of a few rows straight from a sketch's codes, in fp32: T sums in registers for each of R rows of W. One or
// two rows of bf16 go by byte_tables.h with AVX2. Bytes: bits/8 an
// element of W and its tables, once; FLOPs 2·T·N·K.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/fast/sketch_few_rows.cpp"
#include <hwy/foreach_target.h>
// why: foreach_target includes this file again for each instruction set; it must come before what follows.
#include <algorithm>

#include "core/context.h"
#include "cpu/fast/byte_tables.h"
#include "cpu/fast/coded_weight.h"
#include "cpu/fast/sketch-inl.h"
#include "cpu/fast/sketch.h"
#include "cpu/fast/skinny.h"
#include "cpu/fast/visit.h"

HWY_BEFORE_NAMESPACE();
namespace graft::cpu::fast::HWY_NAMESPACE {

// acc[r][i] += vector q of row r's block · the same columns of x[i]. Not whole: a block of so many columns, whose
// filling has codes too, which may name an entry that is not finite.
template <int bits, int T, int R, bool whole, std::size_t q>
HWY_INLINE void add_vector(const SketchTable<bits> (&tables)[R], const std::uint8_t* const (&blocks)[R],
                           [[maybe_unused]] std::size_t columns, const float* x, std::int64_t pitch, VF (&acc)[R][T]) {
  const F d;
  VF values[R];
  for (int r = 0; r < R; ++r) values[r] = hn::BitCast(d, tables[r].at(codes_at<bits, q>(blocks[r])));
  if constexpr (!whole) {
    const auto real = hn::FirstN(d, std::clamp(columns, q * kLanes, (q + 1) * kLanes) - q * kLanes);
    for (int r = 0; r < R; ++r) values[r] = hn::IfThenElseZero(real, values[r]);
  }
  for (int i = 0; i < T; ++i) {
    const VF from = hn::LoadU(d, x + i * pitch + q * kLanes);
    for (int r = 0; r < R; ++r) acc[r][i] = hn::MulAdd(values[r], from, acc[r][i]);
  }
}

template <int bits, int T, int R, bool whole, std::size_t... q>
HWY_INLINE void add_block(const SketchTable<bits> (&tables)[R], const std::uint8_t* const (&blocks)[R],
                          std::size_t columns, const float* x, std::int64_t pitch, VF (&acc)[R][T],
                          std::index_sequence<q...>) {
  (add_vector<bits, T, R, whole, q>(tables, blocks, columns, x, pitch, acc), ...);
}

// sums[r·t + i] = W[n + r] · x[i] for i < t <= T
template <int bits, int T, int R>
HWY_INLINE void dot_rows(const graft_weight& w, const core::SketchLayout& layout, std::int64_t n, const float* x,
                         std::int64_t t, float* sums) {
  const F d;
  const std::int64_t padded = layout.blocks * core::kSketchBlock, pitch = layout.groups * padded;
  VF acc[R][T];
  for (int r = 0; r < R; ++r)
    for (int i = 0; i < T; ++i) acc[r][i] = hn::Zero(d);
  for (std::int64_t group = 0; group < layout.groups; ++group) {
    float held[R][core::kSketchEntries];
    SketchTable<bits> tables[R];
    for (int r = 0; r < R; ++r) tables[r] = SketchTable<bits>(table_of(w, n + r, group, held[r]));
    for (std::int64_t b = 0; b < layout.blocks; ++b) {
      const std::uint8_t* blocks[R];
      for (int r = 0; r < R; ++r) blocks[r] = layout.block(n + r, group, b);
      const float* from = x + group * padded + b * core::kSketchBlock;
      const std::int64_t left = layout.columns - b * core::kSketchBlock;
      left >= core::kSketchBlock
          ? add_block<bits, T, R, true>(tables, blocks, core::kSketchBlock, from, pitch, acc, EachVector())
          : add_block<bits, T, R, false>(tables, blocks, static_cast<std::size_t>(left), from, pitch, acc,
                                         EachVector());
    }
  }
  for (int r = 0; r < R; ++r)
    for (int i = 0; i < T; ++i)
      if (i < t) sums[r * t + i] = sum(d, acc[r][i]);
}

template <int bits, int T>
void dot_some(const graft_weight& w, std::int64_t n, std::int64_t rows, const float* x, std::int64_t t, float* sums) {
  // As many sums as fit the registers.
  constexpr int R = !kTableInVectors ? 1 : T == 1 ? 4 : (kLanes == 16 ? 16 : 8) / T;
  const core::SketchLayout layout(w);
  std::int64_t r = 0;
  for (; r + R <= rows; r += R) dot_rows<bits, T, R>(w, layout, n + r, x, t, sums + r * t);
  for (; r < rows; ++r) dot_rows<bits, T, 1>(w, layout, n + r, x, t, sums + r * t);
}

template <int bits>
void dots_of(const graft_weight& w, std::int64_t n, std::int64_t rows, const float* x, std::int64_t t, float* sums) {
  // why not 1 and 4 without a lookup in vectors: there is no time to win.
  constexpr int one = kTableInVectors ? 1 : 8, four = kTableInVectors ? 4 : 8;
  const auto dot = t == 1 ? dot_some<bits, one> : t <= 4 ? dot_some<bits, four> : dot_some<bits, 8>;
  dot(w, n, rows, x, t, sums);
}

void sketch_dots(const graft_weight& w, std::int64_t n, std::int64_t rows, const float* x, std::int64_t t,
                 float* sums) {
  static_assert(kFewRows == 8);
  const auto dot = w.table.shape[2] == 16 ? dots_of<4> : w.table.shape[2] == 8 ? dots_of<3> : dots_of<2>;
  dot(w, n, rows, x, t, sums);
}

}  // namespace graft::cpu::fast::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace graft::cpu::fast {
HWY_EXPORT(sketch_dots);

void few_rows_sketch(core::Context& context, const Matrix& x, const graft_weight& w, const Matrix& y, float beta,
                     const float* bias) {
  const core::SketchLayout layout(w);
  const std::int64_t t = x.rows, padded = layout.blocks * core::kSketchBlock, runs = t * layout.groups;
  core::Scratch scratch(context.arena);
  float* wide = scratch.take<float>(t * w.k);
  float* filled = scratch.take<float>(kFewRows * layout.groups * padded);
  convert(x, 1, row_major(wide, GRAFT_DTYPE_F32, t, w.k, w.k));
  // Each group is filled up to whole blocks, the rows to 1, 4 or 8.
  std::fill_n(filled, kFewRows * layout.groups * padded, 0.0f);
  for (std::int64_t i = 0; i < runs; ++i) std::copy_n(wide + i * layout.columns, layout.columns, filled + i * padded);
  WholeRows whole;
  if (layout.bits == 4 && by_byte_tables(x))
    whole = in_whole_numbers(scratch, filled, t, layout.groups * padded, Nibbles::kHalves);
  for_few_rows_parts(context, w.n, [&](std::int64_t first, std::int64_t count) {
    float sums[kFewRowsPart * kFewRows];
    if (whole.values == nullptr) {
      HWY_DYNAMIC_DISPATCH(sketch_dots)(w, first, count, filled, t, sums);
    } else {
      for (std::int64_t r = 0; r < count; ++r)
        if (!sketch_byte_tables(w, layout, first + r, whole, sums + r * t))
          HWY_DYNAMIC_DISPATCH(sketch_dots)(w, first + r, 1, filled, t, sums + r * t);
    }
    store_few_rows(sums, t, first, count, beta, bias, y);
  });
}

}  // namespace graft::cpu::fast
#endif
