// The optimum of weighted k-means in one dimension: the values sorted, sums of ranges out of prefix sums, and dynamic
// programming by halves: where the last cluster of the first b values begins never falls with b (Wu 1991; Grønlund et
// al., arXiv 1701.07204), so that L - 1 passes of n·log n trials find it, a few milliseconds for 4096 values.
#pragma once

#include <cstdint>

#include "core/context.h"

namespace graft::cpu::fast {

class SketchClusters {
 public:
  /** Memory of one worker for n values and L entries. */
  SketchClusters(core::Scratch& scratch, std::int64_t n, int entries);

  /** table [L], ascending = the optimum for values and weights [n]. */
  void find(const float* values, const double* weights, double* table);

 private:
  struct Sorted {
    float value;
    std::int32_t column;
  };

  void sum(const float* values, const double* weights);
  double spread(std::int64_t first, std::int64_t last) const;
  void fill(std::int32_t* begins, std::int64_t first, std::int64_t last, std::int64_t least, std::int64_t most);

  std::int64_t n_;
  int entries_;
  Sorted* sorted_;
  double *weight_, *moment_, *square_;  // [n + 1]: sums over the values before
  double *before_, *best_;              // [n + 1]: the least sum with one cluster less, and with this one
  std::int32_t* begins_;                // [L, n + 1]
  double middle_ = 0;
};

}  // namespace graft::cpu::fast
