// Philox4x32-7 with SIMD, 16 bits for each element. A 64-bit lane holds one word of one block in its lower half, since
// the widening multiply reads only that half; the upper half is garbage until the end. Lane order is chosen so that
// interleaving the four words of all blocks puts them in the order of the elements. Four vectors at once hide the
// latency of the multiplies. About 7 instructions per round and vector: a sixth of a cycle per element with 512 bits.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/fast/dropout.cpp"
#include <hwy/foreach_target.h>
// why: foreach_target includes this file again for each instruction set; it must come before what follows.
#include <hwy/highway.h>

#include <cstring>

#include "core/philox.h"
#include "cpu/fast/dropout.h"

HWY_BEFORE_NAMESPACE();
namespace graft::cpu::fast::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET != HWY_SCALAR
using D32 = hn::ScalableTag<std::uint32_t>;
using D64 = hn::ScalableTag<std::uint64_t>;
using V32 = hn::Vec<D32>;
constexpr int kVectors = 4;

// Bits of half > bound for the elements of kVectors·Lanes(D64) blocks from `block` on.
HWY_INLINE void batch(std::uint64_t seed, std::uint64_t block, std::uint32_t bound, std::uint8_t* bits) {
  const hn::ScalableTag<std::uint16_t> d16;
  const D32 d32;
  const D64 d64;
  const std::size_t lanes = hn::Lanes(d64);
  const auto order = [&] {  // lane 2i: block i; lane 2i+1: block lanes/2 + i
    const auto i = hn::Iota(d64, 0);
    const auto half = hn::ShiftRight<1>(i);
    return hn::OddEven(hn::Add(half, hn::Set(d64, lanes / 2)), half);
  }();
  using Philox = core::Philox;
  const V32 m0 = hn::Set(d32, Philox::kMultiplier0), m1 = hn::Set(d32, Philox::kMultiplier1);
  const auto high = [&](auto product) { return hn::BitCast(d32, hn::ShiftRight<32>(product)); };
  std::uint32_t k0 = static_cast<std::uint32_t>(seed), k1 = static_cast<std::uint32_t>(seed >> 32);
  V32 c0[kVectors], c1[kVectors], c2[kVectors], c3[kVectors];
  for (int v = 0; v < kVectors; ++v) {
    // The first round: two words of the counter are 0.
    const auto counter = hn::Add(order, hn::Set(d64, block + static_cast<std::uint64_t>(v) * lanes));
    const auto product = hn::MulEven(hn::BitCast(d32, counter), m0);
    c0[v] = hn::Xor(high(counter), hn::Set(d32, k0));
    c1[v] = hn::Zero(d32);
    c2[v] = hn::Xor(high(product), hn::Set(d32, k1));
    c3[v] = hn::BitCast(d32, product);
  }
  for (int round = 1; round < Philox::kDropoutRounds; ++round) {
    k0 += Philox::kWeyl0;
    k1 += Philox::kWeyl1;
    const V32 key0 = hn::Set(d32, k0), key1 = hn::Set(d32, k1);
    for (int v = 0; v < kVectors; ++v) {
      const auto product0 = hn::MulEven(c0[v], m0), product1 = hn::MulEven(c2[v], m1);
      c0[v] = hn::Xor3(high(product1), c1[v], key0);
      c1[v] = hn::BitCast(d32, product1);
      c2[v] = hn::Xor3(high(product0), c3[v], key1);
      c3[v] = hn::BitCast(d32, product0);
    }
  }
  const auto limit = hn::Set(d16, static_cast<std::uint16_t>(bound));
  for (int v = 0; v < kVectors; ++v) {
    const auto pair = [&](V32 even, V32 odd) {
      return hn::BitCast(d64, hn::OddEven(hn::BitCast(d32, hn::ShiftLeft<32>(hn::BitCast(d64, odd))), even));
    };
    const auto w01 = pair(c0[v], c1[v]), w23 = pair(c2[v], c3[v]);
    const auto lower = hn::Gt(hn::BitCast(d16, hn::InterleaveLower(d64, w01, w23)), limit);
    const auto upper = hn::Gt(hn::BitCast(d16, hn::InterleaveUpper(d64, w01, w23)), limit);
    hn::StoreMaskBits(d16, lower, bits);
    hn::StoreMaskBits(d16, upper, bits + lanes / 2);
    bits += lanes;
  }
}

void bits_of(std::uint64_t seed, std::uint64_t first, std::int64_t count, std::uint32_t bound, std::uint8_t* bits) {
  const std::uint64_t shift = first & 7;
  const std::int64_t blocks = kVectors * static_cast<std::int64_t>(hn::Lanes(D64()));
  std::uint8_t* out = bits;
  std::uint64_t block = first >> 3;
  const std::int64_t wanted = count + static_cast<std::int64_t>(shift);
  for (std::int64_t done = 0; done < wanted; done += 8 * blocks, block += blocks, out += blocks)
    batch(seed, block, bound, out);
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
