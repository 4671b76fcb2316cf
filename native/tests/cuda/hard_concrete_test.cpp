// hard_concrete on the CUDA device: against float64, every mode, entries of later parts of a stream, pitches, and empty
// shapes.
#include "trial.h"

namespace graft::test {
namespace {

void compare(graft_dtype dtype, std::int64_t n, std::int64_t k, graft_gate_mode mode, int seeds) {
  agree(dtype, sizes({{"N", n}, {"K", k}, {"mode", mode}}), seeds, [&](Trial& r) {
    Weight w(r.context, r.storage, n, k, 2);
    Tensor d = r.master({n, k}, 1, k + 1), a = r.master({n, k}, 2), original = r.input({n, k}, 3);
    Tensor g = r.gradient({n, k}, 4, k + 3), da = r.gradient({n, k}, 5), sums(r.context, kF64, {2});
    sums.fill(0.5);
    GRAFT_EXPECT_OK(graft_hard_concrete_write(r, d, a, original, mode, 7, 41, -0.5, 1.5, 0.75, w));
    GRAFT_EXPECT_OK(graft_hard_concrete_backward(r, d, a, mode, 7, 41, -0.5, 1.5, 0.75, 0.125, g, da, sums));
    r.keep("w", w.matrix()), r.keep_sum("g", g), r.keep_sum("da", da);
    r.keep("sums", sums, 1e-13);
  });
}

TEST(CudaHardConcrete, AgreesWithFloat64) {
  for (graft_gate_mode mode : {GRAFT_GATE_SAMPLED, GRAFT_GATE_MEAN, GRAFT_GATE_FIXED}) {
    compare(kF32, 3, 300, mode, 1);
    compare(kBf16, 5, 7, mode, 1);
  }
  compare(kF16, 1, 1, GRAFT_GATE_MEAN, 1);
  compare(kF32, 0, 3, GRAFT_GATE_SAMPLED, 1);
  compare(kF32, 3, 0, GRAFT_GATE_SAMPLED, 1);
}

TEST(CudaHardConcrete, ManySchedules) { compare(kBf16, 3, 70, GRAFT_GATE_SAMPLED, 4); }

}  // namespace
}  // namespace graft::test
