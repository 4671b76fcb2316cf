// product: y = x·op(W) + low·op(up) + bias (+ y), the LoRA forward [x|S]·[W|sB]ᵀ without a border, and its dx.
//
// The second pair's steps follow the first one's in the same sums (main_loop.h). A block has a tile of 128 rows and 128
// columns of y; blocks that run together share columns of W. One thread loads: boxes of 128 x 64 that reach outside of
// a matrix are filled with zeros, so that no tail needs care but y's. Thread l of a warpgroup that multiplies has two
// rows and, of each eight columns, two. Bytes: x for each 128 columns and W for each 128 rows of y, from the L2; y
// once. FLOPs: 2·T·N·(K + r), in tiles.
#include <cstdlib>
#include <cstring>

#include "core/capability.h"
#include "core/tensor_check.h"
#include "cuda/sm90/boxes.h"
#include "cuda/sm90/product.h"

namespace graft::cuda::sm90 {
namespace {

template <Major major>
__global__ void __launch_bounds__(kThreads, 1)
    product_dense(const GRAFT_GRID_CONSTANT TensorMap x, const GRAFT_GRID_CONSTANT TensorMap w,
                  const GRAFT_GRID_CONSTANT TensorMap low, const GRAFT_GRID_CONSTANT TensorMap up, int steps,
                  int low_steps, Result y) {
  GRAFT_SHARED(Barrier, full, kStages);
  GRAFT_SHARED(Barrier, empty, kStages);
  GRAFT_DYNAMIC_SHARED(unsigned char, memory);
  unsigned char* const stages = stages_in(memory);
  const int group = static_cast<int>(threadIdx.x) / kGroup;
  const std::int64_t row = std::int64_t{blockIdx.x} * kTile, column = std::int64_t{blockIdx.y} * kTile;
  if (threadIdx.x == 0) init_ring(full, empty, 1);
  __syncthreads();

  if (group == 0) {
    give_registers<kLoaderRegisters>();
    if (threadIdx.x == 0) {
      for (int step = 0; step < steps + low_steps; ++step) {
        unsigned char* const stage = stages + step % kStages * kStageBytes;
        Barrier* const there = full + step % kStages;
        wait_empty(empty, step);
        barrier_arrive_expect(there, GRAFT_BUG(sm90_wrong_expect) ? kTileBytes : kStageBytes);
        const bool first = step < steps;
        const std::int64_t at = std::int64_t{first ? step : step - steps} * kSteps;
        load_tile<Major::kAlongK>(stage, first ? x : low, row, at, there);
        load_tile<major>(stage + kTileBytes, first ? w : up, column, at, there);
      }
    }
  } else {
    take_registers<kMultiplierRegisters>();
    float sums[kSums] = {};
    multiply<Major::kAlongK, major>(sums, stages, full, empty, group - 1, 0, steps + low_steps);
    y.store(sums, row + (group - 1) * kHalf, column);
  }
}

}  // namespace

std::string refuse_here() {
  const char* const on = std::getenv("GRAFT_SM90");
  if (on == nullptr || std::strcmp(on, "1") != 0) return "switched off: GRAFT_SM90=1 switches it on";
  const int capability = core::current_capability();
  if (capability == 90) return {};
  return "made for compute capability 9.0, the device has " + std::to_string(capability / 10) + "." +
         std::to_string(capability % 10);
}

std::string refuse_factors(const graft_tensor& x, const graft_weight& w, const graft_tensor& y) {
  if (x.dtype != GRAFT_DTYPE_BF16) return "factors that are not bf16";
  if (y.dtype != GRAFT_DTYPE_BF16 && y.dtype != GRAFT_DTYPE_F32) return "a result of another type";
  if (x.shape[0] == 0 || w.n == 0 || w.k == 0) return "nothing to multiply";
  if (!in_boxes(x)) return "rows of x that do not begin at multiples of 16 bytes";
  if (w.kind != GRAFT_WEIGHT_DENSE) return refuse_codes(w);
  if (!in_boxes(core::dense_matrix(w))) return "rows of w that do not begin at multiples of 16 bytes";
  return {};
}

void run(core::Context& context, const Product& p) {
  if (p.w->kind != GRAFT_WEIGHT_DENSE) return run_coded(context, p);
  const int right = p.across ? kHalf : kTile;
  const TensorMap x = map_of(p.x, kTile), w = map_of(core::dense_matrix(*p.w), right);
  const TensorMap low = p.low == nullptr ? x : map_of(*p.low, kTile), up = p.up == nullptr ? w : map_of(*p.up, right);
  const Launch where{"product_dense", tiles_of(p.y), kThreads, kSharedBytes, stream(context)};
  const int low_steps = p.low == nullptr ? 0 : steps_over(p.low->shape[1]);
  const auto with = [&](auto kernel) {
    launch(where, kernel, x, w, low, up, steps_over(p.x.shape[1]), low_steps, result_of(p.y, p.accumulate, p.bias));
  };
  p.across ? with(product_dense<Major::kAcrossK>) : with(product_dense<Major::kAlongK>);
}

}  // namespace graft::cuda::sm90
