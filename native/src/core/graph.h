// Work that a device keeps and runs again, and the memory that it needs; the contract is graft/graph.h.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/device.h"
#include "graft/graph.h"

namespace graft::core {

struct Context;

/** Numbers of a training step, in memory of the context's device. */
struct StepValues {
  const double* lr = nullptr;              // NULL: numbers are as called
  const std::int64_t* counters = nullptr;  // step, and what is added to offsets
};

/** Memory given back while work was being kept: the work may use it. */
class HeldMemory {
 public:
  void keep(Context& context, void* memory, std::int64_t bytes);
  /** Memory of this size that was given back, or NULL. */
  void* reuse(Context& context, std::int64_t bytes);
  void free(Context& context) noexcept;

 private:
  struct Block {
    void* memory;
    std::int64_t bytes;
  };
  std::vector<Block> blocks_;
};

/** INVALID_ARGUMENT while the context's work is being kept: this would wait for it. */
void check_may_wait(const Context& context);

}  // namespace graft::core

struct graft_graph {
  graft::core::Context* context;
  std::unique_ptr<graft::core::KeptWork> work;  // NULL: being kept
  graft::core::HeldMemory memory;
};
