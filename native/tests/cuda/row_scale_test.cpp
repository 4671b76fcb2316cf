// row_scale on the CUDA device: against float64, vectors of every type, in place, NULL outputs, and empty shapes.
#include "schedules.h"

namespace graft::test {
namespace {

struct Result {
  std::vector<double> y, dx, ds;
};

Result run(const Context& c, graft_dtype storage, graft_dtype values, std::int64_t rows, std::int64_t columns) {
  const graft_dtype sums = sums_of(storage), scales = storage == kF32 ? kF16 : sums;
  Tensor x = input(c, storage, values, {rows, columns}, 1, columns + 1), s = input(c, scales, values, {rows}, 2);
  Tensor dy = input(c, sums, values, {rows, columns}, 3), dx = input(c, sums, kF32, {rows, columns}, 4);
  Tensor alone = input(c, sums, kF32, {rows, columns}, 4), ds = input(c, sums, kF32, {rows}, 5);
  GRAFT_EXPECT_OK(graft_row_scale_backward(c, dy, x, s, dx, ds));
  GRAFT_EXPECT_OK(graft_row_scale_backward(c, dy, x, s, alone, nullptr));
  GRAFT_EXPECT_OK(graft_row_scale_backward(c, dy, x, s, nullptr, nullptr));
  GRAFT_EXPECT_OK(graft_row_scale_forward(c, x, s, x));
  GRAFT_EXPECT_OK(graft_context_synchronize(c));
  EXPECT_EQ(alone.get(), dx.get());
  return {x.get(), dx.get(), ds.get()};
}

void compare(graft_dtype dtype, std::int64_t rows, std::int64_t columns, int seeds) {
  SCOPED_TRACE(std::string(name(dtype)) + " " + std::to_string(rows) + " x " + std::to_string(columns));
  const Context cpu(1, "reference"), cuda(GRAFT_DEVICE_CUDA);
  // Scales that f16 holds, where they are f16.
  const graft_dtype values = dtype == kF32 ? kF16 : dtype;
  const Result exact = run(cpu, kF64, values, rows, columns), plain = run(cpu, dtype, values, rows, columns);
  for_schedules(seeds, [&] {
    const Result actual = run(cuda, dtype, values, rows, columns);
    expect_as_good(actual.y, plain.y, exact.y, unit_roundoff(dtype), "y");
    expect_as_good(actual.dx, plain.dx, exact.dx, unit_roundoff(kF32), "dx");
    expect_as_good(actual.ds, plain.ds, exact.ds, unit_roundoff(kF32), "ds");
  });
}

TEST(CudaRowScale, AgreesWithFloat64) {
  for (graft_dtype dtype : {kF32, kBf16, kF16}) {
    compare(dtype, 3, 300, 1);
    compare(dtype, 1, 1, 1);
  }
  compare(kBf16, 0, 3, 1);
  compare(kBf16, 3, 0, 1);
}

TEST(CudaRowScale, ManySchedules) { compare(kBf16, 2, 300, 4); }

}  // namespace
}  // namespace graft::test
