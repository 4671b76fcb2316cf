// fault: one block looks through all values, each thread through every 256th, and its first thread keeps the first one
// that is outside. Bytes: the values once.
#include "core/tensor_check.h"
#include "cuda/device.h"
#include "cuda/kernels/fault.h"
#include "cuda/kernels/tensor.h"

namespace graft::cuda {
namespace {

struct Nibbles {
  const std::uint8_t* bytes;
  GRAFT_DEVICE int operator[](std::int64_t i) const { return i % 2 == 0 ? bytes[i / 2] >> 4 : bytes[i / 2] & 15; }
};

template <class Ids>
__global__ void __launch_bounds__(kThreads) find_bad_id(Ids ids, std::int64_t count, std::int64_t limit, bool allows,
                                                        std::int64_t allowed, core::Fault* fault, core::Fault found) {
  GRAFT_SHARED(std::int64_t, first_of, kThreads);
  std::int64_t first = count;
  for (std::int64_t t = threadIdx.x; t < count && first == count; t += kThreads) {
    const std::int64_t id = ids[t];
    if ((id < 0 || id >= limit) && !(allows && id == allowed)) first = t;
  }
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
  const auto with = [&](auto ids, std::int64_t count) {
    const core::Fault found{op, name, 0, 0, limit};
    launch({"find_bad_id", 1, kThreads, 0, stream(context)}, find_bad_id<decltype(ids)>, ids, count, limit,
           allowed.has_value(), allowed.value_or(0), context.opened->fault(), found);
  };
  const std::int64_t count = core::elements(values);
  if (values.dtype == GRAFT_DTYPE_I64) return with(data<const std::int64_t>(&values), count);
  if (values.dtype == GRAFT_DTYPE_I32) return with(data<const std::int32_t>(&values), count);
  const auto* const bytes = data<const std::uint8_t>(&values);
  values.rank == 3 ? with(Nibbles{bytes}, 2 * count) : with(bytes, count);
}

}  // namespace graft::cuda
