// tensor_copy, tensor_fill and tensor_add with SIMD and threads. Rows of one dtype are copied as bytes, whatever they
// hold. Bytes: one read and one write per element, for add one read more.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/fast/tensor_copy.cpp"
#include <hwy/foreach_target.h>
// why: foreach_target includes this file again for each instruction set; it must come before what follows.
#include <algorithm>
#include <cstring>

#include "core/context.h"
#include "core/narrow.h"
#include "cpu/fast/elements.h"
#include "cpu/fast/simd-inl.h"
#include "cpu/fast/visit.h"
#include "ops/tensor_copy.h"

HWY_BEFORE_NAMESPACE();
namespace graft::cpu::fast::HWY_NAMESPACE {

// y = combine(x, y) element by element; combine(d, x, y, n) gets y's memory, so that a copy need not read it.
template <class Combine>
void each(core::Context& context, const graft_tensor& x, const graft_tensor& y, Combine combine) {
  const Elements<2> elements({&x, &y});
  visit_small_float(x.dtype, [&](auto from_tag) {
    using From = decltype(from_tag);
    visit_small_float(y.dtype, [&](auto to_tag) {
      using To = decltype(to_tag);
      core::parallel_for(context, elements.chunks(), [&](std::int64_t chunk, int) {
        elements.visit(chunk, [&](const auto& offset, std::int64_t, std::int64_t count) {
          const From* from = static_cast<const From*>(x.data) + offset[0];
          To* to = static_cast<To*>(y.data) + offset[1];
          const F d;
          for_lanes(d, count, [&](std::int64_t i, std::int64_t n) {
            put(d, combine(d, at(d, from + i, n), to + i, n), to + i, n);
          });
        });
      });
    });
  });
}

void tensor_convert(core::Context& context, const ops::TensorCopy& a) {
  each(context, *a.x, *a.y, [](F, VF x, const auto*, std::int64_t) HWY_ATTR { return x; });
}

void tensor_add(core::Context& context, const ops::TensorAdd& a) {
  each(context, *a.x, *a.y, [](F d, VF x, const auto* y, std::int64_t n) HWY_ATTR { return hn::Add(at(d, y, n), x); });
}

}  // namespace graft::cpu::fast::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace graft::cpu::fast {
HWY_EXPORT(tensor_convert);
HWY_EXPORT(tensor_add);
namespace {

void copy_bytes(core::Context& context, const ops::TensorCopy& a) {
  const Elements<2> elements({a.x, a.y});
  const std::int64_t width = graft_dtype_bytes(a.x->dtype);
  core::parallel_for(context, elements.chunks(), [&](std::int64_t chunk, int) {
    elements.visit(chunk, [&](const auto& offset, std::int64_t, std::int64_t count) {
      std::memcpy(static_cast<char*>(a.y->data) + offset[1] * width,
                  static_cast<const char*>(a.x->data) + offset[0] * width, static_cast<std::size_t>(count * width));
    });
  });
}

void copy_integers(core::Context& context, const ops::TensorCopy& a) {
  const Elements<2> elements({a.x, a.y});
  core::visit_id(a.x->dtype, [&](auto from_tag) {
    using From = decltype(from_tag);
    core::visit_id(a.y->dtype, [&](auto to_tag) {
      using To = decltype(to_tag);
      core::parallel_for(context, elements.chunks(), [&](std::int64_t chunk, int) {
        elements.visit(chunk, [&](const auto& offset, std::int64_t, std::int64_t count) {
          const From* x = static_cast<const From*>(a.x->data) + offset[0];
          std::transform(x, x + count, static_cast<To*>(a.y->data) + offset[1],
                         [](From value) { return static_cast<To>(value); });
        });
      });
    });
  });
}

}  // namespace

std::string refuse(const ops::TensorCopy& a) {
  if (a.x->dtype == a.y->dtype) return "";
  if (a.x->dtype == GRAFT_DTYPE_U8 || a.y->dtype == GRAFT_DTYPE_U8) return "conversion of u8 is for the reference";
  return a.x->dtype == GRAFT_DTYPE_F64 ? refuse_f64(*a.x) : refuse_f64(*a.y);
}
std::string refuse(const ops::TensorFill&) { return ""; }
std::string refuse(const ops::TensorAdd& a) {
  return a.x->dtype == GRAFT_DTYPE_F64 ? refuse_f64(*a.x) : refuse_f64(*a.y);
}

void run(core::Context& context, const ops::TensorCopy& a) {
  if (a.x->dtype == a.y->dtype) {
    copy_bytes(context, a);
  } else if (core::is_float(a.x->dtype)) {
    HWY_DYNAMIC_DISPATCH(tensor_convert)(context, a);
  } else {
    ops::check_integers_fit(a);
    copy_integers(context, a);
  }
}

void run(core::Context& context, const ops::TensorFill& a) {
  const Elements<1> elements({a.y});
  core::visit_any(a.y->dtype, [&](auto tag) {
    using T = decltype(tag);
    const T value = core::narrow<T>(a.value);
    core::parallel_for(context, elements.chunks(), [&](std::int64_t chunk, int) {
      elements.visit(chunk, [&](const auto& offset, std::int64_t, std::int64_t count) {
        std::fill_n(static_cast<T*>(a.y->data) + offset[0], count, value);
      });
    });
  });
}

void run(core::Context& context, const ops::TensorAdd& a) { HWY_DYNAMIC_DISPATCH(tensor_add)(context, a); }
}  // namespace graft::cpu::fast
#endif
