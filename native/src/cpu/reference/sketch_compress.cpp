// sketch_compress in plain loops and in double: a Cholesky factor from the last column on, the best clusters by trying
// each place of the last one's begin, and columns in sequence with what the ones before have left.
#include "ops/sketch_compress.h"

#include <limits>

#include "core/context.h"
#include "core/sketch.h"
#include "core/sketch_compress.h"
#include "cpu/reference/element.h"

namespace graft::cpu::reference {
namespace {

// One worker's memory for a group of n columns.
struct Clusters {
  Clusters(core::Scratch& scratch, std::int64_t n, int entries)
      : columns(scratch.take<std::int32_t>(n)),
        begins(scratch.take<std::int32_t>(entries * (n + 1))),
        best(scratch.take<double>(entries * (n + 1))) {}

  // table = the optimum for values and weights [n], by column. best[l][b]: the least sum for the first b of the sorted
  // values in l + 1 clusters, of which the last one begins at begins[l][b].
  template <class Value>
  void find(std::int64_t n, int entries, const double* weights, Value&& value, double* table) {
    for (std::int64_t j = 0; j < n; ++j) columns[j] = static_cast<std::int32_t>(j);
    std::sort(columns, columns + n,
              [&](std::int32_t a, std::int32_t b) { return value(a) != value(b) ? value(a) < value(b) : a < b; });
    for (int l = 0; l < entries; ++l)
      for (std::int64_t b = 0; b <= n; ++b) {
        double& least = best[l * (n + 1) + b];
        std::int32_t& begin = begins[l * (n + 1) + b];
        begin = 0;
        least = l == 0 ? 0 : std::numeric_limits<double>::infinity();
        double sum = 0, mean = 0, spread = 0;  // of the values from a to b
        for (std::int64_t a = b; a >= 0; --a) {
          if (a < b) {
            const double s = weights[columns[a]], apart = value(columns[a]) - mean;
            sum += s;
            mean += apart * s / sum;
            spread += s * apart * (value(columns[a]) - mean);
          }
          if (l == 0) {
            least = spread;
          } else if (best[(l - 1) * (n + 1) + a] + spread < least) {
            least = best[(l - 1) * (n + 1) + a] + spread;
            begin = static_cast<std::int32_t>(a);
          }
        }
      }
    std::int64_t end = n;
    for (int l = entries - 1; l >= 0; --l) {
      const std::int64_t begin = l == 0 ? 0 : begins[l * (n + 1) + end];
      double sum = 0, moment = 0;
      for (std::int64_t a = begin; a < end; ++a) {
        sum += weights[columns[a]];
        moment += weights[columns[a]] * value(columns[a]);
      }
      table[l] = moment / sum;  // NaN without values
      end = begin;
    }
    core::repeat_entries(table, entries);
  }

  std::int32_t *columns, *begins;
  double* best;
};

}  // namespace

void run(core::Context&, const ops::SketchCompressFactor& a) {
  const View<double> h(*a.h), r(*a.r);
  const std::int64_t k = h.size(0);
  const double added = core::start_factor(*a.order, a.damping, a.by_diagonal, [&](std::int64_t i) { return h(i, i); });
  const auto* order = static_cast<const std::int32_t*>(a.order->data);
  const auto dead = [&](std::int64_t i) { return h(order[i], order[i]) == 0; };
  for (std::int64_t j = k - 1; j >= 0; --j) {
    for (std::int64_t i = j; i >= 0; --i) {
      double sum = i == j               ? core::used_diagonal(h(order[j], order[j])) + added
                   : dead(i) || dead(j) ? 0
                                        : h(order[i], order[j]);
      for (std::int64_t m = j + 1; m < k; ++m) sum -= r(i, m) * r(j, m);
      if (i < j) {
        r.set(sum / r(j, j), i, j);
      } else if (sum > 0) {
        r.set(std::sqrt(sum), j, j);
      } else {
        core::fail(GRAFT_INVALID_ARGUMENT, "h with damping %g is not positive definite: column %d leaves %g", a.damping,
                   order[j], sum);
      }
    }
    for (std::int64_t i = j + 1; i < k; ++i) r.set(0, i, j);
  }
  for (std::int64_t j = 0; j < k; ++j)
    if (dead(j)) r.set(-r(j, j), j, j);
}

void run(core::Context& context, const ops::SketchCompressMatrix& a) {
  const core::SketchLayout layout(*a.w);
  const std::int64_t n = a.w->n, k = a.w->k, columns = layout.columns;
  const View<double> matrix(*a.matrix), table(a.w->table), r(a.r == nullptr ? graft_tensor{} : *a.r);
  const auto* order = a.order == nullptr ? nullptr : static_cast<const std::int32_t*>(a.order->data);
  core::Scratch scratch(context.arena);
  double* weights = scratch.take<double>(k);
  double* left = scratch.take<double>(k);  // D, in sequence
  double* kept = scratch.take<double>(k);  // W, or 0 without inputs
  auto* codes = scratch.take<std::uint8_t>(k);
  Clusters clusters(scratch, columns, layout.entries);
  core::cluster_weights(
      a.order, k, a.exponent, [&](std::int64_t j) { return r(j, j); }, weights);
  for (std::int64_t i = 0; i < n; ++i) {
    for (std::int64_t j = 0; j < k; ++j) kept[j] = matrix(i, j);
    for (std::int64_t j = 0; order != nullptr && j < k; ++j)
      if (r(j, j) < 0) kept[order[j]] = 0;
    for (std::int64_t group = 0; group < layout.groups; ++group) {
      const std::int64_t first = group * columns;
      double best[core::kSketchEntries];
      clusters.find(
          columns, layout.entries, weights + first, [&](std::int64_t j) { return kept[first + j]; }, best);
      for (int l = 0; l < layout.entries; ++l) table.set(best[l], i, group, l);
    }
    double loss = 0;
    for (std::int64_t j = 0; j < k; ++j) {
      const std::int64_t column = order == nullptr ? j : order[j], group = column / columns;
      double goal = kept[column];
      for (std::int64_t m = 0; order != nullptr && m < j; ++m) goal += left[m] * r(m, j) / r(j, j);
      double entries[core::kSketchEntries];
      for (int l = 0; l < layout.entries; ++l) entries[l] = table(i, group, l);
      const int code = core::nearest_entry(entries, layout.entries, goal);
      codes[column] = static_cast<std::uint8_t>(code);
      left[j] = kept[column] - entries[code];
      const double error = (goal - entries[code]) * (order == nullptr ? 1 : r(j, j));
      loss += error * error / 2;
    }
    core::pack_row(codes, layout, i);
    if (a.loss != nullptr) View<double>(*a.loss).set(loss, i);
  }
}

}  // namespace graft::cpu::reference
