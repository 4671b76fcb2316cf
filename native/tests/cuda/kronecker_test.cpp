// kronecker on the CUDA device: against float64, with w2 whole and as b a, sums of several products, activations with
// and without gaps, several groups of rows, NULL outputs, merging in place, and no rows.
#include <algorithm>

#include "trial.h"

namespace graft::test {
namespace {

struct Case {
  graft_dtype dtype;
  std::int64_t rows, sums, p, q, high, wide, rank;  // rank 0: b is w2
  bool accumulate, gaps;
  std::int64_t n() const { return p * high; }
  std::int64_t k() const { return q * wide; }
  std::int64_t inner() const { return rank == 0 ? wide : rank; }
};

constexpr double kScale = 0.75;

void run(Trial& r, const Case& n) {
  const std::int64_t gap = n.gaps ? 3 : 0;
  Tensor x = r.input({n.rows, n.k()}, 1, n.k() + gap), y = r.input({n.rows, n.n()}, 2, n.n() + gap);
  Tensor dy = r.input({n.rows, n.n()}, 3, n.n() + gap), dx = r.input({n.rows, n.k()}, 4, n.k() + gap);
  Tensor w1 = r.master({n.sums, n.p, n.q}, 5), b = r.master({n.sums, n.high, n.inner()}, 6);
  Tensor dw1 = r.gradient({n.sums, n.p, n.q}, 8), db = r.gradient({n.sums, n.high, n.inner()}, 9);
  Tensor only = r.gradient({n.sums, n.high, n.inner()}, 9);
  Tensor down = r.master({n.sums, std::max<std::int64_t>(n.rank, 1), n.wide}, 7);
  Tensor ddown = r.gradient({n.sums, std::max<std::int64_t>(n.rank, 1), n.wide}, 10);
  graft_tensor *a = nullptr, *da = nullptr;
  if (n.rank > 0) a = down, da = ddown;
  GRAFT_EXPECT_OK(graft_kronecker_forward(r, x, w1, b, a, kScale, n.accumulate, y));
  GRAFT_EXPECT_OK(graft_kronecker_backward(r, dy, x, w1, b, a, kScale, n.accumulate, dx, dw1, db, da));
  GRAFT_EXPECT_OK(graft_kronecker_backward(r, dy, x, w1, b, a, kScale, 0, nullptr, nullptr, only, nullptr));
  GRAFT_EXPECT_OK(graft_kronecker_backward(r, dy, nullptr, w1, b, a, kScale, 0, nullptr, nullptr, nullptr, nullptr));
  r.keep("y", y), r.keep("dx", dx), r.keep_sum("dw1", dw1), r.keep("db", db);
  if (n.rank > 0) r.keep("da", ddown);
  EXPECT_EQ(only.get(), db.get());
  Weight w(r.context, r.storage, n.n(), n.k(), 2);
  r.fill(w, 11);
  Tensor merged = w.matrix();
  GRAFT_EXPECT_OK(graft_kronecker_merge(r, w, w1, b, a, kScale, merged));
  r.keep("merged", merged);
}

/** What products take is rounded to x's type: v, and with a du; all but these in double. */
void with_rounded_mixtures(Trial& r, const Case& n) {
  if (n.dtype == kF32) return;
  const auto at = [](const std::vector<double>& m, std::int64_t i) { return m[static_cast<std::size_t>(i)]; };
  const std::int64_t inner = n.inner(), width = n.sums * inner;
  const std::vector<double> x = r.input({n.rows, n.k()}, 1).get(), dy = r.input({n.rows, n.n()}, 3).get();
  const std::vector<double> w1 = r.master({n.sums, n.p, n.q}, 5).get(), b = r.master({n.sums, n.high, inner}, 6).get();
  const std::vector<double> a = n.rank > 0 ? r.master({n.sums, n.rank, n.wide}, 7).get() : std::vector<double>();
  const auto each = [&](std::int64_t pieces, const auto& value) {
    std::vector<double> all;
    for (std::int64_t t = 0; t < n.rows; ++t)
      for (std::int64_t piece = 0; piece < pieces; ++piece)
        for (std::int64_t c = 0; c < width; ++c) all.push_back(value(t, piece, c / inner, c % inner));
    return r.zeros({n.rows, pieces * width}).set(all).get();
  };
  const std::vector<double> v = each(n.p, [&](std::int64_t t, std::int64_t p, std::int64_t m, std::int64_t i) {
    double sum = 0;
    for (std::int64_t q = 0; q < n.q; ++q)
      for (std::int64_t k = n.rank == 0 ? i : 0; k < (n.rank == 0 ? i + 1 : n.wide); ++k)
        sum += at(w1, (m * n.p + p) * n.q + q) * at(x, t * n.k() + q * n.wide + k) *
               (n.rank == 0 ? 1 : at(a, (m * n.rank + i) * n.wide + k));
    return sum;
  });
  const std::vector<double> du = each(n.q, [&](std::int64_t t, std::int64_t q, std::int64_t m, std::int64_t i) {
    double sum = 0;
    for (std::int64_t p = 0; p < n.p; ++p)
      for (std::int64_t j = 0; j < n.high; ++j)
        sum += kScale * at(w1, (m * n.p + p) * n.q + q) * at(dy, t * n.n() + p * n.high + j) *
               at(b, (m * n.high + j) * inner + i);
    return sum;
  });
  Tensor y = r.input({n.rows, n.n()}, 2), dx = r.input({n.rows, n.k()}, 4);
  std::vector<double> ys = y.get(), dxs = dx.get(), db = r.gradient({n.sums, n.high, inner}, 9).get(), da;
  if (n.rank > 0) da = r.gradient({n.sums, n.rank, n.wide}, 10).get();
  if (!n.accumulate) std::fill(ys.begin(), ys.end(), 0), std::fill(dxs.begin(), dxs.end(), 0);
  for (std::int64_t t = 0; t < n.rows; ++t)
    for (std::int64_t m = 0; m < n.sums; ++m)
      for (std::int64_t i = 0; i < inner; ++i) {
        for (std::int64_t p = 0; p < n.p; ++p)
          for (std::int64_t j = 0; j < n.high; ++j) {
            const double value = kScale * at(v, (t * n.p + p) * width + m * inner + i);
            const std::int64_t out = t * n.n() + p * n.high + j, place = (m * n.high + j) * inner + i;
            ys[static_cast<std::size_t>(out)] += value * at(b, place);
            db[static_cast<std::size_t>(place)] += value * at(dy, out);
          }
        for (std::int64_t q = 0; q < n.q && n.rank > 0; ++q)
          for (std::int64_t k = 0; k < n.wide; ++k) {
            const double value = at(du, (t * n.q + q) * width + m * inner + i);
            const std::int64_t in = t * n.k() + q * n.wide + k, place = (m * n.rank + i) * n.wide + k;
            dxs[static_cast<std::size_t>(in)] += value * at(a, place);
            da[static_cast<std::size_t>(place)] += value * at(x, in);
          }
      }
  r["y"] = y.set(ys).get(), r["db"] = db;
  if (n.rank > 0) r["dx"] = dx.set(dxs).get(), r["da"] = da;
}

void compare(const Case& n, int seeds) {
  agree(
      n.dtype,
      sizes({{"T", n.rows}, {"M", n.sums}, {"P", n.p}, {"Q", n.q}, {"N/P", n.high}, {"K/Q", n.wide}, {"r", n.rank}}),
      seeds, [&](Trial& r) { run(r, n); }, [&](Trial& plain) { with_rounded_mixtures(plain, n); });
}

TEST(CudaKronecker, AgreesWithFloat64) {
  for (graft_dtype dtype : {kF32, kBf16, kF16}) {
    for (const bool gaps : {false, true}) {
      compare({dtype, 5, 2, 3, 2, 4, 7, 3, true, gaps}, 1);
      compare({dtype, 7, 1, 2, 3, 9, 8, 0, false, gaps}, 1);
    }
  }
  compare({kBf16, 4, 3, 2, 2, 3, 5, 0, true, false}, 1);
  compare({kF32, 1, 1, 1, 1, 1, 1, 1, false, false}, 1);
  compare({kBf16, 0, 1, 2, 2, 3, 4, 2, false, false}, 1);
}

TEST(CudaKronecker, SeveralGroupsOfRows) { compare({kBf16, 300, 2, 2, 2, 3, 2, 2, true, false}, 1); }

TEST(CudaKronecker, ManySchedules) { compare({kBf16, 5, 2, 2, 3, 4, 5, 2, true, false}, 4); }

}  // namespace
}  // namespace graft::test
