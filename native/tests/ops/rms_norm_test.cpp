// rms_norm: golden files, fast against reference, finite differences, shapes, aliasing, threads, bad arguments.
#include <algorithm>

#include "golden.h"
#include "gradients.h"
#include "tensors.h"

namespace graft::test {
namespace {

struct Result {
  std::vector<double> y, rstd, dx, dw;
  bool operator==(const Result&) const = default;
};

Result run(const Context& c, graft_dtype dtype, std::int64_t rows, std::int64_t columns, bool accumulate,
           std::int64_t pitch = 0) {
  const graft_dtype sums = sums_of(dtype);
  Tensor x(c, dtype, {rows, columns}, pitch), w(c, dtype, {columns}), y(c, dtype, {rows, columns}, pitch);
  Tensor rstd(c, sums, {rows}), dy(c, dtype, {rows, columns}, pitch), dx(c, dtype, {rows, columns}, pitch);
  Tensor dw(c, sums, {columns});
  x.random(1), w.random(2), dy.random(3), dx.random(4), dw.random(5);
  GRAFT_EXPECT_OK(graft_rms_norm_forward(c, x, w, 1e-5, y, rstd));
  GRAFT_EXPECT_OK(graft_rms_norm_backward(c, dy, x, w, rstd, accumulate, dx, dw));
  return {y.get(), rstd.get(), dx.get(), dw.get()};
}

TEST(RmsNorm, GoldenFiles) {
  for (const std::string& path : golden_files("rms_norm")) {
    auto g = golden(path);
    for (const char* prefer : {"fast", "reference"}) {
      const Context c(2, prefer);
      const graft_dtype f32 = GRAFT_DTYPE_F32;
      Tensor x = load(c, f32, g.at("x")), w = load(c, f32, g.at("w")), dy = load(c, f32, g.at("dy"));
      Tensor y(c, f32, g.at("x").shape), rstd(c, f32, {x->shape[0]}), dx(c, f32, g.at("x").shape);
      Tensor dw(c, f32, g.at("w").shape);
      const double eps = g.at("eps").values.at(0);
      GRAFT_ASSERT_OK(graft_rms_norm_forward(c, x, w, eps, y, rstd));
      GRAFT_ASSERT_OK(graft_rms_norm_backward(c, dy, x, w, rstd, 0, dx, dw));
      expect_close(y.get(), g.at("y").values, 1e-5, path + " y");
      expect_close(dx.get(), g.at("dx").values, 1e-5, path + " dx");
      expect_close(dw.get(), g.at("dw").values, 1e-5, path + " dw");
    }
  }
}

TEST(RmsNorm, FastAgreesWithReference) {
  const Context fast(2, "fast"), reference(1, "reference");
  for (graft_dtype dtype : {GRAFT_DTYPE_F32, GRAFT_DTYPE_BF16, GRAFT_DTYPE_F16}) {
    for (auto [rows, columns] : {std::pair{1, 1}, {3, 7}, {33, 48}, {65, 129}, {100, 512}}) {
      for (bool accumulate : {false, true}) {
        const std::string what = std::string(name(dtype)) + " " + std::to_string(rows) + "x" + std::to_string(columns);
        const Result a = run(fast, dtype, rows, columns, accumulate),
                     b = run(reference, dtype, rows, columns, accumulate);
        const double tolerance = 2 * unit_roundoff(dtype) + columns * 0x1p-24;
        expect_close(a.y, b.y, tolerance, what + " y");
        expect_close(a.rstd, b.rstd, columns * 0x1p-24, what + " rstd");
        // Both terms of dx are of the size of rstd; in a row of one element they cancel.
        expect_close(a.dx, b.dx, tolerance, what + " dx", *std::max_element(b.rstd.begin(), b.rstd.end()));
        expect_close(a.dw, b.dw, (rows + 8) * 0x1p-24, what + " dw");
      }
    }
  }
}

TEST(RmsNorm, FiniteDifferences) {
  const Context c(1, "reference");
  const graft_dtype f64 = GRAFT_DTYPE_F64;
  Tensor x(c, f64, {5, 7}), w(c, f64, {7}), dy(c, f64, {5, 7}), y(c, f64, {5, 7}), rstd(c, f64, {5});
  Tensor dx(c, f64, {5, 7}), dw(c, f64, {7});
  x.random(1), w.random(2), dy.random(3);
  auto objective = [&] {
    EXPECT_EQ(graft_rms_norm_forward(c, x, w, 1e-5, y, rstd), GRAFT_OK);
    return dot(dy.get(), y.get());
  };
  objective();
  GRAFT_ASSERT_OK(graft_rms_norm_backward(c, dy, x, w, rstd, 0, dx, dw));
  expect_gradient(x, dx.get(), objective, "dx");
  expect_gradient(w, dw.get(), objective, "dw");
}

TEST(RmsNorm, SameBitsForAnyNumberOfThreads) {
  expect_same_bits([](const Context& c) { return run(c, kBf16, 131, 96, true); });
}

TEST(RmsNorm, PitchEmptyAliasAndNull) {
  const Context c;
  EXPECT_EQ(run(c, GRAFT_DTYPE_F32, 9, 20, false).y, run(c, GRAFT_DTYPE_F32, 9, 20, false, 37).y);
  EXPECT_EQ(run(c, GRAFT_DTYPE_F32, 9, 20, true).dx, run(c, GRAFT_DTYPE_F32, 9, 20, true, 37).dx);
  EXPECT_TRUE(run(c, GRAFT_DTYPE_F32, 0, 20, false).y.empty());
  Tensor x(c, GRAFT_DTYPE_F32, {4, 6}), w(c, GRAFT_DTYPE_F32, {6}), y(c, GRAFT_DTYPE_F32, {4, 6});
  x.random(1), w.random(2);
  GRAFT_ASSERT_OK(graft_rms_norm_forward(c, x, w, 1e-5, y, nullptr));
  GRAFT_ASSERT_OK(graft_rms_norm_forward(c, x, w, 1e-5, x, nullptr));
  EXPECT_EQ(x.get(), y.get());
}

TEST(RmsNorm, BadArguments) {
  const Context c;
  Tensor x(c, GRAFT_DTYPE_F32, {4, 6}), w(c, GRAFT_DTYPE_F32, {6}), y(c, GRAFT_DTYPE_F32, {4, 6});
  Tensor short_w(c, GRAFT_DTYPE_F32, {5}), ids(c, GRAFT_DTYPE_I32, {4, 6}), half(c, GRAFT_DTYPE_BF16, {4, 6});
  expect_error(graft_rms_norm_forward(nullptr, x, w, 1e-5, y, nullptr), GRAFT_INVALID_ARGUMENT,
               {"graft_rms_norm_forward", "context"});
  expect_error(graft_rms_norm_forward(c, nullptr, w, 1e-5, y, nullptr), GRAFT_INVALID_ARGUMENT, {"x is NULL"});
  expect_error(graft_rms_norm_forward(c, x, short_w, 1e-5, y, nullptr), GRAFT_SHAPE_MISMATCH, {"w [5]", "[6]"});
  expect_error(graft_rms_norm_forward(c, ids, w, 1e-5, y, nullptr), GRAFT_INVALID_ARGUMENT, {"x [4, 6] i32"});
  expect_error(graft_rms_norm_forward(c, x, w, 1e-5, half, nullptr), GRAFT_INVALID_ARGUMENT, {"y", "bf16"});
  expect_error(graft_rms_norm_forward(c, x, w, 0, y, nullptr), GRAFT_INVALID_ARGUMENT, {"eps is 0"});
  expect_error(graft_rms_norm_backward(c, y, x, w, nullptr, 0, y, nullptr), GRAFT_INVALID_ARGUMENT, {"rstd"});
  Tensor rstd(c, kF32, {4}), dw(c, kF32, {6});
  for (const graft_tensor* input : {static_cast<graft_tensor*>(y), static_cast<graft_tensor*>(x),
                                    static_cast<graft_tensor*>(w), static_cast<graft_tensor*>(rstd)}) {
    graft_tensor inside = *static_cast<graft_tensor*>(dw);
    inside.data = input->data;
    expect_error(graft_rms_norm_backward(c, y, x, w, rstd, 0, nullptr, &inside), GRAFT_INVALID_ARGUMENT,
                 {"dw", "overlaps"});
  }
  const Context nobody(1, "no such implementation");
  expect_error(graft_rms_norm_forward(nobody, x, w, 1e-5, y, nullptr), GRAFT_UNSUPPORTED, {"no such implementation"});
}

}  // namespace
}  // namespace graft::test
