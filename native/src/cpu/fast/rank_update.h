// The product of a narrow s [rows, r] and a wide a [r, columns], added to panels of a matrix while they are in cache:
// what a low-rank part adds to y or to dx where it cannot share a GEMM with the frozen layer. In pairs where the
// processor multiplies those.
#pragma once

#include "core/context.h"
#include "cpu/fast/skinny.h"

namespace graft::cpu::fast {

/** a [r, columns] as rank updates of matrices of one dtype read it. */
struct WideFactor {
  const float* values = nullptr;
  const std::uint32_t* pairs = nullptr;  // of neighbouring rows, in bf16
  std::int64_t rank = 0, columns = 0;

  WideFactor() = default;
  /** a: f32, without gaps, kept by the caller. */
  WideFactor(core::Context& context, core::Scratch& scratch, const Matrix& a, graft_dtype dtype);
};

/** Made on the calling thread when s is complete; runs inside a parallel_for. */
class RankUpdate {
 public:
  /** s [rows, r] in fp32, without gaps. */
  RankUpdate(core::Context& context, core::Scratch& scratch, const float* s, std::int64_t rows, const WideFactor& a);
  /** out += factor · kept s·a, out being the part that starts at this row of s and column of a. */
  void run(std::int64_t row, std::int64_t column, Keep keep, float factor, const Matrix& out) const;

 private:
  const float* s_;
  const std::uint32_t* pairs_ = nullptr;
  WideFactor a_;
};

}  // namespace graft::cpu::fast
