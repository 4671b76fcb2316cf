// linear: golden files, fast against reference, exact integers, finite differences, shapes, threads, bad arguments.
#include "golden.h"
#include "gradients.h"
#include "tensors.h"

namespace graft::test {
namespace {

struct Case {
  graft_dtype dtype = GRAFT_DTYPE_F32;
  std::int64_t t = 5, k = 7, n = 3, pad = 0;
  bool bias = true, accumulate = false, wide_y = false, integers = false;
  std::string text() const {
    return std::string(name(dtype)) + " " + std::to_string(t) + "x" + std::to_string(k) + "->" + std::to_string(n) +
           (accumulate ? " accumulate" : "") + (wide_y ? " y f32" : "") + (pad > 0 ? " pitched" : "");
  }
};

struct Result {
  std::vector<double> y, dx, dw, dbias;
  bool operator==(const Result&) const = default;
};

Result run(const Context& c, const Case& s) {
  const graft_dtype sums = sums_of(s.dtype);
  const auto pitch = [&](std::int64_t columns) { return s.pad == 0 ? 0 : columns + s.pad; };
  Tensor x(c, s.dtype, {s.t, s.k}, pitch(s.k)), dx(c, s.dtype, {s.t, s.k}, pitch(s.k));
  Tensor y(c, s.wide_y ? GRAFT_DTYPE_F32 : s.dtype, {s.t, s.n}, pitch(s.n)), dy(c, s.dtype, {s.t, s.n}, pitch(s.n));
  Tensor bias(c, sums, {s.n}), dw(c, sums, {s.n, s.k}), dbias(c, sums, {s.n});
  const Weight w(c, s.dtype, s.n, s.k, static_cast<int>(s.pad));
  Tensor matrix = w.matrix();
  fill({&x, &matrix, &dy, &bias, &y, &dx, &dw, &dbias}, s.integers);
  GRAFT_EXPECT_OK(graft_linear_forward(c, x, w, s.bias ? static_cast<graft_tensor*>(bias) : nullptr, s.accumulate, y));
  GRAFT_EXPECT_OK(graft_linear_backward(c, dy, x, w, s.accumulate, dx, dw, dbias));
  return {y.get(), dx.get(), dw.get(), dbias.get()};
}

TEST(Linear, GoldenFiles) {
  for (const std::string& path : golden_files("linear")) {
    auto g = golden(path);
    for (const char* prefer : {"fast", "reference"}) {
      const Context c(2, prefer);
      const graft_dtype f32 = GRAFT_DTYPE_F32;
      const Shape &xs = g.at("x").shape, &ys = g.at("y").shape;
      Tensor x = load(c, f32, g.at("x")), dy = load(c, f32, g.at("dy"));
      Tensor y(c, f32, ys), dx(c, f32, xs), dw(c, f32, g.at("w").shape), bias(c, f32, {ys[1]}), dbias(c, f32, {ys[1]});
      const Weight w(c, f32, ys[1], xs[1]);
      w.matrix().set(g.at("w").values);
      const bool biased = g.count("bias") > 0;
      if (biased) bias.set(g.at("bias").values);
      GRAFT_ASSERT_OK(graft_linear_forward(c, x, w, biased ? static_cast<graft_tensor*>(bias) : nullptr, 0, y));
      GRAFT_ASSERT_OK(graft_linear_backward(c, dy, x, w, 0, dx, dw, dbias));
      expect_close(y.get(), g.at("y").values, 1e-5, path + " y");
      expect_close(dx.get(), g.at("dx").values, 1e-5, path + " dx");
      expect_close(dw.get(), g.at("dw").values, 1e-5, path + " dw");
      if (biased) expect_close(dbias.get(), g.at("dbias").values, 1e-5, path + " dbias");
    }
  }
}

// A sum of m products in [-1, 1] is off by at most m·u·m; its mean size is m/4.
void expect_agreement(const Result& a, const Result& b, const Case& s) {
  const auto bound = [&](std::int64_t m, graft_dtype dtype) {
    return 3 * unit_roundoff(dtype) + static_cast<double>(m) * 0x1p-24;
  };
  const std::string what = s.text();
  const double k = static_cast<double>(s.k) / 4, n = static_cast<double>(s.n) / 4, t = static_cast<double>(s.t) / 4;
  const graft_dtype out = s.wide_y ? GRAFT_DTYPE_F32 : s.dtype;
  expect_close(a.y, b.y, bound(s.k, out), what + " y", out == GRAFT_DTYPE_F32 ? k : 0);
  expect_close(a.dx, b.dx, bound(s.n, s.dtype), what + " dx", s.dtype == GRAFT_DTYPE_F32 ? n : 0);
  expect_close(a.dw, b.dw, bound(s.t, GRAFT_DTYPE_F32), what + " dw", t);
  expect_close(a.dbias, b.dbias, bound(s.t, GRAFT_DTYPE_F32), what + " dbias", t);
}

TEST(Linear, FastAgreesWithReference) {
  const Context fast(2, "fast"), reference(2, "reference");
  for (graft_dtype dtype : {GRAFT_DTYPE_F32, GRAFT_DTYPE_BF16, GRAFT_DTYPE_F16})
    for (auto [t, k, n] : {std::tuple{1, 1, 1},
                           {2, 3, 5},
                           {1, 129, 65},
                           {3, 77, 130},
                           {8, 67, 33},
                           {33, 48, 40},
                           {70, 96, 257},
                           {5, 64, 300}})
      for (int variant = 0; variant < 4; ++variant) {
        const Case s{dtype, t, k, n, variant == 1 ? 16 : 0, variant != 2, variant >= 2, variant == 3};
        expect_agreement(run(fast, s), run(reference, s), s);
      }
}

TEST(Linear, IntegersAreExact) {
  const Context fast(2, "fast"), reference(1, "reference");
  for (graft_dtype dtype : {GRAFT_DTYPE_F32, GRAFT_DTYPE_BF16})
    for (bool accumulate : {false, true}) {
      const Case s{dtype, 37, 31, 43, 0, true, accumulate, false, true};
      const Result a = run(fast, s), b = run(reference, s);
      EXPECT_EQ(a.y, b.y) << s.text();
      EXPECT_EQ(a.dx, b.dx) << s.text();
      EXPECT_EQ(a.dw, b.dw) << s.text();
      EXPECT_EQ(a.dbias, b.dbias) << s.text();
    }
}

TEST(Linear, FiniteDifferences) {
  const Context c(1);
  const graft_dtype f64 = GRAFT_DTYPE_F64;
  Tensor x(c, f64, {4, 6}), dy(c, f64, {4, 5}), y(c, f64, {4, 5}), bias(c, f64, {5});
  Tensor dx(c, f64, {4, 6}), dw(c, f64, {5, 6}), dbias(c, f64, {5});
  const Weight w(c, f64, 5, 6);
  Tensor matrix = w.matrix();
  x.random(1), matrix.random(2), dy.random(3), bias.random(4);
  const auto objective = [&] {
    EXPECT_EQ(graft_linear_forward(c, x, w, bias, 0, y), GRAFT_OK);
    return dot(dy.get(), y.get());
  };
  GRAFT_ASSERT_OK(graft_linear_backward(c, dy, x, w, 0, dx, dw, dbias));
  expect_gradient(x, dx.get(), objective, "dx");
  expect_gradient(matrix, dw.get(), objective, "dw");
  expect_gradient(bias, dbias.get(), objective, "dbias");
}

TEST(Linear, SameBitsForAnyNumberOfThreads) {
  for (graft_dtype dtype : {GRAFT_DTYPE_F32, GRAFT_DTYPE_BF16})
    for (const Case& s : {Case{dtype, 7, 67, 600}, Case{dtype, 33, 70, 600}, Case{dtype, 1100, 40, 70}})
      expect_same_bits([&](const Context& c) { return run(c, s); }, s.text());
}

TEST(Linear, EmptyNullAndHalf) {
  const Context c;
  EXPECT_TRUE(run(c, {GRAFT_DTYPE_F32, 0, 6, 4}).y.empty());
  EXPECT_TRUE(run(c, {GRAFT_DTYPE_BF16, 3, 6, 0}).y.empty());
  const Context reference(1, "reference");
  for (graft_dtype dtype : {GRAFT_DTYPE_F32, GRAFT_DTYPE_BF16}) {
    const Case no_k{dtype, 3, 0, 4};
    EXPECT_EQ(run(c, no_k).y, run(reference, no_k).y) << "y is the bias";
  }
  const Case half{GRAFT_DTYPE_F16, 9, 20, 11};
  expect_agreement(run(c, half), run(reference, half), half);
  Tensor dy(c, GRAFT_DTYPE_F32, {3, 4}), dx(c, GRAFT_DTYPE_F32, {3, 6});
  const Weight w(c, GRAFT_DTYPE_F32, 4, 6);
  GRAFT_EXPECT_OK(graft_linear_backward(c, dy, nullptr, w, 0, dx, nullptr, nullptr));
  EXPECT_EQ(c.last_dispatch(), "linear_backward:cpu/fast");
  GRAFT_EXPECT_OK(graft_linear_backward(c, dy, nullptr, w, 0, nullptr, nullptr, nullptr));
}

TEST(Linear, BadArguments) {
  const Context c;
  const graft_dtype f32 = GRAFT_DTYPE_F32;
  Tensor x(c, f32, {3, 6}), y(c, f32, {3, 4}), narrow(c, f32, {3, 5}), bf16(c, GRAFT_DTYPE_BF16, {3, 6});
  Tensor ids(c, GRAFT_DTYPE_I32, {3, 6}), bias(c, f32, {5}), dw(c, f32, {4, 6});
  const Weight w(c, f32, 4, 6);
  expect_error(graft_linear_forward(nullptr, x, w, nullptr, 0, y), GRAFT_INVALID_ARGUMENT, {"linear", "context"});
  expect_error(graft_linear_forward(c, nullptr, w, nullptr, 0, y), GRAFT_INVALID_ARGUMENT, {"x is NULL"});
  expect_error(graft_linear_forward(c, x, nullptr, nullptr, 0, y), GRAFT_INVALID_ARGUMENT, {"w is NULL"});
  expect_error(graft_linear_forward(c, narrow, w, nullptr, 0, y), GRAFT_SHAPE_MISMATCH, {"x [3, 5]", "6"});
  expect_error(graft_linear_forward(c, x, w, nullptr, 0, narrow), GRAFT_SHAPE_MISMATCH, {"y [3, 5]", "[3, 4]"});
  expect_error(graft_linear_forward(c, x, w, bias, 0, y), GRAFT_SHAPE_MISMATCH, {"bias [5]"});
  expect_error(graft_linear_forward(c, bf16, w, nullptr, 0, y), GRAFT_INVALID_ARGUMENT, {"bf16", "one dtype"});
  expect_error(graft_linear_forward(c, ids, w, nullptr, 0, y), GRAFT_INVALID_ARGUMENT, {"i32"});
  expect_error(graft_linear_backward(c, y, nullptr, w, 0, nullptr, dw, nullptr), GRAFT_INVALID_ARGUMENT,
               {"x is NULL", "dw"});
  expect_error(graft_linear_backward(c, y, x, w, 0, x, nullptr, nullptr), GRAFT_INVALID_ARGUMENT, {"dx", "overlaps"});
  expect_error(graft_linear_backward(c, y, x, w, 0, nullptr, y, nullptr), GRAFT_SHAPE_MISMATCH, {"dw"});
}

}  // namespace
}  // namespace graft::test
