#include "core/context.h"

#include <sched.h>

#include <memory>

#include "core/error.h"
#include "core/isa.h"

namespace graft::core {
namespace {

int available_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

void create(graft_device device, std::int32_t threads, bool planning, graft_context** context) {
  if (context == nullptr) fail(GRAFT_INVALID_ARGUMENT, "context is NULL");
  *context = nullptr;
  if (threads < 0 || threads > 1024) fail(GRAFT_INVALID_ARGUMENT, "threads is %d, must be in 0..1024", threads);
  if (device == GRAFT_DEVICE_CUDA)
    fail(GRAFT_DEVICE_UNAVAILABLE, "device is CUDA, but this library was built without CUDA");
  if (device != GRAFT_DEVICE_CPU) fail(GRAFT_INVALID_ARGUMENT, "device is %d, must be 0 (CPU)", device);
  max_isa();  // names an unknown one
  *context = new graft_context(device, threads == 0 ? available_processors() : threads, planning);
  live_handles.fetch_add(1);
}

}  // namespace

Context& context_of(graft_context* handle) {
  if (handle == nullptr) fail(GRAFT_INVALID_ARGUMENT, "context is NULL");
  return *handle;
}

const Context& context_of(const graft_context* handle) {
  if (handle == nullptr) fail(GRAFT_INVALID_ARGUMENT, "context is NULL");
  return *handle;
}

}  // namespace graft::core

using namespace graft::core;

extern "C" {

graft_status graft_context_create(graft_device device, int32_t threads, graft_context** context) {
  return guard("graft_context_create", [&] { create(device, threads, false, context); });
}

graft_status graft_context_create_planning(graft_device device, int32_t threads, graft_context** context) {
  return guard("graft_context_create_planning", [&] { create(device, threads, true, context); });
}

graft_status graft_context_destroy(graft_context* context) {
  return guard("graft_context_destroy", [&] {
    if (context == nullptr) return;
    const std::int64_t handles = context->handles.load();
    if (handles != 0)
      fail(GRAFT_INVALID_ARGUMENT, "%lld tensors or weights of this context still live",
           static_cast<long long>(handles));
    context->profile.print();
    delete context;
    live_handles.fetch_sub(1);
  });
}

graft_status graft_context_threads(const graft_context* context, int32_t* threads) {
  return guard("graft_context_threads", [&] {
    if (threads == nullptr) fail(GRAFT_INVALID_ARGUMENT, "threads is NULL");
    *threads = context_of(context).pool.threads();
  });
}

graft_status graft_context_synchronize(graft_context* context) {
  return guard("graft_context_synchronize", [&] { context_of(context); });  // CPU ops are done when they return
}

graft_status graft_context_memory(const graft_context* context, graft_memory_category category, int64_t* current,
                                  int64_t* peak) {
  return guard("graft_context_memory", [&] {
    const Context& c = context_of(context);
    if (category < 0 || category > GRAFT_MEMORY_CATEGORIES)
      fail(GRAFT_INVALID_ARGUMENT, "category is %d, must be in 0..%d", category, GRAFT_MEMORY_CATEGORIES);
    if (current != nullptr) *current = c.memory.current(category);
    if (peak != nullptr) *peak = c.memory.peak(category);
  });
}

graft_status graft_context_reset_peak(graft_context* context) {
  return guard("graft_context_reset_peak", [&] { context_of(context).memory.reset_peak(); });
}

int64_t graft_live_handles(void) { return live_handles.load(); }

const char* graft_context_last_dispatch(const graft_context* context) {
  if (context == nullptr || context->last_op == nullptr) return "";
  try {
    context->last_dispatch = std::string(context->last_op) + ":cpu/" + context->last_implementation;
    return context->last_dispatch.c_str();
  } catch (...) {
    return "";
  }
}

graft_status graft_context_prefer(graft_context* context, const char* implementation) {
  return guard("graft_context_prefer",
               [&] { context_of(context).preferred = implementation == nullptr ? "" : implementation; });
}
}
