// sparse: golden files, the gradient is entries of the full one, other entries keep their bits, restoring, a full mask
// is the dense layer, selection against a sort, fast against reference, finite differences, threads, bad arguments.
#include <bit>
#include <cmath>
#include <limits>

#include "golden.h"
#include "selected_weights.h"

namespace graft::test {
namespace {

struct Case {
  graft_dtype dtype = kF32;
  std::int64_t t = 5, k = 9, n = 7, count = 11;
  graft_dtype ids = GRAFT_DTYPE_I32;
  int pad = 0;
  bool integers = false;
  std::string text() const {
    return std::string(name(dtype)) + " " + std::to_string(t) + "x" + std::to_string(k) + "->" + std::to_string(n) +
           " entries " + std::to_string(count);
  }
};

// Entries spread over the matrix, but for a full row in the middle, as far as they go.
std::vector<std::int64_t> entries_of(const Case& s) {
  std::vector<bool> taken(static_cast<std::size_t>(s.n * s.k));
  std::int64_t left = s.count;
  for (std::int64_t j = 0; j < s.k && left > s.count / 2; ++j, --left) taken[s.n / 2 * s.k + j] = true;
  for (std::int64_t at = 0; left > 0; at = (at + 7919) % (s.n * s.k)) {
    while (taken[at]) at = (at + 1) % (s.n * s.k);
    taken[at] = true, --left;
  }
  std::vector<std::int64_t> all;
  for (std::int64_t at = 0; at < s.n * s.k; ++at)
    if (taken[at]) all.push_back(at);
  return all;
}

std::vector<double> indices_of(const std::vector<std::int64_t>& entries, std::int64_t k) {
  std::vector<double> indices;
  for (std::int64_t at : entries) indices.push_back(static_cast<double>(at / k));
  for (std::int64_t at : entries) indices.push_back(static_cast<double>(at % k));
  return indices;
}

struct Layer : SelectedLayer {
  Layer(const Context& c, const Case& s)
      : SelectedLayer(c, s.dtype, s.t, s.k, s.n, {s.count}, s.ids, {2, s.count}, s.pad) {
    places = entries_of(s);
    indices.set(indices_of(places, s.k));
    fill({&x, &dy, &dd, &d, &matrix}, s.integers);
  }
  void gradient() { GRAFT_EXPECT_OK(graft_sparse_gradient(context, dy, x, indices, dd)); }
  void read() { GRAFT_EXPECT_OK(graft_sparse_read(context, w, indices, original)); }
  void write() { GRAFT_EXPECT_OK(graft_sparse_write(context, d, original, indices, w)); }
  graft_status restore() { return graft_sparse_write(context, nullptr, original, indices, w); }
};

TEST(Sparse, GoldenFiles) {
  for (const std::string& path : golden_files("sparse_linear")) {
    auto g = golden(path);
    for (const char* prefer : {"fast", "reference"}) {
      const Context c(2, prefer);
      const Shape &xs = g.at("x").shape, &ys = g.at("y").shape, &ds = g.at("d").shape, &is = g.at("indices").shape;
      Tensor x = load(c, kF32, g.at("x")), dy = load(c, kF32, g.at("dy")), d = load(c, kF32, g.at("d"));
      Tensor indices(c, GRAFT_DTYPE_I64, is), original(c, kF32, ds), dd(c, kF32, ds), y(c, kF32, ys), dx(c, kF32, xs);
      indices.set(g.at("indices").values);
      const Weight w(c, kF32, ys[1], xs[1]);
      w.matrix().set(g.at("w").values);
      const Tensor matrix = w.matrix(), dw = load(c, kF32, g.at("dw"));
      const auto expect_selected = [&](const graft_tensor* b, bool largest, const char* name) {
        Tensor chosen(c, GRAFT_DTYPE_I32, is);
        GRAFT_EXPECT_OK(graft_sparse_select(c, b == nullptr ? GRAFT_SPARSE_ABSOLUTE : GRAFT_SPARSE_PRODUCT, matrix, b,
                                            largest, chosen));
        EXPECT_EQ(chosen.get(), g.at(name).values) << path << " " << name;
      };
      expect_selected(nullptr, true, "largest");
      expect_selected(nullptr, false, "smallest");
      expect_selected(dw, true, "snip");
      GRAFT_ASSERT_OK(graft_sparse_read(c, w, indices, original));
      GRAFT_ASSERT_OK(graft_sparse_write(c, d, original, indices, w));
      expect_close(w.matrix().get(), g.at("merged").values, 1e-6, path + " W");
      GRAFT_ASSERT_OK(graft_linear_forward(c, x, w, nullptr, 0, y));
      GRAFT_ASSERT_OK(graft_linear_backward(c, dy, nullptr, w, 0, dx, nullptr, nullptr));
      GRAFT_ASSERT_OK(graft_sparse_gradient(c, dy, x, indices, dd));
      expect_close(y.get(), g.at("y").values, 1e-5, path + " y");
      expect_close(dx.get(), g.at("dx").values, 1e-5, path + " dx");
      expect_close(dd.get(), g.at("dd").values, 1e-5, path + " dd");
      Tensor squares(c, kF32, g.at("fisher").shape);
      GRAFT_ASSERT_OK(graft_sparse_add_squares(c, dw, squares));
      expect_close(squares.get(), g.at("fisher").values, 1e-6, path + " squares");
    }
  }
}

TEST(Sparse, GradientIsTheEntriesOfTheFullOne) {
  const Context c;
  for (graft_dtype dtype : {kF32, kBf16, GRAFT_DTYPE_F16})
    for (std::int64_t count : {1, 500, 96 * 130}) {  // all of them: full fine-tuning of the layer
      const Case s{dtype, 300, 96, 130, count};
      Layer layer(c, s);
      layer.dd.fill(0);
      layer.gradient();
      expect_part_of_the_full_gradient(layer, 1, s.text());
    }
}

TEST(Sparse, OnlyTheEntriesChangeAndComeBack) {
  for (const char* prefer : {"fast", "reference"})
    for (graft_dtype dtype : {kF32, kBf16, kF64}) {
      const Context c(2, dtype == kF64 ? "reference" : prefer);
      const Case s{dtype, 3, 40, 150, 333, GRAFT_DTYPE_I64, 16};
      Layer layer(c, s);
      expect_only_these_move(layer, 1, s.text());
    }
}

TEST(Sparse, MicroBatchesAddUp) {
  const Context c;
  Layer layer(c, {kF32, 64, 48, 80, 200});
  expect_micro_batches_add_up(layer, [&](std::int64_t first, std::int64_t rows) {
    return graft_sparse_gradient(c, rows_of(layer.dy, first, rows), rows_of(layer.x, first, rows), layer.indices,
                                 layer.dd);
  });
}

TEST(Sparse, FastAgreesWithReference) {
  const Context fast(2, "fast"), reference(2, "reference");
  for (graft_dtype dtype : {kF32, kBf16, GRAFT_DTYPE_F16})
    for (auto [t, k, n, count] : {std::tuple{1, 1, 1, 1},
                                  {2, 3, 5, 7},
                                  {33, 48, 40, 100},
                                  {127, 65, 33, 900},
                                  {129, 70, 257, 5000},
                                  {513, 31, 64, 1000}})
      for (graft_dtype ids : {GRAFT_DTYPE_I32, GRAFT_DTYPE_I64}) {
        const Case s{dtype, t, k, n, count, ids, ids == GRAFT_DTYPE_I64 ? 16 : 0};
        const auto a = all_of(Layer(fast, s)), b = all_of(Layer(reference, s));
        expect_close(a[0], b[0], static_cast<double>(t) * 0x1p-23, s.text(), static_cast<double>(t) / 4);
        EXPECT_EQ(a[1], b[1]) << s.text();
        EXPECT_EQ(a[2], b[2]) << s.text();
      }
}

TEST(Sparse, IntegersAreExact) {
  const Context fast(2, "fast"), reference(1, "reference");
  for (graft_dtype dtype : {kF32, kBf16}) {
    const Case s{dtype, 37, 31, 43, 400, GRAFT_DTYPE_I32, 0, true};
    EXPECT_EQ(all_of(Layer(fast, s)), all_of(Layer(reference, s))) << s.text();
  }
}

TEST(Sparse, FiniteDifferences) {
  const Context c(1);
  Layer layer(c, {kF64, 4, 6, 5, 13});
  expect_gradient_of_what_is_written(layer);
}

TEST(Sparse, SameBitsForAnyNumberOfThreads) {
  for (graft_dtype dtype : {kF32, kBf16}) {
    const Case s{dtype, 300, 600, 220, 20000};
    expect_same_bits([&](const Context& c) { return all_of(Layer(c, s)); }, s.text());
  }
}

// Values that repeat often, so that ties are cut: the first ones are taken.
TEST(Sparse, FastSelectsAsTheReference) {
  const Context fast(2, "fast"), reference(1, "reference");
  for (graft_dtype dtype : {kF32, kBf16, GRAFT_DTYPE_F16})
    for (bool integers : {false, true})
      for (graft_sparse_score score : {GRAFT_SPARSE_ABSOLUTE, GRAFT_SPARSE_PRODUCT, GRAFT_SPARSE_DIFFERENCE})
        for (bool largest : {false, true})
          for (std::int64_t count : {0, 1, 137, 41 * 29}) {
            std::vector<std::vector<double>> chosen;
            for (const Context* c : {&fast, &reference}) {
              Tensor a(*c, dtype, {41, 29}, 29 + 16), b(*c, kF32, {41, 29}), indices(*c, GRAFT_DTYPE_I32, {2, count});
              integers ? a.integers(3) : a.random(3);
              integers ? b.integers(4) : b.random(4);
              graft_tensor* other = score == GRAFT_SPARSE_ABSOLUTE ? nullptr : static_cast<graft_tensor*>(b);
              GRAFT_ASSERT_OK(graft_sparse_select(*c, score, a, other, largest, indices));
              chosen.push_back(indices.get());
            }
            EXPECT_EQ(chosen[0], chosen[1]) << name(dtype) << integers << score << largest << " " << count;
          }
}

TEST(Sparse, SelectsByTheScore) {
  for (const char* prefer : {"fast", "reference"}) {
    const Context c(2, prefer);
    Tensor a(c, kF32, {2, 3}), b(c, kF32, {2, 3}), indices(c, GRAFT_DTYPE_I64, {2, 2});
    b.set({9, 0, 1, 2, 0, -5});
    const auto expect = [&](graft_sparse_score score, bool largest, const std::vector<double>& expected) {
      graft_tensor* other = score == GRAFT_SPARSE_ABSOLUTE ? nullptr : static_cast<graft_tensor*>(b);
      GRAFT_ASSERT_OK(graft_sparse_select(c, score, a, other, largest, indices));
      EXPECT_EQ(indices.get(), expected) << score << largest;
    };
    a.set({1, -4, 4, 2, 3, -4});
    expect(GRAFT_SPARSE_ABSOLUTE, true, {0, 0, 1, 2});
    expect(GRAFT_SPARSE_ABSOLUTE, false, {0, 1, 0, 0});
    expect(GRAFT_SPARSE_PRODUCT, true, {0, 1, 0, 2});     // 9 0 4 4 0 20
    expect(GRAFT_SPARSE_DIFFERENCE, true, {0, 0, 0, 1});  // 8 4 3 0 3 1
    a.set({1, -4, 4, 2, std::numeric_limits<double>::quiet_NaN(), -4});
    expect(GRAFT_SPARSE_ABSOLUTE, true, {0, 1, 1, 1});
    expect(GRAFT_SPARSE_ABSOLUTE, false, {0, 1, 0, 0});
  }
}

// Whatever their payload and sign: the first ones are taken.
TEST(Sparse, NaNsAreEqual) {
  const double small = std::bit_cast<double>(0x7ff8000000000000u), large = std::bit_cast<double>(0x7fffffffffffffffu);
  for (const char* prefer : {"fast", "reference"}) {
    const Context c(2, prefer);
    Tensor a(c, kF32, {1, 5}), indices(c, GRAFT_DTYPE_I32, {2, 2});
    a.set({1, small, INFINITY, -small, large});
    GRAFT_ASSERT_OK(graft_sparse_select(c, GRAFT_SPARSE_ABSOLUTE, a, nullptr, 1, indices));
    EXPECT_EQ(indices.get(), (std::vector<double>{0, 0, 1, 3})) << prefer;
    a.set({large, large, small, large, 1});
    GRAFT_ASSERT_OK(graft_sparse_select(c, GRAFT_SPARSE_ABSOLUTE, a, nullptr, 0, indices));
    EXPECT_EQ(indices.get(), (std::vector<double>{0, 0, 0, 4})) << prefer;
  }
}

TEST(Sparse, SquaresAddUp) {
  const Context fast(2, "fast"), reference(1, "reference");
  std::vector<std::vector<double>> sums;
  for (const Context* c : {&fast, &reference}) {
    Tensor g(*c, kF32, {70, 19}, 24), to(*c, kF32, {70, 19}, 32);
    g.integers(1), to.integers(2);
    GRAFT_ASSERT_OK(graft_sparse_add_squares(*c, g, to));
    sums.push_back(to.get());
  }
  EXPECT_EQ(sums[0], sums[1]);
}

TEST(Sparse, Empty) {
  for (const char* prefer : {"fast", "reference"}) {
    const Context c(2, prefer);
    EXPECT_TRUE(all_of(Layer(c, {kF32, 4, 6, 4, 0}))[0].empty());
    Layer layer(c, {kBf16, 0, 6, 4, 5});
    const std::vector<double> before = layer.dd.get();
    layer.gradient();
    EXPECT_EQ(layer.dd.get(), before);
    EXPECT_EQ(c.last_dispatch(), std::string("sparse_gradient:cpu/") + prefer);
    Tensor none(c, kF32, {0, 3}), indices(c, GRAFT_DTYPE_I32, {2, 0});
    GRAFT_EXPECT_OK(graft_sparse_select(c, GRAFT_SPARSE_ABSOLUTE, none, nullptr, 1, indices));
    GRAFT_EXPECT_OK(graft_sparse_add_squares(c, none, none.view(0, {0, 3}, {3, 1})));
  }
}

TEST(Sparse, BadArguments) {
  const Context c;
  Layer layer(c, {});  // 5 x 9 -> 7, 11 entries
  const auto gradient = [&](const graft_tensor* indices, graft_tensor* dd) {
    return graft_sparse_gradient(c, layer.dy, layer.x, indices, dd);
  };
  const auto with = [&](const std::vector<double>& values) {
    Tensor indices(c, GRAFT_DTYPE_I64, {2, 3}), dd(c, kF32, {3});
    indices.set(values);
    return gradient(indices, dd);
  };
  expect_error(with({0, 1, 7, 2, 3, 4}), GRAFT_INVALID_ARGUMENT, {"sparse", "indices[:, 2] is (7, 4)", "0..6"});
  expect_error(with({0, 1, 2, 2, 9, 4}), GRAFT_INVALID_ARGUMENT, {"indices[:, 1] is (1, 9)", "0..8"});
  expect_error(with({0, 1, 2, 2, -1, 4}), GRAFT_INVALID_ARGUMENT, {"(1, -1)"});
  expect_error(with({0, 2, 1, 2, 3, 4}), GRAFT_INVALID_ARGUMENT, {"(1, 4) behind (2, 3)", "ascend"});
  expect_error(with({0, 1, 1, 2, 3, 3}), GRAFT_INVALID_ARGUMENT, {"(1, 3) behind (1, 3)"});
  expect_error(gradient(nullptr, layer.dd), GRAFT_INVALID_ARGUMENT, {"indices is NULL"});
  expect_error(gradient(layer.indices, nullptr), GRAFT_INVALID_ARGUMENT, {"dd is NULL"});
  expect_error(gradient(layer.matrix, layer.dd), GRAFT_INVALID_ARGUMENT, {"indices", "f32"});
  Tensor few(c, kF32, {10}), bf16(c, kBf16, {11}), many(c, GRAFT_DTYPE_I32, {2, 64}), one(c, GRAFT_DTYPE_I32, {1, 5});
  expect_error(gradient(layer.indices, few), GRAFT_SHAPE_MISMATCH, {"dd [10]", "[11]"});
  expect_error(gradient(layer.indices, bf16), GRAFT_INVALID_ARGUMENT, {"dd", "bf16"});
  expect_error(gradient(one, few), GRAFT_SHAPE_MISMATCH, {"indices [1, 5]"});
  expect_error(graft_sparse_read(c, layer.w, layer.indices, bf16), GRAFT_INVALID_ARGUMENT, {"entries", "bf16"});
  expect_error(graft_sparse_write(c, layer.d, nullptr, layer.indices, layer.w), GRAFT_INVALID_ARGUMENT,
               {"original is NULL"});
  expect_error(graft_sparse_write(c, few, layer.original, layer.indices, layer.w), GRAFT_SHAPE_MISMATCH, {"d [10]"});
  const auto select = [&](int score, const graft_tensor* b) {
    return graft_sparse_select(c, static_cast<graft_sparse_score>(score), layer.matrix, b, 1, many);
  };
  expect_error(select(GRAFT_SPARSE_ABSOLUTE, nullptr), GRAFT_SHAPE_MISMATCH, {"[2, 64]", "only 63"});
  expect_error(select(GRAFT_SPARSE_ABSOLUTE, layer.matrix), GRAFT_INVALID_ARGUMENT, {"b is not NULL"});
  expect_error(select(GRAFT_SPARSE_PRODUCT, nullptr), GRAFT_INVALID_ARGUMENT, {"b is NULL"});
  expect_error(select(GRAFT_SPARSE_DIFFERENCE, layer.x), GRAFT_SHAPE_MISMATCH, {"b [5, 9]"});
  expect_error(select(3, layer.matrix), GRAFT_INVALID_ARGUMENT, {"score is 3"});
  expect_error(graft_sparse_add_squares(c, layer.matrix, layer.x), GRAFT_SHAPE_MISMATCH, {"sums [5, 9]"});
  expect_error(graft_sparse_add_squares(c, layer.matrix, layer.matrix), GRAFT_INVALID_ARGUMENT, {"sums", "overlap"});
}

}  // namespace
}  // namespace graft::test
