// Walks the elements of a tensor of any rank in row-major order.
#pragma once

#include <cstdint>

#include "graft/tensor.h"

namespace graft::cpu::reference {

/** Calls body(i, j, k, l) for each element; the indices past the rank are 0, as View takes them. */
template <class Body>
void for_each_index(const graft_tensor& tensor, Body&& body) {
  std::int64_t size[GRAFT_MAX_RANK];
  for (int i = 0; i < GRAFT_MAX_RANK; ++i) size[i] = i < tensor.rank ? tensor.shape[i] : 1;
  for (std::int64_t i = 0; i < size[0]; ++i)
    for (std::int64_t j = 0; j < size[1]; ++j)
      for (std::int64_t k = 0; k < size[2]; ++k)
        for (std::int64_t l = 0; l < size[3]; ++l) body(i, j, k, l);
}

/** Memory of element (i, j, k, l). */
template <class T>
T& element(const graft_tensor& tensor, std::int64_t i, std::int64_t j, std::int64_t k, std::int64_t l) {
  const std::int64_t index[] = {i, j, k, l};
  std::int64_t offset = 0;
  for (int dimension = 0; dimension < tensor.rank; ++dimension) offset += index[dimension] * tensor.stride[dimension];
  return static_cast<T*>(tensor.data)[offset];
}

}  // namespace graft::cpu::reference
