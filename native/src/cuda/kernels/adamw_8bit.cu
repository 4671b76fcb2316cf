// adamw_8bit: the step of adamw where m and v are codes of the dynamic map, 256 elements to a scale. A block has one
// such run of a table's parameter (adamw_table.h) and a thread one element of it: decoded, moved, and coded again by
// the largest moment of the run, which the block finds by maxima in shuffles and shared memory; NaN stays. A code is
// the number of the map's bounds that lie below, found by halving in shared memory. Bytes for each element: 16 (g, p
// twice, and 4 of codes) and p_out's size; 16 for each run.
#include <algorithm>

#include "core/dynamic_map.h"
#include "core/tensor_check.h"
#include "cuda/device.h"
#include "cuda/kernels/adamw_table.h"
#include "cuda/kernels/clip.h"
#include "cuda/kernels/dynamic_codes.h"
#include "cuda/kernels/tensor.h"
#include "ops/adamw.h"

namespace graft::cuda {
namespace {

constexpr int kMomentThreads = GRAFT_ADAMW_BLOCK, kMapSize = kDynamicMapSize;

/** A map on its way into shared memory. */
struct Map {
  float values[kMapSize], bounds[kMapSize - 1];
  GRAFT_DEVICE void stage(float* shared_values, float* shared_bounds) const {
    const int thread = static_cast<int>(threadIdx.x);
    shared_values[thread] = values[thread];
    if (thread < kMapSize - 1) shared_bounds[thread] = bounds[thread];
  }
};

struct Maps {
  Map m, v;
};

GRAFT_DEVICE float larger_or_nan(float a, float b) { return a != a || a > b ? a : b; }

/** The largest value >= 0 of a block, or NaN where there is one, in all its threads. */
GRAFT_DEVICE float block_largest(float value) {
  GRAFT_SHARED(float, of_warp, kMomentThreads / 32);
  for (int bits = 16; bits > 0; bits /= 2) value = larger_or_nan(value, __shfl_xor_sync(kWholeWarp, value, bits));
  if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = value;
  __syncthreads();
  for (int warp = 0; warp < kMomentThreads / 32; ++warp) value = larger_or_nan(value, of_warp[warp]);
  if (!GRAFT_BUG(adamw_8bit_reuses_at_once)) __syncthreads();  // the next one overwrites of_warp
  return value;
}

/** Codes of a parameter, a scale for each of its blocks. */
struct Codes {
  std::uint8_t* codes;
  float* scales;
  GRAFT_DEVICE float decode(const float* values, std::int64_t i, std::int64_t block) const {
    return values[codes[i]] * scales[block];
  }
  /** All threads of a block call; `inside`: this one has an element. */
  GRAFT_DEVICE void encode(const float* bounds, std::int64_t i, std::int64_t block, bool inside, float moment) const {
    const float scale = block_largest(inside ? fabsf(moment) : 0.0f);
    if (threadIdx.x == 0) scales[block] = scale;
    if (inside) codes[i] = dynamic_code(bounds, moment / (scale > 0 ? scale : 1.0f));
  }
};

struct CodedMoments {
  Codes m, v;
};

template <class Out, int Capacity>
__global__ void __launch_bounds__(kMomentThreads)
    adamw_step_8bit(GRAFT_CONSTANT(Table<Entry<CodedMoments, Out>, Capacity>) table, StepFactors factors, Clip clip,
                    GRAFT_CONSTANT(Maps) maps) {
  GRAFT_SHARED(float, m_values, kMapSize);
  GRAFT_SHARED(float, m_bounds, kMapSize);
  GRAFT_SHARED(float, v_values, kMapSize);
  GRAFT_SHARED(float, v_bounds, kMapSize);
  maps.m.stage(m_values, m_bounds);
  maps.v.stage(v_values, v_bounds);
  __syncthreads();
  const int at = table.find();
  const Entry<CodedMoments, Out>& of = table.entries[at];
  const std::int64_t i = of.element(), block = i / kMomentThreads;
  const bool inside = GRAFT_BUG(adamw_8bit_guard) ? i <= of.shape.count : i < of.shape.count;
  float mean = 0, square = 0;
  if (inside) {
    mean = of.moments.m.decode(m_values, i, block);
    square = of.moments.v.decode(v_values, i, block);
    of.move(factors.get(at, of.keep, of.rate), clip.factor(), i, mean, square);
  }
  of.moments.m.encode(m_bounds, i, block, inside, mean);
  of.moments.v.encode(v_bounds, i, block, inside, square);
}

Map map_of(const core::DynamicMap& from) {
  Map map{};
  std::copy(from.values.begin(), from.values.end(), map.values);
  std::copy(from.bounds.begin(), from.bounds.end(), map.bounds);
  return map;
}

template <class Out, int Capacity>
void move(core::Context& context, const ops::AdamWStep& a, const Table<Entry<CodedMoments, Out>, Capacity>& table,
          const Rates& rates) {
  static_assert(sizeof table + sizeof(StepFactors) + sizeof(Clip) + sizeof(Maps) <= kParameterBytes);
  core::Scratch scratch(context.arena);
  const StepFactors factors = step_factors(context, scratch, a, rates);
  const Maps maps{map_of(core::signed_dynamic_map()), map_of(core::unsigned_dynamic_map())};
  launch({"adamw_step_8bit", static_cast<unsigned>(table.blocks), kMomentThreads, 0, stream(context)},
         adamw_step_8bit<Out, Capacity>, table, factors, clip_of(a), maps);
}

CodedMoments coded_moments_of(const ops::AdamWStep8Bit& a) {
  return {{data<std::uint8_t>(a.m), data<float>(a.m_scale)}, {data<std::uint8_t>(a.v), data<float>(a.v_scale)}};
}

}  // namespace

std::string refuse(const ops::AdamWStep8Bit& a) {
  return a.p_out != nullptr ? refuse_f64(*a.p_out, *a.p) : refuse_f64(*a.p);
}

void run(core::Context& context, const ops::AdamWStep8Bit& a) {
  visit(copied_dtype(a, nullptr), [&](auto type) {
    using Out = decltype(type);
    Table<Entry<CodedMoments, Out>, 1> table{};
    Rates rates{};
    rates.add(a);
    table.add(entry_of<Out>(a, coded_moments_of(a), nullptr),
              ceil_div<std::int64_t>(core::elements(*a.p), kMomentThreads));
    move(context, a, table, rates);
  });
}

void run_8bit(core::Context& context, const ops::AdamWSteps& a) {
  for_tables<ops::AdamWStep8Bit, kMostParameters>(
      a, kMomentThreads, coded_moments_of,
      [&](const auto& table, const Rates& rates) { move(context, a.shared(), table, rates); });
}

}  // namespace graft::cuda
