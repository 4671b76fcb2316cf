// kronecker: golden files, fast against reference, exact integers, finite differences, threads, empty and missing
// tensors, merging, bad arguments.
#include <cmath>
#include <memory>

#include "golden.h"
#include "gradients.h"
#include "tensors.h"

namespace graft::test {
namespace {

struct Case {
  graft_dtype dtype = kF32;
  std::int64_t t = 9, m = 1, p = 4, q = 3, high = 5, wide = 6, r = 2;  // r 0: w2 is whole
  bool accumulate = false, integers = false;
  std::string text() const {
    return std::string(name(dtype)) + " " + std::to_string(t) + " rows, " + std::to_string(m) + " x " +
           std::to_string(p) + "x" + std::to_string(q) + " by " + std::to_string(high) + "x" + std::to_string(wide) +
           " r " + std::to_string(r) + (accumulate ? " accumulate" : "");
  }
};

// The factors are f32, or f64 with f64.
struct Layer : Activations {
  Layer(const Context& c, const Case& s)
      : Activations(c, s.dtype, s.t, s.q * s.wide, s.p * s.high),
        c(c),
        s(s),
        w1(c, sums_of(s.dtype), {s.m, s.p, s.q}),
        b(c, sums_of(s.dtype), {s.m, s.high, inner()}),
        a(c, sums_of(s.dtype), {s.m, inner(), s.wide}),
        dw1(c, sums_of(s.dtype), {s.m, s.p, s.q}),
        db(c, sums_of(s.dtype), {s.m, s.high, inner()}),
        da(c, sums_of(s.dtype), {s.m, inner(), s.wide}) {
    fill({&x, &dy, &y, &dx, &w1, &b, &a, &dw1, &db, &da}, s.integers, 1);
  }
  std::int64_t inner() const { return s.r == 0 ? s.wide : s.r; }
  graft_tensor* down() const { return s.r == 0 ? nullptr : static_cast<graft_tensor*>(a); }
  graft_status forward() { return graft_kronecker_forward(c, x, w1, b, down(), 0.5, s.accumulate, y); }
  graft_status backward() {
    return graft_kronecker_backward(c, dy, x, w1, b, down(), 0.5, s.accumulate, dx, dw1, db,
                                    s.r == 0 ? nullptr : static_cast<graft_tensor*>(da));
  }

