// sparse on the CUDA device: against float64, i32 and i64, several panels of dyᵀ x, back to the original, empty shapes,
// and indices outside.
#include "schedules.h"

namespace graft::test {
namespace {

struct Case {
  graft_dtype dtype, ids;
  std::int64_t rows, n, k, count;
};

struct Result {
  std::vector<double> dd, read, written, squares;
};

Result run(const Context& c, graft_dtype storage, const Case& n) {
  const graft_dtype sums = sums_of(storage);
  Weight w(c, storage, n.n, n.k, 2);
  const std::vector<double> before = input(c, storage, n.dtype, {n.n, n.k}, 1).get();
  w.matrix().set(before);
  Tensor indices(c, n.ids, {2, n.count}, n.count + 3);
  std::vector<double> ids;
  for (int which = 0; which < 2; ++which)
    for (std::int64_t p = 0; p < n.count; ++p) {
      const std::int64_t at = (2 * p + 1) * n.n * n.k / (2 * n.count);
      ids.push_back(static_cast<double>(which == 0 ? at / n.k : at % n.k));
    }
  indices.set(ids);
  Tensor dy = input(c, storage, n.dtype, {n.rows, n.n}, 2, n.n + 1), x = input(c, storage, n.dtype, {n.rows, n.k}, 3);
  Tensor dd = input(c, sums, kF32, {n.count}, 4), read(c, storage, {n.count}),
         d = input(c, sums, n.dtype, {n.count}, 5);
  Tensor g = input(c, sums, n.dtype, {n.rows, n.n}, 6, n.n + 2), squares = input(c, sums, kF32, {n.rows, n.n}, 7);
  GRAFT_EXPECT_OK(graft_sparse_gradient(c, dy, x, indices, dd));
  GRAFT_EXPECT_OK(graft_sparse_read(c, w, indices, read));
  GRAFT_EXPECT_OK(graft_sparse_write(c, d, read, indices, w));
  GRAFT_EXPECT_OK(graft_sparse_add_squares(c, g, squares));
  GRAFT_EXPECT_OK(graft_context_synchronize(c));
  Result r{dd.get(), read.get(), w.matrix().get(), squares.get()};
  GRAFT_EXPECT_OK(graft_sparse_write(c, nullptr, read, indices, w));
  GRAFT_EXPECT_OK(graft_context_synchronize(c));
  EXPECT_EQ(w.matrix().get(), before);
  return r;
}

void compare(const Case& n, int seeds) {
  SCOPED_TRACE(std::string(name(n.dtype)) + " T=" + std::to_string(n.rows) + " N=" + std::to_string(n.n) +
               " K=" + std::to_string(n.k) + " of which " + std::to_string(n.count));
  const Context cpu(1, "reference"), cuda(GRAFT_DEVICE_CUDA);
  const Result exact = run(cpu, kF64, n), plain = run(cpu, n.dtype, n);
  for_schedules(seeds, [&] {
    const Result actual = run(cuda, n.dtype, n);
    expect_as_good(actual.dd, plain.dd, exact.dd, unit_roundoff(kF32), "dd");
    EXPECT_EQ(actual.read, plain.read);
    EXPECT_EQ(actual.written, plain.written);
    expect_as_good(actual.squares, plain.squares, exact.squares, unit_roundoff(kF32), "squares");
  });
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
