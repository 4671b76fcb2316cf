// rms_norm with SIMD. A row is read twice from cache; rows go to threads in chunks. dw is summed per chunk into scratch
// and then over the chunks in order, so its bits do not depend on the threads.
// Bytes forward: 2·T·H·sizeof(x) + 4·T. FLOPs: 4·T·H forward, 9·T·H backward.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/fast/rms_norm.cpp"
#include <hwy/foreach_target.h>
// why: foreach_target includes this file again for each instruction set; it must come before what follows.
#include <cmath>

#include "core/context.h"
#include "cpu/fast/simd-inl.h"
#include "cpu/fast/visit.h"
#include "ops/rms_norm.h"

HWY_BEFORE_NAMESPACE();
namespace graft::cpu::fast::HWY_NAMESPACE {

template <class T>
void forward_row(const T* x, const float* w, std::int64_t columns, float eps, T* y, float* rstd) {
  const F d;
  VF squares = hn::Zero(d);
  for_lanes(d, columns, [&](std::int64_t j, std::int64_t n) {
    const VF v = at(d, x + j, n);
    squares = hn::MulAdd(v, v, squares);
  });
  const float r = 1.0f / std::sqrt(sum(d, squares) / static_cast<float>(columns) + eps);
  const VF scale = hn::Set(d, r);
  for_lanes(d, columns, [&](std::int64_t j, std::int64_t n) {
    put(d, hn::Mul(hn::Mul(at(d, x + j, n), scale), at(d, w + j, n)), y + j, n);
  });
  if (rstd != nullptr) *rstd = r;
}

template <class T>
void backward_row(const T* dy, const T* x, const float* w, float r, std::int64_t columns, bool accumulate, T* dx,
                  float* dw) {
  const F d;
  VF products = hn::Zero(d);
  for_lanes(d, columns, [&](std::int64_t j, std::int64_t n) {
    const VF g = at(d, dy + j, n), v = at(d, x + j, n);
    const VF gv = hn::Mul(g, v);
    products = hn::MulAdd(gv, at(d, w + j, n), products);
    if (dw != nullptr) put(d, hn::MulAdd(gv, hn::Set(d, r), at(d, dw + j, n)), dw + j, n);
  });
  if (dx == nullptr) return;
  const VF scale = hn::Set(d, r);
  const VF pull = hn::Set(d, r * r * sum(d, products) / static_cast<float>(columns));
  for_lanes(d, columns, [&](std::int64_t j, std::int64_t n) {
    const VF g = hn::Mul(at(d, dy + j, n), at(d, w + j, n));
    VF gradient = hn::Mul(scale, hn::NegMulAdd(at(d, x + j, n), pull, g));
    if (accumulate) gradient = hn::Add(gradient, at(d, dx + j, n));
    put(d, gradient, dx + j, n);
  });
}

void widen(const graft_tensor& from, float* to) {
  const F d;
  visit_small_float(from.dtype, [&](auto tag) {
    using T = decltype(tag);
    const T* p = static_cast<const T*>(from.data);
    for_lanes(d, from.shape[0], [&](std::int64_t j, std::int64_t n) { put(d, at(d, p + j, n), to + j, n); });
  });
}

void forward(core::Context& context, const ops::RmsNormForward& a) {
  const std::int64_t rows = a.x->shape[0], columns = a.x->shape[1];
  core::Scratch scratch(context.arena);
  float* w = scratch.take<float>(columns);
  widen(*a.w, w);
  visit_small_float(a.x->dtype, [&](auto tag) {
    using T = decltype(tag);
    core::parallel_for(context, chunks_of(rows), [&](std::int64_t chunk, int) {
      const std::int64_t last = std::min(rows, (chunk + 1) * kRowsPerChunk);
      for (std::int64_t t = chunk * kRowsPerChunk; t < last; ++t)
        forward_row(row<T>(*a.x, t), w, columns, static_cast<float>(a.eps), row<T>(*a.y, t),
                    a.rstd == nullptr ? nullptr : static_cast<float*>(a.rstd->data) + t * a.rstd->stride[0]);
    });
  });
}

void backward(core::Context& context, const ops::RmsNormBackward& a) {
  const std::int64_t rows = a.x->shape[0], columns = a.x->shape[1], chunks = chunks_of(rows);
  core::Scratch scratch(context.arena);
  float* w = scratch.take<float>(columns);
  widen(*a.w, w);
  float* partial = a.dw == nullptr ? nullptr : scratch.take<float>(chunks * columns);
  visit_small_float(a.x->dtype, [&](auto tag) {
    using T = decltype(tag);
    core::parallel_for(context, chunks, [&](std::int64_t chunk, int) {
      float* dw = partial == nullptr ? nullptr : partial + chunk * columns;
      if (dw != nullptr) std::fill(dw, dw + columns, 0.0f);
      const std::int64_t last = std::min(rows, (chunk + 1) * kRowsPerChunk);
      for (std::int64_t t = chunk * kRowsPerChunk; t < last; ++t)
        backward_row(row<T>(*a.dy, t), row<T>(*a.x, t), w,
                     static_cast<const float*>(a.rstd->data)[t * a.rstd->stride[0]], columns, a.accumulate,
                     a.dx == nullptr ? nullptr : row<T>(*a.dx, t), dw);
    });
  });
  if (a.dw == nullptr) return;
  float* dw = static_cast<float*>(a.dw->data);
  const F d;
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk)
    for_lanes(d, columns, [&](std::int64_t j, std::int64_t n) {
      put(d, hn::Add(at(d, dw + j, n), at(d, partial + chunk * columns + j, n)), dw + j, n);
    });
}

}  // namespace graft::cpu::fast::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace graft::cpu::fast {
HWY_EXPORT(forward);
HWY_EXPORT(backward);

std::string refuse(const ops::RmsNormForward& a) { return refuse_f64(*a.x); }
std::string refuse(const ops::RmsNormBackward& a) { return refuse_f64(*a.x); }
void run(core::Context& context, const ops::RmsNormForward& a) { HWY_DYNAMIC_DISPATCH(forward)(context, a); }
void run(core::Context& context, const ops::RmsNormBackward& a) { HWY_DYNAMIC_DISPATCH(backward)(context, a); }
}  // namespace graft::cpu::fast
#endif
