// hira: golden files, fast against reference over every form of W, finite differences, threads, empty and missing
// tensors, merging, bad arguments.
#include <cmath>

#include "golden.h"
#include "gradients.h"
#include "tensors.h"

namespace graft::test {
namespace {

struct Case {
  graft_dtype dtype = kF32;
  std::int64_t t = 5, k = 12, n = 9, r = 2;
  bool accumulate = false;
};

struct Layer : Activations {
  Layer(const Context& c, const Case& s)
      : Activations(c, s.dtype, s.t, s.k, s.n),
        c(c),
        s(s),
        a(c, sums_of(s.dtype), {s.r, s.k}),
        b(c, sums_of(s.dtype), {s.n, s.r}),
        da(c, sums_of(s.dtype), {s.r, s.k}),
        db(c, sums_of(s.dtype), {s.n, s.r}) {
    fill({&x, &y, &dy, &dx, &a, &b, &da, &db});
  }
  graft_status forward(const graft_weight* w) { return graft_hira_forward(c, x, w, a, b, s.accumulate, y); }
  graft_status backward(const graft_weight* w) {
    return graft_hira_backward(c, dy, x, w, a, b, s.accumulate, dx, da, db);
  }
  std::vector<std::vector<double>> all(const graft_weight* w) {
    GRAFT_EXPECT_OK(forward(w));
    GRAFT_EXPECT_OK(backward(w));
    return {y.get(), dx.get(), da.get(), db.get()};
  }

