// dora: golden files, norms against their definition, no buffer of N×K, fast against reference, finite differences,
// threads, each output missing, bad arguments.
#include <cmath>

#include "golden.h"
#include "gradients.h"
#include "tensors.h"

namespace graft::test {
namespace {

struct Case {
  graft_dtype dtype = kF32;
  std::int64_t t = 5, k = 9, n = 7, r = 3;
  double dropout = 0;
  bool accumulate = false;
  int border = 8;
  std::string text() const {
    return std::string(name(dtype)) + " " + std::to_string(t) + "x" + std::to_string(k) + "->" + std::to_string(n) +
           " r " + std::to_string(r) + " p " + std::to_string(dropout) + (accumulate ? " accumulate" : "");
  }
};

struct Layer {
  Layer(const Context& c, const Case& s)
      : context(c),
        setting(s),
        x(c, s.dtype, {s.t, s.k}, s.k + s.border),
        dy(c, s.dtype, {s.t, s.n}),
        y(c, s.dtype, {s.t, s.n}),
        kept(c, s.dtype, {s.t, s.n + s.r}),
        dx(c, s.dtype, {s.t, s.k}),
        a(c, sums_of(s.dtype), {s.r, s.k}),
        b(c, sums_of(s.dtype), {s.n, s.r}),
        m(c, sums_of(s.dtype), {s.n}),
        bias(c, sums_of(s.dtype), {s.n}),
        squared(c, sums_of(s.dtype), {s.n}),
        norm(c, sums_of(s.dtype), {s.n}),
        da(c, sums_of(s.dtype), {s.r, s.k}),
        db(c, sums_of(s.dtype), {s.n, s.r}),
        dm(c, sums_of(s.dtype), {s.n}),
        dbias(c, sums_of(s.dtype), {s.n}),
        w(c, s.dtype, s.n, s.k, s.border),
        matrix(w.matrix()) {
    std::uint64_t seed = 1;
    for (Tensor* tensor : {&x, &dy, &y, &dx, &a, &b, &bias, &da, &db, &dm, &dbias, &matrix}) tensor->random(seed++);
    m.random(seed, 0.5, 2);
  }
  void norms() {
    GRAFT_EXPECT_OK(graft_dora_squared_norms(context, w, squared));
    GRAFT_EXPECT_OK(graft_dora_norms(context, w, squared, a, b, kScale, norm));
  }
  void forward() {
    GRAFT_EXPECT_OK(graft_dora_forward(context, x, w, a, b, kScale, m, norm, bias, setting.dropout, 7, 11,
                                       setting.accumulate, y, kept));
  }
  void backward() {
    GRAFT_EXPECT_OK(graft_dora_backward(context, dy, x, kept, w, a, b, kScale, m, norm, setting.dropout, 7, 11,
                                        setting.accumulate, dx, da, db, dm, dbias));
  }

