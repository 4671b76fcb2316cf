// Products of a warpgroup (wgmma, sm_90a): C [64, N] += A [64, 16] · B [16, N] in bf16 with sums in fp32, issued by
// four warps together and made while they go on. B lies in shared memory, A too or in registers. PTX ISA, "Asynchronous
// Warpgroup Level Matrix Instructions".
//
// Warp w of the warpgroup has rows 16w … 16w+15; lane l of it, with g = l/4 and t = 2(l%4), has of row g the columns
// 8j+t, 8j+t+1 in sums[4j], sums[4j+1], and of row g+8 the same in the next two. An operand in shared memory is a
// swizzled tile (bulk.h) of 64 columns, 128 bytes a row:
//
//   along_k    a row for each row of A (column of B), 64 steps of the sum in it; 16 steps further are 32 bytes
//   across_k   a row for each step of the sum, 64 rows of A (columns of B) in it; 16 steps further are 2048 bytes
//
// Between a wgmma and the wait for its group neither its sums nor what it reads may be touched. wgmma_fence comes
// before the first one, and after each time that the sums (or A's registers) were touched; after threads have stored
// operands, fence_proxy_async.
#pragma once

#include <cstdint>

#include "cuda/device/barrier.h"
#include "cuda/device/numbers.h"

namespace graft::cuda {

enum class Major { kAlongK, kAcrossK };

/** A tile from `shared` on, whose swizzle begins at a multiple of 1024 bytes. across_k: `next` bytes lie between two
 * tiles of 64 columns. */
template <Major major>
GRAFT_DEVICE std::uint64_t operand(const void* shared, unsigned next = 16) {
#if defined(__CUDACC__)
  const unsigned address = shared_address(shared);
#else
  const unsigned address = emulator::window_offset(shared);
#endif
  const unsigned leading = major == Major::kAlongK ? 16 : next;
  return static_cast<std::uint64_t>(address >> 4 & 0x3fff) | static_cast<std::uint64_t>(leading >> 4 & 0x3fff) << 16 |
         std::uint64_t{1024 >> 4} << 32 | std::uint64_t{1} << 62;
}

/** The operand so many steps of 16 further along the sum. */
template <Major major>
GRAFT_DEVICE std::uint64_t steps_further(std::uint64_t of, int steps) {
  return of + static_cast<std::uint64_t>(steps * (major == Major::kAlongK ? 32 >> 4 : 2048 >> 4));
}

/** Where byte 0..127 of a row lies in a swizzled tile that begins at a multiple of 1024 bytes. */
GRAFT_DEVICE int swizzled(int row, int byte) { return row * 128 + (byte ^ (row & 7) << 4); }

#if defined(__CUDACC__)
#define GRAFT_WGMMA_32                                                                                 \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21" \
  ", %22, %23, %24, %25, %26, %27, %28, %29, %30, %31"
#define GRAFT_WGMMA_64                                                                                   \
  ", %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, %48, %49, %50, %51" \
  ", %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63"
#define GRAFT_WGMMA_128                                                                                  \
  ", %64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, %80, %81, %82, %83" \
  ", %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, %96, %97, %98, %99, %100, %101, %102"   \
  ", %103, %104, %105, %106, %107, %108, %109, %110, %111, %112, %113, %114, %115, %116, %117, %118"     \
  ", %119, %120, %121, %122, %123, %124, %125, %126, %127"
#define GRAFT_OUT_4(c, i) "+f"(c[i]), "+f"(c[i + 1]), "+f"(c[i + 2]), "+f"(c[i + 3])
#define GRAFT_OUT_16(c, i) GRAFT_OUT_4(c, i), GRAFT_OUT_4(c, i + 4), GRAFT_OUT_4(c, i + 8), GRAFT_OUT_4(c, i + 12)
#define GRAFT_OUT_32(c, i) GRAFT_OUT_16(c, i), GRAFT_OUT_16(c, i + 16)
#define GRAFT_OUT_64(c, i) GRAFT_OUT_32(c, i), GRAFT_OUT_32(c, i + 32)

// A and B from shared memory: registers, then the numbers of what follows them.
#define GRAFT_WGMMA(n, registers, a, b, add, a_across, b_across, ...)                                                \
  asm volatile(                                                                                                      \
      "{\n"                                                                                                          \
      ".reg .pred p;\n"                                                                                              \
      "setp.ne.b32 p, %" add                                                                                         \
      ", 0;\n"                                                                                                       \
      "wgmma.mma_async.sync.aligned.m64n" n "k16.f32.bf16.bf16 {" registers "}, %" a ", %" b ", p, 1, 1, %" a_across \
      ", %" b_across                                                                                                 \
      ";\n"                                                                                                          \
      "}"                                                                                                            \
      : __VA_ARGS__                                                                                                  \
      : "l"(left), "l"(right), "r"(static_cast<int>(keep)), "n"(static_cast<int>(a_major)),                          \
        "n"(static_cast<int>(b_major)))

// A from registers.
#define GRAFT_WGMMA_A(n, registers, a0, a1, a2, a3, b, add, b_across, ...)                                        \
  asm volatile(                                                                                                   \
      "{\n"                                                                                                       \
      ".reg .pred p;\n"                                                                                           \
      "setp.ne.b32 p, %" add                                                                                      \
      ", 0;\n"                                                                                                    \
      "wgmma.mma_async.sync.aligned.m64n" n "k16.f32.bf16.bf16 {" registers "}, {%" a0 ", %" a1 ", %" a2 ", %" a3 \
      "}, %" b ", p, 1, 1, %" b_across                                                                            \
      ";\n"                                                                                                       \
      "}"                                                                                                         \
      : __VA_ARGS__                                                                                               \
      : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "l"(right), "r"(static_cast<int>(keep)),          \
        "n"(static_cast<int>(b_major)))
#else
/** Element (row of A or column of B, step of the sum) of an operand in shared memory, as the async proxy sees it. */
inline float element_of(std::uint64_t of, Major major, int i, int k) {
  const auto field = [&](int bit) { return static_cast<std::uintptr_t>(of >> bit & 0x3fff) << 4; };
  const std::uintptr_t row = static_cast<std::uintptr_t>(major == Major::kAlongK ? i : k);
  std::uintptr_t at = emulator::window() + field(0) + row / 8 * field(32) + row % 8 * 128;
  at += major == Major::kAlongK
            ? static_cast<std::uintptr_t>(2 * k)
            : static_cast<std::uintptr_t>(i / 64) * field(16) + static_cast<std::uintptr_t>(i % 64 * 2);
  at ^= (at >> 7 & 7) << 4;
  emulator::require_in_window(at, 2);
  (void)*reinterpret_cast<const volatile std::uint16_t*>(at);  // so that the sanitizers see who reads what
  return to_float(bf16{*reinterpret_cast<const volatile std::uint16_t*>(at + emulator::async_view())});
}

/** What the four tensor cores make of one warp's share, in order of k. */
template <int Count, Major a_major, Major b_major>
void land_product(const emulator::WarpProduct& p) {
  constexpr int columns = 2 * Count;
  float a[16][16], b[16][columns];
  for (int k = 0; k < 16; ++k) {
    for (int i = 0; i < 16; ++i) {
      const int lane = i % 8 * 4 + k % 8 / 2, word = i / 8 + 2 * (k / 8);
      a[i][k] = p.a_in_registers
                    ? to_float(bf16{static_cast<std::uint16_t>(p.a_registers[lane][word] >> (16 * (k % 2)))})
                    : element_of(p.a, a_major, 16 * p.warp_of_group + i, k);
    }
    for (int j = 0; j < columns; ++j) b[k][j] = element_of(p.b, b_major, j, k);
  }
  for (int lane = 0; lane < 32; ++lane) {
    for (int c = 0; c < Count; ++c) {
      const int row = lane / 4 + c % 4 / 2 * 8, column = c / 4 * 8 + lane % 4 * 2 + c % 2;
      float sum = p.keep ? p.sums[lane][c] : 0;
      for (int k = 0; k < 16; ++k) sum += a[row][k] * b[k][column];
      p.sums[lane][c] = sum;
    }
  }
}
#endif

/** Before the first wgmma on these sums, and after each time that they were touched. */
template <int Count>
GRAFT_DEVICE void wgmma_fence(float (&sums)[Count]) {
#if defined(__CUDACC__)
  GRAFT_UNROLL
  for (int i = 0; i < Count; ++i) asm volatile("" : "+f"(sums[i])::"memory");
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#else
  emulator::fence_sums(sums, Count);
#endif
}

/** sums = (keep: sums +) A·B, over 16 steps. All threads of the warpgroup call. */
template <Major a_major, Major b_major, int Count>
GRAFT_DEVICE void wgmma(float (&sums)[Count], std::uint64_t left, std::uint64_t right, bool keep GRAFT_WHERE) {
  static_assert(Count == 32 || Count == 64 || Count == 128, "N is 64, 128 or 256");
#if defined(__CUDACC__)
  if constexpr (Count == 32)
    GRAFT_WGMMA("64", GRAFT_WGMMA_32, "32", "33", "34", "35", "36", GRAFT_OUT_32(sums, 0));
  else if constexpr (Count == 64)
    GRAFT_WGMMA("128", GRAFT_WGMMA_32 GRAFT_WGMMA_64, "64", "65", "66", "67", "68", GRAFT_OUT_64(sums, 0));
  else
    GRAFT_WGMMA("256", GRAFT_WGMMA_32 GRAFT_WGMMA_64 GRAFT_WGMMA_128, "128", "129", "130", "131", "132",
                GRAFT_OUT_64(sums, 0), GRAFT_OUT_64(sums, 64));
#else
  emulator::start_product({land_product<Count, a_major, b_major>, left, right, keep, false, nullptr}, sums, Count,
                          where);
#endif
}

/** The same with A in registers, a pair of bf16 each: rows g, g+8 of columns t, t+1, then of columns t+8, t+9. */
template <Major b_major, int Count>
GRAFT_DEVICE void wgmma(float (&sums)[Count], const std::uint32_t (&left)[4], std::uint64_t right,
                        bool keep GRAFT_WHERE) {
  static_assert(Count == 32 || Count == 64, "N is 64 or 128");
#if defined(__CUDACC__)
  if constexpr (Count == 32)
    GRAFT_WGMMA_A("64", GRAFT_WGMMA_32, "32", "33", "34", "35", "36", "37", "38", GRAFT_OUT_32(sums, 0));
  else
    GRAFT_WGMMA_A("128", GRAFT_WGMMA_32 GRAFT_WGMMA_64, "64", "65", "66", "67", "68", "69", "70",
                  GRAFT_OUT_64(sums, 0));
#else
  emulator::start_product({land_product<Count, Major::kAlongK, b_major>, 0, right, keep, true, left}, sums, Count,
                          where);
#endif
}

/** The products since the last commit are one group. */
GRAFT_DEVICE void wgmma_commit() {
#if defined(__CUDACC__)
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
#else
  emulator::commit_products();
#endif
}

/** Waits until at most the last N groups are still under way. */
template <int N, int Count>
GRAFT_DEVICE void wgmma_wait([[maybe_unused]] float (&sums)[Count] GRAFT_WHERE) {
#if defined(__CUDACC__)
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(N) : "memory");
  GRAFT_UNROLL
  for (int i = 0; i < Count; ++i) asm volatile("" : "+f"(sums[i])::"memory");
#else
  emulator::wait_products(N, where);
#endif
}

#if defined(__CUDACC__)
#undef GRAFT_WGMMA
#undef GRAFT_WGMMA_A
#undef GRAFT_WGMMA_32
#undef GRAFT_WGMMA_64
#undef GRAFT_WGMMA_128
#undef GRAFT_OUT_4
#undef GRAFT_OUT_16
#undef GRAFT_OUT_32
#undef GRAFT_OUT_64
#endif

}  // namespace graft::cuda
