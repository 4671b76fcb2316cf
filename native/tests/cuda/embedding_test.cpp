// embedding on the CUDA device: against float64, repeated ids in order, ids of both kinds, and ids outside of the
// table.
#include "schedules.h"

namespace graft::test {
namespace {

struct Result {
  std::vector<double> y, dtable;
};

Result run(const Context& c, graft_dtype storage, graft_dtype values, graft_dtype id_type, std::int64_t tokens,
           std::int64_t columns, std::int64_t vocabulary) {
  const graft_dtype sums = storage == GRAFT_DTYPE_F64 ? GRAFT_DTYPE_F64 : GRAFT_DTYPE_F32;
  Tensor table = input(c, storage, values, {vocabulary, columns}, 1, columns + 5);
  Tensor dy = input(c, storage, values, {tokens, columns}, 2), ids(c, id_type, {tokens});
  Tensor y(c, storage, {tokens, columns}), dtable = input(c, sums, values, {vocabulary, columns}, 3);
  std::vector<double> chosen;
  for (std::int64_t t = 0; t < tokens; ++t) chosen.push_back(static_cast<double>(t * t % vocabulary));
  ids.set(chosen);
  GRAFT_EXPECT_OK(graft_embedding_forward(c, table, ids, 1, y));
  GRAFT_EXPECT_OK(graft_embedding_backward(c, ids, dy, 1, dtable));
  GRAFT_EXPECT_OK(graft_context_synchronize(c));
  return {y.get(), dtable.get()};
}

void compare(graft_dtype dtype, graft_dtype ids, std::int64_t tokens, std::int64_t columns, std::int64_t vocabulary,
             int seeds) {
  const Context cpu(1, "reference"), cuda(GRAFT_DEVICE_CUDA);
  const Result exact = run(cpu, GRAFT_DTYPE_F64, dtype, ids, tokens, columns, vocabulary);
  const Result plain = run(cpu, dtype, dtype, ids, tokens, columns, vocabulary);
  for_schedules(seeds, [&] {
    const Result actual = run(cuda, dtype, dtype, ids, tokens, columns, vocabulary);
    EXPECT_EQ(actual.y, exact.y);
    EXPECT_EQ(actual.dtable, plain.dtable);  // the same sums in the same order
    expect_as_good(actual.dtable, plain.dtable, exact.dtable, unit_roundoff(GRAFT_DTYPE_F32), "dtable");
  });
}

TEST(CudaEmbedding, AgreesWithFloat64) {
  for (graft_dtype dtype : {GRAFT_DTYPE_F32, GRAFT_DTYPE_BF16, GRAFT_DTYPE_F16}) {
    SCOPED_TRACE(name(dtype));
    compare(dtype, GRAFT_DTYPE_I32, 1, 1, 1, 2);
    compare(dtype, GRAFT_DTYPE_I64, 40, 260, 7, 1);
    compare(dtype, GRAFT_DTYPE_I32, 0, 3, 2, 1);
  }
}

TEST(CudaEmbedding, MoreTokensThanABlock) { compare(GRAFT_DTYPE_BF16, GRAFT_DTYPE_I32, 530, 3, 11, 4); }
TEST(CudaEmbedding, ManySchedules) { compare(GRAFT_DTYPE_F32, GRAFT_DTYPE_I64, 9, 5, 3, 100); }

TEST(CudaEmbedding, TheFirstIdOutsideIsReported) {
  const Context cuda(GRAFT_DEVICE_CUDA);
  Tensor table(cuda, GRAFT_DTYPE_F32, {4, 3}), ids(cuda, GRAFT_DTYPE_I64, {5}), y(cuda, GRAFT_DTYPE_F32, {5, 3});
  table.fill(1), ids.set({0, 3, -2, 1, 9});
  GRAFT_EXPECT_OK(graft_embedding_forward(cuda, table, ids, 1, y));
  GRAFT_EXPECT_OK(graft_embedding_backward(cuda, ids, y, 1, table));
  expect_error(graft_context_synchronize(cuda), GRAFT_INVALID_ARGUMENT,
               {"graft_embedding_forward", "ids[2] is -2", "0..3"});
  GRAFT_EXPECT_OK(graft_context_synchronize(cuda));
  EXPECT_EQ(y.get(), (std::vector<double>{1, 1, 1, 1, 1, 1, 0, 0, 0, 1, 1, 1, 0, 0, 0}));
  EXPECT_EQ(table.get(), (std::vector<double>{2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2}));
}

}  // namespace
}  // namespace graft::test
