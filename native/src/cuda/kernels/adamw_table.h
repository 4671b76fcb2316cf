// A table of parameters that one launch of adamw moves. It goes by value into the kernel's own parameters, 32 KiB of
// constant memory: nothing is copied to the device before, and work that a graph keeps has it. A launch's blocks are
// shared out to the entries in order, and a block finds its entry by halving. A single step is a table of one.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "core/tensor_check.h"
#include "cuda/device.h"
#include "cuda/kernels/adamw_factors.h"
#include "cuda/kernels/indices.h"
#include "cuda/kernels/stochastic.h"
#include "cuda/kernels/tensor.h"
#include "ops/adamw.h"

namespace graft::cuda {

inline constexpr std::size_t kParameterBytes = 32764;  // of a kernel, from compute capability 7.0 on

/** The elements of a tensor without gaps, or of a matrix with a pitch. */
struct Shape {
  std::int64_t columns, count;
  GRAFT_DEVICE std::int64_t at(std::int64_t i, std::int64_t pitch) const { return i / columns * pitch + i % columns; }
};

inline Shape shape_of(const graft_tensor& t) {
  const std::int64_t count = core::elements(t);
  return {std::max<std::int64_t>(t.rank == 2 ? t.shape[1] : count, 1), count};
}

inline std::int64_t pitch(const graft_tensor* t) { return t != nullptr && t->rank == 2 ? t->stride[0] : 0; }

/** Entries that know the first of their blocks. */
template <class Entry, int Capacity>
struct Table {
  Entry entries[Capacity];
  std::int32_t count;
  std::int32_t blocks;

  /** Of the calling block. */
  GRAFT_DEVICE int find() const {
    int first = 0, last = Capacity == 1 ? 0 : count - 1;
    while (first < last) {
      const int middle = (first + last + 1) / 2;
      const auto block = static_cast<std::int32_t>(blockIdx.x) - (GRAFT_BUG(adamw_table_search) ? 1 : 0);
      const bool before = entries[middle].first_block <= block;
      if (before) first = middle;
      if (!before) last = middle - 1;
    }
    return first;
  }
  /** `of`: blocks that the entry wants. */
  void add(const Entry& entry, std::int64_t of) {
    entries[count] = entry;
    entries[count++].first_block = blocks;
    blocks += static_cast<std::int32_t>(of);
  }
  bool full() const { return count == Capacity; }
};

/** Moments in fp32. */
struct WideMoments {
  float *m, *v;
  std::int64_t m_pitch, v_pitch;
};

/** A parameter. master NULL: `copy` is bf16 and all there is; original not NULL: copy is a weight, whose columns it
 * goes into; copy NULL: there is only the master. */
template <class Moments, class Out>
struct Entry {
  const float* g;
  Moments moments;
  float* master;
  Out* copy;
  const Out* original;
  std::int64_t g_pitch, master_pitch, copy_pitch, original_pitch;
  Indices indices;
  Shape shape;
  std::uint64_t seed;
  float scale, keep, rate;
  std::int32_t first_block;

