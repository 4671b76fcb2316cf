// ia3 in plain loops: y = z ⊙ l_out, z = (x ⊙ l_in) Wᵀ + bias; dxs = (dy ⊙ l_out) W, dx = dxs ⊙ l_in.
#include "ops/ia3.h"

#include "core/context.h"
#include "core/tensor_check.h"
#include "cpu/reference/element.h"

namespace graft::cpu::reference {

namespace {

// Scales that are not given are 1.
template <class C>
C scale_at(const graft_tensor* l, std::int64_t index) {
  return l == nullptr ? C{1} : View<C>(*l)(index);
}

}  // namespace

void run(core::Context& context, const ops::Ia3Forward& a) {
  visit_compute(a.x->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> x(*a.x), w(core::dense_matrix(*a.w)), y(*a.y);
    core::parallel_for(context, x.size(0), [&](std::int64_t t, int) {
      for (std::int64_t n = 0; n < a.w->n; ++n) {
        C sum = a.bias == nullptr ? C{0} : View<C>(*a.bias)(n);
        for (std::int64_t k = 0; k < a.w->k; ++k) sum += x(t, k) * scale_at<C>(a.l_in, k) * w(n, k);
        if (a.z != nullptr) View<C>(*a.z).set(sum, t, n);
        const C scaled = sum * scale_at<C>(a.l_out, n);
        y.set(a.accumulate ? y(t, n) + scaled : scaled, t, n);
      }
    });
  });
}

void run(core::Context& context, const ops::Ia3Backward& a) {
  visit_compute(a.dy->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> dy(*a.dy), w(core::dense_matrix(*a.w));
    const std::int64_t rows = dy.size(0);
    if (a.dx != nullptr || a.dl_in != nullptr)
      core::parallel_for(context, a.w->k, [&](std::int64_t k, int) {
        C gradient = 0;
        for (std::int64_t t = 0; t < rows; ++t) {
          C dxs = 0;
          for (std::int64_t n = 0; n < a.w->n; ++n) dxs += dy(t, n) * scale_at<C>(a.l_out, n) * w(n, k);
          if (a.dl_in != nullptr) gradient += dxs * View<C>(*a.x)(t, k);
          if (a.dx == nullptr) continue;
          const View<C> dx(*a.dx);
          const C scaled = dxs * scale_at<C>(a.l_in, k);
          dx.set(a.accumulate ? dx(t, k) + scaled : scaled, t, k);
        }
        if (a.dl_in != nullptr) View<C>(*a.dl_in).add(gradient, k);
      });
    for (std::int64_t n = 0; n < a.w->n; ++n) {
      C scales = 0, biases = 0;
      for (std::int64_t t = 0; t < rows; ++t) {
        if (a.dl_out != nullptr) scales += dy(t, n) * View<C>(*a.z)(t, n);
        biases += dy(t, n);
      }
      if (a.dl_out != nullptr) View<C>(*a.dl_out).add(scales, n);
      if (a.dbias != nullptr) View<C>(*a.dbias).add(biases * scale_at<C>(a.l_out, n), n);
    }
  });
}

void run(core::Context&, const ops::Ia3Merge& a) {
  visit_compute(a.w->storage.dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> w(core::dense_matrix(*a.w)), merged(*a.merged);
    for (std::int64_t n = 0; n < a.w->n; ++n)
      for (std::int64_t k = 0; k < a.w->k; ++k)
        merged.set(w(n, k) * scale_at<C>(a.l_out, n) * scale_at<C>(a.l_in, k), n, k);
  });
}

}  // namespace graft::cpu::reference
