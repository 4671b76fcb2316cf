// The context behind graft_context: device, threads, arena, counters, and which implementation ran last.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/arena.h"
#include "core/graph.h"
#include "core/memory.h"
#include "core/profile.h"
#include "core/thread_pool.h"
#include "graft/context.h"

namespace graft::core {

struct Context {
  Context(graft_device device, int threads, std::unique_ptr<Device> opened, bool planning = false);
  ~Context();

  graft_device device;
  const bool planning;             // see graft_context_create_planning
  std::unique_ptr<Device> opened;  // NULL on the CPU, unless planning
  MemoryCounters memory;
  Arena arena{memory, opened.get()};
  ThreadPool pool;
  std::atomic<std::int64_t> handles{0};  // tensors and weights made from this context
  std::string preferred;                 // "": all implementations
  const char* last_op = nullptr;
  const char* last_implementation = nullptr;
  mutable std::string last_dispatch;
  Profile profile;  // filled with GRAFT_VERBOSE=profile
  bool recording = false;
  std::vector<std::function<void()>> recorded;  // see graft/replay.h
  StepValues step_values;
  graft_graph* keeping = nullptr;  // whose work is being kept; see graft/graph.h
};

/** The context behind a handle; throws INVALID_ARGUMENT for NULL. */
Context& context_of(graft_context* handle);
const Context& context_of(const graft_context* handle);

/** "the CPU" or "CUDA". */
const char* device_name(graft_device device);

/** The device of the context that the calling thread has entered the library with last: where its tensors must be. */
graft_device current_device();

/** Calls body(chunk, worker) for each chunk; see ThreadPool::run. Not where the context only plans. */
template <class Body>
void parallel_for(Context& context, std::int64_t chunks, Body&& body) {
  if (!context.planning) context.pool.run(chunks, body);
}

}  // namespace graft::core

struct graft_context : graft::core::Context {
  using Context::Context;
};
