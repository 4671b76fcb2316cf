// hira on the CUDA device: against float64, over dense and coded weights, several panels of W' and of dyᵀ x, NULL
// outputs, merging in place, and empty shapes.
#include "coded.h"
#include "trial.h"

namespace graft::test {
namespace {

struct Case {
  graft_dtype dtype;
  std::int64_t rows, n, k, rank;
  bool accumulate;
};

void run(Trial& r, const Case& n, const graft_weight* w) {
  Tensor x = r.input({n.rows, n.k}, 2, n.k + 3), y = r.input({n.rows, n.n}, 3), dy = r.input({n.rows, n.n}, 4, n.n + 1);
  Tensor a = r.master({n.rank, n.k}, 5, n.k + 2), b = r.master({n.n, n.rank}, 6), dx = r.input({n.rows, n.k}, 7);
  Tensor da = r.gradient({n.rank, n.k}, 8), db = r.gradient({n.n, n.rank}, 9), only = r.gradient({n.n, n.rank}, 9);
  GRAFT_EXPECT_OK(graft_hira_forward(r, x, w, a, b, n.accumulate, y));
  GRAFT_EXPECT_OK(graft_hira_backward(r, dy, x, w, a, b, n.accumulate, dx, da, db));
  GRAFT_EXPECT_OK(graft_hira_backward(r, dy, x, w, a, b, 0, nullptr, nullptr, only));
  GRAFT_EXPECT_OK(graft_hira_backward(r, dy, nullptr, w, a, b, 0, nullptr, nullptr, nullptr));
  r.keep("y", y), r.keep("dx", dx), r.keep_sum("dA", da), r.keep_sum("dB", db);
  EXPECT_EQ(only.get(), db.get());
}

/** y and dx of a W' that is rounded, as products take it. */
void with_rounded_weight(Trial& r, const Case& n, const graft_weight* w) {
  Tensor x = r.input({n.rows, n.k}, 2), y = r.input({n.rows, n.n}, 3), dy = r.input({n.rows, n.n}, 4);
  Tensor a = r.master({n.rank, n.k}, 5), b = r.master({n.n, n.rank}, 6), dx = r.input({n.rows, n.k}, 7);
  Weight made(r.context, n.dtype, n.n, n.k);
  Tensor matrix = made.matrix();
  GRAFT_EXPECT_OK(graft_hira_merge(r, w, a, b, matrix));
  GRAFT_EXPECT_OK(graft_linear_forward(r, x, made, nullptr, n.accumulate, y));
  GRAFT_EXPECT_OK(graft_linear_backward(r, dy, nullptr, made, n.accumulate, dx, nullptr, nullptr));
  r["y"] = y.get(), r["dx"] = dx.get();
}

void compare(const Case& n, int seeds) {
  const auto layer = [&](Trial& r, const auto& body) {
    Weight w(r.context, r.storage, n.n, n.k, 3);
    r.fill(w, 1);
    body(w);
  };
  agree(
      n.dtype, sizes({{"T", n.rows}, {"N", n.n}, {"K", n.k}, {"r", n.rank}}), seeds,
      [&](Trial& r) {
        layer(r, [&](const Weight& w) {
          run(r, n, w);
          Tensor a = r.master({n.rank, n.k}, 5), b = r.master({n.n, n.rank}, 6), merged = w.matrix();
          GRAFT_EXPECT_OK(graft_hira_merge(r, w, a, b, merged));
          r.keep("merged", merged);
        });
      },
      [&](Trial& plain) { layer(plain, [&](const Weight& w) { with_rounded_weight(plain, n, w); }); });
}

TEST(CudaHira, AgreesWithFloat64) {
  for (graft_dtype dtype : {kF32, kBf16, kF16}) {
    compare({dtype, 5, 9, 13, 3, true}, 1);
    compare({dtype, 37, 16, 300, 1, false}, 1);
  }
  compare({kBf16, 1, 1, 1, 1, false}, 1);
  compare({kBf16, 0, 3, 8, 2, false}, 1);
}

TEST(CudaHira, SeveralPanels) { compare({kF32, 1, 130, 33000, 2, true}, 1); }

TEST(CudaHira, ManySchedules) { compare({kBf16, 5, 6, 20, 3, true}, 4); }

TEST(CudaHira, OverCodes) {
  const Case n{kF32, 3, 6, 128, 2, true};
  agree(kF32, "NF4", 1, [&](Trial& r) { run(r, n, Nf4Weight(r.context, true, n.n, n.k).w); });
  agree(kF32, "sketch", 1, [&](Trial& r) { run(r, n, SketchWeight(r.context, r.sums, kF32, n.n, 2, 64, 3).w); });
}

TEST(CudaHira, FactorsOfOtherTypes) {
  agree(kF32, "bf16 factors", 1, [&](Trial& r) {
    Weight w(r.context, r.storage, 6, 10);
    r.fill(w, 1);
    const graft_dtype narrow = r.storage == kF64 ? kF64 : kBf16;
    Tensor a = input(r.context, narrow, kBf16, {2, 10}, 2), b = input(r.context, narrow, kBf16, {6, 2}, 3);
    Tensor x = r.input({3, 10}, 4), y = r.input({3, 6}, 5);
    GRAFT_EXPECT_OK(graft_hira_forward(r, x, w, a, b, 0, y));
    r.keep("y", y);
  });
}

}  // namespace
}  // namespace graft::test
