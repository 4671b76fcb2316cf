// mixture: values by hand, the fast path against the reference, finite differences through router, blocks and vectors
// with a balance, ties, padding, threads, missing outputs, aliasing, bad arguments.
#include <cmath>

#include "gradients.h"
#include "tensors.h"

namespace graft::test {
namespace {

void lengths_of(Tensor& lengths, std::initializer_list<std::int32_t> values) {
  std::copy(values.begin(), values.end(), static_cast<std::int32_t*>(lengths->data));
}

TEST(Mixture, GatesAreTheSoftmaxOfTheLargestLogits) {
  for (const char* path : {"fast", "reference"}) {
    const Context c(2, path);
    Tensor logits(c, kF32, {3, 4}, 6), gates(c, kF32, {3, 4}, 5);
    const double l2 = std::log(2.0);
    logits.set({0, l2, 0, -50, 1, 1, 1, 1, -3, 0, l2, 2 * l2});
    const auto route = [&](int top_k, int among_all = 0) {
      GRAFT_EXPECT_OK(graft_mixture_route_forward(c, logits, top_k, among_all, gates));
      return gates.get();
    };
    expect_close(route(4), {0.25, 0.5, 0.25, 0, 0.25, 0.25, 0.25, 0.25, 0.00706, 0.14185, 0.28370, 0.56739}, 1e-4,
                 "all");
    expect_close(route(2), {1. / 3, 2. / 3, 0, 0, 0.5, 0.5, 0, 0, 0, 0, 1. / 3, 2. / 3}, 1e-6, "two");
    expect_close(route(1), {0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1}, 0, "one");
    expect_close(route(1, 1), {0, 0.5, 0, 0, 0.25, 0, 0, 0, 0, 0, 0, 0.56739}, 1e-4, "one among all");
    const std::vector<double> apart = route(3);
    GRAFT_EXPECT_OK(graft_mixture_route_forward(c, logits, 3, 0, logits));
    EXPECT_EQ(logits.get(), apart) << "in place";
  }
}

// f = (2/3, 1/3), mean p = ((3/4 + 3/4 + 1/4) / 3, ...); the last row of each of two sequences of 2 is padding but one.
TEST(Mixture, TheBalanceIsThatOfSwitch) {
  for (const char* path : {"fast", "reference"}) {
    const Context c(2, path);
    const double l3 = std::log(3.0);
    Tensor logits(c, kF32, {4, 2}), gates(c, kF32, {4, 2}), dlogits(c, kF32, {4, 2}), loss(c, kF32, {1});
    Tensor lengths(c, GRAFT_DTYPE_I32, {2});
    lengths_of(lengths, {2, 1});
    logits.set({l3, 0, l3, 0, 0, l3, 9, -9});
    loss.fill(1);
    GRAFT_ASSERT_OK(graft_mixture_route_backward(c, logits, gates, nullptr, 0, 0.5, lengths, dlogits, loss));
    const double p0 = (0.75 + 0.75 + 0.25) / 3, f0 = 2. / 3;
    EXPECT_NEAR(loss.get()[0], 1 + 0.5 * 2 * (f0 * p0 + (1 - f0) * (1 - p0)), 1e-6);
    const double d = 0.5 * 2 / 3 * 0.75 * 0.25 * (f0 - (1 - f0));  // p (f - Σ f p) of two experts
    expect_close(dlogits.get(), {d, -d, d, -d, d, -d, 0, 0}, 1e-5, "dlogits");
  }
}

struct Case {
  graft_dtype dtype = kF32;
  std::int64_t t = 12, experts = 4, width = 3, n = 20;
  int top_k = 2;
  int among_all = 0;
};

using Results = std::vector<std::vector<double>>;

// Everything that the ops make, on pitched random tensors.
Results run(const Context& c, const Case& s, const char* path) {
  const graft_dtype dtype = s.dtype, wide = sums_of(dtype);
  const std::int64_t all = s.experts * s.width;
  Tensor logits(c, dtype, {s.t, s.experts}, s.experts + 1), gates(c, dtype, {s.t, s.experts}, s.experts + 2);
  Tensor dgates(c, dtype, {s.t, s.experts}), dlogits(c, dtype, {s.t, s.experts}), loss(c, wide, {1});
  Tensor x(c, dtype, {s.t, all}, all + 3), y(c, dtype, {s.t, all}), dy(c, dtype, {s.t, all}), dx(c, dtype, {s.t, all});
  Tensor u(c, dtype, {s.t, s.n}, s.n + 1), z(c, dtype, {s.t, s.n}), dz(c, dtype, {s.t, s.n}, s.n + 2);
  Tensor du(c, dtype, {s.t, s.n}), v(c, wide, {s.experts, s.n}, s.n + 1), dv(c, wide, {s.experts, s.n}, s.n + 5);
  Tensor dg(c, dtype, {s.t, s.experts}), lengths(c, GRAFT_DTYPE_I32, {2});
  lengths_of(lengths, {static_cast<std::int32_t>(s.t / 2), static_cast<std::int32_t>(s.t / 4)});
  fill({&logits, &dgates, &x, &dy, &u, &dz, &z, &v, &dv, &loss});
  GRAFT_EXPECT_OK(graft_context_prefer(c, path));
  GRAFT_EXPECT_OK(graft_mixture_route_forward(c, logits, s.top_k, s.among_all, gates));
  GRAFT_EXPECT_OK(graft_mixture_route_backward(c, logits, gates, dgates, s.among_all, 0.3, lengths, dlogits, loss));
  GRAFT_EXPECT_OK(graft_mixture_blocks_forward(c, x, gates, 1.5, y));
  Results results = {gates.get(), dlogits.get(), loss.get(), y.get()};
  GRAFT_EXPECT_OK(graft_mixture_blocks_backward(c, dy, x, gates, 1.5, dx, dgates));
  GRAFT_EXPECT_OK(graft_mixture_vectors_forward(c, u, gates, v, 1, z));
  GRAFT_EXPECT_OK(graft_mixture_vectors_backward(c, dz, u, gates, v, du, dg, dv));
  for (const Tensor* tensor : {&dx, &dgates, &z, &du, &dg, &dv}) results.push_back(tensor->get());
  Tensor sum(c, dtype, {s.t, s.width}, s.width + 1), dsum(c, dtype, {s.t, s.width});
  dsum.random(20);
  GRAFT_EXPECT_OK(graft_mixture_combine_forward(c, x, gates, sum));
  GRAFT_EXPECT_OK(graft_mixture_combine_backward(c, dsum, x, gates, 1, dx, dgates));
  for (const Tensor* tensor : {&sum, &dx, &dgates}) results.push_back(tensor->get());
  GRAFT_EXPECT_OK(graft_context_prefer(c, nullptr));
  return results;
}

TEST(Mixture, FastAgreesWithReference) {
  const Context c(2);
  for (graft_dtype dtype : {kF32, GRAFT_DTYPE_BF16, GRAFT_DTYPE_F16})
    for (const Case& s : {Case{dtype}, Case{dtype, 2, 2, 1, 1, 2}, Case{dtype, 70, 5, 8, 67, 2},
                          Case{dtype, 1030, 3, 2, 33, 3}, Case{dtype, 36, 64, 1, 300, 40, 1}}) {
      const Results actual = run(c, s, "fast"), expected = run(c, s, "reference");
      for (std::size_t i = 0; i < expected.size(); ++i)
        expect_close(actual[i], expected[i], 2 * unit_roundoff(dtype) + 1e-6 * std::sqrt(static_cast<double>(s.t)),
                     std::string(name(dtype)) + " " + std::to_string(s.t) + " rows, result " + std::to_string(i), 1);
    }
}

TEST(Mixture, LogitsThatAreNotFinite) {
  const Context fast(2, "fast"), reference(1, "reference");
  for (int among_all : {0, 1})
    for (int top_k : {1, 2, 4}) {
      const auto all_of = [&](const Context& c) {
        Tensor logits(c, kF32, {6, 4}), gates(c, kF32, {6, 4}), dgates(c, kF32, {6, 4}), dlogits(c, kF32, {6, 4});
        Tensor loss(c, kF32, {1});
        logits.set({1,         NAN, 2, 3, NAN,      1, 2, 3, 1, INFINITY, 2, 3,  //
                    -INFINITY, 0,   1, 2, INFINITY, 0, 0, 0, 0, 1,        2, 3});
        dgates.random(1);
        GRAFT_EXPECT_OK(graft_mixture_route_forward(c, logits, top_k, among_all, gates));
        GRAFT_EXPECT_OK(graft_mixture_route_backward(c, logits, gates, dgates, among_all, 0.3, nullptr, dlogits, loss));
        return Results{gates.get(), dlogits.get(), loss.get()};
      };
      const Results actual = all_of(fast), expected = all_of(reference);
      for (std::size_t result = 0; result < expected.size(); ++result)
        for (std::size_t i = 0; i < expected[result].size(); ++i) {
          EXPECT_EQ(std::isnan(actual[result][i]), std::isnan(expected[result][i]))
              << top_k << among_all << result << i;
          if (std::isnan(expected[result][i])) continue;
          EXPECT_NEAR(actual[result][i], expected[result][i], 1e-6);
        }
      for (std::size_t i : {0, 3, 4, 7, 8, 11, 16, 19})
        EXPECT_TRUE(std::isnan(actual[0][i])) << top_k << among_all << i;
      EXPECT_EQ(actual[0][12], 0);
    }
}

TEST(Mixture, FiniteDifferences) {
  const Context c(1);
  for (auto [top_k, among_all] : {std::pair{3, 0}, {2, 0}, {2, 1}, {1, 1}}) {
    const std::int64_t t = 6, experts = 3, width = 2, n = 5;
    Tensor logits(c, kF64, {t, experts}), gates(c, kF64, {t, experts}), x(c, kF64, {t, experts * width});
    Tensor y(c, kF64, {t, experts * width}), u(c, kF64, {t, n}), v(c, kF64, {experts, n}), z(c, kF64, {t, n});
    Tensor dy(c, kF64, {t, experts * width}), dz(c, kF64, {t, n}), loss(c, kF64, {1}), lengths(c, GRAFT_DTYPE_I32, {2});
    Tensor dx(c, kF64, {t, experts * width}), du(c, kF64, {t, n}), dv(c, kF64, {experts, n}), ignored(c, kF64, {t, 3});
    Tensor sum(c, kF64, {t, width}), dsum(c, kF64, {t, width}), combined(c, kF64, {t, experts});
    Tensor blocks(c, kF64, {t, experts}), vectors(c, kF64, {t, experts}), dlogits(c, kF64, {t, experts});
    lengths_of(lengths, {3, 2});
    fill({&logits, &x, &u, &v, &dy, &dz, &dsum});
    const auto objective = [&] {
      loss.fill(0);
      EXPECT_EQ(graft_mixture_route_forward(c, logits, top_k, among_all, gates), GRAFT_OK);
      EXPECT_EQ(graft_mixture_route_backward(c, logits, gates, nullptr, among_all, 0.7, lengths, ignored, loss),
                GRAFT_OK);
      EXPECT_EQ(graft_mixture_blocks_forward(c, x, gates, 0.5, y), GRAFT_OK);
      EXPECT_EQ(graft_mixture_vectors_forward(c, u, gates, v, 0, z), GRAFT_OK);
      EXPECT_EQ(graft_mixture_combine_forward(c, x, gates, sum), GRAFT_OK);
      return dot(dy.get(), y.get()) + dot(dz.get(), z.get()) + dot(dsum.get(), sum.get()) + loss.get()[0];
    };
    objective();
    GRAFT_ASSERT_OK(graft_mixture_blocks_backward(c, dy, x, gates, 0.5, dx, blocks));
    GRAFT_ASSERT_OK(graft_mixture_vectors_backward(c, dz, u, gates, v, du, vectors, dv));
    GRAFT_ASSERT_OK(graft_mixture_combine_backward(c, dsum, x, gates, 1, dx, combined));
    std::vector<double> all = blocks.get();
    for (std::size_t i = 0; i < all.size(); ++i) all[i] += vectors.get()[i] + combined.get()[i];
    blocks.set(all);
    GRAFT_ASSERT_OK(graft_mixture_route_backward(c, logits, gates, blocks, among_all, 0.7, lengths, dlogits, loss));
    expect_gradient(logits, dlogits.get(), objective, "dlogits");
    expect_gradient(x, dx.get(), objective, "dx");
    expect_gradient(u, du.get(), objective, "du");
    expect_gradient(v, dv.get(), objective, "dv");
  }
}

TEST(Mixture, SameBitsForAnyNumberOfThreads) {
  for (graft_dtype dtype : {kF32, GRAFT_DTYPE_BF16}) {
    const Case s{dtype, 1030, 5, 4, 300, 2};
    expect_same_bits([&](const Context& c) { return run(c, s, nullptr); });
  }
}

TEST(Mixture, EachOutputMayBeMissingOrInPlace) {
  for (const char* path : {"fast", "reference"}) {
    const Context c(2, path);
    Tensor gates(c, kF32, {5, 2}), x(c, kF32, {5, 6}), dy(c, kF32, {5, 6}), dx(c, kF32, {5, 6}), dg(c, kF32, {5, 2});
    Tensor v(c, kF32, {2, 6}), dv(c, kF32, {2, 6}), y(c, kF32, {5, 6}), alone(c, kF32, {5, 2});
    gates.random(1), x.random(2), dy.random(3), v.random(4);
    GRAFT_ASSERT_OK(graft_mixture_blocks_backward(c, dy, x, gates, 2, dx, dg));
    GRAFT_ASSERT_OK(graft_mixture_blocks_backward(c, dy, x, gates, 2, nullptr, alone));
    EXPECT_EQ(alone.get(), dg.get());
    GRAFT_ASSERT_OK(graft_mixture_vectors_backward(c, dy, x, gates, v, nullptr, dg, dv));
    GRAFT_ASSERT_OK(graft_mixture_vectors_backward(c, dy, x, gates, v, nullptr, alone, nullptr));
    EXPECT_EQ(alone.get(), dg.get());
    const std::vector<double> once = dv.get();
    dv.fill(0);
    GRAFT_ASSERT_OK(graft_mixture_vectors_backward(c, dy, x, gates, v, nullptr, nullptr, dv));
    EXPECT_EQ(dv.get(), once);
    GRAFT_ASSERT_OK(graft_mixture_vectors_backward(c, dy, x, gates, v, dx, nullptr, nullptr));
    GRAFT_ASSERT_OK(graft_mixture_vectors_backward(c, dy, x, gates, v, dy, nullptr, nullptr));
    EXPECT_EQ(dy.get(), dx.get());
    Tensor dsum(c, kF32, {5, 3}), apart(c, kF32, {5, 6});
    dsum.random(5);
    GRAFT_ASSERT_OK(graft_mixture_combine_backward(c, dsum, x, gates, 0, dx, dg));
    GRAFT_ASSERT_OK(graft_mixture_combine_backward(c, dsum, nullptr, gates, 0, apart, nullptr));
    GRAFT_ASSERT_OK(graft_mixture_combine_backward(c, dsum, x, nullptr, 0, nullptr, alone));
    EXPECT_EQ(apart.get(), dx.get());
    EXPECT_EQ(alone.get(), dg.get());
    GRAFT_ASSERT_OK(graft_mixture_vectors_forward(c, x, gates, v, 0, y));
    GRAFT_ASSERT_OK(graft_mixture_vectors_forward(c, x, gates, v, 0, x));
    EXPECT_EQ(x.get(), y.get());
    GRAFT_ASSERT_OK(graft_mixture_blocks_forward(c, y, gates, 2, x));
    GRAFT_ASSERT_OK(graft_mixture_blocks_forward(c, y, gates, 2, y));
    EXPECT_EQ(x.get(), y.get());
  }
}

TEST(Mixture, NoRows) {
  for (const char* path : {"fast", "reference"}) {
    const Context c(2, path);
    Tensor logits(c, kF32, {0, 3}), x(c, kF32, {0, 6}), v(c, kF32, {3, 6}), dv(c, kF32, {3, 6}), loss(c, kF32, {1});
    loss.fill(2), dv.fill(3);
    GRAFT_EXPECT_OK(graft_mixture_route_forward(c, logits, 1, 0, logits));
    GRAFT_EXPECT_OK(
        graft_mixture_route_backward(c, logits, logits, nullptr, 0, 1, nullptr, Tensor(c, kF32, {0, 3}), loss));
    GRAFT_EXPECT_OK(graft_mixture_blocks_forward(c, x, logits, 1, x));
    GRAFT_EXPECT_OK(graft_mixture_vectors_backward(c, x, x, logits, v, nullptr, nullptr, dv));
    EXPECT_EQ(loss.get()[0], 2);
    EXPECT_EQ(dv.get()[0], 3);
  }
}

TEST(Mixture, BadArguments) {
  const Context c;
  Tensor logits(c, kF32, {4, 3}), gates(c, kF32, {4, 3}), few(c, kF32, {4, 2}), x(c, kF32, {4, 6}), y(c, kF32, {4, 6});
  Tensor v(c, kF32, {3, 6}), wide(c, kF32, {4, 7}), bf16(c, GRAFT_DTYPE_BF16, {4, 3}), loss(c, kF32, {1});
  Tensor lengths(c, GRAFT_DTYPE_I32, {3}), dlogits(c, kF32, {4, 3}), dv(c, kF64, {3, 6});
  expect_error(graft_mixture_route_forward(c, nullptr, 1, 0, gates), GRAFT_INVALID_ARGUMENT, {"logits is NULL"});
  expect_error(graft_mixture_route_forward(c, logits, 0, 0, gates), GRAFT_INVALID_ARGUMENT, {"top_k is 0", "1..3"});
  expect_error(graft_mixture_route_forward(c, logits, 4, 0, gates), GRAFT_INVALID_ARGUMENT, {"top_k is 4"});
  expect_error(graft_mixture_route_forward(c, logits, 1, 0, few), GRAFT_SHAPE_MISMATCH, {"gates [4, 2]"});
  expect_error(graft_mixture_route_forward(c, logits, 1, 0, bf16), GRAFT_INVALID_ARGUMENT, {"gates", "bf16"});
  const auto back = [&](double balance, const graft_tensor* lengths_, graft_tensor* dlogits_, graft_tensor* loss_) {
    return graft_mixture_route_backward(c, logits, gates, nullptr, 0, balance, lengths_, dlogits_, loss_);
  };
  expect_error(back(-1, nullptr, dlogits, loss), GRAFT_INVALID_ARGUMENT, {"balance is -1"});
  expect_error(back(NAN, nullptr, dlogits, loss), GRAFT_INVALID_ARGUMENT, {"balance"});
  expect_error(back(1, lengths, dlogits, loss), GRAFT_SHAPE_MISMATCH, {"lengths [3]", "4 rows"});
  expect_error(back(1, nullptr, dlogits, x), GRAFT_SHAPE_MISMATCH, {"loss [4, 6]"});
  expect_error(back(1, nullptr, logits, loss), GRAFT_INVALID_ARGUMENT, {"dlogits", "overlaps", "logits"});
  expect_error(graft_mixture_blocks_forward(c, wide, gates, 1, wide), GRAFT_SHAPE_MISMATCH,
               {"x [4, 7]", "gates [4, 3]"});
  expect_error(graft_mixture_blocks_forward(c, x, gates, INFINITY, y), GRAFT_INVALID_ARGUMENT, {"scale"});
  expect_error(graft_mixture_blocks_backward(c, y, x, gates, 1, x, nullptr), GRAFT_INVALID_ARGUMENT,
               {"dx", "overlaps"});
  expect_error(graft_mixture_vectors_forward(c, x, few, v, 0, y), GRAFT_SHAPE_MISMATCH, {"gates [4, 2]"});
  expect_error(graft_mixture_vectors_forward(c, wide, gates, v, 0, wide), GRAFT_SHAPE_MISMATCH, {"v [3, 6]"});
  expect_error(graft_mixture_vectors_forward(c, x, gates, v, 1, x), GRAFT_INVALID_ARGUMENT, {"y", "overlaps"});
  expect_error(graft_mixture_vectors_backward(c, y, x, gates, v, nullptr, nullptr, dv), GRAFT_INVALID_ARGUMENT,
               {"dv", "f64"});
  expect_error(graft_mixture_combine_forward(c, x, gates, x), GRAFT_SHAPE_MISMATCH, {"y [4, 6]", "[4, 2]"});
  expect_error(graft_mixture_combine_backward(c, few, nullptr, gates, 0, nullptr, dlogits), GRAFT_INVALID_ARGUMENT,
               {"x is NULL", "dgates"});
  expect_error(graft_mixture_combine_backward(c, few, x, nullptr, 0, y, nullptr), GRAFT_INVALID_ARGUMENT,
               {"gates is NULL", "dx"});
  expect_error(graft_mixture_combine_backward(c, few, x, gates, 0, x, nullptr), GRAFT_INVALID_ARGUMENT,
               {"dx", "overlaps"});
}

}  // namespace
}  // namespace graft::test
