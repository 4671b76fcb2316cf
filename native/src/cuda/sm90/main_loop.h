// The main loop of the products here. A block makes a tile of 128 x 128 of the result: its first warpgroup loads, the
// next two multiply, each 64 rows, and what they hand to each other are stages of 64 steps of the sum, four of them in
// a ring. A stage is two swizzled tiles of 16 KiB, left for rows and right for columns of the result: each either along
// the sum, [128][64 steps], or across it, two of [64 steps][64].
//
// full[stage] ends a phase when the stage's tiles are there, empty[stage] when all eight warps that multiply have read
// them. The products of a stage are under way while the next stage's begin: a stage is handed back one step late.
#pragma once

#include "cuda/device_sm90.h"

namespace graft::cuda::sm90 {

inline constexpr int kGroup = 128;  // threads of a warpgroup
inline constexpr int kThreads = 3 * kGroup, kLoaderRegisters = 40, kMultiplierRegisters = 232;
inline constexpr int kTile = 128, kSteps = 64, kHalf = 64, kStages = 4, kMultiplyingWarps = 8;
inline constexpr int kSums = kTile / 2;               // of a thread: 64 rows of 128 columns by a warpgroup
inline constexpr int kRowBytes = kSteps * 2;          // of a swizzled tile
inline constexpr int kTileBytes = kTile * kRowBytes;  // 16 KiB
inline constexpr int kHalfBytes = kHalf * kRowBytes;  // of a tile's 64 rows
inline constexpr int kStageBytes = 2 * kTileBytes;
inline constexpr std::size_t kSwizzle = 1024;
inline constexpr std::size_t kSharedBytes = kStages * kStageBytes + kSwizzle;

/** Where the stages begin: the swizzle repeats every 1024 bytes of shared addresses. */
GRAFT_DEVICE unsigned char* stages_in(unsigned char* memory) {
  const auto address = reinterpret_cast<std::uintptr_t>(memory);
  return memory + ((address + kSwizzle - 1) / kSwizzle * kSwizzle - address);
}

/** By one thread, before a barrier of the block. */
GRAFT_DEVICE void init_ring(Barrier* full, Barrier* empty, unsigned arrivals_of_full) {
  for (int stage = 0; stage < kStages; ++stage) {
    barrier_init(full + stage, arrivals_of_full);
    barrier_init(empty + stage, kMultiplyingWarps);
  }
  if (!GRAFT_BUG(sm90_no_fence_of_barriers)) fence_barrier_init();
}

/** Of those who fill: the stage of this step is free. */
GRAFT_DEVICE void wait_empty(Barrier* empty, int step) {
  const unsigned parity = step / kStages & 1;
  if (!GRAFT_BUG(sm90_no_wait_for_empty))
    barrier_wait(empty + step % kStages, GRAFT_BUG(sm90_wrong_parity) ? parity : parity ^ 1);
}

/** A tile of 128 of the result, from `at` on, and 64 steps of the sum, from `step` on: 128 rows of the matrix along the
 * sum, 64 across it. */
template <Major major>
GRAFT_DEVICE void load_tile(unsigned char* to, const TensorMap& map, std::int64_t at, std::int64_t step,
                            Barrier* full) {
  if constexpr (major == Major::kAlongK) {
    load_box(to, map, at, step, full);
  } else {
    load_box(to, map, step, at, full);
    load_box(to + kHalfBytes, map, step, at + kHalf, full);
  }
}

/** sums += the products of all stages, of the warpgroup's 64 rows: `group` is 0 or 1. */
template <Major left_major, Major right_major>
GRAFT_DEVICE void multiply(float (&sums)[kSums], const unsigned char* stages, Barrier* full, Barrier* empty, int group,
                           int first, int steps) {
  const bool elected = threadIdx.x % 32 == 0;
  for (int step = first; step < first + steps; ++step) {
    const unsigned char* const stage = stages + step % kStages * kStageBytes;
    if (!GRAFT_BUG(sm90_no_wait_for_full)) barrier_wait(full + step % kStages, step / kStages & 1);
    // Both ways 64 rows of the result are 8 KiB: 64 rows of a tile along the sum, or the second tile across it.
    const std::uint64_t left = operand<left_major>(stage + group * kHalfBytes);
    const std::uint64_t right = operand<right_major>(stage + kTileBytes, kHalfBytes);
    if (!GRAFT_BUG(sm90_no_wgmma_fence)) wgmma_fence(sums);
    GRAFT_UNROLL
    for (int k = 0; k < kSteps / 16; ++k)
      wgmma<left_major, right_major>(sums, steps_further<left_major>(left, k), steps_further<right_major>(right, k),
                                     true);
    wgmma_commit();
    // why one step late: the tensor cores have the next stage's products before this one's end.
    if (!GRAFT_BUG(sm90_no_wgmma_wait)) wgmma_wait<1>(sums);
    const int read = GRAFT_BUG(sm90_stage_too_early) ? step : step - 1;
    if (read >= first && elected) barrier_arrive(empty + read % kStages);
  }
  wgmma_wait<0>(sums);
  if (steps > 0 && elected && !GRAFT_BUG(sm90_stage_too_early)) barrier_arrive(empty + (first + steps - 1) % kStages);
}

}  // namespace graft::cuda::sm90
