// Philox4x32-7 with SIMD, 16 bits for each element. A 64-bit lane holds one word of one block in its lower half, since
// the widening multiply reads only that half; the upper half is garbage until the end. Lane order is chosen so that
// interleaving the four words of all blocks puts them in the order of the elements. Four vectors at once hide the
// latency of the multiplies. About 7 instructions per round and vector: a sixth of a cycle per element with 512 bits.
#if defined(GRAFT_CPU_FAST_HALVES_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef GRAFT_CPU_FAST_HALVES_INL_H
#undef GRAFT_CPU_FAST_HALVES_INL_H
#else
#define GRAFT_CPU_FAST_HALVES_INL_H
#endif

#include <hwy/highway.h>

#include <cstdint>

#include "core/philox.h"
#include "cpu/fast/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace graft::cpu::fast::HWY_NAMESPACE {

#if HWY_TARGET != HWY_SCALAR
using D32 = hn::ScalableTag<std::uint32_t>;
using D64 = hn::ScalableTag<std::uint64_t>;
using D16 = hn::ScalableTag<std::uint16_t>;
using V32 = hn::Vec<D32>;
constexpr int kVectors = 4;

/** Blocks that one batch makes, of 8 elements each. */
HWY_INLINE std::int64_t batch_blocks() { return kVectors * static_cast<std::int64_t>(hn::Lanes(D64())); }

/** Calls take(halves, v) with the halves of elements 8·block + v·Lanes(D16) and following, for v = 0 to 2·kVectors - 1.
 */
template <class Take>
HWY_INLINE void batch(std::uint64_t seed, std::uint64_t block, Take&& take) {
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
    // why a mask: elements wrap at 2^64, so the block behind the last is block 0.
    const auto counter = hn::And(hn::Add(order, hn::Set(d64, block + static_cast<std::uint64_t>(v) * lanes)),
                                 hn::Set(d64, ~std::uint64_t{0} >> 3));
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
  for (int v = 0; v < kVectors; ++v) {
    const auto pair = [&](V32 even, V32 odd) {
      return hn::BitCast(d64, hn::OddEven(hn::BitCast(d32, hn::ShiftLeft<32>(hn::BitCast(d64, odd))), even));
    };
    const auto w01 = pair(c0[v], c1[v]), w23 = pair(c2[v], c3[v]);
    take(hn::BitCast(D16(), hn::InterleaveLower(d64, w01, w23)), 2 * v);
    take(hn::BitCast(D16(), hn::InterleaveUpper(d64, w01, w23)), 2 * v + 1);
  }
}

#endif

/** The halves of some neighbouring elements. */
class Halves {
 public:
  static constexpr std::int64_t kCount = 256;

  /** Makes those of elements first to first + kCount - 1, first being a multiple of 8. */
  HWY_INLINE void fill(std::uint64_t seed, std::uint64_t first) {
#if HWY_TARGET != HWY_SCALAR
    const D16 d;
    const std::int64_t lanes = static_cast<std::int64_t>(hn::Lanes(d)), blocks = batch_blocks();
    for (std::int64_t done = 0; done < kCount; done += 8 * blocks)
      batch(seed, (first + static_cast<std::uint64_t>(done)) >> 3,
            [&](auto some, int v) { hn::StoreU(some, d, halves_ + done + v * lanes); });
#else
    for (std::int64_t i = 0; i < kCount; ++i)
      halves_[i] = static_cast<std::uint16_t>(core::Philox::half(seed, first + static_cast<std::uint64_t>(i)));
#endif
  }

  /** v, each lane rounded by the half of element first + i + lane to bf16, but still in fp32: bf16::at_random. */
  HWY_INLINE VF round(VF v, std::int64_t i) const {
    const F d;
    const hn::RebindToUnsigned<F> d32;
    const hn::Rebind<std::uint16_t, F> d16;
    const auto random = hn::PromoteTo(d32, hn::LoadU(d16, halves_ + i));
    const auto sum = hn::And(hn::Add(hn::BitCast(d32, v), random), hn::Set(d32, 0xffff0000u));
    return hn::IfThenElse(hn::IsNaN(v), v, hn::BitCast(d, sum));
  }

 private:
  std::uint16_t halves_[kCount + HWY_MAX_BYTES / sizeof(std::uint16_t)] = {};  // vectors may reach over the end
};

}  // namespace graft::cpu::fast::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
