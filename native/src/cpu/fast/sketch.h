// Sketch codes by vectors; see coded_weight.h for what they are part of.
#pragma once

#include "cpu/gemm/gemm.h"
#include "graft/weight.h"

namespace graft::cpu::fast {

void decode_sketch(const graft_weight& w, std::int64_t n, std::int64_t k, const Matrix& panel);

/** The table of a row's group in fp32: in place where it is f32 and has 16 entries, else in `held` [16]. */
const float* table_of(const graft_weight& w, std::int64_t row, std::int64_t group, float* held);

void few_rows_sketch(core::Context& context, const Matrix& x, const graft_weight& w, const Matrix& y, float beta,
                     const float* bias);

}  // namespace graft::cpu::fast
