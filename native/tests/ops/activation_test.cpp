// activation: values, fast against reference, finite differences, saturation and NaN, aliasing, threads, bad arguments.
#include <bit>
#include <cmath>

#include "gradients.h"
#include "tensors.h"

namespace graft::test {
namespace {

constexpr int kKinds[] = {GRAFT_ACTIVATION_RELU, GRAFT_ACTIVATION_TANH, GRAFT_ACTIVATION_SIGMOID};

struct Result {
  std::vector<double> y, dx;
  bool operator==(const Result&) const = default;
};

Result run(const Context& c, int kind, graft_dtype dtype, std::int64_t rows, std::int64_t columns,
           std::int64_t pitch = 0, double range = 4) {
  const Shape shape{rows, columns};
  Tensor x(c, dtype, shape, pitch), dy(c, dtype, shape), y(c, dtype, shape, pitch), dx(c, dtype, shape);
  x.random(1, -range, range), dy.random(2);
  GRAFT_EXPECT_OK(graft_activation_forward(c, kind, x, y));
  GRAFT_EXPECT_OK(graft_activation_backward(c, kind, dy, y, dx));
  return {y.get(), dx.get()};
}

TEST(Activation, Values) {
  for (const char* prefer : {"fast", "reference"}) {
    const Context c(2, prefer);
    const Shape shape{1, 6};
    Tensor x(c, kF32, shape), y(c, kF32, shape), dx(c, kF32, shape), ones(c, kF32, shape);
    x.set({-1e30, -2, 0, 1e-3, 2, 1e30}), ones.fill(1);
    GRAFT_ASSERT_OK(graft_activation_forward(c, GRAFT_ACTIVATION_RELU, x, y));
    EXPECT_EQ(c.last_dispatch(), std::string("activation_forward:cpu/") + prefer);
    EXPECT_EQ(y.get(), (std::vector<double>{0, 0, 0, x.get()[3], 2, x.get()[5]}));
    GRAFT_ASSERT_OK(graft_activation_backward(c, GRAFT_ACTIVATION_RELU, ones, y, dx));
    EXPECT_EQ(dx.get(), (std::vector<double>{0, 0, 0, 1, 1, 1}));
    GRAFT_ASSERT_OK(graft_activation_forward(c, GRAFT_ACTIVATION_TANH, x, y));
    const std::vector<double> tanh = y.get();
    for (int i = 0; i < 6; ++i) EXPECT_NEAR(tanh[i], std::tanh(x.get()[i]), 4 * 0x1p-24 * std::abs(tanh[i])) << i;
    GRAFT_ASSERT_OK(graft_activation_backward(c, GRAFT_ACTIVATION_TANH, ones, y, dx));
    for (int i = 0; i < 6; ++i) EXPECT_NEAR(dx.get()[i], 1 - tanh[i] * tanh[i], 2 * 0x1p-24) << i;
    GRAFT_ASSERT_OK(graft_activation_forward(c, GRAFT_ACTIVATION_SIGMOID, x, y));
    const std::vector<double> sigmoid = y.get();
    for (int i = 0; i < 6; ++i) EXPECT_NEAR(sigmoid[i], 1 / (1 + std::exp(-x.get()[i])), 4 * 0x1p-24) << i;
    GRAFT_ASSERT_OK(graft_activation_backward(c, GRAFT_ACTIVATION_SIGMOID, ones, y, dx));
    for (int i = 0; i < 6; ++i) EXPECT_NEAR(dx.get()[i], sigmoid[i] * (1 - sigmoid[i]), 2 * 0x1p-24) << i;
    for (int kind : kKinds) {
      x.fill(NAN);
      GRAFT_ASSERT_OK(graft_activation_forward(c, kind, x, y));
      for (double value : y.get()) EXPECT_TRUE(std::isnan(value)) << prefer << " " << kind;
    }
  }
}

TEST(Activation, FastAgreesWithReference) {
  const Context fast(2, "fast"), reference(1, "reference");
  for (int kind : kKinds)
    for (graft_dtype dtype : {kF32, GRAFT_DTYPE_BF16, GRAFT_DTYPE_F16})
      for (auto [rows, columns] : {std::pair{1, 1}, {3, 7}, {2, 16}, {33, 129}, {5, 17000}})
        for (double range : {4.0, 0.01}) {
          const std::string what = std::string(name(dtype)) + " " + std::to_string(kind) + " " + std::to_string(rows) +
                                   "x" + std::to_string(columns);
          const Result a = run(fast, kind, dtype, rows, columns, 0, range),
                       b = run(reference, kind, dtype, rows, columns, 0, range);
          if (kind == GRAFT_ACTIVATION_RELU) {
            EXPECT_TRUE(a == b) << what;
            continue;
          }
          const double tolerance = 2 * unit_roundoff(dtype) + 4 * 0x1p-24;
          expect_close(a.y, b.y, tolerance, what + " y");
          expect_close(a.dx, b.dx, tolerance, what + " dx", 1);
        }
}

TEST(Activation, FiniteDifferences) {
  const Context c(1, "reference");
  for (int kind : kKinds) {
    Tensor x(c, kF64, {5, 7}), dy(c, kF64, {5, 7}), y(c, kF64, {5, 7}), dx(c, kF64, {5, 7});
    x.random(1, -3, 3), dy.random(3);
    auto objective = [&] {
      EXPECT_EQ(graft_activation_forward(c, kind, x, y), GRAFT_OK);
      return dot(dy.get(), y.get());
    };
    objective();
    GRAFT_ASSERT_OK(graft_activation_backward(c, kind, dy, y, dx));
    expect_gradient(x, dx.get(), objective, "dx");
  }
}

TEST(Activation, SameBitsForAnyNumberOfThreads) {
  for (int kind : kKinds) expect_same_bits([&](const Context& c) { return run(c, kind, kBf16, 300, 130); });
}

// One NaN has bits beside the quiet one.
TEST(Activation, NaNStays) {
  for (const char* prefer : {"fast", "reference"})
    for (graft_activation_kind kind : {GRAFT_ACTIVATION_RELU, GRAFT_ACTIVATION_TANH, GRAFT_ACTIVATION_SIGMOID}) {
      const Context c(1, prefer);
      Tensor x(c, kF32, {1, 2}), y(c, kF32, {1, 2});
      auto* values = static_cast<float*>(x->data);
      values[0] = std::bit_cast<float>(0x7fc00001u), values[1] = std::bit_cast<float>(0xffc00000u);
      GRAFT_ASSERT_OK(graft_activation_forward(c, kind, x, y));
      for (double value : y.get()) EXPECT_TRUE(std::isnan(value)) << prefer << kind;
    }
}

TEST(Activation, PitchEmptyAndAlias) {
  for (const char* prefer : {"fast", "reference"})
    for (int kind : kKinds) {
      const Context c(2, prefer);
      const Result plain = run(c, kind, kF32, 9, 20);
      EXPECT_TRUE(plain == run(c, kind, kF32, 9, 20, 37));
      EXPECT_TRUE(run(c, kind, kF32, 0, 20).y.empty() && run(c, kind, kF32, 4, 0).y.empty());
      Tensor x(c, kF32, {9, 20}), dy(c, kF32, {9, 20});
      x.random(1, -4, 4), dy.random(2);
      GRAFT_ASSERT_OK(graft_activation_forward(c, kind, x, x));
      EXPECT_EQ(x.get(), plain.y);
      GRAFT_ASSERT_OK(graft_activation_backward(c, kind, dy, x, dy));
      EXPECT_EQ(dy.get(), plain.dx);
      dy.random(2);
      GRAFT_ASSERT_OK(graft_activation_backward(c, kind, dy, x, x));
      EXPECT_EQ(x.get(), plain.dx);
    }
}

TEST(Activation, BadArguments) {
  const Context c;
  const Shape shape{4, 6};
  Tensor x(c, kF32, shape), y(c, kF32, shape), thin(c, kF32, {4, 5}), flat(c, kF32, {6});
  Tensor half(c, GRAFT_DTYPE_BF16, shape), ids(c, GRAFT_DTYPE_I32, shape);
  const graft_status invalid = GRAFT_INVALID_ARGUMENT;
  expect_error(graft_activation_forward(nullptr, 0, x, y), invalid, {"graft_activation_forward", "context"});
  expect_error(graft_activation_forward(c, 3, x, y), invalid, {"kind is 3"});
  expect_error(graft_activation_forward(c, 0, nullptr, y), invalid, {"x is NULL"});
  expect_error(graft_activation_forward(c, 0, x, nullptr), invalid, {"y is NULL"});
  expect_error(graft_activation_forward(c, 0, ids, y), invalid, {"x [4, 6] i32"});
  expect_error(graft_activation_forward(c, 0, flat, y), GRAFT_SHAPE_MISMATCH, {"x [6]"});
  expect_error(graft_activation_forward(c, 0, x, half), invalid, {"y", "bf16"});
  expect_error(graft_activation_backward(c, -1, x, y, y), invalid, {"kind is -1"});
  expect_error(graft_activation_backward(c, 0, thin, y, x), GRAFT_SHAPE_MISMATCH, {"y [4, 6]"});
  expect_error(graft_activation_backward(c, 0, x, y, half), invalid, {"dx", "bf16"});
  Tensor all(c, kF32, {5, 6}), first = all.view(0, shape, {6, 1}), second = all.view(6, shape, {6, 1});
  expect_error(graft_activation_forward(c, 0, first, second), invalid, {"y", "overlaps x"});
}

}  // namespace
}  // namespace graft::test
