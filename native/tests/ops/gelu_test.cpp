// gelu: golden files, fast against reference, finite differences, saturation, aliasing, threads, bad arguments.
#include <cmath>

#include "golden.h"
#include "gradients.h"
#include "tensors.h"

namespace graft::test {
namespace {

struct Result {
  std::vector<double> y, dx;
  bool operator==(const Result&) const = default;
};

constexpr graft_gelu_kind kKinds[] = {GRAFT_GELU_TANH, GRAFT_GELU_ERF};

Result run(const Context& c, graft_dtype dtype, std::int64_t rows, std::int64_t columns, std::int64_t pitch = 0,
           graft_gelu_kind kind = GRAFT_GELU_TANH) {
  const Shape shape{rows, columns};
  Tensor x(c, dtype, shape, pitch), dy(c, dtype, shape), y(c, dtype, shape, pitch), dx(c, dtype, shape, pitch);
  x.random(1, -6, 6), dy.random(3);
  GRAFT_EXPECT_OK(graft_gelu_forward(c, kind, x, y));
  GRAFT_EXPECT_OK(graft_gelu_backward(c, kind, dy, x, dx));
  return {y.get(), dx.get()};
}

TEST(Gelu, GoldenFiles) {
  for (const std::string& path : golden_files("gelu")) {
    auto g = golden(path);
    for (const char* prefer : {"fast", "reference"}) {
      const Context c(2, prefer);
      const Shape& shape = g.at("x").shape;
      Tensor x = load(c, kF32, g.at("x")), dy = load(c, kF32, g.at("dy")), y(c, kF32, shape), dx(c, kF32, shape);
      GRAFT_ASSERT_OK(graft_gelu_forward(c, GRAFT_GELU_TANH, x, y));
      EXPECT_EQ(c.last_dispatch(), std::string("gelu_forward:cpu/") + prefer);
      GRAFT_ASSERT_OK(graft_gelu_backward(c, GRAFT_GELU_TANH, dy, x, dx));
      expect_close(y.get(), g.at("y").values, 1e-5, path + " y");
      expect_close(dx.get(), g.at("dx").values, 1e-5, path + " dx");
    }
  }
}

TEST(Gelu, FastAgreesWithReference) {
  const Context fast(2, "fast"), reference(1, "reference");
  for (graft_dtype dtype : {kF32, GRAFT_DTYPE_BF16, GRAFT_DTYPE_F16}) {
    for (auto [rows, columns] : {std::pair{1, 1}, {3, 7}, {2, 16}, {33, 129}, {5, 17000}}) {
      const std::string what = std::string(name(dtype)) + " " + std::to_string(rows) + "x" + std::to_string(columns);
      const double tolerance = 2 * unit_roundoff(dtype) + 16 * 0x1p-24;
      for (graft_gelu_kind kind : kKinds) {
        const Result a = run(fast, dtype, rows, columns, 0, kind), b = run(reference, dtype, rows, columns, 0, kind);
        expect_close(a.y, b.y, tolerance, what + " y");
        expect_close(a.dx, b.dx, tolerance, what + " dx");
      }
    }
  }
}

TEST(Gelu, FiniteDifferences) {
  const Context c(1, "reference");
  Tensor x(c, kF64, {5, 7}), dy(c, kF64, {5, 7}), y(c, kF64, {5, 7}), dx(c, kF64, {5, 7});
  x.random(1, -3, 3), dy.random(3);
  for (graft_gelu_kind kind : kKinds) {
    auto objective = [&] {
      EXPECT_EQ(graft_gelu_forward(c, kind, x, y), GRAFT_OK);
      return dot(dy.get(), y.get());
    };
    GRAFT_ASSERT_OK(graft_gelu_backward(c, kind, dy, x, dx));
    expect_gradient(x, dx.get(), objective, "dx");
  }
}

TEST(Gelu, FarFromZeroItIsTheLineOrNothing) {
  int count = 0;
  for (const char* prefer : {"fast", "reference", "fast", "reference"}) {
    const graft_gelu_kind kind = kKinds[count++ / 2];
    const Context c(1, prefer);
    Tensor x(c, kF32, {1, 6}), dy(c, kF32, {1, 6}), y(c, kF32, {1, 6}), dx(c, kF32, {1, 6});
    x.set({-1e30, -200, -30, 30, 200, 1e30}), dy.fill(1);
    GRAFT_ASSERT_OK(graft_gelu_forward(c, kind, x, y));
    GRAFT_ASSERT_OK(graft_gelu_backward(c, kind, dy, x, dx));
    for (int i = 0; i < 6; ++i) {
      const double expected = i < 3 ? 0 : x.get()[static_cast<std::size_t>(i)];
      EXPECT_NEAR(y.get()[static_cast<std::size_t>(i)], expected, 1e-6 * std::abs(expected) + 1e-6) << prefer << i;
      EXPECT_NEAR(dx.get()[static_cast<std::size_t>(i)], i < 3 ? 0 : 1, 1e-5) << prefer << i;
    }
    x.set({NAN, 1, 1, 1, 1, 1});
    GRAFT_ASSERT_OK(graft_gelu_forward(c, kind, x, y));
    GRAFT_ASSERT_OK(graft_gelu_backward(c, kind, dy, x, dx));
    EXPECT_TRUE(std::isnan(y.get()[0]) && std::isnan(dx.get()[0])) << prefer;
  }
}

TEST(Gelu, TheLargestNumbersToo) {
  for (graft_gelu_kind kind : kKinds)
    for (const char* prefer : {"fast", "reference"}) {
      const Context c(1, prefer);
      Tensor x(c, kF32, {1, 4}), dy(c, kF32, {1, 4}), y(c, kF32, {1, 4}), dx(c, kF32, {1, 4});
      x.set({-3e38, -1e37, 1e36, 3e38}), dy.fill(1);
      GRAFT_ASSERT_OK(graft_gelu_forward(c, kind, x, y));
      GRAFT_ASSERT_OK(graft_gelu_backward(c, kind, dy, x, dx));
      const std::vector<double> from = x.get();
      EXPECT_EQ(y.get(), (std::vector<double>{0, 0, from[2], from[3]})) << prefer << kind;
      EXPECT_EQ(dx.get(), (std::vector<double>{0, 0, 1, 1})) << prefer << kind;
    }
}

TEST(Gelu, SameBitsForAnyNumberOfThreads) {
  for (const auto& size : {std::pair{300, 130}, {3, 40000}})
    expect_same_bits([&](const Context& c) { return run(c, kBf16, size.first, size.second); });
}

// Of Φ and φ at 1, −1 and 1/2, to more digits than float64 has.
TEST(Gelu, TheErfFormIsExact) {
  for (const char* prefer : {"fast", "reference"}) {
    const Context c(1, prefer);
    const bool fast = prefer == std::string("fast");
    Tensor x(c, fast ? kF32 : kF64, {1, 3}), dy(c, fast ? kF32 : kF64, {1, 3}), y(c, fast ? kF32 : kF64, {1, 3});
    x.set({1, -1, 0.5}), dy.fill(1);
    GRAFT_ASSERT_OK(graft_gelu_forward(c, GRAFT_GELU_ERF, x, y));
    const double tolerance = fast ? 4 * 0x1p-24 : 4 * 0x1p-53;
    expect_close(y.get(), {0.84134474606854294859, -0.15865525393145705141, 0.34573123063700655182}, tolerance, prefer);
    GRAFT_ASSERT_OK(graft_gelu_backward(c, GRAFT_GELU_ERF, dy, x, y));
    expect_close(y.get(), {1.08331547058768629838, -0.08331547058768629838, 0.86749512465616284253}, tolerance, prefer);
  }
}

TEST(Gelu, PitchEmptyAndAlias) {
  for (const char* prefer : {"fast", "reference"}) {
    const Context c(2, prefer);
    EXPECT_EQ(run(c, kF32, 9, 20), run(c, kF32, 9, 20, 37));
    EXPECT_TRUE(run(c, kF32, 0, 20).y.empty() && run(c, kF32, 4, 0).y.empty());
    Tensor x(c, kF32, {4, 6}), dy(c, kF32, {4, 6}), y(c, kF32, {4, 6}), dx(c, kF32, {4, 6});
    x.random(1), dy.random(3);
    GRAFT_ASSERT_OK(graft_gelu_forward(c, GRAFT_GELU_TANH, x, y));
    GRAFT_ASSERT_OK(graft_gelu_backward(c, GRAFT_GELU_TANH, dy, x, dx));
    GRAFT_ASSERT_OK(graft_gelu_backward(c, GRAFT_GELU_TANH, dy, x, dy));
    EXPECT_EQ(dy.get(), dx.get());
    dy.random(3);
    Tensor place(c, kF32, {4, 6});
    place.set(x.get());
    GRAFT_ASSERT_OK(graft_gelu_backward(c, GRAFT_GELU_TANH, dy, place, place));
    EXPECT_EQ(place.get(), dx.get());
    GRAFT_ASSERT_OK(graft_gelu_forward(c, GRAFT_GELU_TANH, x, x));
    EXPECT_EQ(x.get(), y.get());
  }
}

TEST(Gelu, BadArguments) {
  const Context c;
  Tensor x(c, kF32, {4, 6}), y(c, kF32, {4, 6}), thin(c, kF32, {4, 5}), flat(c, kF32, {6});
  Tensor half(c, GRAFT_DTYPE_BF16, {4, 6}), ids(c, GRAFT_DTYPE_I32, {4, 6}), wide(c, kF64, {4, 6}), to(c, kF64, {4, 6});
  const graft_status invalid = GRAFT_INVALID_ARGUMENT;
  expect_error(graft_gelu_forward(nullptr, GRAFT_GELU_TANH, x, y), invalid, {"graft_gelu_forward", "context"});
  expect_error(graft_gelu_forward(c, 2, x, y), invalid, {"kind is 2"});
  expect_error(graft_gelu_forward(c, GRAFT_GELU_TANH, nullptr, y), invalid, {"x is NULL"});
  expect_error(graft_gelu_forward(c, GRAFT_GELU_TANH, ids, y), invalid, {"x [4, 6] i32"});
  expect_error(graft_gelu_forward(c, GRAFT_GELU_TANH, flat, y), GRAFT_SHAPE_MISMATCH, {"x [6]"});
  expect_error(graft_gelu_forward(c, GRAFT_GELU_TANH, x, thin), GRAFT_SHAPE_MISMATCH, {"y [4, 5]"});
  expect_error(graft_gelu_forward(c, GRAFT_GELU_TANH, x, half), invalid, {"y", "bf16"});
  expect_error(graft_gelu_backward(c, GRAFT_GELU_TANH, thin, x, y), GRAFT_SHAPE_MISMATCH,
               {"graft_gelu_backward", "dy [4, 5]"});
  expect_error(graft_gelu_backward(c, GRAFT_GELU_TANH, y, x, nullptr), invalid, {"dx is NULL"});
  Tensor all(c, kF32, {5, 6}), first = all.view(0, {4, 6}, {6, 1}), second = all.view(6, {4, 6}, {6, 1});
  expect_error(graft_gelu_forward(c, GRAFT_GELU_TANH, first, second), invalid, {"y", "overlaps x"});
  const Context fast(1, "fast");
  expect_error(graft_gelu_forward(fast, GRAFT_GELU_TANH, wide, to), GRAFT_UNSUPPORTED, {"fast", "fp64"});
}

}  // namespace
}  // namespace graft::test
