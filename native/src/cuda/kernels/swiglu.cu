// swiglu: with z = gate, or by GELU z = √(8/π)·(gate + 0.044715·gate³), and s = 1/(1 + e^-z): y = gate·s·up and
//   dup = dy·gate·s,   dgate = dy·up·s·(1 + gate·(1 − s)·z'),   by GELU 1 − s being the sigmoid of −z.
// A thread has one piece of one row, block (t, c) the c-th 256 pieces of row t. All is read before it is written, so
// that outputs may be the inputs' memory. Bytes, T rows of F: forward 3·T·F·size, backward 5·T·F·size.
#include "cuda/kernels/gelu.h"
#include "cuda/kernels/piece.h"
#include "cuda/kernels/tensor.h"
#include "ops/swiglu.h"

namespace graft::cuda {
namespace {

template <bool Gelu>
GRAFT_DEVICE float sigmoid(float x) {
  if constexpr (Gelu) {
    return gelu_sigmoid(x);
  } else {
    return 1 / (1 + expf(-x));
  }
}

/** (1 − s)·z'. */
template <bool Gelu>
GRAFT_DEVICE float rest(float x, float s) {
  if constexpr (Gelu) {
    return gelu_rest(x);
  } else {
    return 1 - s;
  }
}

template <class T, int Width, bool Gelu>
__global__ void __launch_bounds__(kThreads)
    swiglu_forward(Rows<const T> gate, Rows<const T> up, std::int64_t columns, Rows<T> y) {
  const std::int64_t t = blockIdx.x, j = piece_column<Width>();
  if (GRAFT_BUG(swiglu_guard) ? j > columns : j >= columns) return;
  const auto g = load_piece<Width>(gate[t] + j), u = load_piece<Width>(up[t] + j);
  Piece<T, Width> to;
  for (int i = 0; i < Width; ++i) {
    const float x = to_float(g.at[i]);
    to.at[i] = from_float<T>(x * sigmoid<Gelu>(x) * to_float(u.at[i]));
  }
  store_piece(y[t] + j, to);
}

template <class T, int Width, bool Gelu>
__global__ void __launch_bounds__(kThreads) swiglu_backward(Rows<const T> dy, Rows<const T> gate, Rows<const T> up,
                                                            std::int64_t columns, Rows<T> dgate, Rows<T> dup) {
  const std::int64_t t = blockIdx.x, j = piece_column<Width>();
  if (j >= columns) return;
  const auto d = load_piece<Width>(dy[t] + j), g = load_piece<Width>(gate[t] + j), u = load_piece<Width>(up[t] + j);
  Piece<T, Width> to_gate, to_up;
  for (int i = 0; i < Width; ++i) {
    const float x = to_float(g.at[i]), s = sigmoid<Gelu>(x), dyi = to_float(d.at[i]);
    to_gate.at[i] = from_float<T>(dyi * to_float(u.at[i]) * s * (1 + x * rest<Gelu>(x, s)));
    to_up.at[i] = from_float<T>(dyi * x * s);
  }
  if (dgate.data != nullptr) store_piece(dgate[t] + j, to_gate);
  if (dup.data != nullptr) store_piece(dup[t] + j, to_up);
}

}  // namespace

std::string refuse(const ops::SwigluForward& a) { return refuse_pieces(*a.gate); }

void run(core::Context& context, const ops::SwigluForward& a) {
  visit(a.gate->dtype, [&](auto type) {
    using T = decltype(type);
    with_width<T>(in_packs({a.gate, a.up, a.y}), [&](auto width) {
      const auto with = [&](auto kernel) {
        launch({"swiglu_forward", piece_grid(*a.gate, width), kThreads, 0, stream(context)}, kernel,
               rows<const T>(a.gate), rows<const T>(a.up), a.gate->shape[1], rows<T>(a.y));
      };
      a.kind == GRAFT_GLU_SILU ? with(swiglu_forward<T, width, false>) : with(swiglu_forward<T, width, true>);
    });
  });
}

std::string refuse(const ops::SwigluBackward& a) { return refuse_pieces(*a.gate); }

void run(core::Context& context, const ops::SwigluBackward& a) {
  visit(a.gate->dtype, [&](auto type) {
    using T = decltype(type);
    with_width<T>(in_packs({a.dy, a.gate, a.up, a.dgate, a.dup}), [&](auto width) {
      const auto with = [&](auto kernel) {
        launch({"swiglu_backward", piece_grid(*a.gate, width), kThreads, 0, stream(context)}, kernel,
               rows<const T>(a.dy), rows<const T>(a.gate), rows<const T>(a.up), a.gate->shape[1], rows<T>(a.dgate),
               rows<T>(a.dup));
      };
      a.kind == GRAFT_GLU_SILU ? with(swiglu_backward<T, width, false>) : with(swiglu_backward<T, width, true>);
    });
  });
}

}  // namespace graft::cuda
