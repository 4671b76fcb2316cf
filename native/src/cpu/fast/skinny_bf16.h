// The skinny products once more for bf16, on processors that multiply pairs of bf16 into fp32 (AVX-512 BF16): twice the
// rate of fp32. Highway 1.0 has no such instruction.
#pragma once

#include "cpu/fast/skinny.h"

namespace graft::cpu::fast {

/** Whether this processor serves the functions below. */
bool has_bf16_pairs();

/** Words of a [rows, columns] as pack_tiles lays it out. */
std::int64_t tile_words(std::int64_t rows, std::int64_t columns);

/** a [rows, columns] of bf16 for row_products_bf16: tiles of 32 columns by 16 rows, transposed in pairs of columns;
 * zeros fill the last ones. */
void pack_tiles(const Matrix& a, std::uint32_t* tiles);

/** pack_tiles of the transpose of a [columns, rows] of bf16. */
void pack_tiles_transposed(const Matrix& a, std::uint32_t* tiles);

/** out[t·rank + j] = factor · Σ_i kept x[t, i] · a[j, i]; x is bf16, a in tiles. Row t's bits start at keep.bits +
 * t·pitch. */
void row_products_bf16(const Matrix& x, Keep keep, const PackedRows& a, float factor, float* out);

/** The same sums as outer_sum of pairs; m is bf16. */
void outer_sum_bf16(const Narrow& s, const Matrix& m, Keep keep, float factor, float* sums, std::int64_t pitch);

/** For each kPairedRows rows t of s [rows, rank], for each rank j, words of s[t, j] and s[t + 1, j] as bf16, the first
 * in the lower half; pair_words(rows, rank) in all, filled up with zeros. s is f32 or bf16. */
void pair_rows_bf16(const Matrix& s, std::uint32_t* pairs);

/** pairs[t, j] = s[t, 2j] and s[t, 2j+1] as bf16, the first in the lower half; (columns + 1) / 2 pairs a row. */
void interleave_bf16(const float* s, std::int64_t rows, std::int64_t columns, std::uint32_t* pairs);

/** out[t, i] += factor · kept Σ_j s[t, j] · a[j, i] of bf16: s as interleave_bf16 makes it, a as pairs of its rows. */
void rank_update_bf16(const std::uint32_t* s, std::int64_t pairs, const std::uint32_t* a, std::int64_t a_pitch,
                      Keep keep, float factor, const Matrix& out);

}  // namespace graft::cpu::fast
