// rms_norm on the CUDA device: against float64, in every dtype, over odd, empty and large shapes and many schedules.
#include "schedules.h"

namespace graft::test {
namespace {

struct Result {
  std::vector<double> y, rstd, dx, dw;
};

Result run(const Context& c, graft_dtype storage, graft_dtype values, std::int64_t rows, std::int64_t columns,
           bool accumulate, graft_dtype weights, std::int64_t pitch = 0) {
  const graft_dtype sums = storage == GRAFT_DTYPE_F64 ? GRAFT_DTYPE_F64 : GRAFT_DTYPE_F32;
  const Shape matrix = {rows, columns};
  Tensor x = input(c, storage, values, matrix, 1, pitch), w = input(c, weights, values, {columns}, 2);
  Tensor dy = input(c, storage, values, matrix, 3, pitch), dx = input(c, storage, values, matrix, 4, pitch);
  Tensor y(c, storage, matrix, pitch), rstd(c, sums, {rows}), dw = input(c, sums, values, {columns}, 5);
  GRAFT_EXPECT_OK(graft_rms_norm_forward(c, x, w, 1e-5, y, rstd));
  GRAFT_EXPECT_OK(graft_rms_norm_backward(c, dy, x, w, rstd, accumulate, dx, dw));
  GRAFT_EXPECT_OK(graft_context_synchronize(c));
  return {y.get(), rstd.get(), dx.get(), dw.get()};
}

void compare(graft_dtype dtype, std::int64_t rows, std::int64_t columns, bool accumulate, std::int64_t pitch, int seeds,
             graft_dtype weights) {
  const Context cpu(1, "reference"), cuda(GRAFT_DEVICE_CUDA);
  const Result exact = run(cpu, GRAFT_DTYPE_F64, dtype, rows, columns, accumulate, GRAFT_DTYPE_F64);
  const Result plain = run(cpu, dtype, dtype, rows, columns, accumulate, weights, pitch);
  Result first;
  for_schedules(seeds, [&] {
    const Result actual = run(cuda, dtype, dtype, rows, columns, accumulate, weights, pitch);
    const double u = unit_roundoff(dtype), sum = unit_roundoff(GRAFT_DTYPE_F32);
    expect_as_good(actual.y, plain.y, exact.y, u, "y");
    expect_as_good(actual.rstd, plain.rstd, exact.rstd, sum, "rstd");
    expect_as_good(actual.dx, plain.dx, exact.dx, u, "dx");
    expect_as_good(actual.dw, plain.dw, exact.dw, sum, "dw");
    if (first.dw.empty()) first = actual;
    EXPECT_EQ(actual.dx, first.dx);
    EXPECT_EQ(actual.dw, first.dw);
  });
}

void compare(graft_dtype dtype, std::int64_t rows, std::int64_t columns, bool accumulate, std::int64_t pitch,
             int seeds) {
  compare(dtype, rows, columns, accumulate, pitch, seeds, dtype);
}

TEST(CudaRmsNorm, AgreesWithFloat64) {
  for (graft_dtype dtype : {GRAFT_DTYPE_F32, GRAFT_DTYPE_BF16, GRAFT_DTYPE_F16}) {
    SCOPED_TRACE(name(dtype));
    for (bool accumulate : {false, true}) {
      compare(dtype, 1, 1, accumulate, 0, 2);
      compare(dtype, 3, 257, accumulate, 300, 2);
      compare(dtype, 3, 40, accumulate, 0, 1, kF32);
      compare(dtype, 5, 1024, accumulate, 0, 1);
      compare(dtype, 0, 7, accumulate, 0, 1);
    }
  }
}

TEST(CudaRmsNorm, ManySchedules) { compare(GRAFT_DTYPE_BF16, 3, 300, false, 0, 100); }

TEST(CudaRmsNorm, MoreRowsThanGroupsAndLongRows) {
  compare(GRAFT_DTYPE_F32, 1030, 33, false, 0, 1);
  compare(GRAFT_DTYPE_BF16, 2, 12300, false, 0, 1);
}

TEST(CudaRmsNorm, AliasAndNull) {
  const Context cpu(1, "reference"), cuda(GRAFT_DEVICE_CUDA);
  std::vector<double> y[2], dx[2];
  for (const Context* c : {&cpu, &cuda}) {
    const graft_dtype f32 = GRAFT_DTYPE_F32;
    Tensor x = input(*c, f32, f32, {4, 70}, 1), w = input(*c, f32, f32, {70}, 2), dy = input(*c, f32, f32, {4, 70}, 3);
    Tensor kept = input(*c, f32, f32, {4, 70}, 1), rstd(*c, f32, {4}), dw(*c, f32, {70});
    GRAFT_EXPECT_OK(graft_rms_norm_forward(*c, x, w, 1e-5, x, nullptr));
    GRAFT_EXPECT_OK(graft_rms_norm_forward(*c, kept, w, 1e-5, kept, rstd));
    GRAFT_EXPECT_OK(graft_rms_norm_backward(*c, dy, x, w, rstd, 0, nullptr, dw));
    GRAFT_EXPECT_OK(graft_rms_norm_backward(*c, dy, x, w, rstd, 0, dy, nullptr));
    GRAFT_EXPECT_OK(graft_context_synchronize(*c));
    y[c == &cuda] = x.get(), dx[c == &cuda] = dy.get();
  }
  expect_close(y[1], y[0], 1e-5, "y");
  expect_close(dx[1], dx[0], 1e-5, "dx");
}

TEST(CudaRmsNorm, NamesItsKernelAndRefusesFloat64) {
  const Context cuda(GRAFT_DEVICE_CUDA);
  Tensor x(cuda, GRAFT_DTYPE_F32, {2, 8}), w(cuda, GRAFT_DTYPE_F32, {8});
  GRAFT_EXPECT_OK(graft_rms_norm_forward(cuda, x, w, 1e-5, x, nullptr));
  EXPECT_EQ(cuda.last_dispatch(), "rms_norm_forward:cuda/kernel");
  Tensor x64(cuda, GRAFT_DTYPE_F64, {2, 8}), w64(cuda, GRAFT_DTYPE_F64, {8});
  expect_error(graft_rms_norm_forward(cuda, x64, w64, 1e-5, x64, nullptr), GRAFT_UNSUPPORTED, {"f64", "CPU"});
}

TEST(CudaDevice, TensorsOfAnotherDeviceAreNamed) {
  const Context cpu, cuda(GRAFT_DEVICE_CUDA);
  Tensor x(cpu, GRAFT_DTYPE_F32, {2, 8}), w(cuda, GRAFT_DTYPE_F32, {8}), y(cuda, GRAFT_DTYPE_F32, {2, 8});
  expect_error(graft_rms_norm_forward(cuda, x, w, 1e-5, y, nullptr), GRAFT_INVALID_ARGUMENT, {"x", "CUDA"});
  expect_error(graft_rms_norm_forward(cpu, x, w, 1e-5, y, nullptr), GRAFT_INVALID_ARGUMENT, {"w", "CPU"});
}

}  // namespace
}  // namespace graft::test
