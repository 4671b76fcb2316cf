// fault: one block looks through all values, each thread through every 256th, and its first thread keeps the first one
// that is outside. Bytes: the values once.
#include "cuda/device.h"
#include "cuda/kernels/fault.h"
#include "cuda/kernels/tensor.h"

namespace graft::cuda {
namespace {

constexpr int kThreads = 256;

template <class Id>
__global__ void __launch_bounds__(kThreads)
    find_bad_id(const Id* ids, std::int64_t count, std::int64_t limit, bool allows, std::int64_t allowed,
                core::Fault* fault, core::Fault found) {
  GRAFT_SHARED(std::int64_t, first_of, kThreads);
  std::int64_t first = count;
  for (std::int64_t t = threadIdx.x; t < count && first == count; t += kThreads)
    if ((ids[t] < 0 || ids[t] >= limit) && !(allows && ids[t] == allowed)) first = t;
  first_of[threadIdx.x] = first;
  __syncthreads();
  if (threadIdx.x != 0) return;
  for (int i = 1; i < kThreads; ++i) first = first_of[i] < first ? first_of[i] : first;
  if (first == count || fault->op != nullptr) return;
  found.position = first;
  found.value = ids[first];
  *fault = found;
}

}  // namespace

void find_outside(core::Context& context, const char* op, const char* name, const graft_tensor& values,
                  std::int64_t limit, std::optional<std::int64_t> allowed) {
  const auto with = [&](auto id) {
    using Id = decltype(id);
    const core::Fault found{op, name, 0, 0, limit};
    launch({"find_bad_id", 1, kThreads, 0, stream(context)}, find_bad_id<Id>, static_cast<const Id*>(values.data),
           values.shape[0], limit, allowed.has_value(), allowed.value_or(0), context.opened->fault(), found);
  };
  values.dtype == GRAFT_DTYPE_I64 ? with(std::int64_t{}) : with(std::int32_t{});
}

}  // namespace graft::cuda
