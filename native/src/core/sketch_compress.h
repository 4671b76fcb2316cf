// What the implementations of sketch_compress share: the sequence of columns, and what clusters and columns weigh.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "graft/tensor.h"

namespace graft::core {

/** The diagonal as the compressor sees it: 1 for a column without inputs. */
inline double used_diagonal(double diagonal) { return diagonal == 0 ? 1 : diagonal; }

/** Fills `order`; diagonal(i) is H's. Returns what damping adds to it. */
template <class Diagonal>
double start_factor(const graft_tensor& order, double damping, bool by_diagonal, Diagonal&& diagonal) {
  const std::int64_t k = order.shape[0];
  auto* ids = static_cast<std::int32_t*>(order.data);
  double sum = 0;
  for (std::int64_t i = 0; i < k; ++i) {
    ids[i] = static_cast<std::int32_t>(i);
    sum += used_diagonal(diagonal(i));
  }
  // why not stable_sort: it allocates.
  if (by_diagonal)
    std::sort(ids, ids + k, [&](std::int32_t a, std::int32_t b) {
      const double of_a = used_diagonal(diagonal(a)), of_b = used_diagonal(diagonal(b));
      return of_a != of_b ? of_a > of_b : a < b;
    });
  return k == 0 ? 0 : damping * sum / static_cast<double>(k);
}

/** weights [K], by column of W: |r_jj|^exponent in units of the largest one. 1 without r. */
template <class Diagonal>
void cluster_weights(const graft_tensor* order, std::int64_t k, double exponent, Diagonal&& diagonal, double* weights) {
  if (order == nullptr) {
    std::fill_n(weights, k, 1.0);
    return;
  }
  double largest = 0;
  for (std::int64_t j = 0; j < k; ++j) largest = std::max(largest, std::fabs(diagonal(j)));
  for (std::int64_t j = 0; j < k; ++j)
    weights[static_cast<const std::int32_t*>(order->data)[j]] =
        std::max(1e-30, std::pow(std::fabs(diagonal(j)) / largest, exponent));
}

/** Entries that are NaN, of clusters without values, repeat the one before, or behind. */
inline void repeat_entries(double* table, int entries) {
  for (int l = 1; l < entries; ++l)
    if (std::isnan(table[l])) table[l] = table[l - 1];
  for (int l = entries - 1; l >= 0; --l)
    if (std::isnan(table[l])) table[l] = l + 1 < entries ? table[l + 1] : 0;
}

/** The entry of `table` nearest to a value, the first of several. */
template <class T>
int nearest_entry(const T* table, int entries, T value) {
  int nearest = 0;
  T least = std::fabs(value - table[0]);
  for (int l = 1; l < entries; ++l) {
    const T distance = std::fabs(value - table[l]);
    nearest = distance < least ? l : nearest;
    least = distance < least ? distance : least;
  }
  return nearest;
}

}  // namespace graft::core
