// Tensor cores: 8x8 tiles of 16-bit numbers from shared memory into the registers of a warp, and C += A·B of one
// 16x8 tile over 16. A whole warp calls. Lane l has row g = l/4 and columns t = 2(l%4), t+1 of each tile.
#pragma once

#include "cuda/device/language.h"
#include "cuda/device/numbers.h"

#if !defined(__CUDACC__)
#include <source_location>
#define GRAFT_WHERE , std::source_location where = std::source_location::current()
#else
#define GRAFT_WHERE
#endif

namespace graft::cuda {

#if !defined(__CUDACC__)
// Every lane reads the row that it names, so that the sanitizers see who reads what.
template <int Tiles, bool Transposed>
void load_tiles(std::uint32_t* r, const void* row, const char* what, std::source_location where) {
  const int lane = emulator::here->lane;
  std::uint32_t mine[4] = {}, all[32 * 4];
  if (lane < 8 * Tiles) {
    emulator::require_aligned(row, 16, what);
    for (int i = 0; i < 4; ++i) mine[i] = static_cast<const volatile std::uint32_t*>(row)[i];
  }
  emulator::gather(kWholeWarp, what, mine, 4, all, where);
  const auto element = [&](int tile, int i, int j) {
    return all[(8 * tile + i) * 4 + j / 2] >> (16 * (j % 2)) & 0xffffu;
  };
  const int g = lane / 4, t = 2 * (lane % 4);
  for (int tile = 0; tile < Tiles; ++tile)
    r[tile] = Transposed ? element(tile, t, g) | element(tile, t + 1, g) << 16
                         : element(tile, g, t) | element(tile, g, t + 1) << 16;
}
#endif

/** Register i gets tile i, whose eight rows of 16 bytes begin at `row` of lanes 8i … 8i+7. */
GRAFT_DEVICE void ldmatrix_x4(std::uint32_t (&r)[4], const void* row GRAFT_WHERE) {
#if defined(__CUDACC__)
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(static_cast<unsigned>(__cvta_generic_to_shared(row)))
               : "memory");
#else
  load_tiles<4, false>(r, row, "ldmatrix_x4", where);
#endif
}

GRAFT_DEVICE void ldmatrix_x2(std::uint32_t (&r)[2], const void* row GRAFT_WHERE) {
#if defined(__CUDACC__)
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
               : "=r"(r[0]), "=r"(r[1])
               : "r"(static_cast<unsigned>(__cvta_generic_to_shared(row)))
               : "memory");
#else
  load_tiles<2, false>(r, row, "ldmatrix_x2", where);
#endif
}

/** The same with each tile transposed. */
GRAFT_DEVICE void ldmatrix_x4_trans(std::uint32_t (&r)[4], const void* row GRAFT_WHERE) {
#if defined(__CUDACC__)
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(static_cast<unsigned>(__cvta_generic_to_shared(row)))
               : "memory");
#else
  load_tiles<4, true>(r, row, "ldmatrix_x4_trans", where);
#endif
}

GRAFT_DEVICE void ldmatrix_x2_trans(std::uint32_t (&r)[2], const void* row GRAFT_WHERE) {
#if defined(__CUDACC__)
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
               : "=r"(r[0]), "=r"(r[1])
               : "r"(static_cast<unsigned>(__cvta_generic_to_shared(row)))
               : "memory");
#else
  load_tiles<2, true>(r, row, "ldmatrix_x2_trans", where);
#endif
}

#if !defined(__CUDACC__)
template <class T>
void multiply_tile(float (&c)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2],
                   std::source_location where) {
  std::uint32_t mine[6] = {a[0], a[1], a[2], a[3], b[0], b[1]}, all[32 * 6];
  emulator::gather(kWholeWarp, "mma_m16n8k16", mine, 6, all, where);
  const auto number = [&](int lane, int word, int half) {
    return to_float(T{static_cast<std::uint16_t>(all[lane * 6 + word] >> (16 * half))});
  };
  const int lane = emulator::here->lane, g = lane / 4, t = 2 * (lane % 4);
  for (int i = 0; i < 4; ++i) {
    const int row = g + 8 * (i / 2), column = t + i % 2;
    for (int k = 0; k < 16; ++k)
      c[i] += number(row % 8 * 4 + k % 8 / 2, row / 8 + 2 * (k / 8), k % 2) *
              number(column * 4 + k % 8 / 2, 4 + k / 8, k % 2);
  }
}
#endif

/** C [16, 8] += A [16, 16] · B [16, 8], C in fp32. Registers: a = rows g, g+8 (a[0], a[1]) of columns t, t+1, and again
 * of columns t+8, t+9 (a[2], a[3]); b = rows t, t+1 (b[0]) and t+8, t+9 (b[1]) of column g; c = row g, then g+8, of
 * columns t, t+1. */
GRAFT_DEVICE void mma_m16n8k16(bf16, float (&c)[4], const std::uint32_t (&a)[4],
                               const std::uint32_t (&b)[2] GRAFT_WHERE) {
#if defined(__CUDACC__)
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
  multiply_tile<bf16>(c, a, b, where);
#endif
}

GRAFT_DEVICE void mma_m16n8k16(f16, float (&c)[4], const std::uint32_t (&a)[4],
                               const std::uint32_t (&b)[2] GRAFT_WHERE) {
#if defined(__CUDACC__)
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
  multiply_tile<f16>(c, a, b, where);
#endif
}

}  // namespace graft::cuda
