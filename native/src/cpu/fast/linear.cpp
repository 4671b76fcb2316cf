// linear through the GEMM library. y and dx are cut into panels of columns, dw into panels of its own; bias rides in
// the library's epilogue. "few_rows": y of a coded weight straight from the codes.
#include "ops/linear.h"

#include "core/context.h"
#include "core/tensor_check.h"
#include "cpu/fast/coded_weight.h"
#include "cpu/fast/skinny.h"
#include "cpu/fast/visit.h"

namespace graft::cpu {
namespace fast {

std::string refuse(const ops::LinearForward& a) {
  if (a.x->dtype == GRAFT_DTYPE_F64) return "fp64 is for the reference";
  if (a.bias != nullptr && a.bias->dtype == GRAFT_DTYPE_F64) return "bias is fp64";
  return gemm_refuse(a.x->dtype, a.y->dtype);
}

void run(core::Context& context, const ops::LinearForward& a) {
  core::Scratch scratch(context.arena);
  run_panels(context, forward_panels(context, scratch, matrix_of(*a.x), *a.w, matrix_of(*a.y),
                                     a.accumulate ? 1.0f : 0.0f, bias_of(scratch, a.bias)));
}

std::string refuse(const ops::LinearBackward& a) {
  if (a.dy->dtype == GRAFT_DTYPE_F64) return "fp64 is for the reference";
  const std::string refusal = gemm_refuse(a.dy->dtype, a.dy->dtype);
  return refusal.empty() && a.dw != nullptr ? gemm_refuse(a.dy->dtype, GRAFT_DTYPE_F32) : refusal;
}

void run(core::Context& context, const ops::LinearBackward& a) {
  const Matrix dy = matrix_of(*a.dy);
  if (a.dx != nullptr) {
    core::Scratch scratch(context.arena);
    run_panels(context, backward_panels(context, scratch, dy, *a.w, matrix_of(*a.dx), a.accumulate ? 1.0f : 0.0f));
  }
  if (a.dw != nullptr) gemm(context, dy.transposed(), matrix_of(*a.x), matrix_of(*a.dw), 1);
  if (a.dbias != nullptr) column_sums(context, dy, static_cast<float*>(a.dbias->data));
}

}  // namespace fast

namespace few_rows {

std::string refuse(const ops::LinearForward& a) {
  const std::string refusal = fast::refuse_few_rows(*a.w, a.x->shape[0]);
  if (!refusal.empty()) return refusal;
  if (a.x->dtype == GRAFT_DTYPE_F64) return "fp64 is for the reference";
  return a.bias != nullptr && a.bias->dtype == GRAFT_DTYPE_F64 ? "bias is fp64" : "";
}

void run(core::Context& context, const ops::LinearForward& a) {
  core::Scratch scratch(context.arena);
  fast::few_rows_forward(context, matrix_of(*a.x), *a.w, matrix_of(*a.y), a.accumulate ? 1.0f : 0.0f,
                         fast::bias_of(scratch, a.bias));
}

}  // namespace few_rows
}  // namespace graft::cpu
