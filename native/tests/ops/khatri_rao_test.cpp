// khatri_rao: by hand, fast against reference, finite differences, threads, missing outputs, bad arguments; and LoHa's
// golden files, whose layer is lora with products of its factors.
#include "golden.h"
#include "gradients.h"
#include "tensors.h"

namespace graft::test {
namespace {

struct Case {
  graft_dtype dtype;  // of y; u, v and the gradients are f64 with f64, else f32
  bool columns;
  std::int64_t p, q, common;
  int pad = 0;
};

struct Product {
  Product(const Context& c, const Case& s)
      : c(c),
        s(s),
        u(c, sums_of(s.dtype), shape(s.p), pitch(s.p)),
        v(c, sums_of(s.dtype), shape(s.q), pitch(s.q)),
        y(c, s.dtype, shape(s.p * s.q), pitch(s.p * s.q)),
        dy(c, sums_of(s.dtype), shape(s.p * s.q)),
        du(c, sums_of(s.dtype), shape(s.p)),
        dv(c, sums_of(s.dtype), shape(s.q), pitch(s.q)) {
    fill({&u, &v, &dy, &du, &dv});
  }
  Shape shape(std::int64_t size) const { return s.columns ? Shape{s.common, size} : Shape{size, s.common}; }
  std::int64_t pitch(std::int64_t size) const { return s.pad == 0 ? 0 : shape(size)[1] + s.pad; }
  graft_status forward() { return graft_khatri_rao_forward(c, u, v, s.columns, y); }
  graft_status backward() { return graft_khatri_rao_backward(c, dy, u, v, s.columns, du, dv); }

