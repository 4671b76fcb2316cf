// cayley on the CUDA device: against float64, entries and square matrices, the inverse and series of every length,
// results of every type, pitches, and no blocks.
#include "trial.h"

namespace graft::test {
namespace {

void compare(graft_dtype dtype, std::int64_t blocks, std::int64_t n, int terms, bool square, int seeds) {
  agree(dtype, sizes({{"D", blocks}, {"n", n}, {"terms", terms}}) + (square ? " square" : ""), seeds, [&](Trial& r) {
    const std::int64_t entries = n * (n - 1) / 2;
    const Shape shape = square ? Shape{blocks, n, n} : Shape{blocks, entries};
    const std::int64_t pitch = square ? 0 : entries + 3;
    Tensor q = r.master(shape, 1, pitch), dq = r.gradient(shape, 2, pitch), dr = r.gradient({blocks, n, n}, 3);
    Tensor rotation = r.zeros({blocks, n, n});
    GRAFT_EXPECT_OK(graft_cayley_forward(r, q, terms, rotation));
    GRAFT_EXPECT_OK(graft_cayley_backward(r, dr, q, terms, dq));
    terms == 1 ? r.keep_bits("r", rotation) : r.keep("r", rotation);
    r.keep_sum("dq", dq);
  });
}

TEST(CudaCayley, AgreesWithFloat64) {
  for (const bool square : {false, true}) {
    for (graft_dtype dtype : {kF32, kBf16, kF16}) compare(dtype, 3, 7, 0, square, 1);
    for (int terms : {1, 2, 3, 4, 5, 8}) compare(kF32, 2, 5, terms, square, 1);
  }
  compare(kF32, 2, 2, 0, false, 1);
  compare(kF32, 1, 33, 0, false, 1);
  compare(kF32, 1, 18, 5, false, 1);
  compare(kF32, 0, 4, 0, true, 1);
}

TEST(CudaCayley, ManySchedules) {
  compare(kF32, 2, 17, 0, false, 2);
  compare(kF32, 1, 17, 4, true, 2);
}

// Without an exchange of rows the first pivots, of 1, are small beside entries of 200.
TEST(CudaCayley, LargeEntries) {
  agree(kF32, "200", 1, [](Trial& r) {
    Tensor q = r.master({2, 45}, 1), rotation = r.zeros({2, 10, 10});
    std::vector<double> values = q.get();
    for (double& value : values) value = std::floor(value * 200);
    GRAFT_EXPECT_OK(graft_cayley_forward(r, q.set(values), 0, rotation));
    r.keep("r", rotation);
  });
}

}  // namespace
}  // namespace graft::test
