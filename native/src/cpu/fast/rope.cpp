// rope with SIMD. For each (b, t) the sines and cosines are computed once and turn all heads; interleaved pairs are
// turned in place as y = x·[c c] + swap(x)·[−s s].
// Angles are reduced to −π..π in double, then sine and cosine in float: 4 ulp at any position.
// Bytes: 2·B·T·H·D·sizeof(x). FLOPs: 3·B·T·H·R, and about 40·B·T·R for the angles.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/fast/rope.cpp"
#include <hwy/foreach_target.h>
// why: foreach_target includes this file again for each instruction set; it must come before what follows.
#include <hwy/contrib/math/math-inl.h>

#include <algorithm>
#include <numbers>

#include "core/context.h"
#include "cpu/fast/simd-inl.h"
#include "cpu/fast/visit.h"
#include "ops/rope.h"

HWY_BEFORE_NAMESPACE();
namespace graft::cpu::fast::HWY_NAMESPACE {

/** magnitude · cosine[i], sine[i] of position · inv_freq[i]. The three arrays are padded to whole vectors of double. */
void rope_angles(const double* inv_freq, double position, float magnitude, std::int64_t half, float* cosine,
                 float* sine) {
  const hn::ScalableTag<double> dd;
  const hn::Rebind<float, decltype(dd)> df;
  const auto turn = hn::Set(dd, 2 * std::numbers::pi), per_turn = hn::Set(dd, 0.5 / std::numbers::pi);
  const auto at_position = hn::Set(dd, position);
  const auto scale = hn::Set(df, magnitude);
  for (std::int64_t i = 0; i < half; i += static_cast<std::int64_t>(hn::Lanes(dd))) {
    const auto angle = hn::Mul(hn::LoadU(dd, inv_freq + i), at_position);
    const auto reduced = hn::NegMulAdd(hn::Round(hn::Mul(angle, per_turn)), turn, angle);
    const auto radians = hn::DemoteTo(df, reduced);
    hn::StoreU(hn::Mul(scale, hn::Cos(df, radians)), df, cosine + i);
    hn::StoreU(hn::Mul(scale, hn::Sin(df, radians)), df, sine + i);
  }
}

template <class T>
HWY_INLINE void rope_half(const T* x, const float* cosine, const float* sine, std::int64_t half, T* y) {
  const F d;
  for_lanes(d, half, [&](std::int64_t i, std::int64_t n) {
    const VF p = at(d, x + i, n), q = at(d, x + half + i, n), c = at(d, cosine + i, n), s = at(d, sine + i, n);
    put(d, hn::NegMulAdd(q, s, hn::Mul(p, c)), y + i, n);
    put(d, hn::MulAdd(p, s, hn::Mul(q, c)), y + half + i, n);
  });
}

template <class T>
HWY_INLINE void rope_interleaved(const T* x, const float* cosine, const float* sine, std::int64_t width, T* y) {
  const F d;
#if HWY_TARGET == HWY_SCALAR
  // why: vectors of one lane have no neighbour to swap with.
  for (std::int64_t i = 0; i < width; i += 2) {
    const float p = hn::GetLane(load(d, x + i)), q = hn::GetLane(load(d, x + i + 1));
    store(d, hn::Set(d, p * cosine[i] + q * sine[i]), y + i);
    store(d, hn::Set(d, q * cosine[i + 1] + p * sine[i + 1]), y + i + 1);
  }
#else
  for_lanes(d, width, [&](std::int64_t i, std::int64_t n) {
    const VF v = at(d, x + i, n);
    put(d, hn::MulAdd(hn::Shuffle2301(v), at(d, sine + i, n), hn::Mul(v, at(d, cosine + i, n))), y + i, n);
  });
#endif
}

/** [c₀ c₁ …] → [c₀ c₀ c₁ c₁ …] and [s₀ s₁ …] → [−s₀ s₀ −s₁ s₁ …], in place from the back. */
void rope_spread(std::int64_t half, float* cosine, float* sine) {
  for (std::int64_t i = half - 1; i >= 0; --i) {
    const float c = cosine[i], s = sine[i];
    cosine[2 * i] = cosine[2 * i + 1] = c;
    sine[2 * i] = -s;
    sine[2 * i + 1] = s;
  }
}

void rope_rotate(core::Context& context, const graft_tensor& x, const graft_tensor& positions,
                 const graft_tensor& frequencies, bool interleaved, double direction, double magnitude,
                 const graft_tensor& y) {
  const std::int64_t length = x.shape[1], heads = x.shape[2], width = x.shape[3], half = frequencies.shape[0];
  const std::int64_t rows = x.shape[0] * length;
  const std::int64_t padded = 2 * half + HWY_MAX_BYTES / static_cast<std::int64_t>(sizeof(double));
  core::Scratch scratch(context.arena);
  double* inv_freq = scratch.take<double>(padded);
  std::fill(inv_freq, inv_freq + padded, 0.0);
  for (std::int64_t i = 0; i < half; ++i)
    inv_freq[i] = frequencies.dtype == GRAFT_DTYPE_F64 ? static_cast<const double*>(frequencies.data)[i]
                                                       : static_cast<const float*>(frequencies.data)[i];
  float* tables = scratch.take<float>(2 * padded * context.pool.threads());
  visit_small_float(x.dtype, [&](auto tag) {
    using T = decltype(tag);
    core::parallel_for(context, chunks_of(rows), [&](std::int64_t chunk, int worker) {
      float* cosine = tables + 2 * padded * worker;
      float* sine = cosine + padded;
      const std::int64_t last = std::min(rows, (chunk + 1) * kRowsPerChunk);
      for (std::int64_t row = chunk * kRowsPerChunk; row < last; ++row) {
        const std::int64_t b = row / length, t = row % length;
        const double position =
            static_cast<const std::int32_t*>(positions.data)[b * positions.stride[0] + t * positions.stride[1]];
        rope_angles(inv_freq, direction * position, static_cast<float>(magnitude), half, cosine, sine);
        if (interleaved) rope_spread(half, cosine, sine);
        const T* from = static_cast<const T*>(x.data) + b * x.stride[0] + t * x.stride[1];
        T* to = static_cast<T*>(y.data) + b * y.stride[0] + t * y.stride[1];
        for (std::int64_t h = 0; h < heads; ++h, from += x.stride[2], to += y.stride[2]) {
          if (interleaved) {
            rope_interleaved(from, cosine, sine, 2 * half, to);
          } else {
            rope_half(from, cosine, sine, half, to);
          }
          if (from != to) std::copy(from + 2 * half, from + width, to + 2 * half);
        }
      }
    });
  });
}

void rope_forward(core::Context& context, const ops::RopeForward& a) {
  rope_rotate(context, *a.x, *a.positions, *a.inv_freq, a.interleaved, 1, a.magnitude, *a.y);
}

void rope_backward(core::Context& context, const ops::RopeBackward& a) {
  rope_rotate(context, *a.dy, *a.positions, *a.inv_freq, a.interleaved, -1, a.magnitude, *a.dx);
}

}  // namespace graft::cpu::fast::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace graft::cpu::fast {
HWY_EXPORT(rope_forward);
HWY_EXPORT(rope_backward);

std::string refuse(const ops::RopeForward& a) { return refuse_f64(*a.x); }
std::string refuse(const ops::RopeBackward& a) { return refuse_f64(*a.dy); }
void run(core::Context& context, const ops::RopeForward& a) { HWY_DYNAMIC_DISPATCH(rope_forward)(context, a); }
void run(core::Context& context, const ops::RopeBackward& a) { HWY_DYNAMIC_DISPATCH(rope_backward)(context, a); }
}  // namespace graft::cpu::fast
#endif
