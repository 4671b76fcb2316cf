// nf4: golden files byte by byte, fast against reference, and linear and lora over such a weight: golden files, both
// fast paths against the reference, finite differences, threads, edges, what is refused.
#include <cmath>
#include <limits>

#include "golden.h"
#include "gradients.h"
#include "tensors.h"

namespace graft::test {
namespace {

constexpr graft_dtype f32 = GRAFT_DTYPE_F32;

struct Parts {
  std::vector<double> codes, absmax, nested_absmax, nested_offset;
  bool operator==(const Parts&) const = default;
};

Parts parts(const Context& c, const graft_weight* w) {
  Parts p{Weight::values(c, w->storage), Weight::values(c, w->absmax), {}, {}};
  if (w->nested_absmax.rank > 0) p.nested_absmax = Weight::values(c, w->nested_absmax);
  if (w->nested_offset.rank > 0) p.nested_offset = Weight::values(c, w->nested_offset);
  return p;
}

std::vector<double> dequantised(const Context& c, const graft_weight* w, graft_dtype dtype = f32) {
  Tensor matrix(c, dtype, {w->n, w->k});
  EXPECT_EQ(graft_nf4_dequantize(c, w, matrix), GRAFT_OK) << graft_last_error();
  return matrix.get();
}

TEST(Nf4, GoldenFiles) {
  for (const std::string& path : golden_files("nf4")) {
    auto g = golden(path);
    for (const char* prefer : {"fast", "reference"})
      for (bool nested : {false, true}) {
        if (nested && g.count("absmax_codes") == 0) continue;
        const Context c(2, prefer);
        const Shape& shape = g.at("w").shape;
        const Weight w(c, Nf4{nested}, shape[0], shape[1]);
        GRAFT_ASSERT_OK(graft_nf4_quantize(c, load(c, f32, g.at("w")), w));
        const Parts actual = parts(c, w);
        EXPECT_EQ(actual.codes, g.at("packed").values) << path;
        EXPECT_EQ(actual.absmax, g.at(nested ? "absmax_codes" : "absmax").values) << path;
        EXPECT_EQ(dequantised(c, w), g.at(nested ? "dequantised_double" : "dequantised").values) << path;
        if (!nested) continue;
        EXPECT_EQ(actual.nested_absmax, g.at("absmax2").values) << path;
        EXPECT_EQ(actual.nested_offset, g.at("absmax_offset").values) << path;
      }
  }
}

// The files name the kept elements of x, so dropout is done by hand: the adapter sees d = x·keep/(1-p) and a zero W.
TEST(Nf4, QloraGoldenFiles) {
  for (const std::string& path : golden_files("qlora_linear")) {
    auto g = golden(path);
    for (const char* implementation : {"accumulating", "reference"}) {
      const Context c(2);
      const Shape &xs = g.at("x").shape, &ys = g.at("y").shape;
      const std::int64_t t = xs[0], k = xs[1], n = ys[1], r = g.at("a").shape[0];
      const double scale = g.at("scale").values.at(0);
      Tensor x = load(c, f32, g.at("x")), dy = load(c, f32, g.at("dy")), a = load(c, f32, g.at("a"));
      Tensor b = load(c, f32, g.at("b")), d(c, f32, xs), y(c, f32, ys), s(c, f32, {t, r});
      Tensor dx(c, f32, xs), low_dx(c, f32, xs), da(c, f32, {r, k}), db(c, f32, {n, r});
      const Weight w(c, Nf4{true}, n, k), zero(c, Nf4{true}, n, k);
      GRAFT_ASSERT_OK(graft_nf4_quantize(c, load(c, f32, g.at("w")), w));
      EXPECT_EQ(parts(c, w).codes, g.at("packed").values) << path;
      EXPECT_EQ(dequantised(c, w), g.at("dequantised").values) << path;
      const bool drops = g.count("dropout_keep") > 0;
      std::vector<double> factor(static_cast<std::size_t>(t * k), 1.0), values = g.at("x").values;
      for (std::size_t i = 0; drops && i < factor.size(); ++i)
        factor[i] = g.at("dropout_keep").values[i] / (1 - g.at("dropout_probability").values.at(0));
      for (std::size_t i = 0; i < factor.size(); ++i) values[i] *= factor[i];
      d.set(values);
      GRAFT_ASSERT_OK(graft_linear_forward(c, x, w, nullptr, 0, y));
      GRAFT_ASSERT_OK(graft_linear_backward(c, dy, nullptr, w, 0, dx, nullptr, nullptr));
      GRAFT_ASSERT_OK(graft_context_prefer(c, implementation));
      const graft_weight* used = drops ? zero : w;
      GRAFT_ASSERT_OK(graft_lora_forward(c, d, used, a, b, scale, nullptr, 0, 0, 0, drops, y, s));
      GRAFT_ASSERT_OK(graft_lora_backward(c, dy, d, s, used, a, b, scale, 0, 0, 0, 0, low_dx, da, db, nullptr));
      std::vector<double> all = low_dx.get(), frozen = dx.get();
      for (std::size_t i = 0; drops && i < all.size(); ++i) all[i] = frozen[i] + all[i] * factor[i];
      const std::string what = path + " " + implementation;
      expect_close(y.get(), g.at("y").values, 1e-5, what + " y");
      expect_close(all, g.at("dx").values, 1e-5, what + " dx");
      expect_close(da.get(), g.at("da").values, 1e-5, what + " da");
      expect_close(db.get(), g.at("db").values, 1e-5, what + " db");
    }
  }
}

TEST(Nf4, FastAgreesWithReference) {
  const Context fast(2, "fast"), reference(1, "reference");
  for (graft_dtype dtype : {f32, GRAFT_DTYPE_BF16, GRAFT_DTYPE_F16})
    for (auto [n, k] : {std::pair{1, 1}, {3, 5}, {9, 27}, {1, 64}, {7, 96}, {40, 512}, {300, 1000}})
      for (bool nested : {false, true}) {
        Tensor matrix(fast, dtype, {n, k}, k + 3);
        matrix.random(static_cast<std::uint64_t>(n * k), -0.3, 0.2);
        const Weight a(fast, Nf4{nested}, n, k), b(reference, Nf4{nested}, n, k);
        GRAFT_ASSERT_OK(graft_nf4_quantize(fast, matrix, a));
        GRAFT_ASSERT_OK(graft_nf4_quantize(reference, matrix, b));
        EXPECT_EQ(parts(fast, a), parts(reference, b)) << name(dtype) << " " << n << "x" << k;
        const std::vector<double> decoded = dequantised(fast, a, dtype);
        EXPECT_EQ(decoded, dequantised(reference, b, dtype)) << name(dtype) << " " << n << "x" << k;
        // Half of the widest gap between levels, and what the scale lost: at most its code's step.
        expect_close(decoded, matrix.get(), nested ? 0.17 : 0.1525, "the matrix again");
      }
}

// Blocks whose numbers lie on the bounds between codes and beside them, and whose scale has no inverse or is none.
TEST(Nf4, NumbersOnBoundsAndWithoutScale) {
  constexpr float bounds[] = {
      -0.8480963706970215f,  -0.6106328964233398f,   -0.4599952697753906f, -0.33967941999435425f, -0.23460739850997925f,
      -0.13791173696517944f, -0.045525018125772476f, 0.03979014977812767f, 0.120255246758461f,    0.2035212516784668f,
      0.2920137643814087f,   0.3893125355243683f,    0.5016634464263916f,  0.6427869200706482f,   0.8614784479141235f};
  std::vector<double> values(6 * 64 + 3, 0.25);
  for (std::size_t i = 0; i < 15; ++i) {
    values[4 * i] = bounds[i];
    values[4 * i + 1] = std::nextafter(bounds[i], 2.0f);
    values[4 * i + 2] = std::nextafter(bounds[i], -2.0f);
  }
  values[63] = 1;
  for (std::size_t i = 64; i < 128; ++i) values[i] = i % 2 == 0 ? 0x1p-149 : i % 3 == 0 ? -0x1p-149 : 0;
  values[130] = std::numeric_limits<double>::quiet_NaN();
  values[200] = std::numeric_limits<double>::infinity();
  values[260] = -std::numeric_limits<double>::infinity();
  for (std::size_t i = 320; i < 384; ++i) values[i] = std::numeric_limits<double>::quiet_NaN();
  for (std::size_t i = 384; i < values.size(); ++i) values[i] = 0x1p-149;
  const Context fast(2, "fast"), reference(1, "reference");
  Tensor matrix(fast, f32, {1, static_cast<std::int64_t>(values.size())});
  matrix.set(values);
  const Weight a(fast, Nf4{false}, 1, matrix->shape[1]), b(reference, Nf4{false}, 1, matrix->shape[1]);
  GRAFT_ASSERT_OK(graft_nf4_quantize(fast, matrix, a));
  GRAFT_ASSERT_OK(graft_nf4_quantize(reference, matrix, b));
  EXPECT_EQ(parts(fast, a), parts(reference, b));
}

TEST(Nf4, QuantisingTwiceChangesNothing) {
  const Context c;
  Tensor matrix(c, f32, {33, 200}), again(c, f32, {33, 200});
  matrix.random(5);
  const Weight a(c, Nf4{false}, 33, 200), b(c, Nf4{false}, 33, 200);
  GRAFT_ASSERT_OK(graft_nf4_quantize(c, matrix, a));
  GRAFT_ASSERT_OK(graft_nf4_dequantize(c, a, again));
  GRAFT_ASSERT_OK(graft_nf4_quantize(c, again, b));
  EXPECT_EQ(parts(c, a), parts(c, b));
}

struct Case {
  graft_dtype dtype = f32;
  std::int64_t t = 5, k = 64, n = 3;
  bool nested = false, accumulate = false, wide_y = false;
  std::string text() const {
    return std::string(name(dtype)) + " " + std::to_string(t) + "x" + std::to_string(k) + "->" + std::to_string(n) +
           (nested ? " nested" : "") + (accumulate ? " accumulate" : "");
  }
};

struct Result {
  std::vector<double> y, dx, lora_y, s, lora_dx, da, db, dropped_dx;
  bool operator==(const Result&) const = default;
};

// linear and lora over one weight; `prefer` per op, since their paths have names of their own.
Result run(const Context& c, const Case& s, const char* linear, const char* lora) {
  const graft_dtype sums = s.dtype == GRAFT_DTYPE_F64 ? GRAFT_DTYPE_F64 : f32;
  const std::int64_t r = 4;
  Tensor x(c, s.dtype, {s.t, s.k}, s.k + 3), dy(c, s.dtype, {s.t, s.n}, s.n + 5), bias(c, sums, {s.n});
  Tensor y(c, s.wide_y ? f32 : s.dtype, {s.t, s.n}), dx(c, s.dtype, {s.t, s.k}), lora_y(c, s.dtype, {s.t, s.n});
  Tensor low(c, s.dtype, {s.t, r}), lora_dx(c, s.dtype, {s.t, s.k}), dropped_dx(c, s.dtype, {s.t, s.k});
  Tensor a(c, sums, {r, s.k}), b(c, sums, {s.n, r}), da(c, sums, {r, s.k}), db(c, sums, {s.n, r});
  Tensor matrix(c, f32, {s.n, s.k});
  fill({&x, &dy, &bias, &y, &dx, &lora_y, &lora_dx, &dropped_dx, &a, &b, &matrix});
  const Weight w(c, Nf4{s.nested}, s.n, s.k);
  GRAFT_EXPECT_OK(graft_context_prefer(c, nullptr));
  GRAFT_EXPECT_OK(graft_nf4_quantize(c, matrix, w));
  GRAFT_EXPECT_OK(graft_context_prefer(c, linear));
  GRAFT_EXPECT_OK(graft_linear_forward(c, x, w, bias, s.accumulate, y));
  const bool few_rows = linear != nullptr && std::string(linear) == "few_rows";
  GRAFT_EXPECT_OK(graft_context_prefer(c, few_rows ? "fast" : linear));
  GRAFT_EXPECT_OK(graft_linear_backward(c, dy, nullptr, w, s.accumulate, dx, nullptr, nullptr));
  GRAFT_EXPECT_OK(graft_context_prefer(c, lora));
  GRAFT_EXPECT_OK(graft_lora_forward(c, x, w, a, b, 0.5, bias, 0, 0, 0, s.accumulate, lora_y, low));
  GRAFT_EXPECT_OK(graft_lora_backward(c, dy, x, low, w, a, b, 0.5, 0, 0, 0, s.accumulate, lora_dx, da, db, nullptr));
  GRAFT_EXPECT_OK(graft_lora_backward(c, dy, nullptr, nullptr, w, a, b, 0.5, 0.4, 7, 2, s.accumulate, dropped_dx,
                                      nullptr, nullptr, nullptr));
  GRAFT_EXPECT_OK(graft_context_prefer(c, nullptr));
  return {y.get(), dx.get(), lora_y.get(), low.get(), lora_dx.get(), da.get(), db.get(), dropped_dx.get()};
}

TEST(Nf4, ProductsAgreeWithReference) {
  const Context c(2);
  for (graft_dtype dtype : {f32, GRAFT_DTYPE_BF16})
    for (auto [t, k, n] : {std::tuple{1, 64, 1},
                           {1, 256, 67},
                           {2, 64, 66},
                           {2, 192, 66},
                           {2, 1152, 70},
                           {1, 33792, 3},
                           {3, 128, 5},
                           {4, 192, 70},
                           {5, 320, 9},
                           {6, 64, 13},
                           {7, 128, 31},
                           {8, 576, 130},
                           {1, 65, 33},
                           {9, 64, 4},
                           {7, 27, 40},
                           {33, 320, 300},
                           {67, 96, 257}})
      for (int variant = 0; variant < 3; ++variant) {
        const Case s{dtype, t, k, n, variant > 0, variant == 1, variant == 2};
        const bool few = t <= 8 && k % 64 == 0;
        const Result expected = run(c, s, "reference", "reference");
        const Result actual = run(c, s, few ? "few_rows" : "fast", "accumulating");
        // Every operand and result is rounded once to the type; sums have so many terms, each below 2 in size.
        const double u = unit_roundoff(dtype);
        const auto bound = [&](std::int64_t terms) { return 4 * u + static_cast<double>(terms) * 0x1p-24; };
        const auto size = [](std::int64_t terms) { return std::sqrt(static_cast<double>(terms)); };
        const std::string what = s.text();
        expect_close(actual.y, expected.y, s.wide_y && !few ? static_cast<double>(k) * 0x1p-24 : bound(k), what + " y",
                     size(k));
        expect_close(actual.dx, expected.dx, bound(n), what + " dx", size(n));
        expect_close(actual.lora_y, expected.lora_y, bound(k + 4), what + " lora y", size(k));
        expect_close(actual.s, expected.s, bound(k), what + " s", size(k));
        expect_close(actual.lora_dx, expected.lora_dx, bound(n + 4), what + " lora dx", size(n));
        expect_close(actual.dropped_dx, expected.dropped_dx, bound(n + 4), what + " lora dx with dropout", size(n));
        expect_close(actual.da, expected.da, bound(n + t), what + " da", size(n * t));
        expect_close(actual.db, expected.db, bound(k + t), what + " db", size(k * t));
      }
}

// In fp32 every path multiplies the very elements that dequantising yields.
TEST(Nf4, ProductIsThatOfTheDequantisedMatrix) {
  const Context c(2);
  for (std::int64_t t : {1, 8, 40}) {
    const std::int64_t n = 70, k = 192;
    Tensor matrix(c, f32, {n, k}), x(c, f32, {t, k}), y(c, f32, {t, n}), expected(c, f32, {t, n});
    const Weight w(c, Nf4{true}, n, k), dense(c, f32, n, k);
    matrix.random(1), x.random(2);
    GRAFT_ASSERT_OK(graft_nf4_quantize(c, matrix, w));
    dense.matrix().set(dequantised(c, w));
    GRAFT_ASSERT_OK(graft_linear_forward(c, x, w, nullptr, 0, y));
    EXPECT_EQ(c.last_dispatch(), t <= 8 ? "linear_forward:cpu/few_rows" : "linear_forward:cpu/fast");
    GRAFT_ASSERT_OK(graft_linear_forward(c, x, dense, nullptr, 0, expected));
    expect_close(y.get(), expected.get(), std::sqrt(static_cast<double>(k)) * 0x1p-24, "y");
  }
}

TEST(Nf4, FiniteDifferences) {
  const Context c(1);
  const graft_dtype f64 = GRAFT_DTYPE_F64;
  const std::int64_t t = 3, k = 22, n = 6, r = 2;
  Tensor x(c, f64, {t, k}), dy(c, f64, {t, n}), y(c, f64, {t, n}), s(c, f64, {t, r}), a(c, f64, {r, k});
  Tensor b(c, f64, {n, r}), dx(c, f64, {t, k}), da(c, f64, {r, k}), db(c, f64, {n, r}), matrix(c, f64, {n, k});
  x.random(1), dy.random(2), a.random(3), b.random(4), matrix.random(5);
  const Weight w(c, Nf4{true}, n, k);
  GRAFT_ASSERT_OK(graft_nf4_quantize(c, matrix, w));
  const auto frozen = [&] {
    EXPECT_EQ(graft_linear_forward(c, x, w, nullptr, 0, y), GRAFT_OK);
    return dot(dy.get(), y.get());
  };
  GRAFT_ASSERT_OK(graft_linear_backward(c, dy, nullptr, w, 0, dx, nullptr, nullptr));
  expect_gradient(x, dx.get(), frozen, "dx");
  const auto adapted = [&] {
    EXPECT_EQ(graft_lora_forward(c, x, w, a, b, 1.5, nullptr, 0.3, 3, 1, 0, y, s), GRAFT_OK);
    return dot(dy.get(), y.get());
  };
  adapted();
  GRAFT_ASSERT_OK(graft_lora_backward(c, dy, x, s, w, a, b, 1.5, 0.3, 3, 1, 0, dx, da, db, nullptr));
  expect_gradient(x, dx.get(), adapted, "lora dx");
  expect_gradient(a, da.get(), adapted, "da");
  expect_gradient(b, db.get(), adapted, "db");
}

TEST(Nf4, SameBitsForAnyNumberOfThreads) {
  for (graft_dtype dtype : {f32, GRAFT_DTYPE_BF16})
    for (const Case& s :
         {Case{dtype, 1, 1152, 600, true}, Case{dtype, 2, 128, 600, true}, Case{dtype, 3, 128, 600, true},
          Case{dtype, 33, 320, 600, true}, Case{dtype, 1100, 72, 300, true}})
      expect_same_bits([&](const Context& c) { return run(c, s, nullptr, nullptr); }, s.text());
  expect_same_bits([](const Context& c) {
    Tensor matrix(c, f32, {900, 300});  // more scales of scales than one task takes
    matrix.random(3);
    const Weight w(c, Nf4{true}, 900, 300);
    GRAFT_EXPECT_OK(graft_nf4_quantize(c, matrix, w));
    return parts(c, w);
  });
}

TEST(Nf4, ZerosEmptyAndWrapped) {
  for (const char* prefer : {"fast", "reference"}) {
    const Context c(2, prefer);
    Tensor zeros(c, f32, {1, 131});
    const Weight w(c, Nf4{true}, 1, 131), none(c, Nf4{true}, 0, 64);
    GRAFT_ASSERT_OK(graft_nf4_quantize(c, zeros, w));
    EXPECT_EQ(parts(c, w).codes, std::vector<double>(66, 0x77));
    EXPECT_EQ(dequantised(c, w), std::vector<double>(131, 0));
    GRAFT_ASSERT_OK(graft_nf4_quantize(c, Tensor(c, f32, {0, 64}), none));
    EXPECT_EQ(parts(c, none).nested_offset, std::vector<double>{0});
  }
  const Context c;
  const Weight none(c, Nf4{false}, 0, 64), no_k(c, Nf4{false}, 4, 0);
  Tensor x(c, f32, {3, 64}), y(c, f32, {3, 0}), dx(c, f32, {3, 64}), narrow(c, f32, {3, 0}), wide(c, f32, {3, 4});
  GRAFT_EXPECT_OK(graft_linear_forward(c, x, none, nullptr, 0, y));
  dx.fill(1);
  GRAFT_EXPECT_OK(graft_linear_backward(c, y, nullptr, none, 0, dx, nullptr, nullptr));
  EXPECT_EQ(dx.get(), std::vector<double>(3 * 64, 0));
  GRAFT_EXPECT_OK(graft_linear_backward(c, y, nullptr, none, 0, nullptr, nullptr, nullptr));
  wide.fill(1);
  GRAFT_EXPECT_OK(graft_linear_forward(c, narrow, no_k, nullptr, 0, wide));
  EXPECT_EQ(wide.get(), std::vector<double>(12, 0));

  Tensor codes(c, GRAFT_DTYPE_U8, {64}), absmax(c, GRAFT_DTYPE_U8, {2}), nested(c, f32, {1}), offset(c, f32, {1});
  codes.fill(0xf0), absmax.fill(255), nested.fill(0.5), offset.fill(2);
  graft_weight* w = nullptr;
  GRAFT_ASSERT_OK(graft_weight_wrap_nf4(c, 2, 64, codes, absmax, nested, offset, &w));
  const std::vector<double> values = dequantised(c, w);
  EXPECT_EQ(values[0], 2.5);
  EXPECT_EQ(values[1], -2.5);
  GRAFT_EXPECT_OK(graft_weight_destroy(c, w));
}

TEST(Nf4, TakesTheBytesItSays) {
  const Context c;
  {
    const Weight w(c, Nf4{true}, 512, 1024), single(c, Nf4{false}, 512, 1024);
    EXPECT_EQ(w->storage.shape[0], 512 * 1024 / 2);
    EXPECT_EQ(w->absmax.shape[0], 512 * 1024 / 64);
    EXPECT_EQ(w->nested_absmax.shape[0], 512 * 1024 / 64 / 256);
  }
  EXPECT_EQ(c.peak(GRAFT_MEMORY_BASE), 2 * 512 * 1024 / 2 + 8192 * (1 + 4) + 32 * 4 + 64);
}

TEST(Nf4, BadArguments) {
  const Context c;
  Tensor matrix(c, f32, {4, 64}), small(c, f32, {4, 63}), ids(c, GRAFT_DTYPE_I32, {4, 64}), x(c, f32, {9, 64});
  Tensor y(c, f32, {9, 4}), bytes(c, GRAFT_DTYPE_U8, {128}), scales(c, f32, {4}), few(c, f32, {3}), dw(c, f32, {4, 64});
  Tensor a(c, f32, {2, 64}), b(c, f32, {4, 2}), columns(c, f32, {4, 1}), index(c, GRAFT_DTYPE_I32, {1});
  Tensor labels(c, GRAFT_DTYPE_I32, {9}), loss(c, f32, {1}), low(c, f32, {9, 1});
  const Weight w(c, Nf4{false}, 4, 64), dense(c, f32, 4, 64);
  const auto unsupported = [&](graft_status status) { expect_error(status, GRAFT_UNSUPPORTED, {"NF4"}); };
  expect_error(graft_nf4_quantize(c, nullptr, w), GRAFT_INVALID_ARGUMENT, {"matrix is NULL"});
  expect_error(graft_nf4_quantize(c, matrix, nullptr), GRAFT_INVALID_ARGUMENT, {"w is NULL"});
  expect_error(graft_nf4_quantize(c, matrix, dense), GRAFT_INVALID_ARGUMENT, {"w is dense", "NF4"});
  expect_error(graft_nf4_quantize(c, small, w), GRAFT_SHAPE_MISMATCH, {"matrix [4, 63]", "[4, 64]"});
  expect_error(graft_nf4_dequantize(c, w, ids), GRAFT_INVALID_ARGUMENT, {"matrix", "i32"});
  graft_tensor inside = w->absmax;
  inside.rank = 2, inside.shape[0] = 4, inside.shape[1] = 64, inside.stride[0] = 64, inside.stride[1] = 1;
  expect_error(graft_nf4_dequantize(c, w, &inside), GRAFT_INVALID_ARGUMENT, {"overlaps"});
  unsupported(graft_linear_backward(c, y, x, w, 0, nullptr, dw, nullptr));
  unsupported(graft_lora_merge(c, w, a, b, 1, matrix));
  unsupported(graft_lora_pack(c, a, b, 1, w));
  unsupported(graft_paca_forward(c, x, w, index, nullptr, 0, y, low));
  unsupported(graft_paca_read(c, w, index, columns));
  unsupported(graft_linear_cross_entropy_forward(c, x, w, labels, -100, 0, 0, 1, loss, nullptr, nullptr, nullptr));
  expect_error(graft_linear_forward(c, ids, w, nullptr, 0, y), GRAFT_INVALID_ARGUMENT, {"x", "i32"});
  graft_weight* made = nullptr;
  expect_error(graft_weight_create_nf4(c, GRAFT_MEMORY_BASE, -1, 64, 0, &made), GRAFT_INVALID_ARGUMENT, {"n is -1"});
  expect_error(graft_weight_create_nf4(c, GRAFT_MEMORY_BASE, 4, 64, 0, nullptr), GRAFT_INVALID_ARGUMENT, {"weight"});
  expect_error(graft_weight_wrap_nf4(c, 4, 64, bytes, few, nullptr, nullptr, &made), GRAFT_SHAPE_MISMATCH, {"absmax"});
  expect_error(graft_weight_wrap_nf4(c, 4, 64, bytes, scales, few, nullptr, &made), GRAFT_INVALID_ARGUMENT, {"u8"});
  expect_error(graft_weight_wrap_nf4(c, 4, 64, scales, scales, nullptr, nullptr, &made), GRAFT_INVALID_ARGUMENT,
               {"codes", "u8"});
  Tensor absmax_codes(c, GRAFT_DTYPE_U8, {4});
  expect_error(graft_weight_wrap_nf4(c, 4, 64, bytes, absmax_codes, nullptr, nullptr, &made), GRAFT_INVALID_ARGUMENT,
               {"nested_absmax is NULL"});
}

}  // namespace
}  // namespace graft::test
