// What a product of tiles that stay in cache is: C [rows, n] = (C +) A · B, in fp32 sums.
//
// Operands are arrays of 32-bit words. A word is one float, or a Pair: two bf16 that are neighbours along the summed
// dimension. A is read word by word with two strides, so that it may lie transposed; B is read along its rows:
//     C[m][j] += Σ_w A[m·am + w·ak] ⊙ B[w·ldb + j]      ⊙: a product of floats, or the dot product of two pairs
// B's and C's rows are padded to whole vectors.
#pragma once

#include "cpu/fast/pair.h"

namespace graft::cpu::fast {

/** What a group of rows needs of a product: words [first, last) of the sum, and columns [0, columns) of the result. */
struct Span {
  std::int64_t first;
  std::int64_t last;
  std::int64_t columns;
};

template <class Word>
struct Operands {
  const Word* a;
  std::int64_t am, ak;
  const Word* b;
  std::int64_t ldb;
  float* c;
  std::int64_t ldc;
  bool accumulate;

  /** The same without the first rows. */
  Operands from(std::int64_t row) const {
    Operands rest = *this;
    rest.a += row * am;
    rest.c += row * ldc;
    return rest;
  }
};

/** Rows of the result that product_in_tiles makes together. */
inline constexpr std::int64_t kRowsInTiles = 32;

/** The product of up to kRowsInTiles rows by tiles (AMX), inside a scope of WholeTiles; am or ak is 1. */
void product_in_tiles(std::int64_t rows, const Operands<Pair>& p, const Span& span);

}  // namespace graft::cpu::fast
