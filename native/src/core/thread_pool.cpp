#include "core/thread_pool.h"

#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "core/error.h"

namespace graft::core {
namespace {
// why: ops follow each other within microseconds; a short spin saves the wake-up of a sleeping thread.
constexpr int kSpins = 20000;

inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}
}  // namespace

struct ThreadPool::Shared {
  void work(int worker);
  void loop(int worker);
  void end();

  std::vector<std::thread> workers;
  std::mutex mutex;
  std::condition_variable wake, done;
  std::atomic<std::uint64_t> generation{0};
  std::atomic<int> busy{0};
  std::atomic<std::int64_t> next{0};
  std::int64_t chunks = 0;
  Call call = nullptr;
  void* body = nullptr;
  std::exception_ptr error;
  bool stop = false;
};

ThreadPool::ThreadPool(int threads) : threads_(threads), shared_(std::make_unique<Shared>()) {
  shared_->workers.reserve(static_cast<std::size_t>(threads - 1));
  for (int worker = 1; worker < threads; ++worker) {
    try {
      shared_->workers.emplace_back([shared = shared_.get(), worker] { shared->loop(worker); });
    } catch (const std::exception& failure) {
      shared_->end();
      fail(GRAFT_OUT_OF_MEMORY, "thread %d of %d cannot start: %s", worker + 1, threads, failure.what());
    }
  }
}

ThreadPool::~ThreadPool() { shared_->end(); }

void ThreadPool::Shared::end() {
  {
    const std::lock_guard lock(mutex);
    stop = true;
    generation.fetch_add(1);
  }
  wake.notify_all();
  for (std::thread& thread : workers) thread.join();
}

void ThreadPool::run_erased(std::int64_t chunks, Call call, void* body) {
  if (chunks <= 0) return;
  if (chunks == 1 || threads_ == 1) {
    for (std::int64_t chunk = 0; chunk < chunks; ++chunk) call(body, chunk, 0);
    return;
  }
  Shared& s = *shared_;
  {
    const std::lock_guard lock(s.mutex);
    s.call = call;
    s.body = body;
    s.chunks = chunks;
    s.error = nullptr;
    s.next.store(0);
    s.busy.store(threads_ - 1);
    s.generation.fetch_add(1);
  }
  s.wake.notify_all();
  s.work(0);
  for (int spin = 0; spin < kSpins && s.busy.load() > 0; ++spin) relax();
  if (s.busy.load() > 0) {
    std::unique_lock lock(s.mutex);
    s.done.wait(lock, [&s] { return s.busy.load() == 0; });
  }
  if (s.error) std::rethrow_exception(s.error);
}

void ThreadPool::Shared::work(int worker) {
  for (;;) {
    const std::int64_t chunk = next.fetch_add(1);
    if (chunk >= chunks) return;
    try {
      call(body, chunk, worker);
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!error) error = std::current_exception();
    }
  }
}

void ThreadPool::Shared::loop(int worker) {
  std::uint64_t seen = 0;
  for (;;) {
    for (int spin = 0; spin < kSpins && generation.load() == seen; ++spin) relax();
    {
      std::unique_lock lock(mutex);
      wake.wait(lock, [&] { return generation.load() != seen; });
      seen = generation.load();
      if (stop) return;
    }
    work(worker);
    if (busy.fetch_sub(1) == 1) {
      const std::lock_guard lock(mutex);
      done.notify_one();
    }
  }
}

}  // namespace graft::core
