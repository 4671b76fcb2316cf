// Pieces of an activation's columns, as rows of a matrix: what block-structured products multiply.
#pragma once

#include "cuda/kernels/tensor.h"

namespace graft::cuda {

/** Calls body(piece, inner piece) for the pieces of x [T, count·width] beside those of a matrix [T, count·other] that
 * has no gaps: once, for [T·count, width] and [T·count, other], where x has none either. */
template <class Body>
void for_pieces(const graft_tensor& x, const graft_tensor& inner, std::int64_t count, Body&& body) {
  const std::int64_t rows = x.shape[0], width = x.shape[1] / count, other = inner.shape[1] / count;
  if (x.stride[0] == x.shape[1]) {
    graft_tensor all = x, all_inner = inner;
    all.shape[0] = all_inner.shape[0] = rows * count;
    all.shape[1] = all.stride[0] = width, all_inner.shape[1] = all_inner.stride[0] = other;
    return body(all, all_inner);
  }
  for (std::int64_t i = 0; i < count; ++i)
    body(part(x, 0, i * width, rows, width), part(inner, 0, i * other, rows, other));
}

/** The last two dimensions of [D, n, m] without gaps as one matrix [D·n, m]. */
inline graft_tensor flat(const graft_tensor& t) {
  return {t.data, t.dtype, t.device, 2, 0, {t.shape[0] * t.shape[1], t.shape[2]}, {t.shape[2], 1}};
}

}  // namespace graft::cuda
