// block_diagonal on the CUDA device: against float64, blocks smaller and larger than a tile, one for all or one each,
// columns in another order, several groups of rows, NULL outputs, pitches, no rows, and columns outside.
#include "trial.h"

namespace graft::test {
namespace {

struct Case {
  graft_dtype dtype;
  std::int64_t rows, blocks, n;
  bool shared, ordered, accumulate;
};

void run(Trial& r, const Case& n) {
  const std::int64_t k = n.blocks * n.n, given = n.shared ? 1 : n.blocks;
  std::vector<double> order;
  for (std::int64_t i = 0; i < k; ++i) order.push_back(static_cast<double>(i % 2 == 0 ? k - 1 - i / 2 : i / 2));
  Tensor chosen = r.ids(kI32, {k}, order);
  graft_tensor* const columns = n.ordered ? static_cast<graft_tensor*>(chosen) : nullptr;
  Tensor x = r.input({n.rows, k}, 1, k + 3), y = r.zeros({n.rows, k}, k + 1), dy = r.input({n.rows, k}, 2);
  Tensor rotation = r.master({given, n.n, n.n}, 3), dx = r.input({n.rows, k}, 4), alone = r.input({n.rows, k}, 4);
  Tensor dr = r.gradient({given, n.n, n.n}, 5);
  GRAFT_EXPECT_OK(graft_block_diagonal_forward(r, x, rotation, columns, y));
  GRAFT_EXPECT_OK(graft_block_diagonal_backward(r, dy, x, rotation, columns, n.accumulate, dx, dr));
  GRAFT_EXPECT_OK(graft_block_diagonal_backward(r, dy, nullptr, rotation, columns, n.accumulate, alone, nullptr));
  r.keep("y", y), r.keep("dx", dx), r.keep_sum("dr", dr);
  EXPECT_EQ(alone.get(), dx.get());
}

void compare(const Case& n, int seeds) {
  agree(n.dtype, sizes({{"T", n.rows}, {"D", n.blocks}, {"n", n.n}}) + (n.ordered ? " ordered" : ""), seeds,
        [&](Trial& r) { run(r, n); });
}

TEST(CudaBlockDiagonal, AgreesWithFloat64) {
  for (graft_dtype dtype : {kF32, kBf16, kF16}) {
    compare({dtype, 37, 13, 5, false, true, true}, 1);
    compare({dtype, 5, 2, 41, false, false, false}, 1);
    compare({dtype, 3, 4, 32, true, false, true}, 1);
  }
  compare({kF32, 300, 3, 4, true, true, false}, 1);
  compare({kF32, 2, 1, 1, false, false, false}, 1);
  compare({kBf16, 0, 2, 3, false, false, true}, 1);
}

TEST(CudaBlockDiagonal, ManySchedules) { compare({kBf16, 33, 3, 34, false, true, true}, 2); }

TEST(CudaBlockDiagonal, AColumnOutsideIsReported) {
  const Context cuda(GRAFT_DEVICE_CUDA);
  Tensor x(cuda, kF32, {1, 2}), rotation(cuda, kF32, {1, 2, 2}), y(cuda, kF32, {1, 2}), columns(cuda, kI64, {2});
  x.set({3, 4}), columns.set({2, 0}), y.fill(7);
  GRAFT_EXPECT_OK(graft_block_diagonal_forward(cuda, x, rotation, columns, y));
  expect_error(graft_context_synchronize(cuda), GRAFT_INVALID_ARGUMENT,
               {"graft_block_diagonal_forward", "columns[0] is 2", "0..1"});
  EXPECT_EQ(y.get(), (std::vector<double>{3, 7}));
}

}  // namespace
}  // namespace graft::test
