// activation on the CUDA device: against float64, all kinds, in packs of 16 bytes and one by one, in place, NaN.
#include "schedules.h"

namespace graft::test {
namespace {

struct Result {
  std::vector<double> y, dx;
};

Result run(const Context& c, graft_dtype storage, graft_dtype values, std::int32_t kind, const Shape& shape,
           std::int64_t pitch) {
  Tensor x = input(c, storage, values, shape, 1, pitch), dy = input(c, storage, values, shape, 2);
  Tensor y(c, storage, shape, pitch), kept = input(c, storage, values, shape, 3);
  GRAFT_EXPECT_OK(graft_activation_forward(c, kind, x, y));
  GRAFT_EXPECT_OK(graft_activation_backward(c, kind, dy, kept, dy));
  GRAFT_EXPECT_OK(graft_context_synchronize(c));
  return {y.get(), dy.get()};
}

void compare(graft_dtype dtype, std::int32_t kind, const Shape& shape, std::int64_t pitch, int seeds) {
  SCOPED_TRACE(std::string(name(dtype)) + " kind " + std::to_string(kind));
  const Context cpu(1, "reference"), cuda(GRAFT_DEVICE_CUDA);
  const Result exact = run(cpu, kF64, dtype, kind, shape, pitch), plain = run(cpu, dtype, dtype, kind, shape, pitch);
  for_schedules(seeds, [&] {
    const Result actual = run(cuda, dtype, dtype, kind, shape, pitch);
    expect_as_good(actual.y, plain.y, exact.y, unit_roundoff(dtype), "y");
    expect_as_good(actual.dx, plain.dx, exact.dx, unit_roundoff(dtype), "dx");
  });
}

TEST(CudaActivation, AgreesWithFloat64) {
  for (const std::int32_t kind : {GRAFT_ACTIVATION_RELU, GRAFT_ACTIVATION_TANH, GRAFT_ACTIVATION_SIGMOID}) {
    for (graft_dtype dtype : {kF32, kBf16, kF16}) {
      compare(dtype, kind, {2, 41}, 43, 1);
      compare(dtype, kind, {3, 40}, 0, 1);
    }
    compare(kBf16, kind, {0, 8}, 0, 1);
    compare(kF32, kind, {2, 0}, 0, 1);
  }
}

TEST(CudaActivation, ManySchedules) { compare(kBf16, GRAFT_ACTIVATION_TANH, {2, 2056}, 2064, 1); }

TEST(CudaActivation, NaNStays) {
  const Context cuda(GRAFT_DEVICE_CUDA);
  Tensor x(cuda, kF32, {1, 3});
  x.set({-1, std::nan(""), 2});
  GRAFT_EXPECT_OK(graft_activation_forward(cuda, GRAFT_ACTIVATION_RELU, x, x));
  GRAFT_EXPECT_OK(graft_context_synchronize(cuda));
  EXPECT_EQ(x.get()[0], 0);
  EXPECT_TRUE(std::isnan(x.get()[1]));
  EXPECT_EQ(x.get()[2], 2);
}

}  // namespace
}  // namespace graft::test
