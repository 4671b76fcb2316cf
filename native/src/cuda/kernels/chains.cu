// chains: thread t of the grid looks for the next position with t's id, and for one before, through ids that its block
// brings into shared memory. Bytes: from the L2, T²/256 ids.
#include "cuda/device.h"
#include "cuda/kernels/chains.h"
#include "cuda/kernels/tensor.h"

namespace graft::cuda {
namespace {

template <class Id>
__global__ void __launch_bounds__(kThreads)
    find_next(const Id* ids, std::int64_t count, std::int64_t* next, std::uint8_t* is_first) {
  GRAFT_SHARED(Id, part, kThreads);
  const std::int64_t t = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  const Id id = t < count ? ids[t] : Id{-1};
  std::int64_t behind = count;
  bool first = true;
  for (std::int64_t start = 0; start < count; start += kThreads) {
    if (start + threadIdx.x < count) part[threadIdx.x] = ids[start + threadIdx.x];
    __syncthreads();
    const int end = count - start < kThreads ? static_cast<int>(count - start) : kThreads;
    for (int i = 0; i < end; ++i) {
      if (part[i] != id || start + i == t) continue;
      if (start + i < t) first = false;
      if (start + i > t && start + i < behind) behind = start + i;
    }
    if (!GRAFT_BUG(chains_no_barrier)) __syncthreads();  // the next part overwrites this one
  }
  if (t >= count) return;
  next[t] = behind;
  is_first[t] = first;
}

}  // namespace

Chains find_chains(core::Context& context, core::Scratch& scratch, const graft_tensor& ids) {
  const std::int64_t count = ids.shape[0];
  auto* const next = scratch.take<std::int64_t>(count);
  auto* const is_first = scratch.take<std::uint8_t>(count);
  const auto with = [&](auto id) {
    using Id = decltype(id);
    launch(over(context, "find_next", count), find_next<Id>, data<const Id>(&ids), count, next, is_first);
  };
  ids.dtype == GRAFT_DTYPE_I64 ? with(std::int64_t{}) : with(std::int32_t{});
  return {next, is_first};
}

}  // namespace graft::cuda
