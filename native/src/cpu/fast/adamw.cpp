// adamw with SIMD and threads: one pass over g, p, m, v that also writes the compute copy p_out.
// The norm is summed in double per chunk of fixed size, then over the chunks in order.
// Bytes per element: 28 + sizeof(p_out). FLOPs: 15, with one division and one square root.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/fast/adamw.cpp"
#include <hwy/foreach_target.h>
// why: foreach_target includes this file again for each instruction set; it must come before what follows.
#include <algorithm>

#include "core/context.h"
#include "cpu/fast/adamw-inl.h"
#include "cpu/fast/elements.h"
#include "cpu/fast/halves-inl.h"
#include "cpu/fast/visit.h"
#include "ops/adamw.h"

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

void adamw_squared_norm(core::Context& context, const ops::AdamWSquaredNorm& a) {
  const Elements<1> elements({a.g});
  const float* g = static_cast<const float*>(a.g->data);
  core::Scratch scratch(context.arena);
  double* partial = scratch.take<double>(elements.chunks());
  core::parallel_for(context, elements.chunks(), [&](std::int64_t chunk, int) {
    partial[chunk] = 0;
    elements.visit(chunk, [&](const auto& offset, std::int64_t, std::int64_t count) {
      partial[chunk] += adamw_squares(g + offset[0], count);
    });
  });
  double sum = 0;
  for (std::int64_t chunk = 0; chunk < elements.chunks(); ++chunk) sum += partial[chunk];
  *static_cast<double*>(a.sum->data) += sum;
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

void adamw_step(core::Context& context, const ops::AdamWStep& a) {
  const ops::AdamWFactors<float> factors(a);
  const graft_tensor& p_out = a.p_out == nullptr ? *a.p : *a.p_out;
  const Elements<5> elements({a.g, a.p, a.m, a.v, &p_out});
  const auto visit = [&](auto&& body) {
    core::parallel_for(context, elements.chunks(), [&](std::int64_t chunk, int) {
      elements.visit(chunk, [&](const auto& offset, std::int64_t first, std::int64_t count) {
        body(static_cast<const float*>(a.g->data) + offset[0], static_cast<float*>(a.m->data) + offset[2],
             static_cast<float*>(a.v->data) + offset[3], offset, first, count);
      });
    });
  };
  if (a.rounds_at_random())
    return visit([&](const float* g, float* m, float* v, const auto& offset, std::int64_t first, std::int64_t count) {
      adamw_at_random(factors, a.seed, g, static_cast<core::bf16*>(a.p->data) + offset[1], m, v, first, count);
    });
  visit_small_float(p_out.dtype, [&](auto tag) {
    using T = decltype(tag);
    visit([&](const float* g, float* m, float* v, const auto& offset, std::int64_t, std::int64_t count) {
      adamw_with_master(factors, g, static_cast<float*>(a.p->data) + offset[1], m, v,
                        a.p_out == nullptr ? nullptr : static_cast<T*>(a.p_out->data) + offset[4], count);
    });
  });
}

}  // namespace graft::cpu::fast::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace graft::cpu::fast {
HWY_EXPORT(adamw_squared_norm);
HWY_EXPORT(adamw_step);

std::string refuse(const ops::AdamWSquaredNorm& a) { return refuse_f64(*a.g); }
std::string refuse(const ops::AdamWStep& a) {
  return a.p_out != nullptr && a.p_out->dtype == GRAFT_DTYPE_F64 ? refuse_f64(*a.p_out) : refuse_f64(*a.p);
}
void run(core::Context& context, const ops::AdamWSquaredNorm& a) {
  HWY_DYNAMIC_DISPATCH(adamw_squared_norm)(context, a);
}
void run(core::Context& context, const ops::AdamWStep& a) { HWY_DYNAMIC_DISPATCH(adamw_step)(context, a); }
}  // namespace graft::cpu::fast
#endif
