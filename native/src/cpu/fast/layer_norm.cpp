// layer_norm with SIMD. A row is read three times from cache; rows go to threads in chunks. dw and db are summed per
// chunk into scratch and then over the chunks in order, so their bits do not depend on the threads. Bytes forward:
// 2·T·H·sizeof(x) + 8·T. FLOPs: 7·T·H forward, 15·T·H backward.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/fast/layer_norm.cpp"
#include <hwy/foreach_target.h>
// why: foreach_target includes this file again for each instruction set; it must come before what follows.
#include <cmath>

#include "core/context.h"
#include "cpu/fast/simd-inl.h"
#include "cpu/fast/visit.h"
#include "ops/layer_norm.h"

HWY_BEFORE_NAMESPACE();
namespace graft::cpu::fast::HWY_NAMESPACE {

/** x − mean in the first n lanes, 0 in the others: what is loaded there is 0 and would count as −mean. */
HWY_INLINE VF centred(F d, VF x, VF mean, std::int64_t n) {
  return hn::IfThenElseZero(hn::FirstN(d, static_cast<std::size_t>(n)), hn::Sub(x, mean));
}

template <class T>
void forward_row(const T* x, const float* w, const float* b, std::int64_t columns, float eps, T* y, float* stats,
                 std::int64_t stride) {
  const F d;
  VF total = hn::Zero(d);
  for_lanes(d, columns, [&](std::int64_t j, std::int64_t n) { total = hn::Add(at(d, x + j, n), total); });
  const float m = sum(d, total) / static_cast<float>(columns);
  const VF mean = hn::Set(d, m);
  VF squares = hn::Zero(d);
  for_lanes(d, columns, [&](std::int64_t j, std::int64_t n) {
    const VF v = centred(d, at(d, x + j, n), mean, n);
    squares = hn::MulAdd(v, v, squares);
  });
  const float r = 1.0f / std::sqrt(sum(d, squares) / static_cast<float>(columns) + eps);
  const VF scale = hn::Set(d, r);
  for_lanes(d, columns, [&](std::int64_t j, std::int64_t n) {
    const VF normed = hn::Mul(hn::Sub(at(d, x + j, n), mean), scale);
    put(d, hn::MulAdd(normed, at(d, w + j, n), at(d, b + j, n)), y + j, n);
  });
  if (stats == nullptr) return;
  stats[0] = m;
  stats[stride] = r;
}

/** dwb: the sums of dw and, columns behind them, of db; may be null. */
template <class T>
void backward_row(const T* dy, const T* x, const float* w, float m, float r, std::int64_t columns, bool accumulate,
                  T* dx, float* dwb) {
  const F d;
  const VF mean = hn::Set(d, m), scale = hn::Set(d, r);
  VF total = hn::Zero(d), products = hn::Zero(d);
  for_lanes(d, columns, [&](std::int64_t j, std::int64_t n) {
    const VF up = at(d, dy + j, n), normed = hn::Mul(hn::Sub(at(d, x + j, n), mean), scale);
    const VF g = hn::Mul(up, at(d, w + j, n));
    total = hn::Add(g, total);
    products = hn::MulAdd(g, normed, products);
    if (dwb == nullptr) return;
    put(d, hn::MulAdd(up, normed, at(d, dwb + j, n)), dwb + j, n);
    put(d, hn::Add(up, at(d, dwb + columns + j, n)), dwb + columns + j, n);
  });
  if (dx == nullptr) return;
  const VF level = hn::Set(d, sum(d, total) / static_cast<float>(columns));
  const VF pull = hn::Set(d, sum(d, products) / static_cast<float>(columns));
  for_lanes(d, columns, [&](std::int64_t j, std::int64_t n) {
    const VF g = hn::Mul(at(d, dy + j, n), at(d, w + j, n));
    const VF normed = hn::Mul(hn::Sub(at(d, x + j, n), mean), scale);
    VF gradient = hn::Mul(scale, hn::NegMulAdd(normed, pull, hn::Sub(g, level)));
    if (accumulate) gradient = hn::Add(gradient, at(d, dx + j, n));
    put(d, gradient, dx + j, n);
  });
}

void copy_wide(const graft_tensor& from, float* to) {
  const F d;
  visit_small_float(from.dtype, [&](auto tag) {
    using T = decltype(tag);
    const T* p = static_cast<const T*>(from.data);
    for_lanes(d, from.shape[0], [&](std::int64_t j, std::int64_t n) { put(d, at(d, p + j, n), to + j, n); });
  });
}

void forward(core::Context& context, const ops::LayerNormForward& a) {
  const std::int64_t rows = a.x->shape[0], columns = a.x->shape[1];
  core::Scratch scratch(context.arena);
  float* w = scratch.take<float>(columns);
  float* b = scratch.take<float>(columns);
  copy_wide(*a.w, w);
  a.b == nullptr ? std::fill(b, b + columns, 0.0f) : copy_wide(*a.b, b);
  visit_small_float(a.x->dtype, [&](auto tag) {
    using T = decltype(tag);
    core::parallel_for(context, chunks_of(rows), [&](std::int64_t chunk, int) {
      const std::int64_t last = std::min(rows, (chunk + 1) * kRowsPerChunk);
      for (std::int64_t t = chunk * kRowsPerChunk; t < last; ++t)
        forward_row(row<T>(*a.x, t), w, b, columns, static_cast<float>(a.eps), row<T>(*a.y, t),
                    a.stats == nullptr ? nullptr : static_cast<float*>(a.stats->data) + t * a.stats->stride[0],
                    a.stats == nullptr ? 0 : a.stats->stride[1]);
    });
  });
}

void add_chunks(const float* partial, std::int64_t chunks, std::int64_t pitch, graft_tensor* to) {
  if (to == nullptr) return;
  const F d;
  float* p = static_cast<float*>(to->data);
  for (std::int64_t chunk = 0; chunk < chunks; ++chunk)
    for_lanes(d, to->shape[0], [&](std::int64_t j, std::int64_t n) {
      put(d, hn::Add(at(d, p + j, n), at(d, partial + chunk * pitch + j, n)), p + j, n);
    });
}

void backward(core::Context& context, const ops::LayerNormBackward& a) {
  const std::int64_t rows = a.x->shape[0], columns = a.x->shape[1], chunks = chunks_of(rows);
  core::Scratch scratch(context.arena);
  float* w = scratch.take<float>(columns);
  copy_wide(*a.w, w);
  const bool sums = a.dw != nullptr || a.db != nullptr;
  float* partial = sums ? scratch.take<float>(chunks * 2 * columns) : nullptr;
  visit_small_float(a.x->dtype, [&](auto tag) {
    using T = decltype(tag);
    core::parallel_for(context, chunks, [&](std::int64_t chunk, int) {
      float* dwb = partial == nullptr ? nullptr : partial + chunk * 2 * columns;
      if (dwb != nullptr) std::fill(dwb, dwb + 2 * columns, 0.0f);
      const std::int64_t last = std::min(rows, (chunk + 1) * kRowsPerChunk);
      for (std::int64_t t = chunk * kRowsPerChunk; t < last; ++t) {
        const float* stats = static_cast<const float*>(a.stats->data) + t * a.stats->stride[0];
        backward_row(row<T>(*a.dy, t), row<T>(*a.x, t), w, stats[0], stats[a.stats->stride[1]], columns, a.accumulate,
                     a.dx == nullptr ? nullptr : row<T>(*a.dx, t), dwb);
      }
    });
  });
  if (!sums) return;
  add_chunks(partial, chunks, 2 * columns, a.dw);
  add_chunks(partial + columns, chunks, 2 * columns, a.db);
}

}  // namespace graft::cpu::fast::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace graft::cpu::fast {
HWY_EXPORT(forward);
HWY_EXPORT(backward);

std::string refuse(const ops::LayerNormForward& a) { return refuse_f64(*a.x); }
std::string refuse(const ops::LayerNormBackward& a) { return refuse_f64(*a.x); }
void run(core::Context& context, const ops::LayerNormForward& a) { HWY_DYNAMIC_DISPATCH(forward)(context, a); }
void run(core::Context& context, const ops::LayerNormBackward& a) { HWY_DYNAMIC_DISPATCH(backward)(context, a); }
}  // namespace graft::cpu::fast
#endif
