// lora's forward by the main loops for compute capability 9.0: against float64, with ranks that fill no stage and
// several, with and without dropout, into y of both types, whatever border the weight has.
#include "sm90.h"

namespace graft::test {
namespace {

using CudaSm90Lora = Sm90Test;

constexpr double kScale = 1.25;

struct Case {
  std::int64_t rows, n, k, rank;
  int border = 0;
  double dropout = 0;
  bool accumulate = false;
};

struct Result {
  std::vector<double> y, s;
};

Result run(const Context& c, graft_dtype storage, const Case& n) {
  const graft_dtype sums = sums_of(storage);
  Tensor x = input(c, storage, kBf16, {n.rows, n.k}, 1, n.k + 16), bias = input(c, sums, kBf16, {n.n}, 2);
  Tensor a = input(c, sums, kBf16, {n.rank, n.k}, 4), b = input(c, sums, kBf16, {n.n, n.rank}, 5);
  Tensor y = input(c, storage, kBf16, {n.rows, n.n}, 6), s(c, storage, {n.rows, n.rank});
  Weight w(c, storage, n.n, n.k, n.border);
  w.matrix().set(input(c, storage, kBf16, {n.n, n.k}, 11).get());
  GRAFT_EXPECT_OK(graft_lora_forward(c, x, w, a, b, kScale, bias, n.dropout, 7, 8, n.accumulate, y, s));
  GRAFT_EXPECT_OK(graft_context_synchronize(c));
  if (c.last_dispatch().find("cuda") != std::string::npos) {
    EXPECT_EQ(c.last_dispatch(), "lora_forward:cuda/sm90");
  }
  return {y.get(), s.get()};
}

/** y in plain loops over what the tensor cores multiply: S and scale·B in bf16, added in one sum. */
std::vector<double> plain_y(const Context& c, const Case& n, const std::vector<double>& s) {
  Tensor x = input(c, kBf16, kBf16, {n.rows, n.k}, 1), bias = input(c, kF32, kBf16, {n.n}, 2);
  Tensor y = input(c, kBf16, kBf16, {n.rows, n.n}, 6), w = input(c, kBf16, kBf16, {n.n, n.k}, 11);
  Tensor left(c, kBf16, {n.rows, n.k + n.rank}), right(c, kBf16, {n.n, n.k + n.rank});
  std::vector<double> scaled = input(c, kF32, kBf16, {n.n, n.rank}, 5).get();
  for (double& value : scaled) value *= kScale;
  const auto beside = [&](const std::vector<double>& l, const std::vector<double>& r, std::int64_t rows, Tensor& to) {
    std::vector<double> both;
    for (std::int64_t i = 0; i < rows; ++i) {
      both.insert(both.end(), l.begin() + i * n.k, l.begin() + (i + 1) * n.k);
      both.insert(both.end(), r.begin() + i * n.rank, r.begin() + (i + 1) * n.rank);
    }
    to.set(both);
  };
  beside(x.get(), s, n.rows, left), beside(w.get(), scaled, n.n, right);
  graft_weight* weight = nullptr;
  GRAFT_EXPECT_OK(graft_weight_wrap_dense(c, right, &weight));
  GRAFT_EXPECT_OK(graft_linear_forward(c, left, weight, bias, n.accumulate, y));
  GRAFT_EXPECT_OK(graft_weight_destroy(c, weight));
  return y.get();
}

void compare(const Case& n, int seeds) {
  SCOPED_TRACE("T=" + std::to_string(n.rows) + " N=" + std::to_string(n.n) + " K=" + std::to_string(n.k) +
               " r=" + std::to_string(n.rank));
  const Context cpu(1, "reference"), cuda(GRAFT_DEVICE_CUDA);
  const Result exact = run(cpu, kF64, n), plain = run(cpu, kBf16, n);
  const std::vector<double> y = plain_y(cpu, n, plain.s);
  Result first;
  for_schedules(seeds, [&] {
    const Result actual = run(cuda, kBf16, n);
    expect_as_good(actual.y, y, exact.y, unit_roundoff(kBf16), "y");
    expect_as_good(actual.s, plain.s, exact.s, unit_roundoff(kBf16), "s");
    if (first.y.empty()) first = actual;
    EXPECT_TRUE(actual.y == first.y && actual.s == first.s);
  });
}

TEST_F(CudaSm90Lora, AgreesWithFloat64) {
  compare({37, 43, 24, 5}, 1);
  compare({20, 136, 72, 16, 16, 0, true}, 1);
  compare({9, 8, 264, 70, 0, 0.25}, 1);
}

TEST_F(CudaSm90Lora, ManySchedules) { compare({20, 24, 4 * 64 + 8, 70}, 10); }

TEST_F(CudaSm90Lora, SendsTheRestToTheLibrary) {
  const Context cuda(GRAFT_DEVICE_CUDA);
  Tensor x(cuda, kBf16, {2, 16}), y(cuda, kBf16, {2, 3}), a(cuda, kF32, {0, 16}), b(cuda, kF32, {3, 0});
  Weight w(cuda, kBf16, 3, 16);
  GRAFT_EXPECT_OK(graft_lora_forward(cuda, x, w, a, b, 1, nullptr, 0, 0, 0, 0, y, nullptr));
  EXPECT_EQ(cuda.last_dispatch(), "lora_forward:cuda/accumulating");
}

}  // namespace
}  // namespace graft::test