  const Context& c;
  Case s;
  Tensor w1, b, a, dw1, db, da;
};

std::vector<std::vector<double>> all_of(const Context& c, const Case& s) {
  Layer layer(c, s);
  GRAFT_EXPECT_OK(layer.forward());
  GRAFT_EXPECT_OK(layer.backward());
  return {layer.y.get(), layer.dx.get(), layer.dw1.get(), layer.db.get(), layer.da.get()};
}

TEST(Kronecker, GoldenFiles) {
  for (const std::string& path : golden_files("kronecker_layer"))
    for (const char* prefer : {"fast", "reference"}) {
      auto g = golden(path);
      const Context c(2);
      const Shape &xs = g.at("x").shape, &ys = g.at("y").shape;
      Tensor x = load(c, kF32, g.at("x")), dy = load(c, kF32, g.at("dy")), w1 = load(c, kF32, g.at("w1"));
      Tensor b = load(c, kF32, g.at("b")), y(c, kF32, ys), dx(c, kF32, xs);
      Tensor dw1(c, kF32, g.at("w1").shape), db(c, kF32, g.at("b").shape);
      std::unique_ptr<Tensor> a, da;
      if (g.count("a") > 0) {
        a = std::make_unique<Tensor>(load(c, kF32, g.at("a")));
        da = std::make_unique<Tensor>(c, kF32, g.at("a").shape);
      }
      graft_tensor *down = a ? static_cast<graft_tensor*>(*a) : nullptr, *ddown = da ? *da : down;
      const double scale = g.at("scale").values.at(0);
      const Weight w(c, kF32, ys[1], xs[1], 2);
      w.matrix().set(g.at("w").values);
      GRAFT_ASSERT_OK(graft_linear_forward(c, x, w, nullptr, 0, y));
      GRAFT_ASSERT_OK(graft_linear_backward(c, dy, nullptr, w, 0, dx, nullptr, nullptr));
      GRAFT_ASSERT_OK(graft_context_prefer(c, prefer));
      GRAFT_ASSERT_OK(graft_kronecker_forward(c, x, w1, b, down, scale, 1, y));
      GRAFT_ASSERT_OK(graft_kronecker_backward(c, dy, x, w1, b, down, scale, 1, dx, dw1, db, ddown));
      EXPECT_EQ(c.last_dispatch(), std::string("kronecker_backward:cpu/") + prefer);
      const std::string what = path + " " + prefer;
      expect_close(y.get(), g.at("y").values, 1e-5, what + " y");
      expect_close(dx.get(), g.at("dx").values, 1e-5, what + " dx");
      expect_close(dw1.get(), g.at("dw1").values, 1e-5, what + " dw1");
      expect_close(db.get(), g.at("db").values, 1e-5, what + " db");
      if (da) expect_close(da->get(), g.at("da").values, 1e-5, what + " da");
      GRAFT_ASSERT_OK(graft_context_prefer(c, nullptr));
      Tensor merged = w.matrix();
      GRAFT_ASSERT_OK(graft_kronecker_merge(c, w, w1, b, down, scale, merged));
      expect_close(merged.get(), g.at("merged").values, 1e-6, what + " merged");
    }
}

TEST(Kronecker, FastAgreesWithReference) {
  const Context fast(2, "fast"), reference(1, "reference");
  for (graft_dtype dtype : {kF32, kBf16})
    for (bool accumulate : {false, true})
      for (const auto& [t, m, p, q, high, wide, r] : {std::tuple{1, 1, 1, 1, 1, 1, 1},
                                                      {1, 1, 4, 3, 5, 6, 2},
                                                      {8, 2, 3, 4, 5, 7, 3},
                                                      {67, 1, 7, 5, 9, 11, 4},
                                                      {65, 2, 4, 1, 8, 33, 8},
                                                      {130, 1, 5, 6, 7, 13, 0},
                                                      {3, 3, 2, 2, 3, 4, 0},
                                                      {1100, 1, 4, 4, 6, 8, 2}}) {
        const Case s{dtype, t, m, p, q, high, wide, r, accumulate};
        const auto a = all_of(fast, s), b = all_of(reference, s);
        const double u = unit_roundoff(dtype);
        const std::int64_t inner = r == 0 ? wide : r, n = p * high, k = q * wide;
        // S, U, their gradients and each addition to a result are rounded to the type; sums have so many terms.
        const auto bound = [&](std::int64_t terms) {
          return static_cast<double>(3 + m) * u + static_cast<double>(terms) * 0x1p-24;
        };
        const auto size = [](std::int64_t terms) { return std::sqrt(static_cast<double>(terms)); };
        expect_close(a[0], b[0], bound(k * inner), s.text() + " y", size(m * k * inner));
        expect_close(a[1], b[1], bound(n * inner), s.text() + " dx", size(m * n * inner));
        expect_close(a[2], b[2], bound(t), s.text() + " dw1", size(t * high * k));
        expect_close(a[3], b[3], bound(t), s.text() + " db", size(t * p * k));
        expect_close(a[4], b[4], bound(t), s.text() + " da", size(t * n * q));
      }
}

TEST(Kronecker, IntegersAreExact) {
  const Context fast(2, "fast"), reference(1, "reference");
  for (std::int64_t t : {1, 5, 70})
    for (std::int64_t r : {0, 2})
      EXPECT_EQ(all_of(fast, {kF32, t, 2, 3, 2, 4, 5, r, true, true}),
                all_of(reference, {kF32, t, 2, 3, 2, 4, 5, r, true, true}));
}

TEST(Kronecker, FiniteDifferences) {
  const Context c(1);
  for (const Case& s : {Case{kF64, 4, 2, 3, 2, 2, 4, 3}, Case{kF64, 3, 1, 2, 3, 4, 2, 0}}) {
    Layer layer(c, s);
    const std::vector<double> coefficients = layer.dy.get();
    const auto objective = [&] {
      EXPECT_EQ(layer.forward(), GRAFT_OK);
      return dot(coefficients, layer.y.get());
    };
    layer.dw1.fill(0), layer.db.fill(0), layer.da.fill(0);
    GRAFT_ASSERT_OK(layer.backward());
    Tensor x(c, kF64, {s.t, s.q * s.wide});
    x.set(layer.x.get());
    const auto input = [&] {
      EXPECT_EQ(graft_kronecker_forward(c, x, layer.w1, layer.b, layer.down(), 0.5, 0, layer.y), GRAFT_OK);
      return dot(coefficients, layer.y.get());
    };
    expect_gradient(x, layer.dx.get(), input, s.text() + " dx");
    expect_gradient(layer.w1, layer.dw1.get(), objective, s.text() + " dw1");
    expect_gradient(layer.b, layer.db.get(), objective, s.text() + " db");
    if (s.r > 0) expect_gradient(layer.a, layer.da.get(), objective, s.text() + " da");
  }
}

TEST(Kronecker, SameBitsForAnyNumberOfThreads) {
  for (graft_dtype dtype : {kF32, kBf16})
    for (std::int64_t r : {0, 5}) {
      const Case s{dtype, 333, 2, 7, 4, 9, 12, r, true};
      expect_same_bits([&](const Context& c) { return all_of(c, s); }, s.text());
    }
}

// Only matrices of one factor lie without gaps.
TEST(Kronecker, TheMatricesOfAFactorMayLieApart) {
  for (const char* prefer : {"fast", "reference"})
    for (std::int64_t r : {0, 2})
      for (std::int64_t t : {1, 12, 70}) {
        const Context c(2, prefer);
        Layer layer(c, {kF32, t, 2, 2, 2, 3, 3, r});
        GRAFT_ASSERT_OK(layer.forward());
        GRAFT_ASSERT_OK(layer.backward());
        const auto apart = [&](const Tensor& factor) {
          const std::int64_t rows = factor->shape[1], columns = factor->shape[2], step = rows * columns + 5;
          Tensor all(c, kF32, {2, step});
          all.fill(100);
          all.view(0, {2, rows, columns}, {step, columns, 1}).set(factor.get());
          return all;
        };
        const auto matrices = [](const Tensor& all, const Tensor& like) {
          return all.view(0, {2, like->shape[1], like->shape[2]}, {all->shape[1], like->shape[2], 1});
        };
        const Tensor w1_all = apart(layer.w1), b_all = apart(layer.b), a_all = apart(layer.a);
        const Tensor w1 = matrices(w1_all, layer.w1), b = matrices(b_all, layer.b), a = matrices(a_all, layer.a);
        graft_tensor* down = r == 0 ? nullptr : static_cast<graft_tensor*>(a);
        Tensor y(c, kF32, {t, 6}), dx(c, kF32, {t, 6});
        GRAFT_ASSERT_OK(graft_kronecker_forward(c, layer.x, w1, b, down, 0.5, 0, y));
        GRAFT_ASSERT_OK(
            graft_kronecker_backward(c, layer.dy, layer.x, w1, b, down, 0.5, 0, dx, nullptr, nullptr, nullptr));
        EXPECT_EQ(y.get(), layer.y.get()) << prefer << t;
        EXPECT_EQ(dx.get(), layer.dx.get()) << prefer << t;
      }
}

TEST(Kronecker, EmptyAndMissing) {
  for (const char* prefer : {"fast", "reference"}) {
    const Context c(2, prefer);
    Layer none(c, {kBf16, 0});
    const std::vector<double> before = none.dw1.get();
    GRAFT_EXPECT_OK(none.forward());
    GRAFT_EXPECT_OK(none.backward());
    EXPECT_EQ(none.dw1.get(), before);
    const Case s{kF32, 20};
    const auto all = all_of(c, s);
    Layer some(c, s);
    const auto only = [&](graft_tensor* dx, graft_tensor* dw1, graft_tensor* db, graft_tensor* da) {
      return graft_kronecker_backward(c, some.dy, dw1 || db || da ? static_cast<graft_tensor*>(some.x) : nullptr,
                                      some.w1, some.b, some.a, 0.5, 0, dx, dw1, db, da);
    };
    GRAFT_EXPECT_OK(only(some.dx, nullptr, nullptr, nullptr));
    GRAFT_EXPECT_OK(only(nullptr, some.dw1, nullptr, nullptr));
    GRAFT_EXPECT_OK(only(nullptr, nullptr, some.db, nullptr));
    GRAFT_EXPECT_OK(only(nullptr, nullptr, nullptr, some.da));
    GRAFT_EXPECT_OK(only(nullptr, nullptr, nullptr, nullptr));
    EXPECT_EQ(some.dx.get(), all[1]);
    EXPECT_EQ(some.dw1.get(), all[2]);
    EXPECT_EQ(some.db.get(), all[3]);
    EXPECT_EQ(some.da.get(), all[4]);
  }
}

TEST(Kronecker, BadArguments) {
  const Context c;
  Layer l(c, {});  // 9 rows, 18 -> 20
  const auto forward = [&](const graft_tensor* w1, const graft_tensor* b, const graft_tensor* a, graft_tensor* y) {
    return graft_kronecker_forward(c, l.x, w1, b, a, 1, 0, y);
  };
  Tensor two(c, kF32, {2, 5, 2}), narrow(c, kF32, {1, 3, 6}), flat(c, kF32, {4, 3}), none(c, kF32, {1, 0, 3});
  Tensor bf16(c, kBf16, {9, 20}), wrong(c, kF32, {9, 21});
  expect_error(forward(nullptr, l.b, l.a, l.y), GRAFT_INVALID_ARGUMENT, {"kronecker", "w1 is NULL"});
  expect_error(forward(flat, l.b, l.a, l.y), GRAFT_SHAPE_MISMATCH, {"w1 [4, 3]"});
  expect_error(forward(none, l.b, l.a, l.y), GRAFT_SHAPE_MISMATCH, {"w1 [1, 0, 3]", "may be 0"});
  expect_error(forward(l.w1, two, l.a, l.y), GRAFT_SHAPE_MISMATCH, {"b [2, 5, 2]"});
  expect_error(forward(l.w1, l.b, narrow, l.y), GRAFT_SHAPE_MISMATCH, {"a [1, 3, 6]", "[1, 2, *]"});
  expect_error(forward(l.w1, l.b, nullptr, l.y), GRAFT_SHAPE_MISMATCH, {"x [9, 18]", "[*, 6]"});
  expect_error(forward(l.w1, l.b, l.a, wrong), GRAFT_SHAPE_MISMATCH, {"y [9, 21]", "[9, 20]"});
  expect_error(forward(l.w1, l.b, l.a, bf16), GRAFT_INVALID_ARGUMENT, {"y", "bf16"});
  expect_error(forward(l.w1, l.b, l.a, nullptr), GRAFT_INVALID_ARGUMENT, {"y is NULL"});
  const Tensor gaps = l.w1.view(0, {1, 2, 2}, {12, 3, 1});
  expect_error(forward(gaps, l.b, l.a, l.y), GRAFT_INVALID_ARGUMENT, {"w1", "gaps"});
  expect_error(graft_kronecker_forward(c, l.x, l.w1, l.b, l.a, NAN, 0, l.y), GRAFT_INVALID_ARGUMENT, {"scale"});
  const auto backward = [&](const graft_tensor* x, const graft_tensor* a, graft_tensor* dw1, graft_tensor* da) {
    return graft_kronecker_backward(c, l.dy, x, l.w1, l.b, a, 1, 0, nullptr, dw1, nullptr, da);
  };
  expect_error(backward(nullptr, l.a, l.dw1, nullptr), GRAFT_INVALID_ARGUMENT, {"x is NULL"});
  expect_error(backward(l.x, l.a, l.w1, nullptr), GRAFT_INVALID_ARGUMENT, {"dw1", "overlaps", "w1"});
  expect_error(backward(l.x, l.a, l.dw1, l.dw1), GRAFT_SHAPE_MISMATCH, {"da [1, 4, 3]"});
  const Weight w(c, kF32, 20, 17);
  Tensor matrix = w.matrix();
  expect_error(graft_kronecker_merge(c, w, l.w1, l.b, l.a, 1, matrix), GRAFT_SHAPE_MISMATCH,
               {"w is [20, 17]", "[20, 18]"});
}

}  // namespace
}  // namespace graft::test
