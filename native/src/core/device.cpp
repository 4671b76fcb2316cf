#include "core/device.h"

#include <cstring>

#include "core/error.h"
#include "core/memory.h"

namespace graft::core {

CudaBackend& cuda_backend() {
  static CudaBackend backend{};
  return backend;
}

void report(Fault& fault) {
  if (fault.op == nullptr) return;
  const Fault found = fault;
  fault = {};
  fail(GRAFT_INVALID_ARGUMENT, "%s: %s[%lld] is %lld, must be in 0..%lld", found.op, found.name,
       static_cast<long long>(found.position), static_cast<long long>(found.value),
       static_cast<long long>(found.limit - 1));
}

void* allocate_on(Device* device, std::int64_t bytes) {
  return device == nullptr ? allocate_aligned(bytes) : device->allocate(bytes);
}

void zero_on(Device* device, void* memory, std::int64_t bytes) {
  device == nullptr ? void(std::memset(memory, 0, static_cast<std::size_t>(bytes))) : device->zero(memory, bytes);
}

void upload_to(Device* device, void* memory, const void* host, std::int64_t bytes) {
  device == nullptr ? void(std::memcpy(memory, host, static_cast<std::size_t>(bytes)))
                    : device->upload(memory, host, bytes);
}

void download_from(Device* device, void* host, const void* memory, std::int64_t bytes) {
  device == nullptr ? void(std::memcpy(host, memory, static_cast<std::size_t>(bytes)))
                    : device->download(host, memory, bytes);
}

void free_on(Device* device, void* memory) noexcept { device == nullptr ? free_aligned(memory) : device->free(memory); }

}  // namespace graft::core
