// ia3: y = z ⊙ l_out (+ y) with z = (x ⊙ l_in) Wᵀ + bias; backward, with dxs = (dy ⊙ l_out) W,
//   dx = dxs ⊙ l_in (+ dx),  dl_in += Σ_t dxs ⊙ x,  dl_out += Σ_t dy ⊙ z,  dbias += l_out ⊙ Σ_t dy.
//
// The products are linear's, over copies of x and dy that are scaled; dxs stays in fp32 until dx and dl_in are made of
// it in one pass. A block of a sum has 32 pieces of columns and a group of rows (row_groups.h), one of a scaling 256
// pieces of a row. Bytes beside the products': scaling 2·T·K·size (x), 2·T·N·size (z into y; dy); dx and dl_in T·K·(4 +
// 2·size), and 4·T·K written for them; dl_out 2·T·N·size.
#include "core/tensor_check.h"
#include "cuda/kernels/column_sums.h"
#include "cuda/kernels/linear.h"
#include "cuda/kernels/row_groups.h"
#include "cuda/kernels/tensor.h"
#include "cuda/kernels/thin.h"
#include "ops/ia3.h"

namespace graft::cuda {
namespace {

/** to = from ⊙ l (+ to), column by column. */
template <class From, class To, int Width>
__global__ void __launch_bounds__(kThreads)
    ia3_scale(Rows<const From> from, Vector l, std::int64_t columns, bool accumulate, Rows<To> to) {
  const std::int64_t t = blockIdx.x, j = (std::int64_t{blockIdx.y} * kThreads + threadIdx.x) * Width;
  if (GRAFT_BUG(ia3_guard) ? j > columns : j >= columns) return;
  const auto piece = load_piece<Width>(from[t] + j);
  Piece<To, Width> scaled{};
  if (accumulate) scaled = load_piece<Width>(to[t] + j);
  GRAFT_UNROLL
  for (int i = 0; i < Width; ++i) {
    const float value = to_float(piece.at[i]) * l.at(j + i);
    scaled.at[i] = from_float<To>(accumulate ? to_float(scaled.at[i]) + value : value);
  }
  store_piece(to[t] + j, scaled);
}

/** parts of Σ_t dxs ⊙ x, and dx = dxs ⊙ l (+ dx) unless NULL. */
template <class T, int Width>
__global__ void __launch_bounds__(kColumnThreads)
    ia3_inputs(Rows<const float> dxs, Rows<const T> x, Vector l, RowGroups groups, std::int64_t columns,
               bool accumulate, Rows<T> dx, float* parts) {
  sum_group<Width>(groups, columns, parts, [&](std::int64_t t, std::int64_t j) {
    Piece<float, Width> terms = load_piece<Width>(dxs[t] + j);
    if (dx.data != nullptr) {
      Piece<T, Width> scaled{};
      if (accumulate) scaled = load_piece<Width>(dx[t] + j);
      GRAFT_UNROLL
      for (int i = 0; i < Width; ++i) {
        const float value = terms.at[i] * l.at(j + i);
        scaled.at[i] = from_float<T>(accumulate ? to_float(scaled.at[i]) + value : value);
      }
      store_piece(dx[t] + j, scaled);
    }
    const auto values = load_piece<Width>(x[t] + j);
    GRAFT_UNROLL
    for (int i = 0; i < Width; ++i) terms.at[i] *= to_float(values.at[i]);
    return terms;
  });
}

/** parts of Σ_t dy ⊙ z. */
template <class T, int Width>
__global__ void __launch_bounds__(kColumnThreads)
    ia3_outputs(Rows<const T> dy, Rows<const T> z, RowGroups groups, std::int64_t columns, float* parts) {
  sum_group<Width>(groups, columns, parts, [&](std::int64_t t, std::int64_t j) {
    const auto d = load_piece<Width>(dy[t] + j), values = load_piece<Width>(z[t] + j);
    Piece<float, Width> terms;
    GRAFT_UNROLL
    for (int i = 0; i < Width; ++i) terms.at[i] = to_float(d.at[i]) * to_float(values.at[i]);
    return terms;
  });
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    ia3_merge(Rows<const T> w, Vector l_in, Vector l_out, std::int64_t columns, Rows<T> merged) {
  const std::int64_t n = blockIdx.x;
  const float row = l_out.at(n);
  for (std::int64_t k = threadIdx.x; k < columns; k += kThreads)
    merged[n][k] = from_float<T>(to_float(w[n][k]) * row * l_in.at(k));
}

template <class From, class To>
void scale(core::Context& context, const graft_tensor& from, const graft_tensor* l, bool accumulate,
           const graft_tensor& to) {
  const std::int64_t columns = to.shape[1];
  with_width<To>(in_packs({&from, &to}), [&](auto width) {
    const dim3 grid(static_cast<unsigned>(to.shape[0]),
                    static_cast<unsigned>(ceil_div<std::int64_t>(columns, std::int64_t{kThreads} * width)));
    launch({"ia3_scale", grid, kThreads, 0, stream(context)}, ia3_scale<From, To, width>, rows<const From>(&from),
           vector(l), columns, accumulate, rows<To>(&to));
  });
}

/** m ⊙ l in scratch; m itself where there is no l. */
graft_tensor scaled(core::Context& context, core::Scratch& scratch, const graft_tensor& m, const graft_tensor* l) {
  if (l == nullptr) return m;
  const graft_tensor to = scratch_matrix(scratch, m.dtype, m.shape[0], m.shape[1]);
  visit(m.dtype, [&](auto type) { scale<decltype(type), decltype(type)>(context, m, l, false, to); });
  return to;
}

std::string refuse_vectors(const graft_tensor* l_in, const graft_tensor* l_out) {
  for (const graft_tensor* l : {l_in, l_out})
    if (l != nullptr && l->dtype == GRAFT_DTYPE_F64) return refuse_f64(*l);
  return {};
}

void input_gradients(core::Context& context, core::Scratch& scratch, const ops::Ia3Backward& a,
                     const graft_tensor& dys) {
  if (a.l_in == nullptr)
    return run(context, ops::LinearBackward{&dys, nullptr, a.w, a.accumulate, a.dx, nullptr, nullptr});
  const std::int64_t t = dys.shape[0], columns = a.w->k;
  graft_tensor dxs = scratch_matrix(scratch, GRAFT_DTYPE_F32, t, columns);
  run(context, ops::LinearBackward{&dys, nullptr, a.w, false, &dxs, nullptr, nullptr});
  visit(dys.dtype, [&](auto type) {
    using T = decltype(type);
    if (a.dl_in == nullptr) return scale<float, T>(context, dxs, a.l_in, a.accumulate, *a.dx);
    const RowGroups groups(t);
    auto* const parts = scratch.take<float>(groups.count * columns);
    with_width<T>(in_packs({&dxs, a.x, a.dx}), [&](auto width) {
      launch({"ia3_inputs", groups.grid(columns, width), kColumnThreads, 0, stream(context)}, ia3_inputs<T, width>,
             rows<const float>(&dxs), rows<const T>(a.x), vector(a.l_in), groups, columns, a.accumulate, rows<T>(a.dx),
             parts);
    });
    add_parts(context, parts, groups.count, columns, data<float>(a.dl_in));
  });
}

}  // namespace

std::string refuse(const ops::Ia3Forward& a) {
  const std::string refusal = refuse(ops::LinearForward{a.x, a.w, a.bias, a.accumulate, a.y});
  return refusal.empty() ? refuse_vectors(a.l_in, a.l_out) : refusal;
}

void run(core::Context& context, const ops::Ia3Forward& a) {
  core::Scratch scratch(context.arena);
  const graft_tensor xs = scaled(context, scratch, *a.x, a.l_in);
  if (a.l_out == nullptr && a.z == nullptr)
    return run(context, ops::LinearForward{&xs, a.w, a.bias, a.accumulate, a.y});
  graft_tensor z = a.z != nullptr ? *a.z : scratch_matrix(scratch, a.y->dtype, a.y->shape[0], a.y->shape[1]);
  run(context, ops::LinearForward{&xs, a.w, a.bias, false, &z});
  visit(z.dtype, [&](auto type) { scale<decltype(type), decltype(type)>(context, z, a.l_out, a.accumulate, *a.y); });
}

std::string refuse(const ops::Ia3Backward& a) {
  const std::string refusal = refuse(ops::LinearBackward{a.dy, nullptr, a.w, a.accumulate, a.dx, nullptr, nullptr});
  return refusal.empty() ? refuse_vectors(a.l_in, a.l_out) : refusal;
}

void run(core::Context& context, const ops::Ia3Backward& a) {
  const std::int64_t t = a.dy->shape[0], n = a.w->n;
  core::Scratch scratch(context.arena);
  if (a.dx != nullptr || a.dl_in != nullptr)
    input_gradients(context, scratch, a, scaled(context, scratch, *a.dy, a.l_out));
  if (t == 0 || n == 0) return;
  const RowGroups groups(t);
  auto* const parts = scratch.take<float>(groups.count * n);
  visit(a.dy->dtype, [&](auto type) {
    using T = decltype(type);
    if (a.dl_out != nullptr) {
      with_width<T>(in_packs({a.dy, a.z}), [&](auto width) {
        launch({"ia3_outputs", groups.grid(n, width), kColumnThreads, 0, stream(context)}, ia3_outputs<T, width>,
               rows<const T>(a.dy), rows<const T>(a.z), groups, n, parts);
      });
      add_parts(context, parts, groups.count, n, data<float>(a.dl_out));
    }
  });
  if (a.dbias != nullptr) column_sums(context, *a.dy, data<float>(a.dbias), Terms::kValues, a.l_out);
}

std::string refuse(const ops::Ia3Merge& a) {
  const std::string refusal = refuse_f64(*a.merged);
  return refusal.empty() ? refuse_vectors(a.l_in, a.l_out) : refusal;
}

void run(core::Context& context, const ops::Ia3Merge& a) {
  const graft_tensor w = core::dense_matrix(*a.w);
  visit(w.dtype, [&](auto type) {
    using T = decltype(type);
    launch({"ia3_merge", static_cast<unsigned>(a.w->n), kThreads, 0, stream(context)}, ia3_merge<T>, rows<const T>(&w),
           vector(a.l_in), vector(a.l_out), a.w->k, rows<T>(a.merged));
  });
}

}  // namespace graft::cuda
