// activation: y = max(x, 0), tanh x or 1/(1 + e^-x), and from y
//   dx = dy·[y > 0],   dy·(1 − y)(1 + y)   or   dy·y·(1 − y).
// A thread has one piece of one row, block (t, c) the c-th 256 pieces of row t. All is read before it is written, so
// that outputs may be the inputs' memory. Bytes, T rows of F: forward 2·T·F·size, backward 3·T·F·size.
#include "cuda/kernels/piece.h"
#include "cuda/kernels/tensor.h"
#include "ops/activation.h"

namespace graft::cuda {
namespace {

GRAFT_DEVICE float value_of(std::int32_t kind, float x) {
  if (kind == GRAFT_ACTIVATION_TANH) return tanhf(x);
  if (kind == GRAFT_ACTIVATION_SIGMOID) return 1 / (1 + expf(-x));
  return x < 0 ? 0.0f : x;  // NaN stays
}

GRAFT_DEVICE float slope_of(std::int32_t kind, float y) {
  if (kind == GRAFT_ACTIVATION_TANH) return (1 - y) * (1 + y);
  if (kind == GRAFT_ACTIVATION_SIGMOID) return y * (1 - y);
  return y > 0 ? 1.0f : 0.0f;
}

template <class T, int Width>
__global__ void __launch_bounds__(kThreads)
    activation_forward(std::int32_t kind, Rows<const T> x, std::int64_t columns, Rows<T> y) {
  const std::int64_t t = blockIdx.x, j = piece_column<Width>();
  if (GRAFT_BUG(activation_guard) ? j > columns : j >= columns) return;
  const auto from = load_piece<Width>(x[t] + j);
  Piece<T, Width> to;
  for (int i = 0; i < Width; ++i) to.at[i] = from_float<T>(value_of(kind, to_float(from.at[i])));
  store_piece(y[t] + j, to);
}

template <class T, int Width>
__global__ void __launch_bounds__(kThreads)
    activation_backward(std::int32_t kind, Rows<const T> dy, Rows<const T> y, std::int64_t columns, Rows<T> dx) {
  const std::int64_t t = blockIdx.x, j = piece_column<Width>();
  if (j >= columns) return;
  const auto d = load_piece<Width>(dy[t] + j), from = load_piece<Width>(y[t] + j);
  Piece<T, Width> to;
  for (int i = 0; i < Width; ++i) to.at[i] = from_float<T>(to_float(d.at[i]) * slope_of(kind, to_float(from.at[i])));
  store_piece(dx[t] + j, to);
}

}  // namespace

std::string refuse(const ops::ActivationForward& a) { return refuse_pieces(*a.x); }

void run(core::Context& context, const ops::ActivationForward& a) {
  visit(a.x->dtype, [&](auto type) {
    using T = decltype(type);
    with_width<T>(in_packs({a.x, a.y}), [&](auto width) {
      launch({"activation_forward", piece_grid(*a.x, width), kThreads, 0, stream(context)},
             activation_forward<T, width>, a.kind, rows<const T>(a.x), a.x->shape[1], rows<T>(a.y));
    });
  });
}

std::string refuse(const ops::ActivationBackward& a) { return refuse_pieces(*a.dy); }

void run(core::Context& context, const ops::ActivationBackward& a) {
  visit(a.dy->dtype, [&](auto type) {
    using T = decltype(type);
    with_width<T>(in_packs({a.dy, a.y, a.dx}), [&](auto width) {
      launch({"activation_backward", piece_grid(*a.dy, width), kThreads, 0, stream(context)},
             activation_backward<T, width>, a.kind, rows<const T>(a.dy), rows<const T>(a.y), a.dy->shape[1],
             rows<T>(a.dx));
    });
  });
}

}  // namespace graft::cuda
