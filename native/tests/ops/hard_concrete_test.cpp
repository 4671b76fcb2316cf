// hard_concrete: the law of the gates, finite differences, fast against reference, threads, empty, bad arguments.
#include <cmath>

#include "gradients.h"
#include "tensors.h"

namespace graft::test {
namespace {

constexpr std::uint64_t kSeed = 0x0123456789abcdefu;
constexpr double kLower = -1.5, kUpper = 1.5, kFactor = 0.75, kPenalty = 0.2;

struct Layer {
  Layer(const Context& c, graft_dtype dtype, std::int64_t n, std::int64_t k, int pad = 0)
      : context(c),
        wide(dtype == kF64 ? kF64 : kF32),
        d(c, wide, {n, k}, pad == 0 ? 0 : k + pad),
        a(c, wide, {n, k}, pad == 0 ? 0 : k + pad),
        g(c, wide, {n, k}),
        da(c, wide, {n, k}),
        sums(c, kF64, {2}),
        original(c, dtype, {n, k}),
        w(c, dtype, n, k, pad),
        matrix(w.matrix()) {
    fill({&d, &a, &g, &da, &original});
    sums.fill(0);
  }
  void write(graft_gate_mode mode, std::uint64_t offset = 3) {
    GRAFT_EXPECT_OK(
        graft_hard_concrete_write(context, d, a, original, mode, kSeed, offset, kLower, kUpper, kFactor, w));
  }
  void backward(graft_gate_mode mode, std::uint64_t offset = 3) {
    GRAFT_EXPECT_OK(graft_hard_concrete_backward(context, d, a, mode, kSeed, offset, kLower, kUpper, kFactor, kPenalty,
                                                 g, da, sums));
  }
  const Context& context;
  graft_dtype wide;
  Tensor d, a, g, da, sums, original;
  const Weight w;
  Tensor matrix;
};

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

// With d = 1 and W₀ = 0 the weight is the gates themselves.
TEST(HardConcrete, GatesAreClosedAndOpenAsOftenAsTheirLogitSays) {
  const Context c(2, "fast");
  for (double logit : {-2.0, 0.0, 1.5}) {
    Layer layer(c, kF32, 300, 301);
    layer.d.fill(1), layer.a.fill(logit), layer.original.fill(0);
    GRAFT_ASSERT_OK(graft_hard_concrete_write(c, layer.d, layer.a, layer.original, GRAFT_GATE_SAMPLED, kSeed, 0, -0.1,
                                              1.1, 1, layer.w));
    double closed = 0, open = 0, sum = 0;
    const std::vector<double> z = layer.matrix.get();
    for (double gate : z) {
      ASSERT_TRUE(gate >= 0 && gate <= 1);
      closed += gate == 0, open += gate == 1, sum += gate;
    }
    const double count = static_cast<double>(z.size());
    EXPECT_NEAR(closed / count, sigmoid(std::log(0.1 / 1.1) - logit), 0.01) << logit;
    EXPECT_NEAR(open / count, 1 - sigmoid(std::log(1.1 / 0.1) - logit), 0.01) << logit;
    GRAFT_ASSERT_OK(graft_hard_concrete_write(c, layer.d, layer.a, layer.original, GRAFT_GATE_MEAN, kSeed, 0, -0.1, 1.1,
                                              1, layer.w));
    EXPECT_NEAR(layer.matrix.get()[7], std::min(1.0, std::max(0.0, sigmoid(logit) * 1.2 - 0.1)), 1e-6);
    GRAFT_ASSERT_OK(graft_hard_concrete_write(c, layer.d, layer.a, layer.original, GRAFT_GATE_FIXED, kSeed, 0, -0.1,
                                              1.1, 1, layer.w));
    EXPECT_EQ(layer.matrix.get()[7], logit > 0 ? 1 : 0);
  }
}

TEST(HardConcrete, FiniteDifferences) {
  const Context c(1);
  for (graft_gate_mode mode : {GRAFT_GATE_SAMPLED, GRAFT_GATE_MEAN}) {
    Layer layer(c, kF64, 5, 7);
    const std::vector<double> dw = layer.g.get();
    const auto objective = [&] {
      layer.write(mode);
      double penalty = 0;
      for (double a : layer.a.get()) penalty += kPenalty * sigmoid(a - std::log(-kLower / kUpper));
      return dot(dw, layer.matrix.get()) + penalty;
    };
    layer.da.fill(0);
    layer.backward(mode);
    expect_gradient(layer.d, layer.g.get(), objective, "dd");
    expect_gradient(layer.a, layer.da.get(), objective, "da");
    double open = 0, along = 0;
    layer.write(mode);
    const std::vector<double> a = layer.a.get(), w = layer.matrix.get(), w0 = layer.original.get();
    for (std::size_t i = 0; i < a.size(); ++i) {
      open += sigmoid(a[i] - std::log(-kLower / kUpper));
      along += dw[i] * (w[i] - w0[i]) / kFactor;
    }
    EXPECT_NEAR(layer.sums.get()[0], open, 1e-9);
    EXPECT_NEAR(layer.sums.get()[1], along, 1e-9);
  }
}

TEST(HardConcrete, FixedGatesTrainTheDifferenceOnly) {
  const Context c(2, "fast");
  Layer layer(c, kF32, 9, 20);
  const std::vector<double> dw = layer.g.get(), a = layer.a.get(), da = layer.da.get();
  layer.backward(GRAFT_GATE_FIXED);
  double open = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(layer.g.get()[i], a[i] > 0 ? static_cast<float>(kFactor * dw[i]) : 0);
    open += a[i] > 0;
  }
  EXPECT_EQ(layer.da.get(), da);
  EXPECT_EQ(layer.sums.get()[0], open);
}

std::vector<std::vector<double>> all_of(const Context& c, graft_dtype dtype, std::int64_t n, std::int64_t k, int pad,
                                        graft_gate_mode mode) {
  Layer layer(c, dtype, n, k, pad);
  layer.write(mode, 5);
  layer.backward(mode, 5);
  return {layer.matrix.get(), layer.g.get(), layer.da.get(), layer.sums.get()};
}

TEST(HardConcrete, FastAgreesWithReferenceAndWithItself) {
  const Context fast(2, "fast"), one(1, "fast"), four(4, "fast"), reference(1, "reference");
  for (graft_dtype dtype : {kF32, kBf16, GRAFT_DTYPE_F16})
    for (auto [n, k, pad] : {std::tuple{1, 1, 0}, {3, 7, 16}, {40, 129, 0}, {65, 64, 32}})
      for (graft_gate_mode mode : {GRAFT_GATE_SAMPLED, GRAFT_GATE_MEAN, GRAFT_GATE_FIXED}) {
        const auto a = all_of(fast, dtype, n, k, pad, mode), b = all_of(reference, dtype, n, k, pad, mode);
        expect_close(a[0], b[0], unit_roundoff(dtype), "w");
        for (int i : {1, 2}) expect_close(a[i], b[i], 1e-6, "gradients");
        expect_close(a[3], b[3], 1e-12, "sums", 10);
        EXPECT_EQ(all_of(one, dtype, n, k, pad, mode), a);
        EXPECT_EQ(all_of(four, dtype, n, k, pad, mode), a);
      }
}

TEST(HardConcrete, Empty) {
  for (const char* prefer : {"fast", "reference"}) {
    const Context c(2, prefer);
    EXPECT_TRUE(all_of(c, kF32, 0, 4, 0, GRAFT_GATE_SAMPLED)[0].empty());
    EXPECT_TRUE(all_of(c, kBf16, 4, 0, 0, GRAFT_GATE_MEAN)[1].empty());
  }
}

TEST(HardConcrete, BadArguments) {
  const Context c;
  Layer layer(c, kF32, 4, 6);
  Tensor other(c, kF32, {4, 5}), narrow(c, kBf16, {4, 6}), three(c, kF64, {3});
  const graft_status invalid = GRAFT_INVALID_ARGUMENT;
  const auto write = [&](const graft_tensor* d, const graft_tensor* a, int mode, double lower, double upper) {
    return graft_hard_concrete_write(c, d, a, layer.original, static_cast<graft_gate_mode>(mode), 1, 0, lower, upper, 1,
                                     layer.w);
  };
  expect_error(write(nullptr, layer.a, 0, -1, 2), invalid, {"graft_hard_concrete_write", "d is NULL"});
  expect_error(write(layer.d, other, 0, -1, 2), GRAFT_SHAPE_MISMATCH, {"a [4, 5]"});
  expect_error(write(other, other, 0, -1, 2), GRAFT_SHAPE_MISMATCH, {"d [4, 5]", "[4, 6]"});
  expect_error(write(narrow, narrow, 0, -1, 2), invalid, {"d [4, 6] bf16"});
  expect_error(write(layer.d, layer.a, 3, -1, 2), invalid, {"mode is 3"});
  expect_error(write(layer.d, layer.a, 0, 0, 2), invalid, {"lower is 0", "< 0"});
  expect_error(write(layer.d, layer.a, 0, -1, 1), invalid, {"upper is 1", "> 1"});
  expect_error(write(layer.d, layer.a, 0, NAN, 2), invalid, {"lower"});
  const auto backward = [&](graft_tensor* g, graft_tensor* sums) {
    return graft_hard_concrete_backward(c, layer.d, layer.a, GRAFT_GATE_MEAN, 1, 0, -1, 2, 1, 0, g, layer.da, sums);
  };
  expect_error(backward(other, layer.sums), GRAFT_SHAPE_MISMATCH, {"g [4, 5]"});
  expect_error(backward(layer.g, three), GRAFT_SHAPE_MISMATCH, {"sums [3]", "[2]"});
  expect_error(backward(layer.da, layer.sums), invalid, {"g", "da"});
  for (const Tensor* other_output : {&layer.g, &layer.da}) {
    graft_tensor inside = *static_cast<graft_tensor*>(layer.sums);
    inside.data = (*other_output)->data;
    expect_error(backward(layer.g, &inside), invalid, {"sums", "overlaps"});
  }
}

}  // namespace
}  // namespace graft::test
