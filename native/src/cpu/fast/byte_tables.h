// y = x Wᵀ of one or two rows of bf16 from codes of four bits, for processors with AVX2 and no longer vectors, in whole
// numbers: a table of 16 of them is one vector of their low bytes and one of their high ones, in which a shuffle of
// bytes finds 32 at once, and one instruction multiplies 16 pairs and adds neighbours. nf4_few_rows.cpp and
// sketch_few_rows.cpp take it where it serves.
#pragma once

#include "core/context.h"
#include "core/nf4.h"
#include "core/sketch.h"
#include "cpu/gemm/gemm.h"
#include "graft/weight.h"

namespace graft::cpu::fast {

/** Most rows of x: more are faster in fp32, which uses each value that is found several times. */
inline constexpr std::int64_t kByteTableRows = 2;

/** Whether this processor multiplies x, a matrix of a few rows, so. */
bool by_byte_tables(const Matrix& x);

/** Columns of a block of 64 whose codes share bytes: NF4 has neighbours, a sketch i and 32 + i. */
enum class Nibbles { kNeighbours, kHalves };

/** x by blocks of 64 columns, of each all rows: whole numbers below 2^14, in the order in which the codes are found,
 * and what one of them is worth, a power of two by the block's largest element. Where they lose too much, the block has
 * a second such part, of what they lost. */
struct WholeRows {
  const std::int16_t* values = nullptr;         // [blocks, rows, 64]; nullptr: x is no such numbers
  const float* units = nullptr;                 // [blocks, rows]
  const std::int64_t* again = nullptr;          // [seconds], ascending: the blocks with a second part
  const std::int16_t* second_values = nullptr;  // [seconds, rows, 64]
  const float* second_units = nullptr;          // [seconds, rows]
  std::int64_t rows = 0, seconds = 0;
};

/** from [rows, columns], columns a multiple of 64. bf16 loses nothing down to 2^-6 of its block's largest element. No
 * values where an element is not finite, or a block beyond 2^60 or below 2^-60. */
WholeRows in_whole_numbers(core::Scratch& scratch, const float* from, std::int64_t rows, std::int64_t columns,
                           Nibbles nibbles);

/** out [count, rows] = W[n..] xᵀ. K is a multiple of 64. */
void nf4_byte_tables(const graft_weight& w, const core::Nf4Scales& scales, std::int64_t n, std::int64_t count,
                     const WholeRows& x, float* out);

/** out [rows] = W[n] xᵀ of a sketch of 4 bits, each group of x filled up to whole blocks; false where a table would
 * lose more than it may of x. */
bool sketch_byte_tables(const graft_weight& w, const core::SketchLayout& layout, std::int64_t n, const WholeRows& x,
                        float* out);

}  // namespace graft::cpu::fast
