// Products of large matrices by cuBLASLt, which is known in this folder alone. All matrices are row-major with a pitch.
#pragma once

#include <cstdint>
#include <string>

#include "core/context.h"
#include "graft/tensor.h"

namespace graft::cuda {

/** A factor of a product: a matrix in memory, or its transpose. */
struct Factor {
  const void* data;
  std::int64_t rows, columns, pitch;  // in memory
  bool transposed = false;

  Factor t() const { return {data, rows, columns, pitch, !transposed}; }
  std::int64_t height() const { return transposed ? columns : rows; }
  std::int64_t width() const { return transposed ? rows : columns; }
};

/** The whole of a matrix tensor. */
inline Factor factor(const graft_tensor& m) { return {m.data, m.shape[0], m.shape[1], m.stride[0]}; }

/** c [M, N] = alpha · a · b + beta · c + bias, summed in fp32. Nothing is done when M or N is 0; the sum must not be
 * empty. */
struct Gemm {
  Factor a, b;
  graft_dtype factors;  // of a and b: f32, bf16, f16
  void* c;
  std::int64_t c_pitch;
  graft_dtype result;  // f32 or that of the factors
  float alpha = 1, beta = 0;
  const void* bias = nullptr;  // [N] of c's dtype, or NULL
};

/** Why a product of such factors is not served. */
std::string refuse_gemm(graft_dtype factors, graft_dtype result);

/** Puts the product behind the work of the stream. The same shapes get the same algorithm, and so the same bits. */
void run(core::Context& context, const Gemm& g);

}  // namespace graft::cuda
