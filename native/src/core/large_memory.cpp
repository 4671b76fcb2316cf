// A mapping of 2 MiB more than is wanted is cut down to an aligned block, which the system may back with large pages. A
// map keeps the sizes, by which blocks go back; it alone tells them from malloc's.
#include "core/large_memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <map>
#include <mutex>

namespace graft::core {
namespace {

constexpr std::uintptr_t kPage = std::uintptr_t{2} << 20;

#if defined(__SANITIZE_ADDRESS__)
// why: the sanitizer sees what leaves a block only where the block is malloc's.
constexpr bool kMapped = false;
#else
constexpr bool kMapped = true;
#endif

std::mutex mutex;
// why never destroyed: threads that the process does not wait for free memory while it exits.
auto& sizes = *new std::map<void*, std::size_t>;

}  // namespace

void* map_large(std::int64_t bytes) {
  const auto size = static_cast<std::size_t>(bytes);
  if (!kMapped || size < kPage) return nullptr;
  void* const all = mmap(nullptr, size + kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (all == MAP_FAILED) return nullptr;
  char* const memory = static_cast<char*>(all) + (kPage - reinterpret_cast<std::uintptr_t>(all) % kPage) % kPage;
  const std::size_t before = static_cast<std::size_t>(memory - static_cast<char*>(all));
  const auto small = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  const std::size_t kept = (size + small - 1) / small * small, behind = size + kPage - before;
  if (before > 0) munmap(all, before);
  if (behind > kept) munmap(memory + kept, behind - kept);
  madvise(memory, kept, MADV_HUGEPAGE);  // a system without large pages has small ones
  const std::lock_guard lock(mutex);
  sizes.emplace(memory, kept);
  return memory;
}

bool unmap_large(void* memory) noexcept {
  if (reinterpret_cast<std::uintptr_t>(memory) % kPage != 0) return false;
  const std::lock_guard lock(mutex);
  const auto found = sizes.find(memory);
  if (found == sizes.end()) return false;
  munmap(memory, found->second);
  sizes.erase(found);
  return true;
}

}  // namespace graft::core
