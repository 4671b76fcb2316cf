// Threads of a context. Work is cut into chunks that never depend on the number of threads, which is why results are
// the same bits for any number of them.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <thread>
#include <type_traits>
#include <vector>

namespace graft::core {

class ThreadPool {
 public:
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

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
  void work(int worker);
  void loop(int worker);

  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable wake_, done_;
  std::atomic<std::uint64_t> generation_{0};
  std::atomic<int> busy_{0};
  std::atomic<std::int64_t> next_{0};
  std::int64_t chunks_ = 0;
  Call call_ = nullptr;
  void* body_ = nullptr;
  std::exception_ptr error_;
  bool stop_ = false;
};

}  // namespace graft::core
