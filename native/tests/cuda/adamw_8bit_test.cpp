// adamw with moments of 8 bits on the CUDA device: several steps against plain loops of the same precision, whose codes
// may differ by a rounding; runs that are not full, clipping, NaN, and what was never moved.
#include <cmath>

#include "schedules.h"

namespace graft::test {
namespace {

struct Result {
  std::vector<double> p, m, v, m_scale, v_scale, out;
};

Result run(const Context& c, graft_dtype out_dtype, const Shape& shape, double norm, bool nan = false) {
  const std::int64_t count = shape[0] * (shape.size() == 2 ? shape[1] : 1);
  const std::int64_t blocks = (count + GRAFT_ADAMW_BLOCK - 1) / GRAFT_ADAMW_BLOCK;
  Tensor p = input(c, kF32, kF32, shape, 1), g = input(c, kF32, kF32, shape, 2), out(c, out_dtype, shape);
  Tensor m(c, GRAFT_DTYPE_U8, shape), v(c, GRAFT_DTYPE_U8, shape), squared(c, kF64, {1});
  Tensor m_scale(c, kF32, {blocks}), v_scale(c, kF32, {blocks});
  squared.fill(norm * norm);
  // So large that v is above m: a maximum of the wrong moments shows.
  std::vector<double> gradients = g.get();
  for (double& value : gradients) value *= 1000;
  g.set(gradients);
  for (int step = 1; step <= 3; ++step) {
    if (nan && step == 3) {
      std::vector<double> values = g.get();
      values[3] = std::nan("");
      g.set(values);
    }
    GRAFT_EXPECT_OK(graft_adamw_step_8bit(c, g, 0.01, 0.9, 0.99, 1e-8, 0.1, step, norm > 0 ? 1 : 0, squared, 0, p, m,
                                          m_scale, v, v_scale, out));
  }
  GRAFT_EXPECT_OK(graft_context_synchronize(c));
  return {p.get(), m.get(), v.get(), m_scale.get(), v_scale.get(), out.get()};
}

void expect_codes(const std::vector<double>& actual, const std::vector<double>& plain, const char* what) {
  ASSERT_EQ(actual.size(), plain.size());
  std::size_t different = 0;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    ASSERT_LE(std::fabs(actual[i] - plain[i]), 1) << what << " of element " << i;
    different += actual[i] != plain[i];
  }
  EXPECT_LE(different * 100, actual.size()) << what;
}

void compare(graft_dtype out, const Shape& shape, double norm, int seeds) {
  const Context cpu(1, "reference"), cuda(GRAFT_DEVICE_CUDA);
  const Result plain = run(cpu, out, shape, norm);
  for_schedules(seeds, [&] {
    const Result actual = run(cuda, out, shape, norm);
    expect_codes(actual.m, plain.m, "m"), expect_codes(actual.v, plain.v, "v");
    if (plain.p.empty()) return;
    expect_close(actual.m_scale, plain.m_scale, 1e-6, "m_scale");
    expect_close(actual.v_scale, plain.v_scale, 1e-6, "v_scale");
    // A moment that was rounded to the code beside moves its parameter by a hundredth of a step at most.
    expect_close(actual.p, plain.p, 1e-4, "p");
    expect_close(actual.out, plain.out, 1e-4 + 2 * unit_roundoff(out), "p_out");
  });
}

TEST(CudaAdamw8bit, AgreesWithPlainLoops) {
  compare(kBf16, {300}, 0, 1);
  compare(kF16, {3, 100}, 4, 1);
  compare(kF32, {1}, 0, 1);
  compare(kF32, {0}, 0, 1);
}

TEST(CudaAdamw8bit, ManySchedules) { compare(kBf16, {257}, 4, 4); }

TEST(CudaAdamw8bit, NaNStaysInItsRun) {
  const Context cuda(GRAFT_DEVICE_CUDA);
  const Result r = run(cuda, kF32, {300}, 0, true);
  EXPECT_TRUE(std::isnan(r.m_scale[0]) && std::isnan(r.v_scale[0]) && std::isnan(r.p[3]));
  EXPECT_FALSE(std::isnan(r.m_scale[1]) || std::isnan(r.v_scale[1]) || std::isnan(r.p[4]));
}

}  // namespace
}  // namespace graft::test
