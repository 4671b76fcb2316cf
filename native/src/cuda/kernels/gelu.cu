// gelu. By tanh: with u = √(8/π)·(x + 0.044715·x³) and s = 1/(1 + e^-u), y = x·s and
//   dx = dy·(s + x·s·(1 − s)·u'),   1 − s being the sigmoid of −u.
// By erf: with Φ = erfc(−x/√2)/2, which does not cancel, and φ = e^(−x²/2)/√(2π), y = x·Φ and dx = dy·(Φ + x·φ).
// A thread has one piece of one row, block (t, c) the c-th 256 pieces of row t. All is read before it is written, so
// that outputs may be the inputs' memory. Bytes, T rows of F: forward 2·T·F·size, backward 3·T·F·size.
#include "cuda/kernels/gelu.h"
#include "cuda/kernels/piece.h"
#include "cuda/kernels/tensor.h"
#include "ops/gelu.h"

namespace graft::cuda {
namespace {

GRAFT_DEVICE float normal_distribution(float x) { return erfcf(-0.70710678118654752f * x) / 2; }
GRAFT_DEVICE float normal_density(float x) { return expf(-x * x / 2) * 0.39894228040143268f; }

/** why: −∞ · 0 would be NaN. */
template <bool Erf>
GRAFT_DEVICE float gelu(float x) {
  if constexpr (Erf) {
    return x < -40 ? 0.0f : x * normal_distribution(x);
  } else {
    return x * gelu_sigmoid(x);
  }
}

template <bool Erf>
GRAFT_DEVICE float slope(float x) {
  if constexpr (Erf) {
    const float n = near_zero(x);
    return x != x ? x : normal_distribution(n) + n * normal_density(n);
  } else {
    const float s = gelu_sigmoid(x);
    return s + x * s * gelu_rest(x);
  }
}

template <class T, int Width, bool Erf>
__global__ void __launch_bounds__(kThreads) gelu_forward(Rows<const T> x, std::int64_t columns, Rows<T> y) {
  const std::int64_t t = blockIdx.x, j = piece_column<Width>();
  if (GRAFT_BUG(gelu_guard) ? j > columns : j >= columns) return;
  const auto from = load_piece<Width>(x[t] + j);
  Piece<T, Width> to;
  for (int i = 0; i < Width; ++i) to.at[i] = from_float<T>(gelu<Erf>(to_float(from.at[i])));
  store_piece(y[t] + j, to);
}

template <class T, int Width, bool Erf>
__global__ void __launch_bounds__(kThreads)
    gelu_backward(Rows<const T> dy, Rows<const T> x, std::int64_t columns, Rows<T> dx) {
  const std::int64_t t = blockIdx.x, j = piece_column<Width>();
  if (j >= columns) return;
  const auto d = load_piece<Width>(dy[t] + j), from = load_piece<Width>(x[t] + j);
  Piece<T, Width> to;
  for (int i = 0; i < Width; ++i) to.at[i] = from_float<T>(to_float(d.at[i]) * slope<Erf>(to_float(from.at[i])));
  store_piece(dx[t] + j, to);
}

}  // namespace

std::string refuse(const ops::GeluForward& a) { return refuse_pieces(*a.x); }

void run(core::Context& context, const ops::GeluForward& a) {
  visit(a.x->dtype, [&](auto type) {
    using T = decltype(type);
    with_width<T>(in_packs({a.x, a.y}), [&](auto width) {
      const auto with = [&](auto kernel) {
        launch({"gelu_forward", piece_grid(*a.x, width), kThreads, 0, stream(context)}, kernel, rows<const T>(a.x),
               a.x->shape[1], rows<T>(a.y));
      };
      a.kind == GRAFT_GELU_ERF ? with(gelu_forward<T, width, true>) : with(gelu_forward<T, width, false>);
    });
  });
}

std::string refuse(const ops::GeluBackward& a) { return refuse_pieces(*a.x); }

void run(core::Context& context, const ops::GeluBackward& a) {
  visit(a.x->dtype, [&](auto type) {
    using T = decltype(type);
    with_width<T>(in_packs({a.dy, a.x, a.dx}), [&](auto width) {
      const auto with = [&](auto kernel) {
        launch({"gelu_backward", piece_grid(*a.x, width), kThreads, 0, stream(context)}, kernel, rows<const T>(a.dy),
               rows<const T>(a.x), a.x->shape[1], rows<T>(a.dx));
      };
      a.kind == GRAFT_GELU_ERF ? with(gelu_backward<T, width, true>) : with(gelu_backward<T, width, false>);
    });
  });
}

}  // namespace graft::cuda
