// row_scale with SIMD, a row at a time, rows shared out to the threads. Bytes: x and y once; backward dy and x once.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/fast/row_scale.cpp"
#include <hwy/foreach_target.h>
// why: foreach_target includes this file again for each instruction set; it must come before what follows.
#include <algorithm>

#include "core/context.h"
#include "cpu/fast/simd-inl.h"
#include "cpu/fast/skinny.h"
#include "cpu/fast/visit.h"
#include "ops/row_scale.h"

HWY_BEFORE_NAMESPACE();
namespace graft::cpu::fast::HWY_NAMESPACE {

/** Calls body(row) for all rows, in the threads' chunks. */
template <class Body>
void for_rows(core::Context& context, std::int64_t rows, Body&& body) {
  core::parallel_for(context, chunks_of(rows), [&](std::int64_t chunk, int) {
    const std::int64_t last = std::min(rows, (chunk + 1) * kRowsPerChunk);
    for (std::int64_t r = chunk * kRowsPerChunk; r < last; ++r) body(r);
  });
}

void row_scale_forward(core::Context& context, const ops::RowScaleForward& a) {
  core::Scratch scratch(context.arena);
  const float* s = bias_of(scratch, a.s);
  visit_small_float(a.x->dtype, [&](auto tag) {
    using T = decltype(tag);
    for_rows(context, a.x->shape[0], [&](std::int64_t r) {
      const F d;
      const VF scale = hn::Set(d, s[r]);
      const T* x = row<const T>(*a.x, r);
      T* y = row<T>(*a.y, r);
      for_lanes(d, a.x->shape[1],
                [&](std::int64_t i, std::int64_t n) { put(d, hn::Mul(scale, at(d, x + i, n)), y + i, n); });
    });
  });
}

void row_scale_backward(core::Context& context, const ops::RowScaleBackward& a) {
  core::Scratch scratch(context.arena);
  const float* s = bias_of(scratch, a.s);
  visit_small_float(a.x->dtype, [&](auto tag) {
    using T = decltype(tag);
    for_rows(context, a.x->shape[0], [&](std::int64_t r) {
      const F d;
      const VF scale = hn::Set(d, s[r]);
      const T* x = row<const T>(*a.x, r);
      const float* dy = row<const float>(*a.dy, r);
      float* dx = a.dx == nullptr ? nullptr : row<float>(*a.dx, r);
      VF sums = hn::Zero(d);
      for_lanes(d, a.x->shape[1], [&](std::int64_t i, std::int64_t n) {
        const VF g = at(d, dy + i, n);
        sums = hn::MulAdd(g, at(d, x + i, n), sums);
        if (dx != nullptr) put(d, hn::MulAdd(scale, g, at(d, dx + i, n)), dx + i, n);
      });
      if (a.ds != nullptr) static_cast<float*>(a.ds->data)[r] += sum(d, sums);
    });
  });
}

}  // namespace graft::cpu::fast::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace graft::cpu::fast {
HWY_EXPORT(row_scale_forward);
HWY_EXPORT(row_scale_backward);

std::string refuse(const ops::RowScaleForward& a) {
  return a.s->dtype == GRAFT_DTYPE_F64 ? refuse_f64(*a.s) : refuse_f64(*a.x);
}
std::string refuse(const ops::RowScaleBackward& a) {
  return a.s->dtype == GRAFT_DTYPE_F64 ? refuse_f64(*a.s) : refuse_f64(*a.x);
}
void run(core::Context& context, const ops::RowScaleForward& a) { HWY_DYNAMIC_DISPATCH(row_scale_forward)(context, a); }
void run(core::Context& context, const ops::RowScaleBackward& a) {
  HWY_DYNAMIC_DISPATCH(row_scale_backward)(context, a);
}
}  // namespace graft::cpu::fast
#endif
