// dora on the CUDA device: against float64, bordered and accumulating, with dropout, in packs and one by one, a norm of
// zero, NULL outputs, merging in place, and empty shapes.
#include "trial.h"

namespace graft::test {
namespace {

struct Case {
  graft_dtype dtype;
  std::int64_t rows, n, k, rank;
  int border;
  double dropout;
  bool accumulate;
};

constexpr double kScale = 1.5;

/** W, with values that x's type holds as products round them to it; the first row of it and of b is zero. */
void fill_layer(const Trial& r, const Case& n, const Weight& w, Tensor& b) {
  std::vector<double> matrix = r.input({n.n, n.k}, 1).get(), up = b.get();
  std::fill_n(matrix.begin(), n.n > 1 ? n.k : 0, 0), std::fill_n(up.begin(), n.n > 1 ? n.rank : 0, 0);
  w.matrix().set(matrix), b.set(up);
}

void run(Trial& r, const Case& n) {
  Weight w(r.context, r.storage, n.n, n.k, n.border);
  Tensor a = r.master({n.rank, n.k}, 2), b = r.master({n.n, n.rank}, 3);
  fill_layer(r, n, w, b);
  if (n.border > 0) {
    GRAFT_EXPECT_OK(graft_lora_pack(r, a, b, kScale, w));
  }
  Tensor squared = r.gradient({n.n}, 14), norm = r.gradient({n.n}, 15), m = r.master({n.n}, 4);
  Tensor x = r.input({n.rows, n.k}, 5, n.k + n.border), bias = r.master({n.n}, 6);
  Tensor y = r.input({n.rows, n.n}, 7), inference = r.input({n.rows, n.n}, 7), kept = r.zeros({n.rows, n.n + n.rank});
  Tensor dy = r.input({n.rows, n.n}, 8), dx = r.input({n.rows, n.k}, 9), alone = r.input({n.rows, n.k}, 9);
  Tensor da = r.gradient({n.rank, n.k}, 10), db = r.gradient({n.n, n.rank}, 11);
  Tensor dm = r.gradient({n.n}, 12), dbias = r.gradient({n.n}, 13), merged = w.matrix();
  GRAFT_EXPECT_OK(graft_dora_squared_norms(r, w, squared));
  GRAFT_EXPECT_OK(graft_dora_norms(r, w, squared, a, b, kScale, norm));
  GRAFT_EXPECT_OK(
      graft_dora_forward(r, x, w, a, b, kScale, m, norm, bias, n.dropout, 7, 0, n.accumulate, inference, nullptr));
  GRAFT_EXPECT_OK(graft_dora_forward(r, x, w, a, b, kScale, m, norm, bias, n.dropout, 7, 0, n.accumulate, y, kept));
  GRAFT_EXPECT_OK(graft_dora_backward(r, dy, nullptr, nullptr, w, a, b, kScale, m, norm, n.dropout, 7, 0, n.accumulate,
                                      alone, nullptr, nullptr, nullptr, nullptr));
  GRAFT_EXPECT_OK(graft_dora_backward(r, dy, x, kept, w, a, b, kScale, m, norm, n.dropout, 7, 0, n.accumulate, dx, da,
                                      db, dm, nullptr));
  GRAFT_EXPECT_OK(graft_dora_backward(r, dy, nullptr, nullptr, w, a, b, kScale, m, norm, n.dropout, 7, 0, 0, nullptr,
                                      nullptr, nullptr, nullptr, dbias));
  r.keep_sum("squared", squared), r.keep_sum("norm", norm), r.keep("y", y), r.keep("kept", kept), r.keep("dx", dx);
  r.keep("dA", da), r.keep("dB", db), r.keep("dm", dm), r.keep_sum("dbias", dbias);
  EXPECT_EQ(inference.get(), y.get());
  EXPECT_EQ(alone.get(), dx.get());
  GRAFT_EXPECT_OK(graft_dora_merge(r, w, a, b, kScale, m, norm, merged));
  r.keep("merged", merged);
}

/** v, y, dm and the merged weight step by step, each step rounded to x's type, as a program of single steps has them.
 */
void step_by_step(Trial& r, const Case& n) {
  const auto at = [](std::int64_t i) { return static_cast<std::size_t>(i); };
  const std::int64_t wide = n.k + n.rank, kept = n.n + n.rank;
  const std::vector<double> m = r.master({n.n}, 4).get(), bias = r.master({n.n}, 6).get(), norm = r["norm"];
  const std::vector<double> dy = r.input({n.rows, n.n}, 8).get();
  const auto gain = [&](std::int64_t o) { return norm[at(o)] == 0 ? 0 : 1 / norm[at(o)]; };
  Weight w(r.context, n.dtype, n.n, n.k), side_by_side(r.context, n.dtype, n.n, wide);
  Tensor a = r.master({n.rank, n.k}, 2), b = r.master({n.n, n.rank}, 3), v = r.zeros({n.rows, n.n});
  Tensor merged = w.matrix();
  Tensor x = r.zeros({n.rows, wide}), y = r.input({n.rows, n.n}, 7);
  fill_layer(r, n, w, b);

  // v = [x│S]·[W│sB]ᵀ
  const std::vector<double> from = r.input({n.rows, n.k}, 5).get(), up = b.get();
  std::vector<double>& v_and_s = r["kept"];
  std::vector<double> inputs, weights, before = merged.get();
  for (std::int64_t t = 0; t < n.rows; ++t)
    for (std::int64_t i = 0; i < wide; ++i)
      inputs.push_back(i < n.k ? from[at(t * n.k + i)] : v_and_s[at(t * kept + n.n + i - n.k)]);
  for (std::int64_t o = 0; o < n.n; ++o)
    for (std::int64_t i = 0; i < wide; ++i)
      weights.push_back(i < n.k ? before[at(o * n.k + i)] : kScale * up[at(o * n.rank + i - n.k)]);
  side_by_side.matrix().set(weights);
  GRAFT_EXPECT_OK(graft_linear_forward(r, x.set(inputs), side_by_side, nullptr, 0, v));

  const std::vector<double> made = v.get();
  std::vector<double> ys = y.get();
  std::vector<double> dm = r.gradient({n.n}, 12).get();
  for (std::int64_t t = 0; t < n.rows; ++t) {
    for (std::int64_t o = 0; o < n.n; ++o) {
      const double value = made[at(t * n.n + o)];
      v_and_s[at(t * kept + o)] = value;
      ys[at(t * n.n + o)] = (n.accumulate ? ys[at(t * n.n + o)] : 0) + m[at(o)] * gain(o) * value + bias[at(o)];
      dm[at(o)] += dy[at(t * n.n + o)] * value * gain(o);
    }
  }
  if (n.dtype != kF32) r["dm"] = dm;  // there it is the sum, made here in double, that would be compared
  r["y"] = y.set(ys).get();
  GRAFT_EXPECT_OK(graft_lora_merge(r, w, a, b, kScale, merged));
  std::vector<double> rows = merged.get();
  for (std::int64_t o = 0; o < n.n; ++o)
    for (std::int64_t i = 0; i < n.k; ++i) rows[at(o * n.k + i)] *= m[at(o)] * gain(o);
  r["merged"] = merged.set(rows).get();
}

void compare(const Case& n, int seeds) {
  agree(
      n.dtype, sizes({{"T", n.rows}, {"N", n.n}, {"K", n.k}, {"r", n.rank}, {"border", n.border}}), seeds,
      [&](Trial& r) { run(r, n); }, [&](Trial& plain) { step_by_step(plain, n); });
}

TEST(CudaDora, AgreesWithFloat64) {
  for (graft_dtype dtype : {kF32, kBf16, kF16}) {
    compare({dtype, 37, 9, 21, 3, 0, 0.25, true}, 1);
    compare({dtype, 37, 16, 40, 4, 8, 0, false}, 1);
  }
  compare({kBf16, 0, 3, 8, 2, 0, 0, false}, 1);
}

TEST(CudaDora, ManySchedules) { compare({kBf16, 10, 8, 16, 2, 4, 0, true}, 1); }

// A NaN in b's row, and in W's: both are to be seen in the norms, and a merge keeps what it cannot scale a NaN.
TEST(CudaDora, ANormThatIsNotANumberStaysOne) {
  const Context cuda(GRAFT_DEVICE_CUDA);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Weight w(cuda, kF32, 3, 4);
  Tensor a = input(cuda, kF32, kF32, {2, 4}, 1), b(cuda, kF32, {3, 2}), m(cuda, kF32, {3}), squared(cuda, kF32, {3});
  Tensor norm(cuda, kF32, {3});
  w.matrix().fill(1), m.fill(1), b.set({0, 0, 1, nan, 0, 0});
  std::vector<double> values = w.matrix().get();
  values[8] = nan;
  w.matrix().set(values);
  GRAFT_EXPECT_OK(graft_dora_squared_norms(cuda, w, squared));
  GRAFT_EXPECT_OK(graft_dora_norms(cuda, w, squared, a, b, 1, norm));
  GRAFT_EXPECT_OK(graft_dora_merge(cuda, w, a, b, 1, m, norm, w.matrix()));
  GRAFT_EXPECT_OK(graft_context_synchronize(cuda));
  const std::vector<double> norms = norm.get(), merged = w.matrix().get();
  EXPECT_EQ(norms[0], 2);
  for (std::size_t k = 0; k < 4; ++k) EXPECT_EQ(merged[k], 0.5);
  for (std::size_t n : {1, 2}) {
    EXPECT_TRUE(std::isnan(norms[n])) << norms[n];
    for (std::size_t k = 0; k < 4; ++k) EXPECT_TRUE(std::isnan(merged[n * 4 + k])) << merged[n * 4 + k];
  }
}

}  // namespace
}  // namespace graft::test
