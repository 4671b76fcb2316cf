// fourier by fast transforms of any size, the lanes of vectors being rows of x, and two groups of rows in one
// transform: the one is its real part, the other its imaginary part. Of x's K frequencies the L that have a weight are
// moved to places among N, with what makes the result real, and transformed back. Backward is the same from dy to dx,
// and at the places the product of both spectra is dc. FLOPs of a row: about 4·(K log K + N log N) for sizes of small
// factors, 20·L; a prime factor p costs 4·p for each point. Scratch of a thread: 8·max(K, N) vectors. Tables of
// twiddles are made in each call.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/fast/fourier.cpp"
#include <hwy/foreach_target.h>
// why: foreach_target includes this file again for each instruction set; it must come before what follows.
#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "core/context.h"
#include "core/tensor_check.h"
#include "cpu/fast/simd-inl.h"
#include "cpu/fast/visit.h"
#include "cpu/gemm/gemm.h"
#include "ops/fourier.h"

HWY_BEFORE_NAMESPACE();
namespace graft::cpu::fast::HWY_NAMESPACE {

constexpr std::int64_t kRows = static_cast<std::int64_t>(hn::MaxLanes(F()));

/** n complex numbers of a vector of rows each. */
struct Signal {
  float *re, *im;
  Signal from(std::int64_t at) const { return {re + at * kRows, im + at * kRows}; }
};

/** cos and sin of 2π t / n. */
class Circle {
 public:
  Circle(core::Scratch& scratch, std::int64_t n)
      : n_(n), cosine_(scratch.take<float>(n)), sine_(scratch.take<float>(n)) {
    for (std::int64_t t = 0; t < n; ++t) {
      const double angle = 2 * std::numbers::pi * static_cast<double>(t) / static_cast<double>(n);
      cosine_[t] = static_cast<float>(std::cos(angle));
      sine_[t] = static_cast<float>(std::sin(angle));
    }
  }
  std::int64_t size() const { return n_; }
  VF cosine(std::int64_t t) const { return hn::Set(F(), cosine_[t]); }
  VF sine(std::int64_t t) const { return hn::Set(F(), sine_[t]); }

