// y = x Wᵀ of one or two rows of bf16 from codes of four bits, for processors with AVX2 and no longer vectors: a table
// of 16 values rounded to bf16 is one vector of their low bytes and one of their high ones, in which a shuffle of bytes
// finds 32 at once. nf4_few_rows.cpp and sketch_few_rows.cpp take it where it serves.
#pragma once

#include "core/nf4.h"
#include "core/sketch.h"
#include "cpu/gemm/gemm.h"
#include "graft/weight.h"

namespace graft::cpu::fast {

/** Most rows of x: more are faster by whole numbers, for they use each that is found several times. */
inline constexpr std::int64_t kByteTableRows = 2;

/** Whether x, a matrix of a few rows, is multiplied so. */
bool by_byte_tables(const Matrix& x);

/** Columns of a block of 64 whose codes share bytes: NF4 has neighbours, a sketch i and 32 + i. */
enum class Nibbles { kNeighbours, kHalves };

/** to, by blocks of 64 columns, of each all rows, in the order in which the codes are found = from [rows, columns];
 * columns are a multiple of 64. */
void order_for_byte_tables(const float* from, std::int64_t rows, std::int64_t columns, Nibbles nibbles, float* to);

/** out [count, rows] = W[n..] xᵀ, x in that order. K is a multiple of 64. */
void nf4_byte_tables(const graft_weight& w, const core::Nf4Scales& scales, std::int64_t n, std::int64_t count,
                     const float* x, std::int64_t rows, float* out);

/** The same of a sketch of 4 bits, each group of x filled up to whole blocks. */
void sketch_byte_tables(const graft_weight& w, std::int64_t n, std::int64_t count, const float* x, std::int64_t rows,
                        float* out);

}  // namespace graft::cpu::fast
