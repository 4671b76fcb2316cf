// Conversion into another type and shape: the same bits as rounding on the host, zeros behind, sums.
#include "cuda/kernels/convert.h"

#include "schedules.h"

namespace graft::test {
namespace {

TEST(CudaConvert, ScalesRoundsFillsAndAdds) {
  const Context cuda(GRAFT_DEVICE_CUDA), cpu(1);
  for (graft_dtype from : {kF32, kBf16, kF16}) {
    for (graft_dtype to : {kF32, kBf16, kF16}) {
      for (bool accumulate : {false, true}) {
        SCOPED_TRACE(std::string(name(from)) + " to " + name(to));
        // why with a gap and without: what lies behind a row may be zero by chance, the next row is not.
        const std::int64_t pitch = accumulate ? 40 : 33;
        Tensor source = input(cuda, from, from, {5, 33}, 1, pitch), result = input(cuda, to, to, {7, 45}, 2, 50);
        std::vector<double> expected = accumulate ? result.get() : std::vector<double>(7 * 45, 0.0);
        const std::vector<double> values = source.get();
        for (std::size_t i = 0; i < 5; ++i)
          for (std::size_t j = 0; j < 33; ++j) expected[i * 45 + j] += 0.5 * values[i * 33 + j];
        for (double& value : expected) value = static_cast<float>(value);
        Tensor rounded(cpu, to, {7, 45});
        graft::cuda::run(
            *static_cast<graft_context*>(cuda),
            graft::cuda::Convert{source->data, from, 5, 33, pitch, result->data, to, 7, 45, 50, 0.5, accumulate});
        GRAFT_EXPECT_OK(graft_context_synchronize(cuda));
        EXPECT_EQ(result.get(), rounded.set(expected).get());
      }
    }
  }
}

TEST(CudaConvert, OneRowForAll) {
  const Context cuda(GRAFT_DEVICE_CUDA);
  Tensor row = input(cuda, kF32, kF32, {3}, 1), to(cuda, kF32, {2, 3});
  graft::cuda::run(*static_cast<graft_context*>(cuda),
                   graft::cuda::Convert{row->data, kF32, 2, 3, 0, to->data, kF32, 2, 3, 3});
  GRAFT_EXPECT_OK(graft_context_synchronize(cuda));
  const std::vector<double> r = row.get();
  EXPECT_EQ(to.get(), (std::vector<double>{r[0], r[1], r[2], r[0], r[1], r[2]}));
}

}  // namespace
}  // namespace graft::test
