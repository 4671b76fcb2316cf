// linear_cross_entropy: golden files, fast against reference, finite differences, ignored rows, threads, memory,
// errors.
#include <cmath>

#include "golden.h"
#include "gradients.h"
#include "tensors.h"

namespace graft::test {
namespace {

struct Case {
  std::int64_t rows, columns, vocabulary;
  double normalizer;
  int ignore_each;  // every how many rows one is ignored; 0: none
  double softcap = 0;
};

struct CrossEntropy {
  CrossEntropy(const Context& context, graft_dtype dtype, const Case& s, graft_dtype label_dtype = GRAFT_DTYPE_I32,
               int border = 0)
      : c(context),
        shape(s),
        sums(dtype == GRAFT_DTYPE_F64 ? GRAFT_DTYPE_F64 : GRAFT_DTYPE_F32),
        h(c, dtype, {s.rows, s.columns}),
        dh(c, dtype, {s.rows, s.columns}),
        dw(c, sums, {s.vocabulary, s.columns}),
        labels(c, label_dtype, {s.rows}),
        loss(c, sums, {1}),
        count(c, GRAFT_DTYPE_I64, {1}),
        w(c, dtype, s.vocabulary, s.columns, border) {
    h.random(1), dh.fill(9), dw.random(2), loss.fill(9), count.fill(9);
    w.matrix().random(3);
    std::vector<double> values;
    for (std::int64_t t = 0; t < s.rows; ++t)
      values.push_back(s.ignore_each > 0 && t % s.ignore_each == 0 ? -100.0
                                                                   : static_cast<double>((t * 7 + 3) % s.vocabulary));
    labels.set(values);
  }
  graft_status run(bool want_dh = true, bool want_dw = true, bool want_count = true) {
    return graft_linear_cross_entropy_forward(c, h, w, labels, -100, shape.softcap, shape.normalizer, 1.5, loss,
                                              want_count ? static_cast<graft_tensor*>(count) : nullptr,
                                              want_dh ? static_cast<graft_tensor*>(dh) : nullptr,
                                              want_dw ? static_cast<graft_tensor*>(dw) : nullptr);
  }

