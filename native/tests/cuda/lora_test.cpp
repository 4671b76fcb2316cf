// lora on the CUDA device: both paths against float64, in every type, with and without dropout, over odd, empty and
// aligned shapes and ranks beyond one slice.
#include "schedules.h"

namespace graft::test {
namespace {

constexpr double kScale = 1.25;

struct Case {
  graft_dtype dtype;
  std::int64_t rows, n, k, rank;
  int border;  // 0: the accumulating path
  double dropout;
  bool accumulate;
  std::uint64_t offset = 8;
};

struct Result {
  std::vector<double> y, s, dx, da, db, dbias, merged;
  std::string forward, backward;
};

Result run(const Context& c, graft_dtype storage, const Case& n) {
  const graft_dtype sums = sums_of(storage);
  Tensor x = input(c, storage, n.dtype, {n.rows, n.k}, 1, n.k + n.border), bias = input(c, sums, n.dtype, {n.n}, 2);
  Tensor dy = input(c, storage, n.dtype, {n.rows, n.n}, 3, n.n + n.border);
  // Masters hold what the border can hold, so that both paths have the same exact values.
  Tensor a = input(c, sums, n.dtype, {n.rank, n.k}, 4), b = input(c, sums, n.dtype, {n.n, n.rank}, 5);
  Tensor y = input(c, storage, n.dtype, {n.rows, n.n}, 6), dx = input(c, storage, n.dtype, {n.rows, n.k}, 7);
  Tensor da = input(c, sums, n.dtype, {n.rank, n.k}, 8), db = input(c, sums, n.dtype, {n.n, n.rank}, 9);
  Tensor dbias = input(c, sums, n.dtype, {n.n}, 10), s(c, storage, {n.rows, n.rank}), merged(c, storage, {n.n, n.k});
  Weight w(c, storage, n.n, n.k, n.border);
  w.matrix().set(input(c, storage, n.dtype, {n.n, n.k}, 11).get());
  if (n.border > 0) {
    GRAFT_EXPECT_OK(graft_lora_pack(c, a, b, kScale, w));
  }
  Result r;
  GRAFT_EXPECT_OK(graft_lora_forward(c, x, w, a, b, kScale, bias, n.dropout, 7, n.offset, n.accumulate, y, s));
  r.forward = c.last_dispatch();
  GRAFT_EXPECT_OK(
      graft_lora_backward(c, dy, x, s, w, a, b, kScale, n.dropout, 7, n.offset, n.accumulate, dx, da, db, dbias));
  r.backward = c.last_dispatch();
  GRAFT_EXPECT_OK(graft_lora_merge(c, w, a, b, kScale, merged));
  GRAFT_EXPECT_OK(graft_context_synchronize(c));
  r.y = y.get(), r.s = s.get(), r.dx = dx.get(), r.da = da.get(), r.db = db.get(), r.dbias = dbias.get();
  r.merged = merged.get();
  return r;
}

/** y in plain loops over what the paths multiply: S and scale·B in the type, added in one sum or to a y that has been
 * rounded. */
std::vector<double> plain_y(const Context& c, const Case& n, const std::vector<double>& s) {
  const graft_dtype dtype = n.dtype;
  Tensor x = input(c, dtype, dtype, {n.rows, n.k}, 1), bias = input(c, sums_of(dtype), dtype, {n.n}, 2);
  Tensor y = input(c, dtype, dtype, {n.rows, n.n}, 6), w = input(c, dtype, dtype, {n.n, n.k}, 11);
  Tensor low(c, dtype, {n.rows, n.rank}), up(c, dtype, {n.n, n.rank});
  std::vector<double> scaled = input(c, sums_of(dtype), dtype, {n.n, n.rank}, 5).get();
  for (double& value : scaled) value *= kScale;
  low.set(s), up.set(scaled);
  const auto product = [&](const Tensor& left, const Tensor& right, const graft_tensor* added, bool accumulate) {
    graft_weight* weight = nullptr;
    GRAFT_EXPECT_OK(graft_weight_wrap_dense(c, right, &weight));
    GRAFT_EXPECT_OK(graft_linear_forward(c, left, weight, added, accumulate, y));
    GRAFT_EXPECT_OK(graft_weight_destroy(c, weight));
  };
  if (n.border == 0) {
    product(x, w, bias, n.accumulate);
    product(low, up, nullptr, true);
    return y.get();
  }
  const auto beside = [&](const Tensor& left, const Tensor& right) {
    const std::vector<double> l = left.get(), r = right.get();
    const std::int64_t rows = left->shape[0], first = left->shape[1], second = right->shape[1];
    std::vector<double> both;
    for (std::int64_t i = 0; i < rows; ++i) {
      both.insert(both.end(), l.begin() + i * first, l.begin() + (i + 1) * first);
      both.insert(both.end(), r.begin() + i * second, r.begin() + (i + 1) * second);
    }
    Tensor made(c, dtype, {rows, first + second});
    made.set(both);
    return made;
  };
  product(beside(x, low), beside(w, up), bias, n.accumulate);
  return y.get();
}

void compare(const Case& n, int seeds) {
  SCOPED_TRACE(std::string(name(n.dtype)) + " T=" + std::to_string(n.rows) + " N=" + std::to_string(n.n) +
               " K=" + std::to_string(n.k) + " r=" + std::to_string(n.rank) + " border " + std::to_string(n.border) +
               " p=" + std::to_string(n.dropout));
  const Context cpu(1, "reference"), cuda(GRAFT_DEVICE_CUDA);
  const Result exact = run(cpu, kF64, n), plain = run(cpu, n.dtype, n);
  const std::vector<double> y = plain_y(cpu, n, plain.s);
  Result first;
  for_schedules(seeds, [&] {
    const Result actual = run(cuda, n.dtype, n);
    const double u = unit_roundoff(n.dtype), sum = unit_roundoff(kF32);
    EXPECT_EQ(actual.forward, n.border > 0 ? "lora_forward:cuda/bordered" : "lora_forward:cuda/accumulating");
    EXPECT_EQ(actual.backward,
              n.border > 0 && n.dropout == 0 ? "lora_backward:cuda/bordered" : "lora_backward:cuda/accumulating");
    // The tensor cores take dS in the type, beside x; its sums dA are fp32.
    expect_as_good(actual.y, y, exact.y, u, "y");
    expect_as_good(actual.s, plain.s, exact.s, u, "s");
    expect_as_good(actual.dx, plain.dx, exact.dx, u, "dx");
    expect_as_good(actual.da, plain.da, exact.da, u, "da");
    expect_as_good(actual.db, plain.db, exact.db, sum, "db");
    expect_as_good(actual.dbias, plain.dbias, exact.dbias, sum, "dbias");
    expect_as_good(actual.merged, plain.merged, exact.merged, u, "merged");
    if (first.y.empty()) first = actual;
    EXPECT_TRUE(actual.y == first.y && actual.dx == first.dx && actual.da == first.da && actual.db == first.db);
  });
}

TEST(CudaLora, AgreesWithFloat64) {
  for (graft_dtype dtype : {kF32, kBf16, kF16}) {
    for (int border : {0, 16}) {
      for (double dropout : {0.0, 0.25}) {
        compare({dtype, 37, 43, 29, 5, border, dropout, true, 3}, 1);
        compare({dtype, 64, 32, 136, 16, border, dropout, false}, 1);
      }
    }
    compare({dtype, 1, 1, 1, 1, 0, 0, false}, 1);
  }
}

TEST(CudaLora, ARankOfSeveralSlices) {
  compare({kBf16, 40, 24, 48, 70, 0, 0.5, false}, 1);
  compare({kBf16, 40, 24, 48, 70, 80, 0, false}, 1);
}

TEST(CudaLora, ManySchedules) {
  compare({kBf16, 20, 24, 40, 4, 8, 0, false}, 15);
  compare({kBf16, 20, 24, 40, 4, 0, 0.25, true}, 15);
}

TEST(CudaLora, EmptyAndNull) {
  const Context cuda(GRAFT_DEVICE_CUDA);
  Weight w(cuda, kF32, 3, 4);
  w.matrix().fill(1);
  Tensor a(cuda, kF32, {0, 4}), b(cuda, kF32, {3, 0}), x(cuda, kF32, {2, 4}), y(cuda, kF32, {2, 3});
  Tensor dx(cuda, kF32, {2, 4}), none(cuda, kF32, {0, 4}), no_y(cuda, kF32, {0, 3});
  x.fill(2);
  GRAFT_EXPECT_OK(graft_lora_forward(cuda, x, w, a, b, 1, nullptr, 0, 0, 0, 0, y, nullptr));
  GRAFT_EXPECT_OK(graft_lora_forward(cuda, none, w, a, b, 1, nullptr, 0, 0, 0, 0, no_y, nullptr));
  GRAFT_EXPECT_OK(graft_context_synchronize(cuda));
  EXPECT_EQ(y.get(), std::vector<double>(6, 8.0));
  GRAFT_EXPECT_OK(
      graft_lora_backward(cuda, y, nullptr, nullptr, w, a, b, 1, 0.5, 0, 0, 0, dx, nullptr, nullptr, nullptr));
  EXPECT_EQ(dx.get(), std::vector<double>(8, 24.0));
  GRAFT_EXPECT_OK(
      graft_lora_backward(cuda, y, nullptr, nullptr, w, a, b, 1, 0, 0, 0, 0, nullptr, nullptr, nullptr, nullptr));
}

TEST(CudaRankUpdate, ManySchedules) {  // three slices of the rank
  const Context cpu(1, "reference"), cuda(GRAFT_DEVICE_CUDA);
  const auto merged = [](const Context& c, graft_dtype storage) {
    Weight w(c, storage, 9, 40);
    w.matrix().set(input(c, storage, kF32, {9, 40}, 1).get());
    Tensor a = input(c, storage, kF32, {65, 40}, 2), b = input(c, storage, kF32, {9, 65}, 3);
    graft_tensor in_place = w->storage;
    GRAFT_EXPECT_OK(graft_lora_merge(c, w, a, b, kScale, &in_place));
    GRAFT_EXPECT_OK(graft_context_synchronize(c));
    return w.matrix().get();
  };
  const auto exact = merged(cpu, kF64), plain = merged(cpu, kF32);
  for_schedules(30, [&] { expect_as_good(merged(cuda, kF32), plain, exact, unit_roundoff(kF32), "merged"); });
}

}  // namespace
}  // namespace graft::test
