// sparse in plain loops: dd[p] += Σ dy[:, i]·x[:, j]; W[i, j] = original + d; sums += g∘g; entries sorted by their
// score.
#include "ops/sparse.h"

#include <algorithm>
#include <vector>

#include "core/context.h"
#include "core/tensor_check.h"
#include "cpu/reference/element.h"

namespace graft::cpu::reference {
namespace {

graft_tensor row_of(const graft_tensor& indices, int which) {
  graft_tensor row = indices;
  row.rank = 1;
  row.shape[0] = indices.shape[1];
  row.stride[0] = 1;
  if (which == 1 && row.shape[0] > 0)
    row.data = static_cast<char*>(indices.data) + indices.stride[0] * graft_dtype_bytes(indices.dtype);
  return row;
}

}  // namespace

void run(core::Context&, const ops::SparseGradient& a) {
  const graft_tensor i = row_of(*a.indices, 0), j = row_of(*a.indices, 1);
  visit_compute(a.dy->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> dy(*a.dy), x(*a.x), dd(*a.dd);
    for (std::int64_t p = 0; p < dd.size(0); ++p) {
      C sum = 0;
      for (std::int64_t t = 0; t < dy.size(0); ++t) sum += dy(t, id_at(i, p)) * x(t, id_at(j, p));
      dd.add(sum, p);
    }
  });
}

void run(core::Context&, const ops::SparseRead& a) {
  const graft_tensor i = row_of(*a.indices, 0), j = row_of(*a.indices, 1);
  visit_compute(a.w->storage.dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> w(core::dense_matrix(*a.w)), entries(*a.entries);
    for (std::int64_t p = 0; p < entries.size(0); ++p) entries.set(w(id_at(i, p), id_at(j, p)), p);
  });
}

void run(core::Context&, const ops::SparseWrite& a) {
  const graft_tensor i = row_of(*a.indices, 0), j = row_of(*a.indices, 1);
  visit_compute(a.w->storage.dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> w(core::dense_matrix(*a.w)), original(*a.original);
    for (std::int64_t p = 0; p < original.size(0); ++p) {
      const C delta = a.d == nullptr ? C{0} : View<C>(*a.d)(p);
      w.set(original(p) + delta, id_at(i, p), id_at(j, p));
    }
  });
}

void run(core::Context&, const ops::SparseAddSquares& a) {
  visit_compute(a.g->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> g(*a.g), sums(*a.sums);
    for (std::int64_t n = 0; n < g.size(0); ++n)
      for (std::int64_t k = 0; k < g.size(1); ++k) sums.add(g(n, k) * g(n, k), n, k);
  });
}

void run(core::Context&, const ops::SparseSelect& a) {
  struct Scored {
    std::uint32_t score;
    std::int64_t at;
  };
  const View<float> left(*a.a);
  const std::int64_t rows = left.size(0), columns = left.size(1), count = a.indices->shape[1];
  std::vector<Scored> all;
  for (std::int64_t n = 0; n < rows; ++n)
    for (std::int64_t k = 0; k < columns; ++k) {
      const float right = a.b == nullptr ? 0 : View<float>(*a.b)(n, k);
      const float score = a.score == GRAFT_SPARSE_PRODUCT ? left(n, k) * right : left(n, k) - right;
      all.push_back({ops::SparseSelect::size_of(score), n * columns + k});
    }
  std::stable_sort(all.begin(), all.end(), [&](const Scored& one, const Scored& other) {
    return a.largest ? one.score > other.score : one.score < other.score;
  });
  all.resize(static_cast<std::size_t>(count));
  std::sort(all.begin(), all.end(), [](const Scored& one, const Scored& other) { return one.at < other.at; });
  core::visit_id(a.indices->dtype, [&](auto tag) {
    using Id = decltype(tag);
    Id *i = static_cast<Id*>(a.indices->data), *j = all.empty() ? i : i + a.indices->stride[0];
    for (std::size_t p = 0; p < all.size(); ++p) {
      i[p] = static_cast<Id>(all[p].at / columns);
      j[p] = static_cast<Id>(all[p].at % columns);
    }
  });
}

}  // namespace graft::cpu::reference
