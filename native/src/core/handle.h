// What makes a descriptor a handle: its geometry is checked, its memory counted, and the context knows that it lives.
#pragma once

#include <cstdint>
#include <memory>

#include "core/context.h"
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

/** Hands a descriptor out; Owned begins with it, so that the handle is its address. */
template <class Owned>
void publish(Context& context, std::unique_ptr<Owned> owned, decltype(Owned::descriptor)** handle) {
  *handle = &owned.release()->descriptor;
  context.handles.fetch_add(1);
  live_handles.fetch_add(1);
}

}  // namespace graft::core
