// outer_sum keeps 8 rows of the result by two vectors in registers while it walks down a strip of m that stays in the
// first-level cache for all ranks: per row of m 2 loads, 8 broadcasts and 16 multiply-adds. rank_update keeps 4 rows by
// two vectors. Both are bound by the multiply-adds: 2·r FLOPs per element of m.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/fast/skinny.cpp"
#include <hwy/foreach_target.h>
// why: foreach_target includes this file again for each instruction set; it must come before what follows.
#include <algorithm>

#include "core/context.h"
#include "cpu/fast/simd-inl.h"
#include "cpu/fast/skinny.h"
#include "cpu/fast/skinny_bf16.h"
#include "cpu/fast/visit.h"

HWY_BEFORE_NAMESPACE();
namespace graft::cpu::fast::HWY_NAMESPACE {

// Lanes from column i on that are kept.
HWY_INLINE VF kept(F d, VF v, const std::uint8_t* bits, std::int64_t i) {
  if (bits == nullptr) return v;
  if (hn::Lanes(d) >= 8) return hn::IfThenElseZero(hn::LoadMaskBits(d, bits + i / 8), v);
  const std::uint8_t part[8] = {static_cast<std::uint8_t>(bits[i / 8] >> (i % 8))};
  return hn::IfThenElseZero(hn::LoadMaskBits(d, part), v);
}

template <int J, int V, bool masked, class T>
HWY_INLINE void outer_block(const float* s, std::int64_t rank, std::int64_t rows, const T* m, std::int64_t m_pitch,
                            Keep keep, std::int64_t i, std::int64_t n, float factor, float* sums, std::int64_t pitch) {
  const F d;
  const std::int64_t lanes = static_cast<std::int64_t>(hn::Lanes(d));
  VF acc[J][V];
  for (int j = 0; j < J; ++j)
    for (int v = 0; v < V; ++v) acc[j][v] = hn::Zero(d);
  for (std::int64_t t = 0; t < rows; ++t) {
    const T* row = m + t * m_pitch + i;
    VF value[V];
    for (int v = 0; v < V; ++v) {
      value[v] = V == 1 ? at(d, row, n) : load(d, row + v * lanes);
      if (masked) value[v] = kept(d, value[v], keep.bits + t * keep.pitch, i + v * lanes);
    }
    for (int j = 0; j < J; ++j) {
      const VF factor_j = hn::Set(d, s[t * rank + j]);
      for (int v = 0; v < V; ++v) acc[j][v] = hn::MulAdd(factor_j, value[v], acc[j][v]);
    }
  }
  for (int j = 0; j < J; ++j)
    for (int v = 0; v < V; ++v) {
      float* out = sums + j * pitch + i + v * lanes;
      const std::int64_t count = V == 1 ? n : lanes;
      put(d, hn::MulAdd(acc[j][v], hn::Set(d, factor), at(d, out, count)), out, count);
    }
}

// All ranks of n columns of m: V vectors, or the part of one.
template <int V, bool masked, class T>
HWY_INLINE void outer_strip(const float* s, std::int64_t rank, std::int64_t rows, const T* m, std::int64_t m_pitch,
                            Keep keep, std::int64_t i, std::int64_t n, float factor, float* sums, std::int64_t pitch) {
  const auto block = [&](auto ranks, std::int64_t j) {
    outer_block<decltype(ranks)::value, V, masked>(s + j, rank, rows, m, m_pitch, keep, i, n, factor, sums + j * pitch,
                                                   pitch);
  };
  std::int64_t j = 0;
  for (; j + 8 <= rank; j += 8) block(std::integral_constant<int, 8>{}, j);
  for (; j + 2 <= rank; j += 2) block(std::integral_constant<int, 2>{}, j);
  for (; j < rank; ++j) block(std::integral_constant<int, 1>{}, j);
}

template <bool masked, class T>
HWY_INLINE void outer_strips(const float* s, std::int64_t rank, const Matrix& m, Keep keep, float factor, float* sums,
                             std::int64_t pitch) {
  constexpr std::int64_t kRows = 128;
  const std::int64_t lanes = static_cast<std::int64_t>(hn::Lanes(F()));
  for (std::int64_t first = 0; first < m.rows; first += kRows) {
    const std::int64_t rows = std::min(kRows, m.rows - first);
    const T* data = static_cast<const T*>(m.data) + first * m.row_stride;
    const Keep here{masked ? keep.bits + first * keep.pitch : nullptr, keep.pitch};
    const float* factors = s + first * rank;
    std::int64_t i = 0;
    for (; i + 2 * lanes <= m.columns; i += 2 * lanes)
      outer_strip<2, masked>(factors, rank, rows, data, m.row_stride, here, i, 0, factor, sums, pitch);
    for (; i < m.columns; i += lanes)
      outer_strip<1, masked>(factors, rank, rows, data, m.row_stride, here, i, std::min(lanes, m.columns - i), factor,
                             sums, pitch);
  }
}

void outer(const float* s, std::int64_t rank, const Matrix& m, Keep keep, float factor, float* sums,
           std::int64_t pitch) {
  visit_small_float(m.dtype, [&](auto tag) {
    using T = decltype(tag);
    if (keep.bits == nullptr) {
      outer_strips<false, T>(s, rank, m, keep, factor, sums, pitch);
    } else {
      outer_strips<true, T>(s, rank, m, keep, factor, sums, pitch);
    }
  });
}

// 4 rows of x by 4 of a in registers, where there are 32: per vector of columns 8 loads and 16 multiply-adds.
template <int R, int J, class T>
HWY_INLINE void product_block(const T* x, std::int64_t x_pitch, Keep keep, const float* a, std::int64_t a_pitch,
                              std::int64_t columns, float factor, float* out, std::int64_t rank) {
  const F d;
  VF acc[R][J];
  for (int t = 0; t < R; ++t)
    for (int j = 0; j < J; ++j) acc[t][j] = hn::Zero(d);
  for_lanes(d, columns, [&](std::int64_t i, std::int64_t n) {
    VF row[R];
    for (int t = 0; t < R; ++t)
      row[t] = kept(d, at(d, x + t * x_pitch + i, n), keep.bits == nullptr ? nullptr : keep.bits + t * keep.pitch, i);
    for (int j = 0; j < J; ++j) {
      const VF other = at(d, a + j * a_pitch + i, n);
      for (int t = 0; t < R; ++t) acc[t][j] = hn::MulAdd(row[t], other, acc[t][j]);
    }
  });
  for (int t = 0; t < R; ++t)
    for (int j = 0; j < J; ++j) out[t * rank + j] = factor * sum(d, acc[t][j]);
}

void products(const Matrix& x, Keep keep, const Matrix& a, float factor, float* out) {
  visit_small_float(x.dtype, [&](auto tag) {
    using T = decltype(tag);
    const auto* other = static_cast<const float*>(a.data);
    const auto rows = [&](auto count, std::int64_t t) {
      constexpr int R = decltype(count)::value;
      const T* from = static_cast<const T*>(x.data) + t * x.row_stride;
      const Keep here{keep.bits == nullptr ? nullptr : keep.bits + t * keep.pitch, keep.pitch};
      std::int64_t j = 0;
      for (; HWY_TARGET <= HWY_AVX3 && j + 4 <= a.rows; j += 4)
        product_block<R, 4>(from, x.row_stride, here, other + j * a.row_stride, a.row_stride, x.columns, factor,
                            out + t * a.rows + j, a.rows);
      for (; j + 2 <= a.rows; j += 2)
        product_block<R, 2>(from, x.row_stride, here, other + j * a.row_stride, a.row_stride, x.columns, factor,
                            out + t * a.rows + j, a.rows);
      for (; j < a.rows; ++j)
        product_block<R, 1>(from, x.row_stride, here, other + j * a.row_stride, a.row_stride, x.columns, factor,
                            out + t * a.rows + j, a.rows);
    };
    std::int64_t t = 0;
    for (; t + 4 <= x.rows; t += 4) rows(std::integral_constant<int, 4>{}, t);
    for (; t < x.rows; ++t) rows(std::integral_constant<int, 1>{}, t);
  });
}

template <int R, int V, class T>
HWY_INLINE void update_block(const float* s, std::int64_t rank, const float* a, std::int64_t a_pitch, Keep keep,
                             float factor, const T* base, std::int64_t base_pitch, T* out, std::int64_t out_pitch,
                             std::int64_t i, std::int64_t n) {
  const F d;
  const std::int64_t lanes = static_cast<std::int64_t>(hn::Lanes(d));
  VF acc[R][V];
  for (int t = 0; t < R; ++t)
    for (int v = 0; v < V; ++v) acc[t][v] = hn::Zero(d);
  for (std::int64_t j = 0; j < rank; ++j) {
    VF row[V];
    for (int v = 0; v < V; ++v) {
      const float* from = a + j * a_pitch + i + v * lanes;
      row[v] = V == 1 ? at(d, from, n) : load(d, from);
    }
    for (int t = 0; t < R; ++t) {
      const VF factor_t = hn::Set(d, s[t * rank + j]);
      for (int v = 0; v < V; ++v) acc[t][v] = hn::MulAdd(factor_t, row[v], acc[t][v]);
    }
  }
  for (int t = 0; t < R; ++t)
    for (int v = 0; v < V; ++v) {
      const std::int64_t count = V == 1 ? n : lanes, at_column = i + v * lanes;
      const VF low = kept(d, acc[t][v], keep.bits == nullptr ? nullptr : keep.bits + t * keep.pitch, at_column);
      const VF before = at(d, base + t * base_pitch + at_column, count);
      put(d, hn::MulAdd(low, hn::Set(d, factor), before), out + t * out_pitch + at_column, count);
    }
}

template <int R, class T>
HWY_INLINE void update_rows(const float* s, std::int64_t rank, const float* a, std::int64_t a_pitch, Keep keep,
                            float factor, const T* base, std::int64_t base_pitch, T* out, std::int64_t out_pitch,
                            std::int64_t columns) {
  const std::int64_t lanes = static_cast<std::int64_t>(hn::Lanes(F()));
  std::int64_t i = 0;
  for (; i + 2 * lanes <= columns; i += 2 * lanes)
    update_block<R, 2>(s, rank, a, a_pitch, keep, factor, base, base_pitch, out, out_pitch, i, 0);
  for (; i < columns; i += lanes)
    update_block<R, 1>(s, rank, a, a_pitch, keep, factor, base, base_pitch, out, out_pitch, i,
                       std::min(lanes, columns - i));
}

void update(const float* s, std::int64_t rank, const float* a, std::int64_t a_pitch, Keep keep, float factor,
            const Matrix& base, const Matrix& out) {
  visit_small_float(out.dtype, [&](auto tag) {
    using T = decltype(tag);
    const auto rows = [&](auto count, std::int64_t t) {
      Keep here = keep;
      if (here.bits != nullptr) here.bits += t * keep.pitch;
      update_rows<decltype(count)::value>(s + t * rank, rank, a, a_pitch, here, factor,
                                          static_cast<const T*>(base.data) + t * base.row_stride, base.row_stride,
                                          static_cast<T*>(out.data) + t * out.row_stride, out.row_stride, out.columns);
    };
    std::int64_t t = 0;
    for (; t + 4 <= out.rows; t += 4) rows(std::integral_constant<int, 4>{}, t);
    for (; t < out.rows; ++t) rows(std::integral_constant<int, 1>{}, t);
  });
}

void scaled(const Matrix& from, float scale, const Matrix& to) {
  const F d;
  const VF factor = hn::Set(d, scale);
  visit_small_float(from.dtype, [&](auto from_tag) {
    visit_small_float(to.dtype, [&](auto to_tag) {
      using From = decltype(from_tag);
      using To = decltype(to_tag);
      for (std::int64_t t = 0; t < to.rows; ++t) {
        const From* source = static_cast<const From*>(from.data) + t * from.row_stride;
        To* target = static_cast<To*>(to.data) + t * to.row_stride;
        for_lanes(d, to.columns, [&](std::int64_t i, std::int64_t n) {
          put(d, hn::Mul(at(d, source + i, n), factor), target + i, n);
        });
      }
    });
  });
}

void down_columns(const Matrix& m, float* sums) {
  const F d;
  visit_small_float(m.dtype, [&](auto tag) {
    using T = decltype(tag);
    for_lanes(d, m.columns, [&](std::int64_t i, std::int64_t n) {
      VF sum = hn::Zero(d);
      for (std::int64_t t = 0; t < m.rows; ++t)
        sum = hn::Add(sum, at(d, static_cast<const T*>(m.data) + t * m.row_stride + i, n));
      put(d, hn::Add(sum, at(d, sums + i, n)), sums + i, n);
    });
  });
}

}  // namespace graft::cpu::fast::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace graft::cpu::fast {
HWY_EXPORT(outer);
HWY_EXPORT(products);
HWY_EXPORT(update);
HWY_EXPORT(scaled);
HWY_EXPORT(down_columns);

