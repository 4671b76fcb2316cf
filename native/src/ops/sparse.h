// Arguments of sparse; the contract is graft/ops/sparse.h.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

#include "graft/ops/sparse.h"
#include "ops/ops.h"

namespace graft::ops {

struct SparseGradient {
  const graft_tensor* dy;
  const graft_tensor* x;
  const graft_tensor* indices;
  graft_tensor* dd;
  void check() const;
};

struct SparseRead {
  const graft_weight* w;
  const graft_tensor* indices;
  graft_tensor* entries;
  void check() const;
};

struct SparseWrite {
  const graft_tensor* d;  // may be NULL
  const graft_tensor* original;
  const graft_tensor* indices;
  graft_weight* w;
  void check() const;
};

struct SparseAddSquares {
  const graft_tensor* g;
  graft_tensor* sums;
  void check() const;
};

struct SparseSelect {
  graft_sparse_score score;
  const graft_tensor* a;
  const graft_tensor* b;  // NULL with GRAFT_SPARSE_ABSOLUTE
  bool largest;
  graft_tensor* indices;
  /** Ascends with |score|; all NaN are one, above infinity. */
  static std::uint32_t size_of(float score) {
    return std::min(std::bit_cast<std::uint32_t>(score) & 0x7fffffffu, 0x7f800001u);
  }
  void check() const;
};

}  // namespace graft::ops
