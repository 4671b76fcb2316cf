#include "cpu/fast/coded_weight.h"

#include "core/context.h"
#include "core/error.h"
#include "core/tensor_check.h"
#include "cpu/fast/nf4.h"
#include "cpu/fast/sketch.h"
#include "cpu/fast/visit.h"

namespace graft::cpu::fast {

void decode(const graft_weight& w, std::int64_t n, std::int64_t k, const Matrix& panel) {
  switch (w.kind) {
    case GRAFT_WEIGHT_NF4:
      return decode_nf4(w, n, k, panel);
    case GRAFT_WEIGHT_SKETCH:
      return decode_sketch(w, n, k, panel);
    default:
      core::fail(GRAFT_INTERNAL, "w is %s, which has no codes", core::kind_name(w.kind));
  }
}

GemmPanels forward_panels(core::Context& context, core::Scratch& scratch, const Matrix& x, const graft_weight& w,
                          const Matrix& y, float beta, const float* bias) {
  if (w.kind == GRAFT_WEIGHT_DENSE)
    return {context, scratch, x, matrix_of(core::dense_matrix(w)).transposed(), y, beta, bias};
  const auto make = [&w](std::int64_t n, const Matrix& panel) { decode(w, n, 0, panel.transposed()); };
  return {context, scratch, x, {row_major(nullptr, x.dtype, w.n, w.k, w.k).transposed(), make}, y, beta, bias};
}

GemmPanels backward_panels(core::Context& context, core::Scratch& scratch, const Matrix& dy, const graft_weight& w,
                           const Matrix& dx, float beta) {
  if (w.kind == GRAFT_WEIGHT_DENSE) return {context, scratch, dy, matrix_of(core::dense_matrix(w)), dx, beta};
  const auto make = [&w](std::int64_t k, const Matrix& panel) { decode(w, 0, k, panel); };
  return {context, scratch, dy, {row_major(nullptr, dy.dtype, w.n, w.k, w.k), make}, dx, beta};
}

void run_panels(core::Context& context, const GemmPanels& panels) {
  core::parallel_for(context, panels.count(), [&](std::int64_t panel, int worker) { panels.run(panel, worker); });
}

std::string refuse_few_rows(const graft_weight& w, std::int64_t rows) {
  if (w.kind == GRAFT_WEIGHT_DENSE) return "w is dense";
  if (rows > kFewRows) return std::to_string(rows) + " rows, more than " + std::to_string(kFewRows);
  return w.kind == GRAFT_WEIGHT_NF4 ? refuse_few_rows_nf4(w) : "";
}

void few_rows_forward(core::Context& context, const Matrix& x, const graft_weight& w, const Matrix& y, float beta,
                      const float* bias) {
  if (x.rows == 0) return;
  (w.kind == GRAFT_WEIGHT_NF4 ? few_rows_nf4 : few_rows_sketch)(context, x, w, y, beta, bias);
}

void store_few_rows(const float* sums, std::int64_t t, std::int64_t first, std::int64_t count, float beta,
                    const float* bias, const Matrix& y) {
  visit_small_float(y.dtype, [&](auto tag) {
    using T = decltype(tag);
    for (std::int64_t i = 0; i < t; ++i) {
      T* to = static_cast<T*>(y.data) + i * y.row_stride + first;
      for (std::int64_t j = 0; j < count; ++j) {
        const float value = sums[j * t + i] + (bias == nullptr ? 0.0f : bias[first + j]);
        to[j] = T(beta == 0 ? value : static_cast<float>(to[j]) + value);
      }
    }
  });
}

}  // namespace graft::cpu::fast
