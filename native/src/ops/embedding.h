// Arguments of embedding; the contract is graft/ops/embedding.h.
#pragma once

#include <cstdint>

#include "graft/tensor.h"
#include "ops/ops.h"

namespace graft::ops {

struct EmbeddingForward {
  const graft_tensor* table;
  const graft_tensor* ids;
  graft_tensor* y;
  void check() const;
};

struct EmbeddingBackward {
  const graft_tensor* ids;
  const graft_tensor* dy;
  graft_tensor* dtable;
  void check() const;
};

/** Every id is in 0..vocabulary-1; else INVALID_ARGUMENT with position and value. For implementations whose ids are in
 * host memory: to be called before anything is written. */
void check_ids(const graft_tensor& ids, std::int64_t vocabulary);

}  // namespace graft::ops
