// The gradient of a sketch weight's tables on the CUDA device: against float64, groups of every length, all bits,
// several panels of dyᵀ x, what was there before, and nothing.
#include "coded.h"

namespace graft::test {
namespace {

struct Case {
  graft_dtype dtype;
  std::int64_t rows, n, groups, columns;
  int bits;
};

std::vector<double> run(const Context& c, graft_dtype storage, const Case& n) {
  const SketchWeight sketch(c, sums_of(storage), kF32, n.n, n.groups, n.columns, n.bits);
  const std::int64_t k = n.groups * n.columns;
  Tensor dy = input(c, storage, n.dtype, {n.rows, n.n}, 2, n.n + 1), x = input(c, storage, n.dtype, {n.rows, k}, 3);
  Tensor dtable = input(c, sums_of(storage), kF32, {n.n, n.groups, std::int64_t{1} << n.bits}, 4);
  GRAFT_EXPECT_OK(graft_sketch_table_gradient(c, dy, x, sketch.w, dtable));
  GRAFT_EXPECT_OK(graft_context_synchronize(c));
  return dtable.get();
}

void compare(const Case& n, int seeds) {
  SCOPED_TRACE(std::string(name(n.dtype)) + " T=" + std::to_string(n.rows) + " N=" + std::to_string(n.n) + " " +
               std::to_string(n.groups) + " groups of " + std::to_string(n.columns) +
               ", bits=" + std::to_string(n.bits));
  const Context cpu(1, "reference"), cuda(GRAFT_DEVICE_CUDA);
  const std::vector<double> exact = run(cpu, kF64, n), plain = run(cpu, n.dtype, n);
  std::vector<double> first;
  for_schedules(seeds, [&] {
    const std::vector<double> actual = run(cuda, n.dtype, n);
    expect_as_good(actual, plain, exact, unit_roundoff(kF32), "dtable");
    if (first.empty()) first = actual;
    EXPECT_EQ(actual, first);
  });
}

TEST(CudaSketchGradient, AgreesWithFloat64) {
  for (const int bits : {4, 3, 2}) {
    compare({kF32, 3, 5, 3, 21, bits}, 1);
    compare({kBf16, 18, 6, 2, 296, bits}, 1);
  }
  compare({kF16, 1, 1, 1, 1, 4}, 1);
  compare({kBf16, 0, 2, 1, 8, 4}, 1);
}

TEST(CudaSketchGradient, SeveralPanels) { compare({kF32, 1, 65, 2, 16400, 4}, 1); }

TEST(CudaSketchGradient, ManySchedules) { compare({kBf16, 3, 3, 2, 300, 4}, 10); }

}  // namespace
}  // namespace graft::test
