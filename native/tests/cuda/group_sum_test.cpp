// group_sum on the CUDA device: against float64, short and long groups, added to what is there, and empty shapes.
#include "schedules.h"

namespace graft::test {
namespace {

struct Result {
  std::vector<double> y, dx;
};

Result run(const Context& c, graft_dtype storage, graft_dtype values, std::int64_t rows, std::int64_t groups,
           std::int64_t size, bool accumulate) {
  Tensor x = input(c, storage, values, {rows, groups * size}, 1, groups * size + 1);
  Tensor y(c, storage, {rows, groups}), dy = input(c, storage, values, {rows, groups}, 2, groups + 2);
  Tensor dx = input(c, storage, values, {rows, groups * size}, 3);
  GRAFT_EXPECT_OK(graft_group_sum_forward(c, x, 0.75, y));
  GRAFT_EXPECT_OK(graft_group_sum_backward(c, dy, 0.75, accumulate, dx));
  GRAFT_EXPECT_OK(graft_context_synchronize(c));
  return {y.get(), dx.get()};
}

void compare(graft_dtype dtype, std::int64_t rows, std::int64_t groups, std::int64_t size, bool accumulate, int seeds) {
  SCOPED_TRACE(std::string(name(dtype)) + " " + std::to_string(groups) + " groups of " + std::to_string(size));
  const Context cpu(1, "reference"), cuda(GRAFT_DEVICE_CUDA);
  const Result exact = run(cpu, kF64, dtype, rows, groups, size, accumulate);
  const Result plain = run(cpu, dtype, dtype, rows, groups, size, accumulate);
  for_schedules(seeds, [&] {
    const Result actual = run(cuda, dtype, dtype, rows, groups, size, accumulate);
    expect_as_good(actual.y, plain.y, exact.y, unit_roundoff(dtype), "y");
    expect_as_good(actual.dx, plain.dx, exact.dx, unit_roundoff(dtype), "dx");
  });
}

TEST(CudaGroupSum, AgreesWithFloat64) {
  for (graft_dtype dtype : {kF32, kBf16, kF16}) {
    compare(dtype, 3, 5, 8, false, 1);
    compare(dtype, 2, 3, 41, true, 1);
    compare(dtype, 1, 1, 1, true, 1);
  }
  compare(kF32, 0, 2, 3, false, 1);
}

TEST(CudaGroupSum, ManySchedules) { compare(kBf16, 3, 4, 70, true, 4); }

}  // namespace
}  // namespace graft::test
