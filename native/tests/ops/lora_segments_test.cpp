// lora_segments: each segment is lora of its rows, the fast path against the reference, exact integers, finite
// differences with dropout, weights of codes, empty segments, threads, missing outputs, aliasing, bad arguments.
#include <algorithm>
#include <cmath>
#include <memory>

#include "gradients.h"
#include "lora_result.h"
#include "tensors.h"

namespace graft::test {
namespace {

struct Segment {
  int end, adapter;
};

struct Case {
  graft_dtype dtype = GRAFT_DTYPE_F32;
  std::int64_t k = 20, n = 12;
  std::vector<int> ranks = {3, 1, 4};
  std::vector<Segment> segments = {{3, 1}, {4, -1}, {9, 0}};
  double dropout = 0;
  bool accumulate = false, integers = false;
  std::uint64_t offset = 0;
  graft_weight_kind kind = GRAFT_WEIGHT_DENSE;

  std::int64_t rows() const { return segments.empty() ? 0 : segments.back().end; }
  std::int64_t all_ranks() const {
    std::int64_t sum = 0;
    for (int rank : ranks) sum += rank;
    return sum;
  }
  std::int64_t largest() const { return ranks.empty() ? 0 : *std::max_element(ranks.begin(), ranks.end()); }
  double scale(std::size_t adapter) const { return integers ? 2 : 0.75 + static_cast<double>(adapter); }
  std::string text() const {
    return std::string(name(dtype)) + " " + std::to_string(rows()) + "x" + std::to_string(k) + "->" +
           std::to_string(n) + " " + std::to_string(segments.size()) + " segments, kind " + std::to_string(kind) +
           " p " + std::to_string(dropout) + (accumulate ? " accumulate" : "");
  }
};

// The tensors of one layer, filled.
struct Layer {
  graft_dtype sums;
  Tensor x, y, s, dy, dx, a, b, da, db, bias, dbias, segments, ranks, scales, matrix, table;
  std::unique_ptr<Weight> w;

  Layer(const Context& c, const Case& l)
      : sums(sums_of(l.dtype)),
        x(c, l.dtype, {l.rows(), l.k}, l.k + 3),
        y(c, l.dtype, {l.rows(), l.n}),
        s(c, l.dtype, {l.rows(), l.largest()}),
        dy(c, l.dtype, {l.rows(), l.n}, l.n + 1),
        dx(c, l.dtype, {l.rows(), l.k}),
        a(c, sums, {l.all_ranks(), l.k}),
        b(c, sums, {l.n, l.all_ranks()}, l.all_ranks() + 2),
        da(c, sums, {l.all_ranks(), l.k}),
        db(c, sums, {l.n, l.all_ranks()}),
        bias(c, sums, {l.n}),
        dbias(c, sums, {l.n}),
        segments(c, GRAFT_DTYPE_I32, {static_cast<std::int64_t>(l.segments.size()), 2}),
        ranks(c, GRAFT_DTYPE_I32, {static_cast<std::int64_t>(l.ranks.size())}),
        scales(c, GRAFT_DTYPE_F64, {static_cast<std::int64_t>(l.ranks.size())}),
        matrix(c, l.kind == GRAFT_WEIGHT_DENSE ? l.dtype : sums, {l.n, l.k}),
        table(c, sums, {l.n, 1, 16}) {
    fill({&x, &matrix, &dy, &a, &b, &bias, &y, &dx, &da, &db, &dbias, &table}, l.integers, 1);
    auto* places = static_cast<std::int32_t*>(segments->data);
    for (std::size_t g = 0; g < l.segments.size(); ++g) {
      places[2 * g] = l.segments[g].end;
      places[2 * g + 1] = l.segments[g].adapter;
    }
    for (std::size_t e = 0; e < l.ranks.size(); ++e) {
      static_cast<std::int32_t*>(ranks->data)[e] = l.ranks[e];
      static_cast<double*>(scales->data)[e] = l.scale(e);
    }
    if (l.kind == GRAFT_WEIGHT_SKETCH) {
      w = std::make_unique<Weight>(c, table, l.k);
      const graft_tensor& codes = (*w)->storage;
      auto* bytes = static_cast<std::uint8_t*>(codes.data);
      for (std::int64_t i = 0; i < codes.shape[0] * codes.stride[0]; ++i) bytes[i] = static_cast<std::uint8_t>(37 * i);
    } else if (l.kind == GRAFT_WEIGHT_NF4) {
      w = std::make_unique<Weight>(c, Nf4{true}, l.n, l.k);
      GRAFT_EXPECT_OK(graft_nf4_quantize(c, matrix, *w));
    } else {
      w = std::make_unique<Weight>(c, l.dtype, l.n, l.k, 2);
      w->matrix().set(matrix.get());
    }
  }

