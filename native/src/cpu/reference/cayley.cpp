// cayley, a block at a time, in f32, or f64 with f64. The series by Horner's rule, H[k] = c[k] I + Q H[k+1] and R =
// H[0], and back; the inverse by Gauss and Jordan with pivots: I + Q has no eigenvalue below 1 in size. FLOPs 2·n³ a
// power, and 4·n³ for an inverse; backward twice that. Blocks are shared out to the threads.
#include "ops/cayley.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/context.h"
#include "cpu/reference/element.h"

namespace graft::cpu::reference {
namespace {

/** A square matrix of its own memory. */
template <class C>
class Square {
 public:
  explicit Square(std::int64_t n, C diagonal = 0) : n_(n), values_(static_cast<std::size_t>(n * n), C{0}) {
    for (std::int64_t i = 0; i < n; ++i) (*this)(i, i) = diagonal;
  }
  C& operator()(std::int64_t i, std::int64_t j) { return values_[static_cast<std::size_t>(i * n_ + j)]; }
  C operator()(std::int64_t i, std::int64_t j) const { return values_[static_cast<std::size_t>(i * n_ + j)]; }
  std::int64_t n() const { return n_; }

  /** += scale · a b, of which a or b may be read as its transpose. */
  void add_product(const Square& a, bool a_turned, const Square& b, bool b_turned, C scale) {
    for (std::int64_t i = 0; i < n_; ++i)
      for (std::int64_t k = 0; k < n_; ++k) {
        const C factor = scale * (a_turned ? a(k, i) : a(i, k));
        for (std::int64_t j = 0; j < n_; ++j) (*this)(i, j) += factor * (b_turned ? b(j, k) : b(k, j));
      }
  }

 private:
  std::int64_t n_;
  std::vector<C> values_;
};

template <class C>
Square<C> skew(const graft_tensor& tensor, std::int64_t block, std::int64_t n) {
  const View<C> q(tensor);
  const bool square = tensor.rank == 3;
  Square<C> matrix(n);
  std::int64_t at = 0;
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = i + 1; j < n; ++j, ++at) {
      matrix(i, j) = square ? (q(block, i, j) - q(block, j, i)) / 2 : q(block, at);
      matrix(j, i) = -matrix(i, j);
    }
  return matrix;
}

/** The coefficients of I, Q, Q², … in R. */
std::vector<int> coefficients(int terms) {
  std::vector<int> c{1};
  for (int power = 1; power < terms; ++power) c.push_back(2);
  if (terms == 3) c.push_back(2);
  if (terms >= 3) c.back() = 1;
  return c;
}

/** H[0], H[1], … of the series; R is the first. */
template <class C>
std::vector<Square<C>> series(const Square<C>& q, int terms) {
  const std::vector<int> c = coefficients(terms);
  std::vector<Square<C>> h(c.size(), Square<C>(q.n()));
  h.back() = Square<C>(q.n(), static_cast<C>(c.back()));
  for (std::size_t k = c.size() - 1; k-- > 0;) {
    h[k] = Square<C>(q.n(), static_cast<C>(c[k]));
    h[k].add_product(q, false, h[k + 1], false, 1);
  }
  return h;
}

/** (I + Q)⁻¹. */
template <class C>
Square<C> inverse(const Square<C>& q) {
  const std::int64_t n = q.n();
  Square<C> left = q, right(n, 1);
  for (std::int64_t i = 0; i < n; ++i) left(i, i) += 1;
  for (std::int64_t column = 0; column < n; ++column) {
    std::int64_t pivot = column;
    for (std::int64_t i = column; i < n; ++i)
      if (std::abs(left(i, column)) > std::abs(left(pivot, column))) pivot = i;
    for (std::int64_t j = 0; j < n; ++j) {
      std::swap(left(column, j), left(pivot, j));
      std::swap(right(column, j), right(pivot, j));
    }
    const C scale = 1 / left(column, column);
    for (std::int64_t j = 0; j < n; ++j) {
      left(column, j) *= scale;
      right(column, j) *= scale;
    }
    for (std::int64_t i = 0; i < n; ++i) {
      const C factor = left(i, column);
      if (i == column || factor == 0) continue;
      for (std::int64_t j = 0; j < n; ++j) {
        left(i, j) -= factor * left(column, j);
        right(i, j) -= factor * right(column, j);
      }
    }
  }
  return right;
}

/** R - I: -2 M Q with M = (I + Q)⁻¹, or Q H[1]. */
template <class C>
Square<C> rotation(const Square<C>& q, int terms) {
  Square<C> r(q.n());
  if (terms == 0) {
    r.add_product(inverse(q), false, q, false, -2);
  } else if (terms > 1) {
    r.add_product(q, false, series(q, terms)[1], false, 1);
  }
  return r;
}

}  // namespace

void run(core::Context& context, const ops::CayleyForward& a) {
  visit_compute(a.q->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> r(*a.r);
    core::parallel_for(context, r.size(0), [&](std::int64_t block, int) {
      const Square<C> result = rotation(skew<C>(*a.q, block, r.size(1)), a.terms);
      for (std::int64_t i = 0; i < r.size(1); ++i)
        for (std::int64_t j = 0; j < r.size(1); ++j) r.set(result(i, j), block, i, j);
    });
  });
}

void run(core::Context& context, const ops::CayleyBackward& a) {
  visit_compute(a.q->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> dr(*a.dr), dq(*a.dq);
    const std::int64_t n = dr.size(1);
    core::parallel_for(context, dr.size(0), [&](std::int64_t block, int) {
      const Square<C> matrix = skew<C>(*a.q, block, n);
      Square<C> dh(n), gradient(n);
      for (std::int64_t i = 0; i < n; ++i)
        for (std::int64_t j = 0; j < n; ++j) dh(i, j) = dr(block, i, j);
      if (a.terms == 0) {  // R = 2M - I, dM = -M dQ M: dQ = -2 Mᵀ dR Mᵀ
        const Square<C> m = inverse(matrix);
        Square<C> half(n);
        half.add_product(m, true, dh, false, 1);
        gradient.add_product(half, false, m, true, -2);
      } else {
        const std::vector<Square<C>> h = series(matrix, a.terms);
        for (std::size_t k = 0; k + 1 < h.size(); ++k) {
          gradient.add_product(dh, false, h[k + 1], true, 1);
          Square<C> next(n);
          next.add_product(matrix, true, dh, false, 1);
          dh = next;
        }
      }
      std::int64_t at = 0;
      for (std::int64_t i = 0; i < n; ++i)
        for (std::int64_t j = i + 1; j < n; ++j, ++at) {
          const C entry = gradient(i, j) - gradient(j, i);
          if (a.q->rank == 2) {
            dq.add(entry, block, at);
          } else {
            dq.add(entry / 2, block, i, j);
            dq.add(-entry / 2, block, j, i);
          }
        }
    });
  });
}

}  // namespace graft::cpu::reference
