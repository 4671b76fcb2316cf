// rows and gathered columns on the CUDA device: against float64, rows in any order, i32 and i64, more of them than a
// skinny pass holds, back to the original, empty shapes, and indices outside.
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
  for (std::int64_t j = 0; j < n.count; ++j) chosen.push_back(static_cast<double>((j * 5 + 2) % n.n));
  Tensor indices = r.ids(n.ids, {n.count}, chosen);
  Tensor dy = r.input({n.rows, n.n}, 2, n.n + 1), x = r.input({n.rows, n.k}, 3);
  Tensor dd = r.gradient({n.count, n.k}, 4, n.k + 1), read = r.zeros({n.count, n.k}), d = r.master({n.count, n.k}, 5);
  GRAFT_EXPECT_OK(graft_rows_gradient(r, dy, x, indices, dd));
  GRAFT_EXPECT_OK(graft_rows_read(r, w, indices, read));
  GRAFT_EXPECT_OK(graft_rows_write(r, d, read, indices, w));
  r.keep_sum("dd", dd), r.keep_bits("read", read), r.keep_bits("written", w.matrix());
  GRAFT_EXPECT_OK(graft_rows_write(r, nullptr, read, indices, w));
  GRAFT_EXPECT_OK(graft_context_synchronize(r));
  EXPECT_EQ(w.matrix().get(), before);
}

void compare(const Case& n, int seeds) {
  agree(n.dtype, sizes({{"T", n.rows}, {"N", n.n}, {"K", n.k}, {"r", n.count}}), seeds, [&](Trial& r) { run(r, n); });
}

TEST(CudaRows, AgreesWithFloat64) {
  compare({kF32, kI64, 5, 13, 300, 4}, 1);
  compare({kBf16, kI32, 37, 24, 40, 16}, 1);
  compare({kF16, kI32, 3, 97, 5, 70}, 1);
  compare({kBf16, kI32, 1, 1, 1, 1}, 1);
  compare({kBf16, kI32, 0, 3, 5, 2}, 1);
  compare({kBf16, kI32, 2, 3, 5, 0}, 1);
}

TEST(CudaRows, ManySchedules) { compare({kBf16, kI32, 5, 8, 20, 3}, 3); }

TEST(CudaRows, AnIndexOutsideIsReported) {
  const Context cuda(GRAFT_DEVICE_CUDA);
  Tensor original(cuda, kF32, {2, 2}), indices(cuda, kI64, {2});
  Weight w(cuda, kF32, 2, 2);
  w.matrix().set({1, 2, 3, 4}), indices.set({-1, 1});
  GRAFT_EXPECT_OK(graft_rows_write(cuda, nullptr, original, indices, w));
  expect_error(graft_context_synchronize(cuda), GRAFT_INVALID_ARGUMENT, {"graft_rows_write", "indices[0] is -1"});
  EXPECT_EQ(w.matrix().get(), (std::vector<double>{1, 2, 0, 0}));
  original.fill(7);
  GRAFT_EXPECT_OK(graft_rows_read(cuda, w, indices, original));
  expect_error(graft_context_synchronize(cuda), GRAFT_INVALID_ARGUMENT, {"graft_rows_read"});
  EXPECT_EQ(original.get(), (std::vector<double>{0, 0, 0, 0}));
}

}  // namespace
}  // namespace graft::test
