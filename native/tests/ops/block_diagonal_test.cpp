// block_diagonal: golden files, fast against reference, exact integers, finite differences, threads, missing and empty
// tensors, bad arguments.
#include <cmath>

#include "golden.h"
#include "gradients.h"
#include "tensors.h"

namespace graft::test {
namespace {

struct Case {
  graft_dtype dtype = kF32;
  std::int64_t t = 5, blocks = 3, n = 4;
  bool shared = false, accumulate = false, integers = false, ordered = false;
};

struct Layer : Activations {
  Layer(const Context& c, const Case& s)
      : Activations(c, s.dtype, s.t, s.blocks * s.n, s.blocks * s.n),
        c(c),
        s(s),
        r(c, sums_of(s.dtype), {s.shared ? 1 : s.blocks, s.n, s.n}),
        dr(c, sums_of(s.dtype), {s.shared ? 1 : s.blocks, s.n, s.n}),
        columns(c, GRAFT_DTYPE_I32, {s.blocks * s.n}) {
    std::vector<double> order(static_cast<std::size_t>(s.blocks * s.n));
    for (std::size_t i = 0; i < order.size(); ++i)  // the even columns and then the odd ones
      order[i] = static_cast<double>(i < (order.size() + 1) / 2 ? 2 * i : 2 * (i - (order.size() + 1) / 2) + 1);
    columns.set(order);
    fill({&x, &dy, &dx, &r, &dr}, s.integers);
  }
  graft_status forward() { return graft_block_diagonal_forward(c, x, r, order(), y); }
  graft_status backward() { return graft_block_diagonal_backward(c, dy, x, r, order(), s.accumulate, dx, dr); }
  const graft_tensor* order() const { return s.ordered ? static_cast<const graft_tensor*>(columns) : nullptr; }