  const Context& c;
  Case s;
  Tensor u, v, y, dy, du, dv;
};

std::vector<std::vector<double>> all_of(const Context& c, const Case& s) {
  Product product(c, s);
  GRAFT_EXPECT_OK(product.forward());
  GRAFT_EXPECT_OK(product.backward());
  return {product.y.get(), product.du.get(), product.dv.get()};
}

TEST(KhatriRao, ByHand) {
  for (const char* prefer : {"fast", "reference"}) {
    const Context c(2, prefer);
    Product rows(c, {kF32, false, 1, 2, 3}), columns(c, {kF32, true, 2, 2, 1});
    rows.u.set({1, 2, 3}), rows.v.set({1, 1, 1, 4, 5, 6}), rows.dy.fill(1), rows.du.fill(100), rows.dv.fill(0);
    columns.u.set({2, 3}), columns.v.set({5, 7}), columns.dy.set({1, 0, 10, 1}), columns.du.fill(0), columns.dv.fill(1);
    for (Product* product : {&rows, &columns}) {
      GRAFT_ASSERT_OK(product->forward());
      GRAFT_ASSERT_OK(product->backward());
      EXPECT_EQ(c.last_dispatch(), std::string("khatri_rao_backward:cpu/") + prefer);
    }
    EXPECT_EQ(rows.y.get(), (std::vector<double>{1, 2, 3, 4, 10, 18}));
    EXPECT_EQ(rows.du.get(), (std::vector<double>{105, 106, 107}));
    EXPECT_EQ(rows.dv.get(), (std::vector<double>{1, 2, 3, 1, 2, 3}));
    EXPECT_EQ(columns.y.get(), (std::vector<double>{10, 14, 15, 21}));
    EXPECT_EQ(columns.du.get(), (std::vector<double>{5, 57}));
    EXPECT_EQ(columns.dv.get(), (std::vector<double>{33, 4}));
  }
}

TEST(KhatriRao, FastAgreesWithReference) {
  const Context fast(2, "fast"), reference(1, "reference");
  for (graft_dtype dtype : {kF32, kBf16, GRAFT_DTYPE_F16})
    for (bool columns : {false, true})
      for (const auto& [p, q, common, pad] :
           {std::tuple{1, 1, 1, 0}, {3, 5, 17, 2}, {8, 8, 100, 0}, {16, 7, 70, 1}, {0, 3, 4, 0}, {3, 2, 0, 0}}) {
        const Case s{dtype, columns, p, q, common, pad};
        const auto a = all_of(fast, s), b = all_of(reference, s);
        EXPECT_EQ(a[0], b[0]);
        if (p * q * common == 0) continue;
        expect_close(a[1], b[1], (q + 1) * 0x1p-24, "du", 8);
        expect_close(a[2], b[2], (p + 1) * 0x1p-24, "dv", 8);
      }
}

TEST(KhatriRao, FiniteDifferences) {
  const Context c(1);
  for (bool columns : {false, true}) {
    Product product(c, {kF64, columns, 3, 2, 4});
    const auto objective = [&] {
      EXPECT_EQ(product.forward(), GRAFT_OK);
      return dot(product.dy.get(), product.y.get());
    };
    product.du.fill(0), product.dv.fill(0);
    GRAFT_ASSERT_OK(product.backward());
    expect_gradient(product.u, product.du.get(), objective, "du");
    expect_gradient(product.v, product.dv.get(), objective, "dv");
  }
}

TEST(KhatriRao, SameBitsForAnyNumberOfThreads) {
  for (bool columns : {false, true}) {
    const Case s{kBf16, columns, 8, 8, 333};
    expect_same_bits([&](const Context& c) { return all_of(c, s); });
  }
}

TEST(KhatriRao, LohaGoldenFiles) {
  for (const std::string& path : golden_files("loha_layer")) {
    auto g = golden(path);
    const Context c(2);
    const auto of = [&](const char* name) { return load(c, kF32, g.at(name)); };
    Tensor x = of("x"), dy = of("dy"), b1 = of("b1"), a1 = of("a1"), b2 = of("b2"), a2 = of("a2");
    const Shape &xs = g.at("x").shape, &ys = g.at("y").shape;
    const std::int64_t r = g.at("a1").shape[0], t = xs[0], n = ys[1], k = xs[1];
    const double scale = g.at("scale").values.at(0);
    Tensor a(c, kF32, {r * r, k}), b(c, kF32, {n, r * r}), da(c, kF32, {r * r, k}), db(c, kF32, {n, r * r});
    Tensor y(c, kF32, ys), s(c, kF32, {t, r * r}), dx(c, kF32, xs);
    Tensor da1(c, kF32, {r, k}), da2(c, kF32, {r, k}), db1(c, kF32, {n, r}), db2(c, kF32, {n, r});
    const Weight w(c, kF32, n, k);
    w.matrix().set(g.at("w").values);
    GRAFT_ASSERT_OK(graft_khatri_rao_forward(c, a1, a2, 0, a));
    GRAFT_ASSERT_OK(graft_khatri_rao_forward(c, b1, b2, 1, b));
    GRAFT_ASSERT_OK(graft_lora_forward(c, x, w, a, b, scale, nullptr, 0, 0, 0, 0, y, s));
    GRAFT_ASSERT_OK(graft_lora_backward(c, dy, x, s, w, a, b, scale, 0, 0, 0, 0, dx, da, db, nullptr));
    GRAFT_ASSERT_OK(graft_khatri_rao_backward(c, da, a1, a2, 0, da1, da2));
    GRAFT_ASSERT_OK(graft_khatri_rao_backward(c, db, b1, b2, 1, db1, db2));
    expect_close(y.get(), g.at("y").values, 1e-5, path + " y");
    expect_close(dx.get(), g.at("dx").values, 1e-5, path + " dx");
    expect_close(da1.get(), g.at("da1").values, 1e-5, path + " da1");
    expect_close(da2.get(), g.at("da2").values, 1e-5, path + " da2");
    expect_close(db1.get(), g.at("db1").values, 1e-5, path + " db1");
    expect_close(db2.get(), g.at("db2").values, 1e-5, path + " db2");
  }
}

TEST(KhatriRao, MissingOutputsAndBadArguments) {
  const Context c;
  Product rows(c, {kF32, false, 2, 3, 5}), columns(c, {kF32, true, 2, 3, 5});
  const auto all = all_of(c, rows.s);
  GRAFT_EXPECT_OK(graft_khatri_rao_backward(c, rows.dy, rows.u, rows.v, 0, rows.du, nullptr));
  GRAFT_EXPECT_OK(graft_khatri_rao_backward(c, rows.dy, rows.u, rows.v, 0, nullptr, rows.dv));
  EXPECT_EQ(rows.du.get(), all[1]);
  EXPECT_EQ(rows.dv.get(), all[2]);
  Tensor wide(c, kBf16, {3, 5});
  expect_error(graft_khatri_rao_forward(c, nullptr, rows.v, 0, rows.y), GRAFT_INVALID_ARGUMENT, {"u is NULL"});
  expect_error(graft_khatri_rao_forward(c, rows.u, columns.v, 0, rows.y), GRAFT_SHAPE_MISMATCH, {"v [5, 3]"});
  expect_error(graft_khatri_rao_forward(c, rows.u, rows.v, 1, rows.y), GRAFT_SHAPE_MISMATCH, {"v [3, 5]", "[2, *]"});
  expect_error(graft_khatri_rao_forward(c, rows.u, rows.v, 0, rows.u), GRAFT_SHAPE_MISMATCH, {"y [2, 5]", "[6, 5]"});
  expect_error(graft_khatri_rao_forward(c, rows.u, wide, 0, rows.y), GRAFT_INVALID_ARGUMENT, {"v", "bf16"});
  expect_error(graft_khatri_rao_backward(c, rows.dy, rows.u, rows.v, 0, rows.u, nullptr), GRAFT_INVALID_ARGUMENT,
               {"du", "overlaps", "u"});
  expect_error(graft_khatri_rao_backward(c, rows.dy, rows.u, rows.v, 0, rows.dv, nullptr), GRAFT_SHAPE_MISMATCH,
               {"du [3, 5]"});
}

}  // namespace
}  // namespace graft::test
