// sketch_compress: golden files of the published procedure, the factor against H itself, fast against reference, the
// clusters and the error that the sweep leaves, threads, edges, refusals.
#include <algorithm>
#include <cmath>
#include <limits>

#include "golden.h"
#include "tensors.h"

namespace graft::test {
namespace {

constexpr graft_dtype f32 = GRAFT_DTYPE_F32, bf16 = GRAFT_DTYPE_BF16, f16 = GRAFT_DTYPE_F16, f64 = GRAFT_DTYPE_F64;
constexpr graft_dtype i32 = GRAFT_DTYPE_I32;

using Values = std::vector<double>;

double sum(const Values& values) {
  double all = 0;
  for (const double value : values) all += value;
  return all;
}

// H as the factor has it: in the given sequence, damped, 1 for columns without inputs.
Values damped(const Values& h, const Values& order, double damping) {
  const std::size_t k = order.size();
  Values result(k * k);
  double mean = 0;
  const auto at = [&](std::size_t i, std::size_t j) {
    return h[static_cast<std::size_t>(order[i]) * k + static_cast<std::size_t>(order[j])];
  };
  for (std::size_t i = 0; i < k; ++i) mean += (at(i, i) == 0 ? 1 : at(i, i)) / static_cast<double>(k);
  for (std::size_t i = 0; i < k; ++i)
    for (std::size_t j = 0; j < k; ++j) {
      const bool dead = at(i, i) == 0 || at(j, j) == 0;
      result[i * k + j] = (dead ? double(i == j) : at(i, j)) + (i == j ? damping * mean : 0);
    }
  return result;
}

// Σ_i D_i H D_iᵀ / 2 with D = W - Ŵ, W = 0 without inputs; h as above.
double error_of(const Values& w, const Values& decoded, const Values& h, const Values& damped, const Values& order) {
  const std::size_t k = order.size(), n = w.size() / k;
  double all = 0;
  for (std::size_t row = 0; row < n; ++row) {
    Values d(k);
    for (std::size_t j = 0; j < k; ++j) {
      const auto column = static_cast<std::size_t>(order[j]);
      d[j] = (h[column * k + column] == 0 ? 0 : w[row * k + column]) - decoded[row * k + column];
    }
    for (std::size_t i = 0; i < k; ++i)
      for (std::size_t j = 0; j < k; ++j) all += d[i] * damped[i * k + j] * d[j] / 2;
  }
  return all;
}

Values decoded(const Context& c, const graft_weight* w) {
  Tensor matrix(c, f32, {w->n, w->k});
  EXPECT_EQ(graft_sketch_decode(c, w, matrix), GRAFT_OK) << graft_last_error();
  return matrix.get();
}

// xᵀ x of correlated inputs, one of which is always 0.
Values hessian(const Context& c, std::int64_t k, std::int64_t dead) {
  const auto size = static_cast<std::size_t>(k);
  const std::size_t tokens = size * 2 + 3;
  Tensor noise(c, f64, {static_cast<std::int64_t>(tokens), k});
  Values x = noise.random(11).get(), h(size * size);
  for (std::size_t t = 0; t < tokens; ++t)
    for (std::size_t j = 0; j < size; ++j)
      x[t * size + j] = static_cast<std::int64_t>(j) == dead
                            ? 0
                            : (x[t * size + j] + (j > 0 ? 0.8 * x[t * size + j - 1] : 0)) * (j % 7 == 3 ? 4 : 1);
  for (std::size_t t = 0; t < tokens; ++t)
    for (std::size_t i = 0; i < size; ++i)
      for (std::size_t j = 0; j < size; ++j) h[i * size + j] += x[t * size + i] * x[t * size + j] / double(tokens);
  return h;
}

TEST(SketchCompress, GoldenFiles) {
  for (const std::string& path : golden_files("sketch_compress")) {
    auto g = golden(path);
    const Values& choice = g.at("bits_groups_order").values;
    const Shape& shape = g.at("w").shape;
    const std::int64_t k = shape[1];
    for (const char* prefer : {"fast", "reference"}) {
      const Context c(2, prefer);
      Tensor w = load(c, f32, g.at("w")), h = load(c, f32, g.at("h")), order(c, i32, {k}), r(c, f32, {k, k});
      Tensor table(c, f32, {shape[0], static_cast<std::int64_t>(choice[1]), 1 << static_cast<int>(choice[0])});
      Tensor loss(c, f32, {shape[0]});
      const Weight sketch(c, table, k);
      const double damping = g.at("percdamp").values[0];
      GRAFT_ASSERT_OK(graft_sketch_compress_factor(c, h, damping, choice[2] != 0, order, r));
      EXPECT_EQ(order.get(), g.at("permutation").values) << path;
      Values diagonal;
      for (std::int64_t j = 0; j < k; ++j)
        diagonal.push_back(1 / std::fabs(r.get()[static_cast<std::size_t>(j * (k + 1))]));
      expect_close(diagonal, g.at("u_diagonal").values, 1e-5, path + " diagonal by " + prefer);
      GRAFT_ASSERT_OK(graft_sketch_compress_matrix(c, w, order, r, g.at("exponent").values[0], sketch, loss));
      const Values dampened = damped(h.get(), order.get(), damping);
      const double error = error_of(w.get(), decoded(c, sketch), h.get(), dampened, order.get());
      EXPECT_NEAR(sum(loss.get()), error, 1e-4 * error) << path << " by " << prefer;
      EXPECT_LE(error, g.at("loss").values[0]) << path << " by " << prefer;
      EXPECT_LE(error, 1.02 * g.at("loss_optimal").values[0]) << path << " by " << prefer;
      EXPECT_GE(error, 0.9 * g.at("loss_optimal").values[0]) << path << " by " << prefer;
    }
  }
}

TEST(SketchCompress, FactorTimesItsTransposeIsH) {
  for (const char* prefer : {"fast", "reference"})
    for (graft_dtype dtype : {f32, f64})
      for (std::int64_t k : {1, 7, 127, 128, 129, 260})
        for (int by_diagonal : {0, 1}) {
          if (dtype == f64 && prefer == std::string("fast")) continue;
          const Context c(2, prefer);
          const auto size = static_cast<std::size_t>(k);
          Tensor h(c, dtype, {k, k}, k + 3), r(c, dtype, {k, k}, k + 5), order(c, i32, {k});
          h.set(hessian(c, k, k == 1 ? -1 : k / 2));
          r.fill(99);
          GRAFT_ASSERT_OK(graft_sketch_compress_factor(c, h, 0.05, by_diagonal, order, r));
          const Values f = r.get(), sequence = order.get();
          Values product(size * size);
          for (std::size_t i = 0; i < size; ++i)
            for (std::size_t j = 0; j < size; ++j) {
              if (j < i) {
                EXPECT_EQ(f[i * size + j], 0);
              }
              for (std::size_t m = 0; m < size; ++m) product[i * size + j] += f[i * size + m] * f[j * size + m];
            }
          const std::string what = std::string(prefer) + " " + name(dtype) + " " + std::to_string(k);
          expect_close(product, damped(h.get(), sequence, 0.05), 4 * unit_roundoff(dtype) * double(k + 8), what);
          for (std::size_t j = 0; j < size; ++j) {
            const auto column = static_cast<std::size_t>(sequence[j]);
            EXPECT_EQ(f[j * size + j] < 0, h.get()[column * size + column] == 0) << what;
            if (j == 0) continue;
            const auto before = static_cast<std::size_t>(sequence[j - 1]);
            const double now = h.get()[column * (size + 1)], then = h.get()[before * (size + 1)];
            EXPECT_TRUE(by_diagonal == 0 || now == 0 || then == 0 || now <= then) << what;
          }
        }
}

struct Case {
  graft_dtype dtype = f32;
  std::int64_t n = 70, groups = 2, columns = 150;
  int bits = 4;
  double exponent = 4;
  bool calibrated = true;
};

struct Result {
  Values table, decoded, loss;
  bool operator==(const Result&) const = default;
};

Result run(const Case& s, int threads, const char* prefer, const Values& h) {
  const Context c(threads, prefer);
  const std::int64_t k = s.groups * s.columns;
  Tensor w(c, s.dtype, {s.n, k}, k + 3), table(c, f32, {s.n, s.groups, 1 << s.bits}), loss(c, f32, {s.n});
  Tensor hessian(c, f32, {k, k}), order(c, i32, {k}), r(c, f32, {k, k});
  const Weight sketch(c, table, k);
  w.random(5);
  if (s.calibrated) {
    hessian.set(h);
    GRAFT_EXPECT_OK(graft_sketch_compress_factor(c, hessian, 0.1, 1, order, r));
    GRAFT_EXPECT_OK(graft_sketch_compress_matrix(c, w, order, r, s.exponent, sketch, loss));
  } else {
    GRAFT_EXPECT_OK(graft_sketch_compress_matrix(c, w, nullptr, nullptr, s.exponent, sketch, loss));
  }
  return {table.get(), decoded(c, sketch), loss.get()};
}

// Without calibration there is nothing to add up: the best tables and the nearest entries. With it, one code that
// rounding makes another changes all that follow in its row, and what can be compared is the error that is left.
TEST(SketchCompress, FastAgreesWithReference) {
  const Context c;
  const Values h = hessian(c, 300, 17);
  for (auto [dtype, bits] : {std::pair{f32, 4}, {f32, 3}, {f32, 2}, {bf16, 4}, {f16, 3}})
    for (bool calibrated : {false, true}) {
      const Case s{.dtype = dtype, .bits = bits, .calibrated = calibrated};
      const Result fast = run(s, 2, "fast", h), reference = run(s, 2, "reference", h);
      const std::string what = std::string(name(dtype)) + " " + std::to_string(bits) + " bits";
      EXPECT_NEAR(sum(fast.loss), sum(reference.loss), 0.01 * sum(reference.loss)) << what;
      if (!calibrated) expect_close(fast.loss, reference.loss, 1e-5, what + " loss");
      if (dtype != f32) continue;  // narrow weights are often equally far apart: several tables are the best
      expect_close(fast.table, reference.table, 1e-5, what + " table");
      if (!calibrated) expect_close(fast.decoded, reference.decoded, 1e-5, what + " decoded");
    }
}

// No table of the same size is better: not the even grid, and not the optimum with a value moved.
TEST(SketchCompress, TablesAreTheOptimum) {
  const Values h;
  for (int bits : {4, 3, 2}) {
    const Case s{.n = 9, .groups = 3, .columns = 57, .bits = bits, .calibrated = false};
    const Result found = run(s, 1, "fast", h);
    const Context c;
    Tensor w(c, f32, {s.n, s.groups * s.columns});
    const Values values = w.random(5).get();
    const auto entries = static_cast<std::size_t>(1 << bits), columns = static_cast<std::size_t>(s.columns);
    for (std::size_t group = 0; group < found.table.size() / entries; ++group) {
      const auto cost = [&](const Values& table) {
        double all = 0;
        for (std::size_t j = 0; j < columns; ++j) {
          double least = 1e9;
          for (const double entry : table) least = std::min(least, std::fabs(values[group * columns + j] - entry));
          all += least * least;
        }
        return all;
      };
      const Values table(found.table.begin() + static_cast<std::ptrdiff_t>(group * entries),
                         found.table.begin() + static_cast<std::ptrdiff_t>((group + 1) * entries));
      EXPECT_TRUE(std::is_sorted(table.begin(), table.end()));
      const double best = cost(table);
      Values other(entries);
      for (std::size_t l = 0; l < entries; ++l) other[l] = -1 + (2.0 * double(l) + 1) / double(entries);
      EXPECT_LT(best, cost(other));
      for (std::size_t l = 0; l < entries; ++l)
        for (double step : {-0.01, 0.01}) {
          Values moved = table;
          moved[l] += step;
          EXPECT_LE(best, cost(moved) + 1e-6);
        }
    }
  }
}

// The clusters of one row, the weights of whose columns are `importance`, by a factor that has only a diagonal.
Values table_of(const char* prefer, const Values& row, const Values& importance, std::int64_t entries) {
  const Context c(1, prefer);
  const auto k = static_cast<std::int64_t>(row.size());
  Tensor w(c, f32, {1, k}), table(c, f32, {1, 1, entries}), r(c, f32, {k, k}), order(c, i32, {k});
  const Weight sketch(c, table, k);
  Values factor(row.size() * row.size()), sequence(row.size());
  for (std::size_t j = 0; j < row.size(); ++j) factor[j * (row.size() + 1)] = importance[j], sequence[j] = double(j);
  GRAFT_EXPECT_OK(graft_sketch_compress_matrix(c, w.set(row), order.set(sequence), r.set(factor), 1, sketch, nullptr));
  return table.get();
}

// What reference finds by trying all places costs no less, whatever the values: many equal ones, ones that are equally
// far apart, for which several tables are the best, far ones that take most entries, and weights of any size.
TEST(SketchCompress, NoTableCostsLess) {
  const Context c;
  for (const char* kind : {"random", "narrow", "even", "few", "one", "far", "weighted"})
    for (std::int64_t k : {1, 3, 15, 16, 17, 18, 33, 64, 100, 257})
      for (std::int64_t entries : {4, 8, 16}) {
        Tensor random(c, kind == std::string("narrow") ? bf16 : f32, {2, k});
        const Values noise = random.random(static_cast<std::uint64_t>(k)).get();
        const auto size = static_cast<std::size_t>(k);
        Values row(noise.begin(), noise.begin() + k), importance(size, 1);
        for (std::size_t j = 0; j < size; ++j) {
          if (kind == std::string("even")) row[j] = double(j * 7 % size);
          if (kind == std::string("few")) row[j] = std::round(4 * row[j]);
          if (kind == std::string("one")) row[j] = -1.5;
          if (kind == std::string("far") && j < 12) row[j] = 1e6 * double(j);
          if (kind == std::string("weighted"))
            importance[j] = std::max(1e-30, std::pow(std::fabs(noise[size + j]), 16));
        }
        const double largest = *std::max_element(importance.begin(), importance.end());
        const auto cost = [&](const Values& table) {
          double all = 0;
          for (std::size_t j = 0; j < size; ++j) {
            double least = std::numeric_limits<double>::infinity();
            for (const double entry : table) least = std::min(least, std::fabs(row[j] - entry));
            all += std::max(1e-30, double(float(importance[j])) / largest) * least * least;
          }
          return all;
        };
        const Values table = table_of("fast", row, importance, entries);
        const double found = cost(table), best = cost(table_of("reference", row, importance, entries));
        const std::string what = std::string(kind) + " " + std::to_string(k) + ", " + std::to_string(entries);
        EXPECT_TRUE(std::is_sorted(table.begin(), table.end())) << what;
        EXPECT_LE(found, best * (1 + 1e-5) + 1e-14 * cost({0})) << what;
        if (kind == std::string("one")) {
          EXPECT_EQ(table, Values(static_cast<std::size_t>(entries), -1.5)) << what;
        }
      }
}

TEST(SketchCompress, TheSweepLeavesLessThanNearestEntries) {
  const Context c;
  const std::int64_t k = 300;
  const Values h = hessian(c, k, 17);
  Values order(static_cast<std::size_t>(k));
  for (std::size_t j = 0; j < order.size(); ++j) order[j] = double(j);
  const Values dampened = damped(h, order, 0.1);
  Tensor w(c, f32, {70, k});
  w.random(5);
  const auto error = [&](bool calibrated) {
    return error_of(w.get(), run({.calibrated = calibrated}, 2, nullptr, h).decoded, h, dampened, order);
  };
  EXPECT_LT(error(true), 0.8 * error(false));
}

TEST(SketchCompress, SameBitsForAnyNumberOfThreads) {
  const Context c;
  const Values h = hessian(c, 300, 17);
  const Result one = run({.n = 200}, 1, "fast", h);
  for (int threads : {2, 4}) EXPECT_EQ(run({.n = 200}, threads, "fast", h), one) << threads;
}

TEST(SketchCompress, FewDifferentWeights) {
  for (const char* prefer : {"fast", "reference"}) {
    const Context c(1, prefer);
    Tensor w(c, f32, {3, 6}), table(c, f32, {3, 1, 8}), loss(c, f32, {3});
    const Weight sketch(c, table, 6);
    w.set({1, 2, 3, 1, 2, 3, -5, -5, -5, -5, -5, -5, 0, 0, 0, 0, 0, 0.5});
    GRAFT_ASSERT_OK(graft_sketch_compress_matrix(c, w, nullptr, nullptr, 4, sketch, loss));
    EXPECT_EQ(decoded(c, sketch), w.get()) << prefer;
    EXPECT_EQ(loss.get(), Values(3)) << prefer;
    for (const double entry : table.get()) EXPECT_TRUE(std::isfinite(entry)) << prefer;
    const Values entries = table.get();
    EXPECT_EQ(std::count(entries.begin() + 8, entries.begin() + 16, -5), 8) << prefer;
  }
}

TEST(SketchCompress, PitchEmptyAndNull) {
  for (const char* prefer : {"fast", "reference"}) {
    const Context c(2, prefer);
    for (auto [n, k] : {std::pair<std::int64_t, std::int64_t>{0, 4}, {3, 0}, {0, 0}}) {
      Tensor w(c, f32, {n, k}), table(c, f32, {n, 1, 4}), h(c, f32, {k, k}), r(c, f32, {k, k}), order(c, i32, {k});
      Tensor loss(c, f32, {n});
      const Weight sketch(c, table, k);
      loss.fill(7);
      for (std::int64_t i = 0; i < k; ++i) h.fill(0);
      GRAFT_EXPECT_OK(graft_sketch_compress_factor(c, h, 0.1, 1, order, r));
      GRAFT_EXPECT_OK(graft_sketch_compress_matrix(c, w, order, r, 4, sketch, loss));
      EXPECT_EQ(loss.get(), Values(static_cast<std::size_t>(n)));
    }
    Tensor w(c, f32, {2, 8}, 11), table(c, f32, {2, 2, 4});
    const Weight sketch(c, table, 8);
    GRAFT_EXPECT_OK(graft_sketch_compress_matrix(c, w.random(3), nullptr, nullptr, 0, sketch, nullptr));
    expect_close(decoded(c, sketch), w.get(), 0, "four weights and four entries");
  }
}

TEST(SketchCompress, BadArguments) {
  const Context c;
  Tensor h(c, f32, {4, 4}), r(c, f32, {4, 4}), order(c, i32, {4}), w(c, f32, {2, 4}), table(c, f32, {2, 1, 4});
  Tensor wide(c, f64, {4, 4}), flat(c, f32, {3, 4}), narrow(c, bf16, {2, 1, 4}), loss(c, f32, {2}), ids(c, i32, {4});
  const Weight sketch(c, table, 4), half(c, narrow, 4), dense(c, f32, 2, 4);
  const auto bad = [](graft_status status, const std::vector<std::string>& words,
                      graft_status expected = GRAFT_INVALID_ARGUMENT) { expect_error(status, expected, words); };
  h.set({1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1});
  bad(graft_sketch_compress_factor(c, nullptr, 0.1, 0, order, r), {"graft_sketch_compress_factor", "h is NULL"});
  bad(graft_sketch_compress_factor(c, h, -1, 0, order, r), {"damping is -1"});
  bad(graft_sketch_compress_factor(c, h, 0.1, 0, order, h), {"overlaps"});
  bad(graft_sketch_compress_factor(c, h, 0.1, 0, order, wide), {"r", "f64"});
  bad(graft_sketch_compress_factor(c, flat, 0.1, 0, order, r), {"h", "3"}, GRAFT_SHAPE_MISMATCH);
  h.set({1, 0, 0, 0, 0, -2, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1});
  bad(graft_sketch_compress_factor(c, h, 0.1, 0, order, r), {"h has -2 at [1, 1]"});
  h.set({1, 5, 0, 0, 5, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1});
  for (const char* prefer : {"fast", "reference"}) {
    GRAFT_ASSERT_OK(graft_context_prefer(c, prefer));
    bad(graft_sketch_compress_factor(c, h, 0.1, 0, order, r), {"not positive definite", "column 0"});
  }
  GRAFT_ASSERT_OK(graft_context_prefer(c, nullptr));
  bad(graft_sketch_compress_matrix(c, w, nullptr, nullptr, 4, dense, loss), {"w is dense"});
  bad(graft_sketch_compress_matrix(c, w, nullptr, nullptr, 4, half, loss), {"w's table", "bf16"});
  bad(graft_sketch_compress_matrix(c, w, nullptr, r, 4, sketch, loss), {"order (NULL)", "both or neither"});
  bad(graft_sketch_compress_matrix(c, w, nullptr, nullptr, -1, sketch, loss), {"exponent is -1"});
  bad(graft_sketch_compress_matrix(c, flat, nullptr, nullptr, 4, sketch, loss), {"matrix"}, GRAFT_SHAPE_MISMATCH);
  bad(graft_sketch_compress_matrix(c, w, ids.fill(4), r, 4, sketch, loss), {"order[0] is 4"});
  bad(graft_sketch_compress_matrix(c, w, ids.set({0, 2, 1, 2}), r, 4, sketch, loss), {"order hold 2 twice"});
  w.set({0, 0, 0, 0, 0, 0, INFINITY, 0});
  bad(graft_sketch_compress_matrix(c, w, nullptr, nullptr, 4, sketch, loss), {"matrix has inf at [1, 2]"});
}

}  // namespace
}  // namespace graft::test
