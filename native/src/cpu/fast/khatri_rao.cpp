// khatri_rao with SIMD. Of rows: a task is one row of u, or of v for dv, with all of the other matrix; vectors run
// along the common dimension. Of columns: a task is some of the common rows, and vectors run along v's. Bytes: y once,
// u and v from cache; FLOPs P·Q·C, backward twice that for each gradient.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/fast/khatri_rao.cpp"
#include <hwy/foreach_target.h>
// why: foreach_target includes this file again for each instruction set; it must come before what follows.
#include <algorithm>

#include "core/context.h"
#include "cpu/fast/simd-inl.h"
#include "cpu/fast/visit.h"
#include "ops/khatri_rao.h"

HWY_BEFORE_NAMESPACE();
namespace graft::cpu::fast::HWY_NAMESPACE {

/** to = or += factor · from. */
template <class T>
void scaled(float factor, const float* from, std::int64_t count, bool add, T* to) {
  const F d;
  const VF f = hn::Set(d, factor);
  for_lanes(d, count, [&](std::int64_t i, std::int64_t n) {
    const VF product = hn::Mul(f, at(d, from + i, n));
    put(d, add ? hn::Add(at(d, to + i, n), product) : product, to + i, n);
  });
}

/** to = or += a ⊙ b. */
template <class T>
void products(const float* a, const float* b, std::int64_t count, bool add, T* to) {
  const F d;
  for_lanes(d, count, [&](std::int64_t i, std::int64_t n) {
    const VF product = hn::Mul(at(d, a + i, n), at(d, b + i, n));
    put(d, add ? hn::Add(at(d, to + i, n), product) : product, to + i, n);
  });
}

float dot(const float* a, const float* b, std::int64_t count) {
  const F d;
  VF sums = hn::Zero(d);
  for_lanes(d, count,
            [&](std::int64_t i, std::int64_t n) { sums = hn::MulAdd(at(d, a + i, n), at(d, b + i, n), sums); });
  return sum(d, sums);
}

/** Calls body(c) for the common rows, in the threads' chunks. */
template <class Body>
void for_common(core::Context& context, std::int64_t rows, Body&& body) {
  core::parallel_for(context, chunks_of(rows), [&](std::int64_t chunk, int) {
    const std::int64_t last = std::min(rows, (chunk + 1) * kRowsPerChunk);
    for (std::int64_t c = chunk * kRowsPerChunk; c < last; ++c) body(c);
  });
}

void khatri_rao_forward(core::Context& context, const ops::KhatriRaoForward& a) {
  const std::int64_t p = a.p(), q = a.q();
  visit_small_float(a.y->dtype, [&](auto tag) {
    using T = decltype(tag);
    if (a.columns) {
      for_common(context, a.common(), [&](std::int64_t c) {
        for (std::int64_t i = 0; i < p; ++i)
          scaled(row<const float>(*a.u, c)[i], row<const float>(*a.v, c), q, false, row<T>(*a.y, c) + i * q);
      });
    } else {
      core::parallel_for(context, p, [&](std::int64_t i, int) {
        for (std::int64_t j = 0; j < q; ++j)
          products(row<const float>(*a.u, i), row<const float>(*a.v, j), a.common(), false, row<T>(*a.y, i * q + j));
      });
    }
  });
}

void khatri_rao_backward(core::Context& context, const ops::KhatriRaoBackward& a) {
  const std::int64_t p = a.p(), q = a.q();
  if (a.columns) {
    for_common(context, a.common(), [&](std::int64_t c) {
      for (std::int64_t i = 0; i < p; ++i) {
        const float* dy = row<const float>(*a.dy, c) + i * q;
        if (a.du != nullptr) row<float>(*a.du, c)[i] += dot(dy, row<const float>(*a.v, c), q);
        if (a.dv != nullptr) scaled(row<const float>(*a.u, c)[i], dy, q, true, row<float>(*a.dv, c));
      }
    });
    return;
  }
  const std::int64_t first = a.du == nullptr ? 0 : p, second = a.dv == nullptr ? 0 : q;
  core::parallel_for(context, first + second, [&](std::int64_t task, int) {
    if (task < first) {
      for (std::int64_t j = 0; j < q; ++j)
        products(row<const float>(*a.dy, task * q + j), row<const float>(*a.v, j), a.common(), true,
                 row<float>(*a.du, task));
    } else {
      const std::int64_t j = task - first;
      for (std::int64_t i = 0; i < p; ++i)
        products(row<const float>(*a.dy, i * q + j), row<const float>(*a.u, i), a.common(), true, row<float>(*a.dv, j));
    }
  });
}

}  // namespace graft::cpu::fast::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace graft::cpu::fast {
HWY_EXPORT(khatri_rao_forward);
HWY_EXPORT(khatri_rao_backward);

std::string refuse(const ops::KhatriRaoForward& a) {
  if (a.u->dtype != GRAFT_DTYPE_F32) return "u is not f32";
  return refuse_f64(*a.y);
}
std::string refuse(const ops::KhatriRaoBackward& a) { return a.u->dtype == GRAFT_DTYPE_F32 ? "" : "u is not f32"; }
void run(core::Context& context, const ops::KhatriRaoForward& a) {
  HWY_DYNAMIC_DISPATCH(khatri_rao_forward)(context, a);
}
void run(core::Context& context, const ops::KhatriRaoBackward& a) {
  HWY_DYNAMIC_DISPATCH(khatri_rao_backward)(context, a);
}
}  // namespace graft::cpu::fast
#endif
