// Tiles of 16 by 16 sums (AMX): whether there are any, and how a scope takes them.
#pragma once

#include <cstdint>

#if defined(__x86_64__) && defined(__linux__)
#include <immintrin.h>
#define GRAFT_BF16_TILES [[gnu::target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,amx-tile,amx-bf16")]]
#else
#define GRAFT_BF16_TILES
#endif

namespace graft::cpu::fast {

inline constexpr std::int64_t kSide = 16;                  // rows of a tile, and words of a row
inline constexpr std::int64_t kTileWords = kSide * kSide;  // of a tile
inline constexpr int kTileRowBytes = 64;

/** Whether this processor has bf16 tiles and the system lets this process use them. */
bool has_bf16_tiles();

/** Eight whole tiles, until the end of the scope; nothing where there are none. */
class WholeTiles {
 public:
  WholeTiles();
  ~WholeTiles();
  WholeTiles(const WholeTiles&) = delete;
  WholeTiles& operator=(const WholeTiles&) = delete;

 private:
  struct alignas(64) Configuration {
    std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
    std::uint16_t row_bytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
    std::uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
  };
  // why restored: the GEMM library may take its own tiles for granted between its calls on this thread.
  Configuration before_;
};

/** To be called between plain stores and tile loads of the same memory. why: the compiler's tile loads do not say that
 * they read memory. */
inline void written() { asm volatile("" ::: "memory"); }

}  // namespace graft::cpu::fast
