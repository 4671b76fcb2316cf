// hira: y = x W'ᵀ and dx = dy W' with W' = W ⊙ (1 + b a); with H = (dyᵀ x) ⊙ W, da += bᵀ H and db += H aᵀ.
//
// W' exists in panels of 4 Mi elements, each made of W, dense or decoded, just before the library's product reads it
// from the L2; H in panels of 2 Mi in fp32. A thread makes four rows of a column of W', so that a is read once for
// four. FLOPs beside the layer's 2·T·N·K: 2·r·N·K a direction; for the gradients 2·T·N·K and 4·r·N·K. Bytes through the
// L2: a panel written and read, 4·N·K for bf16; H written, weighed and read twice, 20·N·K.
#include <algorithm>

#include "core/tensor_check.h"
#include "cuda/device.h"
#include "cuda/kernels/convert.h"
#include "cuda/kernels/linear.h"
#include "cuda/kernels/tensor.h"
#include "ops/hira.h"

namespace graft::cuda {
namespace {

constexpr int kPanelRows = 4;

/** to [rows, columns] = w ⊙ (1 + b a), may be w. */
template <class T>
__global__ void __launch_bounds__(kThreads) hira_make(Rows<const T> w, Rows<const float> a, Rows<const float> b,
                                                      int rank, std::int64_t rows, std::int64_t columns, Rows<T> to) {
  const std::int64_t n = std::int64_t{blockIdx.x} * kPanelRows, k = std::int64_t{blockIdx.y} * kThreads + threadIdx.x;
  if (k >= columns) return;
  float factor[kPanelRows] = {1, 1, 1, 1};
  for (int r = 0; r < rank; ++r) {
    const float value = a[r][k];
    GRAFT_UNROLL
    for (int i = 0; i < kPanelRows; ++i)
      if (n + i < rows) factor[i] += b[n + (GRAFT_BUG(hira_row_of_group) ? 0 : i)][r] * value;
  }
  GRAFT_UNROLL
  for (int i = 0; i < kPanelRows; ++i)
    if (n + i < rows) to[n + i][k] = from_float<T>(to_float(w[n + i][k]) * factor[i]);
}

/** h [rows, columns] without gaps *= w. */
template <class T>
__global__ void __launch_bounds__(kThreads)
    hira_weigh(Rows<const T> w, std::int64_t rows, std::int64_t columns, float* h) {
  const std::int64_t at = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (at < rows * columns)
    h[at] *= to_float(w[at / (GRAFT_BUG(hira_weigh_row) ? rows * columns : columns)][at % columns]);
}

/** 1 + b a in f32 factors, and W times parts of it. */
struct Scaled {
  Scaled(core::Context& context, core::Scratch& scratch, const graft_tensor& a, const graft_tensor& b)
      : a(as_floats(context, scratch, a)), b(as_floats(context, scratch, b)) {}

  /** to = w ⊙ (1 + b a), both from (row, column) of W on. */
  void make(core::Context& context, const graft_tensor& w, std::int64_t row, std::int64_t column,
            const graft_tensor& to) const {
    const std::int64_t rows = w.shape[0], columns = w.shape[1];
    const int rank = static_cast<int>(a.shape[0]);
    const graft_tensor down = part(a, 0, column, rank, columns), up = part(b, row, 0, rows, rank);
    visit(to.dtype, [&](auto type) {
      using T = decltype(type);
      const dim3 grid(static_cast<unsigned>(ceil_div<std::int64_t>(rows, kPanelRows)), blocks_for(columns));
      launch({"hira_make", grid, kThreads, 0, stream(context)}, hira_make<T>, graft::cuda::rows<const T>(&w),
             graft::cuda::rows<const float>(&down), graft::cuda::rows<const float>(&up), rank, rows, columns,
             graft::cuda::rows<T>(&to));
    });
  }

