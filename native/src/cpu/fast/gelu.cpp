// gelu with SIMD, as x · sigmoid(z) with z = √(8/π) (x + 0.044715 x³): one pass, each element read before its place is
// written. By erf element by element, as the reference does, on all threads. Bytes forward: 2·T·F·sizeof(x); backward
// 3·T·F·sizeof(x). FLOPs: one exponential and one division per element, which take longer than the bytes.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/fast/gelu.cpp"
#include <hwy/foreach_target.h>
// why: foreach_target includes this file again for each instruction set; it must come before what follows.
#include <cmath>
#include <numbers>

#include "core/context.h"
#include "cpu/fast/elements.h"
#include "cpu/fast/sigmoid-inl.h"
#include "cpu/fast/visit.h"
#include "ops/gelu.h"

HWY_BEFORE_NAMESPACE();
namespace graft::cpu::fast::HWY_NAMESPACE {

constexpr float kGeluScale = 1.5957691216057308f;  // √(8/π)
constexpr float kGeluCubic = 0.044715f;

/** why clamped: beyond, sigmoid(z) is 0 or 1, and the powers of x would be infinite times zero. */
HWY_INLINE VF near_zero(F d, VF x) { return hn::Min(hn::Max(x, hn::Set(d, -20.0f)), hn::Set(d, 20.0f)); }

/** sigmoid(z) of x that is near zero. */
HWY_INLINE Sigmoid gelu_sigmoid(F d, VF x) {
  const VF inner = hn::MulAdd(hn::Mul(x, x), hn::Set(d, kGeluCubic), hn::Set(d, 1.0f));
  return sigmoid(d, hn::Mul(hn::Mul(x, hn::Set(d, kGeluScale)), inner));
}

/** y = x Φ(x), Φ(x) = erfc(−x/√2)/2. why: −∞ · 0 would be NaN. */
inline float erf_gelu(float x) { return x < -40 ? 0 : x * (std::erfc(-x / std::numbers::sqrt2_v<float>) / 2); }

/** Φ(x) + x φ(x), φ(x) = e^(−x²/2)/√(2π). */
inline float erf_slope(float x) {
  const float n = std::isnan(x) ? x : std::clamp(x, -40.0f, 40.0f);
  return std::erfc(-n / std::numbers::sqrt2_v<float>) / 2 + n * std::exp(-n * n / 2) * 0.398942280401432678f;
}

void gelu_forward(core::Context& context, const ops::GeluForward& a) {
  const Elements<2> elements({a.x, a.y});
  visit_small_float(a.x->dtype, [&](auto tag) {
    using T = decltype(tag);
    core::parallel_for(context, elements.chunks(), [&](std::int64_t chunk, int) {
      elements.visit(chunk, [&](const auto& offset, std::int64_t, std::int64_t count) {
        const T* x = static_cast<const T*>(a.x->data) + offset[0];
        T* y = static_cast<T*>(a.y->data) + offset[1];
        if (a.kind == GRAFT_GELU_ERF) {
          for (std::int64_t i = 0; i < count; ++i) y[i] = T(erf_gelu(static_cast<float>(x[i])));
          return;
        }
        const F d;
        for_lanes(d, count, [&](std::int64_t i, std::int64_t n) {
          const VF v = at(d, x + i, n);
          put(d, hn::Mul(v, gelu_sigmoid(d, near_zero(d, v)).s), y + i, n);
        });
      });
    });
  });
}

void gelu_backward(core::Context& context, const ops::GeluBackward& a) {
  const Elements<3> elements({a.dy, a.x, a.dx});
  visit_small_float(a.x->dtype, [&](auto tag) {
    using T = decltype(tag);
    core::parallel_for(context, elements.chunks(), [&](std::int64_t chunk, int) {
      elements.visit(chunk, [&](const auto& offset, std::int64_t, std::int64_t count) {
        const T* dy = static_cast<const T*>(a.dy->data) + offset[0];
        const T* x = static_cast<const T*>(a.x->data) + offset[1];
        T* dx = static_cast<T*>(a.dx->data) + offset[2];
        if (a.kind == GRAFT_GELU_ERF) {
          for (std::int64_t i = 0; i < count; ++i)
            dx[i] = T(static_cast<float>(dy[i]) * erf_slope(static_cast<float>(x[i])));
          return;
        }
        const F d;
        for_lanes(d, count, [&](std::int64_t i, std::int64_t n) {
          const VF v = at(d, x + i, n), near = near_zero(d, v);
          const auto [s, rest] = gelu_sigmoid(d, near);
          const VF slope =
              hn::MulAdd(hn::Mul(near, near), hn::Set(d, 3 * kGeluCubic * kGeluScale), hn::Set(d, kGeluScale));
          // why this order: x · s is small wherever x is far below 0.
          put(d, hn::Mul(at(d, dy + i, n), hn::MulAdd(hn::Mul(hn::Mul(v, s), rest), slope, s)), dx + i, n);
        });
      });
    });
  });
}

}  // namespace graft::cpu::fast::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace graft::cpu::fast {
HWY_EXPORT(gelu_forward);
HWY_EXPORT(gelu_backward);

std::string refuse(const ops::GeluForward& a) { return refuse_f64(*a.x); }
std::string refuse(const ops::GeluBackward& a) { return refuse_f64(*a.x); }
void run(core::Context& context, const ops::GeluForward& a) { HWY_DYNAMIC_DISPATCH(gelu_forward)(context, a); }
void run(core::Context& context, const ops::GeluBackward& a) { HWY_DYNAMIC_DISPATCH(gelu_backward)(context, a); }
}  // namespace graft::cpu::fast
#endif
