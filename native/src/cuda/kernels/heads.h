// Tensors of heads [B, T, H, D], as kernels take them: any strides but the last.
#pragma once

#include "cuda/device/language.h"
#include "graft/tensor.h"

namespace graft::cuda {

template <class T>
struct Heads {
  T* data;
  std::int64_t stride[3];
  GRAFT_DEVICE T* at(std::int64_t b, std::int64_t t, std::int64_t h) const {
    return data + b * stride[0] + t * stride[1] + h * stride[2];
  }
};

template <class T>
Heads<T> heads(const graft_tensor& x) {
  return {static_cast<T*>(x.data), {x.stride[0], x.stride[1], x.stride[2]}};
}

}  // namespace graft::cuda
