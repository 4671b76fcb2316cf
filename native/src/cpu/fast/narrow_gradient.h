// The gradient of a narrow factor of a layer, such as B of lora or D of paca: out [N, r] += factor · dyᵀ s.
#pragma once

#include "core/context.h"
#include "cpu/fast/skinny.h"

namespace graft::cpu::fast {

/** s [rows, r] as outer_sum wants it next to matrices of `dtype`, from the scratch. */
Narrow narrow(core::Context& context, core::Scratch& scratch, const graft_tensor& s, graft_dtype dtype);

/** Columns of dy in one task. */
inline constexpr std::int64_t kNarrowColumns = kPanelColumns;

/** out [columns of dy, r] += factor · dyᵀ s; sums: r · kNarrowColumns floats of the worker. */
void add_narrow(const Matrix& dy, const Narrow& s, float factor, float* sums, const Matrix& out);

/** Made on the calling thread; its tasks, each some columns of dy, run inside a parallel_for in any order. */
class NarrowGradient {
 public:
  NarrowGradient() = default;  // no tasks
  NarrowGradient(core::Context& context, core::Scratch& scratch, const Matrix& dy, const graft_tensor& s, double factor,
                 const graft_tensor& out);
  std::int64_t tasks() const;
  void run(std::int64_t task, int worker) const;

 private:
  Matrix dy_{}, out_{};
  Narrow s_;
  float factor_ = 0;
  float* parts_ = nullptr;
};

}  // namespace graft::cpu::fast
