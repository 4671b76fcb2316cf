// circulant: golden files, fast against reference for odd and even blocks, finite differences, threads, empty and
// missing tensors, merging, bad arguments.
#include <cmath>

#include "golden.h"
#include "gradients.h"
#include "tensors.h"

namespace graft::test {
namespace {

struct Case {
  graft_dtype dtype = kF32;
  std::int64_t t = 5, m = 3, n = 2, b = 4;
  bool accumulate = false;
};

struct Layer : Activations {
  Layer(const Context& c, const Case& s)
      : Activations(c, s.dtype, s.t, s.n * s.b, s.m * s.b),
        c(c),
        s(s),
        w(c, sums_of(s.dtype), {s.m, s.n, s.b}),
        dw(c, sums_of(s.dtype), {s.m, s.n, s.b}) {
    fill({&x, &y, &dy, &dx, &w, &dw});
  }
  graft_status forward() { return graft_circulant_forward(c, x, w, 0.5, s.accumulate, y); }
  graft_status backward() { return graft_circulant_backward(c, dy, x, w, 0.5, s.accumulate, dx, dw); }

  const Context& c;
  Case s;
  Tensor w, dw;
};

std::vector<std::vector<double>> all_of(const Context& c, const Case& s) {
  Layer layer(c, s);
  GRAFT_EXPECT_OK(layer.forward());
  GRAFT_EXPECT_OK(layer.backward());
  return {layer.y.get(), layer.dx.get(), layer.dw.get()};
}

TEST(Circulant, GoldenFiles) {
  for (const std::string& path : golden_files("circulant_layer"))
    for (const char* prefer : {"fast", "reference"}) {
      auto g = golden(path);
      const Context c(2);
      const Shape &xs = g.at("x").shape, &ys = g.at("y").shape, &ks = g.at("kernel").shape;
      Tensor x = load(c, kF32, g.at("x")), dy = load(c, kF32, g.at("dy")), kernel = load(c, kF32, g.at("kernel"));
      Tensor y(c, kF32, ys), dx(c, kF32, xs), dw(c, kF32, ks);
      const double scale = g.at("scale").values.at(0);
      const Weight w(c, kF32, ys[1], xs[1], 2);
      w.matrix().set(g.at("w").values);
      GRAFT_ASSERT_OK(graft_linear_forward(c, x, w, nullptr, 0, y));
      GRAFT_ASSERT_OK(graft_linear_backward(c, dy, nullptr, w, 0, dx, nullptr, nullptr));
      GRAFT_ASSERT_OK(graft_context_prefer(c, prefer));
      GRAFT_ASSERT_OK(graft_circulant_forward(c, x, kernel, scale, 1, y));
      GRAFT_ASSERT_OK(graft_circulant_backward(c, dy, x, kernel, scale, 1, dx, dw));
      EXPECT_EQ(c.last_dispatch(), std::string("circulant_backward:cpu/") + prefer);
      expect_close(y.get(), g.at("y").values, 1e-5, path + " y");
      expect_close(dx.get(), g.at("dx").values, 1e-5, path + " dx");
      expect_close(dw.get(), g.at("dkernel").values, 1e-5, path + " dkernel");
      GRAFT_ASSERT_OK(graft_context_prefer(c, nullptr));
      Tensor merged = w.matrix();
      GRAFT_ASSERT_OK(graft_circulant_merge(c, w, kernel, scale, merged));
      expect_close(merged.get(), g.at("merged").values, 1e-6, path + " merged");
    }
}

TEST(Circulant, FastAgreesWithReference) {
  const Context fast(2, "fast"), reference(1, "reference");
  for (graft_dtype dtype : {kF32, kBf16})
    for (bool accumulate : {false, true})
      for (const auto& [t, m, n, b] : {std::tuple{1, 1, 1, 1},
                                       {1, 2, 3, 2},
                                       {5, 3, 2, 3},
                                       {67, 2, 4, 8},
                                       {64, 1, 2, 13},
                                       {130, 3, 2, 32},
                                       {1100, 2, 2, 6}}) {
        const Case s{dtype, t, m, n, b, accumulate};
        const auto a = all_of(fast, s), e = all_of(reference, s);
        // Two transforms, the mixing between them and each result are rounded to the type.
        const auto near = [&](std::size_t i, std::int64_t terms, const char* what) {
          expect_close(a[i], e[i], 6 * unit_roundoff(dtype) + static_cast<double>(terms) * 0x1p-24, what,
                       std::sqrt(static_cast<double>(terms)));
        };
        near(0, n * b, "y"), near(1, m * b, "dx"), near(2, t * b, "dw");
      }
}

TEST(Circulant, FiniteDifferences) {
  const Context c(1);
  Layer layer(c, {kF64, 3, 2, 3, 4});
  Tensor x(c, kF64, {3, 12});
  x.set(layer.x.get());
  const auto objective = [&] {
    EXPECT_EQ(graft_circulant_forward(c, x, layer.w, 0.5, 0, layer.y), GRAFT_OK);
    return dot(layer.dy.get(), layer.y.get());
  };
  layer.dw.fill(0);
  GRAFT_ASSERT_OK(layer.backward());
  expect_gradient(layer.w, layer.dw.get(), objective, "dw");
  expect_gradient(x, layer.dx.get(), objective, "dx");
}

TEST(Circulant, SameBitsForAnyNumberOfThreads) {
  for (graft_dtype dtype : {kF32, kBf16}) {
    const Case s{dtype, 300, 3, 2, 10, true};
    expect_same_bits([&](const Context& c) { return all_of(c, s); });
  }
}

TEST(Circulant, EmptyMissingAndBadArguments) {
  const Context c;
  Layer none(c, {kBf16, 0}), l(c, {});
  const std::vector<double> before = none.dw.get();
  GRAFT_EXPECT_OK(none.forward());
  GRAFT_EXPECT_OK(none.backward());
  EXPECT_EQ(none.dw.get(), before);
  const auto all = all_of(c, l.s);
  GRAFT_EXPECT_OK(graft_circulant_backward(c, l.dy, nullptr, l.w, 0.5, 0, l.dx, nullptr));
  GRAFT_EXPECT_OK(graft_circulant_backward(c, l.dy, l.x, l.w, 0.5, 0, nullptr, l.dw));
  EXPECT_EQ(l.dx.get(), all[1]);
  EXPECT_EQ(l.dw.get(), all[2]);
  Tensor flat(c, kF32, {3, 8}), wide(c, kF32, {3, 3, 4}), bf16(c, kBf16, {5, 12}), zero(c, kF32, {3, 0, 4});
  expect_error(graft_circulant_forward(c, l.x, nullptr, 1, 0, l.y), GRAFT_INVALID_ARGUMENT, {"w is NULL"});
  expect_error(graft_circulant_forward(c, l.x, flat, 1, 0, l.y), GRAFT_SHAPE_MISMATCH, {"w [3, 8]"});
  expect_error(graft_circulant_forward(c, l.x, zero, 1, 0, l.y), GRAFT_SHAPE_MISMATCH, {"w [3, 0, 4]", "may be 0"});
  expect_error(graft_circulant_forward(c, l.x, wide, 1, 0, l.y), GRAFT_SHAPE_MISMATCH, {"x [5, 8]", "[*, 12]"});
  expect_error(graft_circulant_forward(c, l.x, l.w, 1, 0, bf16), GRAFT_INVALID_ARGUMENT, {"y", "bf16"});
  expect_error(graft_circulant_forward(c, l.x, l.w, NAN, 0, l.y), GRAFT_INVALID_ARGUMENT, {"scale"});
  expect_error(graft_circulant_backward(c, l.dy, nullptr, l.w, 1, 0, l.dx, l.dw), GRAFT_INVALID_ARGUMENT,
               {"x is NULL"});
  expect_error(graft_circulant_backward(c, l.dy, l.x, l.w, 1, 0, l.dx, l.w), GRAFT_INVALID_ARGUMENT,
               {"dw", "overlaps"});
  const Weight w(c, kF32, 12, 9);
  Tensor matrix(c, kF32, {12, 8});
  expect_error(graft_circulant_merge(c, w, l.w, 1, matrix), GRAFT_SHAPE_MISMATCH, {"weight is [12, 9]", "[12, 8]"});
}

}  // namespace
}  // namespace graft::test