  static constexpr double kScale = 0.75;
  const Context& context;
  const Case setting;
  Tensor x, dy, y, kept, dx, a, b, m, bias, squared, norm, da, db, dm, dbias;
  const Weight w;
  Tensor matrix;
};

// PEFT drops the input of W too, in the part by which the gain differs from 1. The files name the kept elements of x,
// so that part is made by hand: the layer sees d = x·keep/(1-p), and the plain layer adds (x - d) Wᵀ.
TEST(Dora, GoldenFiles) {
  for (const std::string& path : golden_files("dora_linear")) {
    auto g = golden(path);
    for (const char* prefer : {"fast", "reference"})
      for (int border : {0, 12}) {
        const Context c(2, prefer);
        const Shape &xs = g.at("x").shape, &ys = g.at("y").shape, &as = g.at("a").shape, &bs = g.at("b").shape;
        const double scale = g.at("scale").values.at(0);
        const bool drops = g.count("dropout_keep") > 0, biased = g.count("bias") > 0;
        std::vector<double> factor(g.at("x").values.size(), 1.0), d = g.at("x").values, rest(d.size());
        for (std::size_t i = 0; drops && i < d.size(); ++i)
          factor[i] = g.at("dropout_keep").values[i] / (1 - g.at("dropout_probability").values.at(0));
        for (std::size_t i = 0; i < d.size(); ++i) rest[i] = d[i] * (1 - factor[i]), d[i] *= factor[i];
        Tensor x(c, kF32, xs, xs[1] + border), undropped(c, kF32, xs), y(c, kF32, ys), dx(c, kF32, xs);
        Tensor kept(c, kF32, {xs[0], bs[0] + as[0]}), plain(c, kF32, xs), merged(c, kF32, {bs[0], as[1]});
        Tensor dy = load(c, kF32, g.at("dy")), a = load(c, kF32, g.at("a")), b = load(c, kF32, g.at("b"));
        Tensor m = load(c, kF32, g.at("m")), bias(c, kF32, {bs[0]}), squared(c, kF32, {bs[0]}), norm(c, kF32, {bs[0]});
        Tensor da(c, kF32, as), db(c, kF32, bs), dm(c, kF32, {bs[0]}), dbias(c, kF32, {bs[0]});
        x.set(d), undropped.set(rest);
        if (biased) bias.set(g.at("bias").values);
        const Weight w(c, kF32, bs[0], as[1], border);
        w.matrix().set(g.at("w").values);
        GRAFT_ASSERT_OK(graft_linear_forward(c, undropped, w, nullptr, 0, y));
        GRAFT_ASSERT_OK(graft_linear_backward(c, dy, nullptr, w, 0, plain, nullptr, nullptr));
        GRAFT_ASSERT_OK(graft_dora_squared_norms(c, w, squared));
        GRAFT_ASSERT_OK(graft_dora_norms(c, w, squared, a, b, scale, norm));
        if (border > 0) {
          GRAFT_ASSERT_OK(graft_lora_pack(c, a, b, scale, w));
        }
        GRAFT_ASSERT_OK(graft_dora_forward(c, x, w, a, b, scale, m, norm, bias, 0, 0, 0, 1, y, kept));
        GRAFT_ASSERT_OK(
            graft_dora_backward(c, dy, x, kept, w, a, b, scale, m, norm, 0, 0, 0, 0, dx, da, db, dm, dbias));
        GRAFT_ASSERT_OK(graft_dora_merge(c, w, a, b, scale, m, norm, merged));
        std::vector<double> all = dx.get();
        const std::vector<double> frozen = plain.get();
        for (std::size_t i = 0; i < all.size(); ++i) all[i] = all[i] * factor[i] + frozen[i] * (1 - factor[i]);
        const std::string what = path + " " + prefer + " border " + std::to_string(border);
        expect_close(norm.get(), g.at("norm").values, 1e-5, what + " norm");
        expect_close(y.get(), g.at("y").values, 1e-5, what + " y");
        expect_close(all, g.at("dx").values, 1e-5, what + " dx");
        expect_close(da.get(), g.at("da").values, 1e-5, what + " da");
        expect_close(db.get(), g.at("db").values, 1e-5, what + " db");
        expect_close(dm.get(), g.at("dm").values, 1e-5, what + " dm");
        expect_close(merged.get(), g.at("merged").values, 1e-5, what + " merged");
        if (biased) expect_close(dbias.get(), g.at("dbias").values, 1e-5, what + " dbias");
      }
  }
}

TEST(Dora, StartsAsTheFrozenLayer) {  // B = 0 and m = the norms of W's rows
  const Context c(2, "fast");
  for (graft_dtype dtype : {kF32, kBf16}) {
    Layer layer(c, {dtype, 33, 70, 260, 4, 0, false, 0});
    layer.b.fill(0);
    layer.norms();
    layer.m.set(layer.norm.get());
    layer.forward();
    Tensor y(c, dtype, {33, 260});
    GRAFT_ASSERT_OK(graft_linear_forward(c, layer.x, layer.w, layer.bias, 0, y));
    expect_close(layer.y.get(), y.get(), 3 * unit_roundoff(dtype), name(dtype), 6);
  }
}

TEST(Dora, NoBufferOfTheWeightsSize) {
  const std::int64_t n = 4096, k = 4096;
  const Context c(1, "fast");  // each thread has the GEMM library's scratch for a panel

  const Case s{kBf16, 4, k, n, 8};  // above the arena's smallest block
  Layer layer(c, s);
  layer.norms();
  layer.forward();
  layer.backward();
  EXPECT_LT(c.peak(GRAFT_MEMORY_WORKSPACE), n * k) << "half the bytes of W";
}

std::vector<std::vector<double>> all_of(const Context& c, const Case& s) {
  Layer layer(c, s);
  layer.norms();
  if (s.border > 0) {
    GRAFT_EXPECT_OK(graft_lora_pack(c, layer.a, layer.b, Layer::kScale, layer.w));
  }
  layer.forward();
  layer.backward();
  Tensor merged(c, s.dtype, {s.n, s.k});
  GRAFT_EXPECT_OK(graft_dora_merge(c, layer.w, layer.a, layer.b, Layer::kScale, layer.m, layer.norm, merged));
  return {layer.squared.get(), layer.norm.get(), layer.y.get(),  layer.kept.get(),  layer.dx.get(),
          layer.da.get(),      layer.db.get(),   layer.dm.get(), layer.dbias.get(), merged.get()};
}

TEST(Dora, FastAgreesWithReference) {
  const Context fast(2, "fast"), reference(2, "reference");
  for (graft_dtype dtype : {kF32, kBf16})
    for (auto [t, k, n, r] : {std::tuple{1, 1, 1, 1}, {2, 3, 5, 2}, {33, 48, 40, 8}, {70, 96, 257, 5}})
      for (double dropout : {0.0, 0.3})
        for (bool accumulate : {false, true}) {
          const Case s{dtype, t, k, n, r, dropout, accumulate, accumulate ? 0 : 8};
          const auto actual = all_of(fast, s), expected = all_of(reference, s);
          const double u = unit_roundoff(dtype);
          const auto size = [](std::int64_t terms) { return std::sqrt(static_cast<double>(terms)); };
          const auto grain = [&](std::int64_t terms) { return 6 * u + static_cast<double>(terms) * 0x1p-24; };
          // How each is rounded, and how large the sums in it are: gains are near 2 / √k.
          const struct {
            const char* name;
            double tolerance, scale;
          } parts[] = {{"squared", static_cast<double>(k) * 0x1p-24, 0},
                       {"norm", grain(k + r), 1},
                       {"y", grain(k + r), size(k * r)},
                       {"kept", grain(k + r), size(k * r)},
                       {"dx", grain(n + r), size(n * r)},
                       {"da", grain(n + t), size(n * t)},
                       {"db", grain(k + t), size(k * t)},
                       {"dm", grain(k + t), size(t * r)},
                       {"dbias", static_cast<double>(t) * 0x1p-24, size(t)},
                       {"merged", grain(r), 1}};
          for (int i = 0; i < 10; ++i)
            expect_close(actual[i], expected[i], parts[i].tolerance, s.text() + " " + parts[i].name, parts[i].scale);
        }
}

TEST(Dora, FiniteDifferences) {
  const Context c(1);
  for (double dropout : {0.0, 0.4}) {
    Layer layer(c, {kF64, 4, 6, 5, 3, dropout});
    for (Tensor* gradient : {&layer.da, &layer.db, &layer.dm, &layer.dbias}) gradient->fill(0);
    layer.norms();  // a constant of the layer, so not made again below
    const auto objective = [&] {
      layer.forward();
      return dot(layer.dy.get(), layer.y.get());
    };
    objective();
    layer.backward();
    expect_gradient(layer.x, layer.dx.get(), objective, "dx");
    expect_gradient(layer.a, layer.da.get(), objective, "da");
    expect_gradient(layer.b, layer.db.get(), objective, "db");
    expect_gradient(layer.m, layer.dm.get(), objective, "dm");
    expect_gradient(layer.bias, layer.dbias.get(), objective, "dbias");
  }
}

TEST(Dora, SameBitsForAnyNumberOfThreads) {
  for (graft_dtype dtype : {kF32, kBf16}) {
    const Case s{dtype, 150, 600, 520, 8, 0.1};
    expect_same_bits([&](const Context& c) { return all_of(c, s); }, s.text());
  }
}

TEST(Dora, ARowOfZerosStaysZero) {
  for (const char* prefer : {"fast", "reference"}) {
    const Context c(2, prefer);
    Layer layer(c, {});
    layer.matrix.fill(0), layer.b.fill(0), layer.bias.fill(0), layer.dm.fill(0);
    layer.norms();
    layer.forward();
    layer.backward();
    for (double value : layer.y.get()) EXPECT_EQ(value, 0) << prefer;
    for (double value : layer.dm.get()) EXPECT_EQ(value, 0) << prefer;
  }
}

// y behind x is where lora keeps its S.
TEST(Dora, SparesTheColumnsBehindX) {
  const Context c(2);
  Layer layer(c, {kF32, 5, 9, 8, 3, 0, true});
  layer.norms();
  GRAFT_ASSERT_OK(graft_lora_pack(c, layer.a, layer.b, Layer::kScale, layer.w));
  Tensor both(c, kF32, {5, 17});
  Tensor x = both.view(0, {5, 9}, {17, 1}), y = both.view(9, {5, 8}, {17, 1});
  x.set(layer.x.get()), y.set(layer.y.get());
  layer.forward();
  GRAFT_ASSERT_OK(graft_dora_forward(c, x, layer.w, layer.a, layer.b, Layer::kScale, layer.m, layer.norm, layer.bias, 0,
                                     7, 11, 1, y, nullptr));
  expect_close(y.get(), layer.y.get(), 16 * 0x1p-24, "y");
}

TEST(Dora, EmptyAndNull) {
  for (const char* prefer : {"fast", "reference"}) {
    const Context c(2, prefer);
    EXPECT_TRUE(all_of(c, {kF32, 0, 6, 4, 2})[2].empty());
    EXPECT_EQ(all_of(c, {kBf16, 3, 6, 4, 0})[2].size(), 12u);
    Layer layer(c, {kF32, 40, 9, 7, 3, 0, false, 0});
    layer.norms();
    layer.forward();
    const std::vector<double> kept_y = layer.y.get();
    GRAFT_EXPECT_OK(graft_dora_forward(c, layer.x, layer.w, layer.a, layer.b, Layer::kScale, layer.m, layer.norm,
                                       layer.bias, 0, 0, 0, 0, layer.y, nullptr));
    EXPECT_EQ(layer.y.get(), kept_y);
    EXPECT_EQ(c.last_dispatch(), std::string("dora_forward:cpu/") + prefer);
    for (Tensor* gradient : {&layer.da, &layer.db, &layer.dm}) gradient->fill(0);
    layer.backward();
    const auto backward = [&](graft_tensor* x, graft_tensor* kept, graft_tensor* dx, graft_tensor* da, graft_tensor* db,
                              graft_tensor* dm) {
      for (Tensor* gradient : {&layer.da, &layer.db, &layer.dm}) gradient->fill(0);
      GRAFT_EXPECT_OK(graft_dora_backward(c, layer.dy, x, kept, layer.w, layer.a, layer.b, Layer::kScale, layer.m,
                                          layer.norm, 0, 0, 0, 0, dx, da, db, dm, nullptr));
    };
    const std::vector<double> dx = layer.dx.get(), da = layer.da.get(), db = layer.db.get(), dm = layer.dm.get();
    backward(nullptr, nullptr, layer.dx, nullptr, nullptr, nullptr);
    EXPECT_EQ(layer.dx.get(), dx);
    backward(layer.x, nullptr, nullptr, layer.da, nullptr, nullptr);
    EXPECT_EQ(layer.da.get(), da);
    backward(nullptr, layer.kept, nullptr, nullptr, layer.db, nullptr);
    EXPECT_EQ(layer.db.get(), db);
    backward(nullptr, layer.kept, nullptr, nullptr, nullptr, layer.dm);
    EXPECT_EQ(layer.dm.get(), dm);
    backward(nullptr, nullptr, nullptr, nullptr, nullptr, nullptr);
  }
}

TEST(Dora, MergesInPlace) {
  const Context c;
  Layer layer(c, {kBf16, 1, 30, 40, 3});
  layer.norms();
  Tensor merged(c, kBf16, {40, 30});
  GRAFT_ASSERT_OK(graft_dora_merge(c, layer.w, layer.a, layer.b, 0.75, layer.m, layer.norm, merged));
  GRAFT_ASSERT_OK(graft_dora_merge(c, layer.w, layer.a, layer.b, 0.75, layer.m, layer.norm, layer.matrix));
  EXPECT_EQ(layer.matrix.get(), merged.get());
}

TEST(Dora, BadArguments) {
  const Context c;
  Layer layer(c, {});  // 5 x 9 -> 7, r 3
  layer.norms();
  Tensor narrow(c, kF32, {5, 7}), bf16(c, kBf16, {5, 10}), three(c, kF32, {3});
  const auto forward = [&](const graft_tensor* m, const graft_tensor* norm, graft_tensor* kept) {
    return graft_dora_forward(c, layer.x, layer.w, layer.a, layer.b, 1, m, norm, nullptr, 0, 0, 0, 0, layer.y, kept);
  };
  expect_error(forward(nullptr, layer.norm, nullptr), GRAFT_INVALID_ARGUMENT, {"dora", "m is NULL"});
  expect_error(forward(three, layer.norm, nullptr), GRAFT_SHAPE_MISMATCH, {"m [3]", "[7]"});
  expect_error(forward(layer.m, three, nullptr), GRAFT_SHAPE_MISMATCH, {"norm [3]", "[7]"});
  expect_error(forward(layer.m, layer.norm, narrow), GRAFT_SHAPE_MISMATCH, {"kept [5, 7]", "[5, 10]"});
  expect_error(forward(layer.m, layer.norm, bf16), GRAFT_INVALID_ARGUMENT, {"kept", "bf16"});
  expect_error(forward(layer.m, layer.norm, layer.y), GRAFT_SHAPE_MISMATCH, {"kept"});
  expect_error(graft_dora_forward(c, layer.x, layer.w, layer.a, layer.b, 1, layer.m, layer.norm, nullptr, 1.5, 0, 0, 0,
                                  layer.y, nullptr),
               GRAFT_INVALID_ARGUMENT, {"dropout is 1.5"});
  const auto backward = [&](graft_tensor* kept, graft_tensor* dm, graft_tensor* db) {
    return graft_dora_backward(c, layer.dy, layer.x, kept, layer.w, layer.a, layer.b, 1, layer.m, layer.norm, 0, 0, 0,
                               0, nullptr, nullptr, db, dm, nullptr);
  };
  expect_error(backward(nullptr, layer.dm, nullptr), GRAFT_INVALID_ARGUMENT, {"kept is NULL", "dm"});
  expect_error(backward(nullptr, nullptr, layer.db), GRAFT_INVALID_ARGUMENT, {"kept is NULL", "db"});
  expect_error(backward(layer.kept, three, nullptr), GRAFT_SHAPE_MISMATCH, {"dm [3]", "[7]"});
  expect_error(backward(layer.kept, layer.m, nullptr), GRAFT_INVALID_ARGUMENT, {"dm", "overlaps", "m"});
  expect_error(graft_dora_norms(c, layer.w, three, layer.a, layer.b, 1, layer.norm), GRAFT_SHAPE_MISMATCH,
               {"squared [3]"});
  expect_error(graft_dora_norms(c, layer.w, layer.squared, layer.a, layer.b, NAN, layer.norm), GRAFT_INVALID_ARGUMENT,
               {"scale"});
  expect_error(graft_dora_squared_norms(c, layer.w, layer.x), GRAFT_SHAPE_MISMATCH, {"squared"});
}

}  // namespace
}  // namespace graft::test
