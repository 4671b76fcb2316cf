// group_sum with SIMD, a row at a time, rows shared out to the threads. Bytes: x once, or dx once, or twice with
// accumulate.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/fast/group_sum.cpp"
#include <hwy/foreach_target.h>
// why: foreach_target includes this file again for each instruction set; it must come before what follows.
#include <algorithm>

#include "core/context.h"
#include "cpu/fast/simd-inl.h"
#include "cpu/fast/visit.h"
#include "ops/group_sum.h"

HWY_BEFORE_NAMESPACE();
namespace graft::cpu::fast::HWY_NAMESPACE {

/** Calls body(row, j, first column) for all groups of `width` columns of all rows, in the threads' chunks. */
template <class Body>
void for_groups(core::Context& context, std::int64_t rows, std::int64_t groups, std::int64_t width, Body&& body) {
  core::parallel_for(context, chunks_of(rows), [&](std::int64_t chunk, int) {
    const std::int64_t last = std::min(rows, (chunk + 1) * kRowsPerChunk);
    for (std::int64_t t = chunk * kRowsPerChunk; t < last; ++t)
      for (std::int64_t j = 0; j < groups; ++j) body(t, j, j * width);
  });
}

void group_sum_forward(core::Context& context, const ops::GroupSumForward& a) {
  const std::int64_t groups = a.y->shape[1], width = a.x->shape[1] / groups;
  const float scale = static_cast<float>(a.scale);
  visit_small_float(a.x->dtype, [&](auto tag) {
    using T = decltype(tag);
    for_groups(context, a.x->shape[0], groups, width, [&](std::int64_t t, std::int64_t j, std::int64_t first) {
      const F d;
      const T* x = row<const T>(*a.x, t) + first;
      VF sums = hn::Zero(d);
      for_lanes(d, width, [&](std::int64_t i, std::int64_t n) { sums = hn::Add(sums, at(d, x + i, n)); });
      row<T>(*a.y, t)[j] = T(scale * sum(d, sums));
    });
  });
}

void group_sum_backward(core::Context& context, const ops::GroupSumBackward& a) {
  const std::int64_t groups = a.dy->shape[1], width = a.dx->shape[1] / groups;
  const float scale = static_cast<float>(a.scale);
  visit_small_float(a.dx->dtype, [&](auto tag) {
    using T = decltype(tag);
    for_groups(context, a.dx->shape[0], groups, width, [&](std::int64_t t, std::int64_t j, std::int64_t first) {
      const F d;
      const VF value = hn::Set(d, scale * static_cast<float>(row<const T>(*a.dy, t)[j]));
      T* dx = row<T>(*a.dx, t) + first;
      for_lanes(d, width, [&](std::int64_t i, std::int64_t n) {
        put(d, a.accumulate ? hn::Add(at(d, dx + i, n), value) : value, dx + i, n);
      });
    });
  });
}

}  // namespace graft::cpu::fast::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace graft::cpu::fast {
HWY_EXPORT(group_sum_forward);
HWY_EXPORT(group_sum_backward);

std::string refuse(const ops::GroupSumForward& a) { return refuse_f64(*a.x); }
std::string refuse(const ops::GroupSumBackward& a) { return refuse_f64(*a.dx); }
void run(core::Context& context, const ops::GroupSumForward& a) { HWY_DYNAMIC_DISPATCH(group_sum_forward)(context, a); }
void run(core::Context& context, const ops::GroupSumBackward& a) {
  HWY_DYNAMIC_DISPATCH(group_sum_backward)(context, a);
}
}  // namespace graft::cpu::fast
#endif
