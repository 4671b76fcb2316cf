// fourier on the CUDA device: against float64, odd and even sizes, one and many places, i32 and i64, activations with
// gaps, several groups of rows, NULL outputs, merging in place and apart, no rows, and places outside.
#include <cmath>
#include <numbers>

#include "trial.h"

namespace graft::test {
namespace {

struct Case {
  graft_dtype dtype, ids;
  std::int64_t rows, n, k, count;
  bool accumulate;
};

constexpr double kScale = 30;

std::vector<double> places_of(const Case& n) {
  std::vector<double> places;
  for (std::int64_t l = 0; l < n.count; ++l) places.push_back(static_cast<double>((l * 7 + 1) % n.n));
  for (std::int64_t l = 0; l < n.count; ++l) places.push_back(static_cast<double>((l * 5 + 2) % n.k));
  return places;
}

void run(Trial& r, const Case& n) {
  Tensor x = r.input({n.rows, n.k}, 1, n.k + 3), y = r.input({n.rows, n.n}, 2, n.n + 1);
  Tensor dy = r.input({n.rows, n.n}, 3), dx = r.input({n.rows, n.k}, 4), alone = r.input({n.rows, n.k}, 4);
  Tensor c = r.master({n.count}, 5), dc = r.gradient({n.count}, 6);
  Tensor places = r.ids(n.ids, {2, n.count}, places_of(n), n.count + 2);
  GRAFT_EXPECT_OK(graft_fourier_forward(r, x, c, places, kScale, n.accumulate, y));
  GRAFT_EXPECT_OK(graft_fourier_backward(r, dy, x, c, places, kScale, n.k, n.accumulate, dx, dc));
  GRAFT_EXPECT_OK(graft_fourier_backward(r, dy, nullptr, c, places, kScale, n.k, n.accumulate, alone, nullptr));
  GRAFT_EXPECT_OK(graft_fourier_backward(r, dy, nullptr, c, places, kScale, n.k, 0, nullptr, nullptr));
  r.keep("y", y), r.keep("dx", dx), r.keep("dc", dc);
  EXPECT_EQ(alone.get(), dx.get());
  Weight w(r.context, r.storage, n.n, n.k, 2);
  r.fill(w, 7);
  Tensor apart = r.zeros({n.n, n.k}), merged = w.matrix();
  GRAFT_EXPECT_OK(graft_fourier_merge(r, w, c, places, kScale, apart));
  GRAFT_EXPECT_OK(graft_fourier_merge(r, w, c, places, kScale, merged));
  r.keep("merged", merged);
  EXPECT_EQ(apart.get(), merged.get());
}

/** Plain loops in fp32 with waves and weighed frequencies rounded to x's type, as products take them. */
void step_by_step(Trial& r, const Case& n) {
  const std::vector<double> places = places_of(n), c = r.master({n.count}, 5).get();
  const auto waves = [&](std::int64_t size, std::int64_t first) {  // [2L, size]
    std::vector<double> all;
    for (int sines = 0; sines < 2; ++sines)
      for (std::int64_t l = 0; l < n.count; ++l)
        for (std::int64_t i = 0; i < size; ++i) {
          const auto turns = static_cast<std::int64_t>(places[static_cast<std::size_t>(first + l)]) * i % size;
          const double angle = 2 * std::numbers::pi * static_cast<double>(turns) / static_cast<double>(size);
          all.push_back(sines == 0 ? std::cos(angle) : std::sin(angle));
        }
    return r.zeros({2 * n.count, size}).set(all).get();
  };
  const std::vector<double> in = waves(n.k, n.count), out = waves(n.n, 0);
  const auto frequencies = [&](const Tensor& from, const std::vector<double>& of, std::int64_t size) {
    const std::vector<double> values = from.get();
    std::vector<double> z;
    for (std::int64_t t = 0; t < n.rows; ++t)
      for (std::int64_t j = 0; j < 2 * n.count; ++j) {
        float sum = 0;
        for (std::int64_t i = 0; i < size; ++i)
          sum += static_cast<float>(values[static_cast<std::size_t>(t * size + i)] *
                                    of[static_cast<std::size_t>(j * size + i)]);
        z.push_back(sum);
      }
    return z;
  };
  const double factor = kScale / static_cast<double>(n.n * n.k);
  const auto back = [&](const std::vector<double>& z, const std::vector<double>& of, std::int64_t size, Tensor to) {
    std::vector<double> weighed = z, sums = to.get();
    for (std::size_t i = 0; i < z.size(); ++i) {
      const std::size_t j = i % static_cast<std::size_t>(2 * n.count), l = j % static_cast<std::size_t>(n.count);
      weighed[i] *= (j == l ? factor : -factor) * c[l];
    }
    weighed = r.zeros({n.rows, 2 * n.count}).set(weighed).get();
    for (std::int64_t t = 0; t < n.rows; ++t)
      for (std::int64_t i = 0; i < size; ++i) {
        float sum = 0;
        for (std::int64_t j = 0; j < 2 * n.count; ++j)
          sum += static_cast<float>(weighed[static_cast<std::size_t>(t * 2 * n.count + j)] *
                                    of[static_cast<std::size_t>(j * size + i)]);
        double& old = sums[static_cast<std::size_t>(t * size + i)];
        old = n.accumulate ? old + sum : sum;
      }
    return to.set(sums).get();
  };
  const std::vector<double> z = frequencies(r.input({n.rows, n.k}, 1), in, n.k);
  const std::vector<double> g = frequencies(r.input({n.rows, n.n}, 3), out, n.n);
  r["y"] = back(z, out, n.n, r.input({n.rows, n.n}, 2));
  r["dx"] = back(g, in, n.k, r.input({n.rows, n.k}, 4));
  std::vector<double> dc = r.gradient({n.count}, 6).get();
  for (std::size_t i = 0; i < z.size(); ++i) {
    const std::size_t j = i % static_cast<std::size_t>(2 * n.count), l = j % static_cast<std::size_t>(n.count);
    dc[l] += (j == l ? factor : -factor) * z[i] * g[i];
  }
  if (n.dtype != kF32) r["dc"] = dc;  // there it is the sum, made here in double, that would be compared
}

void compare(const Case& n, int seeds) {
  agree(
      n.dtype, sizes({{"T", n.rows}, {"N", n.n}, {"K", n.k}, {"L", n.count}}), seeds, [&](Trial& r) { run(r, n); },
      [&](Trial& plain) { step_by_step(plain, n); });
}

TEST(CudaFourier, AgreesWithFloat64) {
  for (graft_dtype dtype : {kF32, kBf16, kF16}) {
    compare({dtype, kI64, 5, 9, 13, 6, true}, 1);
    compare({dtype, kI32, 7, 24, 16, 40, false}, 1);
  }
  compare({kBf16, kI32, 1, 1, 1, 1, false}, 1);
  compare({kF32, kI32, 300, 3, 4, 2, true}, 1);
  compare({kBf16, kI32, 0, 3, 4, 2, false}, 1);
}

TEST(CudaFourier, ManySchedules) { compare({kBf16, kI32, 5, 6, 10, 4, true}, 3); }

TEST(CudaFourier, NoPlaces) {
  const Context cuda(GRAFT_DEVICE_CUDA);
  Tensor x(cuda, kF32, {2, 3}), c(cuda, kF32, {0}), places(cuda, kI32, {2, 0}), y(cuda, kF32, {2, 4});
  y.fill(7);
  GRAFT_EXPECT_OK(graft_fourier_forward(cuda, x, c, places, 1, 0, y));
  GRAFT_EXPECT_OK(graft_context_synchronize(cuda));
  EXPECT_EQ(y.get(), std::vector<double>(8, 0.0));
}

TEST(CudaFourier, APlaceOutsideIsReported) {
  const Context cuda(GRAFT_DEVICE_CUDA);
  Tensor x(cuda, kF32, {1, 3}), c(cuda, kF32, {2}), places(cuda, kI64, {2, 2}), y(cuda, kF32, {1, 4});
  x.fill(1), c.fill(1), places.set({0, 1, 2, 3});
  GRAFT_EXPECT_OK(graft_fourier_forward(cuda, x, c, places, 1, 0, y));
  expect_error(graft_context_synchronize(cuda), GRAFT_INVALID_ARGUMENT,
               {"graft_fourier_forward", "places[1][1] is 3", "0..2"});
}

}  // namespace
}  // namespace graft::test
