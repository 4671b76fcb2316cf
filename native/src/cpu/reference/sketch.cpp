// sketch in plain loops, by blocks of 64 columns; the gradient of each entry of a table sums its columns of dyᵀ x.
#include "ops/sketch.h"

#include <algorithm>

#include "core/context.h"
#include "cpu/reference/weight_view.h"

namespace graft::cpu::reference {
namespace {

using core::kSketchBlock;

// Calls body(bytes, first, count) for each block of row n of w: its codes, and its columns of the row.
template <class Body>
void for_blocks(const core::SketchLayout& layout, std::int64_t n, Body&& body) {
  for (std::int64_t group = 0; group < layout.groups; ++group)
    for (std::int64_t b = 0; b < layout.blocks; ++b) {
      const std::int64_t first = b * kSketchBlock;
      body(layout.block(n, group, b), group * layout.columns + first, std::min(kSketchBlock, layout.columns - first));
    }
}

}  // namespace

void run(core::Context& context, const ops::SketchPack& a) {
  const core::SketchLayout layout(*a.w);
  const auto* from = static_cast<const std::uint8_t*>(a.codes->data);
  core::parallel_for(context, a.w->n, [&](std::int64_t n, int) {
    for_blocks(layout, n, [&](std::uint8_t* bytes, std::int64_t first, std::int64_t count) {
      const std::int64_t at = n * a.w->k + first;
      std::uint8_t codes[kSketchBlock] = {};
      if (a.codes->rank == 2) {
        std::copy_n(from + at, count, codes);
      } else {
        for (std::int64_t i = 0; i < count; i += 2) {
          codes[i] = static_cast<std::uint8_t>(from[(at + i) / 2] >> 4);
          codes[i + 1] = from[(at + i) / 2] & 15;
        }
      }
      core::pack_block(codes, layout.bits, bytes);
    });
  });
}

void run(core::Context& context, const ops::SketchUnpack& a) {
  const core::SketchLayout layout(*a.w);
  auto* to = static_cast<std::uint8_t*>(a.codes->data);
  core::parallel_for(context, a.w->n, [&](std::int64_t n, int) {
    for_blocks(layout, n, [&](const std::uint8_t* bytes, std::int64_t first, std::int64_t count) {
      const std::int64_t at = n * a.w->k + first;
      std::uint8_t codes[kSketchBlock];
      core::unpack_block(bytes, layout.bits, codes);
      if (a.codes->rank == 2) {
        std::copy_n(codes, count, to + at);
      } else {
        for (std::int64_t i = 0; i < count; i += 2)
          to[(at + i) / 2] = static_cast<std::uint8_t>(codes[i] << 4 | codes[i + 1]);
      }
    });
  });
}

void run(core::Context& context, const ops::SketchDecode& a) {
  visit_compute(a.matrix->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> matrix(*a.matrix);
    const WeightView<C> w(*a.w, a.matrix->dtype);
    core::parallel_for(context, a.w->n, [&](std::int64_t n, int) {
      for (std::int64_t k = 0; k < a.w->k; ++k) matrix.set(w(n, k), n, k);
    });
  });
}

void run(core::Context& context, const ops::SketchTableGradient& a) {
  const core::SketchLayout layout(*a.w);
  visit_compute(a.dy->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> dy(*a.dy), x(*a.x), dtable(*a.dtable);
    core::parallel_for(context, a.w->n, [&](std::int64_t n, int) {
      for (std::int64_t group = 0; group < layout.groups; ++group) {
        C sums[core::kSketchEntries] = {};
        for (std::int64_t j = 0; j < layout.columns; ++j) {
          C dw = 0;
          for (std::int64_t t = 0; t < dy.size(0); ++t) dw += dy(t, n) * x(t, group * layout.columns + j);
          const std::uint8_t* block = layout.block(n, group, j / kSketchBlock);
          sums[core::code_of(block, layout.bits, j % kSketchBlock)] += dw;
        }
        for (int entry = 0; entry < layout.entries; ++entry) dtable.add(sums[entry], n, group, entry);
      }
    });
  });
}

}  // namespace graft::cpu::reference
