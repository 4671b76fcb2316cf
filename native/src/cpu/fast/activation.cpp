// activation with SIMD: one pass, each element read before its place is written.
// Bytes forward: 2·T·F·sizeof(x); backward 3·T·F·sizeof(x), which take longer than the arithmetic.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/fast/activation.cpp"
#include <hwy/foreach_target.h>
// why: foreach_target includes this file again for each instruction set; it must come before what follows.
#include "core/context.h"
#include "cpu/fast/elements.h"
#include "cpu/fast/sigmoid-inl.h"
#include "cpu/fast/tanh-inl.h"
#include "cpu/fast/visit.h"
#include "ops/activation.h"

HWY_BEFORE_NAMESPACE();
namespace graft::cpu::fast::HWY_NAMESPACE {

HWY_INLINE VF value_of(F d, std::int32_t kind, VF v) {
  if (kind == GRAFT_ACTIVATION_TANH) return tanh_of(d, v);
  if (kind == GRAFT_ACTIVATION_SIGMOID) return sigmoid(d, v).s;
  return hn::IfThenZeroElse(hn::Lt(v, hn::Zero(d)), v);
}

// grad · f' from f's value v.
HWY_INLINE VF gradient_of(F d, std::int32_t kind, VF grad, VF v) {
  const VF one = hn::Set(d, 1.0f);
  if (kind == GRAFT_ACTIVATION_TANH) return hn::Mul(grad, hn::Mul(hn::Sub(one, v), hn::Add(one, v)));
  if (kind == GRAFT_ACTIVATION_SIGMOID) return hn::Mul(grad, hn::Mul(v, hn::Sub(one, v)));
  return hn::IfThenElseZero(hn::Gt(v, hn::Zero(d)), grad);
}

void activation_forward(core::Context& context, const ops::ActivationForward& a) {
  const Elements<2> elements({a.x, a.y});
  visit_small_float(a.x->dtype, [&](auto tag) {
    using T = decltype(tag);
    core::parallel_for(context, elements.chunks(), [&](std::int64_t chunk, int) {
      elements.visit(chunk, [&](const auto& offset, std::int64_t, std::int64_t count) {
        const T* x = static_cast<const T*>(a.x->data) + offset[0];
        T* y = static_cast<T*>(a.y->data) + offset[1];
        const F d;
        for_lanes(d, count,
                  [&](std::int64_t i, std::int64_t n) { put(d, value_of(d, a.kind, at(d, x + i, n)), y + i, n); });
      });
    });
  });
}

void activation_backward(core::Context& context, const ops::ActivationBackward& a) {
  const Elements<3> elements({a.dy, a.y, a.dx});
  visit_small_float(a.dy->dtype, [&](auto tag) {
    using T = decltype(tag);
    core::parallel_for(context, elements.chunks(), [&](std::int64_t chunk, int) {
      elements.visit(chunk, [&](const auto& offset, std::int64_t, std::int64_t count) {
        const T* dy = static_cast<const T*>(a.dy->data) + offset[0];
        const T* y = static_cast<const T*>(a.y->data) + offset[1];
        T* dx = static_cast<T*>(a.dx->data) + offset[2];
        const F d;
        for_lanes(d, count, [&](std::int64_t i, std::int64_t n) {
          put(d, gradient_of(d, a.kind, at(d, dy + i, n), at(d, y + i, n)), dx + i, n);
        });
      });
    });
  });
}

}  // namespace graft::cpu::fast::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace graft::cpu::fast {
HWY_EXPORT(activation_forward);
HWY_EXPORT(activation_backward);

std::string refuse(const ops::ActivationForward& a) { return refuse_f64(*a.x); }
std::string refuse(const ops::ActivationBackward& a) { return refuse_f64(*a.dy); }
void run(core::Context& context, const ops::ActivationForward& a) {
  HWY_DYNAMIC_DISPATCH(activation_forward)(context, a);
}
void run(core::Context& context, const ops::ActivationBackward& a) {
  HWY_DYNAMIC_DISPATCH(activation_backward)(context, a);
}
}  // namespace graft::cpu::fast
#endif
