// dora on the CUDA device: against float64, bordered and accumulating, with dropout, in packs and one by one, a norm of
// zero, NULL outputs, merging in place, and empty shapes.
#include "schedules.h"

namespace graft::test {
namespace {

struct Case {
  graft_dtype dtype;
  std::int64_t rows, n, k, rank;
  int border;
  double dropout;
  bool accumulate;
};

struct Result {
  std::vector<double> squared, norm, y, kept, dx, da, db, dm, dbias, merged;
};

constexpr double kScale = 1.5;

/** W and adapters that x's type holds, as products round them to it; the first row is zero. */
void fill_layer(const Context& c, const Case& n, graft_dtype storage, const Weight& w, Tensor& a, Tensor& b) {
  std::vector<double> matrix = input(c, storage, n.dtype, {n.n, n.k}, 1).get();
  std::vector<double> up = input(c, sums_of(storage), n.dtype, {n.n, n.rank}, 3).get();
  std::fill_n(matrix.begin(), n.n > 1 ? n.k : 0, 0), std::fill_n(up.begin(), n.n > 1 ? n.rank : 0, 0);
  w.matrix().set(matrix), b.set(up), a.set(input(c, sums_of(storage), n.dtype, {n.rank, n.k}, 2).get());
}

Result run(const Context& c, graft_dtype storage, const Case& n) {
  const graft_dtype sums = sums_of(storage);
  Weight w(c, storage, n.n, n.k, n.border);
  Tensor a(c, sums, {n.rank, n.k}), b(c, sums, {n.n, n.rank});
  fill_layer(c, n, storage, w, a, b);
  if (n.border > 0) {
    GRAFT_EXPECT_OK(graft_lora_pack(c, a, b, kScale, w));
  }
  Tensor squared(c, sums, {n.n}), norm(c, sums, {n.n}), m = input(c, sums, n.dtype, {n.n}, 4);
  Tensor x = input(c, storage, n.dtype, {n.rows, n.k}, 5, n.k + n.border), bias = input(c, sums, n.dtype, {n.n}, 6);
  Tensor y = input(c, storage, n.dtype, {n.rows, n.n}, 7), kept(c, storage, {n.rows, n.n + n.rank});
  Tensor dy = input(c, storage, n.dtype, {n.rows, n.n}, 8), dx = input(c, storage, n.dtype, {n.rows, n.k}, 9);
  Tensor da = input(c, sums, kF32, {n.rank, n.k}, 10), db = input(c, sums, kF32, {n.n, n.rank}, 11);
  Tensor dm = input(c, sums, kF32, {n.n}, 12), dbias = input(c, sums, kF32, {n.n}, 13);
  Tensor alone = input(c, storage, n.dtype, {n.rows, n.k}, 9), inference = input(c, storage, n.dtype, {n.rows, n.n}, 7);
  GRAFT_EXPECT_OK(graft_dora_squared_norms(c, w, squared));
  GRAFT_EXPECT_OK(graft_dora_norms(c, w, squared, a, b, kScale, norm));
  GRAFT_EXPECT_OK(
      graft_dora_forward(c, x, w, a, b, kScale, m, norm, bias, n.dropout, 7, 0, n.accumulate, inference, nullptr));
  GRAFT_EXPECT_OK(graft_dora_forward(c, x, w, a, b, kScale, m, norm, bias, n.dropout, 7, 0, n.accumulate, y, kept));
  GRAFT_EXPECT_OK(graft_dora_backward(c, dy, nullptr, nullptr, w, a, b, kScale, m, norm, n.dropout, 7, 0, n.accumulate,
                                      alone, nullptr, nullptr, nullptr, nullptr));
  GRAFT_EXPECT_OK(graft_dora_backward(c, dy, x, kept, w, a, b, kScale, m, norm, n.dropout, 7, 0, n.accumulate, dx, da,
                                      db, dm, nullptr));
  GRAFT_EXPECT_OK(graft_dora_backward(c, dy, nullptr, nullptr, w, a, b, kScale, m, norm, n.dropout, 7, 0, 0, nullptr,
                                      nullptr, nullptr, nullptr, dbias));
  GRAFT_EXPECT_OK(graft_context_synchronize(c));
  EXPECT_EQ(inference.get(), y.get());
  EXPECT_EQ(alone.get(), dx.get());
  Result r{squared.get(), norm.get(), y.get(), kept.get(), dx.get(), da.get(), db.get(), dm.get(), dbias.get(), {}};
  Tensor merged = w.matrix();
  GRAFT_EXPECT_OK(graft_dora_merge(c, w, a, b, kScale, m, norm, merged));
  GRAFT_EXPECT_OK(graft_context_synchronize(c));
  r.merged = merged.get();
  return r;
}

/** v, y, dm and the merged weight step by step, each step rounded to x's type, as a program of single steps has them.
 */
void step_by_step(const Context& c, const Case& n, Result& r) {
  const auto at = [](std::int64_t i) { return static_cast<std::size_t>(i); };
  const std::int64_t wide = n.k + n.rank, kept = n.n + n.rank;
  const std::vector<double> m = input(c, kF32, n.dtype, {n.n}, 4).get(), bias = input(c, kF32, n.dtype, {n.n}, 6).get();
  const std::vector<double> dy = input(c, n.dtype, n.dtype, {n.rows, n.n}, 8).get();
  const auto gain = [&](std::int64_t o) { return r.norm[at(o)] == 0 ? 0 : 1 / r.norm[at(o)]; };
  Weight w(c, n.dtype, n.n, n.k), side_by_side(c, n.dtype, n.n, wide);
  Tensor a(c, kF32, {n.rank, n.k}), b(c, kF32, {n.n, n.rank}), v(c, n.dtype, {n.rows, n.n}), merged = w.matrix();
  Tensor x(c, n.dtype, {n.rows, wide}), y = input(c, n.dtype, n.dtype, {n.rows, n.n}, 7);
  fill_layer(c, n, n.dtype, w, a, b);

  // v = [x│S]·[W│sB]ᵀ
  const std::vector<double> from = input(c, n.dtype, n.dtype, {n.rows, n.k}, 5).get(), up = b.get();
  std::vector<double> inputs, weights, before = merged.get();
  for (std::int64_t t = 0; t < n.rows; ++t)
    for (std::int64_t i = 0; i < wide; ++i)
      inputs.push_back(i < n.k ? from[at(t * n.k + i)] : r.kept[at(t * kept + n.n + i - n.k)]);
  for (std::int64_t o = 0; o < n.n; ++o)
    for (std::int64_t i = 0; i < wide; ++i)
      weights.push_back(i < n.k ? before[at(o * n.k + i)] : kScale * up[at(o * n.rank + i - n.k)]);
  side_by_side.matrix().set(weights);
  GRAFT_EXPECT_OK(graft_linear_forward(c, x.set(inputs), side_by_side, nullptr, 0, v));

  const std::vector<double> made = v.get();
  std::vector<double> ys = y.get();
  std::vector<double> dm = input(c, kF32, kF32, {n.n}, 12).get();
  for (std::int64_t t = 0; t < n.rows; ++t) {
    for (std::int64_t o = 0; o < n.n; ++o) {
      const double value = made[at(t * n.n + o)];
      r.kept[at(t * kept + o)] = value;
      ys[at(t * n.n + o)] = (n.accumulate ? ys[at(t * n.n + o)] : 0) + m[at(o)] * gain(o) * value + bias[at(o)];
      dm[at(o)] += dy[at(t * n.n + o)] * value * gain(o);
    }
  }
  if (n.dtype != kF32) r.dm = dm;  // there it is the sum, made here in double, that would be compared
  r.y = y.set(ys).get();
  GRAFT_EXPECT_OK(graft_lora_merge(c, w, a, b, kScale, merged));
  std::vector<double> rows = merged.get();
  for (std::int64_t o = 0; o < n.n; ++o)
    for (std::int64_t i = 0; i < n.k; ++i) rows[at(o * n.k + i)] *= m[at(o)] * gain(o);
  r.merged = merged.set(rows).get();
}

void compare(const Case& n, int seeds) {
  SCOPED_TRACE(std::string(name(n.dtype)) + " T=" + std::to_string(n.rows) + " N=" + std::to_string(n.n) +
               " K=" + std::to_string(n.k) + " r=" + std::to_string(n.rank) + " border " + std::to_string(n.border));
  const Context cpu(1, "reference"), cuda(GRAFT_DEVICE_CUDA);
  const Result exact = run(cpu, kF64, n);
  Result plain = run(cpu, n.dtype, n);
  step_by_step(cpu, n, plain);
  for_schedules(seeds, [&] {
    const Result actual = run(cuda, n.dtype, n);
    const double u = unit_roundoff(n.dtype), sum = unit_roundoff(kF32);
    expect_as_good(actual.squared, plain.squared, exact.squared, sum, "squared");
    expect_as_good(actual.norm, plain.norm, exact.norm, sum, "norm");
    expect_as_good(actual.y, plain.y, exact.y, u, "y");
    expect_as_good(actual.kept, plain.kept, exact.kept, u, "kept");
    expect_as_good(actual.dx, plain.dx, exact.dx, u, "dx");
    expect_as_good(actual.da, plain.da, exact.da, u, "dA");
    expect_as_good(actual.db, plain.db, exact.db, u, "dB");
    expect_as_good(actual.dm, plain.dm, exact.dm, u, "dm");
    expect_as_good(actual.dbias, plain.dbias, exact.dbias, sum, "dbias");
    expect_as_good(actual.merged, plain.merged, exact.merged, u, "merged");
  });
}

TEST(CudaDora, AgreesWithFloat64) {
  for (graft_dtype dtype : {kF32, kBf16, kF16}) {
    compare({dtype, 37, 9, 21, 3, 0, 0.25, true}, 1);
    compare({dtype, 37, 16, 40, 4, 8, 0, false}, 1);
  }
  compare({kBf16, 0, 3, 8, 2, 0, 0, false}, 1);
}

TEST(CudaDora, ManySchedules) { compare({kBf16, 10, 8, 16, 2, 4, 0, true}, 1); }

}  // namespace
}  // namespace graft::test
