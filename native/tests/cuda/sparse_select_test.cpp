// sparse_select on the CUDA device: the entries of the host, by every score, largest and smallest, with ties, NaN and
// several chunks; none of them, and all.
#include <limits>

#include "schedules.h"

namespace graft::test {
namespace {

struct Case {
  graft_sparse_score score;
  bool largest;
  graft_dtype a, b, ids;
  std::int64_t n, k, count;
};

std::vector<double> selected(const Context& c, const Case& n, bool ties) {
  Tensor a = input(c, n.a, n.a, {n.n, n.k}, 1, n.k + 1), b = input(c, n.b, n.b, {n.n, n.k}, 2);
  if (ties) {
    a.integers(3), b.integers(4);
    std::vector<double> values = a.get();
    values[values.size() / 3] = std::numeric_limits<double>::quiet_NaN();
    values[values.size() / 2] = -std::numeric_limits<double>::infinity();
    a.set(values);
  }
  Tensor indices(c, n.ids, {2, n.count}, n.count + 2);
  GRAFT_EXPECT_OK(graft_sparse_select(
      c, n.score, a, n.score == GRAFT_SPARSE_ABSOLUTE ? nullptr : static_cast<graft_tensor*>(b), n.largest, indices));
  GRAFT_EXPECT_OK(graft_context_synchronize(c));
  return indices.get();
}

void compare(const Case& n, int seeds) {
  SCOPED_TRACE("score " + std::to_string(n.score) + (n.largest ? " largest " : " smallest ") + std::to_string(n.count) +
               " of " + std::to_string(n.n) + " x " + std::to_string(n.k));
  const Context cpu(1, "reference"), cuda(GRAFT_DEVICE_CUDA);
  for (const bool ties : {false, true}) {
    const std::vector<double> expected = selected(cpu, n, ties);
    for_schedules(seeds, [&] { EXPECT_EQ(selected(cuda, n, ties), expected); });
  }
}

TEST(CudaSparseSelect, ChoosesAsTheHost) {
  for (const bool largest : {true, false}) {
    compare({GRAFT_SPARSE_ABSOLUTE, largest, kF32, kF32, kI32, 7, 11, 20}, 1);
    compare({GRAFT_SPARSE_PRODUCT, largest, kBf16, kF32, kI64, 9, 40, 100}, 1);
    compare({GRAFT_SPARSE_DIFFERENCE, largest, kF16, kF16, kI32, 3, 70, 1}, 1);
    compare({GRAFT_SPARSE_ABSOLUTE, largest, kF32, kF32, kI32, 5, 6, 30}, 1);
    compare({GRAFT_SPARSE_ABSOLUTE, largest, kF32, kF32, kI32, 5, 6, 0}, 1);
  }
  compare({GRAFT_SPARSE_ABSOLUTE, true, kF32, kF32, kI32, 170, 200, 20000}, 1);
}

TEST(CudaSparseSelect, ManySchedules) { compare({GRAFT_SPARSE_PRODUCT, true, kF32, kBf16, kI32, 30, 70, 300}, 3); }

TEST(CudaSparseSelect, FloatsOfTheReferenceAreRefused) {
  const Context cuda(GRAFT_DEVICE_CUDA);
  const Tensor a(cuda, kF64, {2, 3}), indices(cuda, kI32, {2, 1});
  expect_error(graft_sparse_select(cuda, GRAFT_SPARSE_ABSOLUTE, a, nullptr, 1, indices), GRAFT_UNSUPPORTED,
               {"f64 is for references"});
}

}  // namespace
}  // namespace graft::test
