// gelu on the CUDA device: against float64, by tanh and by erf, in every dtype, in packs of 16 bytes and one by one.
#include "schedules.h"

namespace graft::test {
namespace {

struct Result {
  std::vector<double> y, dx;
};

Result run(const Context& c, graft_gelu_kind kind, graft_dtype storage, graft_dtype values, std::int64_t rows,
           std::int64_t columns, std::int64_t pitch) {
  const Shape matrix = {rows, columns};
  Tensor x = input(c, storage, values, matrix, 1, pitch), dy = input(c, storage, values, matrix, 2);
  Tensor y(c, storage, matrix, pitch);
  GRAFT_EXPECT_OK(graft_gelu_forward(c, kind, x, y));
  GRAFT_EXPECT_OK(graft_gelu_backward(c, kind, dy, x, dy));
  GRAFT_EXPECT_OK(graft_context_synchronize(c));
  return {y.get(), dy.get()};
}

void compare(graft_gelu_kind kind) {
  const Context cpu(1, "reference"), cuda(GRAFT_DEVICE_CUDA);
  for (graft_dtype dtype : {kF32, kBf16, kF16}) {
    SCOPED_TRACE(name(dtype));
    for (const auto& [rows, columns, pitch] :
         {std::array<std::int64_t, 3>{1, 1, 0}, {3, 40, 0}, {2, 41, 43}, {2, 2056, 2064}, {0, 8, 0}, {2, 0, 0}}) {
      const Result exact = run(cpu, kind, kF64, dtype, rows, columns, pitch);
      const Result plain = run(cpu, kind, dtype, dtype, rows, columns, pitch);
      for_schedules(1, [&] {
        const Result actual = run(cuda, kind, dtype, dtype, rows, columns, pitch);
        expect_as_good(actual.y, plain.y, exact.y, unit_roundoff(dtype), "y");
        expect_as_good(actual.dx, plain.dx, exact.dx, unit_roundoff(dtype), "dx");
      });
    }
  }
}

TEST(CudaGelu, AgreesWithFloat64) { compare(GRAFT_GELU_TANH); }
TEST(CudaGelu, ByErfAgreesWithFloat64) { compare(GRAFT_GELU_ERF); }

TEST(CudaGelu, LargeArguments) {
  const Context cuda(GRAFT_DEVICE_CUDA);
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  for (graft_gelu_kind kind : {GRAFT_GELU_TANH, GRAFT_GELU_ERF}) {
    Tensor x(cuda, kF32, {1, 3}), dx(cuda, kF32, {1, 3}), dy(cuda, kF32, {1, 3});
    x.set({-1e30, 0, 1e30}), dy.fill(2);
    GRAFT_EXPECT_OK(graft_gelu_backward(cuda, kind, dy, x, dx));
    GRAFT_EXPECT_OK(graft_gelu_forward(cuda, kind, x, x));
    GRAFT_EXPECT_OK(graft_context_synchronize(cuda));
    EXPECT_EQ(x.get(), (std::vector<double>{0, 0, static_cast<double>(1e30f)}));
    EXPECT_EQ(dx.get(), (std::vector<double>{0, 1, 2}));
  }
  Tensor x(cuda, kF32, {1, 3}), dy(cuda, kF32, {1, 3});
  x.set({-kInfinity, kInfinity, std::numeric_limits<double>::quiet_NaN()}), dy.fill(2);
  GRAFT_EXPECT_OK(graft_gelu_backward(cuda, GRAFT_GELU_ERF, dy, x, dy));
  GRAFT_EXPECT_OK(graft_gelu_forward(cuda, GRAFT_GELU_ERF, x, x));
  GRAFT_EXPECT_OK(graft_context_synchronize(cuda));
  const std::vector<double> y = x.get(), dx = dy.get();
  EXPECT_EQ(y[0], 0);
  EXPECT_EQ(y[1], kInfinity);
  EXPECT_TRUE(std::isnan(y[2]));
  EXPECT_EQ(dx[0], 0);
  EXPECT_EQ(dx[1], 2);
  EXPECT_TRUE(std::isnan(dx[2]));
}

}  // namespace
}  // namespace graft::test
