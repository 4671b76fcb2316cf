// adamw: golden steps and clipping, fast against reference, the compute copy, pitch, threads, bad arguments.
#include <cmath>

#include "golden.h"
#include "tensors.h"

namespace graft::test {
namespace {

struct Result {
  std::vector<double> p, m, v, out, sum;
  bool operator==(const Result&) const = default;
};

Result run(const Context& c, const Shape& shape, graft_dtype out_dtype, std::int64_t pitch = 0) {
  Tensor g(c, kF32, shape, pitch), p(c, kF32, shape), m(c, kF32, shape, pitch), v(c, kF32, shape), sum(c, kF64, {1});
  Tensor out(c, out_dtype, shape, pitch);
  p.random(1), m.random(2), v.random(3, 0, 1);
  for (int step = 1; step <= 3; ++step) {
    g.random(static_cast<std::uint64_t>(3 + step)), sum.fill(0);
    GRAFT_EXPECT_OK(graft_adamw_squared_norm(c, g, sum));
    GRAFT_EXPECT_OK(graft_adamw_step(c, g, 0.01, 0.9, 0.99, 1e-8, 0.1, step, 0.5, sum, 0, p, m, v, out));
  }
  return {p.get(), m.get(), v.get(), out.get(), sum.get()};
}

TEST(AdamW, GoldenSteps) {
  for (const std::string& path : golden_files("adamw")) {
    auto f = golden(path);
    const auto scalar = [&](const char* key) { return f.at(key).values.at(0); };
    const struct {
      const char* prefer;
      graft_dtype dtype;
      double tolerance;
    } cases[] = {{"fast", kF32, 1e-5}, {"reference", kF32, 1e-5}, {"reference", kF64, 1e-12}};
    for (const auto& k : cases) {
      const Context c(2, k.prefer);
      Tensor p = load(c, k.dtype, f.at("p")), m(c, k.dtype, f.at("p").shape), v(c, k.dtype, f.at("p").shape);
      for (int step = 1; step <= 4; ++step) {
        const std::string t = std::to_string(step), what = path + " " + k.prefer + " step " + t;
        Tensor g = load(c, k.dtype, f.at("g" + t));
        GRAFT_ASSERT_OK(graft_adamw_step(c, g, scalar("lr"), scalar("beta1"), scalar("beta2"), scalar("eps"),
                                         scalar("weight_decay"), step, 0, nullptr, 0, p, m, v, nullptr));
        EXPECT_EQ(c.last_dispatch(), std::string("adamw_step:cpu/") + k.prefer);
        expect_close(p.get(), f.at("p" + t).values, k.tolerance, what + " p");
        expect_close(m.get(), f.at("m" + t).values, k.tolerance, what + " m");
        expect_close(v.get(), f.at("v" + t).values, k.tolerance, what + " v");
      }
    }
  }
}

TEST(AdamW, GoldenClipping) {
  for (const std::string& path : golden_files("gradient_clip")) {
    auto f = golden(path);
    for (const char* prefer : {"fast", "reference"}) {
      const Context c(2, prefer);
      Tensor g0 = load(c, kF32, f.at("g0")), g1 = load(c, kF32, f.at("g1")), sum(c, kF64, {1});
      GRAFT_ASSERT_OK(graft_adamw_squared_norm(c, g0, sum));
      GRAFT_ASSERT_OK(graft_adamw_squared_norm(c, g1, sum));
      EXPECT_NEAR(std::sqrt(sum.get()[0]), f.at("norm").values[0], 1e-12 * f.at("norm").values[0]);
      for (const char* which : {"0", "1"}) {
        Tensor& g = which[0] == '0' ? g0 : g1;
        const Shape& shape = f.at(std::string("g") + which).shape;
        Tensor p(c, kF32, shape), m(c, kF32, shape), v(c, kF32, shape);
        // With β₁ = 0 the first moment is the clipped gradient itself.
        GRAFT_ASSERT_OK(
            graft_adamw_step(c, g, 0.1, 0, 0, 1e-8, 0, 1, f.at("max_norm").values[0], sum, 0, p, m, v, nullptr));
        expect_close(m.get(), f.at(std::string("clipped") + which).values, 1e-6, path + " clipped");
      }
    }
  }
}

TEST(AdamW, FastAgreesWithReference) {
  const Context fast(2, "fast"), reference(1, "reference");
  for (graft_dtype out : {kF32, kBf16, GRAFT_DTYPE_F16}) {
    for (const Shape& shape : {Shape{1}, {7}, {33, 17}, {3, 20000}, {2, 3, 5, 7}}) {
      const std::string what = std::string(name(out)) + " " + std::to_string(shape.back());
      const Result a = run(fast, shape, out), b = run(reference, shape, out);
      expect_close(a.p, b.p, 16 * 0x1p-24, what + " p");
      expect_close(a.m, b.m, 16 * 0x1p-24, what + " m");
      expect_close(a.v, b.v, 16 * 0x1p-24, what + " v");
      expect_close(a.out, b.out, 2 * unit_roundoff(out) + 16 * 0x1p-24, what + " p_out");
      expect_close(a.sum, b.sum, 1e-12, what + " sum");
    }
  }
}

TEST(AdamW, ComputeCopyIsTheRoundedParameter) {
  for (const char* prefer : {"fast", "reference"}) {
    for (graft_dtype out : {kF32, kBf16, GRAFT_DTYPE_F16}) {
      const Context c(2, prefer);
      const Result a = run(c, {9, 21}, out);
      Tensor rounded(c, out, {9, 21});
      rounded.set(a.p);
      EXPECT_EQ(a.out, rounded.get()) << prefer << " " << name(out);
    }
  }
}

TEST(AdamW, ClippingIsOffWithoutNormOrLimit) {
  for (const char* prefer : {"fast", "reference"}) {
    const Context c(1, prefer);
    Tensor g(c, kF32, {4}), p(c, kF32, {4}), m(c, kF32, {4}), v(c, kF32, {4}), sum(c, kF64, {1});
    g.fill(3), sum.fill(36);
    const auto first_moment = [&](double max_norm, const graft_tensor* norm) {
      GRAFT_EXPECT_OK(graft_adamw_step(c, g, 0.1, 0, 0.9, 1e-8, 0, 1, max_norm, norm, 0, p, m, v, nullptr));
      return m.get()[0];
    };
    EXPECT_EQ(first_moment(1, nullptr), 3);
    EXPECT_EQ(first_moment(0, sum), 3);
    EXPECT_EQ(first_moment(INFINITY, sum), 3);
    EXPECT_EQ(first_moment(7, sum), 3);
    EXPECT_NEAR(first_moment(2, sum), 1, 1e-6);
    sum.fill(NAN);
    EXPECT_TRUE(std::isnan(first_moment(2, sum)));
  }
}

TEST(AdamW, SameBitsForAnyNumberOfThreads) {
  for (const Shape& shape : {Shape{70000}, {300, 130}})
    expect_same_bits([&](const Context& c) { return run(c, shape, kBf16); });
}

TEST(AdamW, PitchAndEmpty) {
  for (const char* prefer : {"fast", "reference"}) {
    const Context c(2, prefer);
    const Result plain = run(c, {9, 20}, kBf16), pitched = run(c, {9, 20}, kBf16, 37);
    EXPECT_NEAR(plain.sum[0], pitched.sum[0], 1e-12 * plain.sum[0]);
    EXPECT_TRUE(plain.m == pitched.m && plain.out == pitched.out);
    const Result empty = run(c, {0, 20}, kBf16);
    EXPECT_TRUE(empty.p.empty());
    EXPECT_EQ(empty.sum, std::vector<double>{0});
  }
}

TEST(AdamW, BadArguments) {
  const Context c;
  Tensor g(c, kF32, {4}), p(c, kF32, {4}), m(c, kF32, {4}), v(c, kF32, {4}), sum(c, kF64, {1}), out(c, kBf16, {4});
  Tensor g_half(c, kBf16, {4}), five(c, kF32, {5}), wide(c, kF64, {4}), ids(c, GRAFT_DTYPE_I32, {4}), two(c, kF64, {2});
  const graft_status invalid = GRAFT_INVALID_ARGUMENT, mismatch = GRAFT_SHAPE_MISMATCH;
  expect_error(graft_adamw_squared_norm(nullptr, g, sum), invalid, {"graft_adamw_squared_norm", "context"});
  expect_error(graft_adamw_squared_norm(c, nullptr, sum), invalid, {"g is NULL"});
  expect_error(graft_adamw_squared_norm(c, g, nullptr), invalid, {"sum is NULL"});
  expect_error(graft_adamw_squared_norm(c, g_half, sum), invalid, {"g [4] bf16"});
  expect_error(graft_adamw_squared_norm(c, g, p), invalid, {"sum [4] f32", "f64"});
  expect_error(graft_adamw_squared_norm(c, g, two), mismatch, {"sum [2]"});
  const auto step = [&](const graft_tensor* gradient, graft_tensor* parameter, graft_tensor* mean, graft_tensor* square,
                        graft_tensor* copy, const graft_tensor* norm) {
    return graft_adamw_step(c, gradient, 0.1, 0.9, 0.99, 1e-8, 0, 1, 1, norm, 0, parameter, mean, square, copy);
  };
  expect_error(step(nullptr, p, m, v, out, sum), invalid, {"graft_adamw_step", "g is NULL"});
  expect_error(step(g, nullptr, m, v, out, sum), invalid, {"p is NULL"});
  expect_error(step(g, p, nullptr, v, out, sum), invalid, {"m is NULL"});
  expect_error(step(g, p, m, nullptr, out, sum), invalid, {"v is NULL"});
  expect_error(step(g_half, p, m, v, out, sum), invalid, {"g [4] bf16"});
  expect_error(step(g, five, m, v, out, sum), mismatch, {"p [5]"});
  expect_error(step(g, p, wide, v, out, sum), invalid, {"m [4] f64"});
  expect_error(step(g, p, m, v, five, sum), mismatch, {"p_out [5]"});
  expect_error(step(g, p, m, v, ids, sum), invalid, {"p_out [4] i32"});
  expect_error(step(g, p, m, v, p, sum), invalid, {"p_out", "overlaps p"});
  expect_error(step(g, p, m, m, out, sum), invalid, {"v", "overlaps m"});
  expect_error(step(g, p, m, v, out, five), invalid, {"squared_norm"});
  const auto scalars = [&](double lr, double beta1, double beta2, double eps, double decay, std::int64_t t,
                           double norm) {
    return graft_adamw_step(c, g, lr, beta1, beta2, eps, decay, t, norm, nullptr, 0, p, m, v, nullptr);
  };
  expect_error(scalars(-1, 0.9, 0.99, 1e-8, 0, 1, 0), invalid, {"lr is -1"});
  expect_error(scalars(NAN, 0.9, 0.99, 1e-8, 0, 1, 0), invalid, {"lr"});
  expect_error(scalars(0.1, 1, 0.99, 1e-8, 0, 1, 0), invalid, {"beta1 is 1"});
  expect_error(scalars(0.1, 0.9, -0.5, 1e-8, 0, 1, 0), invalid, {"beta2 is -0.5"});
  expect_error(scalars(0.1, 0.9, 0.99, -1, 0, 1, 0), invalid, {"eps is -1"});
  expect_error(scalars(0.1, 0.9, 0.99, 1e-8, -2, 1, 0), invalid, {"weight_decay is -2"});
  expect_error(scalars(0.1, 0.9, 0.99, 1e-8, 0, 0, 0), invalid, {"step is 0"});
  expect_error(scalars(0.1, 0.9, 0.99, 1e-8, 0, 1, NAN), invalid, {"max_norm"});
}

}  // namespace
}  // namespace graft::test
