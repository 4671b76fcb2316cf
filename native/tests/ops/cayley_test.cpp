// cayley: golden files, fast against reference, rotations are orthogonal, finite differences, dtypes, threads, empty
// blocks, bad arguments.
#include <algorithm>
#include <utility>

#include "golden.h"
#include "gradients.h"
#include "tensors.h"

namespace graft::test {
namespace {

TEST(Cayley, GoldenFiles) {
  for (const std::string& path : golden_files("cayley"))
    for (const char* prefer : {"fast", "reference"}) {
      auto g = golden(path);
      const Context c(2, prefer);
      const int terms = static_cast<int>(g.at("terms").values.at(0));
      const Shape &qs = g.at("q").shape, &rs = g.at("r").shape;
      Tensor q = load(c, kF32, g.at("q")), dr = load(c, kF32, g.at("dr")), r(c, kF32, rs), dq(c, kF32, qs);
      GRAFT_ASSERT_OK(graft_cayley_forward(c, q, terms, r));
      GRAFT_ASSERT_OK(graft_cayley_backward(c, dr, q, terms, dq));
      expect_close(r.get(), g.at("r").values, 1e-5, path + " r");
      expect_close(dq.get(), g.at("dq").values, 1e-5, path + " dq");
    }
}

// r and dq of entries so small that the rows of |Q| sum to less than 1, and with them every series of absolute values.
std::pair<std::vector<double>, std::vector<double>> run(const Context& c, graft_dtype dtype, std::int64_t n, int terms,
                                                        bool square) {
  const Shape shape = square ? Shape{9, n, n} : Shape{9, n * (n - 1) / 2};
  Tensor q(c, kF32, shape), r(c, dtype, {9, n, n}), dr(c, kF32, {9, n, n}), dq(c, kF32, shape);
  q.random(1, -1.0 / static_cast<double>(n), 1.0 / static_cast<double>(n)), dr.random(2), dq.random(3);
  GRAFT_EXPECT_OK(graft_cayley_forward(c, q, terms, r));
  GRAFT_EXPECT_OK(graft_cayley_backward(c, dr, q, terms, dq));
  return {r.get(), dq.get()};
}

TEST(Cayley, FastAgreesWithReference) {
  const Context fast(2, "fast"), reference(1, "reference");
  for (graft_dtype dtype : {kF32, kBf16, GRAFT_DTYPE_F16})
    for (bool square : {false, true})
      for (std::int64_t n : {2, 3, 8, 13, 33})
        for (int terms : {0, 2, 3, 5, 9}) {
          const auto a = run(fast, dtype, n, terms, square), b = run(reference, dtype, n, terms, square);
          // A sum of n products for each power; the inverse counts as four.
          const double bound = static_cast<double>(4 * n * std::max(terms, 4)) * 0x1p-24;
          const std::string what = std::to_string(n) + " terms " + std::to_string(terms);
          expect_close(a.first, b.first, 2 * unit_roundoff(dtype) + bound, what + " r");
          expect_close(a.second, b.second, bound, what + " dq");
        }
  run(fast, kBf16, 2, 0, false);
  EXPECT_EQ(fast.last_dispatch(), "cayley_backward:cpu/fast");
}

// The inverse of blocks that need pivots.
TEST(Cayley, LargeEntries) {
  const Context fast(1, "fast"), reference(1, "reference");
  const auto large = [](const Context& c, graft_dtype dtype) {
    Tensor q(c, dtype, {4, 66}), r(c, dtype, {4, 12, 12}), dr(c, dtype, {4, 12, 12}), dq(c, dtype, {4, 66});
    q.random(1, -9, 9), dr.random(2);
    GRAFT_EXPECT_OK(graft_cayley_forward(c, q, 0, r));
    GRAFT_EXPECT_OK(graft_cayley_backward(c, dr, q, 0, dq));
    return std::pair{r.get(), dq.get()};
  };
  const auto actual = large(fast, kF32), expected = large(reference, kF64);
  expect_close(actual.first, expected.first, 1e-5, "r", 2);
  expect_close(actual.second, expected.second, 1e-5, "dq", 4);
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
  const Context one(1);
  for (int terms : {0, 5}) {
    for (std::int64_t n : {5, 33}) {
      expect_same_bits([&](const Context& c) { return run(c, kF32, n, terms, false); });
      expect_close(run(one, kBf16, n, terms, false).first, run(one, kF32, n, terms, false).first, 0x1p-8, "bf16");
    }
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
