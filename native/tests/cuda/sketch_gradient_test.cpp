// The gradient of a sketch weight's tables on the CUDA device: against float64, groups of every length, all bits,
// several panels of dyᵀ x, what was there before, and nothing.
#include "coded.h"
#include "trial.h"

namespace graft::test {
namespace {

struct Case {
  graft_dtype dtype;
  std::int64_t rows, n, groups, columns;
  int bits;
};

void compare(const Case& n, int seeds) {
  const std::int64_t k = n.groups * n.columns;
  agree(n.dtype, sizes({{"T", n.rows}, {"N", n.n}, {"groups", n.groups}, {"columns", n.columns}, {"bits", n.bits}}),
        seeds, [&](Trial& r) {
          const SketchWeight sketch(r.context, r.sums, kF32, n.n, n.groups, n.columns, n.bits);
          Tensor dy = r.input({n.rows, n.n}, 2, n.n + 1), x = r.input({n.rows, k}, 3);
          Tensor dtable = r.gradient({n.n, n.groups, std::int64_t{1} << n.bits}, 4);
          GRAFT_EXPECT_OK(graft_sketch_table_gradient(r, dy, x, sketch.w, dtable));
          r.keep_sum("dtable", dtable);
        });
}

TEST(CudaSketchGradient, AgreesWithFloat64) {
  for (const int bits : {4, 3, 2}) {
    compare({kF32, 3, 5, 3, 21, bits}, 1);
    compare({kBf16, 18, 6, 2, 296, bits}, 1);
  }
  compare({kF16, 1, 1, 1, 1, 4}, 1);
  compare({kBf16, 0, 2, 1, 8, 4}, 1);
}

TEST(CudaSketchGradient, SeveralPanels) { compare({kF32, 1, 65, 2, 16400, 4}, 1); }

TEST(CudaSketchGradient, ManySchedules) { compare({kBf16, 3, 3, 2, 300, 4}, 10); }

}  // namespace
}  // namespace graft::test
