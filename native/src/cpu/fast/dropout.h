// Dropout as bits: which elements of a row are kept, made from their numbers whenever they are needed and never stored
// between calls.
#pragma once

#include <cstdint>

#include "cpu/fast/skinny.h"
#include "graft/tensor.h"
#include "ops/lora.h"

namespace graft::cpu::fast {

/** Bytes that keep_part writes for a row, or that readers of it may touch, for so many elements. */
inline std::int64_t mask_bytes(std::int64_t count) { return (count + 7 + 255) / 256 * 32 + 16; }

/** Bits of a part of a matrix, which begins at this row and column and whose whole rows have so many elements; they
 * fill mask_bytes(part.columns) for each row. The part is on its way to the cache when they are made. */
Keep keep_part(const ops::Dropout& dropout, const Matrix& part, std::int64_t row, std::int64_t column,
               std::int64_t whole, std::uint8_t* bits);

}  // namespace graft::cpu::fast
