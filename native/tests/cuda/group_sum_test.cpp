// group_sum on the CUDA device: against float64, short and long groups, added to what is there, and empty shapes.
#include "trial.h"

namespace graft::test {
namespace {

void compare(graft_dtype dtype, std::int64_t rows, std::int64_t groups, std::int64_t size, bool accumulate, int seeds) {
  agree(dtype, sizes({{"T", rows}, {"groups", groups}, {"size", size}}), seeds, [&](Trial& r) {
    Tensor x = r.input({rows, groups * size}, 1, groups * size + 1), y = r.zeros({rows, groups});
    Tensor dy = r.input({rows, groups}, 2, groups + 2), dx = r.input({rows, groups * size}, 3);
    GRAFT_EXPECT_OK(graft_group_sum_forward(r, x, 0.75, y));
    GRAFT_EXPECT_OK(graft_group_sum_backward(r, dy, 0.75, accumulate, dx));
    r.keep("y", y), r.keep("dx", dx);
  });
}

TEST(CudaGroupSum, AgreesWithFloat64) {
  for (graft_dtype dtype : {kF32, kBf16, kF16}) {
    compare(dtype, 3, 5, 8, false, 1);
    compare(dtype, 2, 3, 41, true, 1);
    compare(dtype, 1, 1, 1, true, 1);
  }
  compare(kF32, 0, 2, 3, false, 1);
}

TEST(CudaGroupSum, ManySchedules) { compare(kBf16, 3, 4, 70, true, 4); }

}  // namespace
}  // namespace graft::test
