// Arguments of dora; the contract is graft/ops/dora.h. A layer of dora is a layer of lora whose output is scaled.
#pragma once

#include "ops/lora.h"

namespace graft::ops {

struct DoraSquaredNorms {
  const graft_weight* w;
  graft_tensor* squared;
  void check() const;
};

struct DoraNorms {
  const graft_weight* w;
  const graft_tensor* squared;
  const graft_tensor* a;
  const graft_tensor* b;
  double scale;
  graft_tensor* norm;
  void check() const;
};

struct DoraForward {
  LoraForward lora;  // with y and bias of the whole, and without s
  const graft_tensor* m;
  const graft_tensor* norm;
  graft_tensor* kept;  // may be NULL
  void check() const;
  void follow(const core::StepValues& from, bool readable) { lora.dropout.follow(from, readable); }
  const char* frozen() const { return lora.dropout.frozen(); }
};

struct DoraBackward {
  LoraBackward lora;         // with dy of the whole, and without s
  const graft_tensor* kept;  // may be NULL when db and dm are
  const graft_tensor* m;
  const graft_tensor* norm;
  graft_tensor* dm;  // may be NULL
  void check() const;
  void follow(const core::StepValues& from, bool readable) { lora.dropout.follow(from, readable); }
  const char* frozen() const { return lora.dropout.frozen(); }
};

struct DoraMerge {
  LoraMerge lora;
  const graft_tensor* m;
  const graft_tensor* norm;
  void check() const;
};

/** Some columns of a matrix: v and S of what forward kept. */
graft_tensor columns_of(const graft_tensor& matrix, std::int64_t first, std::int64_t count);

/** A row-major matrix of the caller's memory. */
graft_tensor matrix_tensor(void* data, graft_dtype dtype, std::int64_t rows, std::int64_t columns, std::int64_t pitch);

}  // namespace graft::ops
