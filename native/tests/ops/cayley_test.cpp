// cayley: golden files, rotations are orthogonal, finite differences, dtypes, threads, empty blocks, bad arguments.
#include <cmath>

#include "golden.h"
#include "gradients.h"
#include "tensors.h"

namespace graft::test {
namespace {

constexpr graft_dtype kF32 = GRAFT_DTYPE_F32, kF64 = GRAFT_DTYPE_F64, kBf16 = GRAFT_DTYPE_BF16;

TEST(Cayley, GoldenFiles) {
  for (const std::string& path : golden_files("cayley")) {
    auto g = golden(path);
    const Context c(2);
    const int terms = static_cast<int>(g.at("terms").values.at(0));
    const Shape &qs = g.at("q").shape, &rs = g.at("r").shape;
    Tensor q = load(c, kF32, g.at("q")), dr = load(c, kF32, g.at("dr")), r(c, kF32, rs), dq(c, kF32, qs);
    GRAFT_ASSERT_OK(graft_cayley_forward(c, q, terms, r));
    GRAFT_ASSERT_OK(graft_cayley_backward(c, dr, q, terms, dq));
    expect_close(r.get(), g.at("r").values, 1e-5, path + " r");
    expect_close(dq.get(), g.at("dq").values, 1e-5, path + " dq");
  }
}

TEST(Cayley, ExactOnesAreOrthogonal) {
  const Context c(1);
  const std::int64_t n = 7;
  Tensor q(c, kF64, {2, n * (n - 1) / 2}), r(c, kF64, {2, n, n});
  q.random(3, -2, 2);
  GRAFT_ASSERT_OK(graft_cayley_forward(c, q, 0, r));
  std::vector<double> values = r.get();
  for (std::int64_t block = 0; block < 2; ++block)
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t j = 0; j < n; ++j) {
        double sum = 0;
        const auto at = [&](std::int64_t row, std::int64_t k) {
          return values[static_cast<std::size_t>((block * n + row) * n + k)] + (row == k ? 1 : 0);
        };
        for (std::int64_t k = 0; k < n; ++k) sum += at(i, k) * at(j, k);
        EXPECT_NEAR(sum, i == j ? 1 : 0, 1e-13);
      }
}

TEST(Cayley, FiniteDifferences) {
  const Context c(1);
  for (int terms : {0, 1, 2, 3, 4, 5, 8}) {
    Tensor q(c, kF64, {2, 6}), r(c, kF64, {2, 4, 4}), dr(c, kF64, {2, 4, 4}), dq(c, kF64, {2, 6});
    q.random(1), dr.random(2);
    const auto objective = [&] {
      EXPECT_EQ(graft_cayley_forward(c, q, terms, r), GRAFT_OK);
      return dot(dr.get(), r.get());
    };
    GRAFT_ASSERT_OK(graft_cayley_backward(c, dr, q, terms, dq));
    if (terms == 1) {
      EXPECT_EQ(dq.get(), std::vector<double>(12, 0.0));
    } else {
      expect_gradient(q, dq.get(), objective, "terms " + std::to_string(terms));
    }
  }
}

// Whole matrices as parameters: only their skew-symmetric parts count.
TEST(Cayley, SquareParameters) {
  const Context c(2);
  for (int terms : {0, 5}) {
    Tensor q(c, kF64, {2, 4, 4}), r(c, kF64, {2, 4, 4}), dr(c, kF64, {2, 4, 4}), dq(c, kF64, {2, 4, 4});
    Tensor entries(c, kF64, {2, 6}), same(c, kF64, {2, 4, 4});
    q.random(1), dr.random(2);
    std::vector<double> above;
    const std::vector<double> values = q.get();
    for (std::size_t block = 0; block < 2; ++block)
      for (std::size_t i = 0; i < 4; ++i)
        for (std::size_t j = i + 1; j < 4; ++j)
          above.push_back((values[block * 16 + i * 4 + j] - values[block * 16 + j * 4 + i]) / 2);
    entries.set(above);
    GRAFT_ASSERT_OK(graft_cayley_forward(c, entries, terms, same));
    const auto objective = [&] {
      EXPECT_EQ(graft_cayley_forward(c, q, terms, r), GRAFT_OK);
      return dot(dr.get(), r.get());
    };
    objective();
    EXPECT_EQ(r.get(), same.get());
    GRAFT_ASSERT_OK(graft_cayley_backward(c, dr, q, terms, dq));
    expect_gradient(q, dq.get(), objective, "terms " + std::to_string(terms));
  }
}

TEST(Cayley, DtypesThreadsAndZeros) {
  const Context one(1), four(4);
  const auto run = [](const Context& c, graft_dtype dtype, int terms) {
    Tensor q(c, kF32, {9, 10}), r(c, dtype, {9, 5, 5}), dr(c, kF32, {9, 5, 5}), dq(c, kF32, {9, 10});
    q.random(1, -0.1, 0.1), dr.random(2);
    GRAFT_EXPECT_OK(graft_cayley_forward(c, q, terms, r));
    GRAFT_EXPECT_OK(graft_cayley_backward(c, dr, q, terms, dq));
    return std::pair{r.get(), dq.get()};
  };
  for (int terms : {0, 5}) {
    const auto wide = run(one, kF32, terms);
    EXPECT_EQ(run(four, kF32, terms), wide);
    expect_close(run(one, kBf16, terms).first, wide.first, 0x1p-8, "bf16");
    Tensor q(one, kF32, {2, 1}), r(one, kF32, {2, 2, 2}), none(one, kF32, {0, 1}), empty(one, kF32, {0, 2, 2});
    r.fill(7);
    GRAFT_EXPECT_OK(graft_cayley_forward(one, q, terms, r));
    EXPECT_EQ(r.get(), std::vector<double>(8, 0.0));
    GRAFT_EXPECT_OK(graft_cayley_forward(one, none, terms, empty));
    Tensor single(one, kF32, {2, 0}), unit(one, kF32, {2, 1, 1});
    unit.fill(7);
    GRAFT_EXPECT_OK(graft_cayley_forward(one, single, terms, unit));
    EXPECT_EQ(unit.get(), std::vector<double>(2, 0.0));
  }
}

TEST(Cayley, BadArguments) {
  const Context c;
  Tensor q(c, kF32, {2, 6}), r(c, kF32, {2, 4, 4}), five(c, kF32, {2, 5, 5}), oblong(c, kF32, {2, 4, 3});
  Tensor bf16(c, kBf16, {2, 4, 4}), wrong(c, kF32, {2, 5});
  expect_error(graft_cayley_forward(c, nullptr, 0, r), GRAFT_INVALID_ARGUMENT, {"cayley", "q is NULL"});
  expect_error(graft_cayley_forward(c, q, 0, five), GRAFT_SHAPE_MISMATCH, {"q [2, 6]", "[2, 10]"});
  expect_error(graft_cayley_forward(c, q, 0, oblong), GRAFT_SHAPE_MISMATCH, {"r [2, 4, 3]"});
  expect_error(graft_cayley_forward(c, five, 0, r), GRAFT_SHAPE_MISMATCH, {"q [2, 5, 5]", "[2, 4, 4]"});
  expect_error(graft_cayley_forward(c, q, 17, r), GRAFT_INVALID_ARGUMENT, {"terms is 17", "0..16"});
  expect_error(graft_cayley_forward(c, q, -1, r), GRAFT_INVALID_ARGUMENT, {"terms is -1"});
  expect_error(graft_cayley_backward(c, bf16, q, 5, q), GRAFT_INVALID_ARGUMENT, {"dr", "bf16"});
  expect_error(graft_cayley_backward(c, r, q, 5, wrong), GRAFT_SHAPE_MISMATCH, {"dq [2, 5]"});
  expect_error(graft_cayley_backward(c, r, q, 5, q), GRAFT_INVALID_ARGUMENT, {"dq", "overlaps"});
}

}  // namespace
}  // namespace graft::test
