// scale with SIMD, one pass by rows; the sums stay in cache.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/fast/scaling.cpp"
#include <hwy/foreach_target.h>
// why: foreach_target includes this file again for each instruction set; it must come before what follows.
#include <algorithm>

#include "core/context.h"
#include "cpu/fast/scaling.h"
#include "cpu/fast/simd-inl.h"
#include "cpu/fast/visit.h"

HWY_BEFORE_NAMESPACE();
namespace graft::cpu::fast::HWY_NAMESPACE {

template <class T>
T* row_of(const Matrix& m, std::int64_t t) {
  return m.data == nullptr ? nullptr : static_cast<T*>(m.data) + t * m.row_stride;
}

template <class T>
void scale_row(const Scaling& s, std::int64_t t) {
  const F d;
  const T *from = row_of<const T>(s.from, t), *other = row_of<const T>(s.other, t);
  T* to = row_of<T>(s.to, t);
  const VF down = hn::Set(d, s.down == nullptr ? 1.0f : s.down[t]);
  for_lanes(d, s.from.columns, [&](std::int64_t i, std::int64_t n) {
    const VF v = at(d, from + i, n);
    if (s.sums != nullptr) put(d, hn::MulAdd(v, at(d, other + i, n), at(d, s.sums + i, n)), s.sums + i, n);
    if (to == nullptr) return;
    VF scaled = hn::Mul(v, down);
    if (s.across != nullptr) scaled = hn::Mul(scaled, at(d, s.across + i, n));
    if (s.shift != nullptr) scaled = hn::Add(scaled, at(d, s.shift + i, n));
    put(d, s.accumulate ? hn::Add(scaled, at(d, to + i, n)) : scaled, to + i, n);
  });
}

void scale_rows(const Scaling& s) {
  visit_small_float(s.from.dtype, [&](auto tag) {
    for (std::int64_t t = 0; t < s.from.rows; ++t) scale_row<decltype(tag)>(s, t);
  });
}

}  // namespace graft::cpu::fast::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace graft::cpu::fast {
HWY_EXPORT(scale_rows);

void scale(const Scaling& scaling) { HWY_DYNAMIC_DISPATCH(scale_rows)(scaling); }

Scaling Scaling::part(std::int64_t row, std::int64_t column, std::int64_t rows, std::int64_t columns,
                      float* part_sums) const {
  const auto cut = [&](const Matrix& m) { return m.data == nullptr ? m : m.part(row, column, rows, columns); };
  return {cut(from),
          down == nullptr ? nullptr : down + row,
          across == nullptr ? nullptr : across + column,
          shift == nullptr ? nullptr : shift + column,
          cut(to),
          accumulate,
          cut(other),
          part_sums};
}

void scale_columns(core::Context& context, const Scaling& whole) {
  core::Scratch scratch(context.arena);
  const std::int64_t rows = whole.from.rows, columns = whole.from.columns, chunks = chunks_of(rows);
  float* sums = whole.sums == nullptr ? nullptr : scratch.take<float>(chunks * columns);
  if (sums != nullptr) std::fill_n(sums, chunks * columns, 0.0f);
  core::parallel_for(context, chunks, [&](std::int64_t chunk, int) {
    const std::int64_t first = chunk * kRowsPerChunk;
    scale(whole.part(first, 0, std::min(kRowsPerChunk, rows - first), columns,
                     sums == nullptr ? nullptr : sums + chunk * columns));
  });
  for (std::int64_t i = 0; sums != nullptr && i < chunks * columns; ++i) whole.sums[i % columns] += sums[i];
}
}  // namespace graft::cpu::fast
#endif
