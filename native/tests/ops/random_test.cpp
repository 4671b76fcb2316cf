// random: the known answer of Philox, the law of the numbers, streams by offset, strides, threads, bad arguments.
#include <algorithm>
#include <cmath>

#include "tensors.h"

namespace graft::test {
namespace {

constexpr std::uint64_t kSeed = 0x0123456789abcdefu;

std::vector<double> uniform(const Context& c, graft_dtype dtype, const Shape& shape, std::uint64_t offset = 0,
                            double low = 0, double high = 1) {
  Tensor y(c, dtype, shape);
  GRAFT_EXPECT_OK(graft_random_uniform(c, kSeed, offset, low, high, y));
  return y.get();
}

std::vector<double> normal(const Context& c, graft_dtype dtype, const Shape& shape, std::uint64_t offset = 0) {
  Tensor y(c, dtype, shape);
  GRAFT_EXPECT_OK(graft_random_normal(c, kSeed, offset, 0, 1, y));
  return y.get();
}

TEST(Random, KnownAnswerOfPhilox) {
  const Context c(1, "reference");
  Tensor y(c, kF64, {4});
  GRAFT_ASSERT_OK(graft_random_uniform(c, 0, 0, 0, 0x1p32, y));
  EXPECT_EQ(y.get(), (std::vector<double>{0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u}));
}

TEST(Random, UniformNumbersFillTheirInterval) {
  for (graft_dtype dtype : {kF32, kBf16, GRAFT_DTYPE_F16}) {
    const Context c;
    const std::vector<double> values = uniform(c, dtype, {100000}, 0, -2, 3);
    double sum = 0, squares = 0;
    for (double value : values) sum += value, squares += value * value;
    EXPECT_NEAR(sum / 1e5, 0.5, 0.02) << name(dtype);
    EXPECT_NEAR(squares / 1e5 - 0.25, 25.0 / 12, 0.03) << name(dtype);
    EXPECT_GE(*std::min_element(values.begin(), values.end()), -2) << name(dtype);
    EXPECT_LT(*std::max_element(values.begin(), values.end()), 3) << name(dtype);  // though 2.999 rounds to 3 in bf16
    EXPECT_GT(*std::max_element(values.begin(), values.end()), 2.98) << name(dtype);
  }
}

TEST(Random, NormalNumbersHaveTheirMoments) {
  for (const char* prefer : {"fast", "reference"}) {
    const Context c(2, prefer);
    Tensor y(c, kF32, {400, 250});
    GRAFT_ASSERT_OK(graft_random_normal(c, kSeed, 0, 3, 2, y));
    double moments[4] = {};
    std::int64_t beyond = 0;
    for (double value : y.get()) {
      const double z = (value - 3) / 2;
      for (int k = 0; k < 4; ++k) moments[k] += std::pow(z, k + 1) / 1e5;
      beyond += std::fabs(z) > 1.959964;
    }
    EXPECT_NEAR(moments[0], 0, 0.015);
    EXPECT_NEAR(moments[1], 1, 0.02);
    EXPECT_NEAR(moments[2], 0, 0.05);
    EXPECT_NEAR(moments[3], 3, 0.15);
    EXPECT_NEAR(static_cast<double>(beyond) / 1e5, 0.05, 0.004);
  }
}

TEST(Random, FastAgreesWithReference) {
  const Context fast(2, "fast"), reference(1, "reference");
  for (graft_dtype dtype : {kF32, kBf16, GRAFT_DTYPE_F16}) {
    for (const Shape& shape : {Shape{1}, {777}, {3, 5, 7, 11}, {40000}}) {
      for (std::uint64_t offset : {0, 1, 2, 3, 1000001}) {
        EXPECT_EQ(uniform(fast, dtype, shape, offset, -1, 1), uniform(reference, dtype, shape, offset, -1, 1));
        expect_close(normal(fast, dtype, shape, offset), normal(reference, dtype, shape, offset),
                     2 * unit_roundoff(dtype), std::string("normal ") + name(dtype));
      }
    }
  }
}

TEST(Random, ElementDependsOnOffsetPlusIndexOnly) {
  for (const char* prefer : {"fast", "reference"}) {
    const Context c(2, prefer);
    const std::vector<double> whole = normal(c, kF32, {1000}), numbers = uniform(c, kF32, {1000});
    for (std::int64_t offset : {1, 6, 255, 257, 990}) {
      const std::int64_t length = 1000 - offset;
      EXPECT_EQ(normal(c, kF32, {length}, static_cast<std::uint64_t>(offset)),
                (std::vector<double>{whole.begin() + offset, whole.end()}));
      EXPECT_EQ(uniform(c, kF32, {length}, static_cast<std::uint64_t>(offset)),
                (std::vector<double>{numbers.begin() + offset, numbers.end()}));
    }
    EXPECT_EQ(uniform(c, kF32, {20, 50}), numbers);
    Tensor pitched(c, kF32, {20, 50}, 64);
    GRAFT_ASSERT_OK(graft_random_uniform(c, kSeed, 0, 0, 1, pitched));
    EXPECT_EQ(pitched.get(), numbers);
    GRAFT_ASSERT_OK(graft_random_normal(c, kSeed, 0, 0, 1, pitched));
    EXPECT_EQ(pitched.get(), whole);
    GRAFT_ASSERT_OK(graft_random_uniform(c, kSeed + 1, 0, 0, 1, pitched));
    EXPECT_NE(pitched.get(), numbers);
    EXPECT_TRUE(uniform(c, kF32, {0}).empty());
    EXPECT_TRUE(normal(c, kF32, {3, 0}).empty());
  }
}

TEST(Random, TheElementWrapsAtTheEndOfTheStream) {
  const Context fast(2, "fast"), reference(1, "reference");
  for (std::uint64_t back : {1, 4, 12, 13}) {
    const std::uint64_t offset = 0 - back;
    const std::vector<double> numbers = uniform(fast, kF32, {24}, offset), start = uniform(fast, kF32, {24});
    EXPECT_EQ(numbers, uniform(reference, kF32, {24}, offset));
    EXPECT_TRUE(std::equal(numbers.begin() + static_cast<std::ptrdiff_t>(back), numbers.end(), start.begin()));
    expect_close(normal(fast, kF32, {24}, offset), normal(reference, kF32, {24}, offset), 2 * 0x1p-24, "normal");
  }
}

TEST(Random, SameBitsForAnyNumberOfThreads) {
  const Shape shape{3, 20001};
  expect_same_bits([&](const Context& c) { return normal(c, kF32, shape, 5); }, "normal");
  expect_same_bits([&](const Context& c) { return uniform(c, kBf16, shape, 5); }, "uniform");
  expect_same_bits([&](const Context& c) {
    Tensor y(c, kF32, shape);
    y.random(1);
    GRAFT_EXPECT_OK(graft_random_add_normal(c, kSeed, 9, 0.5, y));
    GRAFT_EXPECT_OK(graft_random_keep(c, kSeed, 9, 0.5, y));
    return y.get();
  });
}

// What is added can be taken back, up to the rounding of the sum, and is the stream of graft_random_normal.
TEST(Random, AddedNormalNumbersAreThoseOfTheStream) {
  for (const char* prefer : {"fast", "reference"}) {
    const Context c(2, prefer);
    for (std::uint64_t offset : {0, 5}) {
      Tensor y(c, kF32, {30, 41}, 48);
      y.random(3);
      const std::vector<double> before = y.get(), z = normal(c, kF32, {30, 41}, offset);
      GRAFT_ASSERT_OK(graft_random_add_normal(c, kSeed, offset, 0.25, y));
      std::vector<double> expected = before;
      for (std::size_t i = 0; i < z.size(); ++i) expected[i] += 0.25 * z[i];
      expect_close(y.get(), expected, 1e-6, prefer);
      GRAFT_ASSERT_OK(graft_random_add_normal(c, kSeed, offset, -0.25, y));
      expect_close(y.get(), before, 1e-6, prefer, 4);
    }
  }
}

TEST(Random, KeepsWhatIsBelowTheProbability) {
  for (const char* prefer : {"fast", "reference"})
    for (graft_dtype dtype : {kF32, kBf16}) {
      const Context c(2, prefer);
      const std::vector<double> u = uniform(c, kF32, {1000}, 7);
      Tensor y(c, dtype, {20, 50}, 64);
      y.random(4);
      std::vector<double> expected = y.get();
      std::int64_t kept = 0;
      for (std::size_t i = 0; i < u.size(); ++i) {
        kept += u[i] < 0.25;
        expected[i] = u[i] < 0.25 ? expected[i] * 4 : 0;
      }
      GRAFT_ASSERT_OK(graft_random_keep(c, kSeed, 7, 0.25, y));
      EXPECT_EQ(y.get(), expected) << prefer << " " << name(dtype);
      EXPECT_NEAR(static_cast<double>(kept), 250, 50);
      GRAFT_ASSERT_OK(graft_random_keep(c, kSeed, 7, 1, y));
      EXPECT_EQ(y.get(), expected);
    }
}

TEST(Random, BadArguments) {
  const Context c;
  Tensor y(c, kF32, {4}), ids(c, GRAFT_DTYPE_I32, {4}), h(c, kBf16, {4});
  const graft_status invalid = GRAFT_INVALID_ARGUMENT;
  expect_error(graft_random_uniform(nullptr, 1, 0, 0, 1, y), invalid, {"graft_random_uniform", "context"});
  expect_error(graft_random_uniform(c, 1, 0, 0, 1, nullptr), invalid, {"y is NULL"});
  expect_error(graft_random_uniform(c, 1, 0, 0, 1, ids), invalid, {"y [4] i32"});
  expect_error(graft_random_uniform(c, 1, 0, 1, 1, y), invalid, {"high is 1", "low"});
  expect_error(graft_random_uniform(c, 1, 0, -INFINITY, 1, y), invalid, {"low"});
  expect_error(graft_random_uniform(c, 1, 0, 1 + 0x1p-10, 1 + 0x1p-9, h), invalid, {"y [4] bf16", "no numbers"});
  expect_error(graft_random_normal(c, 1, 0, 0, 1, nullptr), invalid, {"graft_random_normal", "y is NULL"});
  expect_error(graft_random_normal(c, 1, 0, 0, 1, ids), invalid, {"y [4] i32"});
  expect_error(graft_random_normal(c, 1, 0, NAN, 1, y), invalid, {"mean"});
  expect_error(graft_random_normal(c, 1, 0, 0, -1, y), invalid, {"deviation is -1"});
  expect_error(graft_random_add_normal(c, 1, 0, NAN, y), invalid, {"graft_random_add_normal", "factor"});
  expect_error(graft_random_add_normal(c, 1, 0, 1, ids), invalid, {"y [4] i32"});
  expect_error(graft_random_keep(c, 1, 0, 0, y), invalid, {"graft_random_keep", "keep is 0", "(0, 1]"});
  expect_error(graft_random_keep(c, 1, 0, 1.5, y), invalid, {"keep is 1.5"});
  expect_error(graft_random_keep(c, 1, 0, NAN, y), invalid, {"keep"});
}

}  // namespace
}  // namespace graft::test
