// Tiles of rows of heads in shared memory and their products on the tensor cores, for attention. A tile has a pitch of
// Depth + 8 elements, so that the eight rows of a matrix lie in different banks. A warp has 16 rows of the left factor;
// lane l holds of each 16x8 tile of a product rows l/4 and l/4 + 8 and columns 2(l%4), 2(l%4) + 1.
#pragma once

#include "cuda/device.h"

namespace graft::cuda {

template <int Depth>
inline constexpr int kTilePitch = Depth + 8;

/** Starts rows 0..Rows-1 of a tile on their way; row_of(r) is where row r is, or NULL for zeros. */
template <int Threads, int Rows, int Depth, class T, class RowOf>
GRAFT_DEVICE void fetch_rows(T* tile, const T* any, RowOf&& row_of) {
  constexpr int packs = Depth / 8;
  for (int i = static_cast<int>(threadIdx.x); i < Rows * packs; i += Threads) {
    const int r = i / packs, c = i % packs * 8;
    const T* row = row_of(r);
    cp_async16(tile + r * kTilePitch<Depth> + c, row == nullptr ? any : row + c, row == nullptr ? 0 : 16);
  }
}

/** The fragments of `left`, 16 rows from `row` on and 16 columns from `k` on. */
template <int Depth, class T>
GRAFT_DEVICE void load_left(std::uint32_t (&a)[4], const T* tile, int row, int k) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  ldmatrix_x4(a, tile + (row + lane % 16) * kTilePitch<Depth> + k + lane / 16 * 8);
}

/** sums [16, 8·Tiles] += left [16, Depth] · rightᵀ, where right has 8·Tiles rows. */
template <int Depth, int Tiles, class T>
GRAFT_DEVICE void add_product_t(float (&sums)[Tiles][4], const T* left, int row, const T* right) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  GRAFT_UNROLL
  for (int k = 0; k < Depth; k += 16) {
    std::uint32_t a[4], b[4];
    load_left<Depth>(a, left, row, k);
    GRAFT_UNROLL
    for (int n = 0; n < Tiles; n += 2) {
      ldmatrix_x4(b, right + (n * 8 + lane / 16 * 8 + lane % 8) * kTilePitch<Depth> + k + lane / 8 % 2 * 8);
      mma_m16n8k16(T{}, sums[n], a, {b[0], b[1]});
      mma_m16n8k16(T{}, sums[n + 1], a, {b[2], b[3]});
    }
  }
}

/** sums [16, Depth] += left [16, 8·Tiles] · right, where right has 8·Tiles rows; left is a product as above, rounded to
 * T. */
template <int Depth, int Tiles, class T>
GRAFT_DEVICE void add_product(float (&sums)[Depth / 8][4], const float (&left)[Tiles][4], const T* right) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  GRAFT_UNROLL
  for (int k = 0; k < Tiles; k += 2) {
    const std::uint32_t a[4] = {pair_of<T>(left[k][0], left[k][1]), pair_of<T>(left[k][2], left[k][3]),
                                pair_of<T>(left[k + 1][0], left[k + 1][1]), pair_of<T>(left[k + 1][2], left[k + 1][3])};
    GRAFT_UNROLL
    for (int n = 0; n < Depth / 8; n += 2) {
      std::uint32_t b[4];
      ldmatrix_x4_trans(b, right + (k * 8 + lane % 16) * kTilePitch<Depth> + n * 8 + lane / 16 * 8);
      mma_m16n8k16(T{}, sums[n], a, {b[0], b[1]});
      mma_m16n8k16(T{}, sums[n + 1], a, {b[2], b[3]});
    }
  }
}

/** Two neighbours, the first at a multiple of 4 bytes. */
template <class T>
GRAFT_DEVICE void store_pair(T* to, float first, float second) {
  *reinterpret_cast<std::uint32_t*>(to) = pair_of<T>(first, second);
}

/** The sum, or the largest, of the four lanes that hold one row. */
GRAFT_DEVICE float quad_sum(float value) {
  value += __shfl_xor_sync(kWholeWarp, value, 1);
  return value + __shfl_xor_sync(kWholeWarp, value, 2);
}

GRAFT_DEVICE float quad_max(float value) {
  value = fmaxf(value, __shfl_xor_sync(kWholeWarp, value, 1));
  return fmaxf(value, __shfl_xor_sync(kWholeWarp, value, 2));
}

}  // namespace graft::cuda
