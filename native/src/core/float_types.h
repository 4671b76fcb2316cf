// bf16 and f16 as storage types: they convert to and from float, rounding to nearest even, and compute nothing.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

#include "core/error.h"
#include "graft/tensor.h"

namespace graft::core {

struct bf16 {
  std::uint16_t bits;
  bf16() = default;
  explicit bf16(float value) {
    std::uint32_t u = std::bit_cast<std::uint32_t>(value);
    if ((u & 0x7fffffffu) > 0x7f800000u) {
      bits = static_cast<std::uint16_t>((u >> 16) | 0x40u);  // NaN stays NaN
    } else {
      bits = static_cast<std::uint16_t>((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
    }
  }
  operator float() const { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }

  /** value or the next one away from 0, by 16 random bits: value in the mean. NaN stays NaN. */
  static bf16 at_random(float value, std::uint32_t random) {
    const std::uint32_t u = std::bit_cast<std::uint32_t>(value);
    if ((u & 0x7fffffffu) > 0x7f800000u) return bf16(value);
    return bf16(std::bit_cast<float>((u + random) & 0xffff0000u));
  }
};

struct f16 {
  std::uint16_t bits;
  f16() = default;
  explicit f16(float value) {
    const std::uint32_t u = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t sign = (u >> 16) & 0x8000u;
    const std::uint32_t magnitude = u & 0x7fffffffu;
    if (magnitude > 0x7f800000u) {
      bits = static_cast<std::uint16_t>(sign | 0x7e00u);
    } else if (magnitude >= 0x477ff000u) {  // rounds to infinity
      bits = static_cast<std::uint16_t>(sign | 0x7c00u);
    } else if (magnitude < 0x38800000u) {  // subnormal: a multiple of 2^-24
      const float scaled = std::bit_cast<float>(magnitude) * 16777216.0f;
      bits = static_cast<std::uint16_t>(sign | static_cast<std::uint32_t>(std::nearbyintf(scaled)));
    } else {
      const std::uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
      bits = static_cast<std::uint16_t>(sign | ((rounded - 0x38000000u) >> 13));
    }
  }
  operator float() const {
    const std::uint32_t sign = static_cast<std::uint32_t>(bits & 0x8000u) << 16;
    const std::uint32_t exponent = (bits >> 10) & 0x1fu, mantissa = bits & 0x3ffu;
    if (exponent == 0) {
      const float value = static_cast<float>(mantissa) * 0x1p-24f;
      return sign ? -value : value;
    }
    const std::uint32_t wide = exponent == 31 ? 0x7f800000u : (exponent + 112) << 23;
    return std::bit_cast<float>(sign | wide | (mantissa << 13));
  }
};

/** The type that sums and products of T are computed in: double for double, float for all others. */
template <class T>
struct Compute {
  using type = float;
};
template <>
struct Compute<double> {
  using type = double;
};
template <class T>
using compute_t = typename Compute<T>::type;

/** Calls body(T{}) with the storage type of a float dtype. */
template <class Body>
void visit_float(graft_dtype dtype, Body&& body) {
  switch (dtype) {
    case GRAFT_DTYPE_F32:
      return body(float{});
    case GRAFT_DTYPE_BF16:
      return body(bf16{});
    case GRAFT_DTYPE_F16:
      return body(f16{});
    case GRAFT_DTYPE_F64:
      return body(double{});
    default:
      fail(GRAFT_INTERNAL, "dtype %d is not a float", dtype);
  }
}

/** Calls body(T{}) with the storage type of an integer dtype (i32 or i64). */
template <class Body>
void visit_id(graft_dtype dtype, Body&& body) {
  switch (dtype) {
    case GRAFT_DTYPE_I32:
      return body(std::int32_t{});
    case GRAFT_DTYPE_I64:
      return body(std::int64_t{});
    default:
      fail(GRAFT_INTERNAL, "dtype %d is not i32 or i64", dtype);
  }
}

}  // namespace graft::core
