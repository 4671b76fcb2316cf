// rows: the gradient is rows of the full one, other rows keep their bits, restoring, export to lora, fast against
// reference, finite differences, threads, empty, bad arguments.
#include "selected_weights.h"

namespace graft::test {
namespace {

struct Case {
  graft_dtype dtype = kF32;
  std::int64_t t = 5, k = 9, n = 7, r = 3;
  bool integers = false;
  int pad = 0;
  std::string text() const {
    return std::string(name(dtype)) + " " + std::to_string(t) + "x" + std::to_string(k) + "->" + std::to_string(n) +
           " r " + std::to_string(r);
  }
};

struct Layer : SelectedLayer {
  Layer(const Context& c, const Case& s) : SelectedLayer(c, s.dtype, s.t, s.k, s.n, {s.r, s.k}, kI32, {s.r}, s.pad) {
    const std::vector<double> rows = spread(s.n, s.r);
    indices.set(rows);
    for (double row : rows)
      for (std::int64_t k = 0; k < s.k; ++k) places.push_back(static_cast<std::int64_t>(row) * s.k + k);
    fill({&x, &dy, &dd, &d, &matrix}, s.integers);
  }
  void gradient() { GRAFT_EXPECT_OK(graft_rows_gradient(context, dy, x, indices, dd)); }
  void read() { GRAFT_EXPECT_OK(graft_rows_read(context, w, indices, original)); }
  void write() { GRAFT_EXPECT_OK(graft_rows_write(context, d, original, indices, w)); }
  graft_status restore() { return graft_rows_write(context, nullptr, original, indices, w); }
};

TEST(Rows, GradientIsTheRowsOfTheFullOne) {
  const Context c(2, "fast");
  for (graft_dtype dtype : {kF32, kBf16, GRAFT_DTYPE_F16})
    for (std::int64_t r : {1, 5, 300}) {  // r = N is full fine-tuning of the layer
      const Case s{dtype, 70, 96, 300, r};
      Layer layer(c, s);
      layer.dd.fill(0);
      layer.gradient();
      expect_part_of_the_full_gradient(layer, 1, s.text());
    }
}

TEST(Rows, OnlyTheRowsChangeAndComeBack) {
  for (const char* prefer : {"fast", "reference"})
    for (graft_dtype dtype : {kF32, kBf16, kF64}) {
      const Context c(2, dtype == kF64 ? "reference" : prefer);
      const Case s{dtype, 3, 40, 150, 4, false, 16};
      Layer layer(c, s);
      expect_only_these_move(layer, 1, s.text());
    }
}

TEST(Rows, MicroBatchesAddUp) {
  const Context c;
  Layer layer(c, {kF32, 64, 48, 80, 6});
  expect_micro_batches_add_up(layer, [&](std::int64_t first, std::int64_t rows) {
    return graft_rows_gradient(c, rows_of(layer.dy, first, rows), rows_of(layer.x, first, rows), layer.indices,
                               layer.dd);
  });
}

TEST(Rows, AreLoraWithSelectedRows) {
  const Context c;
  const Case s{kF32, 20, 30, 25, 4};
  Layer layer(c, s);
  Tensor b(c, kF32, {s.n, s.r}), low(c, kF32, {s.t, s.r}), lora(c, kF32, {s.t, s.n});
  std::vector<double> columns(static_cast<std::size_t>(s.n * s.r), 0.0);
  const std::vector<double> rows = spread(s.n, s.r);
  for (std::int64_t j = 0; j < s.r; ++j) columns[static_cast<std::int64_t>(rows[j]) * s.r + j] = 1;
  b.set(columns);
  GRAFT_ASSERT_OK(graft_lora_forward(c, layer.x, layer.w, layer.d, b, 1, nullptr, 0, 0, 0, 0, lora, low));
  layer.read();
  layer.write();
  GRAFT_ASSERT_OK(graft_linear_forward(c, layer.x, layer.w, nullptr, 0, layer.y));
  expect_close(layer.y.get(), lora.get(), 1e-6, "lora", 8);
}

TEST(Rows, FastAgreesWithReference) {
  const Context fast(2, "fast"), reference(2, "reference");
  for (graft_dtype dtype : {kF32, kBf16})
    for (auto [t, k, n, r] :
         {std::tuple{1, 1, 1, 1}, {2, 3, 5, 2}, {33, 48, 40, 17}, {70, 96, 257, 8}, {129, 300, 64, 64}})
      for (int pad : {0, 16}) {
        const Case s{dtype, t, k, n, r, false, pad};
        const auto a = all_of(Layer(fast, s)), b = all_of(Layer(reference, s));
        expect_close(a[0], b[0], static_cast<double>(t) * 0x1p-23, s.text() + " dd", static_cast<double>(t) / 4);
        EXPECT_EQ(a[1], b[1]) << s.text();
        EXPECT_EQ(a[2], b[2]) << s.text();
        const Case exact{dtype, t, k, n, r, true, pad};
        EXPECT_EQ(all_of(Layer(fast, exact)), all_of(Layer(reference, exact))) << s.text();
      }
}

TEST(Rows, FiniteDifferences) {
  const Context c(1);
  Layer layer(c, {kF64, 4, 6, 5, 3});
  expect_gradient_of_what_is_written(layer);
}

TEST(Rows, SameBitsForAnyNumberOfThreads) {
  for (graft_dtype dtype : {kF32, kBf16}) {
    const Case s{dtype, 150, 600, 520, 9};
    expect_same_bits([&](const Context& c) { return all_of(Layer(c, s)); }, s.text());
  }
}

TEST(Rows, Empty) {
  for (const char* prefer : {"fast", "reference"}) {
    const Context c(2, prefer);
    const Case none{kF32, 0, 6, 4, 2};
    const Layer before(c, none);
    EXPECT_EQ(all_of(Layer(c, none))[0], before.dd.get());
    EXPECT_TRUE(all_of(Layer(c, {kBf16, 3, 6, 4, 0}))[0].empty());
    Layer layer(c, {});
    layer.gradient();
    EXPECT_EQ(c.last_dispatch(), std::string("rows_gradient:cpu/") + prefer);
  }
}

TEST(Rows, BadArguments) {
  const Context c;
  Layer layer(c, {});  // 5 x 9 -> 7, r 3
  Tensor outside(c, GRAFT_DTYPE_I64, {3}), twice(c, GRAFT_DTYPE_I32, {3}), bf16(c, kBf16, {3, 9});
  outside.set({0, 7, 1}), twice.set({4, 0, 4});
  const auto gradient = [&](const graft_tensor* indices, graft_tensor* dd) {
    return graft_rows_gradient(c, layer.dy, layer.x, indices, dd);
  };
  expect_error(gradient(nullptr, layer.dd), GRAFT_INVALID_ARGUMENT, {"rows", "indices is NULL"});
  expect_error(gradient(outside, layer.dd), GRAFT_INVALID_ARGUMENT, {"indices[1] is 7", "0..6"});
  expect_error(gradient(layer.d, layer.dd), GRAFT_INVALID_ARGUMENT, {"indices", "f32"});
  expect_error(gradient(layer.indices, layer.y), GRAFT_SHAPE_MISMATCH, {"dd [5, 7]", "[3, 9]"});
  expect_error(gradient(layer.indices, bf16), GRAFT_INVALID_ARGUMENT, {"dd", "bf16"});
  expect_error(graft_rows_gradient(c, layer.dy, layer.dd, layer.indices, layer.dd), GRAFT_SHAPE_MISMATCH,
               {"x [3, 9]", "[5, *]"});
  expect_error(graft_rows_read(c, layer.w, layer.indices, layer.y), GRAFT_SHAPE_MISMATCH, {"rows [5, 7]"});
  expect_error(graft_rows_read(c, layer.w, layer.indices, bf16), GRAFT_INVALID_ARGUMENT, {"rows", "bf16"});
  expect_error(graft_rows_write(c, layer.d, layer.original, twice, layer.w), GRAFT_INVALID_ARGUMENT, {"4 twice"});
  expect_error(graft_rows_write(c, layer.d, nullptr, layer.indices, layer.w), GRAFT_INVALID_ARGUMENT,
               {"original is NULL"});
  expect_error(graft_rows_write(c, layer.y, layer.original, layer.indices, layer.w), GRAFT_SHAPE_MISMATCH,
               {"d [5, 7]"});
}

}  // namespace
}  // namespace graft::test
