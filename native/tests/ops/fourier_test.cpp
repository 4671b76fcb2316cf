// fourier: golden files, fast against reference for sizes of many and of large factors, finite differences, threads,
// empty and missing tensors, merging, bad arguments.
#include <cmath>

#include "golden.h"
#include "gradients.h"
#include "tensors.h"

namespace graft::test {
namespace {

struct Case {
  graft_dtype dtype = kF32;
  std::int64_t t = 5, n = 6, k = 9, places = 4;
  bool accumulate = false;
};

// Places l·7 mod N·K in row-major order, which meet the corners and the middle of even sizes.
struct Layer : Activations {
  Layer(const Context& c, const Case& s)
      : Activations(c, s.dtype, s.t, s.k, s.n),
        c(c),
        s(s),
        weights(c, sums_of(s.dtype), {s.places}),
        dweights(c, sums_of(s.dtype), {s.places}),
        places(c, GRAFT_DTYPE_I64, {2, s.places}) {
    fill({&x, &y, &dy, &dx, &weights, &dweights});
    std::vector<double> values(static_cast<std::size_t>(2 * s.places));
    for (std::int64_t l = 0; l < s.places; ++l) {
      const std::int64_t at = l * 7 % (s.n * s.k);
      values[static_cast<std::size_t>(l)] = static_cast<double>(at / s.k);
      values[static_cast<std::size_t>(s.places + l)] = static_cast<double>(at % s.k);
    }
    places.set(values);
  }
  double scale() const { return 0.5 * static_cast<double>(s.n * s.k); }
  graft_status forward() { return graft_fourier_forward(c, x, weights, places, scale(), s.accumulate, y); }
  graft_status backward() {
    return graft_fourier_backward(c, dy, x, weights, places, scale(), s.k, s.accumulate, dx, dweights);
  }

