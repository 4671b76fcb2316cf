// nf4 in plain loops: absmax of 64 elements, the code of each by counting midpoints; level[code]·absmax back.
#include "ops/nf4.h"

#include <cmath>

#include "core/context.h"
#include "cpu/reference/weight_view.h"

namespace graft::cpu::reference {

void run(core::Context& context, const ops::Nf4Quantize& a) {
  const std::int64_t columns = a.w->k, count = a.w->n * columns, blocks = core::ceil_div(count, core::kNf4Block);
  const View<float> matrix(*a.matrix);
  const auto value = [&](std::int64_t i) { return matrix(i / columns, i % columns); };
  const bool nested = a.w->absmax.dtype == GRAFT_DTYPE_U8;
  core::Scratch scratch(context.arena);
  float* scales = nested ? scratch.take<float>(blocks) : static_cast<float*>(a.w->absmax.data);
  auto* codes = static_cast<std::uint8_t*>(a.w->storage.data);
  for (std::int64_t block = 0; block < blocks; ++block) {
    const std::int64_t first = block * core::kNf4Block, last = std::min(count, first + core::kNf4Block);
    float largest = 0;
    for (std::int64_t i = first; i < last; ++i) largest = std::max(largest, std::fabs(value(i)));
    scales[block] = largest;
    const auto code = [&](std::int64_t i) {
      if (i >= last || largest == 0) return core::kNf4Zero;
      int below = 0;
      for (const float bound : core::kNf4Bounds) below += value(i) * (1 / largest) > bound;
      return below;
    };
    for (std::int64_t i = first; i < last; i += 2) codes[i / 2] = static_cast<std::uint8_t>(code(i) << 4 | code(i + 1));
  }
  if (!nested) return;
  core::nest_mean(scales, blocks, *a.w);
  for (std::int64_t i = 0; i < core::ceil_div(blocks, core::kNestedBlock); ++i)
    core::nest_block(scales, blocks, i, *a.w);
}

void run(core::Context&, const ops::Nf4Dequantize& a) {
  const core::Nf4Scales scales(*a.w);
  const View<float> matrix(*a.matrix);
  for (std::int64_t n = 0; n < a.w->n; ++n)
    for (std::int64_t k = 0; k < a.w->k; ++k) matrix.set(nf4_element(*a.w, scales, n * a.w->k + k), n, k);
}

}  // namespace graft::cpu::reference
