// Products of a few rows with a matrix as it lies, of types that the GEMM library cannot multiply: it would have the
// whole matrix converted, while generation is as fast as its weights come from memory.
#pragma once

#include "cpu/gemm/gemm.h"

namespace graft::cpu {

/** Most rows of A. */
inline constexpr std::int64_t kGemvRows = 8;

/** Whether gemv serves: few rows, and B's columns run along memory, as those of a transposed weight do. */
bool gemv_serves(const Matrix& a, const Matrix& b);

/** C [m, n] = A [m, k] · B [k, n] (+ bias) (+ C when beta is 1) with sums in f32 in a fixed order; A is row-major, of
 * B's type, C row-major; B and C are f32, bf16 or f16. On the calling worker. */
void gemv(const Matrix& a, const Matrix& b, const Matrix& c, float beta, const float* bias);

}  // namespace graft::cpu
