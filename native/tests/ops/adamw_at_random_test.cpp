// adamw without a master: a bf16 parameter is rounded at random to one of its two neighbours, right in the mean, by the
// same bits everywhere; both sizes of moments, fast against reference, threads, NaN, bad arguments.
#include <cmath>

#include "tensors.h"

namespace graft::test {
namespace {

constexpr std::int64_t kBlock = GRAFT_ADAMW_BLOCK;

struct Step {
  double lr = 0.01, decay = 0.1;
  std::uint64_t seed = 7;
  std::int64_t pitch = 0;  // of g, with moments of 32 bits
};

std::vector<double> moved(const Context& c, bool coded, graft_dtype dtype, const Shape& shape, const Step& s,
                          const std::vector<double>* p_values = nullptr,
                          const std::vector<double>* g_values = nullptr) {
  Tensor p(c, kBf16, shape), g(c, kF32, shape, coded ? 0 : s.pitch), wide(c, kF32, shape);
  p.random(1), g.random(2);
  if (p_values != nullptr) p.set(*p_values);
  if (g_values != nullptr) g.set(*g_values);
  wide.set(p.get());
  Tensor& parameter = dtype == kBf16 ? p : wide;
  const graft_dtype moments = coded ? GRAFT_DTYPE_U8 : kF32;
  Tensor m(c, moments, shape), v(c, moments, shape);
  if (coded) {
    const std::int64_t blocks = (p.elements() + kBlock - 1) / kBlock;
    Tensor m_scale(c, kF32, {blocks}), v_scale(c, kF32, {blocks});
    GRAFT_EXPECT_OK(graft_adamw_step_8bit(c, g, s.lr, 0.9, 0.99, 1e-8, s.decay, 1, 0, nullptr, s.seed, parameter, m,
                                          m_scale, v, v_scale, nullptr));
  } else {
    GRAFT_EXPECT_OK(
        graft_adamw_step(c, g, s.lr, 0.9, 0.99, 1e-8, s.decay, 1, 0, nullptr, s.seed, parameter, m, v, nullptr));
  }
  return parameter.get();
}

// What lies between two neighbours of bf16, at a number of this size.
double unit(double x) { return std::ldexp(1, std::ilogb(x) - 7); }

TEST(AdamWAtRandom, GoesToOneOfTheTwoNeighbours) {
  for (const char* prefer : {"fast", "reference"}) {
    const Context c(2, prefer);
    for (const bool coded : {false, true})
      for (const Shape& shape : {Shape{1}, {7}, {kBlock + 3}, {33, 17}, {3, 20000}}) {
        const std::vector<double> exact = moved(c, coded, kF32, shape, {}), p = moved(c, coded, kBf16, shape, {});
        std::int64_t up = 0;
        for (std::size_t i = 0; i < p.size(); ++i) {
          const double below = std::floor(exact[i] / unit(exact[i])) * unit(exact[i]);
          ASSERT_TRUE(p[i] == below || p[i] == below + unit(exact[i])) << prefer << " " << i << ": " << exact[i];
          up += p[i] != below;
        }
        const double share = static_cast<double>(up) / static_cast<double>(p.size());
        EXPECT_NEAR(share, 0.5, p.size() > 1000 ? 0.05 : 0.5);
      }
  }
}

// A step of a tenth of a unit: rounding to nearest would lose all of them.
TEST(AdamWAtRandom, IsRightInTheMean) {
  const Context c(2);
  const std::int64_t count = 1 << 16;
  for (const bool coded : {false, true})
    for (const double start : {1.5, -1.5}) {
      const std::vector<double> p_values(count, start), g_values(count, 0.0);
      const double decay = 0.1 * unit(1.5) / 1.5;
      const std::vector<double> p = moved(c, coded, kBf16, {count}, {1, decay}, &p_values, &g_values);
      double sum = 0;
      for (const double value : p) sum += value;
      const double sigma = unit(1.5) * std::sqrt(0.1 * 0.9 / static_cast<double>(count));
      EXPECT_NEAR(sum / static_cast<double>(count), start * (1 - decay), 5 * sigma) << coded;
    }
}

TEST(AdamWAtRandom, FastAgreesWithReference) {
  const Context fast(2, "fast"), reference(1, "reference");
  for (const bool coded : {false, true})
    for (const Shape& shape : {Shape{1}, {kBlock - 1}, {kBlock + 1}, {33, 17}, {3, 20000}, {2, 3, 5, 7}})
      for (const std::int64_t pitch : {0, shape.size() == 2 ? 20008 : 0}) {
        const Step step{0.01, 0.1, 7, pitch};
        const std::vector<double> a = moved(fast, coded, kBf16, shape, step);
        const std::vector<double> b = moved(reference, coded, kBf16, shape, step);
        std::size_t different = 0;  // where the last bit of fp32 decides
        for (std::size_t i = 0; i < a.size(); ++i) {
          ASSERT_LE(std::abs(a[i] - b[i]), 1.01 * unit(std::max(std::abs(a[i]), 1e-30))) << i;
          different += a[i] != b[i];
        }
        EXPECT_LE(different, 1 + a.size() / 1000);
        EXPECT_TRUE(a.size() < 100 || a != moved(fast, coded, kBf16, shape, {0.01, 0.1, 8, pitch}));
      }
}

TEST(AdamWAtRandom, ThreadsDoNotMatter) {
  const Context one(1);
  for (const bool coded : {false, true})
    for (int threads : {2, 4}) {
      const Context c(threads);
      EXPECT_EQ(moved(one, coded, kBf16, {3, 30001}, {}), moved(c, coded, kBf16, {3, 30001}, {}));
    }
}

TEST(AdamWAtRandom, NotANumberStaysOne) {
  for (const char* prefer : {"fast", "reference"}) {
    const Context c(1, prefer);
    std::vector<double> g(40, 0.5);
    g[5] = std::nan("");
    for (const bool coded : {false, true}) {
      const std::vector<double> p = moved(c, coded, kBf16, {40}, {}, nullptr, &g);
      EXPECT_TRUE(std::isnan(p[5])) << prefer;
      EXPECT_EQ(std::isnan(p[4]), false) << prefer;
    }
  }
}

TEST(AdamWAtRandom, BadArguments) {
  const Context c(1);
  const Shape shape{4, 8};
  Tensor g(c, kF32, shape), p(c, kBf16, shape), m(c, kF32, shape), v(c, kF32, shape), out(c, kBf16, shape);
  const auto step = [&](const graft_tensor* gradient, graft_tensor* parameter, graft_tensor* copy) {
    return graft_adamw_step(c, gradient, 0.1, 0.9, 0.99, 1e-8, 0, 1, 0, nullptr, 1, parameter, m, v, copy);
  };
  expect_error(step(g, p, out), GRAFT_INVALID_ARGUMENT, {"graft_adamw_step", "p_out is given, but p is bf16"});
  Tensor half(c, kF16, shape), wide(c, kF64, shape), pitched(c, kBf16, shape, 16);
  expect_error(step(g, half, nullptr), GRAFT_INVALID_ARGUMENT, {"p", "f16"});
  expect_error(step(wide, p, nullptr), GRAFT_INVALID_ARGUMENT, {"g", "f64"});
  expect_error(step(g, pitched, nullptr), GRAFT_INVALID_ARGUMENT, {"p"});
}

}  // namespace
}  // namespace graft::test
