// cayley with SIMD, a block at a time in memory of its worker, blocks shared out to the threads. The series by Horner's
// rule, H[k] = c[k] I + Q H[k+1] and R - I = Q H[1]; its backward needs no transpose of Q, which is -Q. The inverse M =
// (I + Q)⁻¹ by Gauss and Jordan with pivots. Products keep four rows by two vectors of their result in registers. FLOPs
// 2·n³ a power, and 4·n³ for an inverse; backward twice that. Scratch of a thread: a matrix for each power, and four
// more.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/fast/cayley.cpp"
#include <hwy/foreach_target.h>
// why: foreach_target includes this file again for each instruction set; it must come before what follows.
#include <algorithm>
#include <cmath>

#include "core/context.h"
#include "cpu/fast/simd-inl.h"
#include "cpu/fast/visit.h"
#include "ops/cayley.h"

HWY_BEFORE_NAMESPACE();
namespace graft::cpu::fast::HWY_NAMESPACE {

/** J rows of c, V vectors or n lanes of one: = or += scale · a b. */
template <int J, int V>
HWY_INLINE void product_block(const float* a, const float* b, std::int64_t size, std::int64_t j, std::int64_t n,
                              float scale, bool add, float* c) {
  const F d;
  const std::int64_t lanes = static_cast<std::int64_t>(hn::Lanes(d));
  VF sums[J][V];
  for (int i = 0; i < J; ++i)
    for (int v = 0; v < V; ++v) sums[i][v] = hn::Zero(d);
  for (std::int64_t k = 0; k < size; ++k) {
    VF value[V];
    for (int v = 0; v < V; ++v) value[v] = V == 1 ? at(d, b + k * size + j, n) : load(d, b + k * size + j + v * lanes);
    for (int i = 0; i < J; ++i) {
      const VF factor = hn::Set(d, a[i * size + k]);
      for (int v = 0; v < V; ++v) sums[i][v] = hn::MulAdd(factor, value[v], sums[i][v]);
    }
  }
  const VF s = hn::Set(d, scale);
  for (int i = 0; i < J; ++i)
    for (int v = 0; v < V; ++v) {
      float* to = c + i * size + j + v * lanes;
      const std::int64_t count = V == 1 ? n : lanes;
      const VF scaled = hn::Mul(s, sums[i][v]);
      put(d, add ? hn::Add(at(d, to, count), scaled) : scaled, to, count);
    }
}

template <int J>
HWY_INLINE void product_rows(const float* a, const float* b, std::int64_t size, float scale, bool add, float* c) {
  const std::int64_t lanes = static_cast<std::int64_t>(hn::Lanes(F()));
  std::int64_t j = 0;
  for (; j + 2 * lanes <= size; j += 2 * lanes) product_block<J, 2>(a, b, size, j, lanes, scale, add, c);
  for (; j < size; j += lanes) product_block<J, 1>(a, b, size, j, std::min(lanes, size - j), scale, add, c);
}

/** c = or += scale · a b, all [size, size]. */
void product(const float* a, const float* b, std::int64_t size, float scale, bool add, float* c) {
  std::int64_t i = 0;
  for (; i + 4 <= size; i += 4) product_rows<4>(a + i * size, b, size, scale, add, c + i * size);
  for (; i < size; ++i) product_rows<1>(a + i * size, b, size, scale, add, c + i * size);
}

void add_diagonal(float value, std::int64_t size, float* matrix) {
  for (std::int64_t i = 0; i < size; ++i) matrix[i * size + i] += value;
}

void transpose(const float* from, std::int64_t size, float* to) {
  for (std::int64_t i = 0; i < size; ++i)
    for (std::int64_t j = 0; j < size; ++j) to[j * size + i] = from[i * size + j];
}

/** inverse = (I + Q)⁻¹; left is scratch. */
void invert(const float* q, std::int64_t size, float* left, float* inverse) {
  const F d;
  std::copy_n(q, size * size, left);
  add_diagonal(1, size, left);
  std::fill_n(inverse, size * size, 0.0f);
  add_diagonal(1, size, inverse);
  for (std::int64_t column = 0; column < size; ++column) {
    std::int64_t pivot = column;
    for (std::int64_t i = column; i < size; ++i)
      if (std::abs(left[i * size + column]) > std::abs(left[pivot * size + column])) pivot = i;
    const float scale = 1 / left[pivot * size + column];
    for (float* matrix : {left, inverse}) {
      float *row = matrix + column * size, *other = matrix + pivot * size;
      for (std::int64_t j = 0; j < size; ++j) {
        const float value = other[j];
        other[j] = row[j];
        row[j] = scale * value;
      }
    }
    for (std::int64_t i = 0; i < size; ++i) {
      if (i == column) continue;
      const VF factor = hn::Set(d, left[i * size + column]);
      for (float* matrix : {left, inverse})
        for_lanes(d, size, [&](std::int64_t j, std::int64_t n) {
          float* to = matrix + i * size + j;
          put(d, hn::NegMulAdd(factor, at(d, matrix + column * size + j, n), at(d, to, n)), to, n);
        });
    }
  }
}

/** The coefficient of Q^k in R, of the last power and of the ones before it. */
struct Series {
  explicit Series(int terms) : last(terms < 3 ? terms - 1 : std::max(terms, 4) - 1), halved(terms >= 3) {}
  float coefficient(std::int64_t k) const { return k == 0 || (k == last && halved) ? 1.0f : 2.0f; }
  std::int64_t last;
  bool halved;
};

/** Memory of one worker: matrices of [size, size]. */
class Matrices {
 public:
  Matrices(float* memory, std::int64_t size) : memory_(memory), area_(size * size) {}
  float* operator[](std::int64_t i) const { return memory_ + i * area_; }

