// adamw_8bit: the step of adamw where m and v are codes of the dynamic map, 256 elements to a scale. A block has one
// such run and a thread one element of it: decoded, moved, and coded again by the largest moment of the run, which the
// block finds by maxima in shuffles and shared memory; NaN stays. A code is the number of the map's bounds that lie
// below, found by halving in shared memory. Bytes for each element: 16 (g, p twice, and 4 of codes) and p_out's size;
// 16 for each run.
#include <algorithm>

#include "core/dynamic_map.h"
#include "core/tensor_check.h"
#include "cuda/device.h"
#include "cuda/kernels/adamw_factors.h"
#include "cuda/kernels/clip.h"
#include "cuda/kernels/stochastic.h"
#include "cuda/kernels/tensor.h"
#include "graft/ops/adamw.h"
#include "ops/adamw.h"

namespace graft::cuda {
namespace {

constexpr int kThreads = GRAFT_ADAMW_BLOCK, kMapSize = 256;

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

GRAFT_DEVICE std::uint8_t code_of(const float* bounds, float x) {
  int code = 0;
  for (int step = kMapSize / 2; step > 0; step /= 2)
    if (bounds[code + step - 1] < x) code += step;
  return static_cast<std::uint8_t>(code);
}

GRAFT_DEVICE float larger(float a, float b) { return a != a || a > b ? a : b; }

/** The largest value >= 0 of a block, or NaN where there is one, in all its threads. */
GRAFT_DEVICE float block_largest(float value) {
  GRAFT_SHARED(float, of_warp, kThreads / 32);
  for (int bits = 16; bits > 0; bits /= 2) value = larger(value, __shfl_xor_sync(kWholeWarp, value, bits));
  if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = value;
  __syncthreads();
  for (int warp = 0; warp < kThreads / 32; ++warp) value = larger(value, of_warp[warp]);
  if (!GRAFT_BUG(adamw_8bit_reuses_at_once)) __syncthreads();  // the next one overwrites of_warp
  return value;
}

struct Moments {
  std::uint8_t* codes;
  float* scales;
  GRAFT_DEVICE float decode(const float* values, std::int64_t i) const { return values[codes[i]] * scales[blockIdx.x]; }
  /** All threads of a block call; `inside`: this one has an element. */
  GRAFT_DEVICE void encode(const float* bounds, std::int64_t i, bool inside, float moment) const {
    const float scale = block_largest(inside ? fabsf(moment) : 0.0f);
    if (threadIdx.x == 0) scales[blockIdx.x] = scale;
    if (inside) codes[i] = code_of(bounds, moment / (scale > 0 ? scale : 1.0f));
  }
};

template <class Out>
__global__ void __launch_bounds__(kThreads)
    adamw_step_8bit(const float* g, Moved<Out> p, Moments m, Moments v, std::int64_t count, StepFactors factors,
                    Clip clip, Maps maps, std::uint64_t seed) {
  GRAFT_SHARED(float, m_values, kMapSize);
  GRAFT_SHARED(float, m_bounds, kMapSize);
  GRAFT_SHARED(float, v_values, kMapSize);
  GRAFT_SHARED(float, v_bounds, kMapSize);
  maps.m.stage(m_values, m_bounds);
  maps.v.stage(v_values, v_bounds);
  __syncthreads();
  const ops::AdamWFactors<float> f = factors.get();
  const std::int64_t i = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  const bool inside = GRAFT_BUG(adamw_8bit_guard) ? i <= count : i < count;
  float mean = 0, square = 0;
  if (inside) {
    const float gradient = clip.factor() * g[i];
    mean = f.beta1 * m.decode(m_values, i) + f.rest1 * gradient;
    square = f.beta2 * v.decode(v_values, i) + f.rest2 * gradient * gradient;
    const Moved<Out> at{p.master == nullptr ? nullptr : p.master + i, p.copy == nullptr ? nullptr : p.copy + i};
    at.set(f.keep * at.value() - f.rate * mean / (f.root * sqrtf(square) + f.eps), seed, i);
  }
  m.encode(m_bounds, i, inside, mean);
  v.encode(v_bounds, i, inside, square);
}

Map map_of(const core::DynamicMap& from) {
  Map map{};
  std::copy(from.values.begin(), from.values.end(), map.values);
  std::copy(from.bounds.begin(), from.bounds.end(), map.bounds);
  return map;
}

}  // namespace

std::string refuse(const ops::AdamWStep8Bit& a) {
  return a.p_out != nullptr && a.p_out->dtype == GRAFT_DTYPE_F64 ? refuse_f64(*a.p_out) : refuse_f64(*a.p);
}

void run(core::Context& context, const ops::AdamWStep8Bit& a) {
  const std::int64_t count = core::elements(*a.p);
  core::Scratch scratch(context.arena);
  const StepFactors factors = step_factors(context, scratch, a);
  const Maps maps{map_of(core::signed_dynamic_map()), map_of(core::unsigned_dynamic_map())};
  const graft_tensor *master = a.rounds_at_random() ? nullptr : a.p, *copy = a.rounds_at_random() ? a.p : a.p_out;
  visit(copy == nullptr ? GRAFT_DTYPE_F32 : copy->dtype, [&](auto type) {
    using Out = decltype(type);
    launch({"adamw_step_8bit", static_cast<unsigned>(ceil_div<std::int64_t>(count, kThreads)), kThreads, 0,
            stream(context)},
           adamw_step_8bit<Out>, data<const float>(a.g), Moved<Out>{data<float>(master), data<Out>(copy)},
           Moments{data<std::uint8_t>(a.m), data<float>(a.m_scale)},
           Moments{data<std::uint8_t>(a.v), data<float>(a.v_scale)}, count, factors, clip_of(a), maps, a.seed);
  });
}

}  // namespace graft::cuda