  const Context& c;
  Case s;
  Tensor a, b, da, db;
};

std::vector<std::vector<double>> dense(const Context& c, const Case& s) {
  const Weight w(c, s.dtype, s.n, s.k, 3);
  w.matrix().random(99);
  return Layer(c, s).all(w);
}

std::vector<std::vector<double>> nf4(const Context& c, const Case& s) {
  const Weight w(c, Nf4{false}, s.n, s.k);
  Tensor matrix(c, kF32, {s.n, s.k});
  matrix.random(99);
  GRAFT_EXPECT_OK(graft_context_prefer(c, nullptr));
  GRAFT_EXPECT_OK(graft_nf4_quantize(c, matrix, w));
  return Layer(c, s).all(w);
}

void expect_near(const Case& s, const std::vector<std::vector<double>>& a, const std::vector<std::vector<double>>& b,
                 const std::string& what) {
  const auto near = [&](std::size_t i, std::int64_t terms, const char* name) {
    const double size = std::sqrt(static_cast<double>(terms * (1 + s.r)));
    expect_close(a[i], b[i], 4 * unit_roundoff(s.dtype) + static_cast<double>(terms) * 0x1p-24, what + " " + name,
                 size);
  };
  near(0, s.k, "y"), near(1, s.n, "dx"), near(2, s.n * s.t, "da"), near(3, s.k * s.t, "db");
}

TEST(Hira, GoldenFiles) {
  for (const std::string& path : golden_files("hira_layer"))
    for (const char* prefer : {"fast", "reference"}) {
      auto g = golden(path);
      const Context c(2, prefer);
      const Shape &xs = g.at("x").shape, &ys = g.at("y").shape, &as = g.at("a").shape, &bs = g.at("b").shape;
      Tensor x = load(c, kF32, g.at("x")), dy = load(c, kF32, g.at("dy")), a = load(c, kF32, g.at("a"));
      Tensor b = load(c, kF32, g.at("b")), y(c, kF32, ys), dx(c, kF32, xs), da(c, kF32, as), db(c, kF32, bs);
      const Weight w(c, kF32, ys[1], xs[1], 2);
      w.matrix().set(g.at("w").values);
      GRAFT_ASSERT_OK(graft_hira_forward(c, x, w, a, b, 0, y));
      GRAFT_ASSERT_OK(graft_hira_backward(c, dy, x, w, a, b, 0, dx, da, db));
      EXPECT_EQ(c.last_dispatch(), std::string("hira_backward:cpu/") + prefer);
      expect_close(y.get(), g.at("y").values, 1e-5, path + " y");
      expect_close(dx.get(), g.at("dx").values, 1e-5, path + " dx");
      expect_close(da.get(), g.at("da").values, 1e-5, path + " da");
      expect_close(db.get(), g.at("db").values, 1e-5, path + " db");
      Tensor merged = w.matrix();
      GRAFT_ASSERT_OK(graft_hira_merge(c, w, a, b, merged));
      expect_close(merged.get(), g.at("merged").values, 1e-6, path + " merged");
    }
}

TEST(Hira, FastAgreesWithReference) {
  const Context fast(2, "fast"), reference(1, "reference");
  for (graft_dtype dtype : {kF32, kBf16})
    for (bool accumulate : {false, true})
      for (const auto& [t, k, n, r] :
           {std::tuple{1, 1, 1, 1}, {7, 12, 9, 3}, {33, 70, 5, 8}, {4, 600, 140, 5}, {3, 513, 129, 1}}) {
        const Case s{dtype, t, k, n, r, accumulate};
        expect_near(s, dense(fast, s), dense(reference, s), std::string("dense ") + name(dtype));
      }
}

TEST(Hira, OverCodesAgreesWithReference) {
  const Context fast(2), reference(1);
  for (graft_dtype dtype : {kF32, kBf16}) {
    const Case s{dtype, 6, 192, 40, 3};
    const auto expected = [&] {
      const Weight w(reference, Nf4{false}, s.n, s.k);
      Tensor matrix(reference, kF32, {s.n, s.k});
      matrix.random(99);
      GRAFT_EXPECT_OK(graft_nf4_quantize(reference, matrix, w));
      GRAFT_EXPECT_OK(graft_context_prefer(reference, "reference"));
      return Layer(reference, s).all(w);
    }();
    expect_near(s, nf4(fast, s), expected, "NF4");
    EXPECT_EQ(fast.last_dispatch(), "hira_backward:cpu/fast");
  }
}

TEST(Hira, FiniteDifferences) {
  const Context c(1);
  const Case s{kF64, 3, 5, 4, 2};
  const Weight w(c, kF64, s.n, s.k);
  w.matrix().random(99);
  Layer layer(c, s);
  Tensor x(c, kF64, {s.t, s.k});
  x.set(layer.x.get());
  const auto objective = [&] {
    EXPECT_EQ(graft_hira_forward(c, x, w, layer.a, layer.b, 0, layer.y), GRAFT_OK);
    return dot(layer.dy.get(), layer.y.get());
  };
  layer.da.fill(0), layer.db.fill(0);
  GRAFT_ASSERT_OK(layer.backward(w));
  expect_gradient(x, layer.dx.get(), objective, "dx");
  expect_gradient(layer.a, layer.da.get(), objective, "da");
  expect_gradient(layer.b, layer.db.get(), objective, "db");
}

TEST(Hira, SameBitsForAnyNumberOfThreads) {
  for (graft_dtype dtype : {kF32, kBf16}) {
    const Case s{dtype, 40, 530, 300, 4, true};
    expect_same_bits([&](const Context& c) { return dense(c, s); });
  }
}

TEST(Hira, EmptyAndMissing) {
  for (const char* prefer : {"fast", "reference"}) {
    const Context c(2, prefer);
    const Weight w(c, kF32, 9, 12);
    w.matrix().random(99);
    Layer none(c, {kF32, 0}), layer(c, {});
    const std::vector<double> before = none.da.get();
    EXPECT_EQ(none.all(w)[2], before);
    const auto all = Layer(c, {}).all(w);
    GRAFT_EXPECT_OK(graft_hira_backward(c, layer.dy, nullptr, w, layer.a, layer.b, 0, layer.dx, nullptr, nullptr));
    GRAFT_EXPECT_OK(graft_hira_backward(c, layer.dy, layer.x, w, layer.a, layer.b, 0, nullptr, layer.da, nullptr));
    GRAFT_EXPECT_OK(graft_hira_backward(c, layer.dy, layer.x, w, layer.a, layer.b, 0, nullptr, nullptr, layer.db));
    EXPECT_EQ(layer.dx.get(), all[1]);
    EXPECT_EQ(layer.da.get(), all[2]);
    EXPECT_EQ(layer.db.get(), all[3]);
    layer.b.fill(0);
    Tensor y(c, kF32, {5, 9});
    GRAFT_EXPECT_OK(layer.forward(w));
    GRAFT_EXPECT_OK(graft_linear_forward(c, layer.x, w, nullptr, 0, y));
    EXPECT_EQ(layer.y.get(), y.get());
  }
}

TEST(Hira, BadArguments) {
  const Context c;
  Layer l(c, {});
  const Weight w(c, kF32, 9, 12), coded(c, Nf4{false}, 9, 12);
  Tensor wrong(c, kF32, {2, 11}), bf16(c, kBf16, {5, 9}), none(c, kF32, {0, 12}), empty(c, kF32, {9, 0});
  const auto forward = [&](const graft_tensor* a, const graft_tensor* b, graft_tensor* y) {
    return graft_hira_forward(c, l.x, w, a, b, 0, y);
  };
  expect_error(forward(nullptr, l.b, l.y), GRAFT_INVALID_ARGUMENT, {"hira", "a is NULL"});
  expect_error(forward(wrong, l.b, l.y), GRAFT_SHAPE_MISMATCH, {"a [2, 11]", "[*, 12]"});
  expect_error(forward(none, empty, l.y), GRAFT_SHAPE_MISMATCH, {"a [0, 12]", "rank"});
  expect_error(forward(l.a, l.b, bf16), GRAFT_INVALID_ARGUMENT, {"y", "bf16"});
  expect_error(graft_hira_backward(c, l.dy, nullptr, w, l.a, l.b, 0, l.dx, nullptr, l.db), GRAFT_INVALID_ARGUMENT,
               {"x is NULL", "db"});
  expect_error(graft_hira_backward(c, l.dy, l.x, w, l.a, l.b, 0, l.dx, l.a, nullptr), GRAFT_INVALID_ARGUMENT,
               {"da", "overlaps"});
  Tensor matrix = w.matrix();
  expect_error(graft_hira_merge(c, coded, l.a, l.b, matrix), GRAFT_UNSUPPORTED, {"NF4"});
}

}  // namespace
}  // namespace graft::test
