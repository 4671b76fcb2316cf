// Elements of a weight of any kind for the plain loops, as a product with activations of `dtype` sees them.
#pragma once

#include "core/nf4.h"
#include "core/sketch.h"
#include "core/tensor_check.h"
#include "cpu/reference/element.h"

namespace graft::cpu::reference {

/** level[code] · absmax, rounded to fp32. */
inline float nf4_element(const graft_weight& w, const core::Nf4Scales& scales, std::int64_t index) {
  const int pair = static_cast<const std::uint8_t*>(w.storage.data)[index / 2];
  const int code = index % 2 == 0 ? pair >> 4 : pair & 15;
  return core::kNf4Levels[static_cast<std::size_t>(code)] * scales[index / core::kNf4Block];
}

/** table[i, j / (K/G), code[i, j]]. */
template <class C>
C sketch_element(const graft_weight& w, std::int64_t n, std::int64_t k) {
  const core::SketchLayout layout(w);
  const std::int64_t group = k / layout.columns, column = k % layout.columns;
  const std::uint8_t* block = layout.block(n, group, column / core::kSketchBlock);
  return View<C>(w.table)(n, group, core::code_of(block, layout.bits, column % core::kSketchBlock));
}

template <class C>
class WeightView {
 public:
  WeightView(const graft_weight& w, graft_dtype dtype)
      : weight_(w),
        dtype_(dtype),
        dense_(w.kind == GRAFT_WEIGHT_DENSE ? core::dense_matrix(w) : graft_tensor{}),
        scales_(w) {}

  C operator()(std::int64_t n, std::int64_t k) const {
    if (weight_.kind == GRAFT_WEIGHT_DENSE) return dense_(n, k);
    const C decoded = weight_.kind == GRAFT_WEIGHT_NF4 ? nf4_element(weight_, scales_, n * weight_.k + k)
                                                       : sketch_element<C>(weight_, n, k);
    C rounded = 0;
    core::visit_float(dtype_, [&](auto tag) { rounded = static_cast<C>(decltype(tag)(decoded)); });
    return rounded;
  }

 private:
  const graft_weight& weight_;
  const graft_dtype dtype_;
  const View<C> dense_;
  const core::Nf4Scales scales_;
};

}  // namespace graft::cpu::reference