 private:
  std::int64_t n_;
  float *cosine_, *sine_;
};

/** to = (re + i im) · e^(2πi t / n). */
HWY_INLINE void turned(VF re, VF im, const Circle& circle, std::int64_t t, const Signal& to) {
  const F d;
  const VF c = circle.cosine(t), s = circle.sine(t);
  hn::StoreU(hn::NegMulAdd(im, s, hn::Mul(re, c)), d, to.re);
  hn::StoreU(hn::MulAdd(re, s, hn::Mul(im, c)), d, to.im);
}

// One step of a transform that sorts itself: p inputs that are `apart` from each other become p outputs side by side,
// each turned by q times its number. from[k + s·(q + m·j)] to to[k + s·(p·q + i)], for p·m·s points and k < s.
void step_of_two(const Circle& circle, std::int64_t m, std::int64_t s, const Signal& from, const Signal& to) {
  const F d;
  for (std::int64_t q = 0; q < m; ++q)
    for (std::int64_t k = 0; k < s; ++k) {
      const Signal a = from.from(k + s * q), b = from.from(k + s * (q + m)), out = to.from(k + s * 2 * q);
      const VF ar = hn::LoadU(d, a.re), ai = hn::LoadU(d, a.im), br = hn::LoadU(d, b.re), bi = hn::LoadU(d, b.im);
      hn::StoreU(hn::Add(ar, br), d, out.re);
      hn::StoreU(hn::Add(ai, bi), d, out.im);
      turned(hn::Sub(ar, br), hn::Sub(ai, bi), circle, q * s, out.from(s));
    }
}

void step_of_four(const Circle& circle, std::int64_t m, std::int64_t s, const Signal& from, const Signal& to) {
  const F d;
  for (std::int64_t q = 0; q < m; ++q)
    for (std::int64_t k = 0; k < s; ++k) {
      VF re[4], im[4];
      for (std::int64_t j = 0; j < 4; ++j) {
        const Signal in = from.from(k + s * (q + m * j));
        re[j] = hn::LoadU(d, in.re), im[j] = hn::LoadU(d, in.im);
      }
      const VF sum_re = hn::Add(re[0], re[2]), sum_im = hn::Add(im[0], im[2]);
      const VF difference_re = hn::Sub(re[0], re[2]), difference_im = hn::Sub(im[0], im[2]);
      const VF odd_re = hn::Add(re[1], re[3]), odd_im = hn::Add(im[1], im[3]);
      // i·(a1 - a3)
      const VF side_re = hn::Sub(im[3], im[1]), side_im = hn::Sub(re[1], re[3]);
      const Signal out = to.from(k + s * 4 * q);
      hn::StoreU(hn::Add(sum_re, odd_re), d, out.re);
      hn::StoreU(hn::Add(sum_im, odd_im), d, out.im);
      turned(hn::Add(difference_re, side_re), hn::Add(difference_im, side_im), circle, q * s, out.from(s));
      turned(hn::Sub(sum_re, odd_re), hn::Sub(sum_im, odd_im), circle, 2 * q * s, out.from(2 * s));
      turned(hn::Sub(difference_re, side_re), hn::Sub(difference_im, side_im), circle, 3 * q * s, out.from(3 * s));
    }
}

void step_of(std::int64_t p, const Circle& circle, std::int64_t m, std::int64_t s, const Signal& from,
             const Signal& to) {
  const F d;
  const std::int64_t n = circle.size(), unit = n / p;
  for (std::int64_t q = 0; q < m; ++q)
    for (std::int64_t k = 0; k < s; ++k)
      for (std::int64_t i = 0; i < p; ++i) {
        VF re = hn::Zero(d), im = hn::Zero(d);
        for (std::int64_t j = 0; j < p; ++j) {
          const Signal in = from.from(k + s * (q + m * j));
          const VF a = hn::LoadU(d, in.re), b = hn::LoadU(d, in.im);
          const VF c = circle.cosine(i * j % p * unit), sine = circle.sine(i * j % p * unit);
          re = hn::NegMulAdd(b, sine, hn::MulAdd(a, c, re));
          im = hn::MulAdd(a, sine, hn::MulAdd(b, c, im));
        }
        turned(re, im, circle, i * q * s % n, to.from(k + s * (p * q + i)));
      }
}

/** Σ_k signal[k] e^(2πi v k / n) for all v, in the one or the other of two memories: the one that it is in at the end.
 */
Signal transform(const Circle& circle, Signal signal, Signal spare) {
  std::int64_t rest = circle.size(), s = 1;
  while (rest > 1) {
    std::int64_t p = 2;
    if (rest % 4 == 0) {
      p = 4;
    } else {
      while (rest % p != 0) ++p;
    }
    rest /= p;
    if (p == 4) {
      step_of_four(circle, rest, s, signal, spare);
    } else if (p == 2) {
      step_of_two(circle, rest, s, signal, spare);
    } else {
      step_of(p, circle, rest, s, signal, spare);
    }
    s *= p;
    std::swap(signal, spare);
  }
  return signal;
}

/** The spectra of the two real signals that were a transform's real and imaginary parts, at one frequency. */
struct Pair {
  VF re1, im1, re2, im2;
};

HWY_INLINE Pair at_frequency(const Signal& spectrum, std::int64_t n, std::int64_t v) {
  const F d;
  const Signal here = spectrum.from(v), mirror = spectrum.from((n - v) % n);
  const VF a = hn::LoadU(d, here.re), b = hn::LoadU(d, here.im), c = hn::LoadU(d, mirror.re),
           e = hn::LoadU(d, mirror.im), half = hn::Set(d, 0.5f);
  return {hn::Mul(half, hn::Add(a, c)), hn::Mul(half, hn::Sub(b, e)), hn::Mul(half, hn::Add(b, e)),
          hn::Mul(half, hn::Sub(c, a))};
}

/** Adds weight · pair where two real signals have frequency u: at u, and its mirror image at n - u. */
HWY_INLINE void add_frequency(const Pair& pair, float weight, const Signal& spectrum, std::int64_t n, std::int64_t u) {
  const F d;
  const VF w = hn::Set(d, 0.5f * weight);
  const auto add = [&](std::int64_t place, VF re, VF im) {
    const Signal to = spectrum.from(place);
    hn::StoreU(hn::MulAdd(w, re, hn::LoadU(d, to.re)), d, to.re);
    hn::StoreU(hn::MulAdd(w, im, hn::LoadU(d, to.im)), d, to.im);
  };
  add(u, hn::Sub(pair.re1, pair.im2), hn::Add(pair.im1, pair.re2));
  add((n - u) % n, hn::Add(pair.re1, pair.im2), hn::Sub(pair.re2, pair.im1));
}

/** Rows first.. of m as the lanes of a signal: kRows as its real part and as many as its imaginary part. */
template <class T>
void read_rows(const graft_tensor& m, std::int64_t first, const Signal& to) {
  for (std::int64_t lane = 0; lane < 2 * kRows; ++lane) {
    float* out = (lane < kRows ? to.re + lane : to.im + (lane - kRows));
    const bool inside = first + lane < m.shape[0];
    const T* in = inside ? row<const T>(m, first + lane) : nullptr;
    for (std::int64_t k = 0; k < m.shape[1]; ++k) out[k * kRows] = inside ? static_cast<float>(in[k]) : 0.0f;
  }
}

template <class T>
void write_rows(const Signal& from, std::int64_t first, bool add, const graft_tensor& m) {
  for (std::int64_t lane = 0; lane < 2 * kRows && first + lane < m.shape[0]; ++lane) {
    const float* in = lane < kRows ? from.re + lane : from.im + (lane - kRows);
    T* out = row<T>(m, first + lane);
    for (std::int64_t k = 0; k < m.shape[1]; ++k)
      out[k] = T(add ? static_cast<float>(out[k]) + in[k * kRows] : in[k * kRows]);
  }
}

/** What the tasks share: tables, weights times scale / (N·K), and scratch for each thread. */
struct Spectra {
  Spectra(core::Context& context, core::Scratch& scratch, const graft_tensor& c, const graft_tensor& places,
          double scale, std::int64_t n, std::int64_t k)
      : n(n), k(k), size(c.shape[0]), places(places), outputs(scratch, n), inputs(scratch, k) {
    weights = scratch.take<float>(size);
    const double factor = scale / static_cast<double>(n * k);
    visit_small_float(c.dtype, [&](auto tag) {
      const auto* values = static_cast<const decltype(tag)*>(c.data);
      for (std::int64_t l = 0; l < size; ++l)
        weights[l] = static_cast<float>(factor * static_cast<double>(static_cast<float>(values[l])));
    });
    unit = static_cast<float>(factor);
    pitch = std::max(n, k) * kRows;
    memory = scratch.take<float>(context.pool.threads() * 8 * pitch);
  }
  Signal signal(int worker, int which) const {
    float* at = memory + (worker * 4 + which) * 2 * pitch;
    return {at, at + pitch};
  }
  Signal zeros(int worker, int which, std::int64_t points) const {
    const Signal s = signal(worker, which);
    std::fill_n(s.re, points * kRows, 0.0f);
    std::fill_n(s.im, points * kRows, 0.0f);
    return s;
  }
  std::int64_t u(std::int64_t l) const { return ops::fourier_place(places, 0, l); }
  std::int64_t v(std::int64_t l) const { return ops::fourier_place(places, 1, l); }