  graft_status forward(const Context& c, const Case& l) {
    return graft_lora_segments_forward(c, x, *w, segments, ranks, scales, a, b, bias, l.dropout, 77, l.offset,
                                       l.accumulate, y, s);
  }

  graft_status backward(const Context& c, const Case& l) {
    return graft_lora_segments_backward(c, dy, x, s, *w, segments, ranks, scales, a, b, l.dropout, 77, l.offset,
                                        l.accumulate, dx, da, db, dbias);
  }
};

LoraResult run(const Context& c, const Case& l, const char* implementation) {
  GRAFT_EXPECT_OK(graft_context_prefer(c, nullptr));
  Layer layer(c, l);
  GRAFT_EXPECT_OK(graft_context_prefer(c, implementation));
  GRAFT_EXPECT_OK(layer.forward(c, l));
  GRAFT_EXPECT_OK(layer.backward(c, l));
  GRAFT_EXPECT_OK(graft_context_prefer(c, nullptr));
  return {layer.y.get(), layer.s.get(), layer.dx.get(), layer.da.get(), layer.db.get(), layer.dbias.get()};
}

// Copies of rows and columns.
Tensor copy(const Context& c, const Tensor& from, std::int64_t row, std::int64_t column, std::int64_t rows,
            std::int64_t columns) {
  const Tensor view =
      from.view(row * from.operator->()->stride[0] + column, {rows, columns}, {from.operator->()->stride[0], 1});
  Tensor to(c, from.operator->()->dtype, {rows, columns});
  to.set(view.get());
  return to;
}

TEST(LoraSegments, EachSegmentIsLoraOfItsRows) {
  const Context c(2);
  for (double dropout : {0.0, 0.3})
    for (graft_weight_kind kind : {GRAFT_WEIGHT_DENSE, GRAFT_WEIGHT_NF4}) {
      Case l;
      l.dtype = GRAFT_DTYPE_F64, l.dropout = dropout, l.offset = 5, l.kind = kind;
      l.segments = {{3, 1}, {4, -1}, {4, 2}, {9, 0}, {11, 1}};
      Layer layer(c, l);
      layer.da.fill(0), layer.db.fill(0), layer.dbias.fill(0);
      GRAFT_ASSERT_OK(layer.forward(c, l));
      GRAFT_ASSERT_OK(layer.backward(c, l));
      Tensor da(c, layer.sums, {8, l.k}), db(c, layer.sums, {l.n, 8}), dbias(c, layer.sums, {l.n});
      std::int64_t begin = 0;
      for (const Segment& segment : l.segments) {
        const std::int64_t rows = segment.end - begin;
        if (rows == 0) continue;
        const std::int64_t starts[] = {0, 3, 4}, e = segment.adapter;
        const std::int64_t first = e < 0 ? 0 : starts[e], rank = e < 0 ? 0 : l.ranks[static_cast<std::size_t>(e)];
        const double scale = e < 0 ? 1 : l.scale(static_cast<std::size_t>(e));
        const Tensor x = copy(c, layer.x, begin, 0, rows, l.k), dy = copy(c, layer.dy, begin, 0, rows, l.n);
        const Tensor a = copy(c, layer.a, first, 0, rank, l.k), b = copy(c, layer.b, 0, first, l.n, rank);
        Tensor y(c, l.dtype, {rows, l.n}), s(c, l.dtype, {rows, rank}), dx(c, l.dtype, {rows, l.k});
        const std::uint64_t offset = l.offset + static_cast<std::uint64_t>(begin * l.k);
        GRAFT_ASSERT_OK(graft_lora_forward(c, x, *layer.w, a, b, scale, layer.bias, dropout, 77, offset, 0, y, s));
        GRAFT_ASSERT_OK(graft_lora_backward(c, dy, x, s, *layer.w, a, b, scale, dropout, 77, offset, 0, dx,
                                            da.view(first * l.k, {rank, l.k}, {l.k, 1}),
                                            db.view(first, {l.n, rank}, {8, 1}), dbias));
        EXPECT_EQ(copy(c, layer.y, begin, 0, rows, l.n).get(), y.get()) << l.text();
        EXPECT_EQ(copy(c, layer.s, begin, 0, rows, rank).get(), s.get()) << l.text();
        EXPECT_EQ(copy(c, layer.dx, begin, 0, rows, l.k).get(), dx.get()) << l.text();
        begin = segment.end;
      }
      expect_close(layer.da.get(), da.get(), 1e-14, l.text() + " da");
      expect_close(layer.db.get(), db.get(), 1e-14, l.text() + " db");
      expect_close(layer.dbias.get(), dbias.get(), 1e-14, l.text() + " dbias");
    }
}

TEST(LoraSegments, FastAgreesWithReference) {
  const Context c(2);
  const std::vector<std::vector<Segment>> mixes = {
      {{1, 0}}, {{7, 1}, {9, -1}, {80, 0}, {81, 2}, {150, 1}}, {{0, 0}, {5, 2}, {5, -1}, {67, 0}, {67, 1}}};
  for (graft_dtype dtype : {GRAFT_DTYPE_F32, GRAFT_DTYPE_BF16, GRAFT_DTYPE_F16})
    for (auto [k, n] : {std::pair{64, 40}, {7, 5}, {65, 33}, {300, 270}})
      for (const std::vector<Segment>& segments : mixes)
        for (double dropout : {0.0, 0.3})
          for (int variant = 0; variant < 4; ++variant) {
            if (k == 300 && (variant > 0 || &segments != &mixes[1])) continue;  // slow by the plain loops
            Case l{dtype, k, n, {5, 8, 1}, segments, dropout, variant == 1, false, 3};
            if (variant == 2) l.kind = GRAFT_WEIGHT_NF4;
            if (variant == 3) l.kind = GRAFT_WEIGHT_SKETCH;
            const std::int64_t t = l.rows(), r = 8;
            const LoraResult expected = run(c, l, "reference"), actual = run(c, l, nullptr);
            const double u = unit_roundoff(dtype);
            // Every operand and result is rounded once to the type; sums have so many terms, each below 2 in size, and
            // scales are below 3.
            const auto bound = [&](std::int64_t terms) { return 4 * u + static_cast<double>(terms) * 0x1p-24; };
            const auto size = [](std::int64_t terms) { return 3 * std::sqrt(static_cast<double>(terms)); };
            expect_close(actual.y, expected.y, bound(k + r), l.text() + " y", size(k * r));
            expect_close(actual.s, expected.s, bound(k), l.text() + " s", size(k));
            expect_close(actual.dx, expected.dx, bound(n + r), l.text() + " dx", size(n * r));
            expect_close(actual.da, expected.da, bound(n + t), l.text() + " da", size(n * t));
            expect_close(actual.db, expected.db, bound(k + t), l.text() + " db", size(k * t));
            expect_close(actual.dbias, expected.dbias, static_cast<double>(t) * 0x1p-23, l.text() + " dbias", size(t));
          }
}

TEST(LoraSegments, TheFastPathServesAllWeights) {
  const Context c(2);
  for (graft_dtype dtype : {GRAFT_DTYPE_F32, GRAFT_DTYPE_BF16})
    for (graft_weight_kind kind : {GRAFT_WEIGHT_DENSE, GRAFT_WEIGHT_NF4, GRAFT_WEIGHT_SKETCH}) {
      Case l;
      l.dtype = dtype, l.kind = kind, l.k = 64;
      Layer layer(c, l);
      GRAFT_EXPECT_OK(layer.forward(c, l));
      EXPECT_EQ(c.last_dispatch(), "lora_segments_forward:cpu/fast");
      GRAFT_EXPECT_OK(layer.backward(c, l));
      EXPECT_EQ(c.last_dispatch(), "lora_segments_backward:cpu/fast");
    }
}

TEST(LoraSegments, IntegersAreExact) {
  const Context c(2);
  for (graft_dtype dtype : {GRAFT_DTYPE_F32, GRAFT_DTYPE_BF16})
    for (double dropout : {0.0, 0.5})  // kept values are doubled
      for (std::uint64_t offset : {0, 1, 1001})
        for (bool accumulate : {false, true}) {
          Case l{dtype, 13, 9, {2, 1, 2}, {{1, 2}, {3, 0}, {4, 1}, {6, 2}}, dropout, accumulate, true, offset};
          if (dtype == GRAFT_DTYPE_F32) l.k = 271, l.n = 100, l.segments.push_back({140, 0});
          expect_equal(run(c, l, nullptr), run(c, l, "reference"), l.text());
        }
}

TEST(LoraSegments, FiniteDifferences) {
  const Context c(1);
  for (double dropout : {0.0, 0.4}) {
    Case l{GRAFT_DTYPE_F64, 7, 6, {3, 2}, {{2, 1}, {3, -1}, {6, 0}, {7, 1}}, dropout, false, false, 9};
    Layer layer(c, l);
    layer.da.fill(0), layer.db.fill(0), layer.dbias.fill(0);
    const auto objective = [&] {
      EXPECT_EQ(layer.forward(c, l), GRAFT_OK);
      return dot(layer.dy.get(), layer.y.get());
    };
    objective();
    GRAFT_ASSERT_OK(layer.backward(c, l));
    Tensor x(c, l.dtype, {7, 7}), b(c, l.dtype, {6, 5});  // without a pitch, for the differences
    x.set(layer.x.get()), b.set(layer.b.get());
    const auto compact = [&] {
      EXPECT_EQ(graft_lora_segments_forward(c, x, *layer.w, layer.segments, layer.ranks, layer.scales, layer.a, b,
                                            layer.bias, dropout, 77, l.offset, 0, layer.y, layer.s),
                GRAFT_OK);
      return dot(layer.dy.get(), layer.y.get());
    };
    expect_gradient(x, layer.dx.get(), compact, "dx");
    expect_gradient(layer.a, layer.da.get(), objective, "da");
    expect_gradient(b, layer.db.get(), compact, "db");
    expect_gradient(layer.bias, layer.dbias.get(), objective, "dbias");
  }
}

TEST(LoraSegments, SameBitsForAnyNumberOfThreads) {
  for (graft_dtype dtype : {GRAFT_DTYPE_F32, GRAFT_DTYPE_BF16})
    for (double dropout : {0.0, 0.1})
      for (graft_weight_kind kind : {GRAFT_WEIGHT_DENSE, GRAFT_WEIGHT_NF4}) {
        Case l{dtype, 600, 520, {8, 3}, {{70, 1}, {71, 0}, {190, 0}, {200, -1}, {333, 1}}, dropout};
        l.kind = kind;
        expect_same_bits([&](const Context& c) { return run(c, l, nullptr); }, l.text());
      }
}

TEST(LoraSegments, RowsWithoutAnAdapterAreThoseOfTheFrozenLayer) {
  const Context c(2);
  for (graft_dtype dtype : {GRAFT_DTYPE_F32, GRAFT_DTYPE_BF16})
    for (int variant = 0; variant < 3; ++variant) {
      Case l;
      l.dtype = dtype;
      if (variant == 0) l.segments = {{4, -1}, {4, 0}, {70, -1}};
      if (variant == 1) l.ranks = {0, 0}, l.segments = {{30, 1}, {70, 0}};
      if (variant == 2) l.ranks = {}, l.segments = {{70, -1}};
      Layer layer(c, l);
      Tensor y(c, dtype, {70, l.n}), dx(c, dtype, {70, l.k}), dbias(c, GRAFT_DTYPE_F32, {l.n});
      dbias.set(layer.dbias.get());
      const std::vector<double> da = layer.da.get(), db = layer.db.get();
      GRAFT_ASSERT_OK(graft_linear_forward(c, layer.x, *layer.w, layer.bias, 0, y));
      GRAFT_ASSERT_OK(graft_linear_backward(c, layer.dy, layer.x, *layer.w, 0, dx, nullptr, dbias));
      GRAFT_ASSERT_OK(layer.forward(c, l));
      GRAFT_ASSERT_OK(layer.backward(c, l));
      EXPECT_EQ(layer.y.get(), y.get()) << l.text();
      EXPECT_EQ(layer.dx.get(), dx.get()) << l.text();
      EXPECT_EQ(layer.dbias.get(), dbias.get()) << l.text();
      EXPECT_EQ(layer.da.get(), da) << l.text();
      EXPECT_EQ(layer.db.get(), db) << l.text();
    }
}

TEST(LoraSegments, NoRows) {
  const Context c;
  for (const std::vector<Segment>& segments : {std::vector<Segment>{}, {{0, 1}, {0, -1}}}) {
    Case l;
    l.segments = segments;
    EXPECT_TRUE(run(c, l, nullptr).y.empty());
    EXPECT_TRUE(run(c, l, "reference").dx.empty());
  }
}

TEST(LoraSegments, EachOutputMayBeMissing) {
  const Context c(2);
  for (double dropout : {0.0, 0.3})
    for (const char* path : {"fast", "reference"}) {
      Case l;
      l.dropout = dropout;
      Layer layer(c, l);
      GRAFT_ASSERT_OK(graft_context_prefer(c, path));
      GRAFT_ASSERT_OK(layer.forward(c, l));
      const std::vector<double> y = layer.y.get();
      GRAFT_ASSERT_OK(graft_lora_segments_forward(c, layer.x, *layer.w, layer.segments, layer.ranks, layer.scales,
                                                  layer.a, layer.b, layer.bias, dropout, 77, 0, 0, layer.y, nullptr));
      EXPECT_EQ(layer.y.get(), y) << path;
      const auto backward = [&](graft_tensor* dx, graft_tensor* da, graft_tensor* db) {
        layer.da.fill(0), layer.db.fill(0), layer.dx.fill(0);
        GRAFT_EXPECT_OK(graft_lora_segments_backward(
            c, layer.dy, da != nullptr ? static_cast<graft_tensor*>(layer.x) : nullptr,
            db != nullptr ? static_cast<graft_tensor*>(layer.s) : nullptr, *layer.w, layer.segments, layer.ranks,
            layer.scales, layer.a, layer.b, dropout, 77, 0, 0, dx, da, db, nullptr));
      };
      backward(layer.dx, layer.da, layer.db);
      const std::vector<double> dx = layer.dx.get(), da = layer.da.get(), db = layer.db.get();
      backward(layer.dx, nullptr, nullptr);
      EXPECT_EQ(layer.dx.get(), dx) << path;
      backward(nullptr, layer.da, nullptr);
      EXPECT_EQ(layer.da.get(), da) << path;
      backward(nullptr, nullptr, layer.db);
      EXPECT_EQ(layer.db.get(), db) << path;
      backward(nullptr, nullptr, nullptr);
      GRAFT_ASSERT_OK(graft_context_prefer(c, nullptr));
    }
}

TEST(LoraSegments, BadArguments) {
  const Context c;
  const auto expect = [&](graft_status status, const std::vector<std::string>& words, auto&& spoil) {
    Case l;
    Layer layer(c, l);
    spoil(l, layer);
    expect_error(layer.forward(c, l), status, words);
    expect_error(layer.backward(c, l), status, words);
  };
  const auto place = [](Layer& layer) { return static_cast<std::int32_t*>(layer.segments->data); };
  expect(GRAFT_INVALID_ARGUMENT, {"segment 1", "row 2", "3..9"}, [&](Case&, Layer& l) { place(l)[2] = 2; });
  expect(GRAFT_INVALID_ARGUMENT, {"segment 2", "row 10", "4..9"}, [&](Case&, Layer& l) { place(l)[4] = 10; });
  expect(GRAFT_INVALID_ARGUMENT, {"segment 0", "row -1"}, [&](Case&, Layer& l) { place(l)[0] = -1; });
  expect(GRAFT_INVALID_ARGUMENT, {"end at row 8", "9 rows"}, [&](Case&, Layer& l) { place(l)[4] = 8; });
  expect(GRAFT_INVALID_ARGUMENT, {"segment 1", "adapter 3", "-1..2"}, [&](Case&, Layer& l) { place(l)[3] = 3; });
  expect(GRAFT_INVALID_ARGUMENT, {"segment 2", "adapter -2"}, [&](Case&, Layer& l) { place(l)[5] = -2; });
  expect(GRAFT_SHAPE_MISMATCH, {"add up to 9", "a [8, 20]"},
         [](Case&, Layer& l) { static_cast<std::int32_t*>(l.ranks->data)[1] = 2; });
  expect(GRAFT_INVALID_ARGUMENT, {"ranks[0]", "-3"},
         [](Case&, Layer& l) { static_cast<std::int32_t*>(l.ranks->data)[0] = -3; });
  expect(GRAFT_INVALID_ARGUMENT, {"scales"},
         [](Case&, Layer& l) { static_cast<double*>(l.scales->data)[2] = INFINITY; });
  expect(GRAFT_INVALID_ARGUMENT, {"dropout is 1"}, [](Case& l, Layer&) { l.dropout = 1; });

  Case l;
  Layer layer(c, l);
  Tensor wide(c, GRAFT_DTYPE_F32, {9, 5}), floats(c, GRAFT_DTYPE_F32, {3, 2}), few(c, GRAFT_DTYPE_F64, {2});
  const auto forward = [&](const graft_tensor* x, const graft_tensor* segments, const graft_tensor* ranks,
                           const graft_tensor* scales, graft_tensor* y, graft_tensor* s) {
    return graft_lora_segments_forward(c, x, *layer.w, segments, ranks, scales, layer.a, layer.b, nullptr, 0, 0, 0, 0,
                                       y, s);
  };
  const graft_tensor *segments = layer.segments, *ranks = layer.ranks, *scales = layer.scales;
  expect_error(forward(nullptr, segments, ranks, scales, layer.y, layer.s), GRAFT_INVALID_ARGUMENT, {"x is NULL"});
  expect_error(forward(layer.x, nullptr, ranks, scales, layer.y, layer.s), GRAFT_INVALID_ARGUMENT,
               {"segments is NULL"});
  expect_error(forward(layer.x, segments, nullptr, scales, layer.y, layer.s), GRAFT_INVALID_ARGUMENT,
               {"ranks is NULL"});
  expect_error(forward(layer.x, floats, ranks, scales, layer.y, layer.s), GRAFT_INVALID_ARGUMENT, {"segments", "i32"});
  expect_error(forward(layer.x, ranks, ranks, scales, layer.y, layer.s), GRAFT_SHAPE_MISMATCH, {"segments [3]"});
  expect_error(forward(layer.x, segments, ranks, few, layer.y, layer.s), GRAFT_SHAPE_MISMATCH, {"scales [2]"});
  expect_error(forward(layer.x, segments, ranks, scales, layer.y, wide), GRAFT_SHAPE_MISMATCH, {"s [9, 5]", "[9, 4]"});
  expect_error(forward(layer.x, segments, ranks, scales, layer.x, layer.s), GRAFT_SHAPE_MISMATCH, {"y [9, 20]"});
  Tensor square(c, GRAFT_DTYPE_F32, {9, 20});
  const Weight same(c, GRAFT_DTYPE_F32, 20, 20);
  Tensor b(c, GRAFT_DTYPE_F32, {20, 8});
  expect_error(graft_lora_segments_forward(c, square, same, segments, ranks, scales, layer.a, b, nullptr, 0, 0, 0, 0,
                                           square, nullptr),
               GRAFT_INVALID_ARGUMENT, {"y", "overlaps", "x"});
  expect_error(graft_lora_segments_backward(c, square, square, nullptr, same, segments, ranks, scales, layer.a, b, 0, 0,
                                            0, 0, square, nullptr, nullptr, nullptr),
               GRAFT_INVALID_ARGUMENT, {"dx", "overlaps", "dy"});
  expect_error(graft_lora_segments_backward(c, layer.dy, nullptr, layer.s, *layer.w, segments, ranks, scales, layer.a,
                                            layer.b, 0, 0, 0, 0, nullptr, layer.da, nullptr, nullptr),
               GRAFT_INVALID_ARGUMENT, {"x is NULL", "da"});
  expect_error(graft_lora_segments_backward(c, layer.dy, layer.x, nullptr, *layer.w, segments, ranks, scales, layer.a,
                                            layer.b, 0, 0, 0, 0, nullptr, nullptr, layer.db, nullptr),
               GRAFT_INVALID_ARGUMENT, {"s is NULL", "db"});
  expect_error(graft_lora_segments_backward(c, layer.dy, layer.x, layer.s, *layer.w, segments, ranks, scales, layer.a,
                                            layer.b, 0, 0, 0, 0, nullptr, layer.a, nullptr, nullptr),
               GRAFT_INVALID_ARGUMENT, {"da", "overlaps", "a"});
}

}  // namespace
}  // namespace graft::test
