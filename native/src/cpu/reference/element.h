// Element access for the plain loops: any float dtype and any strides, read and written as the compute type C (float,
// or double for fp64).
#pragma once

#include <cstdint>

#include "core/float_types.h"
#include "core/philox.h"
#include "graft/tensor.h"

namespace graft::cpu::reference {

template <class C>
class View {
 public:
  explicit View(const graft_tensor& tensor) : tensor_(tensor) {}

  template <class... Index>
  C operator()(Index... index) const {
    const std::int64_t at = offset(index...);
    switch (tensor_.dtype) {
      case GRAFT_DTYPE_F32:
        return static_cast<C>(static_cast<const float*>(tensor_.data)[at]);
      case GRAFT_DTYPE_BF16:
        return static_cast<C>(static_cast<float>(static_cast<const core::bf16*>(tensor_.data)[at]));
      case GRAFT_DTYPE_F16:
        return static_cast<C>(static_cast<float>(static_cast<const core::f16*>(tensor_.data)[at]));
      case GRAFT_DTYPE_F64:
        return static_cast<C>(static_cast<const double*>(tensor_.data)[at]);
      default:
        core::fail(GRAFT_INTERNAL, "dtype %d is not a float", tensor_.dtype);
    }
  }

  template <class... Index>
  void set(C value, Index... index) const {
    const std::int64_t at = offset(index...);
    switch (tensor_.dtype) {
      case GRAFT_DTYPE_F32:
        static_cast<float*>(tensor_.data)[at] = static_cast<float>(value);
        return;
      case GRAFT_DTYPE_BF16:
        static_cast<core::bf16*>(tensor_.data)[at] = core::bf16(static_cast<float>(value));
        return;
      case GRAFT_DTYPE_F16:
        static_cast<core::f16*>(tensor_.data)[at] = core::f16(static_cast<float>(value));
        return;
      case GRAFT_DTYPE_F64:
        static_cast<double*>(tensor_.data)[at] = static_cast<double>(value);
        return;
      default:
        core::fail(GRAFT_INTERNAL, "dtype %d is not a float", tensor_.dtype);
    }
  }

  template <class... Index>
  void add(C value, Index... index) const {
    set((*this)(index...) + value, index...);
  }

  std::int64_t size(int dimension) const { return tensor_.shape[dimension]; }

 private:
  template <class... Index>
  std::int64_t offset(Index... index) const {
    std::int64_t at = 0;
    int dimension = 0;
    ((at += static_cast<std::int64_t>(index) * tensor_.stride[dimension++]), ...);
    return at;
  }

  graft_tensor tensor_;
};

/** Element of an integer tensor [T] (i32 or i64). */
inline std::int64_t id_at(const graft_tensor& ids, std::int64_t index) {
  const std::int64_t at = index * ids.stride[0];
  return ids.dtype == GRAFT_DTYPE_I32 ? static_cast<const std::int32_t*>(ids.data)[at]
                                      : static_cast<const std::int64_t*>(ids.data)[at];
}

/** Calls body(C{}) with the compute type of a float dtype. */
template <class Body>
void visit_compute(graft_dtype dtype, Body&& body) {
  if (dtype == GRAFT_DTYPE_F64) {
    body(double{});
  } else {
    body(float{});
  }
}

/** One of the two bf16 next to value, by the 16 random bits of this element. */
template <class C>
C rounded_at_random(C value, std::uint64_t seed, std::uint64_t element) {
  return static_cast<C>(core::bf16::at_random(static_cast<float>(value), core::Philox::half(seed, element)));
}

}  // namespace graft::cpu::reference
