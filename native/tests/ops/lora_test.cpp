// lora: golden files, both fast paths against the reference, exact integers, finite differences with dropout, the
// statistics of dropout, shapes, threads, packing, merging, bad arguments.
#include <cmath>

#include "golden.h"
#include "gradients.h"
#include "lora_result.h"
#include "tensors.h"

namespace graft::test {
namespace {

struct Case {
  graft_dtype dtype = GRAFT_DTYPE_F32;
  std::int64_t t = 9, k = 20, n = 12, r = 4;
  double dropout = 0;
  bool accumulate = false, integers = false;
  std::uint64_t offset = 0;
  int border = 8;
  std::string text() const {
    return std::string(name(dtype)) + " " + std::to_string(t) + "x" + std::to_string(k) + "->" + std::to_string(n) +
           " r " + std::to_string(r) + " p " + std::to_string(dropout) + (accumulate ? " accumulate" : "");
  }
};

LoraResult run(const Context& c, const Case& s, const char* implementation) {
  const graft_dtype sums = sums_of(s.dtype);
  Tensor x(c, s.dtype, {s.t, s.k}, s.k + s.border), dx(c, s.dtype, {s.t, s.k});
  Tensor dy(c, s.dtype, {s.t, s.n}, s.n + s.border), y(c, s.dtype, {s.t, s.n}), low(c, s.dtype, {s.t, s.r});
  Tensor a(c, sums, {s.r, s.k}), b(c, sums, {s.n, s.r}), da(c, sums, {s.r, s.k}), db(c, sums, {s.n, s.r});
  Tensor bias(c, sums, {s.n}), dbias(c, sums, {s.n});
  const Weight w(c, s.dtype, s.n, s.k, s.border);
  Tensor matrix = w.matrix();
  fill({&x, &matrix, &dy, &a, &b, &bias, &y, &dx, &da, &db, &dbias}, s.integers, 1);
  const double scale = s.integers ? 2 : 0.75;
  GRAFT_EXPECT_OK(graft_context_prefer(c, nullptr));
  GRAFT_EXPECT_OK(graft_lora_pack(c, a, b, scale, w));
  GRAFT_EXPECT_OK(graft_context_prefer(c, implementation));
  GRAFT_EXPECT_OK(graft_lora_forward(c, x, w, a, b, scale, bias, s.dropout, 77, s.offset, s.accumulate, y, low));
  GRAFT_EXPECT_OK(
      graft_lora_backward(c, dy, x, low, w, a, b, scale, s.dropout, 77, s.offset, s.accumulate, dx, da, db, dbias));
  GRAFT_EXPECT_OK(graft_context_prefer(c, nullptr));
  return {y.get(), low.get(), dx.get(), da.get(), db.get(), dbias.get()};
}

// The files name the kept elements of x, so dropout is done by hand: the adapter sees d = x·keep/(1-p) and a zero W.
TEST(Lora, GoldenFiles) {
  for (const std::string& path : golden_files("lora_linear")) {
    auto g = golden(path);
    for (const char* implementation : {"bordered", "accumulating", "reference"}) {
      const Context c(2);
      const graft_dtype f32 = GRAFT_DTYPE_F32;
      const Shape &xs = g.at("x").shape, &ys = g.at("y").shape;
      const std::int64_t t = xs[0], k = xs[1], n = ys[1], r = g.at("a").shape[0], border = r + 3;
      const double scale = g.at("scale").values.at(0);
      Tensor d(c, f32, {t, k}, k + border), dy(c, f32, {t, n}, n + border), y(c, f32, ys), s(c, f32, {t, r});
      Tensor dx(c, f32, xs), da(c, f32, {r, k}), db(c, f32, {n, r}), dbias(c, f32, {n}), bias(c, f32, {n});
      Tensor a = load(c, f32, g.at("a")), b = load(c, f32, g.at("b")), x = load(c, f32, g.at("x"));
      Tensor low_dx(c, f32, xs);
      const Weight w(c, f32, n, k, static_cast<int>(border)), zero(c, f32, n, k, static_cast<int>(border));
      w.matrix().set(g.at("w").values);
      dy.set(g.at("dy").values);
      const bool biased = g.count("bias") > 0, drops = g.count("dropout_keep") > 0;
      if (biased) bias.set(g.at("bias").values);
      std::vector<double> factor(static_cast<std::size_t>(t * k), 1.0), values = g.at("x").values;
      for (std::size_t i = 0; drops && i < factor.size(); ++i)
        factor[i] = g.at("dropout_keep").values[i] / (1 - g.at("dropout_probability").values.at(0));
      for (std::size_t i = 0; i < factor.size(); ++i) values[i] *= factor[i];
      d.set(values);
      GRAFT_ASSERT_OK(graft_lora_pack(c, a, b, scale, w));
      GRAFT_ASSERT_OK(graft_lora_pack(c, a, b, scale, zero));
      if (drops) {
        GRAFT_ASSERT_OK(graft_linear_forward(c, x, w, biased ? static_cast<graft_tensor*>(bias) : nullptr, 0, y));
        GRAFT_ASSERT_OK(graft_linear_backward(c, dy, nullptr, w, 0, dx, nullptr, nullptr));
      }
      GRAFT_ASSERT_OK(graft_context_prefer(c, implementation));
      const graft_weight* used = drops ? zero : w;
      GRAFT_ASSERT_OK(graft_lora_forward(c, d, used, a, b, scale,
                                         biased && !drops ? static_cast<graft_tensor*>(bias) : nullptr, 0, 0, 0, drops,
                                         y, s));
      GRAFT_ASSERT_OK(graft_lora_backward(c, dy, d, s, used, a, b, scale, 0, 0, 0, 0, low_dx, da, db, dbias));
      std::vector<double> all = low_dx.get(), frozen = dx.get();
      for (std::size_t i = 0; drops && i < all.size(); ++i) all[i] = frozen[i] + all[i] * factor[i];
      const std::string what = path + " " + implementation;
      expect_close(y.get(), g.at("y").values, 1e-5, what + " y");
      expect_close(all, g.at("dx").values, 1e-5, what + " dx");
      expect_close(da.get(), g.at("da").values, 1e-5, what + " da");
      expect_close(db.get(), g.at("db").values, 1e-5, what + " db");
      if (biased) expect_close(dbias.get(), g.at("dbias").values, 1e-5, what + " dbias");
    }
  }
}

// Every operand and result is rounded once to the type; sums have so many terms, each below 2 in size.
void expect_agree(const LoraResult& actual, const LoraResult& expected, const Case& s, const std::string& what) {
  const double u = unit_roundoff(s.dtype);
  const auto bound = [&](std::int64_t terms) { return 4 * u + static_cast<double>(terms) * 0x1p-24; };
  const auto size = [](std::int64_t terms) { return std::sqrt(static_cast<double>(terms)); };
  expect_close(actual.y, expected.y, bound(s.k + s.r), what + " y", size(s.k * s.r));
  expect_close(actual.s, expected.s, bound(s.k), what + " s", size(s.k));
  expect_close(actual.dx, expected.dx, bound(s.n + s.r), what + " dx", size(s.n * s.r));
  expect_close(actual.da, expected.da, bound(s.n + s.t), what + " da", size(s.n * s.t));
  expect_close(actual.db, expected.db, bound(s.k + s.t), what + " db", size(s.k * s.t));
  expect_close(actual.dbias, expected.dbias, static_cast<double>(s.t) * 0x1p-24, what + " dbias", size(s.t));
}

TEST(Lora, FastPathsAgreeWithReference) {
  const Context c(2);
  for (graft_dtype dtype : {GRAFT_DTYPE_F32, GRAFT_DTYPE_BF16})
    for (auto [t, k, n, r] : {std::tuple{1, 1, 1, 1},
                              {3, 7, 5, 2},
                              {1, 65, 33, 8},
                              {67, 96, 40, 5},
                              {65, 300, 270, 8},
                              {130, 320, 96, 16},
                              {97, 545, 77, 37}})
      for (double dropout : {0.0, 0.3})
        for (bool accumulate : {false, true})
          for (int border : {r, 40}) {
            // The offset is one at which the case of a single element keeps it.
            const Case s{dtype, t, k, n, r, dropout, accumulate, false, 2, border};
            const LoraResult expected = run(c, s, "reference");
            for (const char* path : {"bordered", "accumulating"})
              expect_agree(run(c, s, path), expected, s, s.text() + " " + path);
          }
}

TEST(Lora, IntegersAreExact) {
  const Context c(2);
  for (graft_dtype dtype : {GRAFT_DTYPE_F32, GRAFT_DTYPE_BF16})
    for (double dropout : {0.0, 0.5})  // kept values are doubled
      for (std::uint64_t offset : {0, 1, 2, 3, 1001})
        for (int variant = 0; variant < 2; ++variant) {
          Case s{dtype, 6, 13, 9, 2, dropout, variant == 1, true, offset};
          if (dtype == GRAFT_DTYPE_F32) s.t = 70, s.k = 271, s.n = 100, s.r = 8;
          const LoraResult expected = run(c, s, "reference");
          expect_equal(run(c, s, "bordered"), expected, s.text() + " bordered");
          expect_equal(run(c, s, "accumulating"), expected, s.text() + " accumulating");
        }
}

TEST(Lora, FiniteDifferences) {
  const Context c(1);
  const graft_dtype f64 = GRAFT_DTYPE_F64;
  for (double dropout : {0.0, 0.4}) {
    Tensor x(c, f64, {5, 7}), dy(c, f64, {5, 6}), y(c, f64, {5, 6}), s(c, f64, {5, 3}), bias(c, f64, {6});
    Tensor a(c, f64, {3, 7}), b(c, f64, {6, 3}), dx(c, f64, {5, 7}), da(c, f64, {3, 7}), db(c, f64, {6, 3});
    Tensor dbias(c, f64, {6});
    const Weight w(c, f64, 6, 7);
    w.matrix().random(1);
    x.random(2), dy.random(3), a.random(4), b.random(5), bias.random(6);
    const auto objective = [&] {
      EXPECT_EQ(graft_lora_forward(c, x, w, a, b, 1.5, bias, dropout, 5, 9, 0, y, s), GRAFT_OK);
      return dot(dy.get(), y.get());
    };
    objective();
    GRAFT_ASSERT_OK(graft_lora_backward(c, dy, x, s, w, a, b, 1.5, dropout, 5, 9, 0, dx, da, db, dbias));
    expect_gradient(x, dx.get(), objective, "dx");
    expect_gradient(a, da.get(), objective, "da");
    expect_gradient(b, db.get(), objective, "db");
    expect_gradient(bias, dbias.get(), objective, "dbias");
  }
}

TEST(Lora, DropoutKeepsTheRightShare) {
  const Context c(2);
  const std::int64_t t = 64, k = 1024;
  for (double p : {1e-6, 0.1, 0.5, 0.9, 0.999999}) {
    Tensor x(c, GRAFT_DTYPE_F32, {t, k}), a(c, GRAFT_DTYPE_F32, {1, k}), b(c, GRAFT_DTYPE_F32, {1, 1});
    Tensor y(c, GRAFT_DTYPE_F32, {t, 1}), s(c, GRAFT_DTYPE_F32, {t, 1});
    const Weight w(c, GRAFT_DTYPE_F32, 1, k);
    x.fill(1), a.fill(1), b.fill(1);
    GRAFT_ASSERT_OK(graft_lora_forward(c, x, w, a, b, 1, nullptr, p, 3, 0, 0, y, s));
    double sum = 0;
    for (double row : s.get()) sum += row * (1 - p);  // kept elements
    const double count = static_cast<double>(t * k), deviation = std::sqrt(count * p * (1 - p));
    EXPECT_NEAR(sum, count * (1 - p), 4 * deviation + 1) << "p " << p;
    if (p < 0.01 || p > 0.99) continue;  // to the nearest 2^-16 these keep all and nothing
    const std::vector<double> first = s.get();
    GRAFT_ASSERT_OK(graft_lora_forward(c, x, w, a, b, 1, nullptr, p, 4, 0, 0, y, s));
    EXPECT_NE(first, s.get()) << "another seed drops other elements";
  }
}

TEST(Lora, DropoutWrapsAtTheEndOfTheStream) {
  const Context c(2);
  for (std::uint64_t back : {8, 12, 300, 1003}) {
    const Case s{kF32, 6, 271, 9, 2, 0.5, false, true, 0 - back};
    expect_equal(run(c, s, "accumulating"), run(c, s, "reference"), s.text());
  }
}

TEST(Lora, SameBitsForAnyNumberOfThreads) {
  for (graft_dtype dtype : {GRAFT_DTYPE_F32, GRAFT_DTYPE_BF16})
    for (double dropout : {0.0, 0.1})
      for (const char* path : {"bordered", "accumulating"})
        for (const Case& s : {Case{dtype, 150, 600, 520, 8, dropout}, Case{dtype, 1100, 40, 80, 3, dropout, true},
                              Case{dtype, 300, 1016, 70, 4, dropout}}) {
          expect_same_bits([&](const Context& c) { return run(c, s, path); }, s.text());
        }
}

TEST(Lora, ChoosesThePathByBorderAndPitch) {
  const Context c;
  const graft_dtype f32 = GRAFT_DTYPE_F32;
  Tensor tight(c, f32, {3, 6}), roomy(c, f32, {3, 6}, 10), y(c, f32, {3, 5}), roomy_y(c, f32, {3, 5}, 9);
  Tensor a(c, f32, {2, 6}), b(c, f32, {5, 2}), dx(c, f32, {3, 6});
  const Weight plain(c, f32, 5, 6), bordered(c, f32, 5, 6, 4);
  GRAFT_EXPECT_OK(graft_lora_forward(c, roomy, bordered, a, b, 1, nullptr, 0, 0, 0, 0, y, nullptr));
  EXPECT_EQ(c.last_dispatch(), "lora_forward:cpu/bordered");
  GRAFT_EXPECT_OK(graft_lora_forward(c, tight, bordered, a, b, 1, nullptr, 0, 0, 0, 0, y, nullptr));
  EXPECT_EQ(c.last_dispatch(), "lora_forward:cpu/accumulating");
  GRAFT_EXPECT_OK(graft_lora_forward(c, roomy, plain, a, b, 1, nullptr, 0, 0, 0, 0, y, nullptr));
  EXPECT_EQ(c.last_dispatch(), "lora_forward:cpu/accumulating");
  GRAFT_EXPECT_OK(
      graft_lora_backward(c, roomy_y, nullptr, nullptr, bordered, a, b, 1, 0, 0, 0, 0, dx, nullptr, nullptr, nullptr));
  EXPECT_EQ(c.last_dispatch(), "lora_backward:cpu/bordered");
  GRAFT_EXPECT_OK(
      graft_lora_backward(c, y, nullptr, nullptr, bordered, a, b, 1, 0, 0, 0, 0, dx, nullptr, nullptr, nullptr));
  EXPECT_EQ(c.last_dispatch(), "lora_backward:cpu/accumulating");
  expect_error((graft_context_prefer(c, "bordered"),
                graft_lora_forward(c, tight, bordered, a, b, 1, nullptr, 0, 0, 0, 0, y, nullptr)),
               GRAFT_UNSUPPORTED, {"bordered", "pitch of 6", "10"});
}

// Where other tensors lie in the columns behind x or dy, nothing may be kept there.
TEST(Lora, SparesTheColumnsBehindThatAreNotFree) {
  const Context c(2);
  for (bool accumulate : {false, true}) {
    const std::int64_t t = 7, k = 20, n = 12, r = 4;
    Tensor both(c, kF32, {t, k + n}), y(c, kF32, {t, n}), dx(c, kF32, {t, k}), a(c, kF32, {r, k}), b(c, kF32, {n, r});
    Tensor x(c, kF32, {t, k}), dy(c, kF32, {t, n});
    const Weight w(c, kF32, n, k, 8);
    w.matrix().random(1);
    fill({&x, &dy, &y, &dx, &a, &b});
    GRAFT_ASSERT_OK(graft_lora_pack(c, a, b, 0.5, w));
    Tensor left = both.view(0, {t, k}, {k + n, 1}), right = both.view(k, {t, n}, {k + n, 1});
    left.set(x.get()), right.set(y.get());
    GRAFT_ASSERT_OK(graft_lora_forward(c, left, w, a, b, 0.5, nullptr, 0, 0, 0, accumulate, right, nullptr));
    EXPECT_EQ(c.last_dispatch(), "lora_forward:cpu/accumulating");
    GRAFT_ASSERT_OK(graft_lora_forward(c, x, w, a, b, 0.5, nullptr, 0, 0, 0, accumulate, y, nullptr));
    EXPECT_EQ(right.get(), y.get()) << accumulate;
    EXPECT_EQ(left.get(), x.get());

    Tensor front = both.view(0, {t, n}, {k + n, 1}), back = both.view(n, {t, k}, {k + n, 1});
    front.set(dy.get()), back.set(dx.get());
    const auto backward = [&](graft_tensor* from, graft_tensor* to) {
      GRAFT_EXPECT_OK(graft_lora_backward(c, from, nullptr, nullptr, w, a, b, 0.5, 0, 0, 0, accumulate, to, nullptr,
                                          nullptr, nullptr));
    };
    backward(front, back);
    EXPECT_EQ(c.last_dispatch(), "lora_backward:cpu/accumulating");
    backward(dy, dx);
    EXPECT_EQ(back.get(), dx.get()) << accumulate;
    EXPECT_EQ(front.get(), dy.get());
  }
}

TEST(Lora, EachOutputMayBeMissing) {
  const Context c(2);
  for (double dropout : {0.0, 0.3})
    for (const char* path : {"bordered", "accumulating", "reference"}) {
      const Case s{GRAFT_DTYPE_F32, 9, 20, 12, 4, dropout};
      Tensor x(c, s.dtype, {9, 20}, 28), dy(c, s.dtype, {9, 12}, 20), low(c, s.dtype, {9, 4}), dx(c, s.dtype, {9, 20});
      Tensor a(c, s.dtype, {4, 20}), b(c, s.dtype, {12, 4}), da(c, s.dtype, {4, 20}), db(c, s.dtype, {12, 4});
      const Weight w(c, s.dtype, 12, 20, 8);
      x.random(1), dy.random(2), low.random(3), a.random(4), b.random(5);
      w.matrix().random(6);
      GRAFT_ASSERT_OK(graft_context_prefer(c, nullptr));
      GRAFT_ASSERT_OK(graft_lora_pack(c, a, b, 0.5, w));
      GRAFT_ASSERT_OK(graft_context_prefer(c, path));
      const auto backward = [&](graft_tensor* to_x, graft_tensor* to_a, graft_tensor* to_b) {
        da.fill(0), db.fill(0), dx.fill(0);
        GRAFT_EXPECT_OK(graft_lora_backward(c, dy, to_a != nullptr ? static_cast<graft_tensor*>(x) : nullptr,
                                            to_b != nullptr ? static_cast<graft_tensor*>(low) : nullptr, w, a, b, 0.5,
                                            dropout, 1, 2, 0, to_x, to_a, to_b, nullptr));
      };
      backward(dx, da, db);
      const std::vector<double> all_x = dx.get(), all_a = da.get(), all_b = db.get();
      backward(dx, nullptr, nullptr);
      EXPECT_EQ(dx.get(), all_x) << path;
      backward(nullptr, da, nullptr);
      EXPECT_EQ(da.get(), all_a) << path;
      backward(nullptr, nullptr, db);
      EXPECT_EQ(db.get(), all_b) << path;
      backward(nullptr, nullptr, nullptr);
    }
}

TEST(Lora, EmptyShapesAndHalf) {
  const Context c;
  EXPECT_TRUE(run(c, {GRAFT_DTYPE_F32, 0, 6, 4, 2}, nullptr).y.empty());
  EXPECT_TRUE(run(c, {GRAFT_DTYPE_BF16, 0, 6, 4, 2, 0.5}, nullptr).dx.empty());
  for (graft_dtype dtype : {GRAFT_DTYPE_F32, GRAFT_DTYPE_BF16})
    for (double dropout : {0.0, 0.5}) {
      const Case rankless{dtype, 4, 6, 5, 0, dropout, false, true};
      expect_equal(run(c, rankless, nullptr), run(c, rankless, "reference"), rankless.text());
    }
  const Case half{GRAFT_DTYPE_F16, 7, 12, 9, 3, 0.2};
  expect_agree(run(c, half, nullptr), run(c, half, "reference"), half, half.text());
}

TEST(Lora, PackFillsTheBorder) {
  const Context fast(2, "fast"), reference(1, "reference");
  for (graft_dtype dtype : {GRAFT_DTYPE_F32, GRAFT_DTYPE_BF16, GRAFT_DTYPE_F64}) {
    std::vector<double> storage[2];
    const Context plain;
    for (int i = 0; i < 2; ++i) {
      const Context& c = i == 1 ? reference : dtype == GRAFT_DTYPE_F64 ? plain : fast;
      Tensor a(c, GRAFT_DTYPE_F32, {3, 300}), b(c, GRAFT_DTYPE_F32, {270, 3});
      a.random(1), b.random(2);
      const Weight w(c, dtype, 270, 300, 5);
      GRAFT_ASSERT_OK(graft_context_prefer(c, nullptr));
      GRAFT_ASSERT_OK(graft_tensor_fill(c, 7, &w->storage));
      GRAFT_ASSERT_OK(graft_context_prefer(c, i == 1 ? "reference" : dtype == GRAFT_DTYPE_F64 ? nullptr : "fast"));
      GRAFT_ASSERT_OK(graft_lora_pack(c, a, b, 1.5, w));
      const Tensor view = [&] {
        graft_tensor* handle = nullptr;
        const std::int64_t shape[] = {275, 305}, stride[] = {w->storage.stride[0], 1};
        EXPECT_EQ(graft_tensor_wrap(c, w->storage.data, dtype, 2, shape, stride, &handle), GRAFT_OK);
        Tensor copy(c, dtype, {275, 305});
        EXPECT_EQ((graft_context_prefer(c, nullptr), graft_tensor_copy(c, handle, copy)), GRAFT_OK);
        graft_tensor_destroy(c, handle);
        return copy;
      }();
      storage[i] = view.get();
    }
    EXPECT_EQ(storage[0], storage[1]);
    EXPECT_EQ(storage[0][0], 7) << "W is left alone";
    EXPECT_EQ(storage[0][303], 0) << "unused border columns are zero";
  }
}

TEST(Lora, Merge) {
  const Context fast(2, "fast"), reference(1, "reference");
  for (graft_dtype dtype : {GRAFT_DTYPE_F32, GRAFT_DTYPE_BF16, GRAFT_DTYPE_F16}) {
    std::vector<double> merged[3];
    for (int i = 0; i < 3; ++i) {
      const Context& c = i == 1 ? reference : fast;
      Tensor a(c, GRAFT_DTYPE_F32, {3, 37}), b(c, GRAFT_DTYPE_F32, {41, 3}), out(c, dtype, {41, 37});
      const Weight w(c, dtype, 41, 37, 4);
      Tensor matrix = w.matrix();
      a.random(1), b.random(2), matrix.random(3);
      GRAFT_ASSERT_OK(graft_lora_merge(c, w, a, b, 0.5, i == 2 ? matrix : out));
      merged[i] = i == 2 ? matrix.get() : out.get();
    }
    expect_close(merged[0], merged[1], 2 * unit_roundoff(dtype), std::string(name(dtype)) + " merged");
    EXPECT_EQ(merged[0], merged[2]) << "in place";
  }
}

TEST(Lora, BadArguments) {
  const Context c;
  const graft_dtype f32 = GRAFT_DTYPE_F32;
  Tensor x(c, f32, {3, 6}), y(c, f32, {3, 5}), a(c, f32, {2, 6}), b(c, f32, {5, 2}), s(c, f32, {3, 2});
  Tensor wrong(c, f32, {5, 3}), dx(c, f32, {3, 6}), bf16(c, GRAFT_DTYPE_BF16, {3, 6}), dbias(c, f32, {4});
  const Weight w(c, f32, 5, 6, 1);
  const graft_tensor* none = nullptr;
  const auto forward = [&](const graft_tensor* x_, const graft_tensor* a_, const graft_tensor* b_, double scale,
                           double dropout) {
    return graft_lora_forward(c, x_, w, a_, b_, scale, nullptr, dropout, 0, 0, 0, y, s);
  };
  expect_error(graft_lora_forward(nullptr, x, w, a, b, 1, nullptr, 0, 0, 0, 0, y, s), GRAFT_INVALID_ARGUMENT,
               {"lora_forward", "context"});
  expect_error(forward(none, a, b, 1, 0), GRAFT_INVALID_ARGUMENT, {"x is NULL"});
  expect_error(forward(x, none, b, 1, 0), GRAFT_INVALID_ARGUMENT, {"a is NULL"});
  expect_error(forward(x, a, wrong, 1, 0), GRAFT_SHAPE_MISMATCH, {"b [5, 3]", "[5, 2]"});
  expect_error(forward(x, a, b, 1, 1), GRAFT_INVALID_ARGUMENT, {"dropout is 1"});
  expect_error(forward(x, a, b, 1, -0.1), GRAFT_INVALID_ARGUMENT, {"dropout"});
  expect_error(forward(x, a, b, INFINITY, 0), GRAFT_INVALID_ARGUMENT, {"scale"});
  expect_error(forward(bf16, a, b, 1, 0), GRAFT_INVALID_ARGUMENT, {"bf16", "one dtype"});
  expect_error(graft_lora_pack(c, a, b, 1, w), GRAFT_SHAPE_MISMATCH, {"rank 2", "border", "1"});
  expect_error(graft_lora_backward(c, y, nullptr, s, w, a, b, 1, 0, 0, 0, 0, dx, a, nullptr, nullptr),
               GRAFT_INVALID_ARGUMENT, {"x is NULL", "da"});
  expect_error(graft_lora_backward(c, y, x, nullptr, w, a, b, 1, 0, 0, 0, 0, dx, nullptr, wrong, nullptr),
               GRAFT_INVALID_ARGUMENT, {"s is NULL", "db"});
  expect_error(graft_lora_backward(c, y, x, s, w, a, b, 1, 0, 0, 0, 0, x, nullptr, nullptr, nullptr),
               GRAFT_INVALID_ARGUMENT, {"dx", "overlaps"});
  expect_error(graft_lora_backward(c, y, x, s, w, a, b, 1, 0, 0, 0, 0, dx, nullptr, wrong, nullptr),
               GRAFT_SHAPE_MISMATCH, {"db"});
  expect_error(graft_lora_backward(c, y, x, s, w, a, b, 1, 0, 0, 0, 0, dx, nullptr, nullptr, dbias),
               GRAFT_SHAPE_MISMATCH, {"dbias [4]"});
  expect_error(graft_lora_merge(c, w, a, b, 1, y), GRAFT_SHAPE_MISMATCH, {"merged"});
}

}  // namespace
}  // namespace graft::test
