#include "cpu/fast/amx.h"

#include "cpu/isa.h"

#if defined(__x86_64__) && defined(__linux__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cpu/fast/skinny_bf16.h"

namespace graft::cpu::fast {
namespace {

bool find_tiles() {
  constexpr unsigned kOsSavesRegisters = 1u << 27, kTile24 = 1u << 24, kBf16 = 1u << 22, kTileState = 3u << 17;
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  unsigned a, b, c, d;
  if (!allowed(core::Isa::kAmx) || !has_bf16_pairs() || __get_cpuid(1, &a, &b, &c, &d) == 0 ||
      (c & kOsSavesRegisters) == 0)
    return false;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0 || (d & kTile24) == 0 || (d & kBf16) == 0) return false;
  unsigned low, high;
  asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (low & kTileState) == kTileState && syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

// why only around the two instructions: whatever else stood in a function for AMX would be compiled to AVX-512, which
// the processors without tiles do not have, and WholeTiles is constructed on these too.
GRAFT_BF16_TILES void store_tiles(void* configuration) { _tile_storeconfig(configuration); }
GRAFT_BF16_TILES void load_tiles(const void* configuration) { _tile_loadconfig(configuration); }

}  // namespace

bool has_bf16_tiles() {
  static const bool has = find_tiles();
  return has;
}

WholeTiles::WholeTiles() {
  static const Configuration whole;
  if (!has_bf16_tiles()) return;
  store_tiles(&before_);
  load_tiles(&whole);
}

WholeTiles::~WholeTiles() {
  if (has_bf16_tiles()) load_tiles(&before_);
}

}  // namespace graft::cpu::fast

#else

namespace graft::cpu::fast {
bool has_bf16_tiles() { return false; }
WholeTiles::WholeTiles() = default;
WholeTiles::~WholeTiles() = default;
}  // namespace graft::cpu::fast

#endif