void outer_sum(const Narrow& s, const Matrix& m, Keep keep, float factor, float* sums, std::int64_t pitch) {
  if (s.rank == 0) return;
  if (s.pairs != nullptr) return outer_sum_bf16(s, m, keep, factor, sums, pitch);
  HWY_DYNAMIC_DISPATCH(outer)(s.values, s.rank, m, keep, factor, sums, pitch);
}

PackedRows packed_rows(core::Scratch& scratch, const Matrix& a) {
  if (a.dtype != GRAFT_DTYPE_BF16) return {a, nullptr};
  auto* tiles = scratch.take<std::uint32_t>(tile_words(a.rows, a.columns));
  pack_tiles(a, tiles);
  return {a, tiles};
}

void row_products(const Matrix& x, Keep keep, const PackedRows& a, float factor, float* out) {
  if (a.tiles != nullptr) return row_products_bf16(x, keep, a, factor, out);
  HWY_DYNAMIC_DISPATCH(products)(x, keep, a.rows, factor, out);
}

void rank_update(const float* s, std::int64_t rank, const float* a, std::int64_t a_pitch, Keep keep, float factor,
                 const Matrix& base, const Matrix& out) {
  HWY_DYNAMIC_DISPATCH(update)(s, rank, a, a_pitch, keep, factor, base, out);
}

void convert(const Matrix& from, float scale, const Matrix& to) { HWY_DYNAMIC_DISPATCH(scaled)(from, scale, to); }

const float* bias_of(core::Scratch& scratch, const graft_tensor* bias) {
  if (bias == nullptr) return nullptr;
  const std::int64_t n = bias->shape[0];
  float* to = scratch.take<float>(n);
  convert(row_major(bias->data, bias->dtype, 1, n, n), 1, row_major(to, GRAFT_DTYPE_F32, 1, n, n));
  return to;
}

void column_sums(core::Context& context, const Matrix& m, float* sums) {
  constexpr std::int64_t columns = 256;
  core::parallel_for(context, chunks_of(m.columns, columns), [&](std::int64_t chunk, int) {
    const std::int64_t first = chunk * columns;
    HWY_DYNAMIC_DISPATCH(down_columns)
    (m.part(0, first, m.rows, std::min(columns, m.columns - first)), sums + first);
  });
}

}  // namespace graft::cpu::fast
#endif
