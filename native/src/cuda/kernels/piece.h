// A thread's share of a row: as many elements as 16 bytes hold where all rows begin at multiples of 16 bytes, else one;
// beside matrices of a smaller type as many as theirs.
#pragma once

#include <initializer_list>

#include "cuda/device.h"
#include "cuda/kernels/tensor.h"

namespace graft::cuda {

template <class T, int Width>
struct Piece {
  T at[Width];
};

template <int Width, class T>
GRAFT_DEVICE Piece<T, Width> load_piece(const T* p) {
  Piece<T, Width> piece;
  if constexpr (Width == 1) {
    piece.at[0] = *p;
  } else {
    constexpr int size = Pack<T>::kSize;
    GRAFT_UNROLL
    for (int first = 0; first < Width; first += size) {
      const Pack<T> pack = load_pack(p + first);
      for (int i = 0; i < size; ++i) piece.at[first + i] = pack.at[i];
    }
  }
  return piece;
}

template <int Width, class T>
GRAFT_DEVICE void store_piece(T* p, const Piece<T, Width>& piece) {
  if constexpr (Width == 1) {
    *p = piece.at[0];
  } else {
    constexpr int size = Pack<T>::kSize;
    GRAFT_UNROLL
    for (int first = 0; first < Width; first += size) {
      Pack<T> pack;
      for (int i = 0; i < size; ++i) pack.at[i] = piece.at[first + i];
      store_pack(p + first, pack);
    }
  }
}

/** Every row of these matrices of one dtype (NULL: not there) can be read 16 bytes at a time. */
inline bool in_packs(std::initializer_list<const graft_tensor*> matrices) {
  for (const graft_tensor* m : matrices) {
    if (m == nullptr) continue;
    const std::int64_t size = graft_dtype_bytes(m->dtype), width = 16 / size;
    if (m->shape[1] % width != 0 || m->stride[0] % width != 0 || reinterpret_cast<std::uintptr_t>(m->data) % 16 != 0)
      return false;
  }
  return true;
}

/** The grid in which block (t, c) of kThreads has the c-th kThreads pieces of row t. */
inline dim3 piece_grid(const graft_tensor& matrix, int width) {
  return {static_cast<unsigned>(matrix.shape[0]), blocks_for(ceil_div<std::int64_t>(matrix.shape[1], width)), 1};
}

/** In that grid, where the thread's piece begins. */
template <int Width>
GRAFT_DEVICE std::int64_t piece_column() {
  return (std::int64_t{blockIdx.y} * kThreads + threadIdx.x) * Width;
}

inline std::string refuse_pieces(const graft_tensor& matrix) {
  if (matrix.shape[1] > std::int64_t{kThreads} * 65535) return "more columns than a grid has";
  return refuse_f64(matrix);
}

/** Calls body(std::integral_constant<int, Width>). */
template <class T, class Body>
void with_width(bool packs, Body&& body) {
  packs ? body(std::integral_constant<int, Pack<T>::kSize>{}) : body(std::integral_constant<int, 1>{});
}

}  // namespace graft::cuda
