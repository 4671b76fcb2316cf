// sparse. The gradient is a dot product over the rows of dy and x for each chosen entry, and so both are transposed, a
// block of rows at a time, that the products run along memory: x by all threads into one panel, which stays in the
// second cache and serves all entries, and dy by the task that has the entries, 32 columns at a time, into its first
// cache. Four entries of one row of W share the loads of dy. Tasks are runs of entries; an entry belongs to one task.
// FLOPs 2·T·nnz. Bytes: x and dy once each, and per entry T elements of the panel from the second cache; scratch:
// 512 bytes for each column of x, and 48 KiB for each thread.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/fast/sparse.cpp"
#include <hwy/foreach_target.h>
// why: foreach_target includes this file again for each instruction set; it must come before what follows.
#include "core/context.h"
#include "core/tensor_check.h"
#include "cpu/fast/skinny_bf16.h"
#include "cpu/fast/tile_pack-inl.h"
#include "cpu/fast/visit.h"
#include "cpu/gemm/gemm.h"
#include "ops/sparse.h"

HWY_BEFORE_NAMESPACE();
namespace graft::cpu::fast::HWY_NAMESPACE {

constexpr std::int64_t kBlockWords = 128;  // of a column: 128 rows, or 256 where words are pairs
constexpr std::int64_t kTaskEntries = 4096;
constexpr std::int64_t kPackColumns = 64;   // of x that are transposed at once
constexpr std::int64_t kGroupColumns = 32;  // the same of dy

/** to[c][kBlockWords] = the words along the rows of m's column c; zeros up to `words`. through: kBlockWords rows of
 * `padded` words, as many as to has columns. */
template <class T, class Word>
HWY_INLINE void pack_columns(const Matrix& m, std::int64_t words, std::int64_t padded, Word* through, Word* to) {
  pack_down(static_cast<const T*>(m.data), m.row_stride, m.rows, m.columns, through, padded);
  const std::int64_t filled = (m.rows + kPerWord<Word> - 1) / kPerWord<Word>;
  std::fill(through + filled * padded, through + words * padded, Word{});
  transpose_words(through, padded, words, padded, to, kBlockWords);
}

// to[q] += dy · (column j[q] of the panel), for four entries or one; a macro as in tile_product-inl.h.
#define GRAFT_SPARSE_DOTS(MULTIPLY_ADD)                                                                        \
  const F d;                                                                                                   \
  VF sums[Q];                                                                                                  \
  _Pragma("GCC unroll 4") for (int q = 0; q < Q; ++q) sums[q] = hn::Zero(d);                                   \
  for (std::int64_t w = 0; w < words; w += static_cast<std::int64_t>(hn::Lanes(d))) {                          \
    const VF left = hn::LoadU(d, reinterpret_cast<const float*>(dy + w));                                      \
    _Pragma("GCC unroll 4") for (int q = 0; q < Q; ++q) sums[q] =                                              \
        MULTIPLY_ADD(left, hn::LoadU(d, reinterpret_cast<const float*>(x + j[q] * kBlockWords + w)), sums[q]); \
  }                                                                                                            \
  _Pragma("GCC unroll 4") for (int q = 0; q < Q; ++q) to[q] += sum(d, sums[q]);

template <int Q, class Id>
HWY_INLINE void dots(const float* dy, const float* x, const Id* j, std::int64_t words, float* to) {
  GRAFT_SPARSE_DOTS(hn::MulAdd)
}

#if GRAFT_PAIRS
template <int Q, class Id>
GRAFT_PAIR_ATTR HWY_INLINE void dots(const Pair* dy, const Pair* x, const Id* j, std::int64_t words, float* to) {
  GRAFT_SPARSE_DOTS(dot_add)
}
#endif
#undef GRAFT_SPARSE_DOTS

/** The entries of one row of W. */
template <class Id>
HWY_NOINLINE void row_of_dots(const float* dy, const float* x, const Id* j, std::int64_t count, std::int64_t words,
                              float* to) {
  std::int64_t p = 0;
  for (; p + 4 <= count; p += 4) dots<4>(dy, x, j + p, words, to + p);
  for (; p < count; ++p) dots<1>(dy, x, j + p, words, to + p);
}

#if GRAFT_PAIRS
template <class Id>
GRAFT_PAIR_ATTR HWY_NOINLINE void row_of_dots(const Pair* dy, const Pair* x, const Id* j, std::int64_t count,
                                              std::int64_t words, float* to) {
  std::int64_t p = 0;
  for (; p + 4 <= count; p += 4) dots<4>(dy, x, j + p, words, to + p);
  for (; p < count; ++p) dots<1>(dy, x, j + p, words, to + p);
}
#endif

template <class T, class Word, class Id>
void gradient_as(core::Context& context, const ops::SparseGradient& a) {
  const Matrix dy = matrix_of(*a.dy), x = matrix_of(*a.x);
  const std::int64_t count = a.dd->shape[0];
  if (count == 0 || dy.rows == 0) return;
  const Id *i = static_cast<const Id*>(a.indices->data), *j = i + a.indices->stride[0];
  float* dd = static_cast<float*>(a.dd->data);
  const int threads = context.pool.threads();
  core::Scratch scratch(context.arena);
  Word* panel = scratch.take<Word>(round_up(x.columns, kPackColumns) * kBlockWords);
  Word* throughs = scratch.take<Word>(threads * kBlockWords * kPackColumns);
  Word* groups = scratch.take<Word>(threads * kBlockWords * kGroupColumns);
  constexpr std::int64_t kBlockRows = kBlockWords * kPerWord<Word>;
  for (std::int64_t t = 0; t < dy.rows; t += kBlockRows) {
    const std::int64_t rows = std::min(kBlockRows, dy.rows - t);
    const std::int64_t words = round_up((rows + kPerWord<Word> - 1) / kPerWord<Word>, HWY_MAX_BYTES / sizeof(Word));
    core::parallel_for(context, chunks_of(x.columns, kPackColumns), [&](std::int64_t chunk, int worker) {
      const std::int64_t column = chunk * kPackColumns, columns = std::min(kPackColumns, x.columns - column);
      pack_columns<T>(x.part(t, column, rows, columns), words, kPackColumns,
                      throughs + worker * kBlockWords * kPackColumns, panel + column * kBlockWords);
    });
    core::parallel_for(context, chunks_of(count, kTaskEntries), [&](std::int64_t task, int worker) {
      const std::int64_t end = std::min(count, (task + 1) * kTaskEntries);
      Word* group = groups + worker * kBlockWords * kGroupColumns;
      std::int64_t first = -1;  // column of dy that the group begins with
      for (std::int64_t p = task * kTaskEntries, q = p; p < end; p = q) {
        const std::int64_t row = i[p], begin = row / kGroupColumns * kGroupColumns;
        if (begin != first) {
          first = begin;
          pack_columns<T>(dy.part(t, begin, rows, std::min(kGroupColumns, dy.columns - begin)), words, kGroupColumns,
                          throughs + worker * kBlockWords * kPackColumns, group);
        }
        while (q < end && i[q] == i[p]) ++q;
        row_of_dots(group + (row - begin) * kBlockWords, panel, j + p, q - p, words, dd + p);
      }
    });
  }
}

void gradient(core::Context& context, const ops::SparseGradient& a) {
  core::visit_id(a.indices->dtype, [&](auto id) {
    using Id = decltype(id);
#if GRAFT_PAIRS
    if (a.dy->dtype == GRAFT_DTYPE_BF16 && has_bf16_pairs()) return gradient_as<core::bf16, Pair, Id>(context, a);
#endif
    visit_small_float(a.dy->dtype, [&](auto tag) { gradient_as<decltype(tag), float, Id>(context, a); });
  });
}

}  // namespace graft::cpu::fast::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace graft::cpu::fast {
HWY_EXPORT(gradient);

