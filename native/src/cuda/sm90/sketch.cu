// The gradient of a sketch's tables: dtable[i, g, c] += Σ (dyᵀ x)[i, j] over the columns j of group g with code c, of
// which the sums are made here out of the tensor cores' registers: no part of dyᵀ x is in memory.
//
// A block has 128 rows of W and one group, whose columns it takes 128 at a time: a main loop over the rows of dy and x,
// both across the sum, makes their tile. Then a thread, which has two rows and of each eight columns two, adds its sums
// by code to places of its own in shared memory, [entry][thread], so that no two threads of a warp meet in a bank.
// Behind the last columns the four threads of a row add theirs up in shuffles. Whatever the schedule, the order is the
// same.
//
// Bytes: dy for each 128 columns and x for each 128 rows, from the L2; the codes once, the tables twice. FLOPs:
// 2·T·N·K, and an addition in shared memory for each element of W. Fewer blocks than multiprocessors where N/128·G is
// small.
#include "core/tensor_check.h"
#include "cuda/kernels/sketch_codes.h"
#include "cuda/sm90/boxes.h"
#include "cuda/sm90/product.h"
#include "ops/sketch.h"

namespace graft::cuda::sm90 {
namespace {

constexpr int kEntries = core::kSketchEntries,
              kPlaces = 2 * kEntries * kGroup;  // of a warpgroup, for two rows a thread

/** Adds this thread's sums of 128 columns from `column` of the group on. */
GRAFT_DEVICE void add_by_code(const SketchCodes& w, std::int64_t group, std::int64_t row, std::int64_t column,
                              const float (&sums)[kSums], float* places) {
  const int thread = static_cast<int>(threadIdx.x) % kGroup, t = 2 * (thread % 4);
  const std::int64_t left = w.columns - column;
  GRAFT_UNROLL
  for (int half = 0; half < 2; ++half) {
    if (row + 8 * half >= w.n) continue;
    float* const mine = places + half * kEntries * kGroup + thread;
    GRAFT_UNROLL
    for (int e = 0; e < kTile / 8; ++e) {
      const int at = 8 * e + t;
      if (at >= left) continue;
      const std::uint64_t codes = w.eight(row + 8 * half, group, column / 8 + e);
      mine[byte_of(codes, t) * kGroup] += sums[4 * e + 2 * half];
      if (GRAFT_BUG(sm90_sketch_guard) || at + 1 < left)
        mine[byte_of(codes, t + 1) * kGroup] += sums[4 * e + 2 * half + 1];
    }
  }
}

__global__ void __launch_bounds__(kThreads, 1)
    sketch_bucket_sums(const GRAFT_GRID_CONSTANT TensorMap dy, const GRAFT_GRID_CONSTANT TensorMap x, SketchCodes w,
                       int steps, int tiles, float* dtable) {
  GRAFT_SHARED(Barrier, full, kStages);
  GRAFT_SHARED(Barrier, empty, kStages);
  GRAFT_DYNAMIC_SHARED(unsigned char, memory);
  unsigned char* const stages = stages_in(memory);
  const int warpgroup = static_cast<int>(threadIdx.x) / kGroup, thread = static_cast<int>(threadIdx.x) % kGroup;
  const std::int64_t first = std::int64_t{blockIdx.x} * kTile, group = blockIdx.y;
  if (threadIdx.x == 0) init_ring(full, empty, 1);
  __syncthreads();

  if (warpgroup == 0) {
    give_registers<kLoaderRegisters>();
    if (threadIdx.x == 0) {
      for (int i = 0; i < tiles * steps; ++i) {
        unsigned char* const stage = stages + i % kStages * kStageBytes;
        Barrier* const there = full + i % kStages;
        const std::int64_t step = std::int64_t{i % steps} * kSteps;
        wait_empty(empty, i);
        barrier_arrive_expect(there, kStageBytes);
        load_tile<Major::kAcrossK>(stage, dy, first, step, there);
        load_tile<Major::kAcrossK>(stage + kTileBytes, x, group * w.columns + std::int64_t{i / steps} * kTile, step,
                                   there);
      }
    }
  } else {
    take_registers<kMultiplierRegisters>();
    float* const places = reinterpret_cast<float*>(stages + kStages * kStageBytes) + (warpgroup - 1) * kPlaces;
    for (int i = 0; i < 2 * kEntries; ++i) places[i * kGroup + thread] = 0;
    const std::int64_t row = first + (warpgroup - 1) * kHalf + thread / 32 * 16 + thread % 32 / 4;
    for (int tile = 0; tile < tiles; ++tile) {
      float sums[kSums] = {};
      multiply<Major::kAcrossK, Major::kAcrossK>(sums, stages, full, empty, warpgroup - 1, tile * steps, steps);
      add_by_code(w, group, row, std::int64_t{tile} * kTile, sums, places);
    }
    for (int i = 0; i < 2 * kEntries; ++i) {
      const int entry = i % kEntries;
      const std::int64_t of = row + i / kEntries * 8;
      float sum = places[i * kGroup + thread];
      sum += __shfl_xor_sync(kWholeWarp, sum, 1);
      sum += __shfl_xor_sync(kWholeWarp, sum, 2);
      if (thread % 4 == entry % 4 && entry < w.entries && of < w.n) dtable[w.table_of(of, group) + entry] += sum;
    }
  }
}

}  // namespace

std::string refuse(const ops::SketchTableGradient& a) {
  const std::string refusal = refuse_here();
  if (!refusal.empty()) return refusal;
  if (a.dy->dtype != GRAFT_DTYPE_BF16) return "factors that are not bf16";
  if (a.dy->shape[0] == 0 || a.w->n == 0 || a.w->k == 0) return "nothing to multiply";
  if (!in_boxes(*a.dy)) return "rows of dy that do not begin at multiples of 16 bytes";
  if (!in_boxes(*a.x)) return "rows of x that do not begin at multiples of 16 bytes";
  return refuse_sketch(*a.w);
}

void run(core::Context& context, const ops::SketchTableGradient& a) {
  const SketchCodes w = sketch_codes(*a.w);
  const dim3 blocks(static_cast<unsigned>(ceil_div<std::int64_t>(w.n, kTile)), static_cast<unsigned>(w.groups));
  launch({"sketch_bucket_sums", blocks, kThreads, kSharedBytes + 2 * kPlaces * sizeof(float), stream(context)},
         sketch_bucket_sums, map_of(*a.dy, kSteps), map_of(*a.x, kSteps), w, steps_over(a.dy->shape[0]),
         static_cast<int>(ceil_div<std::int64_t>(w.columns, kTile)), data<float>(a.dtable));
}

}  // namespace graft::cuda::sm90
