#include "core/memory.h"

#include <cstdlib>

#include "core/error.h"
#include "core/large_memory.h"

namespace graft::core {

std::atomic<std::int64_t> live_handles{0};

void MemoryCounters::add(graft_memory_category category, std::int64_t bytes) {
  for (int slot : {static_cast<int>(category), static_cast<int>(GRAFT_MEMORY_CATEGORIES)}) {
    const std::int64_t now = current_[slot].fetch_add(bytes, std::memory_order_relaxed) + bytes;
    std::int64_t peak = peak_[slot].load(std::memory_order_relaxed);
    while (now > peak && !peak_[slot].compare_exchange_weak(peak, now, std::memory_order_relaxed)) {
    }
  }
}

void MemoryCounters::reset_peak() {
  for (std::size_t i = 0; i < peak_.size(); ++i) peak_[i].store(current_[i].load());
}

void* allocate_aligned(std::int64_t bytes) {
  const std::size_t rounded = (static_cast<std::size_t>(bytes) + kAlignment - 1) / kAlignment * kAlignment;
  void* memory = std::aligned_alloc(kAlignment, rounded == 0 ? kAlignment : rounded);
  if (memory == nullptr) fail(GRAFT_OUT_OF_MEMORY, "the system refused %lld bytes", static_cast<long long>(bytes));
  return memory;
}

void free_aligned(void* memory) noexcept {
  if (!unmap_large(memory)) std::free(memory);
}

}  // namespace graft::core
