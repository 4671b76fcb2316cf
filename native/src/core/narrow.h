// Conversion of one element between any two storage types, rounded once.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>
#include <type_traits>

#include "core/float_types.h"

namespace graft::core {

/** double → float that a second rounding, to bf16 or f16, turns into the nearest of those: towards zero, with the last
 * bit set when anything was lost ("round to odd"), so that what is near a tie is not taken for one. */
inline float round_to_odd(double value) {
  const float nearest = static_cast<float>(value);
  if (std::isnan(value) || static_cast<double>(nearest) == value) return nearest;
  std::uint32_t bits = std::bit_cast<std::uint32_t>(nearest);
  if (std::fabs(static_cast<double>(nearest)) > std::fabs(value)) --bits;
  return std::bit_cast<float>(bits | 1u);
}

template <class T>
inline constexpr bool is_half = std::is_same_v<T, bf16> || std::is_same_v<T, f16>;

template <class To, class From>
To narrow(From value) {
  if constexpr (std::is_same_v<To, From>) {
    return value;
  } else if constexpr (is_half<To> && std::is_same_v<From, double>) {
    return To(round_to_odd(value));
  } else if constexpr (is_half<To> || is_half<From>) {
    return static_cast<To>(static_cast<float>(value));
  } else {
    return static_cast<To>(value);
  }
}

/** Calls body(T{}) with the storage type of any dtype. */
template <class Body>
void visit_any(graft_dtype dtype, Body&& body) {
  if (dtype == GRAFT_DTYPE_U8) return body(std::uint8_t{});
  if (dtype == GRAFT_DTYPE_I32 || dtype == GRAFT_DTYPE_I64) return visit_id(dtype, body);
  visit_float(dtype, body);
}

}  // namespace graft::core
