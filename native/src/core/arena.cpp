#include "core/arena.h"

#include <algorithm>

#include "core/device.h"
#include "core/error.h"

namespace graft::core {
namespace {
constexpr std::int64_t kSmallestBlock = 1 << 20;
}

Arena::~Arena() { drop_blocks(); }

void Arena::drop_blocks() {
  for (const Block& block : blocks_) {
    free_on(device_, block.memory);
    counters_.add(GRAFT_MEMORY_WORKSPACE, -block.size);
  }
  blocks_.clear();
  current_ = 0;
}

void* Arena::take(std::int64_t bytes) {
  constexpr std::int64_t alignment = kAlignment;
  bytes = (bytes + alignment - 1) / alignment * alignment;
  const auto fits = [&] { return blocks_[current_].size - blocks_[current_].used >= bytes; };
  while (current_ + 1 < blocks_.size() && !fits()) ++current_;
  if (blocks_.empty() || !fits()) {
    const std::int64_t size = std::max(bytes, kSmallestBlock);
    blocks_.reserve(blocks_.size() + 1);
    blocks_.push_back({static_cast<char*>(allocate_on(device_, size)), size, 0});
    current_ = blocks_.size() - 1;
    counters_.add(GRAFT_MEMORY_WORKSPACE, size);
  }
  Block& block = blocks_[current_];
  void* memory = block.memory + block.used;
  block.used += bytes;
  return memory;
}

void Arena::release(Mark mark) {
  for (std::size_t i = mark.block; i < blocks_.size(); ++i) blocks_[i].used = i == mark.block ? mark.used : 0;
  current_ = mark.block;
}

void Arena::merge() {
  if (blocks_.size() < 2 || pins_ > 0) return;
  std::int64_t total = 0;
  for (const Block& block : blocks_) total += block.size;
  drop_blocks();
  take(total);
  release({0, 0});
}

Scratch::Scratch(Arena& arena) : arena_(arena), depth_(++arena.depth_), mark_(arena.mark()) {}

void* Scratch::take_bytes(std::int64_t bytes) {
  if (arena_.depth_ != depth_)
    fail(GRAFT_INTERNAL, "scratch %d was taken while scratch %d lives", depth_, arena_.depth_);
  return arena_.take(bytes);
}

Scratch::~Scratch() {
  arena_.release(mark_);
  if (--arena_.depth_ > 0) return;
  try {
    arena_.merge();
  } catch (...) {
    // why: without memory for one large block the arena stays empty and grows again at the next call.
  }
}

}  // namespace graft::core
