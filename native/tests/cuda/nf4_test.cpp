// NF4 weights on the CUDA device: decoding, and linear and lora over them, against float64; single and double
// quantised, rows of every alignment, several panels.
#include "coded.h"

namespace graft::test {
namespace {

struct Case {
  graft_dtype dtype;
  bool nested;
  std::int64_t rows, n, k;
};

struct Result {
  std::vector<double> matrix, y, dx;
  std::string lora;
};

Result run(const Context& c, graft_dtype storage, const Case& n) {
  const Nf4Weight coded(c, n.nested, n.n, n.k);
  const Weight& w = coded.w;
  Tensor x = input(c, storage, n.dtype, {n.rows, n.k}, 2), dy = input(c, storage, n.dtype, {n.rows, n.n}, 3);
  Tensor y = input(c, storage, n.dtype, {n.rows, n.n}, 4), dx(c, storage, {n.rows, n.k}),
         matrix(c, storage, {n.n, n.k});
  Tensor a = input(c, sums_of(storage), n.dtype, {4, n.k}, 5), b = input(c, sums_of(storage), n.dtype, {n.n, 4}, 6);
  Tensor bias = input(c, sums_of(storage), n.dtype, {n.n}, 7);
  GRAFT_EXPECT_OK(graft_nf4_dequantize(c, w, matrix));
  GRAFT_EXPECT_OK(graft_linear_forward(c, x, w, bias, 1, y));
  GRAFT_EXPECT_OK(
      graft_lora_backward(c, dy, nullptr, nullptr, w, a, b, 0.5, 0.25, 7, 0, 0, dx, nullptr, nullptr, nullptr));
  Result r{{}, {}, {}, c.last_dispatch()};
  GRAFT_EXPECT_OK(graft_context_synchronize(c));
  r.matrix = matrix.get(), r.y = y.get(), r.dx = dx.get();
  return r;
}

void compare(const Case& n, int seeds) {
  SCOPED_TRACE(std::string(name(n.dtype)) + " N=" + std::to_string(n.n) + " K=" + std::to_string(n.k) +
               (n.nested ? " double quantised" : ""));
  const Context cpu(1, "reference"), cuda(GRAFT_DEVICE_CUDA);
  const Result exact = run(cpu, kF64, n), plain = run(cpu, n.dtype, n);
  for_schedules(seeds, [&] {
    const Result actual = run(cuda, n.dtype, n);
    const double u = unit_roundoff(n.dtype);
    expect_as_good(actual.matrix, plain.matrix, exact.matrix, u, "matrix");
    expect_as_good(actual.y, plain.y, exact.y, u, "y");
    expect_as_good(actual.dx, plain.dx, exact.dx, u, "dx");
    EXPECT_EQ(actual.lora, "lora_backward:cuda/accumulating");
  });
}

TEST(CudaNf4, AgreesWithFloat64) {
  for (graft_dtype dtype : {kF32, kBf16, kF16}) {
    for (bool nested : {false, true}) {
      compare({dtype, nested, 3, 40, 72}, 1);
      compare({dtype, nested, 5, 7, 33}, 1);
    }
  }
}

TEST(CudaNf4, ManySchedules) { compare({kBf16, true, 2, 16, 64}, 20); }

TEST(CudaNf4, SeveralPanels) { compare({kBf16, false, 1, 70, 65600}, 1); }

}  // namespace
}  // namespace graft::test
