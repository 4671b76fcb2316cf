// The arena: scratch for ops. It grows during the first calls and then serves every later one without allocating.
#pragma once

#include <cstdint>
#include <vector>

#include "core/memory.h"

namespace graft::core {

class Arena {
 public:
  explicit Arena(MemoryCounters& counters) : counters_(counters) {}
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

 private:
  friend class Scratch;
  struct Block {
    char* memory;
    std::int64_t size;
    std::int64_t used;
  };
  void* take(std::int64_t bytes);
  void release();  // the outermost Scratch is gone: all is free; several blocks become one
  void drop_blocks();

  MemoryCounters& counters_;
  std::vector<Block> blocks_;
  int depth_ = 0;
};

/** Scratch memory of one op call; everything taken is given back when it goes out of scope. Take on the calling thread,
 * before the parallel part; 64-byte aligned, not zeroed. */
class Scratch {
 public:
  explicit Scratch(Arena& arena);
  ~Scratch();
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  template <class T>
  T* take(std::int64_t count) {
    return static_cast<T*>(arena_.take(count * static_cast<std::int64_t>(sizeof(T))));
  }

 private:
  Arena& arena_;
};

}  // namespace graft::core
