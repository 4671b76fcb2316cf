// The arguments of every op, declared, and their names.
#pragma once

namespace graft::ops {

#define GRAFT_OP(name, Args) struct Args;
#include "ops/ops.def"
#undef GRAFT_OP

template <class Args>
struct OpName;

#define GRAFT_OP(name, Args)                    \
  template <>                                   \
  struct OpName<Args> {                         \
    static constexpr const char* value = #name; \
  };
#include "ops/ops.def"
#undef GRAFT_OP

}  // namespace graft::ops
