// swiglu with SIMD: one pass over gate, up and y (dy, dgate, dup), each element read before its place is written.
// Bytes forward: 3·T·F·sizeof(gate); backward 5·T·F·sizeof(gate). FLOPs: one exponential and one division per element,
// which take longer than the bytes.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/fast/swiglu.cpp"
#include <hwy/foreach_target.h>
// why: foreach_target includes this file again for each instruction set; it must come before what follows.
#include "core/context.h"
#include "cpu/fast/elements.h"
#include "cpu/fast/sigmoid-inl.h"
#include "cpu/fast/visit.h"
#include "ops/swiglu.h"

HWY_BEFORE_NAMESPACE();
namespace graft::cpu::fast::HWY_NAMESPACE {

constexpr float kGluScale = 1.5957691216057308f;  // √(8/π)
constexpr float kGluCubic = 0.044715f;

/** f(g) = g · sigmoid(z): z, and what the gradient of f needs, z'. */
struct Gate {
  VF z, slope;
};

HWY_INLINE Gate gate_of(F d, std::int32_t kind, VF g) {
  if (kind == GRAFT_GLU_SILU) return {g, hn::Set(d, 1.0f)};
  // why clamped: beyond, the sigmoid is 0 or 1, and the powers of g would be infinite times zero.
  const VF n = hn::Min(hn::Max(g, hn::Set(d, -20.0f)), hn::Set(d, 20.0f)), squares = hn::Mul(n, n);
  const VF scaled = hn::Mul(n, hn::Set(d, kGluScale)), one = hn::Set(d, 1.0f);
  return {hn::Mul(scaled, hn::MulAdd(squares, hn::Set(d, kGluCubic), one)),
          hn::MulAdd(squares, hn::Set(d, 3 * kGluCubic * kGluScale), hn::Set(d, kGluScale))};
}

void swiglu_forward(core::Context& context, const ops::SwigluForward& a) {
  const Elements<3> elements({a.gate, a.up, a.y});
  visit_small_float(a.gate->dtype, [&](auto tag) {
    using T = decltype(tag);
    core::parallel_for(context, elements.chunks(), [&](std::int64_t chunk, int) {
      elements.visit(chunk, [&](const auto& offset, std::int64_t, std::int64_t count) {
        const T* gate = static_cast<const T*>(a.gate->data) + offset[0];
        const T* up = static_cast<const T*>(a.up->data) + offset[1];
        T* y = static_cast<T*>(a.y->data) + offset[2];
        const F d;
        for_lanes(d, count, [&](std::int64_t i, std::int64_t n) {
          const VF g = at(d, gate + i, n);
          put(d, hn::Mul(hn::Mul(g, sigmoid(d, gate_of(d, a.kind, g).z).s), at(d, up + i, n)), y + i, n);
        });
      });
    });
  });
}

template <class T>
void swiglu_backward_run(std::int32_t kind, const T* dy, const T* gate, const T* up, T* dgate, T* dup,
                         std::int64_t count) {
  const F d;
  for_lanes(d, count, [&](std::int64_t i, std::int64_t n) {
    const VF grad = at(d, dy + i, n), g = at(d, gate + i, n), u = at(d, up + i, n);
    const Gate f = gate_of(d, kind, g);
    const auto [s, rest] = sigmoid(d, f.z);
    // why this order: g · s is small wherever g is far below 0.
    const VF slope = hn::MulAdd(hn::Mul(hn::Mul(g, s), rest), f.slope, s);
    if (dgate != nullptr) put(d, hn::Mul(hn::Mul(grad, u), slope), dgate + i, n);
    if (dup != nullptr) put(d, hn::Mul(hn::Mul(grad, g), s), dup + i, n);
  });
}

void swiglu_backward(core::Context& context, const ops::SwigluBackward& a) {
  const graft_tensor* dgate = a.dgate == nullptr ? a.dy : a.dgate;
  const graft_tensor* dup = a.dup == nullptr ? a.dy : a.dup;
  const Elements<5> elements({a.dy, a.gate, a.up, dgate, dup});
  visit_small_float(a.gate->dtype, [&](auto tag) {
    using T = decltype(tag);
    core::parallel_for(context, elements.chunks(), [&](std::int64_t chunk, int) {
      elements.visit(chunk, [&](const auto& offset, std::int64_t, std::int64_t count) {
        swiglu_backward_run(a.kind, static_cast<const T*>(a.dy->data) + offset[0],
                            static_cast<const T*>(a.gate->data) + offset[1],
                            static_cast<const T*>(a.up->data) + offset[2],
                            a.dgate == nullptr ? nullptr : static_cast<T*>(a.dgate->data) + offset[3],
                            a.dup == nullptr ? nullptr : static_cast<T*>(a.dup->data) + offset[4], count);
      });
    });
  });
}

}  // namespace graft::cpu::fast::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace graft::cpu::fast {
HWY_EXPORT(swiglu_forward);
HWY_EXPORT(swiglu_backward);

std::string refuse(const ops::SwigluForward& a) { return refuse_f64(*a.gate); }
std::string refuse(const ops::SwigluBackward& a) { return refuse_f64(*a.gate); }
void run(core::Context& context, const ops::SwigluForward& a) { HWY_DYNAMIC_DISPATCH(swiglu_forward)(context, a); }
void run(core::Context& context, const ops::SwigluBackward& a) { HWY_DYNAMIC_DISPATCH(swiglu_backward)(context, a); }
}  // namespace graft::cpu::fast
#endif
