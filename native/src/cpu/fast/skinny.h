// Products with one side of r columns (a rank), where a GEMM library is far from its speed: they run next to a panel of
// the large GEMM, while the panel is in cache. All sums are in fp32 and in a fixed order.
#pragma once

#include <cstdint>

#include "cpu/gemm/gemm.h"

namespace graft::cpu::fast {

/** Which elements of a matrix are kept by dropout: row t's bits start at bits + t·pitch. bits NULL: all. */
struct Keep {
  const std::uint8_t* bits = nullptr;
  std::int64_t pitch = 0;
};

/** Rows of a narrow factor whose pairs lie together: 16 words for each rank, ranks filled up to a multiple of 16. */
inline constexpr std::int64_t kPairedRows = 32;

inline std::int64_t pair_words(std::int64_t rows, std::int64_t rank) {
  return (rows + kPairedRows - 1) / kPairedRows * ((rank + 15) / 16) * (kPairedRows / 2 * 16);
}

/** The narrow factor s [rows, rank] of outer_sum: f32 values, or, where has_bf16_pairs() and m is bf16, pairs of its
 * rows as pair_rows_bf16 makes them. */
struct Narrow {
  const float* values = nullptr;
  const std::uint32_t* pairs = nullptr;
  std::int64_t rank = 0;

  Narrow from(std::int64_t row) const {  // a multiple of kPairedRows
    return {values == nullptr ? nullptr : values + row * rank,
            pairs == nullptr ? nullptr : pairs + pair_words(row, rank), rank};
  }
};

/** sums[j·pitch + i] += factor · Σ_t s[t, j] · kept m[t, i], for i in m's columns. */
void outer_sum(const Narrow& s, const Matrix& m, Keep keep, float factor, float* sums, std::int64_t pitch);

/** The narrow factor a [rank, columns] of row_products: f32, or, where has_bf16_pairs() and x is bf16, bf16 in tiles,
 * and rows is its shape. */
struct PackedRows {
  Matrix rows;
  const std::uint32_t* tiles;
};

/** a must outlive the result. */
PackedRows packed_rows(core::Scratch& scratch, const Matrix& a);

/** out[t·rank + j] = factor · Σ_i kept x[t, i] · a[j, i]. */
void row_products(const Matrix& x, Keep keep, const PackedRows& a, float factor, float* out);

/** out[t, i] = base[t, i] + factor · kept Σ_j s[t·rank + j] · a[j·a_pitch + i]; out may be base. */
void rank_update(const float* s, std::int64_t rank, const float* a, std::int64_t a_pitch, Keep keep, float factor,
                 const Matrix& base, const Matrix& out);

/** to[t, i] = scale · from[t, i], converting. */
void convert(const Matrix& from, float scale, const Matrix& to);

/** A bias in fp32 for the GEMM library, from the scratch; NULL stays NULL. */
const float* bias_of(core::Scratch& scratch, const graft_tensor* bias);

/** sums[i] += Σ_t m[t, i]. */
void column_sums(core::Context& context, const Matrix& m, float* sums);

}  // namespace graft::cpu::fast
