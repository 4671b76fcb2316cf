// y of few rows straight from the codes of NF4 and sketch weights: against float64; one and two tiles of rows of x,
// rows of W that fill no block, columns that fill no step, groups of every length, parts of the sum, pitches, and who
// is sent to the panels.
#include <optional>

#include "coded.h"
#include "cuda/kernels/coded_weight.h"
#include "ops/linear.h"

namespace graft::test {
namespace {

struct Case {
  graft_dtype dtype;
  std::int64_t rows, n, k;
  int bits = 0;  // of a sketch; 0: NF4
  std::int64_t groups = 1;
  bool nested = false, accumulate = false, wide = false;
};

std::vector<double> run(const Context& c, graft_dtype storage, const Case& n) {
  std::optional<Nf4Weight> nf4;
  std::optional<SketchWeight> sketch;
  if (n.bits == 0) nf4.emplace(c, n.nested, n.n, n.k);
  if (n.bits > 0) sketch.emplace(c, sums_of(storage), kF32, n.n, n.groups, n.k / n.groups, n.bits);
  const Weight& w = n.bits == 0 ? nf4->w : sketch->w;
  const graft_dtype result = n.wide ? sums_of(storage) : storage;
  Tensor x = input(c, storage, n.dtype, {n.rows, n.k}, 2, n.k + 8);
  Tensor y = input(c, result, n.dtype, {n.rows, n.n}, 3, n.n + 1), bias = input(c, kF32, n.dtype, {n.n}, 4);
  if (storage == n.dtype && c.last_dispatch().find("cuda") != std::string::npos) {
    const ops::LinearForward a{x, w, bias, n.accumulate, y};
    EXPECT_EQ(graft::cuda::refuse_few_rows(a), "");
  }
  GRAFT_EXPECT_OK(graft_linear_forward(c, x, w, bias, n.accumulate, y));
  GRAFT_EXPECT_OK(graft_context_synchronize(c));
  return y.get();
}

void compare(const Case& n, int seeds) {
  SCOPED_TRACE(std::string(name(n.dtype)) + " T=" + std::to_string(n.rows) + " N=" + std::to_string(n.n) +
               " K=" + std::to_string(n.k) + " bits=" + std::to_string(n.bits) + " groups=" + std::to_string(n.groups));
  const Context cpu(1, "reference"), cuda(GRAFT_DEVICE_CUDA);
  const std::vector<double> exact = run(cpu, kF64, n), plain = run(cpu, n.dtype, n);
  std::vector<double> first;
  for_schedules(seeds, [&] {
    const std::vector<double> actual = run(cuda, n.dtype, n);
    expect_as_good(actual, plain, exact, unit_roundoff(n.dtype), "y");
    if (first.empty()) first = actual;
    EXPECT_EQ(actual, first);
  });
}

TEST(CudaFewRows, Nf4AgreesWithFloat64) {
  compare({.dtype = kBf16, .rows = 1, .n = 1, .k = 32}, 1);
  compare({.dtype = kBf16, .rows = 3, .n = 20, .k = 288, .nested = true, .accumulate = true}, 1);
  compare({.dtype = kF16, .rows = 16, .n = 35, .k = 160}, 1);
  compare({.dtype = kBf16, .rows = 9, .n = 16, .k = 1312, .nested = true, .wide = true}, 1);
  compare({.dtype = kF16, .rows = 2, .n = 17, .k = 4640, .accumulate = true}, 1);  // five parts
}

TEST(CudaFewRows, SketchAgreesWithFloat64) {
  for (const int bits : {4, 3, 2}) {
    compare({.dtype = kBf16, .rows = 5, .n = 18, .k = 240, .bits = bits, .groups = 3}, 1);
    compare({.dtype = kF16, .rows = 12, .n = 7, .k = 1216, .bits = bits, .groups = 1, .accumulate = true}, 1);
  }
  compare({.dtype = kBf16, .rows = 1, .n = 1, .k = 8, .bits = 3}, 1);
  compare({.dtype = kBf16, .rows = 4, .n = 33, .k = 512, .bits = 4, .groups = 8, .wide = true}, 1);
}

TEST(CudaFewRows, ManySchedules) {
  compare({.dtype = kBf16, .rows = 3, .n = 17, .k = 1056, .nested = true}, 6);
  compare({.dtype = kBf16, .rows = 3, .n = 17, .k = 1040, .bits = 4, .groups = 2}, 6);
}

TEST(CudaFewRows, SendsTheRestToThePanels) {
  const Context cuda(GRAFT_DEVICE_CUDA);
  const Nf4Weight nf4(cuda, false, 3, 64), odd(cuda, false, 3, 40);
  const SketchWeight sketch(cuda, kF32, kF32, 3, 2, 20, 4);
  const auto refusal = [&](graft_dtype dtype, std::int64_t rows, const graft_weight* w) {
    Tensor x(cuda, dtype, {rows, w->k}), y(cuda, dtype, {rows, w->n});
    return graft::cuda::refuse_few_rows({x, w, nullptr, false, y});
  };
  EXPECT_EQ(refusal(kBf16, 16, nf4.w), "");
  EXPECT_NE(refusal(kBf16, 17, nf4.w).find("16"), std::string::npos);
  EXPECT_NE(refusal(kF32, 1, nf4.w).find("bf16"), std::string::npos);
  EXPECT_NE(refusal(kBf16, 1, odd.w).find("16 bytes"), std::string::npos);
  EXPECT_NE(refusal(kBf16, 1, sketch.w).find("multiples of 8"), std::string::npos);
}

}  // namespace
}  // namespace graft::test
