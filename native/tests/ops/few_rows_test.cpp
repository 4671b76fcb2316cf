// Products of one to three rows of bf16 with codes, where whole numbers may stand for x and for tables: x that spreads
// over many powers of two, in a block and between blocks, tables with some large entries, and what is not finite.
#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

#include "tensors.h"

namespace graft::test {
namespace {

constexpr std::int64_t kN = 70, kGroups = 2, kColumns = 192, kK = kGroups * kColumns;

// What x[t, k] becomes, of a random value; and of a random weight, which lets chosen columns be zero.
struct Pattern {
  const char* name;
  std::function<double(std::int64_t k, double value)> x;
  int zero_weights = 0;     // the first columns of each block
  bool second_row = false;  // x[1] alone becomes it
};

const Pattern kPatterns[] = {
    {"plain", [](std::int64_t, double v) { return v; }},
    {"one of a block large", [](std::int64_t k, double v) { return k % 64 == 0 ? 5000 * v : v; }},
    {"one of a block large, for no weight", [](std::int64_t k, double v) { return k % 64 == 0 ? 5000 * v : v; }, 1},
    {"two of a block large, for no weight", [](std::int64_t k, double v) { return k % 64 < 2 ? 7000 * v : v; }, 2},
    {"eight of a block large, for no weight", [](std::int64_t k, double v) { return k % 64 < 8 ? 20000 * v : v; }, 8},
    {"every other block spread", [](std::int64_t k, double v) { return k / 64 % 2 == 1 && k % 64 < 2 ? 7000 * v : v; },
     2},
    {"the second row spread", [](std::int64_t k, double v) { return k % 64 < 2 ? 7000 * v : v; }, 2, true},
    {"spread and small", [](std::int64_t k, double v) { return 0x1p-50 * (k % 64 < 2 ? 7000 * v : v); }, 2},
    {"one of a block", [](std::int64_t k, double v) { return k % 64 == 7 ? v : 0; }},
    {"a block large", [](std::int64_t k, double v) { return k / 64 == 1 ? 1e6 * v : v; }},
    {"a block small", [](std::int64_t k, double v) { return k / 64 == 1 ? 1e-30 * v : v; }},
    {"falling", [](std::int64_t k, double v) { return std::ldexp(v, -static_cast<int>(k % 64)); }},
    {"below the normal numbers", [](std::int64_t, double v) { return 1e-38 * v; }},
    {"huge", [](std::int64_t, double v) { return 1e37 * v; }},
    {"zero", [](std::int64_t, double) { return 0.0; }},
};

std::vector<double> made(const Pattern& p, std::int64_t rows, Tensor& x) {
  std::vector<double> values = x.random(3).get();
  for (std::int64_t i = p.second_row ? kK : 0; i < rows * kK; ++i)
    values[static_cast<std::size_t>(i)] = p.x(i % kK, values[static_cast<std::size_t>(i)]);
  return x.set(values).get();
}

// The largest |y - truth| / Σ|w||x|.
double error_of(const std::vector<double>& y, const std::vector<double>& w, const std::vector<double>& x,
                std::int64_t rows) {
  double largest = 0;
  for (std::int64_t t = 0; t < rows; ++t)
    for (std::int64_t n = 0; n < kN; ++n) {
      const double result = y[static_cast<std::size_t>(t * kN + n)];
      if (!std::isfinite(result)) return std::numeric_limits<double>::infinity();
      double truth = 0, size = 0;
      for (std::int64_t k = 0; k < kK; ++k) {
        const double product = w[static_cast<std::size_t>(n * kK + k)] * x[static_cast<std::size_t>(t * kK + k)];
        truth += product, size += std::fabs(product);
      }
      const double error = std::fabs(result - truth);
      // Results below the normal numbers are whole multiples of the smallest.
      if (error > 0x1p-133) largest = std::max(largest, error / size);
    }
  return largest;
}

// At most twice as far from the truth as the dense weight in bf16; `decoded` is W [N, K] in fp32.
void expect_near(const Context& c, const graft_weight* w, const Tensor& decoded, const Pattern& pattern,
                 const std::string& what) {
  for (std::int64_t rows : {1, 2, 3}) {
    Tensor x(c, kBf16, {rows, kK}, kK + 3), y(c, kBf16, {rows, kN}), naive(c, kBf16, {rows, kN});
    const std::vector<double> values = made(pattern, rows, x);
    GRAFT_ASSERT_OK(graft_context_prefer(c, nullptr));
    GRAFT_ASSERT_OK(graft_linear_forward(c, x, w, nullptr, 0, y));
    EXPECT_EQ(c.last_dispatch(), "linear_forward:cpu/few_rows");
    const Weight dense(c, kBf16, kN, kK);
    dense.matrix().set(decoded.get());
    GRAFT_ASSERT_OK(graft_context_prefer(c, "reference"));
    GRAFT_ASSERT_OK(graft_linear_forward(c, x, dense, nullptr, 0, naive));
    const double bound = 2 * error_of(naive.get(), decoded.get(), values, rows) + kK * 0x1p-24;
    ASSERT_TRUE(std::isfinite(bound)) << pattern.name;
    EXPECT_LE(error_of(y.get(), decoded.get(), values, rows), bound)
        << what << ", " << pattern.name << ", " << rows << " rows";
  }
  GRAFT_ASSERT_OK(graft_context_prefer(c, nullptr));
}

TEST(FewRows, Nf4OfSpreadRows) {
  const Context c(2);
  for (bool nested : {false, true})
    for (const Pattern& pattern : kPatterns) {
      Tensor matrix(c, kF32, {kN, kK}), decoded(c, kF32, {kN, kK});
      std::vector<double> values = matrix.random(1).get();
      for (std::size_t i = 0; i < values.size(); ++i)
        if (i % 64 < static_cast<std::size_t>(pattern.zero_weights)) values[i] = 0;
      matrix.set(values);
      const Weight w(c, Nf4{nested}, kN, kK);
      GRAFT_ASSERT_OK(graft_nf4_quantize(c, matrix, w));
      GRAFT_ASSERT_OK(graft_nf4_dequantize(c, w, decoded));
      expect_near(c, w, decoded, pattern, nested ? "nf4, nested" : "nf4");
    }
}

// Entry 15 is 0, for the columns that shall be; the large entries before it are for no code.
TEST(FewRows, SketchOfSpreadRowsAndTables) {
  const Context c(2);
  for (graft_dtype dtype : {kF32, kBf16})
    for (std::size_t large : {0, 1, 5, 10})
      for (const Pattern& pattern : kPatterns) {
        Tensor table(c, dtype, {kN, kGroups, 16}), codes(c, GRAFT_DTYPE_U8, {kN, kK}), decoded(c, kF32, {kN, kK});
        std::vector<double> entries = table.random(5).get();
        for (std::size_t i = 0; i < entries.size(); ++i)
          entries[i] *= i % 16 == 15 ? 0 : i % 16 >= 15 - large ? 3000 : 1;
        std::vector<double> chosen = codes.integers(6, 0, 14 - static_cast<int>(large)).get();
        for (std::size_t i = 0; i < chosen.size(); ++i)
          if (i % 64 < static_cast<std::size_t>(pattern.zero_weights)) chosen[i] = 15;
        table.set(entries), codes.set(chosen);
        const Weight w(c, table, kK);
        GRAFT_ASSERT_OK(graft_sketch_pack(c, codes, w));
        GRAFT_ASSERT_OK(graft_sketch_decode(c, w, decoded));
        expect_near(c, w, decoded, pattern,
                    std::string("sketch, ") + name(dtype) + ", " + std::to_string(large) + " large");
      }
}

// Spread about the 512 blocks whose scales are found at once: against the parts of x that are not spread, added.
TEST(FewRows, SecondPartsOfLongRows) {
  const Context c(2);
  const std::int64_t n = 3, k = 540 * 64;
  Tensor matrix(c, kF32, {n, k}), x(c, kBf16, {1, k}), y(c, kF32, {1, n}), part(c, kF32, {1, n});
  const Weight w(c, Nf4{true}, n, k);
  std::vector<double> weights = matrix.random(1).get();
  const std::vector<std::int64_t> spread = {0, 511, 512, 520, 539};
  for (std::int64_t row = 0; row < n; ++row)
    for (std::int64_t block : spread) weights[static_cast<std::size_t>(row * k + block * 64)] = 0;
  GRAFT_ASSERT_OK(graft_nf4_quantize(c, matrix.set(weights), w));
  std::vector<double> values = x.random(3).get();
  for (std::int64_t i = 0; i < k; ++i)
    if (std::find(spread.begin(), spread.end(), i / 64) == spread.end()) values[static_cast<std::size_t>(i)] = 0;
  for (std::int64_t block : spread) values[static_cast<std::size_t>(block * 64)] = 0;
  GRAFT_ASSERT_OK(graft_linear_forward(c, x.set(values), w, nullptr, 0, part));
  for (std::int64_t block : spread) values[static_cast<std::size_t>(block * 64)] = 8192;
  GRAFT_ASSERT_OK(graft_linear_forward(c, x.set(values), w, nullptr, 0, y));
  expect_close(y.get(), part.get(), 0x1p-8, "with large elements that meet weights of zero", 1);
}

TEST(FewRows, NoRows) {
  const Context c(2);
  Tensor x(c, kBf16, {0, kK}), y(c, kBf16, {0, kN}), table(c, kF32, {kN, kGroups, 16});
  const Weight nf4(c, Nf4{true}, kN, kK), sketch(c, table, kK);
  GRAFT_EXPECT_OK(graft_linear_forward(c, x, nf4, nullptr, 0, y));
  GRAFT_EXPECT_OK(graft_linear_forward(c, x, sketch, nullptr, 0, y));
  EXPECT_EQ(c.peak(GRAFT_MEMORY_WORKSPACE), 0);
}

TEST(FewRows, WhatIsNotFiniteIsNotLost) {
  const Context c(2);
  Tensor matrix(c, kF32, {kN, kK}), table(c, kF32, {kN, kGroups, 16}), codes(c, GRAFT_DTYPE_U8, {kN, kK});
  const Weight nf4(c, Nf4{true}, kN, kK), sketch(c, table.random(5), kK);
  GRAFT_ASSERT_OK(graft_nf4_quantize(c, matrix.random(1, 0.5, 1), nf4));
  GRAFT_ASSERT_OK(graft_sketch_pack(c, codes.integers(6, 0, 15), sketch));
  for (const double value : {std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()})
    for (graft_weight* w : {static_cast<graft_weight*>(nf4), static_cast<graft_weight*>(sketch)})
      for (std::int64_t rows : {1, 2}) {
        Tensor x(c, kBf16, {rows, kK}), y(c, kBf16, {rows, kN});
        std::vector<double> values = x.random(3).get();
        values[65] = value;
        x.set(values);
        GRAFT_ASSERT_OK(graft_linear_forward(c, x, w, nullptr, 0, y));
        const std::vector<double> results = y.get();
        for (std::size_t n = 0; n < kN; ++n) EXPECT_FALSE(std::isfinite(results[n])) << value << " column " << n;
        for (std::size_t n = kN; n < results.size(); ++n)
          EXPECT_TRUE(std::isfinite(results[n])) << "the row without it";
      }
}

}  // namespace
}  // namespace graft::test
