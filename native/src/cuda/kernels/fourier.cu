// fourier: D[n, k] = factor · Σ_l c[l] cos(2π (u[l]·n / N + v[l]·k / K)) is a product of 2L waves, since cos(a + b) =
// cos a cos b - sin a sin b. With V [2L, K] the cosines and then the sines of all v, U [2L, N] those of all u, and s =
// 1 for cosines, -1 for sines:
//   z = x Vᵀ      y (+)= (z ⊙ factor·s·c) U      g = dy Uᵀ      dx (+)= (g ⊙ factor·s·c) V      dc += factor · Σ_t s·z
//   ⊙ g
// The products are the library's; waves are looked up in a table of a circle and rounded to x's type, z and g are fp32.
// FLOPs: 4·T·L·(K + N) forward, twice that backward. Bytes beside the library's: 2·L·(K + N) of waves for each call,
// written for bf16 as 4; 12·T·L to weigh z.
#include <algorithm>

#include "core/tensor_check.h"
#include "cuda/gemm/gemm.h"
#include "cuda/kernels/column_sums.h"
#include "cuda/kernels/convert.h"
#include "cuda/kernels/indices.h"
#include "cuda/kernels/linear.h"
#include "cuda/kernels/row_groups.h"
#include "cuda/kernels/tensor.h"
#include "cuda/kernels/thin.h"
#include "ops/fourier.h"

namespace graft::cuda {
namespace {

/** circle [2, size]: cosines and sines of 2π i / size. */
__global__ void __launch_bounds__(kThreads) fourier_circle(std::int64_t size, float* circle) {
  const std::int64_t i = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= size) return;
  double sine, cosine;
  sin_cos_pi(2.0 * static_cast<double>(i) / static_cast<double>(size), &sine, &cosine);
  circle[i] = static_cast<float>(cosine);
  circle[size + i] = static_cast<float>(sine);
}

/** What c makes of wave j of 2L: factor·c for a cosine, -factor·c for a sine. */
struct Weights {
  Vector c;
  std::int64_t count;
  float factor;
  GRAFT_DEVICE float at(std::int64_t j) const {
    return j < count ? factor * c.at(j) : -factor * c.at(GRAFT_BUG(fourier_weight) ? 0 : j - count);
  }
};

/** waves [2L, size], times their weights or not: a block has one frequency. One outside is zero. */
template <class T>
__global__ void __launch_bounds__(kThreads) fourier_waves(Indices frequencies, const float* circle, std::int64_t size,
                                                          Weights weights, bool weighed, T* waves) {
  const std::int64_t l = blockIdx.x, count = frequencies.count, frequency = frequencies.at(l);
  const float of_cosine = frequency < 0 ? 0.0f : weighed ? weights.at(l) : 1.0f;
  const float of_sine = frequency < 0 ? 0.0f : weighed ? weights.at(count + l) : 1.0f;
  for (std::int64_t i = threadIdx.x; i < size; i += kThreads) {
    const std::int64_t place = frequency < 0 ? 0 : frequency * i % size;
    waves[l * size + i] = from_float<T>(of_cosine * circle[place]);
    waves[(count + l) * size + i] = from_float<T>(of_sine * circle[(GRAFT_BUG(fourier_sine) ? 0 : size) + place]);
  }
}

/** to [rows, 2L] = z times the weights of its columns. */
template <class T>
__global__ void __launch_bounds__(kThreads) fourier_weigh(const float* z, Weights weights, std::int64_t rows, T* to) {
  const std::int64_t at = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (at < rows * 2 * weights.count) to[at] = from_float<T>(z[at] * weights.at(at % (2 * weights.count)));
}

/** parts of factor · Σ_t (z ⊙ g of the cosines - that of the sines). */
__global__ void __launch_bounds__(kColumnThreads)
    fourier_gradient(Rows<const float> z, Rows<const float> g, RowGroups groups, std::int64_t count, float factor,
                     float* parts) {
  sum_group<1>(groups, count, parts, [&](std::int64_t t, std::int64_t l) {
    const float sines = GRAFT_BUG(fourier_gradient_sines) ? 0.0f : z[t][count + l] * g[t][count + l];
    return Piece<float, 1>{{factor * (z[t][l] * g[t][l] - sines)}};
  });
}

/** One call's waves of the inputs and the outputs. */
class Waves {
 public:
  Waves(core::Context& context, core::Scratch& scratch, const char* op, const graft_tensor& c,
        const graft_tensor& places, double scale, std::int64_t n, std::int64_t k, graft_dtype dtype,
        bool weighed = false)
      : context_(context),
        scratch_(scratch),
        weights_{vector(&c), c.shape[0], static_cast<float>(scale / static_cast<double>(n * k))},
        dtype_(dtype),
        out_(waves(op, places, 0, n, weighed)),
        in_(waves(op, places, 1, k, false)) {}

  /** z = x Vᵀ, g = dy Uᵀ. */
  graft_tensor z(const graft_tensor& x) const { return transformed(x, in_); }
  graft_tensor g(const graft_tensor& dy) const { return transformed(dy, out_); }
  void y(const graft_tensor& z, bool accumulate, const graft_tensor& y) const { back(z, out_, accumulate, y); }
  void dx(const graft_tensor& g, bool accumulate, const graft_tensor& dx) const { back(g, in_, accumulate, dx); }
  void dc(const graft_tensor& z, const graft_tensor& g, const graft_tensor& dc) const {
    if (z.shape[0] == 0) return;
    const RowGroups groups(z.shape[0]);
    const std::int64_t count = weights_.count;
    auto* const parts = scratch_.take<float>(groups.count * count);
    launch({"fourier_gradient", groups.grid(count, 1), kColumnThreads, 0, stream(context_)}, fourier_gradient,
           rows<const float>(&z), rows<const float>(&g), groups, count, weights_.factor, parts);
    add_parts(context_, parts, groups.count, count, data<float>(&dc));
  }

