// What makes a descriptor a handle: its geometry is checked, its memory counted, and the context knows that it lives.
#pragma once

#include <cstdint>
#include <memory>

#include "core/context.h"
#include "core/error.h"
#include "graft/tensor.h"

namespace graft::core {

/** a·b of sizes; INVALID_ARGUMENT when it overflows. */
std::int64_t checked_multiply(std::int64_t a, std::int64_t b);

/** A descriptor of the given geometry without memory; stride NULL: row-major. */
graft_tensor make_descriptor(graft_dtype dtype, std::int32_t rank, const std::int64_t* shape,
                             const std::int64_t* stride);

/** Elements from the first to one past the last, with the last row's pitch when `whole_rows`. */
std::int64_t span(const graft_tensor& tensor, bool whole_rows);

/** Zeroed memory for a descriptor, counted; returns the bytes, at least 1. */
std::int64_t allocate_into(Context& context, graft_memory_category category, graft_tensor& tensor);

/** Gives such memory back; nothing where bytes is 0, memory of somebody else's. */
void release(Context& context, graft_memory_category category, void* memory, std::int64_t bytes);

void forget_handle(Context& context);

/** A descriptor with what is behind it; it begins with it, so that the handle is its address. */
template <class Descriptor>
struct Owned {
  Descriptor descriptor{};
  std::int64_t bytes = 0;  // 0: the memory is somebody else's
  graft_memory_category category = GRAFT_MEMORY_ACTIVATION;
  const Context* context = nullptr;  // that gave it out
};

/** Hands a descriptor out. */
template <class Descriptor>
void publish(Context& context, std::unique_ptr<Owned<Descriptor>> owned, Descriptor** handle) {
  owned->context = &context;
  *handle = &owned.release()->descriptor;
  context.handles.fetch_add(1);
  live_handles.fetch_add(1);
}

/** Takes a descriptor back; INVALID_ARGUMENT where another context gave it out. */
template <class Descriptor>
std::unique_ptr<Owned<Descriptor>> take_back(Context& context, const char* name, Descriptor* handle) {
  std::unique_ptr<Owned<Descriptor>> owned(reinterpret_cast<Owned<Descriptor>*>(handle));
  if (owned->context != &context) {
    static_cast<void>(owned.release());
    fail(GRAFT_INVALID_ARGUMENT, "%s is of another context", name);
  }
  forget_handle(context);
  return owned;
}

}  // namespace graft::core
