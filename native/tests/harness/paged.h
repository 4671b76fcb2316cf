// A batch of rows of different lengths twice: each row's keys by itself, and all rows in shuffled pages of one pool
// whose other places are NaN, so that what reads them shows.
#pragma once

#include <cmath>
#include <limits>
#include <numeric>

#include "tensors.h"

namespace graft::test {

struct PagedCase {
  graft_dtype dtype;
  std::int64_t queries, heads, key_heads, depth, page;
  std::vector<std::int64_t> lengths;  // of each row, its queries among them
  std::int64_t window = 0;
  double softcap = 0;

  std::string text() const {
    std::string t = std::string(name(dtype)) + " T" + std::to_string(queries) + " H" + std::to_string(heads) + "/" +
                    std::to_string(key_heads) + " D" + std::to_string(depth) + " pages of " + std::to_string(page) +
                    " window " + std::to_string(window) + " lengths";
    for (std::int64_t length : lengths) (t += " ") += std::to_string(length);
    return t;
  }
};

struct Paged {
  /** storage: of the tensors; values are those that n.dtype can hold. */
  Paged(const Context& context, graft_dtype storage, const PagedCase& shape)
      : c(context),
        n(shape),
        rows(static_cast<std::int64_t>(n.lengths.size())),
        most(longest(n)),
        spare(3),
        q(c, storage, {rows, n.queries, n.heads, n.depth}),
        o(c, storage, {rows, n.queries, n.heads, n.depth}),
        k(c, storage, {rows * most + spare, n.page, n.key_heads, n.depth}),
        v(c, storage, {rows * most + spare, n.page, n.key_heads, n.depth}),
        pages(c, kI32, {rows, most}),
        lengths(c, kI32, {rows}),
        scale(0.7 / std::sqrt(static_cast<double>(n.depth))) {
    q.set(values(q.elements(), 1));
    o.fill(7);
    const std::int64_t width = n.key_heads * n.depth;
    std::vector<double> k_pages(static_cast<std::size_t>(k.elements()), std::numeric_limits<double>::quiet_NaN());
    std::vector<double> v_pages = k_pages, table, counts;
    const std::int64_t all = rows * most + spare;
    for (std::int64_t b = 0; b < rows; ++b) {
      const std::int64_t length = n.lengths[b];
      keys.push_back(values(length * width, 2 + b));
      others.push_back(values(length * width, 100 + b));
      counts.push_back(static_cast<double>(length));
      for (std::int64_t m = 0; m < most; ++m) {
        // Rows interleave, and pages of a row fall. 7 and the count of pages have no common divisor.
        const std::int64_t page = (b + rows * (most - 1 - m)) * 7 % all;
        table.push_back(static_cast<double>(page));
        for (std::int64_t j = m * n.page; j < std::min(length, (m + 1) * n.page); ++j) {
          const auto from = static_cast<std::ptrdiff_t>(j * width);
          const auto to = static_cast<std::ptrdiff_t>((page * n.page + j % n.page) * width);
          std::copy_n(keys.back().begin() + from, width, k_pages.begin() + to);
          std::copy_n(others.back().begin() + from, width, v_pages.begin() + to);
        }
      }
    }
    k.set(k_pages), v.set(v_pages), pages.set(table), lengths.set(counts);
  }

  graft_status forward() {
    return graft_attention_paged_forward(c, q, k, v, pages, lengths, scale, n.softcap, n.window, o);
  }

  /** What graft_attention_forward gives for each row by itself, one behind the other. */
  std::vector<double> apart(graft_dtype storage) {
    std::vector<double> all;
    for (std::int64_t b = 0; b < rows; ++b) {
      const std::int64_t length = n.lengths[b];
      Tensor own_k(c, storage, {1, length, n.key_heads, n.depth}), own_v(c, storage, {1, length, n.key_heads, n.depth});
      own_k.set(keys[b]), own_v.set(others[b]);
      const Shape shape = {1, n.queries, n.heads, n.depth};
      Tensor own_q = q.view(b * q->stride[0], shape, {q->stride[0], q->stride[1], q->stride[2], 1});
      Tensor own_o(c, storage, shape);
      GRAFT_EXPECT_OK(graft_attention_forward(c, own_q, own_k, own_v, nullptr, nullptr, scale, n.softcap,
                                              length - n.queries, n.window, own_o, nullptr));
      GRAFT_EXPECT_OK(graft_context_synchronize(c));
      const std::vector<double> got = own_o.get();
      all.insert(all.end(), got.begin(), got.end());
    }
    return all;
  }

  std::vector<double> values(std::int64_t count, std::uint64_t seed) const {
    Tensor exact(c, n.dtype, {count});
    return exact.random(seed, -2, 2).get();
  }

  static std::int64_t longest(const PagedCase& n) {
    std::int64_t most = 1;
    for (std::int64_t length : n.lengths) most = std::max(most, (length + n.page - 1) / n.page);
    while (std::gcd(static_cast<std::int64_t>(n.lengths.size()) * most + 3, std::int64_t{7}) != 1) ++most;
    return most;
  }

  const Context& c;
  PagedCase n;
  std::int64_t rows, most, spare;
  Tensor q, o, k, v, pages, lengths;
  std::vector<std::vector<double>> keys, others;
  double scale;
};

}  // namespace graft::test
