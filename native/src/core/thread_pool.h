// Threads of a context. Work is cut into chunks that never depend on the number of threads, which is why results are
// the same bits for any number of them.
#pragma once

#include <cstdint>
#include <memory>
#include <type_traits>

namespace graft::core {

class ThreadPool {
 public:
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return threads_; }

  /** Calls body(chunk, worker) once for each chunk in 0..chunks-1; worker in 0..threads()-1 names the thread, for
   * scratch. Returns when all are done; rethrows the first exception. Not to be nested. */
  template <class Body>
  void run(std::int64_t chunks, Body&& body) {
    using Plain = std::remove_reference_t<Body>;
    run_erased(
        chunks, [](void* b, std::int64_t chunk, int worker) { (*static_cast<Plain*>(b))(chunk, worker); },
        const_cast<void*>(static_cast<const void*>(&body)));
  }

 private:
  using Call = void (*)(void* body, std::int64_t chunk, int worker);
  void run_erased(std::int64_t chunks, Call call, void* body);

  struct Shared;  // why not here: nearly all sources include this, few need <thread>
  const int threads_;
  const std::unique_ptr<Shared> shared_;
};

}  // namespace graft::core
