// Large blocks come straight from the system: zeroed by it, so that nothing writes them twice, and in pages of 2 MiB
// where it has them, so that filling one faults 512 times less.
#pragma once

#include <cstdint>

namespace graft::core {

/** Zeroed memory at a multiple of 2 MiB; null where the block is small, or the system refuses. */
void* map_large(std::int64_t bytes);

/** Gives a block of map_large back; false where the memory is none. */
bool unmap_large(void* memory) noexcept;

}  // namespace graft::core
