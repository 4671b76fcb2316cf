// circulant on the CUDA device: against float64, blocks of odd and even size and of one and two numbers, activations
// with and without gaps, several groups of rows, NULL outputs, merging in place, and no rows.
#include <cmath>
#include <numbers>

#include "trial.h"

namespace graft::test {
namespace {

struct Case {
  graft_dtype dtype;
  std::int64_t rows, m, n, size;
  bool accumulate, gaps;
};

constexpr double kScale = 0.75;

void run(Trial& r, const Case& n) {
  const std::int64_t k = n.n * n.size, outputs = n.m * n.size, gap = n.gaps ? 3 : 0;
  Tensor x = r.input({n.rows, k}, 1, k + gap), y = r.input({n.rows, outputs}, 2, outputs + gap);
  Tensor dy = r.input({n.rows, outputs}, 3, outputs + gap), dx = r.input({n.rows, k}, 4, k + gap);
  Tensor w = r.master({n.m, n.n, n.size}, 5), dw = r.gradient({n.m, n.n, n.size}, 6);
  Tensor alone = r.input({n.rows, k}, 4);
  GRAFT_EXPECT_OK(graft_circulant_forward(r, x, w, kScale, n.accumulate, y));
  GRAFT_EXPECT_OK(graft_circulant_backward(r, dy, x, w, kScale, n.accumulate, dx, dw));
  GRAFT_EXPECT_OK(graft_circulant_backward(r, dy, nullptr, w, kScale, n.accumulate, alone, nullptr));
  GRAFT_EXPECT_OK(graft_circulant_backward(r, dy, nullptr, w, kScale, 0, nullptr, nullptr));
  r.keep("y", y), r.keep("dx", dx), r.keep("dw", dw);
  EXPECT_EQ(alone.get(), dx.get());
  Weight base(r.context, r.storage, outputs, k, 2);
  r.fill(base, 7);
  Tensor merged = base.matrix();
  GRAFT_EXPECT_OK(graft_circulant_merge(r, base, w, kScale, merged));
  r.keep("merged", merged);
}

using Matrix = std::vector<double>;

/** to [rows, columns] = a [rows, inner] b, or bᵀ. */
Matrix multiplied(const Matrix& a, const Matrix& b, std::int64_t inner, std::int64_t columns, bool turned) {
  Matrix to;
  for (std::int64_t i = 0; i < static_cast<std::int64_t>(a.size()) / inner; ++i)
    for (std::int64_t j = 0; j < columns; ++j) {
      double sum = 0;
      for (std::int64_t k = 0; k < inner; ++k)
        sum += a[static_cast<std::size_t>(i * inner + k)] *
               b[static_cast<std::size_t>(turned ? j * inner + k : k * columns + j)];
      to.push_back(sum);
    }
  return to;
}

/** The transforms step by step, with bases, Y and dX rounded to x's type, as products take them; else in double. */
void step_by_step(Trial& r, const Case& n) {
  const std::int64_t b = n.size, k = n.n * b, outputs = n.m * b;
  const auto rounded = [&](const Matrix& values) {
    return r.zeros({static_cast<std::int64_t>(values.size())}).set(values).get();
  };
  Matrix f, g;
  for (std::int64_t j = 0; j < b; ++j)
    for (std::int64_t c = 0; c < b; ++c) {
      const std::int64_t frequency = (c + 1) / 2;
      const double angle = 2 * std::numbers::pi * static_cast<double>(frequency * j) / static_cast<double>(b);
      f.push_back(c > 0 && c % 2 == 0 ? std::sin(angle) : std::cos(angle));
      g.push_back(f.back() * (c == 0 || 2 * frequency == b ? 1.0 : 2.0) / static_cast<double>(b));
    }
  const Matrix w = multiplied(r.master({n.m, n.n, b}, 5).get(), f, b, b, false), exact = f;
  f = rounded(f), g = rounded(g);
  const Matrix x = multiplied(r.input({n.rows, k}, 1).get(), f, b, b, false);
  const Matrix dy = multiplied(r.input({n.rows, outputs}, 3).get(), g, b, b, false);
  Matrix y(static_cast<std::size_t>(n.rows * outputs)), dx(static_cast<std::size_t>(n.rows * k)), dw(w.size());
  const auto at = [&](std::int64_t row, std::int64_t c) { return static_cast<std::size_t>(row * b + c); };
  for (std::int64_t t = 0; t < n.rows; ++t)
    for (std::int64_t m = 0; m < n.m; ++m)
      for (std::int64_t i = 0; i < n.n; ++i)
        for (std::int64_t c = 0; c < b; c = c == 0 ? 1 : c + 2) {
          const bool paired = c > 0 && c + 1 < b;
          const std::int64_t in = t * n.n + i, out = t * n.m + m, of = m * n.n + i;
          const auto sine = [&](const Matrix& from, std::int64_t row) { return paired ? from[at(row, c + 1)] : 0.0; };
          const double xc = x[at(in, c)], xs = sine(x, in), yc = dy[at(out, c)], ys = sine(dy, out);
          const double wc = kScale * w[at(of, c)], ws = kScale * sine(w, of);
          y[at(out, c)] += xc * wc + xs * ws, dx[at(in, c)] += yc * wc - ys * ws;
          dw[at(of, c)] += kScale * (xc * yc + xs * ys);
          if (!paired) continue;
          y[at(out, c + 1)] += xs * wc - xc * ws, dx[at(in, c + 1)] += ys * wc + yc * ws;
          dw[at(of, c + 1)] += kScale * (xs * yc - xc * ys);
        }
  const auto added = [&](const Matrix& old, const Matrix& values, bool accumulate) {
    Matrix sums = values;
    for (std::size_t i = 0; i < sums.size(); ++i) sums[i] += accumulate ? old[i] : 0;
    return sums;
  };
  const Matrix ys = multiplied(rounded(y), g, b, b, true), dxs = multiplied(rounded(dx), f, b, b, true);
  r["y"] = rounded(added(r.input({n.rows, outputs}, 2).get(), ys, n.accumulate));
  r["dx"] = rounded(added(r.input({n.rows, k}, 4).get(), dxs, n.accumulate));
  r["dw"] = added(r.gradient({n.m, n.n, b}, 6).get(), multiplied(dw, exact, b, b, true), true);
}

void compare(const Case& n, int seeds) {
  agree(
      n.dtype, sizes({{"T", n.rows}, {"M", n.m}, {"n", n.n}, {"B", n.size}}), seeds, [&](Trial& r) { run(r, n); },
      [&](Trial& plain) {
        if (n.dtype != kF32) step_by_step(plain, n);
      });
}

TEST(CudaCirculant, AgreesWithFloat64) {
  for (graft_dtype dtype : {kF32, kBf16, kF16}) {
    compare({dtype, 5, 2, 3, 7, true, true}, 1);
    compare({dtype, 7, 3, 2, 12, false, false}, 1);
  }
  compare({kBf16, 3, 2, 2, 2, true, false}, 1);
  compare({kBf16, 3, 2, 3, 1, false, false}, 1);
  compare({kF32, 300, 1, 2, 4, true, false}, 1);
  compare({kBf16, 0, 2, 2, 4, false, false}, 1);
}

TEST(CudaCirculant, ManySchedules) { compare({kBf16, 5, 2, 3, 6, true, false}, 3); }

}  // namespace
}  // namespace graft::test
