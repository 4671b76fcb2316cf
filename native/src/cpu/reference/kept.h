// Dropout for the plain loops: what it multiplies an element of a matrix by.
#pragma once

#include "core/philox.h"
#include "ops/lora.h"

namespace graft::cpu::reference {

/** 0, or 1/(1-p), for element (t, k) of a matrix of so many columns. */
template <class C>
C kept(const ops::Dropout& dropout, std::int64_t t, std::int64_t k, std::int64_t columns) {
  if (!dropout.active()) return C{1};
  const std::uint64_t element = dropout.offset + static_cast<std::uint64_t>(t * columns + k);
  return core::Philox::half(dropout.seed, element) >= dropout.bound() ? static_cast<C>(dropout.scale()) : C{0};
}

}  // namespace graft::cpu::reference