  /** Element i of the entry that belongs to the calling thread. */
  GRAFT_DEVICE std::int64_t element() const {
    return static_cast<std::int64_t>(blockIdx.x - first_block) * blockDim.x + threadIdx.x;
  }
  /** Moves element i and its moments. */
  GRAFT_DEVICE void move(const ops::AdamWFactors<float>& f, float clip, std::int64_t i, float& m, float& v) const {
    const float gradient = clip * g[shape.at(i, g_pitch)];
    m = fmaf(f.beta1, m, f.rest1 * gradient);
    v = fmaf(f.beta2, v, f.rest2 * gradient * gradient);
    const Moved<Out> p{master == nullptr ? nullptr : master + shape.at(i, master_pitch),
                       copy == nullptr || original != nullptr ? nullptr : copy + shape.at(i, copy_pitch)};
    const float moved = fmaf(f.keep, p.value(), -(f.rate * m / fmaf(f.root, sqrtf(v), f.eps)));
    p.set(moved, seed, i);
    if (original == nullptr) return;
    const std::int64_t row = i / shape.columns, column = i % shape.columns, k = indices.at(column);
    const float before = to_float(original[row * original_pitch + (GRAFT_BUG(adamw_table_column) ? k : column)]);
    if (k >= 0) copy[row * copy_pitch + k] = from_float<Out>(fmaf(scale, moved, before));
  }
};

/** The dtype of what is written beside the master, f32 where nothing is. */
inline graft_dtype copied_dtype(const ops::AdamWStep& a, const graft_weight* w) {
  if (w != nullptr) return w->storage.dtype;
  return a.rounds_at_random() ? GRAFT_DTYPE_BF16 : a.p_out == nullptr ? GRAFT_DTYPE_F32 : a.p_out->dtype;
}

/** columns: NULL, or what p goes into. */
template <class Out, class Moments>
Entry<Moments, Out> entry_of(const ops::AdamWStep& a, const Moments& moments, const ops::PacaWrite* columns) {
  const bool alone = a.rounds_at_random();
  const graft_tensor *master = alone ? nullptr : a.p, *copy = alone ? a.p : a.p_out;
  const ops::AdamWFactors<float> factors = unclipped_factors(a);
  Entry<Moments, Out> entry{data<const float>(a.g),
                            moments,
                            data<float>(master),
                            data<Out>(copy),
                            nullptr,
                            pitch(a.g),
                            pitch(master),
                            pitch(copy),
                            0,
                            {},
                            shape_of(*a.p),
                            a.seed,
                            0,
                            factors.keep,
                            factors.rate,
                            0};
  if (columns == nullptr) return entry;
  const graft_tensor w = core::dense_matrix(*columns->w);
  entry.copy = data<Out>(&w), entry.copy_pitch = w.stride[0];
  entry.original = data<const Out>(columns->original), entry.original_pitch = columns->original->stride[0];
  entry.indices = {columns->indices->data, columns->indices->dtype == GRAFT_DTYPE_I64, columns->w->k,
                   columns->indices->shape[0]};
  entry.scale = static_cast<float>(columns->scale);
  return entry;
}

/** Calls flush(table, rates) with tables of those parameters whose step is a Step, each with parameters of one dtype;
 * moments_of(step): their Moments; per_block: elements of a block. */
template <class Step, int Capacity, class MomentsOf, class Flush>
void for_tables(const ops::AdamWSteps& a, std::int64_t per_block, MomentsOf&& moments_of, Flush&& flush) {
  for (const graft_dtype dtype : {GRAFT_DTYPE_F32, GRAFT_DTYPE_BF16, GRAFT_DTYPE_F16})
    visit(dtype, [&](auto type) {
      using Out = decltype(type);
      using Moments = decltype(moments_of(std::declval<const Step&>()));
      Table<Entry<Moments, Out>, Capacity> table{};
      Rates rates{};
      const auto add = [&](const Step& step, std::int64_t i) {
        const graft_weight* w = a.parameters[i].w;
        if (copied_dtype(step, w) != dtype || core::elements(*step.p) == 0) return;
        const ops::PacaWrite columns = a.columns(i);
        rates.add(step);
        table.add(entry_of<Out>(step, moments_of(step), w == nullptr ? nullptr : &columns),
                  ceil_div(core::elements(*step.p), per_block));
        if (!table.full()) return;
        flush(table, rates);
        table.count = table.blocks = rates.count = 0;
      };
      for (std::int64_t i = 0; i < a.count; ++i)
        a.visit(i, [&](const auto& step) {
          if constexpr (std::is_same_v<std::decay_t<decltype(step)>, Step>) add(step, i);
        });
      if (table.count > 0) flush(table, rates);
    });
}

}  // namespace graft::cuda
