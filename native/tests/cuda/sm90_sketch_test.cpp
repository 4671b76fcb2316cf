// The gradient of a sketch's tables by the main loops for compute capability 9.0: against float64, groups of every
// length, all bits, sums longer than the ring, several tiles of columns, and what was there before.
#include "coded.h"
#include "sm90.h"

namespace graft::test {
namespace {

using CudaSm90Sketch = Sm90Test;

struct Case {
  std::int64_t rows, n, groups, columns;
  int bits;
};

std::int64_t eights(std::int64_t size) { return (size + 7) / 8 * 8; }

std::vector<double> run(const Context& c, graft_dtype storage, const Case& n) {
  const SketchWeight sketch(c, sums_of(storage), kF32, n.n, n.groups, n.columns, n.bits);
  const std::int64_t k = n.groups * n.columns;
  Tensor dy = input(c, storage, kBf16, {n.rows, n.n}, 2, eights(n.n)),
         x = input(c, storage, kBf16, {n.rows, k}, 3, eights(k));
  Tensor dtable = input(c, sums_of(storage), kF32, {n.n, n.groups, std::int64_t{1} << n.bits}, 4);
  GRAFT_EXPECT_OK(graft_sketch_table_gradient(c, dy, x, sketch.w, dtable));
  if (c.last_dispatch().find("cuda") != std::string::npos) {
    EXPECT_EQ(c.last_dispatch(), "sketch_table_gradient:cuda/sm90");
  }
  GRAFT_EXPECT_OK(graft_context_synchronize(c));
  return dtable.get();
}

void compare(const Case& n, int seeds) {
  SCOPED_TRACE("T=" + std::to_string(n.rows) + " N=" + std::to_string(n.n) + " " + std::to_string(n.groups) +
               " groups of " + std::to_string(n.columns) + ", bits=" + std::to_string(n.bits));
  const Context cpu(1, "reference"), cuda(GRAFT_DEVICE_CUDA);
  const std::vector<double> exact = run(cpu, kF64, n), plain = run(cpu, kBf16, n);
  std::vector<double> first;
  for_schedules(seeds, [&] {
    const std::vector<double> actual = run(cuda, kBf16, n);
    expect_as_good(actual, plain, exact, unit_roundoff(kF32), "dtable");
    if (first.empty()) first = actual;
    EXPECT_EQ(actual, first);
  });
}

TEST_F(CudaSm90Sketch, AgreesWithFloat64) {
  compare({3, 5, 3, 21, 4}, 1);
  compare({18, 70, 2, 296, 3}, 1);
  compare({70, 130, 1, 131, 2}, 1);
  compare({1, 1, 1, 1, 4}, 1);
}

TEST_F(CudaSm90Sketch, ManySchedules) { compare({6 * 64 + 5, 20, 1, 140, 4}, 10); }

}  // namespace
}  // namespace graft::test
