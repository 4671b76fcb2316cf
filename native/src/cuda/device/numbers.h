// bf16 and f16 as storage: they become floats to be computed with, and floats round to them, to nearest even. The twins
// give the bits of the hardware; a NaN becomes the canonical one, 0x7fff.
#pragma once

#include <bit>
#include <cmath>
#include <numbers>

#include "cuda/device/language.h"

namespace graft::cuda {

struct bf16 {
  std::uint16_t bits;
};

struct f16 {
  std::uint16_t bits;
};

GRAFT_DEVICE float to_float(float value) { return value; }

GRAFT_DEVICE float to_float(bf16 value) {
#if defined(__CUDACC__)
  return __uint_as_float(static_cast<unsigned>(value.bits) << 16);
#else
  return std::bit_cast<float>(static_cast<std::uint32_t>(value.bits) << 16);
#endif
}

GRAFT_DEVICE float to_float(f16 value) {
#if defined(__CUDACC__)
  float wide;
  asm("cvt.f32.f16 %0, %1;" : "=f"(wide) : "h"(value.bits));
  return wide;
#else
  const std::uint32_t sign = (value.bits & 0x8000u) << 16, exponent = value.bits >> 10 & 31,
                      mantissa = value.bits & 1023;
  if (exponent == 0)
    return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(static_cast<float>(mantissa) * 0x1p-24f));
  if (exponent == 31 && mantissa != 0) return std::bit_cast<float>(0x7fffffffu);
  return std::bit_cast<float>(sign | (exponent == 31 ? 0xffu : exponent + 112) << 23 | mantissa << 13);
#endif
}

template <class T>
GRAFT_DEVICE T from_float(float value);

template <>
GRAFT_DEVICE float from_float<float>(float value) {
  return value;
}

template <>
GRAFT_DEVICE bf16 from_float<bf16>(float value) {
#if defined(__CUDACC__)
  bf16 narrow;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(narrow.bits) : "f"(value));
  return narrow;
#else
  const std::uint32_t u = std::bit_cast<std::uint32_t>(value);
  if ((u & 0x7fffffffu) > 0x7f800000u) return {0x7fff};
  return {static_cast<std::uint16_t>((u + 0x7fffu + (u >> 16 & 1u)) >> 16)};
#endif
}

template <>
GRAFT_DEVICE f16 from_float<f16>(float value) {
#if defined(__CUDACC__)
  f16 narrow;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(narrow.bits) : "f"(value));
  return narrow;
#else
  const std::uint32_t u = std::bit_cast<std::uint32_t>(value), sign = u >> 16 & 0x8000u, magnitude = u & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return {0x7fff};
  if (magnitude >= 0x477ff000u) return {static_cast<std::uint16_t>(sign | 0x7c00u)};  // rounds to infinity
  if (magnitude < 0x38800000u)                                                        // subnormal: a multiple of 2^-24
    return {static_cast<std::uint16_t>(
        sign | static_cast<std::uint32_t>(std::nearbyint(std::bit_cast<float>(magnitude) * 0x1p24f)))};
  return {static_cast<std::uint16_t>(sign | (magnitude + 0xfffu + (magnitude >> 13 & 1u) - 0x38000000u) >> 13)};
#endif
}

/** Two of them in a register, as the tensor cores take them. */
template <class T>
GRAFT_DEVICE std::uint32_t pair_of(float low, float high) {
  return from_float<T>(low).bits | static_cast<std::uint32_t>(from_float<T>(high).bits) << 16;
}

#if defined(__CUDACC__)
template <>
GRAFT_DEVICE std::uint32_t pair_of<bf16>(float low, float high) {
  std::uint32_t pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
}

template <>
GRAFT_DEVICE std::uint32_t pair_of<f16>(float low, float high) {
  std::uint32_t pair;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(high), "f"(low));
  return pair;
}
#endif

/** sin πx and cos πx in double: without the slow path, and its registers, that CUDA has for large angles. */
GRAFT_DEVICE void sin_cos_pi(double x, double* sine, double* cosine) {
#if defined(__CUDACC__)
  sincospi(x, sine, cosine);
#else
  const double angle = std::fmod(x, 2.0) * std::numbers::pi;  // the remainder is exact
  *sine = std::sin(angle);
  *cosine = std::cos(angle);
#endif
}

}  // namespace graft::cuda
