// The sums of skinny_bf16.h by tiles of 16 by 16 sums (AMX), on processors whose GEMM runs in tiles too: next to it the
// vector forms would take a quarter of a LoRA layer's time.
#pragma once

#include "cpu/fast/amx.h"
#include "cpu/fast/skinny.h"

namespace graft::cpu::fast {

/** out[t·rank + j] = factor · Σ_i kept x[t, i] · a[j, i]; a [rank, x.columns] as pack_tiles lays it out. */
void row_products_tiles(const Matrix& x, Keep keep, const std::uint32_t* tiles, std::int64_t rank, float factor,
                        float* out);

/** outer_sum of pairs. */
void outer_sum_tiles(const Narrow& s, const Matrix& m, Keep keep, float factor, float* sums, std::int64_t pitch);

}  // namespace graft::cpu::fast
