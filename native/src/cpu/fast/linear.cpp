// linear through the GEMM library. y and dx are cut into panels of columns, dw into panels of its own; bias rides in
// the library's epilogue.
#include "ops/linear.h"

#include "core/context.h"
#include "core/tensor_check.h"
#include "cpu/fast/skinny.h"
#include "cpu/fast/visit.h"

namespace graft::cpu::fast {

std::string refuse(const ops::LinearForward& a) {
  if (a.x->dtype == GRAFT_DTYPE_F64) return "fp64 is for the reference";
  if (a.bias != nullptr && a.bias->dtype == GRAFT_DTYPE_F64) return "bias is fp64";
  return gemm_refuse(a.x->dtype, a.y->dtype);
}

void run(core::Context& context, const ops::LinearForward& a) {
  core::Scratch scratch(context.arena);
  gemm(context, matrix_of(*a.x), matrix_of(core::dense_matrix(*a.w)).transposed(), matrix_of(*a.y),
       a.accumulate ? 1.0f : 0.0f, bias_of(scratch, a.bias));
}

std::string refuse(const ops::LinearBackward& a) {
  if (a.dy->dtype == GRAFT_DTYPE_F64) return "fp64 is for the reference";
  const std::string refusal = gemm_refuse(a.dy->dtype, a.dy->dtype);
  return refusal.empty() && a.dw != nullptr ? gemm_refuse(a.dy->dtype, GRAFT_DTYPE_F32) : refusal;
}

void run(core::Context& context, const ops::LinearBackward& a) {
  const Matrix dy = matrix_of(*a.dy);
  if (a.dx != nullptr)
    gemm(context, dy, matrix_of(core::dense_matrix(*a.w)), matrix_of(*a.dx), a.accumulate ? 1.0f : 0.0f);
  if (a.dw != nullptr) gemm(context, dy.transposed(), matrix_of(*a.x), matrix_of(*a.dw), 1);
  if (a.dbias != nullptr) column_sums(context, dy, static_cast<float*>(a.dbias->data));
}

}  // namespace graft::cpu::fast
