// The step of a parameter, and the squared norm of a gradient, cut into chunks of a fixed size that may run on any
// thread: so the work of many parameters is one parallel part (adamw_steps.cpp), with the bits of a call for each.
#pragma once

#include "cpu/fast/elements.h"
#include "ops/adamw.h"

namespace graft::cpu::fast {

/** Blocks that share a scale, in a chunk of a step with moments of 8 bits. */
inline constexpr std::int64_t kCodedBlocksPerChunk = 64;

std::int64_t chunks(const ops::AdamWSquaredNorm&);
std::int64_t chunks(const ops::AdamWStep&);
std::int64_t chunks(const ops::AdamWStep8Bit&);

/** Σ g² over a chunk. */
double sum_chunk(const ops::AdamWSquaredNorm&, std::int64_t chunk);

/** columns: of a weight, which get what becomes of p; NULL: none. */
void run_chunk(const ops::AdamWStep&, const ops::AdamWFactors<float>&, const ops::PacaWrite* columns,
               std::int64_t chunk);
void run_chunk(const ops::AdamWStep8Bit&, const ops::AdamWFactors<float>&, const ops::PacaWrite* columns,
               std::int64_t chunk);

/** g, p, m, v, p_out; p in the place of a p_out that is NULL. */
inline Elements<5> elements_of(const ops::AdamWStep& a) {
  return Elements<5>({a.g, a.p, a.m, a.v, a.p_out == nullptr ? a.p : a.p_out});
}

}  // namespace graft::cpu::fast