namespace {

constexpr std::int64_t kChunk = 16384;
constexpr std::int64_t kHalf = 1 << 16;

/** Calls body(T{}, i, j, first, last) for each chunk of the entries, W's or others of its dtype. */
template <class Body>
void for_entries(core::Context& context, graft_dtype dtype, const graft_tensor& indices, Body&& body) {
  const std::int64_t count = indices.shape[1];
  core::parallel_for(context, chunks_of(count, kChunk), [&](std::int64_t chunk, int) {
    visit_small_float(dtype, [&](auto tag) {
      core::visit_id(indices.dtype, [&](auto id) {
        const auto* i = static_cast<const decltype(id)*>(indices.data);
        body(tag, i, i + indices.stride[0], chunk * kChunk, std::min(count, (chunk + 1) * kChunk));
      });
    });
  });
}

/** Calls body(key, row, column) for each entry in order; the smaller the key, the better. */
template <class A, class B, class Body>
void for_keys(const ops::SparseSelect& a, Body&& body) {
  const std::uint32_t flip = a.largest ? ~std::uint32_t{0} : 0;
  for (std::int64_t n = 0; n < a.a->shape[0]; ++n) {
    const A* left = row<const A>(*a.a, n);
    const B* right = a.b == nullptr ? nullptr : row<const B>(*a.b, n);
    for (std::int64_t k = 0; k < a.a->shape[1]; ++k) {
      const float value = static_cast<float>(left[k]), other = right == nullptr ? 0 : static_cast<float>(right[k]);
      const float score = a.score == GRAFT_SPARSE_PRODUCT ? value * other : value - other;
      body(ops::SparseSelect::size_of(score) ^ flip, n, k);
    }
  }
}

/** The bucket that holds the wanted-th entry; what lies before it is taken off wanted. */
std::uint32_t bucket_of(const std::int64_t* counts, std::int64_t& wanted) {
  std::uint32_t bucket = 0;
  for (; counts[bucket] < wanted; ++bucket) wanted -= counts[bucket];
  return bucket;
}

// Two passes find the key of the last entry that is taken, by the upper and by the lower half of keys; a third writes.
template <class A, class B, class Id>
void select(core::Context& context, const ops::SparseSelect& a) {
  std::int64_t wanted = a.indices->shape[1];
  if (wanted == 0) return;
  core::Scratch scratch(context.arena);
  auto* counts = scratch.take<std::int64_t>(kHalf);
  std::fill_n(counts, kHalf, 0);
  for_keys<A, B>(a, [&](std::uint32_t key, std::int64_t, std::int64_t) { ++counts[key >> 16]; });
  const std::uint32_t upper = bucket_of(counts, wanted);
  std::fill_n(counts, kHalf, 0);
  for_keys<A, B>(a, [&](std::uint32_t key, std::int64_t, std::int64_t) {
    if (key >> 16 == upper) ++counts[key & 0xffffu];
  });
  const std::uint32_t last = upper << 16 | bucket_of(counts, wanted);
  Id *i = static_cast<Id*>(a.indices->data), *j = i + a.indices->stride[0];
  for_keys<A, B>(a, [&](std::uint32_t key, std::int64_t n, std::int64_t k) {
    if (key > last || (key == last && wanted-- <= 0)) return;
    *i++ = static_cast<Id>(n);
    *j++ = static_cast<Id>(k);
  });
}

}  // namespace

