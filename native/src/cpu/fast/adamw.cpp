// adamw with SIMD: one pass over g, p, m, v that also writes the compute copy p_out, or columns of a weight while p is
// in the cache. The norm is summed in double per chunk of fixed size. Bytes per element: 28 + sizeof(p_out). FLOPs: 15,
// with one division and one square root.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/fast/adamw.cpp"
#include <hwy/foreach_target.h>
// why: foreach_target includes this file again for each instruction set; it must come before what follows.
#include <algorithm>

#include "cpu/fast/adamw-inl.h"
#include "cpu/fast/adamw.h"
#include "cpu/fast/halves-inl.h"
#include "cpu/fast/paca.h"
#include "cpu/fast/visit.h"

HWY_BEFORE_NAMESPACE();
namespace graft::cpu::fast::HWY_NAMESPACE {

double adamw_squares(const float* g, std::int64_t count) {
  const hn::ScalableTag<double> dd;
  const hn::Rebind<float, decltype(dd)> df;
  const std::int64_t lanes = static_cast<std::int64_t>(hn::Lanes(dd));
  auto even = hn::Zero(dd), odd = hn::Zero(dd);
  std::int64_t i = 0;
  for (; i + 2 * lanes <= count; i += 2 * lanes) {
    const auto a = hn::PromoteTo(dd, hn::LoadU(df, g + i)), b = hn::PromoteTo(dd, hn::LoadU(df, g + i + lanes));
    even = hn::MulAdd(a, a, even);
    odd = hn::MulAdd(b, b, odd);
  }
  double sum = hn::GetLane(hn::SumOfLanes(dd, hn::Add(even, odd)));
  for (; i < count; ++i) sum += static_cast<double>(g[i]) * g[i];
  return sum;
}

double adamw_squares_of_chunk(const ops::AdamWSquaredNorm& a, std::int64_t chunk) {
  const float* g = static_cast<const float*>(a.g->data);
  double sum = 0;
  Elements<1>({a.g}).visit(
      chunk, [&](const auto& offset, std::int64_t, std::int64_t count) { sum += adamw_squares(g + offset[0], count); });
  return sum;
}

/** p_out may be NULL. */
template <class T>
void adamw_with_master(const ops::AdamWFactors<float>& f, const float* g, float* p, float* m, float* v, T* p_out,
                       std::int64_t count) {
  adamw_run(f, g, p, m, v, count, [&](VF parameter, std::int64_t i, std::int64_t n) {
    put(F(), parameter, p + i, n);
    if (p_out != nullptr) put(F(), parameter, p_out + i, n);
  });
}

/** Elements from `first` on in row-major order. */
void adamw_at_random(const ops::AdamWFactors<float>& f, std::uint64_t seed, const float* g, core::bf16* p, float* m,
                     float* v, std::int64_t first, std::int64_t count) {
  Halves halves;
  const std::int64_t shift = first % 8, most = shift == 0 ? Halves::kCount : Halves::kCount - 8;
  for (std::int64_t done = 0; done < count; done += most) {
    halves.fill(seed, static_cast<std::uint64_t>(first - shift + done));
    core::bf16* part = p + done;
    adamw_run(f, g + done, part, m + done, v + done, std::min(most, count - done),
              [&](VF parameter, std::int64_t i, std::int64_t n) {
                put(F(), halves.round(parameter, shift + i), part + i, n);
              });
  }
}

void adamw_chunk(const ops::AdamWStep& a, const ops::AdamWFactors<float>& factors, const ops::PacaWrite* columns,
                 std::int64_t chunk) {
  elements_of(a).visit(chunk, [&](const auto& offset, std::int64_t first, std::int64_t count) {
    const float* g = static_cast<const float*>(a.g->data) + offset[0];
    float* m = static_cast<float*>(a.m->data) + offset[2];
    float* v = static_cast<float*>(a.v->data) + offset[3];
    if (a.rounds_at_random())
      return adamw_at_random(factors, a.seed, g, static_cast<core::bf16*>(a.p->data) + offset[1], m, v, first, count);
    visit_small_float(a.p_out == nullptr ? GRAFT_DTYPE_F32 : a.p_out->dtype, [&](auto tag) {
      using T = decltype(tag);
      adamw_with_master(factors, g, static_cast<float*>(a.p->data) + offset[1], m, v,
                        a.p_out == nullptr ? nullptr : static_cast<T*>(a.p_out->data) + offset[4], count);
    });
    if (columns != nullptr) write_columns(*columns, first, count);
  });
}

}  // namespace graft::cpu::fast::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace graft::cpu::fast {
HWY_EXPORT(adamw_squares_of_chunk);
HWY_EXPORT(adamw_chunk);

std::int64_t chunks(const ops::AdamWSquaredNorm& a) { return Elements<1>({a.g}).chunks(); }
std::int64_t chunks(const ops::AdamWStep& a) { return elements_of(a).chunks(); }

double sum_chunk(const ops::AdamWSquaredNorm& a, std::int64_t chunk) {
  return HWY_DYNAMIC_DISPATCH(adamw_squares_of_chunk)(a, chunk);
}
void run_chunk(const ops::AdamWStep& a, const ops::AdamWFactors<float>& factors, const ops::PacaWrite* columns,
               std::int64_t chunk) {
  HWY_DYNAMIC_DISPATCH(adamw_chunk)(a, factors, columns, chunk);
}
}  // namespace graft::cpu::fast
#endif
