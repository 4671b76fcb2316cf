// What the machine gives without Graft: a copy of memory by plain threads.
#pragma once

#include <cstdint>
#include <cstring>
#include <thread>
#include <vector>

/** Copies so many bytes, each thread its part. */
inline void graft_plain_copy(const void* from, void* to, int64_t bytes, int threads) {
  std::vector<std::thread> others;
  const int64_t part = (bytes / threads + 63) / 64 * 64;
  const auto work = [=](int thread) {
    const int64_t start = part * thread, end = thread == threads - 1 ? bytes : start + part;
    if (start < end)
      std::memcpy(static_cast<char*>(to) + start, static_cast<const char*>(from) + start,
                  static_cast<std::size_t>(end - start));
  };
  for (int thread = 1; thread < threads; ++thread) others.emplace_back(work, thread);
  work(0);
  for (std::thread& thread : others) thread.join();
}
