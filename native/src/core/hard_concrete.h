// One hard-concrete gate: the formula of graft/ops/hard_concrete.h, in double, for the plain loops and the threads.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>

#include "core/philox.h"
#include "graft/ops/hard_concrete.h"

namespace graft::core {

struct HardConcrete {
  graft_gate_mode mode;
  std::uint64_t seed;
  double lower, upper;

  struct Gate {
    double z, slope;  // slope = dz/da
  };

  Gate gate(std::uint32_t word, double a) const {
    if (mode == GRAFT_GATE_FIXED) return {a > 0 ? 1.0 : 0.0, 0};
    double logit = a;
    if (mode == GRAFT_GATE_SAMPLED) {
      const double u = word * 0x1p-32 * (1 - 0x1p-23) + 0x1p-24;
      logit += std::log(u) - std::log1p(-u);
    }
    const double s = sigmoid(logit), stretched = s * (upper - lower) + lower;
    const bool inside = stretched > 0 && stretched < 1;
    return {std::clamp(stretched, 0.0, 1.0), inside ? s * (1 - s) * (upper - lower) : 0};
  }

  /** The probability that z > 0. */
  double open(double a) const {
    return mode == GRAFT_GATE_FIXED ? (a > 0 ? 1.0 : 0.0) : sigmoid(a - std::log(-lower / upper));
  }

  static double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
};

/** The words of consecutive elements of a stream, a block of four at a time. */
class PhiloxWords {
 public:
  PhiloxWords(std::uint64_t seed, std::uint64_t first) : seed_(seed), next_(first) {
    block_ = Philox::block(seed_, next_ >> 2);
  }
  std::uint32_t next() {
    const std::uint32_t word = block_[next_ & 3];
    if ((++next_ & 3) == 0) block_ = Philox::block(seed_, next_ >> 2);
    return word;
  }

 private:
  std::uint64_t seed_, next_;
  std::array<std::uint32_t, 4> block_{};
};

}  // namespace graft::core
