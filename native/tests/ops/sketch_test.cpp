// sketch: golden files, codes in and out of their packed layout, decoding, linear and lora over such a weight, and the
// gradient of its tables: fast against reference, finite differences, threads, the scratch it takes, edges, refusals.
#include <algorithm>
#include <bit>
#include <cmath>

#include "golden.h"
#include "gradients.h"
#include "tensors.h"

namespace graft::test {
namespace {

constexpr graft_dtype f32 = GRAFT_DTYPE_F32, bf16 = GRAFT_DTYPE_BF16, f64 = GRAFT_DTYPE_F64, u8 = GRAFT_DTYPE_U8;

std::vector<double> packed_bytes(const Context& c, const graft_weight* w) {
  graft_tensor flat = w->storage;
  for (int i = 1; i < flat.rank; ++i) flat.shape[0] *= flat.shape[i];
  return Weight::values(c, flat);
}

std::vector<double> unpacked(const Context& c, const graft_weight* w, const Shape& shape) {
  Tensor codes(c, u8, shape);
  EXPECT_EQ(graft_sketch_unpack(c, w, codes), GRAFT_OK) << graft_last_error();
  return codes.get();
}

std::vector<double> decoded(const Context& c, const graft_weight* w, graft_dtype dtype = f32) {
  Tensor matrix(c, dtype, {w->n, w->k}, w->k + 3);
  EXPECT_EQ(graft_sketch_decode(c, w, matrix), GRAFT_OK) << graft_last_error();
  return matrix.get();
}

struct Case {
  graft_dtype dtype = f32;
  std::int64_t t = 5, n = 3, groups = 2, columns = 64;
  int bits = 4;
  graft_dtype table_dtype = f32;
  bool accumulate = false;
  std::int64_t k() const { return groups * columns; }
  int entries() const { return 1 << bits; }
  std::string text() const {
    return std::string(name(dtype)) + " " + std::to_string(t) + "x" + std::to_string(groups) + "·" +
           std::to_string(columns) + "->" + std::to_string(n) + " of " + std::to_string(bits) + " bits, table " +
           name(table_dtype) + (accumulate ? ", accumulate" : "");
  }
};

struct Layer {
  Layer(const Context& context, const Case& s)
      : c(context),
        table(c, s.table_dtype, {s.n, s.groups, s.entries()}),
        codes(c, u8, {s.n, s.k()}),
        x(c, s.dtype, {s.t, s.k()}, s.k() + 3),
        dy(c, s.dtype, {s.t, s.n}, s.n + 5),
        w(c, table, s.k()) {
    table.random(1), codes.integers(2, 0, s.entries() - 1), x.random(3), dy.random(4);
    GRAFT_EXPECT_OK(graft_sketch_pack(c, codes, w));
  }
  const Context& c;
  Tensor table, codes, x, dy;
  const Weight w;
};

struct Result {
  std::vector<double> y, dx, dtable;
  bool operator==(const Result&) const = default;
};

Result run(const Context& c, const Case& s, const char* forward = nullptr, const char* others = nullptr) {
  GRAFT_EXPECT_OK(graft_context_prefer(c, nullptr));
  const Layer l(c, s);
  const graft_dtype sums = s.dtype == f64 ? f64 : f32;
  Tensor y(c, s.dtype, {s.t, s.n}), dx(c, s.dtype, {s.t, s.k()}), bias(c, sums, {s.n});
  Tensor dtable(c, sums, {s.n, s.groups, s.entries()});
  y.random(5), dx.random(6), bias.random(7), dtable.random(8);
  GRAFT_EXPECT_OK(graft_context_prefer(c, forward));
  GRAFT_EXPECT_OK(graft_linear_forward(c, l.x, l.w, bias, s.accumulate, y));
  GRAFT_EXPECT_OK(graft_context_prefer(c, others));
  GRAFT_EXPECT_OK(graft_linear_backward(c, l.dy, nullptr, l.w, s.accumulate, dx, nullptr, nullptr));
  GRAFT_EXPECT_OK(graft_sketch_table_gradient(c, l.dy, l.x, l.w, dtable));
  GRAFT_EXPECT_OK(graft_context_prefer(c, nullptr));
  return {y.get(), dx.get(), dtable.get()};
}

TEST(Sketch, GoldenFiles) {
  for (const std::string& path : golden_files("sketch_linear")) {
    auto g = golden(path);
    for (const char* prefer : {"fast", "reference"}) {
      const Context c(2);
      const Shape &xs = g.at("x").shape, &ys = g.at("y").shape, &nibbles = g.at("packed").shape;
      Tensor table = load(c, f32, g.at("table")), x = load(c, f32, g.at("x")), dy = load(c, f32, g.at("dy"));
      Tensor y(c, f32, ys), dx(c, f32, xs), dtable(c, f32, g.at("table").shape);
      const Weight w(c, table, xs[1]), other(c, table, xs[1]);
      GRAFT_ASSERT_OK(graft_sketch_pack(c, load(c, u8, g.at("codes")), w));
      GRAFT_ASSERT_OK(graft_sketch_pack(c, load(c, u8, g.at("packed")), other));
      EXPECT_EQ(packed_bytes(c, w), packed_bytes(c, other)) << path;
      EXPECT_EQ(unpacked(c, w, g.at("codes").shape), g.at("codes").values) << path;
      EXPECT_EQ(unpacked(c, w, nibbles), g.at("packed").values) << path;
      for (const std::string forward : {"few_rows", prefer}) {
        if (forward == "few_rows" && xs[0] > 8) continue;
        GRAFT_ASSERT_OK(graft_context_prefer(c, forward.c_str()));
        GRAFT_ASSERT_OK(graft_linear_forward(c, x, w, nullptr, 0, y));
        expect_close(y.get(), g.at("y").values, 1e-5, path + " y by " + forward);
      }
      EXPECT_EQ(decoded(c, w), g.at("decoded").values) << path;
      GRAFT_ASSERT_OK(graft_linear_backward(c, dy, nullptr, w, 0, dx, nullptr, nullptr));
      GRAFT_ASSERT_OK(graft_sketch_table_gradient(c, dy, x, w, dtable));
      expect_close(dx.get(), g.at("dx").values, 1e-5, path + " dx by " + prefer);
      expect_close(dtable.get(), g.at("dtable").values, 1e-5, path + " dtable by " + prefer);
    }
  }
}

TEST(Sketch, PackedCodesAndTheirBytes) {
  const Context c;
  for (int bits : {4, 3, 2})
    for (std::int64_t columns : {1, 2, 63, 64, 66, 200}) {
      const Layer l(c, {.groups = 3, .columns = columns, .bits = bits});
      EXPECT_EQ(l.w->storage.shape[2], (columns + 63) / 64);
      EXPECT_EQ(l.w->storage.shape[3], 8 * bits);
      EXPECT_EQ(unpacked(c, l.w, {3, 3 * columns}), l.codes.get()) << bits << " bits, " << columns << " columns";
    }
  // The layout of graft/weight.h by hand: column 33 has code 5, column 63 the highest.
  for (int bits : {4, 3, 2}) {
    const int high = (1 << bits) - 1, five = 5 & high;
    Tensor table(c, f32, {1, 1, 1 << bits}), codes(c, u8, {1, 64});
    std::vector<double> values(64, 0), expected(static_cast<std::size_t>(8 * bits), 0);
    values[33] = five, values[63] = high;
    if (bits == 4) {
      expected[1] = 5 << 4, expected[31] = 15 << 4;
    } else {
      expected[1] = (five & 3) << 4, expected[15] = 3 << 6;
      if (bits == 3) expected[16 + 4] = 2, expected[16 + 7] = 128;
    }
    const Weight w(c, table, 64);
    GRAFT_ASSERT_OK(graft_sketch_pack(c, codes.set(values), w));
    EXPECT_EQ(packed_bytes(c, w), expected) << bits << " bits";
  }
}

TEST(Sketch, DecodesAsReference) {
  for (graft_dtype dtype : {f32, bf16, GRAFT_DTYPE_F16})
    for (graft_dtype table : {f32, bf16, f64})
      for (int bits : {4, 3, 2})
        for (auto [n, groups, columns] : {std::tuple{1, 1, 1}, {40, 3, 5}, {7, 2, 64}, {33, 5, 200}}) {
          const Context c(2);
          const Case s{dtype, 1, n, groups, columns, bits, table};
          const Layer l(c, s);
          GRAFT_ASSERT_OK(graft_context_prefer(c, "fast"));
          const std::vector<double> fast = decoded(c, l.w, dtype);
          GRAFT_ASSERT_OK(graft_context_prefer(c, "reference"));
          EXPECT_EQ(fast, decoded(c, l.w, dtype)) << s.text();
        }
}

double largest_error(const std::vector<double>& actual, const std::vector<double>& exact) {
  double largest = 0;
  for (std::size_t i = 0; i < exact.size(); ++i) largest = std::max(largest, std::fabs(actual[i] - exact[i]));
  return largest;
}

TEST(Sketch, AgreesWithReference) {
  const Context c(2);
  for (graft_dtype dtype : {f32, bf16})
    for (auto [t, n, groups, columns, bits] : {std::tuple{1, 1, 1, 1, 4},
                                               {1, 67, 4, 64, 4},
                                               {2, 67, 3, 130, 4},
                                               {2, 66, 2, 96, 3},
                                               {3, 5, 1, 130, 2},
                                               {4, 70, 3, 64, 4},
                                               {6, 13, 1, 63, 3},
                                               {8, 130, 2, 320, 2},
                                               {9, 4, 5, 27, 4},
                                               {33, 300, 1, 1300, 4},
                                               {20, 140, 7, 200, 3},
                                               {67, 257, 3, 36, 2}})
      for (bool accumulate : {false, true}) {
        const Case s{dtype, t, n, groups, columns, bits, accumulate ? dtype : f32, accumulate};
        const Result expected = run(c, s, "reference", "reference"), actual = run(c, s, "fast", "fast");
        const double u = unit_roundoff(dtype);
        const auto bound = [&](std::int64_t terms) { return 4 * u + static_cast<double>(terms) * 0x1p-24; };
        const auto size = [](std::int64_t terms) { return std::sqrt(static_cast<double>(terms)); };
        expect_close(actual.y, expected.y, bound(s.k()), s.text() + " y", size(s.k()));
        expect_close(actual.dx, expected.dx, bound(n), s.text() + " dx", size(n));
        if (t <= 8) expect_close(run(c, s, "few_rows", "fast").y, expected.y, bound(s.k()), s.text(), size(s.k()));
        // The table's gradient is fp32 whatever the type: at most twice as far from the truth as plain fp32 loops.
        Case exact = s;
        exact.dtype = f64;
        const Context narrow(1), wide(1);
        Layer from(narrow, s), to(wide, exact);
        to.x.set(from.x.get()), to.dy.set(from.dy.get());
        Tensor truth(wide, f64, {n, groups, s.entries()}), start(narrow, f32, {n, groups, s.entries()});
        truth.set(start.random(8).get());
        GRAFT_ASSERT_OK(graft_sketch_table_gradient(wide, to.dy, to.x, to.w, truth));
        const double naive = largest_error(expected.dtable, truth.get());
        EXPECT_LE(largest_error(actual.dtable, truth.get()), 2 * naive + 0x1p-22) << s.text();
        EXPECT_LT(naive, 1e-4) << s.text();
      }
}

// Also one whose bits would overflow where they are rounded to bf16.
TEST(Sketch, NaNStaysNaN) {
  const Context c(2);
  for (graft_dtype dtype : {f32, bf16})
    for (std::int64_t t : {1, 2, 3}) {
      const Case s{.dtype = dtype, .t = t};
      Layer l(c, s);
      l.table.fill(std::bit_cast<double>(0x7fffffffffffffffu));
      Tensor y(c, dtype, {t, s.n});
      GRAFT_ASSERT_OK(graft_linear_forward(c, l.x, l.w, nullptr, 0, y));
      EXPECT_EQ(c.last_dispatch(), "linear_forward:cpu/few_rows");
      for (double value : y.get()) EXPECT_TRUE(std::isnan(value)) << s.text();
    }
}

// A group is filled up with code 0 to a whole block; no column has it here.
TEST(Sketch, AnEntryThatNoColumnHasDoesNotCount) {
  const Context c(2);
  for (graft_dtype dtype : {f32, bf16})
    for (int bits : {2, 3, 4})
      for (std::int64_t columns : {5, 37, 70})
        for (std::int64_t t : {1, 2, 8}) {
          const Case s{.dtype = dtype, .t = t, .n = 21, .columns = columns, .bits = bits};
          Layer l(c, s);
          l.codes.integers(2, 1, s.entries() - 1);
          GRAFT_ASSERT_OK(graft_sketch_pack(c, l.codes, l.w));
          Tensor finite(c, dtype, {t, s.n}), y(c, dtype, {t, s.n});
          const auto forward = [&](Tensor& to) {
            GRAFT_EXPECT_OK(graft_context_prefer(c, "few_rows"));
            GRAFT_EXPECT_OK(graft_linear_forward(c, l.x, l.w, nullptr, 0, to));
            GRAFT_EXPECT_OK(graft_context_prefer(c, nullptr));
          };
          forward(finite);
          std::vector<double> table = l.table.get();
          for (std::size_t i = 0; i < table.size(); i += static_cast<std::size_t>(s.entries())) table[i] = INFINITY;
          l.table.set(table);
          forward(y);
          for (double value : y.get()) ASSERT_TRUE(std::isfinite(value)) << s.text();
          expect_close(y.get(), finite.get(), 2 * unit_roundoff(dtype) + 0x1p-15, s.text());
        }
}

// In fp32 every path multiplies the very elements that decoding yields.
TEST(Sketch, ProductsAreThoseOfTheDecodedMatrix) {
  const Context c(2);
  for (std::int64_t t : {1, 8, 40}) {
    const Case s{.t = t, .n = 70, .groups = 3, .columns = 96, .bits = 3};
    Layer l(c, s);
    const Weight dense(c, f32, s.n, s.k());
    dense.matrix().set(decoded(c, l.w));
    Tensor y(c, f32, {t, s.n}), expected(c, f32, {t, s.n}), a(c, f32, {4, s.k()}), b(c, f32, {s.n, 4});
    Tensor low(c, f32, {t, 4});
    a.random(8), b.random(9);
    GRAFT_ASSERT_OK(graft_linear_forward(c, l.x, l.w, nullptr, 0, y));
    EXPECT_EQ(c.last_dispatch(), t <= 8 ? "linear_forward:cpu/few_rows" : "linear_forward:cpu/fast");
    GRAFT_ASSERT_OK(graft_linear_forward(c, l.x, dense, nullptr, 0, expected));
    expect_close(y.get(), expected.get(), std::sqrt(static_cast<double>(s.k())) * 0x1p-24, "y");
    GRAFT_ASSERT_OK(graft_lora_forward(c, l.x, l.w, a, b, 0.5, nullptr, 0, 0, 0, 0, y, low));
    GRAFT_ASSERT_OK(graft_lora_forward(c, l.x, dense, a, b, 0.5, nullptr, 0, 0, 0, 0, expected, low));
    expect_close(y.get(), expected.get(), std::sqrt(static_cast<double>(s.k())) * 0x1p-24, "lora y");
  }
}

TEST(Sketch, FiniteDifferences) {
  const Context c(1);
  for (int bits : {4, 3, 2}) {
    const Case s{f64, 3, 6, 2, 70, bits, f64};
    Layer l(c, s);
    Tensor y(c, f64, {s.t, s.n}), dx(c, f64, {s.t, s.k()}), dtable(c, f64, {s.n, s.groups, s.entries()});
    Tensor x(c, f64, {s.t, s.k()});
    x.random(9);
    const auto loss = [&] {
      EXPECT_EQ(graft_linear_forward(c, x, l.w, nullptr, 0, y), GRAFT_OK);
      return dot(l.dy.get(), y.get());
    };
    GRAFT_ASSERT_OK(graft_linear_backward(c, l.dy, nullptr, l.w, 0, dx, nullptr, nullptr));
    GRAFT_ASSERT_OK(graft_sketch_table_gradient(c, l.dy, x, l.w, dtable));
    expect_gradient(x, dx.get(), loss, "dx");
    expect_gradient(l.table, dtable.get(), loss, "dtable", 200);
  }
}

TEST(Sketch, SameBitsForAnyNumberOfThreads) {
  for (const Case& s : {Case{bf16, 40, 300, 1, 1500, 4}, Case{f32, 20, 600, 3, 200, 3}, Case{bf16, 3, 300, 2, 128, 2},
                        Case{bf16, 1, 600, 3, 200, 4}, Case{bf16, 2, 600, 1, 320, 4}}) {
    expect_same_bits([&](const Context& c) { return run(c, s); }, s.text());
  }
}

std::int64_t gradient_scratch(std::int64_t n, std::int64_t k) {
  const Context c(2);
  const Layer l(c, {.dtype = bf16, .t = 32, .n = n, .groups = 2, .columns = k / 2});
  Tensor dtable(c, f32, {n, 2, 16});
  EXPECT_EQ(c.peak(GRAFT_MEMORY_WORKSPACE), 0);
  GRAFT_EXPECT_OK(graft_sketch_table_gradient(c, l.dy, l.x, l.w, dtable));
  EXPECT_EQ(c.last_dispatch(), "sketch_table_gradient:cpu/fast");
  return c.peak(GRAFT_MEMORY_WORKSPACE);
}

TEST(Sketch, GradientNeverHoldsAMatrix) {
  const std::int64_t small = gradient_scratch(512, 1024), large = gradient_scratch(2048, 4096);
  EXPECT_LE(large, small);            // a tile for each thread, whatever N and K
  EXPECT_LT(large, 2048 * 4096 / 2);  // not even half a byte for each element of dyᵀ x
}

TEST(Sketch, TakesTheBytesItSays) {
  const Context c;
  Tensor four(c, f32, {64, 2, 16}), three(c, f32, {64, 2, 8}), two(c, f32, {64, 2, 4});
  {
    const Weight a(c, four, 512), b(c, three, 512), d(c, two, 512);
    EXPECT_EQ(c.peak(GRAFT_MEMORY_BASE), 64 * 512 * (4 + 3 + 2) / 8);
  }
}

TEST(Sketch, EmptyNullAndWrapped) {
  const Context c;
  Tensor none(c, f32, {0, 2, 16}), table(c, f32, {4, 1, 4}), x(c, f32, {3, 64}), y(c, f32, {3, 0}), dx(c, f32, {3, 64});
  Tensor narrow(c, f32, {3, 0}), wide(c, f32, {3, 4}), dtable(c, f32, {4, 1, 4}), no_rows(c, f32, {0, 64});
  Tensor no_dy(c, f32, {0, 4});
  const Weight no_n(c, none, 64), no_k(c, table, 0), w(c, table, 64);
  for (const char* prefer : {"fast", "reference"}) {
    GRAFT_ASSERT_OK(graft_context_prefer(c, nullptr));
    GRAFT_EXPECT_OK(graft_sketch_pack(c, Tensor(c, u8, {0, 64}), no_n));
    GRAFT_ASSERT_OK(graft_context_prefer(c, prefer));
    GRAFT_EXPECT_OK(graft_linear_forward(c, x, no_n, nullptr, 0, y));
    dx.fill(1);
    GRAFT_EXPECT_OK(graft_linear_backward(c, y, nullptr, no_n, 0, dx, nullptr, nullptr));
    EXPECT_EQ(dx.get(), std::vector<double>(3 * 64, 0));
    GRAFT_EXPECT_OK(graft_linear_backward(c, y, nullptr, no_n, 0, nullptr, nullptr, nullptr));
    GRAFT_EXPECT_OK(graft_sketch_table_gradient(c, y, x, no_n, none));
    wide.fill(1), dtable.fill(2);
    GRAFT_EXPECT_OK(graft_linear_forward(c, narrow, no_k, nullptr, 0, wide));
    EXPECT_EQ(wide.get(), std::vector<double>(12, 0));
    GRAFT_EXPECT_OK(graft_sketch_table_gradient(c, wide, narrow, no_k, dtable));
    GRAFT_EXPECT_OK(graft_sketch_table_gradient(c, no_dy, no_rows, w, dtable));
    EXPECT_EQ(dtable.get(), std::vector<double>(16, 2));
  }
  // The weight reads the caller's table: what training writes there is W at once. Code 1 everywhere.
  GRAFT_ASSERT_OK(graft_context_prefer(c, nullptr));
  Tensor codes(c, u8, {4, 1, 1, 16});
  codes.fill(0x55);
  graft_weight* wrapped = nullptr;
  GRAFT_ASSERT_OK(graft_weight_wrap_sketch(c, codes, table, 64, &wrapped));
  table.set({0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0});
  x.fill(1);
  GRAFT_ASSERT_OK(graft_linear_forward(c, x, wrapped, nullptr, 0, wide));
  EXPECT_EQ(wide.get(), (std::vector<double>{64, 128, 192, 256, 64, 128, 192, 256, 64, 128, 192, 256}));
  GRAFT_EXPECT_OK(graft_weight_destroy(c, wrapped));
}

TEST(Sketch, BadArguments) {
  const Context c;
  Tensor table(c, f32, {4, 2, 8}), codes(c, u8, {4, 64}), small(c, u8, {4, 63}), nibbles(c, u8, {4, 2, 16});
  Tensor x(c, f32, {9, 64}), dy(c, f32, {9, 4}), y(c, f32, {9, 4}), dtable(c, f32, {4, 2, 8}), dw(c, f32, {4, 64});
  Tensor half(c, bf16, {9, 64}), half_table(c, bf16, {4, 2, 8}), index(c, GRAFT_DTYPE_I32, {1}), low(c, f32, {9, 1});
  Tensor matrix(c, f32, {4, 64}), odd_table(c, f32, {4, 1, 8}), odd(c, u8, {4, 1, 31});
  const Weight w(c, table, 64), dense(c, f32, 4, 64), odd_w(c, odd_table, 63);
  const auto gradient = [&](graft_tensor* dy_, graft_tensor* x_, graft_weight* w_, graft_tensor* dtable_) {
    return graft_sketch_table_gradient(c, dy_, x_, w_, dtable_);
  };
  codes.fill(7);
  GRAFT_ASSERT_OK(graft_sketch_pack(c, codes, w));
  expect_error(graft_sketch_pack(c, nullptr, w), GRAFT_INVALID_ARGUMENT, {"codes is NULL"});
  expect_error(graft_sketch_pack(c, codes, nullptr), GRAFT_INVALID_ARGUMENT, {"w is NULL"});
  expect_error(graft_sketch_pack(c, codes, dense), GRAFT_INVALID_ARGUMENT, {"w is dense", "sketch"});
  expect_error(graft_sketch_pack(c, small, w), GRAFT_SHAPE_MISMATCH, {"codes [4, 63]", "[4, 64]"});
  expect_error(graft_sketch_pack(c, matrix, w), GRAFT_INVALID_ARGUMENT, {"codes", "u8"});
  expect_error(graft_sketch_pack(c, odd, odd_w), GRAFT_SHAPE_MISMATCH, {"63 columns", "even"});
  codes.fill(8);
  expect_error(graft_sketch_pack(c, codes, w), GRAFT_INVALID_ARGUMENT, {"the code 8", "0..7"});
  nibbles.fill(0x18);
  expect_error(graft_sketch_pack(c, nibbles, w), GRAFT_INVALID_ARGUMENT, {"the code 8", "0..7"});
  EXPECT_EQ(unpacked(c, w, {4, 64}), std::vector<double>(4 * 64, 7));
  expect_error(graft_sketch_unpack(c, w, small), GRAFT_SHAPE_MISMATCH, {"codes"});
  expect_error(graft_sketch_decode(c, w, codes), GRAFT_INVALID_ARGUMENT, {"matrix", "u8"});
  expect_error(graft_sketch_decode(c, w, x), GRAFT_SHAPE_MISMATCH, {"matrix [9, 64]"});
  expect_error(gradient(dy, x, dense, dtable), GRAFT_INVALID_ARGUMENT, {"w is dense"});
  expect_error(gradient(nullptr, x, w, dtable), GRAFT_INVALID_ARGUMENT, {"dy is NULL"});
  expect_error(gradient(dy, half, w, dtable), GRAFT_INVALID_ARGUMENT, {"x", "bf16"});
  expect_error(gradient(dy, x, w, nullptr), GRAFT_INVALID_ARGUMENT, {"dtable is NULL"});
  expect_error(gradient(dy, x, w, half_table), GRAFT_INVALID_ARGUMENT, {"dtable", "f32"});
  expect_error(gradient(dy, x, w, odd_table), GRAFT_SHAPE_MISMATCH, {"dtable [4, 1, 8]"});
  expect_error(gradient(dy, x, w, table), GRAFT_INVALID_ARGUMENT, {"dtable", "overlaps"});
  Tensor within = x.view(0, {4, 2, 8}, {16, 8, 1});
  expect_error(gradient(dy, x, w, within), GRAFT_INVALID_ARGUMENT, {"dtable", "overlaps x"});
  Tensor over_table = table.view(0, {1, 4}, {4, 1});
  expect_error(graft_linear_forward(c, x.view(0, {1, 64}, {64, 1}), w, nullptr, 0, over_table), GRAFT_INVALID_ARGUMENT,
               {"y", "overlaps w"});
  expect_error(graft_linear_backward(c, dy, x, w, 0, nullptr, dw, nullptr), GRAFT_UNSUPPORTED,
               {"sketch", "graft_sketch_table_gradient"});
  expect_error(graft_paca_forward(c, x, w, index, nullptr, 0, y, low), GRAFT_UNSUPPORTED, {"sketch", "dense"});
  expect_error(graft_nf4_dequantize(c, w, matrix), GRAFT_INVALID_ARGUMENT, {"sketch", "NF4"});
  graft_weight* made = nullptr;
  Tensor five(c, f32, {4, 2, 5}), flat(c, f32, {4, 16}), ids(c, u8, {4, 2, 8}), bytes(c, u8, {4, 2, 1, 32});
  Tensor gaps = matrix.view(0, {4, 2, 8}, {64, 16, 1});
  const auto create = [&](const Tensor& t, std::int64_t k) {
    return graft_weight_create_sketch(c, GRAFT_MEMORY_BASE, t, k, &made);
  };
  expect_error(create(five, 64), GRAFT_SHAPE_MISMATCH, {"table [4, 2, 5]", "16, 8 or 4"});
  expect_error(create(table, 63), GRAFT_SHAPE_MISMATCH, {"groups", "63"});
  expect_error(create(table, -2), GRAFT_INVALID_ARGUMENT, {"k is -2"});
  expect_error(create(flat, 64), GRAFT_SHAPE_MISMATCH, {"table"});
  expect_error(create(ids, 64), GRAFT_INVALID_ARGUMENT, {"table", "u8"});
  expect_error(create(gaps, 64), GRAFT_INVALID_ARGUMENT, {"table", "gaps"});
  expect_error(graft_weight_create_sketch(c, GRAFT_MEMORY_BASE, nullptr, 64, &made), GRAFT_INVALID_ARGUMENT,
               {"table is NULL"});
  expect_error(graft_weight_create_sketch(c, GRAFT_MEMORY_BASE, table, 64, nullptr), GRAFT_INVALID_ARGUMENT,
               {"weight is NULL"});
  expect_error(graft_weight_wrap_sketch(c, bytes, table, 64, &made), GRAFT_SHAPE_MISMATCH, {"codes", "[4, 2, 1, 24]"});
  expect_error(graft_weight_wrap_sketch(c, nullptr, table, 64, &made), GRAFT_INVALID_ARGUMENT, {"codes is NULL"});
}

}  // namespace
}  // namespace graft::test
