// layer_norm: golden files, fast against reference, finite differences, shapes, aliasing, threads, bad arguments.
#include <algorithm>
#include <cmath>

#include "golden.h"
#include "gradients.h"
#include "tensors.h"

namespace graft::test {
namespace {

struct Result {
  std::vector<double> y, stats, dx, dw, db;
  bool operator==(const Result&) const = default;
};

Result run(const Context& c, graft_dtype dtype, std::int64_t rows, std::int64_t columns, bool accumulate,
           std::int64_t pitch = 0) {
  const graft_dtype sums = sums_of(dtype);
  Tensor x(c, dtype, {rows, columns}, pitch), w(c, dtype, {columns}), b(c, dtype, {columns});
  Tensor y(c, dtype, {rows, columns}, pitch), stats(c, sums, {rows, 2});
  Tensor dy(c, dtype, {rows, columns}, pitch), dx(c, dtype, {rows, columns}, pitch);
  Tensor dw(c, sums, {columns}), db(c, sums, {columns});
  x.random(1), w.random(2), b.random(6), dy.random(3), dx.random(4), dw.random(5), db.random(7);
  GRAFT_EXPECT_OK(graft_layer_norm_forward(c, x, w, b, 1e-5, y, stats));
  GRAFT_EXPECT_OK(graft_layer_norm_backward(c, dy, x, w, stats, accumulate, dx, dw, db));
  return {y.get(), stats.get(), dx.get(), dw.get(), db.get()};
}

TEST(LayerNorm, GoldenFiles) {
  for (const std::string& path : golden_files("layer_norm")) {
    auto g = golden(path);
    for (const char* prefer : {"fast", "reference"}) {
      const Context c(2, prefer);
      Tensor x = load(c, kF32, g.at("x")), w = load(c, kF32, g.at("w")), b = load(c, kF32, g.at("b"));
      Tensor dy = load(c, kF32, g.at("dy")), y(c, kF32, g.at("x").shape), stats(c, kF32, {x->shape[0], 2});
      Tensor dx(c, kF32, g.at("x").shape), dw(c, kF32, g.at("w").shape), db(c, kF32, g.at("b").shape);
      const double eps = g.at("eps").values.at(0);
      GRAFT_ASSERT_OK(graft_layer_norm_forward(c, x, w, b, eps, y, stats));
      GRAFT_ASSERT_OK(graft_layer_norm_backward(c, dy, x, w, stats, 0, dx, dw, db));
      expect_close(y.get(), g.at("y").values, 1e-5, path + " y");
      expect_close(dx.get(), g.at("dx").values, 1e-5, path + " dx");
      expect_close(dw.get(), g.at("dw").values, 1e-5, path + " dw");
      expect_close(db.get(), g.at("db").values, 1e-5, path + " db");
    }
  }
}

TEST(LayerNorm, FastAgreesWithReference) {
  const Context fast(2, "fast"), reference(1, "reference");
  for (graft_dtype dtype : {GRAFT_DTYPE_F32, GRAFT_DTYPE_BF16, GRAFT_DTYPE_F16}) {
    for (auto [rows, columns] : {std::pair{1, 3}, {3, 7}, {33, 48}, {65, 129}, {100, 512}}) {
      for (bool accumulate : {false, true}) {
        const std::string what = std::string(name(dtype)) + " " + std::to_string(rows) + "x" + std::to_string(columns);
        const Result a = run(fast, dtype, rows, columns, accumulate),
                     b = run(reference, dtype, rows, columns, accumulate);
        const double tolerance = 2 * unit_roundoff(dtype) + columns * 0x1p-24;
        const double largest = *std::max_element(b.stats.begin(), b.stats.end());
        expect_close(a.y, b.y, tolerance, what + " y", 1);
        expect_close(a.stats, b.stats, columns * 0x1p-24, what + " stats");
        // The terms of dx are of the size of rstd.
        expect_close(a.dx, b.dx, tolerance, what + " dx", largest);
        expect_close(a.dw, b.dw, (rows + columns + 8) * 0x1p-24, what + " dw");
        expect_close(a.db, b.db, (rows + 8) * 0x1p-24, what + " db");
      }
    }
  }
}

TEST(LayerNorm, FiniteDifferences) {
  const Context c(1, "reference");
  const graft_dtype f64 = GRAFT_DTYPE_F64;
  Tensor x(c, f64, {5, 7}), w(c, f64, {7}), b(c, f64, {7}), dy(c, f64, {5, 7}), y(c, f64, {5, 7}),
      stats(c, f64, {5, 2});
  Tensor dx(c, f64, {5, 7}), dw(c, f64, {7}), db(c, f64, {7});
  x.random(1), w.random(2), b.random(4), dy.random(3);
  auto objective = [&] {
    EXPECT_EQ(graft_layer_norm_forward(c, x, w, b, 1e-5, y, stats), GRAFT_OK);
    return dot(dy.get(), y.get());
  };
  objective();
  GRAFT_ASSERT_OK(graft_layer_norm_backward(c, dy, x, w, stats, 0, dx, dw, db));
  expect_gradient(x, dx.get(), objective, "dx");
  expect_gradient(w, dw.get(), objective, "dw");
  expect_gradient(b, db.get(), objective, "db");
}

TEST(LayerNorm, SameBitsForAnyNumberOfThreads) {
  expect_same_bits([](const Context& c) { return run(c, kBf16, 131, 96, true); });
}

// A row far from zero: the squares are taken about the mean, where a difference of large squares would lose all digits.
TEST(LayerNorm, ALargeMeanCostsNoDigits) {
  for (const char* prefer : {"fast", "reference"}) {
    const Context c(1, prefer);
    Tensor x(c, kF32, {1, 4}), w(c, kF32, {4}), y(c, kF32, {1, 4});
    x.set({4096, 4097, 4098, 4099}), w.fill(1);
    GRAFT_ASSERT_OK(graft_layer_norm_forward(c, x, w, nullptr, 1e-12, y, nullptr));
    const double r = 1 / std::sqrt(1.25);
    expect_close(y.get(), {-1.5 * r, -0.5 * r, 0.5 * r, 1.5 * r}, 1e-6, prefer);
  }
}

TEST(LayerNorm, PitchEmptyAliasAndNull) {
  const Context c;
  EXPECT_EQ(run(c, kF32, 9, 20, false).y, run(c, kF32, 9, 20, false, 37).y);
  EXPECT_EQ(run(c, kF32, 9, 20, true).dx, run(c, kF32, 9, 20, true, 37).dx);
  EXPECT_TRUE(run(c, kF32, 0, 20, false).y.empty());
  Tensor x(c, kF32, {4, 6}), w(c, kF32, {6}), b(c, kF32, {6}), y(c, kF32, {4, 6}), stats(c, kF32, {4, 2});
  x.random(1), w.random(2), b.fill(0);
  GRAFT_ASSERT_OK(graft_layer_norm_forward(c, x, w, b, 1e-5, y, stats));
  const std::vector<double> expected = y.get();
  GRAFT_ASSERT_OK(graft_layer_norm_forward(c, x, w, nullptr, 1e-5, y, nullptr));
  EXPECT_EQ(y.get(), expected);
  Tensor dy(c, kF32, {4, 6}), dx(c, kF32, {4, 6}), dw(c, kF32, {6}), db(c, kF32, {6});
  dy.random(3), dw.fill(0), db.fill(0);
  GRAFT_ASSERT_OK(graft_layer_norm_backward(c, dy, x, w, stats, 0, dx, dw, nullptr));
  GRAFT_ASSERT_OK(graft_layer_norm_backward(c, dy, x, w, stats, 0, nullptr, nullptr, db));
  double sum = 0;
  for (int t = 0; t < 4; ++t) sum += dy.get()[static_cast<std::size_t>(t) * 6];
  EXPECT_NEAR(db.get()[0], sum, 1e-6);
  GRAFT_ASSERT_OK(graft_layer_norm_backward(c, dy, x, w, stats, 0, dy, nullptr, nullptr));
  EXPECT_EQ(dy.get(), dx.get());
  GRAFT_ASSERT_OK(graft_layer_norm_forward(c, x, w, nullptr, 1e-5, x, nullptr));
  EXPECT_EQ(x.get(), expected);
}

TEST(LayerNorm, BadArguments) {
  const Context c;
  Tensor x(c, kF32, {4, 6}), w(c, kF32, {6}), y(c, kF32, {4, 6}), stats(c, kF32, {4, 2}), flat(c, kF32, {4});
  Tensor short_w(c, kF32, {5}), ids(c, GRAFT_DTYPE_I32, {4, 6}), half(c, kBf16, {4, 6});
  expect_error(graft_layer_norm_forward(nullptr, x, w, w, 1e-5, y, nullptr), GRAFT_INVALID_ARGUMENT,
               {"graft_layer_norm_forward", "context"});
  expect_error(graft_layer_norm_forward(c, nullptr, w, w, 1e-5, y, nullptr), GRAFT_INVALID_ARGUMENT, {"x is NULL"});
  expect_error(graft_layer_norm_forward(c, x, short_w, w, 1e-5, y, nullptr), GRAFT_SHAPE_MISMATCH, {"w [5]", "[6]"});
  expect_error(graft_layer_norm_forward(c, x, w, short_w, 1e-5, y, nullptr), GRAFT_SHAPE_MISMATCH, {"b [5]", "[6]"});
  expect_error(graft_layer_norm_forward(c, ids, w, w, 1e-5, y, nullptr), GRAFT_INVALID_ARGUMENT, {"x [4, 6] i32"});
  expect_error(graft_layer_norm_forward(c, x, w, w, 1e-5, half, nullptr), GRAFT_INVALID_ARGUMENT, {"y", "bf16"});
  expect_error(graft_layer_norm_forward(c, x, w, w, 0, y, nullptr), GRAFT_INVALID_ARGUMENT, {"eps is 0"});
  expect_error(graft_layer_norm_forward(c, x, w, w, 1e-5, y, flat), GRAFT_SHAPE_MISMATCH, {"stats [4]"});
  expect_error(graft_layer_norm_backward(c, y, x, w, nullptr, 0, y, nullptr, nullptr), GRAFT_INVALID_ARGUMENT,
               {"stats"});
  expect_error(graft_layer_norm_backward(c, y, x, w, stats, 1, y, nullptr, nullptr), GRAFT_INVALID_ARGUMENT, {"dx"});
  expect_error(graft_layer_norm_backward(c, y, x, w, stats, 0, nullptr, short_w, nullptr), GRAFT_SHAPE_MISMATCH,
               {"dw [5]"});
  for (const graft_tensor* input : {static_cast<graft_tensor*>(y), static_cast<graft_tensor*>(x),
                                    static_cast<graft_tensor*>(w), static_cast<graft_tensor*>(stats)}) {
    graft_tensor inside = *static_cast<graft_tensor*>(w);
    inside.data = input->data;
    expect_error(graft_layer_norm_backward(c, y, x, w, stats, 0, nullptr, &inside, nullptr), GRAFT_INVALID_ARGUMENT,
                 {"dw", "overlaps"});
    expect_error(graft_layer_norm_backward(c, y, x, w, stats, 0, nullptr, nullptr, &inside), GRAFT_INVALID_ARGUMENT,
                 {"db", "overlaps"});
  }
}

}  // namespace
}  // namespace graft::test
