// Dropout as bits: which elements of a row are kept, made from their numbers whenever they are needed and never stored
// between calls.
#pragma once

#include <cstdint>

#include "graft/tensor.h"
#include "ops/lora.h"

namespace graft::cpu::fast {

/** Bytes that keep_bits writes, or that readers of it may touch, for so many elements. */
inline std::int64_t mask_bytes(std::int64_t count) { return (count + 7 + 255) / 256 * 32 + 16; }

/** Bit j of bits: element offset + first + j is kept. */
void keep_bits(const ops::Dropout& dropout, std::int64_t first, std::int64_t count, std::uint8_t* bits);

/** to[j] = from[j] where bit j is set, else 0; both of this dtype. */
void masked_copy(graft_dtype dtype, const void* from, const std::uint8_t* bits, std::int64_t count, void* to);

}  // namespace graft::cpu::fast