 private:
  float* memory_;
  std::int64_t area_;
};

/** Block's Q from the parameters. */
void skew(const graft_tensor& q, std::int64_t block, std::int64_t size, float* to) {
  const float* entries = static_cast<const float*>(q.data) + block * q.stride[0];
  for (std::int64_t i = 0; i < size; ++i) {
    to[i * size + i] = 0;
    for (std::int64_t j = i + 1; j < size; ++j) {
      const float value = q.rank == 3 ? (entries[i * q.stride[1] + j] - entries[j * q.stride[1] + i]) / 2 : *entries++;
      to[i * size + j] = value;
      to[j * size + i] = -value;
    }
  }
}

/** h[k] = H[k] for k = 1 … last, with h[0] left alone. */
void horner(const Series& series, const float* q, std::int64_t size, const Matrices& h) {
  std::fill_n(h[series.last], size * size, 0.0f);
  add_diagonal(series.coefficient(series.last), size, h[series.last]);
  for (std::int64_t k = series.last - 1; k > 0; --k) {
    product(q, h[k + 1], size, 1, false, h[k]);
    add_diagonal(series.coefficient(k), size, h[k]);
  }
}

void cayley_forward(core::Context& context, const ops::CayleyForward& a) {
  const std::int64_t size = a.r->shape[1], area = size * size;
  const Series series(std::max(a.terms, 1));
  core::Scratch scratch(context.arena);
  const std::int64_t count = 4 + series.last;
  float* memory = scratch.take<float>(context.pool.threads() * count * area);
  visit_small_float(a.r->dtype, [&](auto tag) {
    using T = decltype(tag);
    core::parallel_for(context, a.r->shape[0], [&](std::int64_t block, int worker) {
      const Matrices m(memory + worker * count * area, size);
      float *q = m[0], *r = m[1];
      skew(*a.q, block, size, q);
      if (a.terms == 0) {
        invert(q, size, m[2], m[3]);
        product(m[3], q, size, -2, false, r);
      } else if (series.last == 0) {
        std::fill_n(r, area, 0.0f);
      } else {
        const Matrices h(m[2], size);
        horner(series, q, size, h);
        product(q, h[1], size, 1, false, r);
      }
      T* to = static_cast<T*>(a.r->data) + block * area;
      for (std::int64_t i = 0; i < area; ++i) to[i] = T(r[i]);
    });
  });
}

void cayley_backward(core::Context& context, const ops::CayleyBackward& a) {
  const std::int64_t size = a.dr->shape[1], area = size * size;
  const Series series(std::max(a.terms, 1));
  core::Scratch scratch(context.arena);
  const std::int64_t count = 6 + series.last;
  float* memory = scratch.take<float>(context.pool.threads() * count * area);
  core::parallel_for(context, a.dr->shape[0], [&](std::int64_t block, int worker) {
    const Matrices m(memory + worker * count * area, size);
    float *q = m[0], *gradient = m[1], *turned = m[2];
    const float* dr = static_cast<const float*>(a.dr->data) + block * area;
    skew(*a.q, block, size, q);
    if (a.terms == 0) {  // R - I = -2 M Q and dM = -M dQ M: dQ = -2 Mᵀ dR Mᵀ
      invert(q, size, m[3], m[4]);
      transpose(m[4], size, turned);
      product(turned, dr, size, -2, false, m[3]);
      product(m[3], turned, size, 1, false, gradient);
    } else {
      const Matrices h(m[5], size);
      if (series.last > 0) horner(series, q, size, h);
      std::fill_n(gradient, area, 0.0f);
      for (std::int64_t k = 0; k < series.last; ++k) {  // dQ += dH[k] H[k+1]ᵀ, dH[k+1] = Qᵀ dH[k]
        const float* dh = k == 0 ? dr : m[3 + (k - 1) % 2];
        transpose(h[k + 1], size, turned);
        product(dh, turned, size, 1, true, gradient);
        product(q, dh, size, -1, false, m[3 + k % 2]);
      }
    }
    float* dq = static_cast<float*>(a.dq->data) + block * a.dq->stride[0];
    for (std::int64_t i = 0; i < size; ++i)
      for (std::int64_t j = i + 1; j < size; ++j) {
        const float entry = gradient[i * size + j] - gradient[j * size + i];
        if (a.q->rank == 2) {
          *dq++ += entry;
        } else {
          dq[i * a.dq->stride[1] + j] += entry / 2;
          dq[j * a.dq->stride[1] + i] -= entry / 2;
        }
      }
  });
}

}  // namespace graft::cpu::fast::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace graft::cpu::fast {
HWY_EXPORT(cayley_forward);
HWY_EXPORT(cayley_backward);

std::string refuse(const ops::CayleyForward& a) {
  if (a.q->dtype != GRAFT_DTYPE_F32) return "q is not f32";
  return refuse_f64(*a.r);
}
std::string refuse(const ops::CayleyBackward& a) { return a.q->dtype == GRAFT_DTYPE_F32 ? "" : "q is not f32"; }
void run(core::Context& context, const ops::CayleyForward& a) { HWY_DYNAMIC_DISPATCH(cayley_forward)(context, a); }
void run(core::Context& context, const ops::CayleyBackward& a) { HWY_DYNAMIC_DISPATCH(cayley_backward)(context, a); }
}  // namespace graft::cpu::fast
#endif
