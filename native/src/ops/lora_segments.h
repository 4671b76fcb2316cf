// Arguments of lora_segments; the contract is graft/ops/lora_segments.h.
#pragma once

#include "ops/lora.h"

namespace graft::ops {

/** Adapters side by side and the rows that use them, as the backends read them once they are checked. */
struct Adapters {
  const graft_tensor* segments;
  const graft_tensor* ranks;
  const graft_tensor* scales;
  const graft_tensor* a;
  const graft_tensor* b;

  std::int64_t count() const { return ranks->shape[0]; }
  std::int64_t rank(std::int64_t adapter) const { return static_cast<const std::int32_t*>(ranks->data)[adapter]; }
  double scale(std::int64_t adapter) const { return static_cast<const double*>(scales->data)[adapter]; }
  /** The first of its rows of a and columns of b. */
  std::int64_t first(std::int64_t adapter) const;
  std::int64_t largest_rank() const;

  std::int64_t segment_count() const { return segments->shape[0]; }
  std::int64_t end(std::int64_t segment) const { return row(segment)[0]; }
  std::int64_t begin(std::int64_t segment) const { return segment == 0 ? 0 : end(segment - 1); }
  std::int64_t adapter(std::int64_t segment) const { return row(segment)[1]; }

  void check(const graft_weight* w, std::int64_t rows) const;
  /** An output beside all of them. */
  void check_apart(const char* name, const graft_tensor* output) const;

 private:
  const std::int32_t* row(std::int64_t segment) const {
    return static_cast<const std::int32_t*>(segments->data) + segment * segments->stride[0];
  }
};

struct LoraSegmentsForward {
  const graft_tensor* x;
  const graft_weight* w;
  Adapters adapters;
  const graft_tensor* bias;  // may be NULL
  Dropout dropout;
  bool accumulate;
  graft_tensor* y;
  graft_tensor* s;  // may be NULL
  void check() const;
  static const char* frozen() { return "segments"; }
};

struct LoraSegmentsBackward {
  const graft_tensor* dy;
  const graft_tensor* x;  // may be NULL when da is
  const graft_tensor* s;  // may be NULL when db is
  const graft_weight* w;
  Adapters adapters;
  Dropout dropout;
  bool accumulate;
  graft_tensor* dx;     // may be NULL
  graft_tensor* da;     // may be NULL
  graft_tensor* db;     // may be NULL
  graft_tensor* dbias;  // may be NULL
  void check() const;
  static const char* frozen() { return "segments"; }
};

}  // namespace graft::ops
