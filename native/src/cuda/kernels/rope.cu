// rope: a pair (p, q) at angle φ = position · inv_freq becomes m·(p·cos φ − q·sin φ, q·cos φ + p·sin φ); backward turns
// by −φ. A block has one token: its threads first make the token's cosines and sines, in double, since positions of 10⁵
// leave float no digits behind the point, and then turn all heads with them. Bytes: 2·size for each element; the angles
// cost R/2 double sincos for each token, whatever the number of heads.
#include "cuda/device.h"
#include "cuda/kernels/heads.h"
#include "cuda/kernels/tensor.h"
#include "ops/rope.h"

namespace graft::cuda {
namespace {

constexpr std::int64_t kMostPairs = 4096;  // 32 KiB of cosines and sines

struct Sizes {
  std::int64_t tokens, heads, width, half;  // T, H, D, R/2
};

template <class T, class Frequency>
__global__ void __launch_bounds__(kThreads)
    rope_rotate(Heads<const T> x, const std::int32_t* positions, std::int64_t position_stride0,
                std::int64_t position_stride1, const Frequency* inv_freq, Sizes n, bool interleaved, double direction,
                double magnitude, Heads<T> y) {
  GRAFT_DYNAMIC_SHARED(float, cosines);
  float* const sines = cosines + n.half;
  const std::int64_t b = blockIdx.x / n.tokens, t = blockIdx.x % n.tokens;
  const double position = positions[b * position_stride0 + t * position_stride1];
  for (std::int64_t i = threadIdx.x; i < n.half; i += kThreads) {
    double sine, cosine;
    sin_cos_pi(direction * position * static_cast<double>(inv_freq[i]) * 0.318309886183790671538, &sine, &cosine);
    cosines[i] = static_cast<float>(magnitude * cosine);
    sines[i] = static_cast<float>(magnitude * sine);
  }
  if (!GRAFT_BUG(rope_no_barrier)) __syncthreads();
  for (std::int64_t pair = threadIdx.x; pair < n.heads * n.half; pair += kThreads) {
    const std::int64_t h = pair / n.half, i = pair % n.half;
    const std::int64_t first = interleaved ? 2 * i : i, second = interleaved ? 2 * i + 1 : i + n.half;
    const T* const from = x.at(b, t, h);
    T* const to = y.at(b, t, h);
    const float p = to_float(from[first]), q = to_float(from[second]);
    to[first] = from_float<T>(p * cosines[i] - q * sines[i]);
    to[second] = from_float<T>(q * cosines[i] + p * sines[i]);
  }
  const std::int64_t rest = n.width - 2 * n.half;
  for (std::int64_t i = threadIdx.x; i < n.heads * rest; i += kThreads)
    y.at(b, t, i / rest)[2 * n.half + i % rest] = x.at(b, t, i / rest)[2 * n.half + i % rest];
}

/** How much of frequency number i is kept, the rest being divided by the factor: as the contract says for `scaling`. */
GRAFT_DEVICE double kept(double frequency, std::int64_t i, std::int64_t half, const ops::RopeFrequencies& a) {
  constexpr double turn = 6.283185307179586476925;
  if (a.scaling == GRAFT_ROPE_NONE) return 1;
  if (a.scaling == GRAFT_ROPE_LINEAR) return 0;
  if (a.scaling == GRAFT_ROPE_LLAMA3) {
    const double turns = a.original * frequency / turn;  // original / wavelength
    return fmin(fmax((turns - a.low) / (a.high - a.low), 0.0), 1.0);
  }
  const auto place = [&](double turns) {
    return static_cast<double>(half) * log(a.original / (turns * turn)) / log(a.theta);
  };
  const double first = fmax(floor(place(a.high)), 0.0);
  double last = fmin(ceil(place(a.low)), static_cast<double>(2 * half - 1));
  if (last == first) last += 0.001;
  return 1 - fmin(fmax((static_cast<double>(i) - first) / (last - first), 0.0), 1.0);
}

__global__ void __launch_bounds__(kThreads) rope_frequencies(ops::RopeFrequencies a, std::int64_t half, float* to) {
  const std::int64_t i = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= half) return;
  const double frequency = pow(a.theta, -static_cast<double>(i) / static_cast<double>(half));
  const double keep = GRAFT_BUG(rope_keeps_all) ? 1 : kept(frequency, i, half, a);
  const double factor = a.scaling == GRAFT_ROPE_NONE ? 1 : a.factor;
  to[i] = static_cast<float>((1 - keep) * frequency / factor + keep * frequency);
}

void rotate(core::Context& context, const graft_tensor& x, const graft_tensor& positions, const graft_tensor& inv_freq,
            bool interleaved, double direction, double magnitude, const graft_tensor& y) {
  const Sizes n{x.shape[1], x.shape[2], x.shape[3], inv_freq.shape[0]};
  const Launch where{"rope_rotate", static_cast<unsigned>(x.shape[0] * x.shape[1]), kThreads,
                     static_cast<std::size_t>(2 * n.half) * sizeof(float), stream(context)};
  visit(x.dtype, [&](auto type) {
    using T = decltype(type);
    const auto with = [&](auto frequency) {
      using F = decltype(frequency);
      launch(where, rope_rotate<T, F>, heads<const T>(x), static_cast<const std::int32_t*>(positions.data),
             positions.stride[0], positions.stride[1], static_cast<const F*>(inv_freq.data), n, interleaved, direction,
             magnitude, heads<T>(y));
    };
    inv_freq.dtype == GRAFT_DTYPE_F64 ? with(double{}) : with(float{});
  });
}

std::string refuse_pairs(const graft_tensor& x, const graft_tensor& inv_freq) {
  if (inv_freq.shape[0] > kMostPairs) return "more than 4096 pairs in a head";
  return refuse_f64(x);
}

}  // namespace

std::string refuse(const ops::RopeFrequencies&) { return {}; }

void run(core::Context& context, const ops::RopeFrequencies& a) {
  const std::int64_t half = a.inv_freq->shape[0];
  launch(over(context, "rope_frequencies", half), rope_frequencies, a, half, data<float>(a.inv_freq));
}

std::string refuse(const ops::RopeForward& a) { return refuse_pairs(*a.x, *a.inv_freq); }

void run(core::Context& context, const ops::RopeForward& a) {
  rotate(context, *a.x, *a.positions, *a.inv_freq, a.interleaved, 1, a.magnitude, *a.y);
}

std::string refuse(const ops::RopeBackward& a) { return refuse_pairs(*a.dy, *a.inv_freq); }

void run(core::Context& context, const ops::RopeBackward& a) {
  rotate(context, *a.dy, *a.positions, *a.inv_freq, a.interleaved, -1, a.magnitude, *a.dx);
}

}  // namespace graft::cuda
