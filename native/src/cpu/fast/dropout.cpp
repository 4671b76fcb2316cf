// Dropout's bits: an element is kept where its 16 random bits are above a bound.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/fast/dropout.cpp"
#include <hwy/foreach_target.h>
// why: foreach_target includes this file again for each instruction set; it must come before what follows.
#include <cstring>

#include "cpu/fast/dropout.h"
#include "cpu/fast/halves-inl.h"

HWY_BEFORE_NAMESPACE();
namespace graft::cpu::fast::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET != HWY_SCALAR

void bits_of(std::uint64_t seed, std::uint64_t first, std::int64_t count, std::uint32_t bound, std::uint8_t* bits) {
  const std::uint64_t shift = first & 7;
  const D16 d;
  const auto limit = hn::Set(d, static_cast<std::uint16_t>(bound));
  const std::int64_t blocks = batch_blocks(), lanes = static_cast<std::int64_t>(hn::Lanes(d));
  std::uint8_t* out = bits;
  std::uint64_t block = first >> 3;
  const std::int64_t wanted = count + static_cast<std::int64_t>(shift);
  for (std::int64_t done = 0; done < wanted; done += 8 * blocks, block += blocks, out += blocks)
    batch(seed, block, [&](auto halves, int v) { hn::StoreMaskBits(d, hn::Gt(halves, limit), out + v * lanes / 8); });
  if (shift == 0) return;
  *out = 0;
  for (std::uint8_t* byte = bits; byte < out; ++byte)
    *byte = static_cast<std::uint8_t>(*byte >> shift | byte[1] << (8 - shift));
}

#else

void bits_of(std::uint64_t seed, std::uint64_t first, std::int64_t count, std::uint32_t bound, std::uint8_t* bits) {
  std::memset(bits, 0, static_cast<std::size_t>(mask_bytes(count)));
  for (std::int64_t i = 0; i < count; ++i)
    if (core::Philox::half(seed, first + static_cast<std::uint64_t>(i)) > bound)
      bits[i / 8] = static_cast<std::uint8_t>(bits[i / 8] | 1 << (i % 8));
}

#endif

}  // namespace graft::cpu::fast::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace graft::cpu::fast {
HWY_EXPORT(bits_of);

namespace {

constexpr std::int64_t kLine = 64;

// Bit j of bits: element offset + first + j is kept.
void keep_bits(const ops::Dropout& dropout, std::int64_t first, std::int64_t count, std::uint8_t* bits) {
  const std::uint32_t least = dropout.bound();
  if (least == 0 || least > 0xffff) {
    std::memset(bits, least == 0 ? 0xff : 0, static_cast<std::size_t>(mask_bytes(count)));
    return;
  }
  HWY_DYNAMIC_DISPATCH(bits_of)
  (dropout.seed, dropout.offset + static_cast<std::uint64_t>(first), count, least - 1, bits);
}

}  // namespace

Keep keep_part(const ops::Dropout& dropout, const Matrix& part, std::int64_t row, std::int64_t column,
               std::int64_t whole, std::uint8_t* bits) {
  const std::int64_t pitch = mask_bytes(part.columns), bytes = graft_dtype_bytes(part.dtype);
  const char* data = static_cast<const char*>(part.data);
  for (std::int64_t t = 0; t < part.rows; ++t) {
    // why: bits are arithmetic alone; memory has nothing else to do.
    for (std::int64_t at = 0; at < part.columns * bytes; at += kLine)
      __builtin_prefetch(data + t * part.row_stride * bytes + at, 0, 2);
    keep_bits(dropout, (row + t) * whole + column, part.columns, bits + t * pitch);
  }
  return {bits, pitch};
}

}  // namespace graft::cpu::fast
#endif
