#include "core/graph.h"

#include <algorithm>

#include "core/context.h"
#include "core/error.h"
#include "core/tensor_check.h"

namespace graft::core {

void HeldMemory::keep(Context& context, void* memory, std::int64_t bytes) {
  blocks_.push_back({memory, bytes});
  context.memory.add(GRAFT_MEMORY_WORKSPACE, bytes);
}

void* HeldMemory::reuse(Context& context, std::int64_t bytes) {
  // why the last one: what was given back last is the likeliest to be in a cache.
  const auto found = std::find_if(blocks_.rbegin(), blocks_.rend(), [&](const Block& b) { return b.bytes == bytes; });
  if (found == blocks_.rend()) return nullptr;
  void* const memory = found->memory;
  blocks_.erase(std::next(found).base());
  context.memory.add(GRAFT_MEMORY_WORKSPACE, -bytes);
  return memory;
}

void HeldMemory::free(Context& context) noexcept {
  for (const Block& block : blocks_) {
    free_on(context.opened.get(), block.memory);
    context.memory.add(GRAFT_MEMORY_WORKSPACE, -block.bytes);
  }
  blocks_.clear();
}

void check_may_wait(const Context& context) {
  if (context.keeping != nullptr)
    fail(GRAFT_INVALID_ARGUMENT, "this waits for the device, whose work is being kept for a graph");
}

namespace {

/** The graph's memory, its hold on the arena and its handle. */
void discard(Context& context, graft_graph* graph) noexcept {
  graph->work.reset();
  graph->memory.free(context);
  context.arena.unpin();
  delete graph;
}

void check_graph(Context& context, const graft_graph* graph) {
  if (graph == nullptr) fail(GRAFT_INVALID_ARGUMENT, "graph is NULL");
  if (graph->context != &context) fail(GRAFT_INVALID_ARGUMENT, "graph is of another context");
}

}  // namespace
}  // namespace graft::core

using namespace graft::core;

extern "C" {

graft_status graft_graph_begin(graft_context* handle) {
  return guard("graft_graph_begin", [&] {
    Context& context = context_of(handle);
    if (context.opened == nullptr)
      fail(GRAFT_UNSUPPORTED, "the CPU keeps no work; graft_context_record remembers calls");
    if (context.planning) fail(GRAFT_UNSUPPORTED, "a context that plans has no work to keep");
    if (context.keeping != nullptr) fail(GRAFT_INVALID_ARGUMENT, "work of this context is being kept already");
    auto graph = std::make_unique<graft_graph>();
    graph->context = &context;
    context.opened->begin_keeping();
    context.arena.pin();
    context.keeping = graph.release();
  });
}

graft_status graft_graph_end(graft_context* handle, graft_graph** to) {
  return guard("graft_graph_end", [&] {
    if (to != nullptr) *to = nullptr;
    Context& context = context_of(handle);
    graft_graph* const graph = context.keeping;
    if (graph == nullptr) fail(GRAFT_INVALID_ARGUMENT, "no work of this context is being kept");
    context.keeping = nullptr;
    try {
      graph->work = context.opened->end_keeping(to != nullptr);
    } catch (...) {
      discard(context, graph);
      throw;
    }
    if (to == nullptr) return discard(context, graph);
    context.handles.fetch_add(1);
    live_handles.fetch_add(1);
    *to = graph;
  });
}

graft_status graft_graph_launch(graft_context* handle, graft_graph* graph) {
  return guard("graft_graph_launch", [&] {
    Context& context = context_of(handle);
    check_graph(context, graph);
    if (context.keeping != nullptr)
      fail(GRAFT_INVALID_ARGUMENT, "a graph cannot be launched while work of its context is being kept");
    graph->work->launch();
  });
}

graft_status graft_graph_destroy(graft_context* handle, graft_graph* graph) {
  return guard("graft_graph_destroy", [&] {
    if (graph == nullptr) return;
    Context& context = context_of(handle);
    check_graph(context, graph);
    if (context.keeping != nullptr)
      fail(GRAFT_INVALID_ARGUMENT, "a graph cannot be destroyed while work of its context is being kept");
    discard(context, graph);
    context.handles.fetch_sub(1);
    live_handles.fetch_sub(1);
  });
}

graft_status graft_context_step_values(graft_context* handle, const graft_tensor* lr, const graft_tensor* counters) {
  return guard("graft_context_step_values", [&] {
    Context& context = context_of(handle);
    if ((lr == nullptr) != (counters == nullptr))
      fail(GRAFT_INVALID_ARGUMENT, "%s is NULL, and %s is not", lr == nullptr ? "lr" : "counters",
           lr == nullptr ? "counters" : "lr");
    if (lr == nullptr) {
      context.step_values = {};
      return;
    }
    check_tensor("lr", lr);
    check_dtype("lr", *lr, GRAFT_DTYPE_F64);
    check_shape("lr", *lr, {1});
    check_tensor("counters", counters);
    check_dtype("counters", *counters, GRAFT_DTYPE_I64);
    check_shape("counters", *counters, {2});
    context.step_values = {static_cast<const double*>(lr->data), static_cast<const std::int64_t*>(counters->data)};
  });
}
}
