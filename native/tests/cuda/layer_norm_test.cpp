// layer_norm on the CUDA device: against float64, in every dtype, over odd, empty and large shapes and many schedules.
#include "schedules.h"

namespace graft::test {
namespace {

struct Result {
  std::vector<double> y, stats, dx, dw, db;
};

Result run(const Context& c, graft_dtype storage, graft_dtype values, std::int64_t rows, std::int64_t columns,
           bool accumulate, graft_dtype weights, std::int64_t pitch = 0) {
  const graft_dtype sums = sums_of(storage);
  const Shape matrix = {rows, columns};
  Tensor x = input(c, storage, values, matrix, 1, pitch), w = input(c, weights, values, {columns}, 2);
  Tensor b = input(c, weights, values, {columns}, 3), dy = input(c, storage, values, matrix, 4, pitch);
  Tensor dx = input(c, storage, values, matrix, 5, pitch), y(c, storage, matrix, pitch), stats(c, sums, {rows, 2});
  Tensor dw = input(c, sums, values, {columns}, 6), db = input(c, sums, values, {columns}, 7);
  GRAFT_EXPECT_OK(graft_layer_norm_forward(c, x, w, b, 1e-5, y, stats));
  GRAFT_EXPECT_OK(graft_layer_norm_backward(c, dy, x, w, stats, accumulate, dx, dw, db));
  GRAFT_EXPECT_OK(graft_context_synchronize(c));
  return {y.get(), stats.get(), dx.get(), dw.get(), db.get()};
}

void compare(graft_dtype dtype, std::int64_t rows, std::int64_t columns, bool accumulate, std::int64_t pitch, int seeds,
             graft_dtype weights) {
  SCOPED_TRACE(std::string(name(dtype)) + " " + std::to_string(rows) + " x " + std::to_string(columns));
  const Context cpu(1, "reference"), cuda(GRAFT_DEVICE_CUDA);
  const Result exact = run(cpu, kF64, dtype, rows, columns, accumulate, kF64);
  const Result plain = run(cpu, dtype, dtype, rows, columns, accumulate, weights, pitch);
  Result first;
  for_schedules(seeds, [&] {
    const Result actual = run(cuda, dtype, dtype, rows, columns, accumulate, weights, pitch);
    const double u = unit_roundoff(dtype), sum = unit_roundoff(kF32);
    expect_as_good(actual.y, plain.y, exact.y, u, "y");
    expect_as_good(actual.stats, plain.stats, exact.stats, sum, "stats");
    expect_as_good(actual.dx, plain.dx, exact.dx, u, "dx");
    expect_as_good(actual.dw, plain.dw, exact.dw, sum, "dw");
    expect_as_good(actual.db, plain.db, exact.db, sum, "db");
    if (first.dw.empty()) first = actual;
    EXPECT_TRUE(actual.dx == first.dx && actual.dw == first.dw);
  });
}

void compare(graft_dtype dtype, std::int64_t rows, std::int64_t columns, bool accumulate, std::int64_t pitch,
             int seeds) {
  compare(dtype, rows, columns, accumulate, pitch, seeds, dtype);
}

TEST(CudaLayerNorm, AgreesWithFloat64) {
  for (graft_dtype dtype : {kF32, kBf16, kF16}) {
    for (bool accumulate : {false, true}) {
      compare(dtype, 3, 257, accumulate, 300, 1);
      compare(dtype, 5, 64, accumulate, 0, 1);
      compare(dtype, 3, 40, accumulate, 0, 1, kF32);
      compare(dtype, 0, 7, accumulate, 0, 1);
    }
  }
  compare(kF32, 1030, 33, false, 0, 1);  // more rows than groups
}

TEST(CudaLayerNorm, ManySchedules) { compare(kBf16, 3, 300, false, 0, 20); }

TEST(CudaLayerNorm, AliasAndNull) {
  const Context cpu(1, "reference"), cuda(GRAFT_DEVICE_CUDA);
  std::vector<double> y[2], dx[2], db[2];
  for (const Context* c : {&cpu, &cuda}) {
    Tensor x = input(*c, kF32, kF32, {4, 70}, 1), w = input(*c, kF32, kF32, {70}, 2), stats(*c, kF32, {4, 2});
    Tensor dy = input(*c, kF32, kF32, {4, 70}, 3), sums(*c, kF32, {70}), again = input(*c, kF32, kF32, {4, 70}, 1);
    GRAFT_EXPECT_OK(graft_layer_norm_forward(*c, x, w, nullptr, 1e-5, again, stats));
    GRAFT_EXPECT_OK(graft_layer_norm_backward(*c, dy, x, w, stats, 0, dy, nullptr, sums));
    GRAFT_EXPECT_OK(graft_layer_norm_forward(*c, x, w, nullptr, 1e-5, x, nullptr));
    GRAFT_EXPECT_OK(graft_context_synchronize(*c));
    EXPECT_EQ(x.get(), again.get());
    y[c == &cuda] = x.get(), dx[c == &cuda] = dy.get(), db[c == &cuda] = sums.get();
  }
  expect_close(y[1], y[0], 1e-5, "y");
  expect_close(dx[1], dx[0], 1e-5, "dx");
  expect_close(db[1], db[0], 1e-5, "db");
}

}  // namespace
}  // namespace graft::test
