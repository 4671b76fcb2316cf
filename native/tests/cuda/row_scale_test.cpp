// row_scale on the CUDA device: against float64, vectors of every type, in place, NULL outputs, and empty shapes.
#include "trial.h"

namespace graft::test {
namespace {

void compare(graft_dtype dtype, std::int64_t rows, std::int64_t columns, int seeds) {
  agree(dtype, sizes({{"rows", rows}, {"columns", columns}}), seeds, [&](Trial& r) {
    // Where x is f32 the scales are f16, with values that it holds.
    const graft_dtype scales = r.storage == kF32 ? kF16 : r.sums, values = dtype == kF32 ? kF16 : dtype;
    Tensor x = r.input({rows, columns}, 1, columns + 1), s = input(r.context, scales, values, {rows}, 2);
    Tensor dy = r.master({rows, columns}, 3), dx = r.gradient({rows, columns}, 4),
           alone = r.gradient({rows, columns}, 4);
    Tensor ds = r.gradient({rows}, 5);
    GRAFT_EXPECT_OK(graft_row_scale_backward(r, dy, x, s, dx, ds));
    GRAFT_EXPECT_OK(graft_row_scale_backward(r, dy, x, s, alone, nullptr));
    GRAFT_EXPECT_OK(graft_row_scale_backward(r, dy, x, s, nullptr, nullptr));
    GRAFT_EXPECT_OK(graft_row_scale_forward(r, x, s, x));
    r.keep("y", x), r.keep_sum("dx", dx), r.keep_sum("ds", ds);
    EXPECT_EQ(alone.get(), dx.get());
  });
}

TEST(CudaRowScale, AgreesWithFloat64) {
  for (graft_dtype dtype : {kF32, kBf16, kF16}) {
    compare(dtype, 3, 300, 1);
    compare(dtype, 1, 1, 1);
  }
  compare(kBf16, 0, 3, 1);
  compare(kBf16, 3, 0, 1);
}

TEST(CudaRowScale, ManySchedules) { compare(kBf16, 2, 300, 4); }

}  // namespace
}  // namespace graft::test
