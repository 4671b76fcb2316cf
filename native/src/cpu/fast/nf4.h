// NF4 codes by vectors; see coded_weight.h for what they are part of.
#pragma once

#include <string>

#include "cpu/gemm/gemm.h"
#include "graft/weight.h"

namespace graft::cpu::fast {

void decode_nf4(const graft_weight& w, std::int64_t n, std::int64_t k, const Matrix& panel);

std::string refuse_few_rows_nf4(const graft_weight& w);
void few_rows_nf4(core::Context& context, const Matrix& x, const graft_weight& w, const Matrix& y, float beta,
                  const float* bias);

}  // namespace graft::cpu::fast