  const graft_tensor a, b;
};

/** Calls body(first, panel) for panels of W' as `dtype`: of its rows, or of its columns. */
template <class Body>
void for_panels(core::Context& context, const graft_weight& w, const Scaled& scaled, graft_dtype dtype, bool rows,
                Body&& body) {
  const std::int64_t all = rows ? w.n : w.k, other = rows ? w.k : w.n, size = panel_size(all, other, kPanelElements);
  core::Scratch scratch(context.arena);
  void* const memory = scratch.take<char>(size * other * graft_dtype_bytes(dtype));
  for (std::int64_t first = 0; first < all; first += size) {
    const std::int64_t count = std::min(size, all - first), row = rows ? first : 0, column = rows ? 0 : first;
    const std::int64_t height = rows ? count : w.n, width = rows ? w.k : count;
    const graft_tensor panel{memory, dtype, GRAFT_DEVICE_CUDA, 2, 0, {height, width}, {width, 1}};
    scaled.make(context, weight_panel(context, w, dtype, row, column, height, width, memory), row, column, panel);
    body(first, panel);
  }
}

void gradients(core::Context& context, const ops::HiraBackward& a, const Scaled& scaled) {
  const graft_weight& w = *a.w;
  const std::int64_t rank = scaled.a.shape[0], size = panel_size(w.n, w.k, kGradientElements);
  core::Scratch scratch(context.arena);
  auto* const h = scratch.take<float>(size * w.k);
  void* const memory =
      scratch.take<char>(w.kind == GRAFT_WEIGHT_DENSE ? 0 : size * w.k * graft_dtype_bytes(a.dy->dtype));
  for (std::int64_t first = 0; first < w.n; first += size) {
    const std::int64_t rows = std::min(size, w.n - first);
    const graft_tensor dy = part(*a.dy, 0, first, a.dy->shape[0], rows), up = part(scaled.b, first, 0, rows, rank);
    const graft_tensor panel{h, GRAFT_DTYPE_F32, GRAFT_DEVICE_CUDA, 2, 0, {rows, w.k}, {w.k, 1}};
    run(context, Gemm{factor(dy).t(), factor(*a.x), dy.dtype, h, w.k, GRAFT_DTYPE_F32});
    const graft_tensor weights = weight_panel(context, w, dy.dtype, first, 0, rows, w.k, memory);
    visit(dy.dtype, [&](auto type) {
      using T = decltype(type);
      launch(over(context, "hira_weigh", rows * w.k), hira_weigh<T>, graft::cuda::rows<const T>(&weights), rows, w.k,
             h);
    });
    if (a.da != nullptr) product(context, factor(up).t(), factor(panel), GRAFT_DTYPE_F32, true, *a.da);
    if (a.db != nullptr)
      product(context, factor(panel), factor(scaled.a).t(), GRAFT_DTYPE_F32, true, part(*a.db, first, 0, rows, rank));
  }
}

}  // namespace

std::string refuse(const ops::HiraForward& a) {
  const std::string refusal = refuse(ops::LinearForward{a.x, a.w, nullptr, a.accumulate, a.y});
  return refusal.empty() ? refuse_f64(*a.a, *a.b) : refusal;
}

void run(core::Context& context, const ops::HiraForward& a) {
  core::Scratch scratch(context.arena);
  const Scaled scaled(context, scratch, *a.a, *a.b);
  for_panels(context, *a.w, scaled, a.x->dtype, true, [&](std::int64_t first, const graft_tensor& panel) {
    product(context, factor(*a.x), factor(panel).t(), a.x->dtype, a.accumulate,
            part(*a.y, 0, first, a.y->shape[0], panel.shape[0]));
  });
}

std::string refuse(const ops::HiraBackward& a) {
  const std::string refusal = refuse(ops::LinearBackward{a.dy, nullptr, a.w, a.accumulate, a.dx, nullptr, nullptr});
  return refusal.empty() ? refuse_f64(*a.a, *a.b) : refusal;
}

void run(core::Context& context, const ops::HiraBackward& a) {
  core::Scratch scratch(context.arena);
  const Scaled scaled(context, scratch, *a.a, *a.b);
  if (a.dx != nullptr)
    for_panels(context, *a.w, scaled, a.dy->dtype, false, [&](std::int64_t first, const graft_tensor& panel) {
      product(context, factor(*a.dy), factor(panel), a.dy->dtype, a.accumulate,
              part(*a.dx, 0, first, a.dx->shape[0], panel.shape[1]));
    });
  const bool empty = a.dy->shape[0] == 0 || a.w->n == 0 || a.w->k == 0;
  if ((a.da != nullptr || a.db != nullptr) && !empty) gradients(context, a, scaled);
}

std::string refuse(const ops::HiraMerge& a) {
  const std::string refusal = refuse_f64(*a.merged);
  return refusal.empty() ? refuse_f64(*a.a, *a.b) : refusal;
}

void run(core::Context& context, const ops::HiraMerge& a) {
  core::Scratch scratch(context.arena);
  Scaled(context, scratch, *a.a, *a.b).make(context, core::dense_matrix(*a.w), 0, 0, *a.merged);
}

}  // namespace graft::cuda
