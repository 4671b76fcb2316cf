// Sums over the threads of a block in a fixed order: the same bits whatever the schedule.
#pragma once

#include "cuda/device.h"

namespace graft::cuda {

/** The sum of `value` over a warp, in all its lanes. */
template <class T>
GRAFT_DEVICE T warp_sum(T value) {
  for (int bits = 16; bits > 0; bits /= 2) value += __shfl_xor_sync(kWholeWarp, value, bits);
  return value;
}

/** The sum of `value` over a block of whole warps, in all its threads. */
template <int Threads, class T>
GRAFT_DEVICE T block_sum(T value) {
  GRAFT_SHARED(T, of_warp, Threads / 32);
  value = warp_sum(value);
  if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = value;
  __syncthreads();
  T sum = 0;
  for (int warp = 0; warp < Threads / 32; ++warp) sum += of_warp[warp];
  if (!GRAFT_BUG(block_sum_reuses_at_once)) __syncthreads();  // the next sum overwrites of_warp
  return sum;
}

}  // namespace graft::cuda
