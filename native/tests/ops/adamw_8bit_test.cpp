// adamw with moments of 8 bits: codes against a search in a map made here, fast against reference, both against 32
// bits, threads, NaN, bad arguments.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "tensors.h"

namespace graft::test {
namespace {

constexpr graft_dtype kU8 = GRAFT_DTYPE_U8;
constexpr std::int64_t kBlock = GRAFT_ADAMW_BLOCK;

// The map by its definition (arXiv 2110.02861, section 2.1), in double.
std::vector<double> dynamic_map(bool with_sign) {
  std::vector<double> values{0, 1};
  for (int i = 0; i < 7; ++i) {
    const int parts = with_sign ? 1 << i : 2 << i;
    for (int j = 0; j < parts; ++j) {
      const double middle = std::pow(10, i - 6) * (0.1 + 0.9 * (j + 0.5) / parts);
      values.push_back(middle);
      if (with_sign) values.push_back(-middle);
    }
  }
  std::sort(values.begin(), values.end());
  return values;
}

struct State {
  State(const Context& c, const Shape& shape, graft_dtype out_dtype = kBf16, graft_dtype wide = kF32)
      : c(c),
        count(std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>())),
        g(c, wide, shape),
        p(c, wide, shape),
        m(c, kU8, shape),
        v(c, kU8, shape),
        m_scale(c, kF32, {(count + kBlock - 1) / kBlock}),
        v_scale(c, kF32, {(count + kBlock - 1) / kBlock}),
        out(c, out_dtype, shape) {}

  State& random() {
    p.random(1), g.random(2), m.integers(3, 0, 255), v.integers(4, 0, 255);
    m_scale.random(5, 0, 1), v_scale.random(6, 0, 1);
    return *this;
  }

  void step(std::int64_t t, double beta1 = 0.9, double beta2 = 0.99, double lr = 0.01, double decay = 0.1,
            double max_norm = 0, const graft_tensor* norm = nullptr) {
    GRAFT_EXPECT_OK(graft_adamw_step_8bit(c, g, lr, beta1, beta2, 1e-8, decay, t, max_norm, norm, 0, p, m, m_scale, v,
                                          v_scale, out));
  }

  std::vector<std::vector<double>> all() const {
    return {p.get(), m.get(), v.get(), m_scale.get(), v_scale.get(), out.get()};
  }

