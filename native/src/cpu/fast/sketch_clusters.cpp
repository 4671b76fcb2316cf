#include "cpu/fast/sketch_clusters.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <utility>

#include "core/sketch_compress.h"

namespace graft::cpu::fast {

SketchClusters::SketchClusters(core::Scratch& scratch, std::int64_t n, int entries)
    : n_(n),
      entries_(entries),
      sorted_(scratch.take<std::uint64_t>(n)),
      unsorted_(scratch.take<std::uint64_t>(n)),
      behind_(scratch.take<std::int32_t>(n + 1)),
      begins_(scratch.take<std::int32_t>(n + 1)) {
  for (double** sums : {&sums_.weight, &sums_.moment, &sums_.square, &best_})
    *sums = scratch.take<double>(n + 1 + SketchSums::kPadding);
  for (Path* path : {&path_, &shorter_, &longer_}) path->places = scratch.take<std::int32_t>(n + 1);
  forget();
}

void SketchClusters::forget() { price_ = 4.5 / (entries_ * entries_ * entries_); }

// By radix: digits of 8 bits from the lowest on, in which bf16 differs only in two. Equal values stay by column.
void SketchClusters::sort(const float* values) {
  constexpr int kDigits = 4;
  std::int32_t counts[kDigits][256] = {};
  for (std::int64_t j = 0; j < n_; ++j) {
    const auto bits = std::bit_cast<std::uint32_t>(values[j]);
    const std::uint32_t key = bits >> 31 ? 0u - bits : bits | 1u << 31;  // -0 = 0
    sorted_[j] = std::uint64_t{key} << 32 | static_cast<std::uint64_t>(j);
    for (int digit = 0; digit < kDigits; ++digit) ++counts[digit][key >> 8 * digit & 255];
  }
  for (int digit = 0; digit < kDigits; ++digit) {
    const int shift = 32 + 8 * digit;
    if (n_ == 0 || counts[digit][sorted_[0] >> shift & 255] == n_) continue;
    std::int32_t first = 0;
    for (std::int32_t& count : counts[digit]) first += std::exchange(count, first);
    for (std::int64_t j = 0; j < n_; ++j) unsorted_[counts[digit][sorted_[j] >> shift & 255]++] = sorted_[j];
    std::swap(sorted_, unsorted_);
  }
}

void SketchClusters::sum(const float* values, const double* weights) {
  double total = 0;
  for (std::int64_t j = 0; j < n_; ++j) total += static_cast<double>(values[j]);
  middle_ = n_ == 0 ? 0 : total / static_cast<double>(n_);
  double weight = 0, moment = 0, square = 0;
  sums_.weight[0] = sums_.moment[0] = sums_.square[0] = 0, behind_[0] = 0;
  std::int64_t different = 0;
  for (std::int64_t j = 0; j < n_; ++j) {
    // why less the middle: a cluster's spread is the difference of two sums, which must not be larger than need be.
    const auto column = static_cast<std::uint32_t>(sorted_[j]);
    const double s = weights[column], value = static_cast<double>(values[column]) - middle_;
    if (j == 0 || sorted_[j] >> 32 != sorted_[j - 1] >> 32) ++different;
    sums_.weight[different] = weight += s;
    sums_.moment[different] = moment += s * value;
    sums_.square[different] = square += s * value * value;
    behind_[different] = static_cast<std::int32_t>(j + 1);
  }
  sums_.n = different;
}

// path_ = the one that begins_ tells of.
void SketchClusters::walk() {
  path_.links = 0, path_.cost = 0;
  for (std::int64_t b = sums_.n; b > 0; b = begins_[b]) {
    path_.places[path_.links++] = static_cast<std::int32_t>(b);
    path_.cost += sums_.spread(begins_[b], b);
  }
  path_.places[path_.links] = 0;
  std::reverse(path_.places, path_.places + path_.links + 1);
}

// path_ = the longer one up to a place inside a link of the shorter one, and behind that link the shorter one. Spreads
// are concave: what changes ends there costs both together no more than before, and both are already the cheapest.
void SketchClusters::splice(std::int64_t missing) {
  std::int64_t link = shorter_.links - 1;
  while (shorter_.places[link] > longer_.places[link + missing]) --link;
  std::copy_n(longer_.places, link + missing + 1, path_.places);
  std::copy(shorter_.places + link + 1, shorter_.places + shorter_.links + 1, path_.places + link + missing + 1);
  path_.links = shorter_.links + missing;
}

// path_ = the cheapest one of L links.
void SketchClusters::find_path() {
  const std::int64_t n = sums_.n, links = std::min<std::int64_t>(n, entries_);
  shorter_.links = 1, shorter_.cost = sums_.spread(0, n);
  shorter_.places[0] = 0, shorter_.places[1] = static_cast<std::int32_t>(n);
  longer_.links = n, longer_.cost = 0;
  for (std::int64_t b = 0; b <= n; ++b) longer_.places[b] = static_cast<std::int32_t>(b);
  if (links == n) return std::swap(path_, longer_);
  const double all = shorter_.cost, least = all * std::numeric_limits<double>::epsilon() / 256;
  bool too_high = false, too_low = false;
  double change = 1;
  for (double price = price_ * all; price > least;) {
    cheapest_path(sums_, price, std::max<std::int64_t>(1, n / (2 * links)), best_, begins_);
    walk();
    if (path_.links == links) {
      price_ = price / all;
      return;
    }
    const bool between = path_.links > shorter_.links && path_.links < longer_.links;
    if (too_high && too_low && !between) break;
    (path_.links < links ? too_high : too_low) = true;
    if (between) std::swap(path_, path_.links < links ? shorter_ : longer_);
    if (too_high && too_low) {
      // At which both cost the same: a path between them is cheaper there, or none is.
      price = (shorter_.cost - longer_.cost) / static_cast<double>(longer_.links - shorter_.links);
    } else {
      // Fine data have a price of links^-3. A second miss on the same side is mended faster.
      const double ratio = static_cast<double>((too_low ? longer_ : shorter_).links) / static_cast<double>(links);
      change *= ratio * ratio * ratio;
      price *= change;
    }
  }
  splice(links - shorter_.links);
}

void SketchClusters::find(const float* values, const double* weights, double* table) {
  sort(values);
  sum(values, weights);
  path_.links = 0;
  if (n_ > 0) find_path();
  for (int l = 0; l < entries_; ++l) {
    // why not the difference of two sums: a cluster may weigh less than what rounds off them.
    double weight = 0, moment = 0;
    for (std::int32_t j = l < path_.links ? behind_[path_.places[l]] : 0;
         l < path_.links && j < behind_[path_.places[l + 1]]; ++j) {
      const auto column = static_cast<std::uint32_t>(sorted_[j]);
      weight += weights[column];
      moment += weights[column] * (static_cast<double>(values[column]) - middle_);
    }
    table[l] = moment / weight + middle_;  // NaN without values
  }
  core::repeat_entries(table, entries_);
}

}  // namespace graft::cpu::fast
