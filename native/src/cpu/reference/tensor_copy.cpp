// tensor_copy, tensor_fill, tensor_add and tensor_transpose in plain loops over all pairs of dtypes.
#include "ops/tensor_copy.h"

#include "core/context.h"
#include "core/narrow.h"
#include "cpu/reference/element.h"
#include "cpu/reference/walk.h"

namespace graft::cpu::reference {
void run(core::Context&, const ops::TensorCopy& a) {
  ops::check_integers_fit(a);
  core::visit_any(a.x->dtype, [&](auto from_tag) {
    using From = decltype(from_tag);
    core::visit_any(a.y->dtype, [&](auto to_tag) {
      using To = decltype(to_tag);
      for_each_index(
          *a.y, [&](auto... index) { element<To>(*a.y, index...) = core::narrow<To>(element<From>(*a.x, index...)); });
    });
  });
}

void run(core::Context&, const ops::TensorFill& a) {
  core::visit_any(a.y->dtype, [&](auto tag) {
    using T = decltype(tag);
    const T value = core::narrow<T>(a.value);
    for_each_index(*a.y, [&](auto... index) { element<T>(*a.y, index...) = value; });
  });
}

void run(core::Context&, const ops::TensorAdd& a) {
  const bool wide = a.x->dtype == GRAFT_DTYPE_F64 || a.y->dtype == GRAFT_DTYPE_F64;
  visit_compute(wide ? GRAFT_DTYPE_F64 : GRAFT_DTYPE_F32, [&](auto compute) {
    using C = decltype(compute);
    const View<C> x(*a.x), y(*a.y);
    for_each_index(*a.y, [&](auto... index) { y.add(x(index...), index...); });
  });
}

void run(core::Context& context, const ops::TensorTranspose& a) {
  core::visit_any(a.x->dtype, [&](auto tag) {
    using T = decltype(tag);
    core::parallel_for(context, a.y->shape[0], [&](std::int64_t i, int) {
      for (std::int64_t j = 0; j < a.y->shape[1]; ++j) element<T>(*a.y, i, j, 0, 0) = element<T>(*a.x, j, i, 0, 0);
    });
  });
}

}  // namespace graft::cpu::reference
