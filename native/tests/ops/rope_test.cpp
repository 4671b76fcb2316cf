// rope: golden files, frequencies, fast against reference, finite differences, far positions, views, aliasing, threads,
// bad arguments.
#include <cmath>

#include "golden.h"
#include "gradients.h"
#include "tensors.h"

namespace graft::test {
namespace {

struct Case {
  std::int64_t batch, length, heads, width, half;
};

struct Result {
  std::vector<double> y, dx;
  bool operator==(const Result&) const = default;
};

std::vector<double> frequencies(std::int64_t half) {
  std::vector<double> values;
  for (std::int64_t i = 0; i < half; ++i)
    values.push_back(std::pow(10000.0, -static_cast<double>(i) / static_cast<double>(half)));
  return values;
}

Result run(const Context& c, graft_dtype dtype, const Case& k, bool interleaved, int far = 50, double magnitude = 1) {
  const Shape shape{k.batch, k.length, k.heads, k.width};
  Tensor x(c, dtype, shape), y(c, dtype, shape), dy(c, dtype, shape), dx(c, dtype, shape);
  Tensor positions(c, kI32, {k.batch, k.length}), inv_freq(c, kF32, {k.half});
  x.random(1), dy.random(2), positions.integers(3, 0, far);
  inv_freq.set(frequencies(k.half));
  GRAFT_EXPECT_OK(graft_rope_forward(c, x, positions, inv_freq, interleaved, magnitude, y));
  GRAFT_EXPECT_OK(graft_rope_backward(c, dy, positions, inv_freq, interleaved, magnitude, dx));
  return {y.get(), dx.get()};
}

TEST(Rope, GoldenFiles) {
  for (const std::string& path : golden_files("rope")) {
    auto g = golden(path);
    const int interleaved = path.find("interleaved") != std::string::npos;
    for (const char* prefer : {"fast", "reference"}) {
      for (graft_dtype frequency_dtype : {kF32, kF64}) {
        const Context c(2, prefer);
        const Shape& shape = g.at("x").shape;
        Tensor x = load(c, kF32, g.at("x")), dy = load(c, kF32, g.at("dy"));
        Tensor positions = load(c, kI32, g.at("positions")), inv_freq = load(c, frequency_dtype, g.at("inv_freq"));
        Tensor y(c, kF32, shape), dx(c, kF32, shape);
        GRAFT_ASSERT_OK(graft_rope_forward(c, x, positions, inv_freq, interleaved, 1, y));
        EXPECT_EQ(c.last_dispatch(), std::string("rope_forward:cpu/") + prefer);
        GRAFT_ASSERT_OK(graft_rope_backward(c, dy, positions, inv_freq, interleaved, 1, dx));
        expect_close(y.get(), g.at("y").values, 1e-5, path + " y");
        expect_close(dx.get(), g.at("dx").values, 1e-5, path + " dx");
      }
    }
  }
}

TEST(Rope, GoldenFrequencies) {
  for (const std::string& path : golden_files("rope")) {
    auto g = golden(path);
    const Context c;
    Tensor inv_freq(c, kF32, g.at("inv_freq").shape);
    const double factor = path.find("llama3") != std::string::npos ? 8 : 0;
    GRAFT_ASSERT_OK(graft_rope_frequencies(
        c, g.at("theta").values.at(0), factor > 0 ? GRAFT_ROPE_LLAMA3 : GRAFT_ROPE_NONE, factor, 1, 4, 16, inv_freq));
    const std::vector<double> actual = inv_freq.get(), &expected = g.at("inv_freq").values;
    for (std::size_t i = 0; i < actual.size(); ++i)
      EXPECT_NEAR(actual[i], expected[i], 2e-7 * expected[i]) << path << " " << i;
  }
}

// Of transformers, which computes in fp32: theta 1e6, factor 8, 4096 positions, 16 and 2 turns, heads of 64.
TEST(Rope, YarnAndLinearFrequencies) {
  const Context c;
  Tensor inv_freq(c, kF32, {32});
  GRAFT_ASSERT_OK(graft_rope_frequencies(c, 1e6, GRAFT_ROPE_YARN, 8, 2, 16, 4096, inv_freq));
  const std::vector<double> yarn = inv_freq.get();
  const double expected[] = {0.03162277862429619,    0.017540527507662773,   0.009445777162909508,
                             0.004871049430221319,   0.0023430888541042805,  0.0009890133515000343,
                             0.00029642172739841044, 0.00019249081378802657, 0.0001250000059371814};
  for (std::size_t i = 0; i < 9; ++i) EXPECT_NEAR(yarn[8 + i], expected[i], 1e-6 * expected[i]) << i;
  EXPECT_EQ(yarn[0], 1);
  EXPECT_NEAR(yarn[31], 1.9249081617545016e-07, 1e-13);
  GRAFT_ASSERT_OK(graft_rope_frequencies(c, 1e6, GRAFT_ROPE_LINEAR, 8, 0, 0, 0, inv_freq));
  for (std::size_t i : {0u, 7u, 31u})
    EXPECT_NEAR(inv_freq.get()[i], std::pow(1e6, -static_cast<double>(i) / 32) / 8, 1e-7 * inv_freq.get()[i]);
}

TEST(Rope, FastAgreesWithReference) {
  const Context fast(2, "fast"), reference(1, "reference");
  for (graft_dtype dtype : {kF32, GRAFT_DTYPE_BF16, GRAFT_DTYPE_F16}) {
    for (const Case& k : {Case{1, 1, 1, 2, 1}, {2, 5, 3, 10, 5}, {1, 70, 2, 64, 32}, {2, 33, 1, 50, 17}}) {
      for (bool interleaved : {false, true}) {
        const std::string what =
            std::string(name(dtype)) + " width " + std::to_string(k.width) + (interleaved ? " interleaved" : " half");
        const double magnitude = interleaved ? 1 : 1.1386;
        const Result a = run(fast, dtype, k, interleaved, 50, magnitude),
                     b = run(reference, dtype, k, interleaved, 50, magnitude);
        const double tolerance = 2 * unit_roundoff(dtype) + 16 * 0x1p-24;
        expect_close(a.y, b.y, tolerance, what + " y");
        expect_close(a.dx, b.dx, tolerance, what + " dx");
      }
    }
  }
}

TEST(Rope, FarPositionsKeepTheirDigits) {
  const Context fast(2, "fast"), reference(1, "reference");
  const Case k{1, 40, 2, 32, 16};
  expect_close(run(fast, kF32, k, false, 1000000).y, run(reference, kF32, k, false, 1000000).y, 16 * 0x1p-24, "far");
}

TEST(Rope, FiniteDifferences) {
  const Context c(1, "reference");
  const Shape shape{2, 3, 2, 8};
  for (int interleaved : {0, 1}) {
    Tensor x(c, kF64, shape), y(c, kF64, shape), dy(c, kF64, shape), dx(c, kF64, shape);
    Tensor positions(c, kI32, {2, 3}), inv_freq(c, kF64, {3});
    x.random(1), dy.random(2), positions.integers(3, 0, 9), inv_freq.set({1, 0.1, 0.01});
    GRAFT_ASSERT_OK(graft_rope_backward(c, dy, positions, inv_freq, interleaved, 1.25, dx));
    auto objective = [&] {
      EXPECT_EQ(graft_rope_forward(c, x, positions, inv_freq, interleaved, 1.25, y), GRAFT_OK);
      return dot(dy.get(), y.get());
    };
    expect_gradient(x, dx.get(), objective, "dx", 96);
  }
}

TEST(Rope, BackwardUndoesForward) {
  for (const char* prefer : {"fast", "reference"}) {
    for (int interleaved : {0, 1}) {
      const Context c(2, prefer);
      Tensor x(c, kF32, {2, 9, 3, 16}), positions(c, kI32, {2, 9}), inv_freq(c, kF32, {6});
      x.random(1), positions.integers(2, 1, 99);
      const std::vector<double> before = x.get();
      inv_freq.set(frequencies(6));
      GRAFT_ASSERT_OK(graft_rope_forward(c, x, positions, inv_freq, interleaved, 1, x));
      EXPECT_NE(x.get(), before);
      GRAFT_ASSERT_OK(graft_rope_backward(c, x, positions, inv_freq, interleaved, 1, x));
      expect_close(x.get(), before, 1e-6, prefer);
    }
  }
}

TEST(Rope, MagnitudeScalesWhatIsTurned) {
  for (const char* prefer : {"fast", "reference"}) {
    for (bool interleaved : {false, true}) {
      const Context c(2, prefer);
      const Case k{2, 5, 3, 11, 4};
      const Result plain = run(c, kF32, k, interleaved), scaled = run(c, kF32, k, interleaved, 50, 1.5);
      for (std::size_t i = 0; i < plain.y.size(); ++i) {
        const double magnitude = i % 11 < 8 ? 1.5 : 1;
        EXPECT_NEAR(scaled.y[i], magnitude * plain.y[i], 1e-6) << prefer << " y " << i;
        EXPECT_NEAR(scaled.dx[i], magnitude * plain.dx[i], 1e-6) << prefer << " dx " << i;
      }
    }
  }
}

TEST(Rope, ViewsOfOneProjection) {
  for (const char* prefer : {"fast", "reference"}) {
    const Context c(2, prefer);
    // q and k as columns of one buffer [B·T, 40]: q has 3 heads, k has 2, of width 8.
    Tensor both(c, kF32, {2 * 5, 40}), positions(c, kI32, {2, 5}), inv_freq(c, kF32, {4});
    both.random(1), positions.integers(2, 0, 9), inv_freq.set({1, 0.5, 0.1, 0.02});
    Tensor q = both.view(0, {2, 5, 3, 8}, {200, 40, 8, 1}), k = both.view(24, {2, 5, 2, 8}, {200, 40, 8, 1});
    Tensor plain(c, kF32, {2, 5, 2, 8}), turned(c, kF32, {2, 5, 2, 8});
    plain.set(k.get());
    const std::vector<double> q_before = q.get();
    GRAFT_ASSERT_OK(graft_rope_forward(c, plain, positions, inv_freq, 0, 1, turned));
    GRAFT_ASSERT_OK(graft_rope_forward(c, k, positions, inv_freq, 0, 1, k));
    EXPECT_EQ(k.get(), turned.get());
    EXPECT_EQ(q.get(), q_before);
  }
}

TEST(Rope, SameBitsForAnyNumberOfThreads) {
  const Case k{2, 101, 3, 48, 20};
  expect_same_bits([&](const Context& c) { return run(c, kBf16, k, true); });
}

TEST(Rope, Empty) {
  for (const char* prefer : {"fast", "reference"}) {
    const Context c(2, prefer);
    EXPECT_TRUE(run(c, kF32, {2, 0, 3, 8, 4}, false).y.empty());
    EXPECT_TRUE(run(c, kF32, {2, 3, 0, 8, 4}, true).y.empty());
    Tensor x(c, kF32, {1, 2, 1, 4}), y(c, kF32, {1, 2, 1, 4}), positions(c, kI32, {1, 2}), none(c, kF32, {0});
    x.random(1);
    GRAFT_ASSERT_OK(graft_rope_forward(c, x, positions, none, 0, 1, y));  // R = 0 turns nothing
    EXPECT_EQ(x.get(), y.get());
  }
}

TEST(Rope, BadArguments) {
  const Context c;
  const Shape shape{2, 3, 2, 8};
  Tensor x(c, kF32, shape), y(c, kF32, shape), positions(c, kI32, {2, 3}), inv_freq(c, kF32, {4}),
      long_freq(c, kF32, {5});
  Tensor flat(c, kF32, {2, 3, 16}), half(c, GRAFT_DTYPE_BF16, shape), few(c, kI32, {2, 2});
  Tensor positions64(c, GRAFT_DTYPE_I64, {2, 3}), half_freq(c, GRAFT_DTYPE_BF16, {4});
  const graft_status invalid = GRAFT_INVALID_ARGUMENT;
  expect_error(graft_rope_forward(nullptr, x, positions, inv_freq, 0, 1, y), invalid,
               {"graft_rope_forward", "context"});
  expect_error(graft_rope_forward(c, nullptr, positions, inv_freq, 0, 1, y), invalid, {"x is NULL"});
  expect_error(graft_rope_forward(c, x, nullptr, inv_freq, 0, 1, y), invalid, {"positions is NULL"});
  expect_error(graft_rope_forward(c, x, positions, nullptr, 0, 1, y), invalid, {"inv_freq is NULL"});
  expect_error(graft_rope_forward(c, x, positions, inv_freq, 0, 1, nullptr), invalid, {"y is NULL"});
  expect_error(graft_rope_forward(c, flat, positions, inv_freq, 0, 1, y), GRAFT_SHAPE_MISMATCH, {"x [2, 3, 16]"});
  expect_error(graft_rope_forward(c, x, few, inv_freq, 0, 1, y), GRAFT_SHAPE_MISMATCH, {"positions [2, 2]"});
  expect_error(graft_rope_forward(c, x, positions64, inv_freq, 0, 1, y), invalid, {"positions", "i64"});
  expect_error(graft_rope_forward(c, x, positions, half_freq, 0, 1, y), invalid, {"inv_freq", "bf16"});
  expect_error(graft_rope_forward(c, x, positions, long_freq, 0, 1, y), GRAFT_SHAPE_MISMATCH, {"inv_freq", "10", "8"});
  expect_error(graft_rope_forward(c, x, positions, inv_freq, 0, 1, half), invalid, {"y", "bf16"});
  expect_error(graft_rope_backward(c, x, positions, inv_freq, 0, 1, half), invalid, {"graft_rope_backward", "dx"});
  expect_error(graft_rope_backward(c, nullptr, positions, inv_freq, 0, 1, y), invalid, {"dy is NULL"});
  Tensor all(c, kF32, {3, 3, 2, 8}), first = all.view(0, shape, {48, 16, 8, 1}),
                                     second = all.view(48, shape, {48, 16, 8, 1});
  expect_error(graft_rope_forward(c, first, positions, inv_freq, 0, 1, second), invalid, {"y", "overlaps x"});
  for (double magnitude : {0.0, -1.0, std::nan("")}) {
    expect_error(graft_rope_forward(c, x, positions, inv_freq, 0, magnitude, y), invalid, {"magnitude is"});
    expect_error(graft_rope_backward(c, x, positions, inv_freq, 0, magnitude, y), invalid, {"magnitude is"});
  }
  expect_error(graft_rope_frequencies(c, 0, GRAFT_ROPE_NONE, 0, 0, 0, 0, inv_freq), invalid,
               {"graft_rope_frequencies", "theta is 0"});
  expect_error(graft_rope_frequencies(c, 1e4, GRAFT_ROPE_LLAMA3, -1, 1, 4, 16, inv_freq), invalid, {"factor is -1"});
  expect_error(graft_rope_frequencies(c, 1e4, 4, 8, 1, 4, 16, inv_freq), invalid, {"scaling is 4"});
  expect_error(graft_rope_frequencies(c, 1e4, GRAFT_ROPE_LLAMA3, 8, 4, 4, 16, inv_freq), invalid, {"high is 4"});
  expect_error(graft_rope_frequencies(c, 1e4, GRAFT_ROPE_LLAMA3, 8, 1, 4, 0, inv_freq), invalid, {"original is 0"});
  expect_error(graft_rope_frequencies(c, 1e4, GRAFT_ROPE_NONE, 0, 0, 0, 0, half_freq), invalid, {"inv_freq", "bf16"});
  expect_error(graft_rope_frequencies(c, 1e4, GRAFT_ROPE_NONE, 0, 0, 0, 0, nullptr), invalid, {"inv_freq is NULL"});
}

}  // namespace
}  // namespace graft::test