  const graft_tensor& out() const { return out_; }
  const graft_tensor& in() const { return in_; }

 private:
  graft_tensor weighed(const graft_tensor& z) const {
    const std::int64_t rows = z.shape[0];
    const graft_tensor to = scratch_matrix(scratch_, dtype_, rows, 2 * weights_.count);
    visit(dtype_, [&](auto type) {
      using T = decltype(type);
      launch(over(context_, "fourier_weigh", rows * 2 * weights_.count), fourier_weigh<T>, data<const float>(&z),
             weights_, rows, data<T>(&to));
    });
    return to;
  }

  graft_tensor waves(const char* op, const graft_tensor& places, int row, std::int64_t size, bool weighed) const {
    graft_tensor line = places;
    line.rank = 1, line.shape[0] = weights_.count;
    line.data = static_cast<char*>(places.data) + row * places.stride[0] * graft_dtype_bytes(places.dtype);
    const Indices frequencies = indices_of(context_, op, line, size, row == 0 ? "places[0]" : "places[1]");
    auto* const circle = scratch_.take<float>(2 * size);
    const graft_tensor to = scratch_matrix(scratch_, dtype_, 2 * weights_.count, size);
    launch(over(context_, "fourier_circle", size), fourier_circle, size, circle);
    visit(dtype_, [&](auto type) {
      using T = decltype(type);
      launch({"fourier_waves", static_cast<unsigned>(weights_.count), kThreads, 0, stream(context_)}, fourier_waves<T>,
             frequencies, circle, size, weights_, weighed, data<T>(&to));
    });
    return to;
  }
  graft_tensor transformed(const graft_tensor& x, const graft_tensor& waves) const {
    const graft_tensor to = scratch_matrix(scratch_, GRAFT_DTYPE_F32, x.shape[0], 2 * weights_.count);
    product(context_, factor(x), factor(waves).t(), dtype_, false, to);
    return to;
  }
  void back(const graft_tensor& z, const graft_tensor& waves, bool accumulate, const graft_tensor& to) const {
    product(context_, factor(weighed(z)), factor(waves), dtype_, accumulate, to);
  }

  core::Context& context_;
  core::Scratch& scratch_;
  const Weights weights_;
  const graft_dtype dtype_;
  const graft_tensor out_, in_;
};

}  // namespace

std::string refuse(const ops::FourierForward& a) { return refuse_beside(*a.x, *a.c); }

void run(core::Context& context, const ops::FourierForward& a) {
  core::Scratch scratch(context.arena);
  const Waves waves(context, scratch, "graft_fourier_forward", *a.c, *a.places, a.scale, a.y->shape[1], a.x->shape[1],
                    a.x->dtype);
  waves.y(waves.z(*a.x), a.accumulate, *a.y);
}

std::string refuse(const ops::FourierBackward& a) { return refuse_beside(*a.dy, *a.c); }

void run(core::Context& context, const ops::FourierBackward& a) {
  if (a.dx == nullptr && a.dc == nullptr) return;
  core::Scratch scratch(context.arena);
  const Waves waves(context, scratch, "graft_fourier_backward", *a.c, *a.places, a.scale, a.dy->shape[1], a.inputs,
                    a.dy->dtype);
  const graft_tensor g = waves.g(*a.dy);
  if (a.dx != nullptr) waves.dx(g, a.accumulate, *a.dx);
  if (a.dc != nullptr) waves.dc(waves.z(*a.x), g, *a.dc);
}

std::string refuse(const ops::FourierMerge& a) { return refuse_beside(*a.merged, *a.c); }

void run(core::Context& context, const ops::FourierMerge& a) {
  const std::int64_t n = a.w->n, k = a.w->k, count = a.c->shape[0];
  const graft_tensor w = core::dense_matrix(*a.w), &merged = *a.merged;
  if (merged.data != w.data)
    run(context, Convert{w.data, w.dtype, n, k, w.stride[0], merged.data, w.dtype, n, k, merged.stride[0]});
  if (count == 0) return;
  core::Scratch scratch(context.arena);
  const Waves waves(context, scratch, "graft_fourier_merge", *a.c, *a.places, a.scale, n, k, GRAFT_DTYPE_F32, true);
  const std::int64_t size = panel_size(n, k, kPanelElements);
  const graft_tensor panel = scratch_matrix(scratch, GRAFT_DTYPE_F32, size, k);
  for (std::int64_t first = 0; first < n; first += size) {
    const std::int64_t rows = std::min(size, n - first);
    const graft_tensor to = part(merged, first, 0, rows, k);
    run(context, Gemm{factor(part(waves.out(), 0, first, 2 * count, rows)).t(), factor(waves.in()), panel.dtype,
                      panel.data, k, panel.dtype});
    run(context, Convert{panel.data, panel.dtype, rows, k, k, to.data, to.dtype, rows, k, to.stride[0], 1, true});
  }
}

}  // namespace graft::cuda
