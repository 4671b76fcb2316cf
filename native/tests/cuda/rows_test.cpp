// rows and gathered columns on the CUDA device: against float64, rows in any order, i32 and i64, more of them than a
// skinny pass holds, back to the original, empty shapes, and indices outside.
#include "schedules.h"

namespace graft::test {
namespace {

struct Case {
  graft_dtype dtype, ids;
  std::int64_t rows, n, k, count;
};

struct Result {
  std::vector<double> dd, read, written;
};

Result run(const Context& c, graft_dtype storage, const Case& n) {
  const graft_dtype sums = sums_of(storage);
  Weight w(c, storage, n.n, n.k, 2);
  const std::vector<double> before = input(c, storage, n.dtype, {n.n, n.k}, 1).get();
  w.matrix().set(before);
  Tensor indices(c, n.ids, {n.count});
  std::vector<double> ids;
  for (std::int64_t j = 0; j < n.count; ++j) ids.push_back(static_cast<double>((j * 5 + 2) % n.n));
  indices.set(ids);
  Tensor dy = input(c, storage, n.dtype, {n.rows, n.n}, 2, n.n + 1), x = input(c, storage, n.dtype, {n.rows, n.k}, 3);
  Tensor dd = input(c, sums, kF32, {n.count, n.k}, 4, n.k + 1), read(c, storage, {n.count, n.k});
  Tensor d = input(c, sums, n.dtype, {n.count, n.k}, 5);
  GRAFT_EXPECT_OK(graft_rows_gradient(c, dy, x, indices, dd));
  GRAFT_EXPECT_OK(graft_rows_read(c, w, indices, read));
  GRAFT_EXPECT_OK(graft_rows_write(c, d, read, indices, w));
  GRAFT_EXPECT_OK(graft_context_synchronize(c));
  Result r{dd.get(), read.get(), w.matrix().get()};
  GRAFT_EXPECT_OK(graft_rows_write(c, nullptr, read, indices, w));
  GRAFT_EXPECT_OK(graft_context_synchronize(c));
  EXPECT_EQ(w.matrix().get(), before);
  return r;
}

void compare(const Case& n, int seeds) {
  SCOPED_TRACE(std::string(name(n.dtype)) + " T=" + std::to_string(n.rows) + " N=" + std::to_string(n.n) +
               " K=" + std::to_string(n.k) + " r=" + std::to_string(n.count));
  const Context cpu(1, "reference"), cuda(GRAFT_DEVICE_CUDA);
  const Result exact = run(cpu, kF64, n), plain = run(cpu, n.dtype, n);
  for_schedules(seeds, [&] {
    const Result actual = run(cuda, n.dtype, n);
    expect_as_good(actual.dd, plain.dd, exact.dd, unit_roundoff(kF32), "dd");
    EXPECT_EQ(actual.read, plain.read);
    EXPECT_EQ(actual.written, plain.written);
  });
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
