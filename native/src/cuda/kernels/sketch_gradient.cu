// sketch_gradient: dtable[i, g, c] += Σ (dyᵀ x)[i, j] over the columns j of group g with code c. The library makes
// panels of dyᵀ x in fp32, of 2 Mi elements, which the kernel reads while they lie in the L2: the dense gradient never
// exists.
//
// A warp has one row's group, a lane every 32nd eight of its columns and, in shared memory, a sum of its own for each
// entry: [entry][lane], so that no two lanes meet in a bank and nothing is added atomically. Then lane (c, h) adds the
// sixteen lanes of its half for entry c, from lane c on, again in 32 banks, and the halves meet in a shuffle. Whatever
// the schedule, the order is the same. FLOPs: 2·T·N·K of the products. Bytes beside theirs: 4 written and 4 read
// through the L2, bits/8 of the codes; shared memory is read and written once for each element.
#include <algorithm>

#include "core/tensor_check.h"
#include "cuda/gemm/gemm.h"
#include "cuda/kernels/linear.h"
#include "cuda/kernels/piece.h"
#include "cuda/kernels/sketch_codes.h"
#include "ops/sketch.h"

namespace graft::cuda {
namespace {

constexpr int kSumWarps = 4, kSumThreads = 32 * kSumWarps, kEntries = core::kSketchEntries;

/** The rows of w from `row` on, whose part of dyᵀ x is dw [rows, K]; packs: groups begin at multiples of 32 bytes. */
__global__ void __launch_bounds__(kSumThreads)
    sketch_sums(SketchCodes w, const float* dw, bool packs, std::int64_t row, std::int64_t rows, float* dtable) {
  GRAFT_SHARED(float, all, kSumWarps* kEntries * 32);
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  float* const sums = all + warp * kEntries * 32;
  const std::int64_t at = std::int64_t{blockIdx.x} * kSumWarps + warp, i = at / w.groups, group = at % w.groups;
  if (i >= rows) return;
  for (int c = 0; c < kEntries; ++c) sums[c * 32 + lane] = 0;
  const float* const from = dw + i * w.k + group * w.columns;
  const std::int64_t eighths = ceil_div<std::int64_t>(w.columns, 8);
  for (std::int64_t e = lane; e < eighths; e += 32) {
    const std::uint64_t codes = w.eight(row + i, group, e);
    const float* const eight = from + e * 8;
    if (packs) {
      const Pack<float> first = load_pack(eight), second = load_pack(eight + 4);
      GRAFT_UNROLL
      for (int c = 0; c < 8; ++c) sums[byte_of(codes, c) * 32 + lane] += c < 4 ? first.at[c] : second.at[c - 4];
    } else {
      const std::int64_t left = w.columns - e * 8;
      for (int c = 0; c < 8; ++c)
        if (GRAFT_BUG(sketch_gradient_guard) ? c <= left : c < left) sums[byte_of(codes, c) * 32 + lane] += eight[c];
    }
  }
  if (!GRAFT_BUG(sketch_gradient_no_barrier)) __syncwarp();
  const int c = lane % 16, half = lane / 16 * 16;
  float sum = 0;
  for (int k = 0; k < 16; ++k) sum += sums[c * 32 + half + (k + c) % 16];
  sum += __shfl_xor_sync(kWholeWarp, sum, 16);
  if (lane < w.entries) dtable[w.table_of(row + i, group) + c] += sum;
}

}  // namespace

std::string refuse(const ops::SketchTableGradient& a) {
  const std::string refusal = refuse_gemm(a.dy->dtype, GRAFT_DTYPE_F32);
  return refusal.empty() ? refuse_sketch(*a.w) : refusal;
}

void run(core::Context& context, const ops::SketchTableGradient& a) {
  const std::int64_t n = a.w->n, k = a.w->k;
  if (a.dy->shape[0] == 0 || n == 0 || k == 0) return;
  const SketchCodes w = sketch_codes(*a.w);
  const std::int64_t size = panel_size(n, k, kGradientElements);
  core::Scratch scratch(context.arena);
  auto* const dw = scratch.take<float>(size * k);
  for (std::int64_t row = 0; row < n; row += size) {
    const std::int64_t rows = std::min(size, n - row);
    const graft_tensor dy = part(*a.dy, 0, row, a.dy->shape[0], rows);
    run(context, Gemm{factor(dy).t(), factor(*a.x), a.dy->dtype, dw, k, GRAFT_DTYPE_F32});
    launch({"sketch_sums", static_cast<unsigned>(ceil_div<std::int64_t>(rows * w.groups, kSumWarps)), kSumThreads, 0,
            stream(context)},
           sketch_sums, w, dw, w.columns % 8 == 0, row, rows, data<float>(a.dtable));
  }
}

}  // namespace graft::cuda
