// Counted memory: every byte belongs to a category, and the peaks are what memory reports show.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "graft/context.h"

namespace graft::core {

inline constexpr std::size_t kAlignment = 64;

/** Bytes held and most ever held, per category and together. Counting is thread-safe. */
class MemoryCounters {
 public:
  void add(graft_memory_category category, std::int64_t bytes);
  std::int64_t current(int category) const { return current_[category].load(std::memory_order_relaxed); }
  std::int64_t peak(int category) const { return peak_[category].load(std::memory_order_relaxed); }
  void reset_peak();

 private:
  std::array<std::atomic<std::int64_t>, GRAFT_MEMORY_CATEGORIES + 1> current_{};  // the last one: all together
  std::array<std::atomic<std::int64_t>, GRAFT_MEMORY_CATEGORIES + 1> peak_{};
};

/** 64-byte aligned memory, not zeroed; throws OUT_OF_MEMORY naming the size. */
void* allocate_aligned(std::int64_t bytes);

void free_aligned(void* memory) noexcept;

/** Contexts, tensors and weights alive in the process. */
extern std::atomic<std::int64_t> live_handles;

}  // namespace graft::core
