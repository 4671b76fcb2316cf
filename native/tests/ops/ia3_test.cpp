// ia3: golden files, scales of one are the frozen layer, the same layer after a merge, fast against reference, finite
// differences, scales of zero, threads, NULL and empty, bad arguments.
#include <algorithm>
#include <cmath>

#include "golden.h"
#include "gradients.h"
#include "tensors.h"

namespace graft::test {
namespace {

enum Side { kIn = 1, kOut = 2, kBoth = 3 };

struct Case {
  graft_dtype dtype = kF32;
  std::int64_t t = 5, k = 9, n = 7;
  int sides = kBoth;
  bool accumulate = false, integers = false;
  int pad = 0;
  std::string text() const {
    return std::string(name(dtype)) + " " + std::to_string(t) + "x" + std::to_string(k) + "->" + std::to_string(n) +
           (sides & kIn ? " in" : "") + (sides & kOut ? " out" : "") + (accumulate ? " accumulate" : "");
  }
};

struct Layer {
  Layer(const Context& c, const Case& s)
      : context(c),
        x(c, s.dtype, {s.t, s.k}, s.pad == 0 ? 0 : s.k + s.pad),
        dy(c, s.dtype, {s.t, s.n}, s.pad == 0 ? 0 : s.n + s.pad),
        y(c, s.dtype, {s.t, s.n}, s.pad == 0 ? 0 : s.n + s.pad),
        z(c, s.dtype, {s.t, s.n}),
        dx(c, s.dtype, {s.t, s.k}),
        l_in(c, sums_of(s.dtype), {s.k}),
        l_out(c, sums_of(s.dtype), {s.n}),
        bias(c, sums_of(s.dtype), {s.n}),
        dl_in(c, sums_of(s.dtype), {s.k}),
        dl_out(c, sums_of(s.dtype), {s.n}),
        dbias(c, sums_of(s.dtype), {s.n}),
        w(c, s.dtype, s.n, s.k, s.pad),
        matrix(w.matrix()),
        in(s.sides & kIn),
        out(s.sides & kOut),
        accumulate(s.accumulate) {
    fill({&x, &dy, &y, &dx, &l_in, &l_out, &bias, &dl_in, &dl_out, &dbias, &matrix}, s.integers);
  }
  const graft_tensor* scales_in() const { return in ? static_cast<graft_tensor*>(l_in) : nullptr; }
  const graft_tensor* scales_out() const { return out ? static_cast<graft_tensor*>(l_out) : nullptr; }
  void forward(bool keep = true) {
    GRAFT_EXPECT_OK(graft_ia3_forward(context, x, w, scales_in(), scales_out(), bias, accumulate, y,
                                      keep ? static_cast<graft_tensor*>(z) : nullptr));
  }
  void backward() {
    GRAFT_EXPECT_OK(graft_ia3_backward(context, dy, x, z, w, scales_in(), scales_out(), accumulate, dx,
                                       in ? static_cast<graft_tensor*>(dl_in) : nullptr,
                                       out ? static_cast<graft_tensor*>(dl_out) : nullptr, dbias));
  }