  const Context& c;
  Case s;
  Tensor weights, dweights, places;
};

std::vector<std::vector<double>> all_of(const Context& c, const Case& s) {
  Layer layer(c, s);
  GRAFT_EXPECT_OK(layer.forward());
  GRAFT_EXPECT_OK(layer.backward());
  return {layer.y.get(), layer.dx.get(), layer.dweights.get()};
}

TEST(Fourier, GoldenFiles) {
  for (const std::string& path : golden_files("fourier_layer"))
    for (const char* prefer : {"fast", "reference"}) {
      auto g = golden(path);
      const Context c(2, prefer);
      const Shape &xs = g.at("x").shape, &ys = g.at("y").shape, &cs = g.at("c").shape;
      Tensor x = load(c, kF32, g.at("x")), dy = load(c, kF32, g.at("dy")), weights = load(c, kF32, g.at("c"));
      Tensor places(c, GRAFT_DTYPE_I32, {2, cs[0]}), y(c, kF32, ys), dx(c, kF32, xs), dc(c, kF32, cs);
      places.set(g.at("places").values);
      const double scale = g.at("scale").values.at(0);
      GRAFT_ASSERT_OK(graft_fourier_forward(c, x, weights, places, scale, 0, y));
      GRAFT_ASSERT_OK(graft_fourier_backward(c, dy, x, weights, places, scale, xs[1], 0, dx, dc));
      EXPECT_EQ(c.last_dispatch(), std::string("fourier_backward:cpu/") + prefer);
      expect_close(y.get(), g.at("y").values, 1e-5, path + " y");
      expect_close(dx.get(), g.at("dx").values, 1e-5, path + " dx");
      expect_close(dc.get(), g.at("dc").values, 1e-5, path + " dc");
      const Weight w(c, kF32, ys[1], xs[1], 2);
      w.matrix().set(g.at("w").values);
      Tensor merged = w.matrix();
      GRAFT_ASSERT_OK(graft_fourier_merge(c, w, weights, places, scale, merged));
      expect_close(merged.get(), g.at("merged").values, 1e-6, path + " merged");
    }
}

TEST(Fourier, FastAgreesWithReference) {
  const Context fast(2, "fast"), reference(1, "reference");
  for (graft_dtype dtype : {kF32, kBf16, GRAFT_DTYPE_F16})
    for (bool accumulate : {false, true})
      for (const auto& [t, n, k, places] : {std::tuple{1, 1, 1, 1},
                                            {3, 2, 4, 5},
                                            {33, 6, 9, 12},
                                            {40, 16, 13, 7},
                                            {5, 30, 64, 20},
                                            {7, 43, 22, 9},
                                            {4, 8, 8, 64},
                                            {3, 5, 7, 0}}) {
        const Case s{dtype, t, n, k, places, accumulate};
        const auto a = all_of(fast, s), e = all_of(reference, s);
        const auto near = [&](std::size_t i, std::int64_t terms, const char* what) {
          expect_close(a[i], e[i], unit_roundoff(dtype) + static_cast<double>(20 + terms) * 0x1p-23, what,
                       std::sqrt(static_cast<double>(terms)));
        };
        if (places == 0) {
          EXPECT_EQ(a, e);
          continue;
        }
        near(0, k * places, "y"), near(1, n * places, "dx"), near(2, t * n * k, "dc");
      }
}

TEST(Fourier, FiniteDifferences) {
  const Context c(1);
  Layer layer(c, {kF64, 3, 4, 6, 5});
  Tensor x(c, kF64, {3, 6});
  x.set(layer.x.get());
  const auto objective = [&] {
    EXPECT_EQ(graft_fourier_forward(c, x, layer.weights, layer.places, layer.scale(), 0, layer.y), GRAFT_OK);
    return dot(layer.dy.get(), layer.y.get());
  };
  layer.dweights.fill(0);
  GRAFT_ASSERT_OK(layer.backward());
  expect_gradient(layer.weights, layer.dweights.get(), objective, "dc");
  expect_gradient(x, layer.dx.get(), objective, "dx");
}

TEST(Fourier, SameBitsForAnyNumberOfThreads) {
  for (graft_dtype dtype : {kF32, kBf16}) {
    const Case s{dtype, 150, 24, 20, 30, true};
    expect_same_bits([&](const Context& c) { return all_of(c, s); });
  }
}

TEST(Fourier, EmptyMissingAndBadArguments) {
  const Context c;
  Layer none(c, {kBf16, 0}), l(c, {});
  const std::vector<double> before = none.dweights.get();
  GRAFT_EXPECT_OK(none.forward());
  GRAFT_EXPECT_OK(none.backward());
  EXPECT_EQ(none.dweights.get(), before);
  const auto all = all_of(c, l.s);
  const auto backward = [&](const graft_tensor* x, std::int64_t inputs, graft_tensor* dx, graft_tensor* dc) {
    return graft_fourier_backward(c, l.dy, x, l.weights, l.places, l.scale(), inputs, 0, dx, dc);
  };
  GRAFT_EXPECT_OK(backward(nullptr, 9, l.dx, nullptr));
  GRAFT_EXPECT_OK(backward(l.x, 9, nullptr, l.dweights));
  EXPECT_EQ(l.dx.get(), all[1]);
  EXPECT_EQ(l.dweights.get(), all[2]);
  const auto forward = [&](const graft_tensor* weights, const graft_tensor* places) {
    return graft_fourier_forward(c, l.x, weights, places, 1, 0, l.y);
  };
  Tensor three(c, kF32, {3}), outside(c, GRAFT_DTYPE_I32, {2, 4}), bf16(c, kBf16, {4});
  outside.set({0, 1, 2, 6, 0, 1, 2, 3});
  expect_error(forward(nullptr, l.places), GRAFT_INVALID_ARGUMENT, {"c is NULL"});
  expect_error(forward(three, l.places), GRAFT_SHAPE_MISMATCH, {"places [2, 4]", "[2, 3]"});
  expect_error(forward(l.weights, l.weights), GRAFT_INVALID_ARGUMENT, {"places", "f32"});
  expect_error(forward(l.weights, outside), GRAFT_INVALID_ARGUMENT, {"places[0, 3] is 6", "0..5"});
  outside.set({0, 1, 2, 3, 0, 1, -1, 3});
  expect_error(forward(l.weights, outside), GRAFT_INVALID_ARGUMENT, {"places[1, 2] is -1", "0..8"});
  expect_error(backward(nullptr, 9, l.dx, l.dweights), GRAFT_INVALID_ARGUMENT, {"x is NULL"});
  expect_error(backward(l.x, 0, l.dx, l.dweights), GRAFT_INVALID_ARGUMENT, {"inputs is 0"});
  expect_error(backward(l.x, 10, l.dx, l.dweights), GRAFT_SHAPE_MISMATCH, {"x [5, 9]", "[5, 10]"});
  expect_error(backward(l.x, 9, l.dx, bf16), GRAFT_INVALID_ARGUMENT, {"dc", "bf16"});
}

}  // namespace
}  // namespace graft::test
