// rope on the CUDA device: against float64, both layouts, partial heads, strided tokens, far positions.
#include "schedules.h"

namespace graft::test {
namespace {

struct Case {
  std::int64_t batch, tokens, heads, width, pairs;
  bool interleaved;
  double magnitude = 1;
};

std::vector<double> run(const Context& c, graft_dtype storage, graft_dtype values, const Case& n, bool backward,
                        graft_dtype frequencies) {
  const Shape shape = {n.batch, n.tokens, n.heads, n.width};
  // Tokens lie behind a gap of one head.
  const Shape stride = {n.tokens * (n.heads + 1) * n.width, (n.heads + 1) * n.width, n.width, 1};
  Tensor memory(c, storage, {n.batch, n.tokens, n.heads + 1, n.width}), x = memory.view(0, shape, stride);
  Tensor y(c, storage, shape), positions(c, GRAFT_DTYPE_I32, {n.batch, n.tokens}), inv_freq(c, frequencies, {n.pairs});
  x.set(input(c, values, values, shape, 1).get());
  std::vector<double> at, turns;
  for (std::int64_t i = 0; i < n.batch * n.tokens; ++i) at.push_back(static_cast<double>(i * 997 % 131072));
  for (std::int64_t i = 0; i < n.pairs; ++i)
    turns.push_back(static_cast<float>(std::pow(1e4, -static_cast<double>(i) / static_cast<double>(n.pairs))));
  positions.set(at), inv_freq.set(turns);
  GRAFT_EXPECT_OK(backward ? graft_rope_backward(c, x, positions, inv_freq, n.interleaved, n.magnitude, y)
                           : graft_rope_forward(c, x, positions, inv_freq, n.interleaved, n.magnitude, y));
  GRAFT_EXPECT_OK(graft_context_synchronize(c));
  return y.get();
}

void compare(const Context& cpu, const Context& cuda, graft_dtype dtype, const Case& n, int seeds) {
  for (bool backward : {false, true}) {
    const auto exact = run(cpu, GRAFT_DTYPE_F64, dtype, n, backward, GRAFT_DTYPE_F64);
    const auto plain = run(cpu, dtype, dtype, n, backward, GRAFT_DTYPE_F32);
    for_schedules(seeds, [&] {
      expect_as_good(run(cuda, dtype, dtype, n, backward, GRAFT_DTYPE_F32), plain, exact, unit_roundoff(dtype), "y");
    });
  }
}

TEST(CudaRope, AgreesWithFloat64) {
  const Context cpu(1, "reference"), cuda(GRAFT_DEVICE_CUDA);
  for (graft_dtype dtype : {GRAFT_DTYPE_F32, GRAFT_DTYPE_BF16, GRAFT_DTYPE_F16}) {
    SCOPED_TRACE(name(dtype));
    for (bool interleaved : {false, true}) {
      compare(cpu, cuda, dtype, {2, 3, 2, 16, 8, interleaved}, 2);
      compare(cpu, cuda, dtype, {1, 2, 3, 10, 3, interleaved, 1.1386}, 2);
      compare(cpu, cuda, dtype, {1, 1, 5, 128, 64, interleaved}, 1);
      compare(cpu, cuda, dtype, {0, 4, 1, 8, 4, interleaved}, 1);
    }
  }
}

TEST(CudaRope, ManySchedules) {
  const Context cpu(1, "reference"), cuda(GRAFT_DEVICE_CUDA);
  compare(cpu, cuda, GRAFT_DTYPE_F32, {1, 2, 2, 80, 40, false}, 100);
}

TEST(CudaRope, Frequencies) {
  const Context cpu(1, "reference"), cuda(GRAFT_DEVICE_CUDA);
  struct Scaling {
    std::int32_t kind;
    double low, high;
    std::int64_t pairs;
  };
  // The last ones of YaRN: a ramp between two places, one that begins before the first, and none between.
  for (const Scaling& n : {Scaling{GRAFT_ROPE_NONE, 0, 0, 64}, Scaling{GRAFT_ROPE_LINEAR, 0, 0, 3},
                           Scaling{GRAFT_ROPE_LLAMA3, 1, 4, 64}, Scaling{GRAFT_ROPE_YARN, 1, 32, 64},
                           Scaling{GRAFT_ROPE_YARN, 500, 4000, 300}, Scaling{GRAFT_ROPE_YARN, 1, 2, 1}}) {
    SCOPED_TRACE("scaling " + std::to_string(n.kind) + " of " + std::to_string(n.pairs));
    std::vector<double> values[2];
    for (const Context* c : {&cpu, &cuda}) {
      Tensor inv_freq(*c, GRAFT_DTYPE_F32, {n.pairs});
      GRAFT_EXPECT_OK(graft_rope_frequencies(*c, 5e5, n.kind, 8, n.low, n.high, 8192, inv_freq));
      GRAFT_EXPECT_OK(graft_context_synchronize(*c));
      values[c == &cuda] = inv_freq.get();
    }
    for (std::size_t i = 0; i < values[0].size(); ++i) EXPECT_NEAR(values[1][i] / values[0][i], 1, 0x1p-23) << i;
  }
}

TEST(CudaRope, InPlace) {
  const Context cuda(GRAFT_DEVICE_CUDA);
  const graft_dtype f32 = GRAFT_DTYPE_F32;
  Tensor x = input(cuda, f32, f32, {1, 3, 2, 8}, 1), positions(cuda, GRAFT_DTYPE_I32, {1, 3}), turns(cuda, f32, {3});
  const std::vector<double> before = x.get();
  positions.set({1, 2, 3}), turns.set({1, 0.5, 0.25});
  GRAFT_EXPECT_OK(graft_rope_forward(cuda, x, positions, turns, 1, 1, x));
  GRAFT_EXPECT_OK(graft_rope_backward(cuda, x, positions, turns, 1, 1, x));
  GRAFT_EXPECT_OK(graft_context_synchronize(cuda));
  expect_close(x.get(), before, 1e-6, "there and back");
}

}  // namespace
}  // namespace graft::test