  const Context& c;
  const std::int64_t count;
  Tensor g, p, m, v, m_scale, v_scale, out;
};

// With β = 0 the moments are g and g², and the codes say how they were rounded.
TEST(AdamW8Bit, CodesAreTheNearest) {
  const std::vector<double> m_map = dynamic_map(true), v_map = dynamic_map(false);
  for (const char* prefer : {"fast", "reference"}) {
    const Context c(2, prefer);
    State s(c, {5, 3 * kBlock});
    std::vector<double> g(static_cast<std::size_t>(s.count));
    s.p.random(7, -8, 0);
    const std::vector<double> exponents = s.p.get();
    for (std::size_t i = 0; i < g.size(); ++i) g[i] = std::pow(10, exponents[i]) * (i % 3 == 0 ? -1 : 1);
    g[17] = 0;
    s.g.set(g);
    s.step(1, 0, 0);
    const std::vector<double> exact = s.g.get(), m = s.m.get(), v = s.v.get(), m_scale = s.m_scale.get();
    const std::vector<double> v_scale = s.v_scale.get();
    for (std::size_t i = 0; i < g.size(); ++i) {
      const std::size_t block = i / kBlock;
      const auto distance = [](double x, double value) { return std::abs(x - value); };
      const double x = exact[i] / m_scale[block], square = exact[i] * exact[i] / v_scale[block];
      double nearest = 2, nearest_square = 2;
      for (double value : m_map) nearest = std::min(nearest, distance(x, value));
      for (double value : v_map) nearest_square = std::min(nearest_square, distance(square, value));
      EXPECT_LE(distance(x, m_map[static_cast<std::size_t>(m[i])]), nearest + 1e-6 * std::abs(x)) << prefer << " " << i;
      const auto v_code = static_cast<std::size_t>(v[i]);
      if (square > 0.2e-6) {
        EXPECT_LE(distance(square, v_map[v_code]), nearest_square + 1e-6 * square) << prefer << " " << i;
      } else {
        EXPECT_EQ(v_code, exact[i] == 0 ? 0u : 1u) << prefer << " " << i;
      }
    }
    double largest = 0;
    for (std::size_t i = 0; i < kBlock; ++i) largest = std::max(largest, std::abs(exact[i]));
    EXPECT_EQ(m_scale[0], largest);
  }
}

// Each code survives: a block whose moments are the map's own values.
TEST(AdamW8Bit, EveryCodeComesBack) {
  const std::vector<double> map = dynamic_map(true);
  for (const char* prefer : {"fast", "reference"}) {
    const Context c(1, prefer);
    State s(c, {kBlock});
    s.g.set(map);
    s.step(1, 0, 0.99);
    std::vector<double> codes(256);
    std::iota(codes.begin(), codes.end(), 0);
    EXPECT_EQ(s.m.get(), codes) << prefer;
    s.g.fill(0);
    GRAFT_EXPECT_OK(graft_adamw_step_8bit(c, s.g, 0.01, 0.5, 0.99, 1e-8, 0, 2, 0, nullptr, 0, s.p, s.m, s.m_scale, s.v,
                                          s.v_scale, nullptr));
    EXPECT_EQ(s.m.get(), codes) << prefer;
    EXPECT_EQ(s.m_scale.get()[0], 0.5);
  }
}

TEST(AdamW8Bit, FastAgreesWithReference) {
  const Context fast(2, "fast"), reference(1, "reference");
  for (graft_dtype out : {kF32, kBf16, kF16}) {
    for (const Shape& shape : {Shape{1}, {kBlock - 1}, {kBlock + 1}, {33, 17}, {3, 20000}, {2, 3, 5, 7}}) {
      const std::string what = std::string(name(out)) + " " + std::to_string(shape.back());
      State a(fast, shape, out), b(reference, shape, out);
      a.random().step(3), b.random().step(3);
      EXPECT_EQ(fast.last_dispatch(), "adamw_step_8bit:cpu/fast");
      expect_close(a.p.get(), b.p.get(), 16 * 0x1p-24, what + " p");
      expect_close(a.out.get(), b.out.get(), 2 * unit_roundoff(out) + 16 * 0x1p-24, what + " p_out");
      expect_close(a.m_scale.get(), b.m_scale.get(), 4 * 0x1p-24, what + " m_scale");
      expect_close(a.v_scale.get(), b.v_scale.get(), 4 * 0x1p-24, what + " v_scale");
      for (const auto& [x, y] : {std::pair{a.m.get(), b.m.get()}, {a.v.get(), b.v.get()}}) {
        std::int64_t different = 0;  // a moment within rounding of a bound may go to either side
        for (std::size_t i = 0; i < x.size(); ++i) {
          EXPECT_LE(std::abs(x[i] - y[i]), 1) << what << " " << i;
          different += x[i] != y[i];
        }
        EXPECT_LE(different, 1 + a.count / 1000) << what;
      }
    }
  }
}

TEST(AdamW8Bit, DoublesToo) {
  const Context c(1, "reference"), narrow(1, "reference");
  State a(c, {300}, kF64, kF64), b(narrow, {300}, kF32);
  a.random().step(2), b.random().step(2);
  expect_close(b.p.get(), a.p.get(), 1e-6, "p");
}

// Twenty steps down a bowl: nearly where 32 bits go, and the first step, which has no rounded moments, exactly there.
TEST(AdamW8Bit, FollowsThirtyTwoBits) {
  for (const char* prefer : {"fast", "reference"}) {
    const Context c(2, prefer);
    State s(c, {40, 100}, kF32);
    Tensor p(c, kF32, {40, 100}), m(c, kF32, {40, 100}), v(c, kF32, {40, 100}), g(c, kF32, {40, 100});
    s.p.random(1), p.random(1);
    const std::vector<double> start = p.get();
    for (int t = 1; t <= 20; ++t) {
      s.g.set(s.p.get()), g.set(p.get());  // the gradient of p²/2
      s.step(t);
      GRAFT_ASSERT_OK(graft_adamw_step(c, g, 0.01, 0.9, 0.99, 1e-8, 0.1, t, 0, nullptr, 0, p, m, v, nullptr));
      if (t == 1) {
        EXPECT_EQ(s.p.get(), p.get()) << prefer;
      }
    }
    const std::vector<double> eight = s.p.get(), wide = p.get();
    double moved = 0, apart = 0;
    for (std::size_t i = 0; i < wide.size(); ++i) {
      moved += (wide[i] - start[i]) * (wide[i] - start[i]);
      apart += (eight[i] - wide[i]) * (eight[i] - wide[i]);
    }
    EXPECT_LT(std::sqrt(apart / moved), 0.03) << prefer;
    EXPECT_GT(apart, 0) << "8 bits cannot be exact";
  }
}

TEST(AdamW8Bit, ClipsByTheGlobalNorm) {
  for (const char* prefer : {"fast", "reference"}) {
    const Context c(1, prefer);
    State s(c, {4});
    Tensor sum(c, kF64, {1});
    s.g.fill(3), sum.fill(36);
    s.step(1, 0, 0.9, 0.1, 0, 2, sum);
    EXPECT_NEAR(s.m_scale.get()[0], 1, 1e-6);
  }
}

TEST(AdamW8Bit, SameBitsForAnyNumberOfThreads) {
  for (const Shape& shape : {Shape{70000}, {300, 130}})
    expect_same_bits([&](const Context& c) {
      State s(c, shape);
      s.random();
      for (int t = 1; t <= 3; ++t) s.step(t);
      return s.all();
    });
}

TEST(AdamW8Bit, NaNAndNothing) {
  for (const char* prefer : {"fast", "reference"}) {
    const Context c(2, prefer);
    State s(c, {2 * kBlock});
    s.g.fill(0), s.p.random(1);
    const std::vector<double> before = s.p.get();
    s.step(1, 0.9, 0.99, 0.01, 0);
    EXPECT_EQ(s.p.get(), before);
    std::vector<double> g(static_cast<std::size_t>(s.count), 0.5);
    g[3] = NAN;
    s.g.set(g);
    s.step(2);
    EXPECT_TRUE(std::isnan(s.p.get()[3])) << prefer;
    EXPECT_TRUE(std::isnan(s.m_scale.get()[0]) && std::isnan(s.v_scale.get()[0])) << prefer;
    EXPECT_EQ(s.m_scale.get()[1], 0.05f);
    State none(c, {0, 20});
    none.step(1);
    EXPECT_TRUE(none.p.get().empty());
  }
}

TEST(AdamW8Bit, BadArguments) {
  const Context c;
  State s(c, {300});
  Tensor five(c, kF32, {5}), wide(c, kF32, {300}), one(c, kF32, {1}), pitched(c, kF32, {10, 30}, 40);
  State square(c, {10, 30});
  const graft_status invalid = GRAFT_INVALID_ARGUMENT, mismatch = GRAFT_SHAPE_MISMATCH;
  const auto step = [&](const graft_tensor* g, graft_tensor* p, graft_tensor* m, graft_tensor* m_scale, graft_tensor* v,
                        graft_tensor* v_scale, graft_tensor* out) {
    return graft_adamw_step_8bit(c, g, 0.1, 0.9, 0.99, 1e-8, 0, 1, 0, nullptr, 0, p, m, m_scale, v, v_scale, out);
  };
  expect_error(step(nullptr, s.p, s.m, s.m_scale, s.v, s.v_scale, s.out), invalid, {"graft_adamw_step_8bit", "g is"});
  expect_error(step(s.g, s.p, nullptr, s.m_scale, s.v, s.v_scale, s.out), invalid, {"m is NULL"});
  expect_error(step(s.g, s.p, s.m, nullptr, s.v, s.v_scale, s.out), invalid, {"m_scale is NULL"});
  expect_error(step(s.g, s.p, s.m, s.m_scale, s.v, nullptr, s.out), invalid, {"v_scale is NULL"});
  expect_error(step(s.g, five, s.m, s.m_scale, s.v, s.v_scale, s.out), mismatch, {"p [5]"});
  expect_error(step(s.g, s.p, wide, s.m_scale, s.v, s.v_scale, s.out), invalid, {"m [300] f32", "u8"});
  expect_error(step(s.g, s.p, s.m, one, s.v, s.v_scale, s.out), mismatch, {"m_scale [1]", "2"});
  expect_error(step(s.g, s.p, s.m, s.m_scale, s.v, s.m, s.out), invalid, {"v_scale", "overlaps m"});
  expect_error(step(s.g, s.p, s.m, s.m_scale, s.m, s.v_scale, s.out), invalid, {"v", "overlaps m"});
  expect_error(step(s.g, s.p, s.m, s.m_scale, s.v, s.v_scale, five), mismatch, {"p_out [5]"});
  expect_error(step(square.g, pitched, square.m, square.m_scale, square.v, square.v_scale, nullptr), invalid, {"p ["});
  expect_error(graft_adamw_step_8bit(c, s.g, -1, 0.9, 0.99, 1e-8, 0, 1, 0, nullptr, 0, s.p, s.m, s.m_scale, s.v,
                                     s.v_scale, nullptr),
               invalid, {"lr is -1"});
}

}  // namespace
}  // namespace graft::test
