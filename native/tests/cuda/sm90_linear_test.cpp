// linear by the main loops for compute capability 9.0: against float64, over shapes that fill no tile, several tiles,
// and sums longer than the ring of stages; and who is sent to the library.
#include "sm90.h"

namespace graft::test {
namespace {

using CudaSm90Linear = Sm90Test;

struct Case {
  std::int64_t rows, n, k;
  bool accumulate = false, wide = false, bias = true;
};

struct Result {
  std::vector<double> y, dx, dbias;
};

std::int64_t eights(std::int64_t size) { return (size + 7) / 8 * 8; }

Result run(const Context& c, graft_dtype storage, const Case& n) {
  const graft_dtype result = n.wide ? sums_of(storage) : storage;
  Tensor x = input(c, storage, kBf16, {n.rows, n.k}, 1, eights(n.k)),
         w = input(c, storage, kBf16, {n.n, n.k}, 2, eights(n.k) + 8);
  Tensor bias = input(c, sums_of(storage), kBf16, {n.n}, 3), y = input(c, result, kBf16, {n.rows, n.n}, 4, n.n + 1);
  Tensor dy = input(c, storage, kBf16, {n.rows, n.n}, 5, eights(n.n)), dx = input(c, storage, kBf16, {n.rows, n.k}, 6);
  Tensor dbias = input(c, sums_of(storage), kBf16, {n.n}, 8);
  graft_weight* weight = nullptr;
  GRAFT_EXPECT_OK(graft_weight_wrap_dense(c, w, &weight));
  GRAFT_EXPECT_OK(
      graft_linear_forward(c, x, weight, n.bias ? static_cast<graft_tensor*>(bias) : nullptr, n.accumulate, y));
  const std::string forward = c.last_dispatch();
  GRAFT_EXPECT_OK(graft_linear_backward(c, dy, nullptr, weight, n.accumulate, dx, nullptr, dbias));
  if (forward.find("cuda") != std::string::npos) {
    EXPECT_EQ(forward, "linear_forward:cuda/sm90");
    EXPECT_EQ(c.last_dispatch(), "linear_backward:cuda/sm90");
  }
  GRAFT_EXPECT_OK(graft_context_synchronize(c));
  GRAFT_EXPECT_OK(graft_weight_destroy(c, weight));
  return {y.get(), dx.get(), dbias.get()};
}

void compare(const Case& n, int seeds) {
  SCOPED_TRACE("T=" + std::to_string(n.rows) + " N=" + std::to_string(n.n) + " K=" + std::to_string(n.k));
  const Context cpu(1, "reference"), cuda(GRAFT_DEVICE_CUDA);
  const Result exact = run(cpu, kF64, n), plain = run(cpu, kBf16, n);
  Result first;
  for_schedules(seeds, [&] {
    const Result actual = run(cuda, kBf16, n);
    const double sum = unit_roundoff(kF32);
    expect_as_good(actual.y, plain.y, exact.y, n.wide ? sum : unit_roundoff(kBf16), "y");
    expect_as_good(actual.dx, plain.dx, exact.dx, unit_roundoff(kBf16), "dx");
    expect_as_good(actual.dbias, plain.dbias, exact.dbias, sum, "dbias");
    if (first.y.empty()) first = actual;
    EXPECT_TRUE(actual.y == first.y && actual.dx == first.dx);
  });
}

TEST_F(CudaSm90Linear, AgreesWithFloat64) {
  compare({1, 1, 1}, 1);
  compare({130, 24, 40, true}, 1);
  compare({37, 143, 65, false, true}, 1);
  compare({3, 5, 5 * 64 + 9, true, true, false}, 1);
  compare({128, 128, 64}, 1);
}

TEST_F(CudaSm90Linear, ManySchedules) { compare({20, 136, 9 * 64 + 8}, 10); }

TEST_F(CudaSm90Linear, SendsTheRestToTheLibrary) {
  const Context cuda(GRAFT_DEVICE_CUDA);
  const auto serves = [&](const Context& c, graft_dtype dtype, std::int64_t k, std::int64_t pitch) {
    Tensor x(c, dtype, {2, k}, pitch), y(c, dtype, {2, 3});
    Weight w(c, dtype, 3, k);
    GRAFT_EXPECT_OK(graft_linear_forward(c, x, w, nullptr, 0, y));
    return c.last_dispatch();
  };
  EXPECT_EQ(serves(cuda, kBf16, 16, 0), "linear_forward:cuda/sm90");
  EXPECT_EQ(serves(cuda, kF32, 16, 0), "linear_forward:cuda/kernel");
  EXPECT_EQ(serves(cuda, kBf16, 16, 17), "linear_forward:cuda/kernel");
  EXPECT_EQ(serves(cuda, kBf16, 0, 0), "linear_forward:cuda/kernel");
  setenv("GRAFT_SM90", "0", 1);
  EXPECT_EQ(serves(cuda, kBf16, 16, 0), "linear_forward:cuda/kernel");
}

}  // namespace
}  // namespace graft::test