  const Context& c;
  Case shape;
  graft_dtype sums;
  Tensor h, dh, dw, labels, loss, count;
  Weight w;
};

TEST(LinearCrossEntropy, GoldenFiles) {
  for (const std::string& path : golden_files("cross_entropy")) {
    auto g = golden(path);
    for (const char* prefer : {"fast", "reference"}) {
      const Context c(2, prefer);
      const graft_dtype f32 = GRAFT_DTYPE_F32;
      Tensor h = load(c, f32, g.at("h")), labels = load(c, GRAFT_DTYPE_I64, g.at("labels"));
      Tensor dh(c, f32, g.at("h").shape), dw(c, f32, g.at("w").shape), loss(c, f32, {1}),
          count(c, GRAFT_DTYPE_I64, {1});
      Weight w(c, f32, g.at("w").shape[0], g.at("w").shape[1]);
      w.matrix().set(g.at("w").values);
      GRAFT_ASSERT_OK(graft_linear_cross_entropy_forward(c, h, w, labels, -100, 0, 0, 1, loss, count, dh, dw));
      expect_close(loss.get(), g.at("loss").values, 1e-5, path + " loss");
      EXPECT_EQ(count.get(), g.at("count").values);
      expect_close(dh.get(), g.at("dh").values, 1e-5, path + " dh");
      expect_close(dw.get(), g.at("dw").values, 1e-5, path + " dw");
    }
  }
}

TEST(LinearCrossEntropy, FastAgreesWithReference) {
  const Context fast(2, "fast"), reference(1, "reference");
  for (graft_dtype dtype : {GRAFT_DTYPE_F32, GRAFT_DTYPE_BF16}) {
    for (const Case& s : {Case{1, 1, 2, 0, 0},
                          {7, 5, 3, 0, 0},
                          {33, 24, 65, 0, 3},
                          {70, 16, 129, 100, 2},
                          {300, 12, 40, 0, 5},
                          {70, 16, 129, 0, 2, 0.8},
                          {9, 40, 33, 3, 0, 30},
                          {5, 64, 1000, 0, 0}}) {
      const std::string what = std::string(name(dtype)) + " T" + std::to_string(s.rows) + " K" +
                               std::to_string(s.columns) + " V" + std::to_string(s.vocabulary);
      CrossEntropy a(fast, dtype, s, GRAFT_DTYPE_I32, 8), b(reference, dtype, s, GRAFT_DTYPE_I64);
      GRAFT_ASSERT_OK(a.run()) << what;
      GRAFT_ASSERT_OK(b.run()) << what;
      // bf16: dz is rounded to bf16 before it meets W and h; each sum has an error of u relative to its terms.
      const double u = unit_roundoff(dtype), tolerance = 4 * u + static_cast<double>(s.columns + 32) * 0x1p-24;
      expect_close(a.loss.get(), b.loss.get(), static_cast<double>(s.columns + 32) * 0x1p-24, what + " loss");
      EXPECT_EQ(a.count.get(), b.count.get()) << what;
      expect_close(a.dh.get(), b.dh.get(), tolerance, what + " dh");
      expect_close(a.dw.get(), b.dw.get(), tolerance, what + " dw");
    }
  }
}

TEST(LinearCrossEntropy, FiniteDifferences) {
  const Context c(1, "reference");
  for (double softcap : {0.0, 0.7}) {
    CrossEntropy a(c, GRAFT_DTYPE_F64, {6, 5, 7, 0, 3, softcap});
    a.dw.fill(0);
    GRAFT_ASSERT_OK(a.run());
    Tensor w = a.w.matrix();
    const std::vector<double> dh = a.dh.get(), dw = a.dw.get();
    const auto objective = [&] {
      EXPECT_EQ(a.run(false, false, false), GRAFT_OK);
      return 1.5 * a.loss.get()[0];
    };
    expect_gradient(a.h, dh, objective, "dh");
    expect_gradient(w, dw, objective, "dw");
  }
}

TEST(LinearCrossEntropy, IgnoredRowsAndNormalizer) {
  for (const char* prefer : {"fast", "reference"}) {
    const Context c(2, prefer);
    CrossEntropy all(c, GRAFT_DTYPE_F32, {40, 8, 20, 0, 1});  // every row is ignored
    const std::vector<double> dw = all.dw.get();
    GRAFT_ASSERT_OK(all.run());
    EXPECT_EQ(all.loss.get()[0], 0);
    EXPECT_EQ(all.count.get()[0], 0);
    EXPECT_EQ(all.dh.get(), std::vector<double>(40 * 8, 0.0));
    EXPECT_EQ(all.dw.get(), dw);

    CrossEntropy none(c, GRAFT_DTYPE_F32, {0, 8, 20, 0, 0});
    GRAFT_ASSERT_OK(none.run());
    EXPECT_EQ(none.loss.get()[0], 0);

    CrossEntropy mean(c, GRAFT_DTYPE_F32, {40, 8, 20, 0, 4}), sum(c, GRAFT_DTYPE_F32, {40, 8, 20, 1, 4});
    GRAFT_ASSERT_OK(mean.run());
    GRAFT_ASSERT_OK(sum.run());
    EXPECT_EQ(mean.count.get()[0], 30);
    EXPECT_NEAR(mean.loss.get()[0] * 30, sum.loss.get()[0], 1e-4);
    EXPECT_NEAR(mean.dh.get()[9] * 30, sum.dh.get()[9], 1e-5);
    EXPECT_EQ(mean.dh.get()[0], 0);
  }
}

TEST(LinearCrossEntropy, NullOutputsChangeNothingElse) {
  const Context c;
  for (graft_dtype dtype : {GRAFT_DTYPE_F32, GRAFT_DTYPE_BF16}) {
    const Case s{50, 24, 70, 0, 3};
    CrossEntropy all(c, dtype, s);
    GRAFT_ASSERT_OK(all.run());
    for (int wanted = 0; wanted < 4; ++wanted) {
      CrossEntropy some(c, dtype, s);
      const std::vector<double> dh = some.dh.get(), dw = some.dw.get();
      GRAFT_ASSERT_OK(some.run((wanted & 1) != 0, (wanted & 2) != 0, false));
      EXPECT_EQ(some.loss.get(), all.loss.get());
      EXPECT_EQ(some.dh.get(), (wanted & 1) != 0 ? all.dh.get() : dh);
      EXPECT_EQ(some.dw.get(), (wanted & 2) != 0 ? all.dw.get() : dw);
    }
  }
}

TEST(LinearCrossEntropy, SameBitsForAnyNumberOfThreads) {
  for (graft_dtype dtype : {GRAFT_DTYPE_F32, GRAFT_DTYPE_BF16}) {
    std::vector<double> loss, dh, dw;
    for (int threads : {1, 2, 4}) {
      const Context c(threads);
      CrossEntropy a(c, dtype, {300, 48, 600, 0, 7});
      GRAFT_ASSERT_OK(a.run());
      if (threads == 1) loss = a.loss.get(), dh = a.dh.get(), dw = a.dw.get();
      EXPECT_EQ(a.loss.get(), loss);
      EXPECT_EQ(a.dh.get(), dh);
      EXPECT_EQ(a.dw.get(), dw);
    }
  }
}

TEST(LinearCrossEntropy, LogitsNeverExistWhole) {
  const Context c(2, "fast");
  CrossEntropy a(c, GRAFT_DTYPE_BF16, {2048, 16, 8192, 0, 0});
  GRAFT_ASSERT_OK(a.run(true, false));
  EXPECT_LE(c.peak(GRAFT_MEMORY_WORKSPACE), 24 << 20);  // whole they would be 64 MiB
}

TEST(LinearCrossEntropy, BadArguments) {
  const Context c;
  const graft_status bad = GRAFT_INVALID_ARGUMENT, shape = GRAFT_SHAPE_MISMATCH;
  CrossEntropy a(c, GRAFT_DTYPE_F32, {4, 8, 20, 0, 0});
  a.labels.set({1, 2, 20, 3});
  expect_error(a.run(), bad, {"graft_linear_cross_entropy_forward", "labels[2] is 20", "0..19"});
  a.labels.set({1, -2, 3, 3});
  expect_error(a.run(), bad, {"labels[1] is -2"});
  EXPECT_EQ(a.loss.get()[0], 9);  // nothing was written
  EXPECT_EQ(a.dh.get(), std::vector<double>(4 * 8, 9.0));
  a.labels.set({1, 2, 3, -100});
  GRAFT_EXPECT_OK(a.run());
  const auto run = [&](const graft_tensor* h, const graft_tensor* labels, double normalizer, graft_tensor* loss,
                       graft_tensor* dh) {
    return graft_linear_cross_entropy_forward(c, h, a.w, labels, -100, 0, normalizer, 1, loss, nullptr, dh, nullptr);
  };
  Tensor wide(c, GRAFT_DTYPE_F32, {4, 9}), half(c, GRAFT_DTYPE_BF16, {4, 8}), few(c, GRAFT_DTYPE_I32, {3});
  expect_error(run(nullptr, a.labels, 0, a.loss, a.dh), bad, {"h is NULL"});
  expect_error(run(wide, a.labels, 0, a.loss, a.dh), shape, {"h [4, 9]"});
  expect_error(run(half, a.labels, 0, a.loss, a.dh), bad, {"bf16"});
  expect_error(run(a.h, few, 0, a.loss, a.dh), shape, {"labels [3]"});
  expect_error(run(a.h, a.loss, 0, a.loss, a.dh), bad, {"labels", "i32 or i64"});
  expect_error(run(a.h, a.labels, -1, a.loss, a.dh), bad, {"normalizer is -1"});
  expect_error(run(a.h, a.labels, 0, nullptr, a.dh), bad, {"loss is NULL"});
  expect_error(run(a.h, a.labels, 0, a.loss, a.h), bad, {"dh", "overlaps", "h"});
  expect_error(
      graft_linear_cross_entropy_forward(c, a.h, nullptr, a.labels, -100, 0, 0, 1, a.loss, nullptr, nullptr, nullptr),
      bad, {"w is NULL"});
}

}  // namespace
}  // namespace graft::test
