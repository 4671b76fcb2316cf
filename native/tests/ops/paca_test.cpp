// paca: golden files, the ten properties that define it as far as one layer goes (step 0 is the base, the gradient is
// columns of the full one, other columns keep their bits, restoring, micro-batches, export to lora, r = K), fast
// against reference, finite differences, threads, bad arguments.
#include <cmath>
#include <cstring>

#include "golden.h"
#include "gradients.h"
#include "paca_layer.h"

namespace graft::test {
namespace {

using Case = PacaCase;
using Layer = PacaLayer;

TEST(Paca, GoldenFiles) {
  for (const std::string& path : golden_files("paca_linear")) {
    auto g = golden(path);
    for (const char* prefer : {"fast", "reference"}) {
      const Context c(2, prefer);
      const Shape &xs = g.at("x").shape, &ys = g.at("y").shape, &ds = g.at("paca_delta").shape;
      const double scale = g.at("scale").values.at(0);
      Tensor x = load(c, kF32, g.at("x")), dy = load(c, kF32, g.at("dy")), d = load(c, kF32, g.at("paca_delta"));
      Tensor indices(c, GRAFT_DTYPE_I64, {ds[1]}), original(c, kF32, ds), y(c, kF32, ys), x_i(c, kF32, {xs[0], ds[1]});
      Tensor dx(c, kF32, xs), dd(c, kF32, ds);
      indices.set(g.at("indices").values);
      const Weight w(c, kF32, ys[1], xs[1]);
      w.matrix().set(g.at("w").values);
      GRAFT_ASSERT_OK(graft_paca_read(c, w, indices, original));
      GRAFT_ASSERT_OK(graft_paca_write(c, d, original, indices, scale, w));
      GRAFT_ASSERT_OK(graft_paca_forward(c, x, w, indices, nullptr, 0, y, x_i));
      GRAFT_ASSERT_OK(graft_paca_backward(c, dy, x_i, w, scale, 0, dx, dd, nullptr));
      expect_close(y.get(), g.at("y").values, 1e-5, path + " y");
      expect_close(dx.get(), g.at("dx").values, 1e-5, path + " dx");
      expect_close(dd.get(), g.at("dpaca_delta").values, 1e-5, path + " dd");
      expect_close(w.matrix().get(), g.at("merged").values, 1e-6, path + " W");
    }
  }
}

TEST(Paca, ForwardIsTheFrozenLayerBitByBit) {
  for (graft_dtype dtype : {kF32, kBf16, GRAFT_DTYPE_F16}) {
    const Context c;
    const Case s{dtype, 70, 96, 300, 5};
    Layer layer(c, s);
    layer.forward();
    Tensor y(c, dtype, {s.t, s.n});
    GRAFT_ASSERT_OK(graft_linear_forward(c, layer.x, layer.w, layer.bias, 0, y));
    EXPECT_EQ(layer.y.get(), y.get()) << s.text();
    const std::vector<double> x = layer.x.get(), x_i = layer.x_i.get(), columns = spread(s.k, s.r);
    for (std::int64_t t = 0; t < s.t; ++t)
      for (std::int64_t j = 0; j < s.r; ++j)
        ASSERT_EQ(x_i[t * s.r + j], x[t * s.k + static_cast<std::int64_t>(columns[j])]) << s.text();
  }
}

TEST(Paca, GradientIsTheColumnsOfTheFullOne) {
  const Context c(2, "fast");
  for (graft_dtype dtype : {kF32, kBf16})
    for (std::int64_t r : {1, 5, 96}) {  // r = K is full fine-tuning of the layer
      const Case s{dtype, 70, 96, 300, r};
      Layer layer(c, s);
      layer.dd.fill(0);
      layer.forward();
      layer.backward();
      Tensor dx(c, dtype, {s.t, s.k});
      GRAFT_ASSERT_OK(graft_linear_backward(c, layer.dy, layer.x, layer.w, 0, dx, nullptr, nullptr));
      EXPECT_EQ(layer.dx.get(), dx.get()) << s.text();
      expect_part_of_the_full_gradient(layer, Layer::kScale, s.text());
    }
}

TEST(Paca, OnlyTheColumnsChangeAndComeBack) {
  for (graft_dtype dtype : {kF32, kBf16, kF64}) {
    const Context c;
    const Case s{dtype, 3, 40, 150, 4, false, false, 16};
    Layer layer(c, s);
    expect_only_these_move(layer, Layer::kScale, s.text());
  }
}

TEST(Paca, MicroBatchesAddUp) {
  const Context c;
  Layer layer(c, {kF32, 64, 48, 80, 6});
  layer.forward();
  expect_micro_batches_add_up(layer, [&](std::int64_t first, std::int64_t rows) {
    return graft_paca_backward(c, rows_of(layer.dy, first, rows), rows_of(layer.x_i, first, rows), layer.w,
                               Layer::kScale, 0, nullptr, layer.dd, nullptr);
  });
}

TEST(Paca, IsLoraWithSelectedColumns) {
  const Context c;
  const Case s{kF32, 20, 30, 25, 4};
  Layer layer(c, s);
  Tensor a(c, kF32, {s.r, s.k}), low(c, kF32, {s.t, s.r}), lora(c, kF32, {s.t, s.n});
  std::vector<double> rows(static_cast<std::size_t>(s.r * s.k), 0.0);
  const std::vector<double> columns = spread(s.k, s.r);
  for (std::int64_t j = 0; j < s.r; ++j) rows[j * s.k + static_cast<std::int64_t>(columns[j])] = 1;
  a.set(rows);
  GRAFT_ASSERT_OK(
      graft_lora_forward(c, layer.x, layer.w, a, layer.d, Layer::kScale, layer.bias, 0, 0, 0, 0, lora, low));
  layer.read();
  layer.write();
  layer.forward();
  expect_close(layer.y.get(), lora.get(), 1e-6, "lora", 8);
  EXPECT_EQ(layer.x_i.get(), low.get());
}

std::vector<std::vector<double>> all_of(const Context& c, const Case& s) {
  Layer layer(c, s);
  layer.forward();
  layer.backward();
  layer.read();
  layer.write();
  Tensor norms(c, sums_of(s.dtype), {s.k});
  GRAFT_EXPECT_OK(graft_paca_column_norms(c, layer.w, norms));
  return {layer.y.get(),     layer.x_i.get(),    layer.dx.get(), layer.dd.get(),
          layer.dbias.get(), layer.matrix.get(), norms.get()};
}

TEST(Paca, FastAgreesWithReference) {
  const Context fast(2, "fast"), reference(2, "reference");
  for (graft_dtype dtype : {kF32, kBf16})
    for (auto [t, k, n, r] :
         {std::tuple{1, 1, 1, 1}, {2, 3, 5, 2}, {33, 48, 40, 17}, {70, 96, 257, 8}, {129, 64, 300, 64}})
      for (bool accumulate : {false, true}) {
        const Case s{dtype, t, k, n, r, accumulate, false, accumulate ? 16 : 0};
        const auto a = all_of(fast, s), b = all_of(reference, s);
        const double grain = 3 * unit_roundoff(dtype), quarter = 0.25;
        const double terms[] = {static_cast<double>(k), 0, static_cast<double>(n), static_cast<double>(t),
                                static_cast<double>(t), 0, static_cast<double>(n)};
        const char* names[] = {"y", "x_i", "dx", "dd", "dbias", "w", "norms"};
        for (int i = 0; i < 7; ++i) {
          const bool stored = i == 0 || i == 2;
          expect_close(a[i], b[i], (stored ? grain : 0) + terms[i] * 0x1p-23, s.text() + " " + names[i],
                       stored && dtype == kBf16 ? 0 : terms[i] * quarter);
        }
      }
}

TEST(Paca, IntegersAreExact) {
  const Context fast(2, "fast"), reference(1, "reference");
  for (graft_dtype dtype : {kF32, kBf16}) {
    const Case s{dtype, 37, 31, 43, 5, true, true};
    auto a = all_of(fast, s), b = all_of(reference, s);
    a.pop_back(), b.pop_back();  // norms are roots
    EXPECT_EQ(a, b) << s.text();
  }
}

TEST(Paca, FiniteDifferences) {
  const Context c(1);
  const Case s{kF64, 4, 6, 5, 3};
  Layer layer(c, s);
  layer.dd.fill(0), layer.dbias.fill(0);
  layer.read();
  const auto objective = [&] {
    layer.write();
    layer.forward();
    return dot(layer.dy.get(), layer.y.get());
  };
  objective();
  layer.backward();
  expect_gradient(layer.x, layer.dx.get(), objective, "dx");
  expect_gradient(layer.d, layer.dd.get(), objective, "dd");
  expect_gradient(layer.bias, layer.dbias.get(), objective, "dbias");
}

TEST(Paca, SameBitsForAnyNumberOfThreads) {
  for (graft_dtype dtype : {kF32, kBf16}) {
    const Case s{dtype, 150, 600, 520, 9};
    expect_same_bits([&](const Context& c) { return all_of(c, s); }, s.text());
  }
}

TEST(Paca, EmptyAndNull) {
  for (const char* prefer : {"fast", "reference"}) {
    const Context c(2, prefer);
    EXPECT_TRUE(all_of(c, {kF32, 0, 6, 4, 2})[0].empty());
    EXPECT_TRUE(all_of(c, {kBf16, 3, 6, 4, 0})[1].empty());
    Layer layer(c, {});
    GRAFT_EXPECT_OK(graft_paca_forward(c, layer.x, layer.w, layer.indices, nullptr, 0, layer.y, nullptr));
    EXPECT_EQ(c.last_dispatch(), std::string("paca_forward:cpu/") + prefer);
    GRAFT_EXPECT_OK(graft_paca_backward(c, layer.dy, nullptr, layer.w, 1, 0, layer.dx, nullptr, nullptr));
    GRAFT_EXPECT_OK(graft_paca_backward(c, layer.dy, nullptr, layer.w, 1, 0, nullptr, nullptr, nullptr));
  }
}

TEST(Paca, BadArguments) {
  const Context c;
  Layer layer(c, {});  // 5 x 9 -> 7, r 3
  Tensor outside(c, GRAFT_DTYPE_I64, {3}), twice(c, GRAFT_DTYPE_I32, {3}), narrow(c, kF32, {5, 2}),
      bf16(c, kBf16, {5, 3});
  outside.set({0, 9, 1}), twice.set({4, 0, 4});
  const auto forward = [&](const graft_tensor* indices, graft_tensor* x_i) {
    return graft_paca_forward(c, layer.x, layer.w, indices, nullptr, 0, layer.y, x_i);
  };
  expect_error(forward(nullptr, nullptr), GRAFT_INVALID_ARGUMENT, {"paca", "indices is NULL"});
  expect_error(forward(outside, nullptr), GRAFT_INVALID_ARGUMENT, {"indices[1] is 9", "0..8"});
  expect_error(forward(layer.d, nullptr), GRAFT_INVALID_ARGUMENT, {"indices", "f32"});
  expect_error(forward(layer.indices, narrow), GRAFT_SHAPE_MISMATCH, {"x_i [5, 2]", "[5, 3]"});
  expect_error(forward(layer.indices, bf16), GRAFT_INVALID_ARGUMENT, {"x_i", "bf16"});
  expect_error(graft_paca_backward(c, layer.dy, nullptr, layer.w, 1, 0, nullptr, layer.dd, nullptr),
               GRAFT_INVALID_ARGUMENT, {"x_i is NULL", "dd"});
  expect_error(graft_paca_backward(c, layer.dy, layer.x_i, layer.w, NAN, 0, nullptr, layer.dd, nullptr),
               GRAFT_INVALID_ARGUMENT, {"scale"});
  expect_error(graft_paca_backward(c, layer.dy, narrow, layer.w, 1, 0, nullptr, layer.dd, nullptr),
               GRAFT_SHAPE_MISMATCH, {"dd [7, 3]"});
  expect_error(graft_paca_read(c, layer.w, layer.indices, layer.x_i), GRAFT_SHAPE_MISMATCH, {"columns [5, 3]"});
  expect_error(graft_paca_write(c, layer.d, layer.original, twice, 1, layer.w), GRAFT_INVALID_ARGUMENT, {"4 twice"});
  expect_error(graft_paca_write(c, layer.d, nullptr, layer.indices, 1, layer.w), GRAFT_INVALID_ARGUMENT,
               {"original is NULL"});
  expect_error(graft_paca_column_norms(c, layer.w, layer.bias), GRAFT_SHAPE_MISMATCH, {"norms [7]", "[9]"});
}

}  // namespace
}  // namespace graft::test
