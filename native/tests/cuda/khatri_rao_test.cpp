// khatri_rao on the CUDA device: against float64, rows and columns, results of every type, NULL outputs, pitches, and
// empty shapes.
#include "trial.h"

namespace graft::test {
namespace {

void compare(graft_dtype dtype, std::int64_t p, std::int64_t q, std::int64_t common, bool columns, int seeds) {
  const auto shape = [&](std::int64_t pairs) { return columns ? Shape{common, pairs} : Shape{pairs, common}; };
  agree(dtype, sizes({{"P", p}, {"Q", q}, {"C", common}}) + (columns ? " columns" : " rows"), seeds, [&](Trial& r) {
    Tensor u = r.master(shape(p), 1, shape(p)[1] + 3), v = r.master(shape(q), 2), y = r.zeros(shape(p * q));
    Tensor dy = r.gradient(shape(p * q), 3, shape(p * q)[1] + 1);
    Tensor du = r.gradient(shape(p), 4), dv = r.gradient(shape(q), 5, shape(q)[1] + 2), only = r.gradient(shape(q), 5);
    GRAFT_EXPECT_OK(graft_khatri_rao_forward(r, u, v, columns, y));
    GRAFT_EXPECT_OK(graft_khatri_rao_backward(r, dy, u, v, columns, du, dv));
    GRAFT_EXPECT_OK(graft_khatri_rao_backward(r, dy, u, v, columns, nullptr, only));
    GRAFT_EXPECT_OK(graft_khatri_rao_backward(r, dy, u, v, columns, nullptr, nullptr));
    r.keep("y", y), r.keep_sum("du", du), r.keep_sum("dv", dv);
    EXPECT_EQ(only.get(), dv.get());
  });
}

TEST(CudaKhatriRao, AgreesWithFloat64) {
  for (const bool columns : {false, true}) {
    for (graft_dtype dtype : {kF32, kBf16, kF16}) compare(dtype, 3, 5, 41, columns, 1);
    compare(kF32, 1, 1, 1, columns, 1);
    compare(kF32, 2, 3, 0, columns, 1);
    compare(kF32, 0, 3, 4, columns, 1);
  }
}

TEST(CudaKhatriRao, ManySchedules) {
  compare(kBf16, 4, 3, 70, false, 3);
  compare(kBf16, 4, 3, 70, true, 3);
}

TEST(CudaKhatriRao, FactorsOfOtherTypes) {
  agree(kBf16, "bf16 factors", 1, [&](Trial& r) {
    Tensor u = r.input({3, 5}, 1), v = r.input({2, 5}, 2), y = r.zeros({6, 5});
    GRAFT_EXPECT_OK(graft_khatri_rao_forward(r, u, v, 0, y));
    r.keep("y", y);
  });
}

}  // namespace
}  // namespace graft::test
