// Gathered columns on the CUDA device: each is the one that is named, and zero where none is.
#include "cuda/kernels/gather.h"

#include "schedules.h"

namespace graft::test {
namespace {

TEST(CudaGather, ManySchedulesGiveTheColumns) {
  const Context cuda(GRAFT_DEVICE_CUDA);
  core::Context& context = *static_cast<graft_context*>(cuda);
  Tensor from = input(cuda, kBf16, kBf16, {3, 5}, 1), indices(cuda, kI64, {4}), to(cuda, kBf16, {3, 4});
  indices.set({4, 0, 5, 4});
  const std::vector<double> f = from.get();
  for_schedules(2, [&] {
    graft::cuda::gather_columns(context, "gather", *indices, *from, *to);
    expect_error(graft_context_synchronize(cuda), GRAFT_INVALID_ARGUMENT, {"gather", "indices[2] is 5", "0..4"});
    EXPECT_EQ(to.get(), (std::vector<double>{f[4], f[0], 0, f[4], f[9], f[5], 0, f[9], f[14], f[10], 0, f[14]}));
  });
}

}  // namespace
}  // namespace graft::test
