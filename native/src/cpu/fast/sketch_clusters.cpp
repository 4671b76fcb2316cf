#include "cpu/fast/sketch_clusters.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "core/sketch_compress.h"

namespace graft::cpu::fast {

SketchClusters::SketchClusters(core::Scratch& scratch, std::int64_t n, int entries)
    : n_(n),
      entries_(entries),
      sorted_(scratch.take<Sorted>(n)),
      weight_(scratch.take<double>(n + 1)),
      moment_(scratch.take<double>(n + 1)),
      square_(scratch.take<double>(n + 1)),
      before_(scratch.take<double>(n + 1)),
      best_(scratch.take<double>(n + 1)),
      begins_(scratch.take<std::int32_t>(entries * (n + 1))) {}

void SketchClusters::sum(const float* values, const double* weights) {
  double total = 0;
  for (std::int64_t j = 0; j < n_; ++j) {
    sorted_[j] = {values[j], static_cast<std::int32_t>(j)};
    total += static_cast<double>(values[j]);
  }
  std::sort(sorted_, sorted_ + n_, [](const Sorted& a, const Sorted& b) {
    return a.value != b.value ? a.value < b.value : a.column < b.column;
  });
  middle_ = n_ == 0 ? 0 : total / static_cast<double>(n_);
  weight_[0] = moment_[0] = square_[0] = 0;
  for (std::int64_t j = 0; j < n_; ++j) {
    // why less the middle: a cluster's spread is the difference of two sums, which must not be larger than need be.
    const double s = weights[sorted_[j].column], value = static_cast<double>(sorted_[j].value) - middle_;
    weight_[j + 1] = weight_[j] + s;
    moment_[j + 1] = moment_[j] + s * value;
    square_[j + 1] = square_[j] + s * value * value;
  }
}

// Σ s (value - mean)² of the sorted values from first to last.
inline double SketchClusters::spread(std::int64_t first, std::int64_t last) const {
  const double s = weight_[last] - weight_[first], moment = moment_[last] - moment_[first];
  return s > 0 ? square_[last] - square_[first] - moment * moment / s : 0;
}

// best and begins for first <= b < last, whose last clusters begin within least..most.
void SketchClusters::fill(std::int32_t* begins, std::int64_t first, std::int64_t last, std::int64_t least,
                          std::int64_t most) {
  while (first < last) {
    const std::int64_t b = (first + last) / 2;
    double lowest = std::numeric_limits<double>::infinity();
    std::int64_t begin = least;
    for (std::int64_t a = least; a <= std::min(b, most); ++a) {
      const double sum = before_[a] + spread(a, b);
      if (sum < lowest) lowest = sum, begin = a;
    }
    best_[b] = lowest;
    begins[b] = static_cast<std::int32_t>(begin);
    fill(begins, first, b, least, begin);
    first = b + 1, least = begin;
  }
}

void SketchClusters::find(const float* values, const double* weights, double* table) {
  sum(values, weights);
  for (std::int64_t b = 0; b <= n_; ++b) best_[b] = spread(0, b), begins_[b] = 0;
  for (int l = 1; l < entries_; ++l) {
    std::swap(before_, best_);
    // Of the last cluster only where all values are in is asked for.
    fill(begins_ + l * (n_ + 1), l + 1 < entries_ ? 0 : n_, n_ + 1, 0, n_);
  }
  std::int64_t end = n_;
  for (int l = entries_ - 1; l >= 0; --l) {
    const std::int64_t begin = begins_[l * (n_ + 1) + end];
    table[l] = (moment_[end] - moment_[begin]) / (weight_[end] - weight_[begin]) + middle_;  // NaN without values
    end = begin;
  }
  core::repeat_entries(table, entries_);
}

}  // namespace graft::cpu::fast