  std::int64_t n, k, size;
  const graft_tensor& places;
  Circle outputs, inputs;
  float* weights;
  float unit;
  std::int64_t pitch;
  float* memory;
};

void fourier_forward(core::Context& context, const ops::FourierForward& a) {
  core::Scratch scratch(context.arena);
  const Spectra s(context, scratch, *a.c, *a.places, a.scale, a.y->shape[1], a.x->shape[1]);
  visit_small_float(a.x->dtype, [&](auto tag) {
    using T = decltype(tag);
    core::parallel_for(context, chunks_of(a.x->shape[0], 2 * kRows), [&](std::int64_t task, int worker) {
      const std::int64_t first = task * 2 * kRows;
      read_rows<T>(*a.x, first, s.signal(worker, 0));
      const Signal in = transform(s.inputs, s.signal(worker, 0), s.signal(worker, 1));
      const Signal out = s.zeros(worker, 2, s.n);
      for (std::int64_t l = 0; l < s.size; ++l)
        add_frequency(at_frequency(in, s.k, s.v(l)), s.weights[l], out, s.n, s.u(l));
      write_rows<T>(transform(s.outputs, out, s.signal(worker, 3)), first, a.accumulate, *a.y);
    });
  });
}

void fourier_backward(core::Context& context, const ops::FourierBackward& a) {
  const std::int64_t tasks = chunks_of(a.dy->shape[0], 2 * kRows);
  core::Scratch scratch(context.arena);
  const Spectra s(context, scratch, *a.c, *a.places, a.scale, a.dy->shape[1], a.inputs);
  float* sums = scratch.take<float>(a.dc == nullptr ? 0 : tasks * s.size);
  visit_small_float(a.dy->dtype, [&](auto tag) {
    using T = decltype(tag);
    core::parallel_for(context, tasks, [&](std::int64_t task, int worker) {
      const F d;
      const std::int64_t first = task * 2 * kRows;
      read_rows<T>(*a.dy, first, s.signal(worker, 0));
      const Signal dout = transform(s.outputs, s.signal(worker, 0), s.signal(worker, 1));
      if (a.dc != nullptr) {
        read_rows<T>(*a.x, first, s.signal(worker, 2));
        const Signal in = transform(s.inputs, s.signal(worker, 2), s.signal(worker, 3));
        for (std::int64_t l = 0; l < s.size; ++l) {
          const Pair x = at_frequency(in, s.k, s.v(l)), g = at_frequency(dout, s.n, s.u(l));
          const VF one = hn::NegMulAdd(x.im1, g.im1, hn::Mul(x.re1, g.re1));
          const VF other = hn::NegMulAdd(x.im2, g.im2, hn::Mul(x.re2, g.re2));
          sums[task * s.size + l] = s.unit * sum(d, hn::Add(one, other));
        }
      }
      if (a.dx == nullptr) return;
      const Signal din = s.zeros(worker, 2, s.k);
      for (std::int64_t l = 0; l < s.size; ++l)
        add_frequency(at_frequency(dout, s.n, s.u(l)), s.weights[l], din, s.k, s.v(l));
      write_rows<T>(transform(s.inputs, din, s.signal(worker, 3)), first, a.accumulate, *a.dx);
    });
  });
  for (std::int64_t l = 0; a.dc != nullptr && l < s.size; ++l)
    for (std::int64_t task = 0; task < tasks; ++task) static_cast<float*>(a.dc->data)[l] += sums[task * s.size + l];
}

/** Rows of D are what columns of the identity come to: dy with a one in each row. */
void fourier_merge(core::Context& context, const ops::FourierMerge& a) {
  core::Scratch scratch(context.arena);
  const Spectra s(context, scratch, *a.c, *a.places, a.scale, a.w->n, a.w->k);
  const graft_tensor w = core::dense_matrix(*a.w);
  visit_small_float(w.dtype, [&](auto tag) {
    using T = decltype(tag);
    core::parallel_for(context, chunks_of(s.n, 2 * kRows), [&](std::int64_t task, int worker) {
      const std::int64_t first = task * 2 * kRows;
      const Signal one = s.zeros(worker, 0, s.n);
      for (std::int64_t lane = 0; lane < 2 * kRows && first + lane < s.n; ++lane)
        (lane < kRows ? one.re + lane : one.im + (lane - kRows))[(first + lane) * kRows] = 1;
      const Signal out = transform(s.outputs, one, s.signal(worker, 1));
      const Signal in = s.zeros(worker, 2, s.k);
      for (std::int64_t l = 0; l < s.size; ++l)
        add_frequency(at_frequency(out, s.n, s.u(l)), s.weights[l], in, s.k, s.v(l));
      const Signal change = transform(s.inputs, in, s.signal(worker, 3));
      for (std::int64_t lane = 0; lane < 2 * kRows && first + lane < s.n; ++lane) {
        const float* values = lane < kRows ? change.re + lane : change.im + (lane - kRows);
        const T* from = row<const T>(w, first + lane);
        T* to = row<T>(*a.merged, first + lane);
        for (std::int64_t k = 0; k < s.k; ++k) to[k] = T(static_cast<float>(from[k]) + values[k * kRows]);
      }
    });
  });
}

}  // namespace graft::cpu::fast::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace graft::cpu::fast {
HWY_EXPORT(fourier_forward);
HWY_EXPORT(fourier_backward);
HWY_EXPORT(fourier_merge);

std::string refuse(const ops::FourierForward& a) { return refuse_f64(*a.x) + refuse_f64(*a.c); }
std::string refuse(const ops::FourierBackward& a) { return refuse_f64(*a.dy) + refuse_f64(*a.c); }
std::string refuse(const ops::FourierMerge& a) { return refuse_f64(*a.merged) + refuse_f64(*a.c); }
void run(core::Context& context, const ops::FourierForward& a) { HWY_DYNAMIC_DISPATCH(fourier_forward)(context, a); }
void run(core::Context& context, const ops::FourierBackward& a) { HWY_DYNAMIC_DISPATCH(fourier_backward)(context, a); }
void run(core::Context& context, const ops::FourierMerge& a) { HWY_DYNAMIC_DISPATCH(fourier_merge)(context, a); }
}  // namespace graft::cpu::fast
#endif
