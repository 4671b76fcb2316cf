// NF4 and sketch weights by the main loops for compute capability 9.0: y and dx from the codes, and lora's y, against
// float64, over shapes that fill no tile, all bits, several groups, and sums longer than the rings; and who is sent to
// the panels.
#include <optional>

#include "coded.h"
#include "sm90.h"

namespace graft::test {
namespace {

using CudaSm90Coded = Sm90Test;

struct Case {
  std::int64_t rows, n, k;
  int bits = 0;  // of a sketch; 0: NF4
  std::int64_t groups = 1;
  bool nested = false, accumulate = false;
  std::int64_t rank = 0;
};

struct Result {
  std::vector<double> y, dx;
};

Result run(const Context& c, graft_dtype storage, const Case& n) {
  std::optional<Nf4Weight> nf4;
  std::optional<SketchWeight> sketch;
  if (n.bits == 0) nf4.emplace(c, n.nested, n.n, n.k);
  if (n.bits > 0) sketch.emplace(c, sums_of(storage), kBf16, n.n, n.groups, n.k / n.groups, n.bits);
  const Weight& w = n.bits == 0 ? nf4->w : sketch->w;
  const std::int64_t pitch = (n.n + 7) / 8 * 8;
  Tensor x = input(c, storage, kBf16, {n.rows, n.k}, 2), bias = input(c, sums_of(storage), kBf16, {n.n}, 4);
  Tensor dy = input(c, storage, kBf16, {n.rows, n.n}, 5, pitch);
  Tensor y = input(c, storage, kBf16, {n.rows, n.n}, 3), dx = input(c, storage, kBf16, {n.rows, n.k}, 6);
  Tensor a = input(c, sums_of(storage), kBf16, {n.rank, n.k}, 7),
         b = input(c, sums_of(storage), kBf16, {n.n, n.rank}, 8);
  if (n.rank > 0) {
    GRAFT_EXPECT_OK(graft_lora_forward(c, x, w, a, b, 1, bias, 0, 0, 0, n.accumulate, y, nullptr));
  } else {
    GRAFT_EXPECT_OK(graft_linear_forward(c, x, w, bias, n.accumulate, y));
  }
  const std::string forward = c.last_dispatch();
  GRAFT_EXPECT_OK(graft_linear_backward(c, dy, nullptr, w, n.accumulate, dx, nullptr, nullptr));
  if (forward.find("cuda") != std::string::npos) {
    EXPECT_EQ(forward, n.rank > 0 ? "lora_forward:cuda/sm90" : "linear_forward:cuda/sm90");
    EXPECT_EQ(c.last_dispatch(), "linear_backward:cuda/sm90");
  }
  GRAFT_EXPECT_OK(graft_context_synchronize(c));
  return {y.get(), dx.get()};
}

void compare(const Case& n, int seeds) {
  SCOPED_TRACE("T=" + std::to_string(n.rows) + " N=" + std::to_string(n.n) + " K=" + std::to_string(n.k) + " bits=" +
               std::to_string(n.bits) + " groups=" + std::to_string(n.groups) + " r=" + std::to_string(n.rank));
  const Context cpu(1, "reference"), cuda(GRAFT_DEVICE_CUDA);
  const Result exact = run(cpu, kF64, n), plain = run(cpu, kBf16, n);
  Result first;
  for_schedules(seeds, [&] {
    const Result actual = run(cuda, kBf16, n);
    expect_as_good(actual.y, plain.y, exact.y, unit_roundoff(kBf16), "y");
    expect_as_good(actual.dx, plain.dx, exact.dx, unit_roundoff(kBf16), "dx");
    if (first.y.empty()) first = actual;
    EXPECT_TRUE(actual.y == first.y && actual.dx == first.dx);
  });
}

TEST_F(CudaSm90Coded, Nf4AgreesWithFloat64) {
  compare({.rows = 1, .n = 3, .k = 64}, 1);
  compare({.rows = 130, .n = 70, .k = 192, .nested = true, .accumulate = true}, 1);
  compare({.rows = 17, .n = 137, .k = 320, .rank = 5}, 1);
}

TEST_F(CudaSm90Coded, SketchAgreesWithFloat64) {
  compare({.rows = 5, .n = 18, .k = 384, .bits = 4, .groups = 3}, 1);
  compare({.rows = 20, .n = 140, .k = 256, .bits = 3, .groups = 2, .accumulate = true}, 1);
  compare({.rows = 9, .n = 66, .k = 192, .bits = 2, .rank = 9}, 1);
}

TEST_F(CudaSm90Coded, ManySchedules) {
  compare({.rows = 4, .n = 9 * 64 - 3, .k = 64}, 8);
  compare({.rows = 4, .n = 20, .k = 9 * 64, .bits = 4, .groups = 3}, 8);
}

TEST_F(CudaSm90Coded, SendsTheRestToThePanels) {
  const Context cuda(GRAFT_DEVICE_CUDA);
  const auto serves = [&](const graft_weight* w) {
    Tensor x(cuda, kBf16, {40, w->k}), y(cuda, kBf16, {40, w->n});
    GRAFT_EXPECT_OK(graft_linear_forward(cuda, x, w, nullptr, 0, y));
    return cuda.last_dispatch();
  };
  const Nf4Weight nf4(cuda, false, 3, 64), odd(cuda, false, 3, 40);
  const SketchWeight sketch(cuda, kF32, kF32, 3, 2, 32, 4), three(cuda, kF32, kF32, 3, 1, 64, 3);
  EXPECT_EQ(serves(nf4.w), "linear_forward:cuda/sm90");
  EXPECT_EQ(serves(odd.w), "linear_forward:cuda/kernel");
  EXPECT_EQ(serves(sketch.w), "linear_forward:cuda/kernel");
  EXPECT_EQ(serves(three.w), "linear_forward:cuda/kernel");
}

}  // namespace
}  // namespace graft::test
