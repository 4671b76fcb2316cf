// The arena: scratch for ops. It grows during the first calls and then serves every later one without allocating.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/memory.h"

namespace graft::core {

class Device;

class Arena {
 public:
  explicit Arena(MemoryCounters& counters, Device* device = nullptr) : counters_(counters), device_(device) {}
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  /** Until as many unpin(), no memory that scratch has had is given back: kept work uses it. */
  void pin() { ++pins_; }
  void unpin() { --pins_; }

 private:
  friend class Scratch;
  struct Block {
    char* memory;
    std::int64_t size;
    std::int64_t used;
  };
  struct Mark {
    std::size_t block;
    std::int64_t used;
  };
  Mark mark() const { return {current_, blocks_.empty() ? 0 : blocks_[current_].used}; }
  void* take(std::int64_t bytes);
  void release(Mark mark);
  void merge();  // nothing is taken: several blocks become one
  void drop_blocks();

  MemoryCounters& counters_;
  Device* const device_;  // NULL: the CPU
  std::vector<Block> blocks_;
  std::size_t current_ = 0;  // the blocks behind it are free
  int depth_ = 0, pins_ = 0;
};

/** Scratch memory of one op call; everything taken is given back when it goes out of scope. Take on the calling thread,
 * before the parallel part, and never from one Scratch while a later one lives; 64-byte aligned, not zeroed. */
class Scratch {
 public:
  explicit Scratch(Arena& arena);
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  template <class T>
  T* take(std::int64_t count) {
    return static_cast<T*>(take_bytes(count * static_cast<std::int64_t>(sizeof(T))));
  }

 private:
  void* take_bytes(std::int64_t bytes);

  Arena& arena_;
  const int depth_;
  const Arena::Mark mark_;
};

}  // namespace graft::core
