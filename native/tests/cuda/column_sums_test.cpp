// Sums down columns: against float64, in packs of 16 bytes and one by one, over several groups of rows.
#include "cuda/kernels/column_sums.h"

#include "schedules.h"

namespace graft::test {
namespace {

void compare(graft_dtype dtype, std::int64_t rows, std::int64_t columns, std::int64_t pitch, int seeds) {
  SCOPED_TRACE(std::string(name(dtype)) + " " + std::to_string(rows) + " x " + std::to_string(columns));
  const Context cuda(GRAFT_DEVICE_CUDA);
  Tensor x = input(cuda, dtype, dtype, {rows, columns}, 1, pitch), start = input(cuda, kF32, kF32, {columns}, 2);
  const std::vector<double> values = x.get(), before = start.get();
  std::vector<double> exact = before, plain, first;
  for (std::size_t j = 0; j < exact.size(); ++j) {
    float sum = 0;
    for (std::size_t t = 0; t < static_cast<std::size_t>(rows); ++t) {
      exact[j] += values[t * exact.size() + j];
      sum += static_cast<float>(values[t * exact.size() + j]);
    }
    plain.push_back(static_cast<float>(before[j]) + sum);
  }
  for_schedules(seeds, [&] {
    Tensor sums(cuda, kF32, {columns});
    sums.set(before);
    graft::cuda::column_sums(*static_cast<graft_context*>(cuda), *x, static_cast<float*>(sums->data));
    GRAFT_EXPECT_OK(graft_context_synchronize(cuda));
    const std::vector<double> actual = sums.get();
    expect_as_good(actual, plain, exact, unit_roundoff(kF32), "sums");
    if (first.empty()) first = actual;
    EXPECT_EQ(actual, first);
  });
}

TEST(CudaColumnSums, AgreesWithFloat64) {
  for (graft_dtype dtype : {kF32, kBf16, kF16}) {
    compare(dtype, 1, 1, 0, 1);
    compare(dtype, 300, 41, 43, 1);
    compare(dtype, 70, 264, 0, 1);
    compare(dtype, 0, 5, 0, 1);
    compare(dtype, 3, 0, 0, 1);
  }
}

TEST(CudaRowGroups, AreAddedInOrder) { compare(kBf16, 300, 40, 0, 3); }

TEST(CudaColumnSums, ManySchedules) { compare(kBf16, 20, 40, 0, 30); }

}  // namespace
}  // namespace graft::test
