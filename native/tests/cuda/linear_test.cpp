// linear on the CUDA device: against float64, in every type, over odd, empty and aligned shapes, with and without bias.
#include "schedules.h"

namespace graft::test {
namespace {

struct Case {
  graft_dtype dtype;
  std::int64_t rows, n, k;
  bool accumulate, pitched;
};

struct Result {
  std::vector<double> y, dx, dw, dbias;
};

Result run(const Context& c, graft_dtype storage, const Case& n) {
  const std::int64_t gap = n.pitched ? 3 : 0;
  Tensor x = input(c, storage, n.dtype, {n.rows, n.k}, 1, n.k + gap), w = input(c, storage, n.dtype, {n.n, n.k}, 2);
  Tensor bias = input(c, sums_of(storage), n.dtype, {n.n}, 3),
         y = input(c, storage, n.dtype, {n.rows, n.n}, 4, n.n + gap);
  Tensor dy = input(c, storage, n.dtype, {n.rows, n.n}, 5), dx = input(c, storage, n.dtype, {n.rows, n.k}, 6);
  Tensor dw = input(c, sums_of(storage), n.dtype, {n.n, n.k}, 7), dbias = input(c, sums_of(storage), n.dtype, {n.n}, 8);
  graft_weight* weight = nullptr;
  GRAFT_EXPECT_OK(graft_weight_wrap_dense(c, w, &weight));
  GRAFT_EXPECT_OK(graft_linear_forward(c, x, weight, bias, n.accumulate, y));
  GRAFT_EXPECT_OK(graft_linear_backward(c, dy, x, weight, n.accumulate, dx, dw, dbias));
  GRAFT_EXPECT_OK(graft_context_synchronize(c));
  GRAFT_EXPECT_OK(graft_weight_destroy(c, weight));
  return {y.get(), dx.get(), dw.get(), dbias.get()};
}

void compare(const Case& n, int seeds) {
  SCOPED_TRACE(std::string(name(n.dtype)) + " T=" + std::to_string(n.rows) + " N=" + std::to_string(n.n) +
               " K=" + std::to_string(n.k));
  const Context cpu(1, "reference"), cuda(GRAFT_DEVICE_CUDA);
  const Result exact = run(cpu, kF64, n), plain = run(cpu, n.dtype, n);
  for_schedules(seeds, [&] {
    const Result actual = run(cuda, n.dtype, n);
    const double u = unit_roundoff(n.dtype), sum = unit_roundoff(kF32);
    // An empty sum is all zeros, which has no size to compare with.
    if (n.n * n.k == 0) {
      EXPECT_EQ(actual.y, plain.y);
      EXPECT_EQ(actual.dx, plain.dx);
      return;
    }
    expect_as_good(actual.y, plain.y, exact.y, u, "y");
    expect_as_good(actual.dx, plain.dx, exact.dx, u, "dx");
    expect_as_good(actual.dw, plain.dw, exact.dw, sum, "dw");
    expect_as_good(actual.dbias, plain.dbias, exact.dbias, sum, "dbias");
  });
}

TEST(CudaLinear, AgreesWithFloat64) {
  for (graft_dtype dtype : {kF32, kBf16, kF16}) {
    for (bool accumulate : {false, true}) {
      compare({dtype, 1, 1, 1, accumulate, false}, 1);
      compare({dtype, 37, 43, 29, accumulate, true}, 1);
      compare({dtype, 64, 32, 48, accumulate, false}, 1);
      compare({dtype, 0, 3, 5, accumulate, false}, 1);
      compare({dtype, 4, 0, 5, accumulate, false}, 1);
      compare({dtype, 4, 3, 0, accumulate, false}, 1);
    }
  }
}

TEST(CudaLinear, ManySchedules) { compare({kBf16, 20, 24, 16, true, false}, 10); }

TEST(CudaLinear, WiderResultNullAndNoBias) {
  const Context cpu(1, "reference"), cuda(GRAFT_DEVICE_CUDA);
  std::vector<double> y[2], dx[2];
  for (const Context* c : {&cpu, &cuda}) {
    Tensor x = input(*c, kBf16, kBf16, {5, 16}, 1), wide(*c, kF32, {5, 7});
    Tensor dy = input(*c, kBf16, kBf16, {5, 7}, 3), gradient(*c, kBf16, {5, 16});
    Weight w(*c, kBf16, 7, 16);
    w.matrix().set(input(*c, kBf16, kBf16, {7, 16}, 2).get());
    GRAFT_EXPECT_OK(graft_linear_forward(*c, x, w, nullptr, 0, wide));
    GRAFT_EXPECT_OK(graft_linear_backward(*c, dy, nullptr, w, 0, gradient, nullptr, nullptr));
    GRAFT_EXPECT_OK(graft_linear_backward(*c, dy, nullptr, w, 0, nullptr, nullptr, nullptr));
    GRAFT_EXPECT_OK(graft_context_synchronize(*c));
    y[c == &cuda] = wide.get(), dx[c == &cuda] = gradient.get();
  }
  expect_close(y[1], y[0], 1e-6, "y");
  expect_close(dx[1], dx[0], 2 * unit_roundoff(kBf16), "dx");
}

TEST(CudaLinear, NamesItselfAndWhatItDoesNotServe) {
  const Context cuda(GRAFT_DEVICE_CUDA);
  Tensor x(cuda, kF32, {2, 64}), y(cuda, kF32, {2, 3}), x64(cuda, kF64, {2, 64}), y64(cuda, kF64, {2, 3});
  Weight w(cuda, kF32, 3, 64), w64(cuda, kF64, 3, 64);
  Tensor table(cuda, kF64, {3, 1, 16});
  Weight sketch(cuda, table, 64);
  GRAFT_EXPECT_OK(graft_linear_forward(cuda, x, w, nullptr, 0, y));
  EXPECT_EQ(cuda.last_dispatch(), "linear_forward:cuda/kernel");
  expect_error(graft_linear_forward(cuda, x64, w64, nullptr, 0, y64), GRAFT_UNSUPPORTED, {"f64", "CPU"});
  expect_error(graft_linear_forward(cuda, x, sketch, nullptr, 0, y), GRAFT_UNSUPPORTED, {"f64"});
}

}  // namespace
}  // namespace graft::test
