// sparse on the CUDA device: against float64, i32 and i64, several panels of dyᵀ x, back to the original, empty shapes,
// and indices outside.
#include "trial.h"

namespace graft::test {
namespace {

struct Case {
  graft_dtype dtype, ids;
  std::int64_t rows, n, k, count;
};

void run(Trial& r, const Case& n) {
  Weight w(r.context, r.storage, n.n, n.k, 2);
  r.fill(w, 1);
  const std::vector<double> before = w.matrix().get();
  std::vector<double> chosen;
  for (int which = 0; which < 2; ++which)
    for (std::int64_t p = 0; p < n.count; ++p) {
      const std::int64_t at = (2 * p + 1) * n.n * n.k / (2 * n.count);
      chosen.push_back(static_cast<double>(which == 0 ? at / n.k : at % n.k));
    }
  Tensor indices = r.ids(n.ids, {2, n.count}, chosen, n.count + 3);
  Tensor dy = r.input({n.rows, n.n}, 2, n.n + 1), x = r.input({n.rows, n.k}, 3);
  Tensor dd = r.gradient({n.count}, 4), read = r.zeros({n.count}), d = r.master({n.count}, 5);
  Tensor g = r.master({n.rows, n.n}, 6, n.n + 2), squares = r.gradient({n.rows, n.n}, 7);
  GRAFT_EXPECT_OK(graft_sparse_gradient(r, dy, x, indices, dd));
  GRAFT_EXPECT_OK(graft_sparse_read(r, w, indices, read));
  GRAFT_EXPECT_OK(graft_sparse_write(r, d, read, indices, w));
  GRAFT_EXPECT_OK(graft_sparse_add_squares(r, g, squares));
  r.keep_sum("dd", dd), r.keep_bits("read", read), r.keep_bits("written", w.matrix()), r.keep_sum("squares", squares);
  GRAFT_EXPECT_OK(graft_sparse_write(r, nullptr, read, indices, w));
  GRAFT_EXPECT_OK(graft_context_synchronize(r));
  EXPECT_EQ(w.matrix().get(), before);
}

void compare(const Case& n, int seeds) {
  agree(n.dtype, sizes({{"T", n.rows}, {"N", n.n}, {"K", n.k}, {"entries", n.count}}), seeds,
        [&](Trial& r) { run(r, n); });
}

TEST(CudaSparse, AgreesWithFloat64) {
  compare({kF32, kI64, 5, 13, 30, 20}, 1);
  compare({kBf16, kI32, 37, 24, 40, 300}, 1);
  compare({kF16, kI32, 3, 7, 5, 35}, 1);
  compare({kBf16, kI32, 0, 3, 5, 2}, 1);
  compare({kBf16, kI32, 2, 3, 5, 0}, 1);
}

TEST(CudaSparse, SeveralPanels) { compare({kF32, kI32, 1, 66, 32800, 400}, 1); }

TEST(CudaSparse, ManySchedules) { compare({kBf16, kI32, 5, 8, 20, 30}, 3); }

TEST(CudaSparse, AnIndexOutsideIsReported) {
  const Context cuda(GRAFT_DEVICE_CUDA);
  Tensor original(cuda, kF32, {2}), indices(cuda, kI64, {2, 2});
  Weight w(cuda, kF32, 2, 2);
  w.matrix().set({1, 2, 3, 4}), indices.set({0, 1, 1, 2});
  GRAFT_EXPECT_OK(graft_sparse_write(cuda, nullptr, original, indices, w));
  expect_error(graft_context_synchronize(cuda), GRAFT_INVALID_ARGUMENT,
               {"graft_sparse_write", "indices[1][1] is 2", "0..1"});
  EXPECT_EQ(w.matrix().get(), (std::vector<double>{1, 0, 3, 4}));
}

}  // namespace
}  // namespace graft::test
