// oneDNN primitives, cached by shape, strides, types and beta; always created and run single-threaded.
#pragma once

#include "cpu/gemm/gemm.h"

namespace graft::cpu {

/** Why oneDNN has no matmul of these types on this machine; "" when it has. */
std::string matmul_refuse(graft_dtype input, graft_dtype output);

/** The primitive for these shapes, from the cache or new. Throws UNSUPPORTED. */
std::shared_ptr<const Matmul> matmul_for(const Matrix& a, const Matrix& b, const Matrix& c, float beta, bool with_bias);

/** Whether the library multiplies this type of 16 bits as it is, in vectors, not in tiles (AMX). */
bool matmul_in_short_vectors(graft_dtype dtype);

/** Whether the library reads behind the rows of an A like this one, up to the next multiple of 32 columns, and counts
 * on finite values there. */
bool matmul_reads_past_rows(const Matmul& matmul);

/** Scratch bytes that one running matmul needs. */
std::int64_t matmul_scratch(const Matmul& matmul);

/** Runs on the calling thread. */
void matmul_run(const Matmul& matmul, const void* a, const void* b, void* c, const float* bias, void* scratch);

}  // namespace graft::cpu
