// nf4_quantize: of 64 elements in order of rows, absmax and the code of each, x · (1 / absmax) among the midpoints of
// the levels. A warp has such a block, a lane two neighbours and their byte. Double quantised: the mean of all absmax
// is a sum in double in their order, as on the host, which a warp loads and its lanes all add up; then 256 threads have
// 256 scales, and code them by the largest distance from the mean. The bits are the host's. Bytes, for each element:
// its size and 0.5, and 4 (double quantised 13) for each 64.
#include "core/dynamic_map.h"
#include "core/nf4.h"
#include "cuda/device.h"
#include "cuda/kernels/dynamic_codes.h"
#include "cuda/kernels/tensor.h"
#include "ops/nf4.h"

namespace graft::cuda {
namespace {

constexpr int kWarp = 32, kBounds = 15;
static_assert(kThreads == core::kNestedBlock && core::kNf4Block == 2 * kWarp);

struct Bounds {
  float of[kBounds];
  /** As many as lie below x; none below NaN. */
  GRAFT_DEVICE int code(float x) const {
    int below = 0;
    GRAFT_UNROLL
    for (int i = 0; i < kBounds; ++i) below += x > of[i];
    return below;
  }
};

/** NaN counts for nothing, as on the host. */
GRAFT_DEVICE float larger(float a, float b) { return b > a ? b : a; }

GRAFT_DEVICE float warp_largest(float value) {
  for (int bits = GRAFT_BUG(nf4_quantize_half) ? kWarp / 4 : kWarp / 2; bits > 0; bits /= 2)
    value = larger(value, __shfl_xor_sync(kWholeWarp, value, bits));
  return value;
}

template <class T>
__global__ void __launch_bounds__(kThreads) nf4_encode(Rows<const T> matrix, std::int64_t columns, std::int64_t count,
                                                       Bounds bounds, std::uint8_t* codes, float* scales) {
  const std::int64_t block = (std::int64_t{blockIdx.x} * kThreads + threadIdx.x) / kWarp;
  if (block * core::kNf4Block >= count) return;  // whole warps
  const std::int64_t first = block * core::kNf4Block + threadIdx.x % kWarp * 2;
  float pair[2] = {};
  for (int e = 0; e < 2; ++e)
    if (first + e < count) pair[e] = to_float(matrix[(first + e) / columns][(first + e) % columns]);
  const float largest = warp_largest(larger(larger(0, fabsf(pair[0])), fabsf(pair[1])));
  if (threadIdx.x % kWarp == 0) scales[block] = largest;
  if (first >= count) return;
  const float inverse = 1 / largest;
  int code[2];
  for (int e = 0; e < 2; ++e)
    code[e] = largest == 0 || first + e >= count ? core::kNf4Zero : bounds.code(pair[e] * inverse);
  codes[first / 2] = static_cast<std::uint8_t>(code[0] << 4 | code[1]);
}

/** One warp. */
__global__ void __launch_bounds__(kWarp) nf4_mean(const float* scales, std::int64_t count, float* mean) {
  double sum = 0;
  for (std::int64_t first = 0; first < count; first += kWarp) {
    const std::int64_t left = count - first;
    const float own = threadIdx.x < left ? scales[first + threadIdx.x] : 0;
    const int lanes = static_cast<int>(left < kWarp ? left : kWarp);
    for (int lane = 0; lane < lanes; ++lane) sum += __shfl_sync(kWholeWarp, own, lane);
  }
  if (threadIdx.x == 0) *mean = count == 0 ? 0 : static_cast<float>(sum / static_cast<double>(count));
}

struct ScaleBounds {
  float of[kDynamicMapSize - 1];
};

__global__ void __launch_bounds__(kThreads)
    nf4_encode_scales(const float* scales, std::int64_t count, const float* mean, ScaleBounds bounds,
                      std::uint8_t* codes, float* largest_of) {
  GRAFT_SHARED(float, of_map, kDynamicMapSize - 1);
  GRAFT_SHARED(float, of_warp, kThreads / kWarp);
  if (threadIdx.x < kDynamicMapSize - 1) of_map[threadIdx.x] = bounds.of[threadIdx.x];
  const std::int64_t i = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  const float apart = i < count ? scales[i] - *mean : 0;
  float largest = warp_largest(larger(0, fabsf(apart)));
  if (threadIdx.x % kWarp == 0) of_warp[threadIdx.x / kWarp] = largest;
  if (!GRAFT_BUG(nf4_quantize_no_barrier)) __syncthreads();
  for (int warp = 0; warp < kThreads / kWarp; ++warp) largest = larger(largest, of_warp[warp]);
  if (threadIdx.x == 0) largest_of[blockIdx.x] = largest;
  if (i < count) codes[i] = dynamic_code(of_map, apart * (largest > 0 ? 1 / largest : 0));
}

void encode_scales(core::Context& context, const float* scales, std::int64_t count, const graft_weight& w) {
  float* const mean = data<float>(&w.nested_offset);
  launch({"nf4_mean", 1, kWarp, 0, stream(context)}, nf4_mean, scales, count, mean);
  if (count == 0) return;
  ScaleBounds bounds;
  for (std::size_t i = 0; i < kDynamicMapSize - 1; ++i) bounds.of[i] = core::signed_dynamic_map().bounds[i];
  const auto blocks = blocks_for(count);
  launch({"nf4_encode_scales", blocks, kThreads, 0, stream(context)}, nf4_encode_scales, scales, count, mean, bounds,
         data<std::uint8_t>(&w.absmax), data<float>(&w.nested_absmax));
}

}  // namespace

std::string refuse(const ops::Nf4Quantize& a) { return refuse_f64(*a.matrix); }

void run(core::Context& context, const ops::Nf4Quantize& a) {
  const std::int64_t count = a.w->n * a.w->k, blocks = core::ceil_div(count, core::kNf4Block);
  const bool nested = a.w->absmax.dtype == GRAFT_DTYPE_U8;
  core::Scratch scratch(context.arena);
  float* const scales = nested ? scratch.take<float>(blocks) : data<float>(&a.w->absmax);
  if (count > 0) {
    Bounds bounds;
    for (std::size_t i = 0; i < kBounds; ++i) bounds.of[i] = core::kNf4Bounds[i];
    const auto grid = blocks_for(blocks * kWarp);
    visit(a.matrix->dtype, [&](auto type) {
      using T = decltype(type);
      launch({"nf4_encode", grid, kThreads, 0, stream(context)}, nf4_encode<T>, rows<const T>(a.matrix), a.w->k, count,
             bounds, data<std::uint8_t>(&a.w->storage), scales);
    });
  }
  if (nested) encode_scales(context, scales, blocks, *a.w);
}

}  // namespace graft::cuda
