#include "core/arena.h"

#include <algorithm>

namespace graft::core {
namespace {
constexpr std::int64_t kSmallestBlock = 1 << 20;
}

Arena::~Arena() { drop_blocks(); }

void Arena::drop_blocks() {
  for (const Block& block : blocks_) {
    free_aligned(block.memory);
    counters_.add(GRAFT_MEMORY_WORKSPACE, -block.size);
  }
  blocks_.clear();
}

void* Arena::take(std::int64_t bytes) {
  constexpr std::int64_t alignment = kAlignment;
  bytes = (bytes + alignment - 1) / alignment * alignment;
  if (blocks_.empty() || blocks_.back().size - blocks_.back().used < bytes) {
    const std::int64_t size = std::max(bytes, kSmallestBlock);
    blocks_.reserve(blocks_.size() + 1);
    blocks_.push_back({static_cast<char*>(allocate_aligned(size)), size, 0});
    counters_.add(GRAFT_MEMORY_WORKSPACE, size);
  }
  Block& block = blocks_.back();
  void* memory = block.memory + block.used;
  block.used += bytes;
  return memory;
}

void Arena::release() {
  if (blocks_.size() > 1) {
    std::int64_t total = 0;
    for (const Block& block : blocks_) total += block.size;
    drop_blocks();
    take(total);
  }
  if (!blocks_.empty()) blocks_.back().used = 0;
}

Scratch::Scratch(Arena& arena) : arena_(arena) { ++arena_.depth_; }

Scratch::~Scratch() {
  if (--arena_.depth_ > 0) return;
  try {
    arena_.release();
  } catch (...) {
    // why: without memory for one large block the arena stays empty and grows again at the next call.
  }
}

}  // namespace graft::core