  const Context& c;
  Case s;
  Tensor r, dr, columns;
};

std::vector<std::vector<double>> all_of(const Context& c, const Case& s) {
  Layer layer(c, s);
  GRAFT_EXPECT_OK(layer.forward());
  GRAFT_EXPECT_OK(layer.backward());
  return {layer.y.get(), layer.dx.get(), layer.dr.get()};
}

TEST(BlockDiagonal, GoldenFiles) {
  for (const std::string& path : golden_files("block_diagonal"))
    for (const char* prefer : {"fast", "reference"}) {
      auto g = golden(path);
      const Context c(2, prefer);
      const Shape &xs = g.at("x").shape, &rs = g.at("r").shape;
      Tensor x = load(c, kF32, g.at("x")), r = load(c, kF32, g.at("r")), dy = load(c, kF32, g.at("dy"));
      Tensor y(c, kF32, xs), dx(c, kF32, xs), dr(c, kF32, rs), columns(c, GRAFT_DTYPE_I64, {xs[1]});
      const bool ordered = g.count("columns") > 0;
      if (ordered) columns.set(g.at("columns").values);
      const graft_tensor* order = ordered ? static_cast<graft_tensor*>(columns) : nullptr;
      GRAFT_ASSERT_OK(graft_block_diagonal_forward(c, x, r, order, y));
      GRAFT_ASSERT_OK(graft_block_diagonal_backward(c, dy, x, r, order, 0, dx, dr));
      EXPECT_EQ(c.last_dispatch(), std::string("block_diagonal_backward:cpu/") + prefer);
      expect_close(y.get(), g.at("y").values, 1e-5, path + " y");
      expect_close(dx.get(), g.at("dx").values, 1e-5, path + " dx");
      expect_close(dr.get(), g.at("dr").values, 1e-5, path + " dr");
    }
}

TEST(BlockDiagonal, FastAgreesWithReference) {
  const Context fast(2, "fast"), reference(1, "reference");
  for (graft_dtype dtype : {kF32, kBf16})
    for (bool accumulate : {false, true})
      for (const auto& [shared, ordered] : {std::pair{false, false}, {true, false}, {false, true}, {true, true}})
        for (const auto& [t, blocks, n] :
             {std::tuple{1, 1, 1}, {1, 3, 5}, {64, 2, 7}, {67, 5, 12}, {130, 4, 32}, {20, 3, 70}, {0, 2, 3}}) {
          const Case s{dtype, t, blocks, n, shared, accumulate, false, ordered};
          const auto a = all_of(fast, s), b = all_of(reference, s);
          if (t == 0) {
            EXPECT_EQ(a, b);
            continue;
          }
          const auto near = [&](std::size_t i, std::int64_t terms, const char* what) {
            const double bound = 3 * unit_roundoff(dtype) + static_cast<double>(terms) * 0x1p-24;
            expect_close(a[i], b[i], bound, what, std::sqrt(static_cast<double>(terms)));
          };
          near(0, n + 1, "y"), near(1, n + 2, "dx"), near(2, t * (shared ? blocks : 1), "dr");
        }
}

TEST(BlockDiagonal, IntegersAreExact) {
  const Context fast(2, "fast"), reference(1, "reference");
  for (bool shared : {false, true}) {
    const Case s{kF32, 70, 3, 6, shared, true, true, shared};
    EXPECT_EQ(all_of(fast, s), all_of(reference, s));
  }
}

TEST(BlockDiagonal, FiniteDifferences) {
  const Context c(1);
  for (bool shared : {false, true}) {
    Layer layer(c, {kF64, 3, 2, 3, shared, false, false, !shared});
    const auto objective = [&] {
      EXPECT_EQ(layer.forward(), GRAFT_OK);
      return dot(layer.dy.get(), layer.y.get());
    };
    layer.dr.fill(0);
    GRAFT_ASSERT_OK(layer.backward());
    expect_gradient(layer.r, layer.dr.get(), objective, "dr");
    Tensor x(c, kF64, {3, 6});
    x.set(layer.x.get());
    const auto input = [&] {
      EXPECT_EQ(graft_block_diagonal_forward(c, x, layer.r, layer.order(), layer.y), GRAFT_OK);
      return dot(layer.dy.get(), layer.y.get());
    };
    expect_gradient(x, layer.dx.get(), input, "dx");
  }
}

TEST(BlockDiagonal, SameBitsForAnyNumberOfThreads) {
  for (graft_dtype dtype : {kF32, kBf16})
    for (bool shared : {false, true}) {
      const Case s{dtype, 300, 6, 10, shared, true, false, shared};
      expect_same_bits([&](const Context& c) { return all_of(c, s); });
    }
}

TEST(BlockDiagonal, MissingOutputsAndBadArguments) {
  const Context c;
  Layer l(c, {});
  const auto all = all_of(c, l.s);
  GRAFT_EXPECT_OK(graft_block_diagonal_backward(c, l.dy, nullptr, l.r, nullptr, 0, l.dx, nullptr));
  GRAFT_EXPECT_OK(graft_block_diagonal_backward(c, l.dy, l.x, l.r, nullptr, 0, nullptr, l.dr));
  EXPECT_EQ(l.dx.get(), all[1]);
  EXPECT_EQ(l.dr.get(), all[2]);
  Tensor two(c, kF32, {2, 4, 4}), oblong(c, kF32, {3, 4, 5}), bf16(c, kBf16, {5, 12}), five(c, kF32, {1, 5, 5});
  expect_error(graft_block_diagonal_forward(c, l.x, nullptr, nullptr, l.y), GRAFT_INVALID_ARGUMENT, {"r is NULL"});
  expect_error(graft_block_diagonal_forward(c, l.x, two, nullptr, l.y), GRAFT_SHAPE_MISMATCH,
               {"r [2, 4, 4]", "12 columns"});
  expect_error(graft_block_diagonal_forward(c, l.x, five, nullptr, l.y), GRAFT_SHAPE_MISMATCH,
               {"r [1, 5, 5]", "12 columns"});
  expect_error(graft_block_diagonal_forward(c, l.x, oblong, nullptr, l.y), GRAFT_SHAPE_MISMATCH, {"r [3, 4, 5]"});
  expect_error(graft_block_diagonal_forward(c, l.x, l.r, nullptr, bf16), GRAFT_INVALID_ARGUMENT, {"y", "bf16"});
  expect_error(graft_block_diagonal_forward(c, l.x, l.r, nullptr, l.x), GRAFT_INVALID_ARGUMENT, {"y", "overlaps"});
  expect_error(graft_block_diagonal_backward(c, l.dy, nullptr, l.r, nullptr, 0, l.dx, l.dr), GRAFT_INVALID_ARGUMENT,
               {"x is NULL"});
  expect_error(graft_block_diagonal_backward(c, l.dy, l.x, l.r, nullptr, 0, l.dx, two), GRAFT_SHAPE_MISMATCH,
               {"dr [2, 4, 4]"});
  Tensor twice(c, GRAFT_DTYPE_I64, {12}), few(c, GRAFT_DTYPE_I64, {11});
  twice.set({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 3});
  expect_error(graft_block_diagonal_forward(c, l.x, l.r, twice, l.y), GRAFT_INVALID_ARGUMENT,
               {"columns[11] is 3", "before"});
  twice.set({0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12});
  expect_error(graft_block_diagonal_forward(c, l.x, l.r, twice, l.y), GRAFT_INVALID_ARGUMENT, {"columns", "12"});
  expect_error(graft_block_diagonal_forward(c, l.x, l.r, few, l.y), GRAFT_SHAPE_MISMATCH, {"columns [11]", "[12]"});
  expect_error(graft_block_diagonal_forward(c, l.x, l.r, l.x, l.y), GRAFT_INVALID_ARGUMENT, {"columns", "f32"});
}

}  // namespace
}  // namespace graft::test
