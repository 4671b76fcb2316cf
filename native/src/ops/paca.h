// Arguments of paca; the contract is graft/ops/paca.h.
#pragma once

#include "graft/weight.h"
#include "ops/ops.h"

namespace graft::ops {

struct PacaForward {
  const graft_tensor* x;
  const graft_weight* w;
  const graft_tensor* indices;
  const graft_tensor* bias;  // may be NULL
  bool accumulate;
  graft_tensor* y;
  graft_tensor* x_i;  // may be NULL
  void check() const;
};

struct PacaBackward {
  const graft_tensor* dy;
  const graft_tensor* x_i;  // may be NULL when dd is
  const graft_weight* w;
  double scale;
  bool accumulate;
  graft_tensor* dx;     // may be NULL
  graft_tensor* dd;     // may be NULL
  graft_tensor* dbias;  // may be NULL
  void check() const;
};

struct PacaSlabForward {
  const graft_tensor* x;
  const graft_weight* w;
  const graft_tensor* indices;
  const graft_tensor* d;
  double scale;
  const graft_tensor* bias;  // may be NULL
  bool accumulate;
  graft_tensor* y;
  graft_tensor* x_i;  // may be NULL
  void check() const;
};

struct PacaSlabBackward {
  const graft_tensor* dy;
  const graft_tensor* x_i;  // may be NULL when dd is
  const graft_weight* w;
  const graft_tensor* indices;
  const graft_tensor* d;
  double scale;
  bool accumulate;
  graft_tensor* dx;     // may be NULL
  graft_tensor* dd;     // may be NULL
  graft_tensor* dbias;  // may be NULL
  void check() const;
};

struct PacaRead {
  const graft_weight* w;
  const graft_tensor* indices;
  graft_tensor* columns;
  void check() const;
};

struct PacaWrite {
  const graft_tensor* d;  // may be NULL
  const graft_tensor* original;
  const graft_tensor* indices;
  double scale;
  graft_weight* w;
  void check() const;
};

struct PacaColumnNorms {
  const graft_weight* w;
  graft_tensor* norms;
  void check() const;
};

}  // namespace graft::ops
