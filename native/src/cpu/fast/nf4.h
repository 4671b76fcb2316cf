// NF4 codes by vectors; see coded_weight.h for what they are part of.
#pragma once

#include <string>

#include "core/nf4.h"
#include "cpu/gemm/gemm.h"
#include "graft/weight.h"

namespace graft::cpu::fast {

void decode_nf4(const graft_weight& w, std::int64_t n, std::int64_t k, const Matrix& panel);

/** out [rows, t] = W[n..] xᵀ with bf16 products (see has_bf16_pairs). x holds K/64 blocks of t times 32 even and 32 odd
 * elements. */
void few_rows_pairs(const graft_weight& w, const core::Nf4Scales& scales, std::int64_t n, std::int64_t rows,
                    const std::uint16_t* x, std::int64_t t, float* out);

std::string refuse_few_rows_nf4(const graft_weight& w);
void few_rows_nf4(core::Context& context, const Matrix& x, const graft_weight& w, const Matrix& y, float beta,
                  const float* bias);

}  // namespace graft::cpu::fast
