// The optimum of weighted k-means in one dimension, whose clusters are ranges of the sorted values: a path of L links.
// The cheapest path at a price for each link is the best of as many links as it has, and that number falls as the price
// rises (Aggarwal, Schieber, Tokuyama 1994): two or three prices find one of L links. Where none is exactly L links
// long, two paths of the same cost, one shorter and one longer, are spliced. Nothing is approximate.
#pragma once

#include <cstdint>

#include "core/context.h"
#include "cpu/fast/sketch_path.h"

namespace graft::cpu::fast {

class SketchClusters {
 public:
  /** Memory of one worker for up to n values and L entries. */
  SketchClusters(core::Scratch& scratch, std::int64_t n, int entries);

  /** table [L], ascending = the optimum for values and weights [n]. */
  void find(const float* values, const double* weights, double* table);

  /** The next search starts from the price of a normal distribution, not from the one before. */
  void forget();

 private:
  struct Path {
    std::int64_t links;
    std::int32_t* places;  // [links + 1]: 0 to n
    double cost;           // without the price
  };

  void sort(const float* values);
  void sum(const float* values, const double* weights);
  void find_path();
  void walk();
  void splice(std::int64_t missing);

  std::int64_t n_;
  int entries_;
  std::uint64_t *sorted_, *unsorted_;  // [n]: a value's place in the order of numbers, and below it its column
  SketchSums sums_{};                  // of the different values
  std::int32_t* behind_;               // [n + 1]: how many values are before each different one
  double* best_;
  std::int32_t* begins_;
  Path path_{}, shorter_{}, longer_{};
  double middle_ = 0, price_ = 0;  // of a link, in units of all values' spread
};

}  // namespace graft::cpu::fast
