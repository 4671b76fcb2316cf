// coded_product: a product whose W is NF4 or a sketch, for y and for dx, from the one layout in which the codes lie.
//
// A block makes its tile as product.cu does, with a fourth warpgroup that decodes. The loader has two threads: one
// brings boxes of x and, behind W's steps, of low and up; the other runs ahead with boxes of codes, 4 KiB at most, in a
// ring of their own. A decoding thread has one row's 64 columns in each step: eight lookups and eight stores of 16
// bytes, into a row of the right tile, which is a row of W both ways: along the sum a column of y, across it a step.
// Then the fence that lets wgmma see them, a barrier of the warpgroup, and one arrival. W never exists in memory.
//
// Bytes: codes, and scales or tables, for each 128 rows of y; x for each 128 columns, from the L2. A lookup, and for
// NF4 a multiplication, for each element of W and 128 rows of y.
#include "cuda/sm90/boxes.h"
#include "cuda/sm90/codes.h"
#include "cuda/sm90/product.h"

namespace graft::cuda::sm90 {
namespace {

constexpr int kCodedThreads = 4 * kGroup;  // why fewer registers: a fourth warpgroup decodes
constexpr int kCodedRegisters = 184, kDecoderRegisters = 96;
constexpr int kCodesBytes = 4096;  // of a step, at most
constexpr int kDecoders = 1;       // number of their barrier

/** The codes of a step: rows and bytes, and where they begin. */
template <Major major, class Source>
GRAFT_DEVICE void load_codes(unsigned char* to, const TensorMap& codes, const Source& source, std::int64_t column,
                             int step, Barrier* there) {
  const std::int64_t at = std::int64_t{step} * kSteps;
  if constexpr (major == Major::kAlongK) {
    load_box(to, codes, column, std::int64_t{step} * source.block_bytes(), there);
  } else {
    load_box(to, codes, at, column / kSteps * source.block_bytes(), there);
  }
}

template <Major major, class Source>
__global__ void __launch_bounds__(kCodedThreads, 1)
    coded_product(const GRAFT_GRID_CONSTANT TensorMap x, const GRAFT_GRID_CONSTANT TensorMap codes,
                  const GRAFT_GRID_CONSTANT TensorMap low, const GRAFT_GRID_CONSTANT TensorMap up, Source source,
                  int box_bytes, int steps, int low_steps, Result y) {
  constexpr bool along = major == Major::kAlongK;
  GRAFT_SHARED(Barrier, full, kStages);
  GRAFT_SHARED(Barrier, empty, kStages);
  GRAFT_SHARED(Barrier, codes_full, kStages);
  GRAFT_SHARED(Barrier, codes_empty, kStages);
  GRAFT_DYNAMIC_SHARED(unsigned char, memory);
  unsigned char* const stages = stages_in(memory);
  unsigned char* const ring = stages + kStages * kStageBytes;
  auto* const shared = reinterpret_cast<std::uint32_t*>(ring + kStages * kCodesBytes);
  const int group = static_cast<int>(threadIdx.x) / kGroup, thread = static_cast<int>(threadIdx.x) % kGroup;
  const std::int64_t row = std::int64_t{blockIdx.x} * kTile, column = std::int64_t{blockIdx.y} * kTile;
  if (threadIdx.x == 0) {
    for (int stage = 0; stage < kStages; ++stage)
      barrier_init(codes_full + stage, 1), barrier_init(codes_empty + stage, 1);
    init_ring(full, empty, 2);
  }
  source.stage(shared);
  __syncthreads();

  if (group == 0) {
    give_registers<kLoaderRegisters>();
    if (thread == 0) {
      for (int step = 0; step < steps + low_steps; ++step) {
        unsigned char* const stage = stages + step % kStages * kStageBytes;
        Barrier* const there = full + step % kStages;
        const bool coded = step < steps;
        const std::int64_t at = std::int64_t{coded ? step : step - steps} * kSteps;
        wait_empty(empty, step);
        barrier_arrive_expect(there, coded ? kTileBytes : kStageBytes);
        load_tile<Major::kAlongK>(stage, coded ? x : low, row, at, there);
        if (!coded) load_tile<major>(stage + kTileBytes, up, column, at, there);
      }
    } else if (thread == 32) {
      for (int step = 0; step < steps; ++step) {
        Barrier* const there = codes_full + step % kStages;
        if (!GRAFT_BUG(sm90_no_wait_for_codes)) barrier_wait(codes_empty + step % kStages, (step / kStages & 1) ^ 1);
        barrier_arrive_expect(there, static_cast<unsigned>((along ? kTile : kSteps) * box_bytes));
        load_codes<major>(ring + step % kStages * kCodesBytes, codes, source, column, step, there);
      }
    }
  } else if (group == 3) {
    give_registers<kDecoderRegisters>();
    // Along the sum thread i has row i of the tile's W; across it rows i/2, and of 128 columns the half i%2.
    const int tile_row = along ? thread : thread / 2, half = along ? 0 : thread % 2;
    const auto fetch = [&](int step, const typename Source::Fetched& before) {
      const std::int64_t w_row = along ? column + tile_row : std::int64_t{step} * kSteps + tile_row;
      return source.fetch(shared, w_row, along ? step : column / kSteps + half, before);
    };
    typename Source::Fetched before = Source::kNone, fetched = fetch(0, before);
    for (int step = 0; step < steps + low_steps; ++step) {
      unsigned char* const stage = stages + step % kStages * kStageBytes;
      if (step < steps) {
        const typename Source::Fetched next = fetch(step + 1 < steps ? step + 1 : step, fetched);
        source.put(shared, thread, fetched, before);
        if (!GRAFT_BUG(sm90_no_wait_for_decoded)) barrier_wait(codes_full + step % kStages, step / kStages & 1);
        wait_empty(empty, step);
        const unsigned char* const from =
            ring + step % kStages * kCodesBytes + tile_row * box_bytes + half * source.block_bytes();
        unsigned char* const to = stage + kTileBytes + half * kHalfBytes;
        GRAFT_UNROLL
        for (int e = 0; e < kSteps / 8; ++e) {
          const int place =
              GRAFT_BUG(sm90_no_swizzle_of_decoded) ? tile_row * kRowBytes + 16 * e : swizzled(tile_row, 16 * e);
          store_pack(reinterpret_cast<std::uint32_t*>(to + place), source.eight(shared, thread, fetched, from, e));
        }
        before = fetched, fetched = next;
        if (!GRAFT_BUG(sm90_no_fence_of_decoded)) fence_proxy_async();
      } else {
        wait_empty(empty, step);
      }
      if (!GRAFT_BUG(sm90_no_barrier_of_decoders)) sync_some(kDecoders, kGroup);
      if (thread == 0) {
        barrier_arrive(full + step % kStages);
        if (step < steps) barrier_arrive(codes_empty + step % kStages);
      }
    }
  } else {
    take_registers<kCodedRegisters>();
    float sums[kSums] = {};
    multiply<Major::kAlongK, major>(sums, stages, full, empty, group - 1, 0, steps + low_steps);
    y.store(sums, row + (group - 1) * kHalf, column);
  }
}

template <class Source>
void run_coded(core::Context& context, const Product& p, const Source& source, int block_bytes) {
  constexpr std::size_t shared =
      kSharedBytes + kStages * kCodesBytes + std::size_t{Source::kSharedWords} * sizeof(std::uint32_t);
  constexpr int sixteen = 16;
  const int right = p.across ? kHalf : kTile, blocks = p.across ? 2 : 1;
  // why rounded: a box has a multiple of 16 bytes; three bits are 24, and the next block's first bytes come with them.
  const int box_bytes = ceil_div(block_bytes * blocks, sixteen) * sixteen;
  const TensorMap codes =
      tensor_map({p.w->storage.data, p.w->n, source.row_bytes(), source.row_bytes(), 1, right, box_bytes, false});
  const TensorMap x = map_of(p.x, kTile);
  const TensorMap low = p.low == nullptr ? x : map_of(*p.low, kTile), up = p.up == nullptr ? x : map_of(*p.up, right);
  const Launch where{"coded_product", tiles_of(p.y), kCodedThreads, shared, stream(context)};
  const int low_steps = p.low == nullptr ? 0 : steps_over(p.low->shape[1]);
  const auto with = [&](auto kernel) {
    launch(where, kernel, x, codes, low, up, source, box_bytes, steps_over(p.x.shape[1]), low_steps,
           result_of(p.y, p.accumulate, p.bias));
  };
  p.across ? with(coded_product<Major::kAcrossK, Source>) : with(coded_product<Major::kAlongK, Source>);
}

}  // namespace

std::string refuse_codes(const graft_weight& w) {
  if (reinterpret_cast<std::uintptr_t>(w.storage.data) % 16 != 0) return "codes that do not begin at 16 bytes";
  if (w.kind == GRAFT_WEIGHT_NF4) return w.k % kSteps == 0 ? "" : "rows of codes that are no multiples of 64 columns";
  const SketchCodes codes = sketch_codes(w);
  if (codes.columns % kSteps != 0) return "groups of columns that are no multiples of 64";
  const bool sixteens = codes.groups * codes.blocks * codes.bits % 2 == 0;
  return sixteens ? refuse_sketch(w) : "rows of codes that are no multiples of 16 bytes";
}

void run_coded(core::Context& context, const Product& p) {
  if (p.w->kind == GRAFT_WEIGHT_NF4) return run_coded(context, p, Nf4Source{nf4_codes(*p.w)}, kSteps / 2);
  const SketchSource source{sketch_codes(*p.w)};
  run_coded(context, p, source, 8 * source.w.bits);
}

}  // namespace graft::cuda::sm90
