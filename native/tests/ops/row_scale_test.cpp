// row_scale: by hand, fast against reference, finite differences, threads, in place, missing outputs, bad arguments;
// and VeRA's golden files, whose layer is lora with scaled factors.
#include "golden.h"
#include "gradients.h"
#include "tensors.h"

namespace graft::test {
namespace {

struct Case {
  graft_dtype dtype;
  std::int64_t rows, columns;
  int pad = 0;
};

std::vector<std::vector<double>> all_of(const Context& c, const Case& s) {
  const graft_dtype sums = sums_of(s.dtype);
  const std::int64_t pitch = s.pad == 0 ? 0 : s.columns + s.pad;
  Tensor x(c, s.dtype, {s.rows, s.columns}, pitch), y(c, s.dtype, {s.rows, s.columns}), vector(c, sums, {s.rows});
  Tensor dy(c, sums, {s.rows, s.columns}), dx(c, sums, {s.rows, s.columns}), ds(c, sums, {s.rows});
  fill({&x, &vector, &dy, &dx, &ds});
  GRAFT_EXPECT_OK(graft_row_scale_forward(c, x, vector, y));
  GRAFT_EXPECT_OK(graft_row_scale_backward(c, dy, x, vector, dx, ds));
  return {y.get(), dx.get(), ds.get()};
}

TEST(RowScale, ByHand) {
  for (const char* prefer : {"fast", "reference"}) {
    const Context c(2, prefer);
    Tensor x(c, kF32, {2, 3}), s(c, kF32, {2}), y(c, kF32, {2, 3}), dx(c, kF32, {2, 3}), ds(c, kF32, {2});
    x.set({1, 2, 3, 4, 5, 6}), s.set({2, -1}), dx.fill(1), ds.fill(100);
    GRAFT_ASSERT_OK(graft_row_scale_forward(c, x, s, y));
    EXPECT_EQ(y.get(), (std::vector<double>{2, 4, 6, -4, -5, -6}));
    EXPECT_EQ(c.last_dispatch(), std::string("row_scale_forward:cpu/") + prefer);
    GRAFT_ASSERT_OK(graft_row_scale_backward(c, y, x, s, dx, ds));
    EXPECT_EQ(dx.get(), (std::vector<double>{5, 9, 13, 5, 6, 7}));
    EXPECT_EQ(ds.get(), (std::vector<double>{128, 23}));
    GRAFT_ASSERT_OK(graft_row_scale_forward(c, x, s, x));
    EXPECT_EQ(x.get(), y.get());
    GRAFT_ASSERT_OK(graft_row_scale_backward(c, y, x, s, nullptr, nullptr));
  }
}

TEST(RowScale, FastAgreesWithReference) {
  const Context fast(2, "fast"), reference(1, "reference");
  for (graft_dtype dtype : {kF32, kBf16, GRAFT_DTYPE_F16})
    for (const Case& s : {Case{dtype, 1, 1}, {dtype, 3, 17, 5}, {dtype, 70, 300}, {dtype, 0, 4}, {dtype, 4, 0}}) {
      const auto a = all_of(fast, s), b = all_of(reference, s);
      EXPECT_EQ(a[0], b[0]);
      if (s.rows * s.columns == 0) continue;
      expect_close(a[1], b[1], 0x1p-22, "dx", 2);
      expect_close(a[2], b[2], static_cast<double>(s.columns) * 0x1p-24, "ds", 8);
    }
}

TEST(RowScale, FiniteDifferences) {
  const Context c(1);
  Tensor x(c, kF64, {3, 4}), s(c, kF64, {3}), y(c, kF64, {3, 4}), dy(c, kF64, {3, 4}), dx(c, kF64, {3, 4}),
      ds(c, kF64, {3});
  x.random(1), s.random(2), dy.random(3);
  const auto objective = [&] {
    EXPECT_EQ(graft_row_scale_forward(c, x, s, y), GRAFT_OK);
    return dot(dy.get(), y.get());
  };
  GRAFT_ASSERT_OK(graft_row_scale_backward(c, dy, x, s, dx, ds));
  expect_gradient(x, dx.get(), objective, "dx");
  expect_gradient(s, ds.get(), objective, "ds");
}

TEST(RowScale, SameBitsForAnyNumberOfThreads) {
  for (graft_dtype dtype : {kF32, kBf16}) {
    expect_same_bits([&](const Context& c) { return all_of(c, {dtype, 200, 77}); });
  }
}

TEST(RowScale, VeraGoldenFiles) {
  for (const std::string& path : golden_files("vera_linear")) {
    auto g = golden(path);
    const Context c;
    Tensor x = load(c, kF32, g.at("x")), dy = load(c, kF32, g.at("dy")), a = load(c, kF32, g.at("a"));
    Tensor b = load(c, kF32, g.at("b")), d = load(c, kF32, g.at("lambda_d")), u = load(c, kF32, g.at("lambda_b"));
    const Shape &xs = g.at("x").shape, &ys = g.at("y").shape, &as = g.at("a").shape, &bs = g.at("b").shape;
    Tensor down(c, kF32, as), up(c, kF32, bs), ddown(c, kF32, as), dup(c, kF32, bs), y(c, kF32, ys), dx(c, kF32, xs);
    Tensor s(c, kF32, {xs[0], as[0]}), dd(c, kF32, {as[0]}), du(c, kF32, {bs[0]}), bias(c, kF32, {bs[0]});
    if (g.count("bias") > 0) bias.set(g.at("bias").values);
    const Weight w(c, kF32, ys[1], xs[1]);
    w.matrix().set(g.at("w").values);
    GRAFT_ASSERT_OK(graft_row_scale_forward(c, a, d, down));
    GRAFT_ASSERT_OK(graft_row_scale_forward(c, b, u, up));
    GRAFT_ASSERT_OK(graft_lora_forward(c, x, w, down, up, 1, bias, 0, 0, 0, 0, y, s));
    GRAFT_ASSERT_OK(graft_lora_backward(c, dy, x, s, w, down, up, 1, 0, 0, 0, 0, dx, ddown, dup, nullptr));
    GRAFT_ASSERT_OK(graft_row_scale_backward(c, ddown, a, d, nullptr, dd));
    GRAFT_ASSERT_OK(graft_row_scale_backward(c, dup, b, u, nullptr, du));
    expect_close(y.get(), g.at("y").values, 1e-5, path + " y");
    expect_close(dx.get(), g.at("dx").values, 1e-5, path + " dx");
    expect_close(dd.get(), g.at("dlambda_d").values, 1e-5, path + " dlambda_d");
    expect_close(du.get(), g.at("dlambda_b").values, 1e-5, path + " dlambda_b");
  }
}

TEST(RowScale, BadArguments) {
  const Context c;
  Tensor x(c, kF32, {2, 3}), s(c, kF32, {2}), three(c, kF32, {3}), bf16(c, kBf16, {2, 3}), y(c, kF32, {2, 3});
  expect_error(graft_row_scale_forward(c, nullptr, s, y), GRAFT_INVALID_ARGUMENT, {"row_scale", "x is NULL"});
  expect_error(graft_row_scale_forward(c, x, three, y), GRAFT_SHAPE_MISMATCH, {"s [3]", "[2]"});
  expect_error(graft_row_scale_forward(c, x, s, bf16), GRAFT_INVALID_ARGUMENT, {"y", "bf16"});
  expect_error(graft_row_scale_backward(c, bf16, bf16, s, nullptr, s), GRAFT_INVALID_ARGUMENT, {"dy", "f32"});
  expect_error(graft_row_scale_backward(c, y, x, s, nullptr, three), GRAFT_SHAPE_MISMATCH, {"ds [3]", "[2]"});
  expect_error(graft_row_scale_backward(c, y, x, s, y, nullptr), GRAFT_INVALID_ARGUMENT, {"dx", "overlaps", "dy"});
}

}  // namespace
}  // namespace graft::test
