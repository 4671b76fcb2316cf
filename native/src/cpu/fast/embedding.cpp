// embedding with SIMD and threads. Forward copies rows, or multiplies them where there is a scale. Backward gives each
// thread a band of columns, in which it adds all rows in order of t: ids may repeat, no two threads write one element,
// and the bits are the reference's. Bytes forward: 2·T·H·sizeof(table); backward: T·H·(sizeof(dy) + 8).
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/fast/embedding.cpp"
#include <hwy/foreach_target.h>
// why: foreach_target includes this file again for each instruction set; it must come before what follows.
#include <algorithm>
#include <cstring>

#include "core/context.h"
#include "cpu/fast/simd-inl.h"
#include "cpu/fast/visit.h"
#include "ops/embedding.h"

HWY_BEFORE_NAMESPACE();
namespace graft::cpu::fast::HWY_NAMESPACE {

template <class T, class Id>
void embedding_add_band(const Id* ids, const graft_tensor& dy, float scale, std::int64_t from, std::int64_t to,
                        const graft_tensor& dtable) {
  const F d;
  const VF factor = hn::Set(d, scale);
  for (std::int64_t t = 0; t < dy.shape[0]; ++t) {
    const T* gradient = row<T>(dy, t) + from;
    float* sums = row<float>(dtable, static_cast<std::int64_t>(ids[t])) + from;
    for_lanes(d, to - from, [&](std::int64_t j, std::int64_t n) {
      put(d, hn::Add(at(d, sums + j, n), hn::Mul(factor, at(d, gradient + j, n))), sums + j, n);
    });
  }
}

void embedding_backward(core::Context& context, const ops::EmbeddingBackward& a) {
  constexpr std::int64_t kBand = 128;
  const std::int64_t columns = a.dy->shape[1];
  core::visit_id(a.ids->dtype, [&](auto id_tag) {
    using Id = decltype(id_tag);
    const Id* ids = static_cast<const Id*>(a.ids->data);
    visit_small_float(a.dy->dtype, [&](auto tag) {
      using T = decltype(tag);
      core::parallel_for(context, chunks_of(columns, kBand), [&](std::int64_t chunk, int) {
        embedding_add_band<T>(ids, *a.dy, static_cast<float>(a.scale), chunk * kBand,
                              std::min(columns, (chunk + 1) * kBand), *a.dtable);
      });
    });
  });
}

/** y *= scale, after the rows of the table were copied. */
void embedding_scale(core::Context& context, const ops::EmbeddingForward& a) {
  const std::int64_t rows = a.y->shape[0];
  visit_small_float(a.y->dtype, [&](auto tag) {
    using T = decltype(tag);
    core::parallel_for(context, chunks_of(rows), [&](std::int64_t chunk, int) {
      const F d;
      const VF factor = hn::Set(d, static_cast<float>(a.scale));
      const std::int64_t last = std::min(rows, (chunk + 1) * kRowsPerChunk);
      for (std::int64_t t = chunk * kRowsPerChunk; t < last; ++t) {
        T* y = row<T>(*a.y, t);
        for_lanes(d, a.y->shape[1],
                  [&](std::int64_t j, std::int64_t n) { put(d, hn::Mul(at(d, y + j, n), factor), y + j, n); });
      }
    });
  });
}

}  // namespace graft::cpu::fast::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace graft::cpu::fast {
HWY_EXPORT(embedding_backward);
HWY_EXPORT(embedding_scale);

std::string refuse(const ops::EmbeddingForward& a) { return refuse_f64(*a.table); }
std::string refuse(const ops::EmbeddingBackward& a) { return refuse_f64(*a.dy); }

void run(core::Context& context, const ops::EmbeddingForward& a) {
  core::check_ids("ids", *a.ids, a.table->shape[0]);
  const std::int64_t rows = a.y->shape[0], bytes = a.y->shape[1] * graft_dtype_bytes(a.y->dtype);
  if (bytes == 0) return;
  core::visit_id(a.ids->dtype, [&](auto id_tag) {
    using Id = decltype(id_tag);
    const Id* ids = static_cast<const Id*>(a.ids->data);
    const std::int64_t width = graft_dtype_bytes(a.table->dtype);
    core::parallel_for(context, chunks_of(rows), [&](std::int64_t chunk, int) {
      const std::int64_t last = std::min(rows, (chunk + 1) * kRowsPerChunk);
      for (std::int64_t t = chunk * kRowsPerChunk; t < last; ++t)
        std::memcpy(row<char>(*a.y, 0) + t * a.y->stride[0] * width,
                    row<char>(*a.table, 0) + static_cast<std::int64_t>(ids[t]) * a.table->stride[0] * width,
                    static_cast<std::size_t>(bytes));
    });
  });
  if (a.scale != 1) HWY_DYNAMIC_DISPATCH(embedding_scale)(context, a);
}

void run(core::Context& context, const ops::EmbeddingBackward& a) {
  core::check_ids("ids", *a.ids, a.dtable->shape[0]);
  HWY_DYNAMIC_DISPATCH(embedding_backward)(context, a);
}
}  // namespace graft::cpu::fast
#endif
