// A block's tile of the skinny passes: 64 rows and 256 bytes of columns of a large matrix in shared memory, thin ones
// beside it, and the sums of both that its 4 warps make, which skinny.cu puts together.
#pragma once

#include <type_traits>

#include "cuda/device.h"
#include "cuda/kernels/dropout.h"
#include "cuda/kernels/piece.h"
#include "cuda/kernels/segment_table.h"
#include "cuda/kernels/thin.h"

namespace graft::cuda::skinny {

constexpr int kTileThreads = 128;

/** The sizes of tiles in shared memory for elements T and a rank of up to 8·RankTiles. */
template <class T, int RankTiles>
struct Tile {
  static constexpr int kColumns = 256 / sizeof(T), kRank = 8 * RankTiles;
  static constexpr int kPitch = kColumns + 16 / sizeof(T), kThinPitch = kRank + 16 / sizeof(T);
  static constexpr int kX = kTileRows * kPitch, kRight = kColumns * kThinPitch, kLeft = kTileRows * kThinPitch;
  static constexpr std::size_t kBytes = 2 * (kX + kRight + kLeft) * sizeof(T);
};

template <class T>
struct Large {
  const T* data;
  std::int64_t pitch, rows, columns;
  bool packs;  // every row begins at a multiple of 16 bytes
};

/** Drops elements of what this thread itself has fetched. */
template <class T, int RankTiles>
GRAFT_DEVICE void drop_tile(const Large<T>& x, const Mask& mask, std::int64_t row0, std::int64_t column0, T* tile) {
  using Shape = Tile<T, RankTiles>;
  constexpr int width = Pack<T>::kSize, packs = Shape::kColumns / width;
  for (int i = static_cast<int>(threadIdx.x); i < kTileRows * packs; i += kTileThreads) {
    const int r = i / packs, c = i % packs * width;
    T* const at = tile + r * Shape::kPitch + c;
    const unsigned keep = mask.keeps<width>((row0 + r) * x.columns + column0 + c);
    Pack<T> pack = load_pack(at);
    for (int k = 0; k < width; ++k)
      if ((keep >> k & 1) == 0) pack.at[k] = T{};
    store_pack(at, pack);
  }
}

template <class T, int RankTiles>
GRAFT_DEVICE void fetch_thin(const Thin& thin, std::int64_t first, int count, T* to) {
  using Shape = Tile<T, RankTiles>;
  for (int i = static_cast<int>(threadIdx.x); i < count * Shape::kRank; i += kTileThreads)
    to[i / Shape::kRank * Shape::kThinPitch + i % Shape::kRank] =
        from_float<T>(thin.at(first + i / Shape::kRank, i % Shape::kRank));
}

/** sums [16 rows of the warp, rank] += x · right. */
template <class T, int RankTiles>
GRAFT_DEVICE void add_rows(const T* x, const T* right, float (&sums)[RankTiles][4]) {
  using Shape = Tile<T, RankTiles>;
  const int thread = static_cast<int>(threadIdx.x), lane = thread % 32, warp = thread / 32;
  if constexpr (std::is_same_v<T, float>) {
    const int row = thread / 2, half = thread % 2 * Shape::kRank / 2;
    for (int c = 0; c < Shape::kColumns; ++c) {
      const float value = x[row * Shape::kPitch + c];
      for (int j = 0; j < Shape::kRank / 2; ++j) sums[j / 4][j % 4] += value * right[c * Shape::kThinPitch + half + j];
    }
  } else {
    for (int c = 0; c < Shape::kColumns; c += 16) {
      std::uint32_t a[4], b[2];
      ldmatrix_x4(a, x + (warp * 16 + lane % 16) * Shape::kPitch + c + lane / 16 * 8);
      GRAFT_UNROLL
      for (int n = 0; n < RankTiles; ++n) {
        ldmatrix_x2_trans(b, right + (c + lane % 16) * Shape::kThinPitch + n * 8);
        mma_m16n8k16(T{}, sums[n], a, b);
      }
    }
  }
}

/** sums [32 columns of the warp, rank] += xᵀ · left. */
template <class T, int RankTiles>
GRAFT_DEVICE void add_columns(const T* x, const T* left, float (&sums)[2][RankTiles][4]) {
  using Shape = Tile<T, RankTiles>;
  const int thread = static_cast<int>(threadIdx.x), lane = thread % 32, warp = thread / 32;
  if constexpr (std::is_same_v<T, float>) {
    const int column = thread / 2, half = thread % 2 * Shape::kRank / 2;
    for (int t = 0; t < kTileRows; ++t) {
      const float value = x[t * Shape::kPitch + column];
      for (int j = 0; j < Shape::kRank / 2; ++j)
        sums[0][j / 4][j % 4] += value * left[t * Shape::kThinPitch + half + j];
    }
  } else {
    for (int t = 0; t < kTileRows; t += 16) {
      std::uint32_t a[2][4], b[2];
      for (int m = 0; m < 2; ++m)
        ldmatrix_x4_trans(a[m],
                          x + (t + lane % 8 + lane / 16 * 8) * Shape::kPitch + warp * 32 + m * 16 + lane / 8 % 2 * 8);
      GRAFT_UNROLL
      for (int n = 0; n < RankTiles; ++n) {
        ldmatrix_x2_trans(b, left + (t + lane % 16) * Shape::kThinPitch + n * 8);
        for (int m = 0; m < 2; ++m) mma_m16n8k16(T{}, sums[m][n], a[m], b);
      }
    }
  }
}

/** Calls store(row or column within the warp's share or the tile, j, value) for what this thread holds of sums. */
template <class T, int RankTiles, class Store>
GRAFT_DEVICE void for_sums(const float (&sums)[RankTiles][4], int base, Store&& store) {
  const int thread = static_cast<int>(threadIdx.x), lane = thread % 32;
  for (int n = 0; n < RankTiles; ++n) {
    for (int i = 0; i < 4; ++i) {
      if constexpr (std::is_same_v<T, float>) {
        store(thread / 2, thread % 2 * RankTiles * 4 + n * 4 + i, sums[n][i]);
      } else {
        store(base + lane / 4 + i / 2 * 8, n * 8 + lane % 4 * 2 + i % 2, sums[n][i]);
      }
    }
  }
}

}  // namespace graft::cuda::skinny
