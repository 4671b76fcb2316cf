#include "core/context.h"

#include <sched.h>

#include <cstdio>
#include <memory>

#include "core/capability.h"
#include "core/device.h"
#include "core/error.h"
#include "core/isa.h"
#include "graft/device.h"

namespace graft::core {
namespace {

int available_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

const CudaBackend& cuda() {
  if (cuda_backend().open == nullptr)
    fail(GRAFT_DEVICE_UNAVAILABLE, "device is CUDA, but this library was built without CUDA");
  return cuda_backend();
}

void check_ordinal(int ordinal) {
  if (ordinal < 0) fail(GRAFT_INVALID_ARGUMENT, "ordinal is %d, must be >= 0", ordinal);
  const int count = cuda().count();
  if (ordinal >= count)
    fail(GRAFT_DEVICE_UNAVAILABLE, "CUDA device %d is asked for, there %s %d", ordinal, count == 1 ? "is" : "are",
         count);
}

std::unique_ptr<Device> open_cuda(int ordinal, void* stream) {
  check_ordinal(ordinal);
  return cuda().open(ordinal, stream);
}

void check_new(std::int32_t threads, graft_context** context) {
  if (context == nullptr) fail(GRAFT_INVALID_ARGUMENT, "context is NULL");
  *context = nullptr;
  if (threads < 0 || threads > 1024) fail(GRAFT_INVALID_ARGUMENT, "threads is %d, must be in 0..1024", threads);
}

void check_device(graft_device device) {
  if (device != GRAFT_DEVICE_CPU && device != GRAFT_DEVICE_CUDA)
    fail(GRAFT_INVALID_ARGUMENT, "device is %d, must be 0 (CPU) or 1 (CUDA)", device);
}

thread_local graft_device entered_device = GRAFT_DEVICE_CPU;
thread_local int entered_ordinal = -1;  // -1: a context without a device

void enter(const Context& context) {
  entered_device = context.device;
  entered_ordinal = context.opened == nullptr || context.planning ? -1 : context.opened->ordinal();
}

}  // namespace

Context::Context(graft_device device, int threads, std::unique_ptr<Device> opened, bool planning)
    : device(device), planning(planning), opened(std::move(opened)), pool(threads) {}

Context::~Context() = default;

Context& context_of(graft_context* handle) {
  if (handle == nullptr) fail(GRAFT_INVALID_ARGUMENT, "context is NULL");
  enter(*handle);
  return *handle;
}

const Context& context_of(const graft_context* handle) {
  if (handle == nullptr) fail(GRAFT_INVALID_ARGUMENT, "context is NULL");
  enter(*handle);
  return *handle;
}

const char* device_name(graft_device device) { return device == GRAFT_DEVICE_CUDA ? "CUDA" : "the CPU"; }

graft_device current_device() { return entered_device; }

CapabilityOf& capability_of() {
  static CapabilityOf function = nullptr;
  return function;
}

int current_capability() {
  return entered_ordinal < 0 || capability_of() == nullptr ? 0 : capability_of()(entered_ordinal);
}

}  // namespace graft::core

using namespace graft::core;

extern "C" {

graft_status graft_cuda_device_count(int32_t* count) {
  return guard("graft_cuda_device_count", [&] {
    if (count == nullptr) fail(GRAFT_INVALID_ARGUMENT, "count is NULL");
    *count = 0;
    *count = cuda().count();
  });
}

graft_status graft_cuda_device_describe(int32_t ordinal, char* name, int64_t name_bytes, int64_t* memory_bytes) {
  return guard("graft_cuda_device_describe", [&] {
    check_ordinal(ordinal);
    if (name != nullptr && name_bytes <= 0)
      fail(GRAFT_INVALID_ARGUMENT, "name_bytes is %lld, must be > 0", static_cast<long long>(name_bytes));
    const DeviceProperties found = cuda().properties(ordinal);
    if (name != nullptr) std::snprintf(name, static_cast<std::size_t>(name_bytes), "%s", found.name.c_str());
    if (memory_bytes != nullptr) *memory_bytes = found.memory_bytes;
  });
}

graft_status graft_context_create(graft_device device, int32_t threads, graft_context** context) {
  return guard("graft_context_create", [&] {
    check_new(threads, context);
    check_device(device);
    max_isa();  // names an unknown one
    *context = new graft_context(device, threads == 0 ? available_processors() : threads,
                                 device == GRAFT_DEVICE_CUDA ? open_cuda(0, nullptr) : nullptr);
    live_handles.fetch_add(1);
  });
}

graft_status graft_context_create_planning(graft_device device, int32_t threads, graft_context** context) {
  return guard("graft_context_create_planning", [&] {
    check_new(threads, context);
    check_device(device);
    if (device == GRAFT_DEVICE_CUDA) cuda();
    max_isa();
    *context = new graft_context(device, threads == 0 ? available_processors() : threads, planned_memory(), true);
    live_handles.fetch_add(1);
  });
}

graft_status graft_context_create_cuda(int32_t ordinal, void* stream, graft_context** context) {
  return guard("graft_context_create_cuda", [&] {
    if (context == nullptr) fail(GRAFT_INVALID_ARGUMENT, "context is NULL");
    *context = nullptr;
    *context = new graft_context(GRAFT_DEVICE_CUDA, 1, open_cuda(ordinal, stream));
    live_handles.fetch_add(1);
  });
}

graft_status graft_context_destroy(graft_context* context) {
  return guard("graft_context_destroy", [&] {
    if (context == nullptr) return;
    const std::int64_t handles = context->handles.load();
    if (handles != 0)
      fail(GRAFT_INVALID_ARGUMENT, "%lld tensors, weights or graphs of this context still live",
           static_cast<long long>(handles));
    if (context->keeping != nullptr)
      fail(GRAFT_INVALID_ARGUMENT, "work of this context is being kept; graft_graph_end ends that");
    const Profile profile = std::move(context->profile);
    delete context;
    live_handles.fetch_sub(1);
    profile.print();
  });
}

graft_status graft_context_threads(const graft_context* context, int32_t* threads) {
  return guard("graft_context_threads", [&] {
    if (threads == nullptr) fail(GRAFT_INVALID_ARGUMENT, "threads is NULL");
    *threads = context_of(context).pool.threads();
  });
}

graft_status graft_context_synchronize(graft_context* context) {
  return guard("graft_context_synchronize", [&] {
    const Context& c = context_of(context);  // CPU ops are done when they return
    check_may_wait(c);
    if (c.opened != nullptr) c.opened->synchronize();
  });
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
    context->last_dispatch = std::string(context->last_op) +
                             (context->device == GRAFT_DEVICE_CUDA ? ":cuda/" : ":cpu/") + context->last_implementation;
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