  const Context& context;
  Tensor x, dy, y, z, dx, l_in, l_out, bias, dl_in, dl_out, dbias;
  const Weight w;
  Tensor matrix;
  bool in, out, accumulate;
};

TEST(Ia3, GoldenFiles) {
  for (const std::string& path : golden_files("ia3_linear")) {
    auto g = golden(path);
    const bool output = path.find("output") != std::string::npos;
    for (const char* prefer : {"fast", "reference"}) {
      const Context c(2, prefer);
      const Shape &xs = g.at("x").shape, &ys = g.at("y").shape;
      Tensor x = load(c, kF32, g.at("x")), dy = load(c, kF32, g.at("dy")), l = load(c, kF32, g.at("l"));
      Tensor y(c, kF32, ys), z(c, kF32, ys), dx(c, kF32, xs), dl(c, kF32, g.at("l").shape), bias(c, kF32, {ys[1]}),
          dbias(c, kF32, {ys[1]});
      const bool biased = g.count("bias") > 0;
      if (biased) bias.set(g.at("bias").values);
      const Weight w(c, kF32, ys[1], xs[1]);
      w.matrix().set(g.at("w").values);
      graft_tensor *scales = l, *in = output ? nullptr : scales, *out = output ? scales : nullptr;
      GRAFT_ASSERT_OK(graft_ia3_forward(c, x, w, in, out, biased ? static_cast<graft_tensor*>(bias) : nullptr, 0, y,
                                        output ? static_cast<graft_tensor*>(z) : nullptr));
      GRAFT_ASSERT_OK(graft_ia3_backward(c, dy, x, z, w, in, out, 0, dx,
                                         output ? nullptr : static_cast<graft_tensor*>(dl),
                                         output ? static_cast<graft_tensor*>(dl) : nullptr, dbias));
      EXPECT_EQ(c.last_dispatch(), std::string("ia3_backward:cpu/") + prefer);
      expect_close(y.get(), g.at("y").values, 1e-5, path + " y");
      expect_close(dx.get(), g.at("dx").values, 1e-5, path + " dx");
      expect_close(dl.get(), g.at("dl").values, 1e-5, path + " dl");
      if (biased) expect_close(dbias.get(), g.at("dbias").values, 1e-5, path + " dbias");
    }
  }
}

TEST(Ia3, ScalesOfOneAreTheFrozenLayerBitByBit) {
  for (graft_dtype dtype : {kF32, kBf16, GRAFT_DTYPE_F16})
    for (int sides : {kIn, kOut, kBoth}) {
      const Context c;
      const Case s{dtype, 70, 96, 300, sides};
      Layer layer(c, s);
      layer.l_in.fill(1), layer.l_out.fill(1);
      layer.forward();
      Tensor y(c, dtype, {s.t, s.n}), dx(c, dtype, {s.t, s.k});
      GRAFT_ASSERT_OK(graft_linear_forward(c, layer.x, layer.w, layer.bias, 0, y));
      EXPECT_EQ(layer.y.get(), y.get()) << s.text();
      EXPECT_EQ(layer.z.get(), y.get()) << s.text();
      layer.backward();
      GRAFT_ASSERT_OK(graft_linear_backward(c, layer.dy, nullptr, layer.w, 0, dx, nullptr, nullptr));
      EXPECT_EQ(layer.dx.get(), dx.get()) << s.text();
    }
}

TEST(Ia3, KeepingChangesNoBits) {
  for (bool accumulate : {false, true}) {
    const Context c;
    const Case s{kBf16, 40, 64, 300, kBoth, accumulate};
    Layer kept(c, s), inference(c, s);
    kept.forward(true);
    inference.forward(false);
    EXPECT_EQ(kept.y.get(), inference.y.get()) << s.text();
  }
}

TEST(Ia3, MergedIsTheSameLayer) {
  for (const char* prefer : {"fast", "reference"})
    for (int sides : {kIn, kOut, kBoth}) {
      const Context c(2, prefer);
      const Case s{kF32, 20, 30, 70, sides, false, false, 16};
      Layer layer(c, s);
      layer.forward();
      const std::vector<double> expected = layer.y.get();
      const Weight bias(c, kF32, s.n, 1);
      bias.matrix().set(layer.bias.get());
      Tensor w = layer.w.matrix(), bias_column = bias.matrix(), merged_bias(c, kF32, {s.n});
      GRAFT_ASSERT_OK(graft_ia3_merge(c, layer.w, layer.scales_in(), layer.scales_out(), w));
      GRAFT_ASSERT_OK(graft_ia3_merge(c, bias, nullptr, layer.scales_out(), bias_column));
      merged_bias.set(bias_column.get());
      GRAFT_ASSERT_OK(graft_linear_forward(c, layer.x, layer.w, merged_bias, 0, layer.y));
      expect_close(layer.y.get(), expected, 1e-6, s.text(), 8);
    }
}

std::vector<std::vector<double>> all_of(const Context& c, const Case& s) {
  Layer layer(c, s);
  layer.forward();
  layer.backward();
  Tensor merged(c, s.dtype, {s.n, s.k});
  GRAFT_EXPECT_OK(graft_ia3_merge(c, layer.w, layer.scales_in(), layer.scales_out(), merged));
  return {layer.y.get(),      layer.z.get(),     layer.dx.get(), layer.dl_in.get(),
          layer.dl_out.get(), layer.dbias.get(), merged.get()};
}

// In bf16 the scaled operands and the products are stored once before they are used; three roundings and their effect
// on a sum of n terms of size 1/4 each are what a plain program of the same precision has.
TEST(Ia3, FastAgreesWithReference) {
  const Context fast(2, "fast"), reference(2, "reference");
  for (graft_dtype dtype : {kF32, kBf16})
    for (auto [t, k, n] : {std::tuple{1, 1, 1}, {2, 3, 5}, {33, 48, 40}, {70, 96, 257}, {129, 300, 64}})
      for (int sides : {kIn, kOut, kBoth})
        for (bool accumulate : {false, true}) {
          const Case s{dtype, t, k, n, sides, accumulate, false, accumulate ? 16 : 0};
          const auto a = all_of(fast, s), b = all_of(reference, s);
          const double grain = 3 * unit_roundoff(dtype);
          const double terms[] = {double(k), double(k), double(n), double(n) + t, double(t), double(t), 1};
          const char* names[] = {"y", "z", "dx", "dl_in", "dl_out", "dbias", "merged"};
          for (int i = 0; i < 7; ++i)
            expect_close(a[i], b[i], grain + terms[i] * 0x1p-23, s.text() + " " + names[i],
                         std::max(1.0, std::sqrt(terms[i])));
        }
}

TEST(Ia3, IntegersAreExact) {
  const Context fast(2, "fast"), reference(1, "reference");
  for (int sides : {kIn, kOut, kBoth}) {
    const Case s{kF32, 37, 31, 43, sides, true, true};
    EXPECT_EQ(all_of(fast, s), all_of(reference, s)) << s.text();
  }
}

TEST(Ia3, FiniteDifferences) {
  const Context c(1);
  Layer layer(c, {kF64, 4, 6, 5, kBoth});
  for (Tensor* gradient : {&layer.dl_in, &layer.dl_out, &layer.dbias}) gradient->fill(0);
  const auto objective = [&] {
    layer.forward();
    return dot(layer.dy.get(), layer.y.get());
  };
  objective();
  layer.backward();
  expect_gradient(layer.x, layer.dx.get(), objective, "dx");
  expect_gradient(layer.l_in, layer.dl_in.get(), objective, "dl_in");
  expect_gradient(layer.l_out, layer.dl_out.get(), objective, "dl_out");
  expect_gradient(layer.bias, layer.dbias.get(), objective, "dbias");
}

TEST(Ia3, AScaleOfZeroStillHasItsGradient) {
  for (const char* prefer : {"fast", "reference"}) {
    const Context c(2, prefer);
    Layer layer(c, {kF32, 12, 20, 18, kBoth});
    const Case s{kF32, 12, 20, 18, kIn};
    Layer frozen(c, s);
    frozen.l_in.set(layer.l_in.get());
    layer.l_out.fill(0), layer.dl_out.fill(0);
    layer.forward();
    layer.backward();
    frozen.forward();  // its y is z
    const std::vector<double> dy = layer.dy.get(), z = frozen.y.get();
    std::vector<double> expected(18);
    for (std::size_t i = 0; i < z.size(); ++i) expected[i % 18] += dy[i] * z[i];
    expect_close(layer.dl_out.get(), expected, 1e-5, "dl_out");
    EXPECT_EQ(layer.y.get(), std::vector<double>(12 * 18));
  }
}

TEST(Ia3, SameBitsForAnyNumberOfThreads) {
  for (graft_dtype dtype : {kF32, kBf16}) {
    const Case s{dtype, 150, 600, 520, kBoth, true};
    expect_same_bits([&](const Context& c) { return all_of(c, s); }, s.text());
  }
}

TEST(Ia3, EmptyAndNull) {
  for (const char* prefer : {"fast", "reference"}) {
    const Context c(2, prefer);
    EXPECT_TRUE(all_of(c, {kF32, 0, 6, 4})[0].empty());
    EXPECT_TRUE(all_of(c, {kBf16, 3, 6, 0})[1].empty());
    Layer layer(c, {});
    const std::vector<double> dl_in = layer.dl_in.get();
    layer.forward(false);
    GRAFT_EXPECT_OK(graft_ia3_backward(c, layer.dy, nullptr, nullptr, layer.w, layer.l_in, layer.l_out, 0, layer.dx,
                                       nullptr, nullptr, nullptr));
    const std::vector<double> dx = layer.dx.get();
    layer.backward();
    EXPECT_EQ(layer.dx.get(), dx);
    const std::vector<double> whole = layer.dl_in.get();
    layer.dl_in.set(dl_in);
    GRAFT_EXPECT_OK(graft_ia3_backward(c, layer.dy, layer.x, nullptr, layer.w, layer.l_in, layer.l_out, 0, nullptr,
                                       layer.dl_in, nullptr, nullptr));
    EXPECT_EQ(layer.dl_in.get(), whole);
    GRAFT_EXPECT_OK(graft_ia3_backward(c, layer.dy, nullptr, nullptr, layer.w, nullptr, nullptr, 0, nullptr, nullptr,
                                       nullptr, nullptr));
  }
}

TEST(Ia3, BadArguments) {
  const Context c;
  Layer layer(c, {});  // 5 x 9 -> 7
  Tensor ids(c, GRAFT_DTYPE_I32, {9}), half(c, kBf16, {9});
  const auto forward = [&](const graft_tensor* in, const graft_tensor* out, graft_tensor* z) {
    return graft_ia3_forward(c, layer.x, layer.w, in, out, nullptr, 0, layer.y, z);
  };
  const auto backward = [&](const graft_tensor* x, const graft_tensor* z, const graft_tensor* in,
                            const graft_tensor* out, graft_tensor* dl_in, graft_tensor* dl_out) {
    return graft_ia3_backward(c, layer.dy, x, z, layer.w, in, out, 0, nullptr, dl_in, dl_out, nullptr);
  };
  expect_error(forward(layer.l_out, nullptr, nullptr), GRAFT_SHAPE_MISMATCH, {"ia3_forward", "l_in [7]", "[9]"});
  expect_error(forward(nullptr, layer.l_in, nullptr), GRAFT_SHAPE_MISMATCH, {"l_out [9]", "[7]"});
  expect_error(forward(ids, nullptr, nullptr), GRAFT_INVALID_ARGUMENT, {"l_in", "i32"});
  expect_error(forward(nullptr, nullptr, layer.dx), GRAFT_SHAPE_MISMATCH, {"z [5, 9]"});
  expect_error(forward(nullptr, nullptr, layer.y), GRAFT_INVALID_ARGUMENT, {"z", "y"});
  expect_error(backward(nullptr, nullptr, layer.l_in, nullptr, layer.dl_in, nullptr), GRAFT_INVALID_ARGUMENT,
               {"x is NULL", "dl_in"});
  expect_error(backward(nullptr, nullptr, nullptr, layer.l_out, nullptr, layer.dl_out), GRAFT_INVALID_ARGUMENT,
               {"z is NULL", "dl_out"});
  expect_error(backward(layer.x, nullptr, nullptr, nullptr, layer.dl_in, nullptr), GRAFT_INVALID_ARGUMENT,
               {"l_in is NULL", "dl_in"});
  expect_error(backward(layer.x, nullptr, layer.l_in, nullptr, half, nullptr), GRAFT_INVALID_ARGUMENT,
               {"dl_in", "bf16"});
  expect_error(backward(layer.x, nullptr, layer.l_in, nullptr, layer.l_in, nullptr), GRAFT_INVALID_ARGUMENT,
               {"dl_in", "l_in"});
  expect_error(graft_ia3_merge(c, layer.w, layer.l_in, nullptr, layer.y), GRAFT_SHAPE_MISMATCH, {"merged [5, 7]"});
}

}  // namespace
}  // namespace graft::test
