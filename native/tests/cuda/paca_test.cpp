// paca on the CUDA device: against float64, in place and beside dense and NF4 weights; columns in any order, repeated
// ones beside a slab, i32 and i64, more of them than a pass holds, NULL outputs, empty shapes, and indices outside.
#include <optional>

#include "coded.h"

namespace graft::test {
namespace {

struct Case {
  graft_dtype dtype, ids;
  std::int64_t rows, n, k, rank;
  bool accumulate = false, nf4 = false;
};

struct Result {
  std::vector<double> y, x_i, dx, dd, dbias, read, written, norms;
};

constexpr double kScale = 1.5;

Tensor columns(const Context& c, const Case& n, bool repeat) {
  Tensor indices(c, n.ids, {n.rank});
  std::vector<double> values;
  for (std::int64_t j = 0; j < n.rank; ++j) values.push_back(static_cast<double>((j * 5 + 2) % n.k));
  if (repeat && n.rank > 2) values[2] = values[0];
  indices.set(values);
  return indices;
}

/** In place: forward, backward, and W's columns read and written. */
Result in_place(const Context& c, graft_dtype storage, const Case& n) {
  const graft_dtype sums = sums_of(storage);
  Weight w(c, storage, n.n, n.k, 4);
  w.matrix().set(input(c, storage, n.dtype, {n.n, n.k}, 1).get());
  const Tensor indices = columns(c, n, false);
  Tensor x = input(c, storage, n.dtype, {n.rows, n.k}, 2, n.k + 3), y = input(c, storage, n.dtype, {n.rows, n.n}, 3);
  Tensor x_i(c, storage, {n.rows, n.rank}), bias = input(c, sums, n.dtype, {n.n}, 4);
  Tensor dy = input(c, storage, n.dtype, {n.rows, n.n}, 5, n.n + 1);
  Tensor dx = input(c, storage, n.dtype, {n.rows, n.k}, 6), dd = input(c, sums, kF32, {n.n, n.rank}, 7, n.rank + 2);
  Tensor dbias = input(c, sums, kF32, {n.n}, 8), read(c, storage, {n.n, n.rank}), norms(c, sums, {n.k});
  Tensor d = input(c, sums, n.dtype, {n.n, n.rank}, 9);
  GRAFT_EXPECT_OK(graft_paca_forward(c, x, w, indices, bias, n.accumulate, y, x_i));
  GRAFT_EXPECT_OK(graft_paca_forward(c, x, w, indices, bias, 0, y, nullptr));
  GRAFT_EXPECT_OK(graft_paca_forward(c, x, w, indices, bias, n.accumulate, y, x_i));
  GRAFT_EXPECT_OK(graft_paca_backward(c, dy, x_i, w, kScale, n.accumulate, dx, dd, dbias));
  GRAFT_EXPECT_OK(graft_paca_backward(c, dy, nullptr, w, kScale, n.accumulate, nullptr, nullptr, nullptr));
  GRAFT_EXPECT_OK(graft_paca_column_norms(c, w, norms));
  GRAFT_EXPECT_OK(graft_paca_read(c, w, indices, read));
  GRAFT_EXPECT_OK(graft_paca_write(c, d, read, indices, kScale, w));
  GRAFT_EXPECT_OK(graft_context_synchronize(c));
  Result r{y.get(), x_i.get(), dx.get(), dd.get(), dbias.get(), read.get(), w.matrix().get(), norms.get()};
  GRAFT_EXPECT_OK(graft_paca_write(c, nullptr, read, indices, kScale, w));
  GRAFT_EXPECT_OK(graft_context_synchronize(c));
  EXPECT_EQ(w.matrix().get(), input(c, storage, n.dtype, {n.n, n.k}, 1).get());
  return r;
}

Result slab(const Context& c, graft_dtype storage, const Case& n) {
  const graft_dtype sums = sums_of(storage);
  Weight dense(c, storage, n.n, n.k);
  dense.matrix().set(input(c, storage, n.dtype, {n.n, n.k}, 1).get());
  std::optional<Nf4Weight> coded;
  if (n.nf4) coded.emplace(c, true, n.n, n.k);
  const Weight& w = n.nf4 ? coded->w : dense;
  const Tensor indices = columns(c, n, true);
  Tensor x = input(c, storage, n.dtype, {n.rows, n.k}, 2), y = input(c, storage, n.dtype, {n.rows, n.n}, 3);
  Tensor alone = input(c, storage, n.dtype, {n.rows, n.n}, 3), x_i(c, storage, {n.rows, n.rank});
  Tensor d = input(c, sums, n.dtype, {n.n, n.rank}, 4), dy = input(c, storage, n.dtype, {n.rows, n.n}, 5);
  Tensor dx = input(c, storage, n.dtype, {n.rows, n.k}, 6), dd = input(c, sums, kF32, {n.n, n.rank}, 7);
  Tensor dbias = input(c, sums, kF32, {n.n}, 8), bias = input(c, sums, n.dtype, {n.n}, 9);
  GRAFT_EXPECT_OK(graft_paca_slab_forward(c, x, w, indices, d, kScale, bias, n.accumulate, y, x_i));
  GRAFT_EXPECT_OK(graft_paca_slab_forward(c, x, w, indices, d, kScale, bias, n.accumulate, alone, nullptr));
  GRAFT_EXPECT_OK(
      graft_paca_slab_backward(c, dy, nullptr, w, indices, d, kScale, n.accumulate, nullptr, nullptr, dbias));
  GRAFT_EXPECT_OK(graft_paca_slab_backward(c, dy, x_i, w, indices, d, kScale, n.accumulate, dx, dd, nullptr));
  GRAFT_EXPECT_OK(graft_context_synchronize(c));
  EXPECT_EQ(alone.get(), y.get());
  return {y.get(), x_i.get(), dx.get(), dd.get(), dbias.get(), {}, {}, {}};
}

void compare(const Case& n, bool beside, int seeds) {
  SCOPED_TRACE(std::string(name(n.dtype)) + " T=" + std::to_string(n.rows) + " N=" + std::to_string(n.n) + " K=" +
               std::to_string(n.k) + " r=" + std::to_string(n.rank) + (beside ? " slab" : "") + (n.nf4 ? " NF4" : ""));
  const Context cpu(1, "reference"), cuda(GRAFT_DEVICE_CUDA);
  const auto run = beside ? slab : in_place;
  const Result exact = run(cpu, kF64, n), plain = run(cpu, n.dtype, n);
  for_schedules(seeds, [&] {
    const Result actual = run(cuda, n.dtype, n);
    const double u = unit_roundoff(n.dtype), sum = unit_roundoff(kF32);
    expect_as_good(actual.y, plain.y, exact.y, u, "y");
    EXPECT_EQ(actual.x_i, plain.x_i);
    expect_as_good(actual.dx, plain.dx, exact.dx, u, "dx");
    expect_as_good(actual.dd, plain.dd, exact.dd, sum, "dd");
    expect_as_good(actual.dbias, plain.dbias, exact.dbias, sum, "dbias");
    EXPECT_EQ(actual.read, plain.read);
    expect_as_good(actual.written, plain.written, exact.written, u, "W");
    expect_as_good(actual.norms, plain.norms, exact.norms, sum, "norms");
  });
}

TEST(CudaPaca, AgreesWithFloat64) {
  for (const bool beside : {false, true}) {
    compare({kF32, kI64, 5, 9, 13, 4, true}, beside, 1);
    compare({kBf16, kI32, 37, 24, 80, 16, true}, beside, 1);
    compare({kF16, kI32, 3, 2, 97, 70}, beside, 1);  // two slices
    compare({kBf16, kI32, 1, 1, 1, 1}, beside, 1);
    compare({kBf16, kI32, 0, 3, 6, 2}, beside, 1);
    compare({kBf16, kI32, 2, 3, 5, 0}, beside, 1);
  }
  compare({kBf16, kI64, 20, 10, 64, 5, false, true}, true, 1);
  compare({kBf16, kI64, 2, 10, 64, 5, true, true}, true, 1);
}

TEST(CudaPaca, ManySchedules) {
  compare({kBf16, kI32, 5, 6, 20, 4, true}, false, 2);
  compare({kBf16, kI32, 5, 6, 20, 4, true}, true, 4);
}

TEST(CudaPaca, AnIndexOutsideIsReported) {
  const Context cuda(GRAFT_DEVICE_CUDA);
  Tensor x(cuda, kF32, {1, 3}), y(cuda, kF32, {1, 2}), x_i(cuda, kF32, {1, 3}), indices(cuda, kI32, {3});
  Weight w(cuda, kF32, 2, 3);
  x.set({1, 2, 3}), indices.set({2, 3, 0}), w.matrix().set({1, 2, 3, 4, 5, 6});
  GRAFT_EXPECT_OK(graft_paca_forward(cuda, x, w, indices, nullptr, 0, y, x_i));
  expect_error(graft_context_synchronize(cuda), GRAFT_INVALID_ARGUMENT,
               {"graft_paca_forward", "indices[1] is 3", "0..2"});
  EXPECT_EQ(x_i.get(), (std::vector<double>{3, 0, 1}));
  Tensor original(cuda, kF32, {2, 3});
  GRAFT_EXPECT_OK(graft_paca_write(cuda, nullptr, original, indices, 1, w));
  expect_error(graft_context_synchronize(cuda), GRAFT_INVALID_ARGUMENT, {"graft_paca_write"});
  EXPECT_EQ(w.matrix().get(), (std::vector<double>{0, 2, 0, 0, 5, 0}));
}

}  // namespace
}  // namespace graft::test
