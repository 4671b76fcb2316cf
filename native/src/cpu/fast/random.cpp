// random with SIMD and threads: whole Philox blocks of four words into a small buffer,
// numbers from them in double, then one rounding to y's dtype. Uniform numbers are the reference's bits; normal ones
// differ by the last bits of the vector logarithm, sine and cosine. Integer work: 20 multiplications of 32 bits per
// element.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/fast/random.cpp"
#include <hwy/foreach_target.h>
// why: foreach_target includes this file again for each instruction set; it must come before what follows.
#include <hwy/contrib/math/math-inl.h>

#include <algorithm>
#include <array>
#include <numbers>

#include "core/context.h"
#include "core/narrow.h"
#include "core/philox.h"
#include "cpu/fast/elements.h"
#include "cpu/fast/simd-inl.h"
#include "cpu/fast/visit.h"
#include "ops/random.h"

HWY_BEFORE_NAMESPACE();
namespace graft::cpu::fast::HWY_NAMESPACE {

constexpr std::int64_t kRandomBuffer = 256;  // elements; a multiple of 4 and of every vector

/** buffer[i] = word(first + i)·2⁻³² for a first that is a multiple of 4. The element wraps at 2^64, not the block. */
void random_words(std::uint64_t seed, std::uint64_t first, double* buffer) {
  for (std::int64_t block = 0; block < kRandomBuffer / 4; ++block) {
    const std::array<std::uint32_t, 4> words =
        core::Philox::block(seed, (first + 4 * static_cast<std::uint64_t>(block)) >> 2);
    for (int w = 0; w < 4; ++w) buffer[4 * block + w] = words[static_cast<std::size_t>(w)] * 0x1p-32;
  }
}

/** Box-Muller in place: each even place and its odd neighbour become the two normal numbers of the pair. */
void random_box_muller(double* buffer) {
  const hn::ScalableTag<double> d;
  const std::int64_t lanes = static_cast<std::int64_t>(hn::Lanes(d));
  for (std::int64_t i = 0; i < kRandomBuffer; i += 2 * lanes) {
    hn::Vec<decltype(d)> u, v;
    hn::LoadInterleaved2(d, buffer + i, u, v);
    const auto log = hn::Log(d, hn::Add(u, hn::Set(d, 0x1p-32)));
    const auto radius = hn::Sqrt(hn::Max(hn::Mul(hn::Set(d, -2.0), log), hn::Zero(d)));
    const auto angle = hn::Mul(hn::Set(d, 2 * std::numbers::pi), v);
    hn::StoreInterleaved2(hn::Mul(radius, hn::Cos(d, angle)), hn::Mul(radius, hn::Sin(d, angle)), d, buffer + i);
  }
}

/** y = number(u or z, y) for the elements offset, offset + 1, … of the stream. */
template <class Number>
void random_fill(core::Context& context, std::uint64_t seed, std::uint64_t offset, bool normal, const graft_tensor& y,
                 const Number& number) {
  const Elements<1> elements({&y});
  visit_small_float(y.dtype, [&](auto tag) {
    using T = decltype(tag);
    core::parallel_for(context, elements.chunks(), [&](std::int64_t chunk, int) {
      elements.visit(chunk, [&](const auto& at, std::int64_t first, std::int64_t count) {
        HWY_ALIGN double buffer[kRandomBuffer];
        T* to = static_cast<T*>(y.data) + at[0];
        for (std::int64_t done = 0; done < count;) {
          const std::uint64_t next = offset + static_cast<std::uint64_t>(first + done), skip = next & 3;
          random_words(seed, next - skip, buffer);
          if (normal) random_box_muller(buffer);
          const std::int64_t n = std::min(count - done, kRandomBuffer - static_cast<std::int64_t>(skip));
          for (std::int64_t i = 0; i < n; ++i)
            to[done + i] = core::narrow<T>(number(buffer[skip + i], core::narrow<double>(to[done + i])));
          done += n;
        }
      });
    });
  });
}

void random_uniform(core::Context& context, const ops::RandomUniform& a) {
  const ops::Bounds bounds = a.bounds();
  random_fill(context, a.seed, a.offset, false, *a.y, [low = a.low, width = a.high - a.low, bounds](double u, double) {
    return std::min(std::max(low + width * u, bounds.smallest), bounds.largest);
  });
}

void random_normal(core::Context& context, const ops::RandomNormal& a) {
  random_fill(context, a.seed, a.offset, true, *a.y,
              [mean = a.mean, deviation = a.deviation](double z, double) { return mean + deviation * z; });
}

void random_add_normal(core::Context& context, const ops::RandomAddNormal& a) {
  random_fill(context, a.seed, a.offset, true, *a.y,
              [factor = a.factor](double z, double old) { return old + factor * z; });
}

void random_keep(core::Context& context, const ops::RandomKeep& a) {
  random_fill(context, a.seed, a.offset, false, *a.y,
              [keep = a.keep](double u, double old) { return u < keep ? old / keep : 0; });
}

}  // namespace graft::cpu::fast::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace graft::cpu::fast {
HWY_EXPORT(random_uniform);
HWY_EXPORT(random_normal);
HWY_EXPORT(random_add_normal);
HWY_EXPORT(random_keep);

std::string refuse(const ops::RandomUniform& a) { return refuse_f64(*a.y); }
std::string refuse(const ops::RandomNormal& a) { return refuse_f64(*a.y); }
std::string refuse(const ops::RandomAddNormal& a) { return refuse_f64(*a.y); }
std::string refuse(const ops::RandomKeep& a) { return refuse_f64(*a.y); }
void run(core::Context& context, const ops::RandomUniform& a) { HWY_DYNAMIC_DISPATCH(random_uniform)(context, a); }
void run(core::Context& context, const ops::RandomNormal& a) { HWY_DYNAMIC_DISPATCH(random_normal)(context, a); }
void run(core::Context& context, const ops::RandomAddNormal& a) { HWY_DYNAMIC_DISPATCH(random_add_normal)(context, a); }
void run(core::Context& context, const ops::RandomKeep& a) { HWY_DYNAMIC_DISPATCH(random_keep)(context, a); }
}  // namespace graft::cpu::fast
#endif