std::string refuse(const ops::SparseGradient& a) { return refuse_f64(*a.dy); }
void run(core::Context& context, const ops::SparseGradient& a) { HWY_DYNAMIC_DISPATCH(gradient)(context, a); }

std::string refuse(const ops::SparseRead& a) { return refuse_f64(a.w->storage); }

void run(core::Context& context, const ops::SparseRead& a) {
  const Matrix w = matrix_of(core::dense_matrix(*a.w));
  for_entries(context, w.dtype, *a.indices, [&](auto tag, auto* i, auto* j, std::int64_t p, std::int64_t end) {
    using T = decltype(tag);
    T* entries = static_cast<T*>(a.entries->data);
    for (; p < end; ++p) entries[p] = static_cast<const T*>(w.data)[i[p] * w.row_stride + j[p]];
  });
}

std::string refuse(const ops::SparseWrite& a) {
  if (a.d != nullptr && a.d->dtype != GRAFT_DTYPE_F32) return "d is not fp32";
  return refuse_f64(a.w->storage);
}

void run(core::Context& context, const ops::SparseWrite& a) {
  const Matrix w = matrix_of(core::dense_matrix(*a.w));
  const float* d = a.d == nullptr ? nullptr : static_cast<const float*>(a.d->data);
  for_entries(context, w.dtype, *a.indices, [&](auto tag, auto* i, auto* j, std::int64_t p, std::int64_t end) {
    using T = decltype(tag);
    const T* original = static_cast<const T*>(a.original->data);
    for (; p < end; ++p)
      static_cast<T*>(w.data)[i[p] * w.row_stride + j[p]] =
          d == nullptr ? original[p] : T(static_cast<float>(original[p]) + d[p]);
  });
}

std::string refuse(const ops::SparseAddSquares& a) { return refuse_f64(*a.g); }

void run(core::Context& context, const ops::SparseAddSquares& a) {
  core::parallel_for(context, chunks_of(a.g->shape[0]), [&](std::int64_t chunk, int) {
    const std::int64_t end = std::min(a.g->shape[0], (chunk + 1) * kRowsPerChunk);
    for (std::int64_t n = chunk * kRowsPerChunk; n < end; ++n) {
      const float* g = row<const float>(*a.g, n);
      float* sums = row<float>(*a.sums, n);
      for (std::int64_t k = 0; k < a.g->shape[1]; ++k) sums[k] += g[k] * g[k];
    }
  });
}

std::string refuse(const ops::SparseSelect& a) {
  const std::string refusal = refuse_f64(*a.a);
  return refusal.empty() && a.b != nullptr ? refuse_f64(*a.b) : refusal;
}

void run(core::Context& context, const ops::SparseSelect& a) {
  visit_small_float(a.a->dtype, [&](auto left) {
    visit_small_float(a.b == nullptr ? GRAFT_DTYPE_F32 : a.b->dtype, [&](auto right) {
      core::visit_id(a.indices->dtype,
                     [&](auto id) { select<decltype(left), decltype(right), decltype(id)>(context, a); });
    });
  });
}

}  // namespace graft::cpu::fast
#endif
