// The emulator as a device of the library: memory that starts as NaN and whose bounds are watched, exactly by
// AddressSanitizer, by a guard without it. A context of GRAFT_DEVICE_CUDA runs on it in the tests; there are two
// devices, since a program may ask for any of several: the first of compute capability 9.0, the second of 8.0.
// A copy from or to pinned memory lands at once, or when it is waited for, as copies inside of kernels do. Work that is
// kept is a list of what was put into the queue.
#include "core/device.h"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

#include "core/capability.h"
#include "core/error.h"
#include "core/staging.h"
#include "emulator/emulator.h"

namespace graft::emulator {
namespace {

constexpr std::size_t kAlignment = 256;
constexpr int kPoison = 0xff;
#if defined(GRAFT_ASAN)
constexpr std::size_t kGuard = 0;  // its red zones are better
#else
constexpr std::size_t kGuard = 256;
#endif

constexpr int kDevices = 2;

class EmulatedWork final : public core::KeptWork {
 public:
  EmulatedWork(Queue& queue, std::vector<std::function<void()>> work) : queue_(queue), work_(std::move(work)) {}
  void launch() override {
    for (const auto& work : work_) enqueue(&queue_, work);
  }

 private:
  Queue& queue_;
  const std::vector<std::function<void()>> work_;
};

class EmulatedDevice final : public core::Device, core::Transfers {
 public:
  explicit EmulatedDevice(int ordinal) : ordinal_(ordinal) {}
  int ordinal() const override { return ordinal_; }

  void* allocate(std::int64_t bytes) override {
    void* memory = nullptr;
    const auto size = static_cast<std::size_t>(bytes);
    if (posix_memalign(&memory, kAlignment, size + kGuard) != 0)
      core::fail(GRAFT_OUT_OF_MEMORY, "the emulated device refused %lld bytes", static_cast<long long>(bytes));
    std::memset(memory, kPoison, size + kGuard);
    const std::lock_guard lock(mutex_);
    sizes_[memory] = size;
    return memory;
  }

  void free(void* memory) noexcept override {
    if (memory == nullptr) return;
    if (queue_.kept != nullptr) stop("memory was freed that kept work may use");
    queue_.settle();
    const std::lock_guard lock(mutex_);
    const auto found = sizes_.find(memory);
    if (found == sizes_.end()) stop("memory was freed that the emulated device had not given");
    check(*found);
    sizes_.erase(found);
    std::free(memory);
  }

  void zero(void* memory, std::int64_t bytes) override {
    enqueue(&queue_, [=] { std::memset(memory, 0, static_cast<std::size_t>(bytes)); });
  }

  void upload(void* memory, const void* host, std::int64_t bytes) override { staging_.upload(memory, host, bytes); }
  void download(void* host, const void* memory, std::int64_t bytes) override { staging_.download(host, memory, bytes); }

  core::Fault* fault() override { return &fault_; }

  void synchronize() override {
    queue_.settle();
    const std::lock_guard lock(mutex_);
    for (const auto& entry : sizes_) check(entry);
    core::report(fault_);
  }

  void* stream() override { return &queue_; }

  void begin_keeping() override { queue_.kept = &kept_; }
  std::unique_ptr<core::KeptWork> end_keeping(bool wanted) override {
    queue_.kept = nullptr;
    auto work = std::make_unique<EmulatedWork>(queue_, std::exchange(kept_, {}));
    return wanted ? std::move(work) : nullptr;
  }

 private:
  void* pin(std::int64_t bytes) override {
    void* const memory = std::malloc(static_cast<std::size_t>(bytes));
    return std::memset(memory, kPoison, static_cast<std::size_t>(bytes));
  }
  void unpin(void* memory) noexcept override {
    queue_.settle();
    std::free(memory);
  }
  void copy_in(void* to, const void* pinned, std::int64_t bytes) override { copy(to, pinned, bytes); }
  void copy_out(void* pinned, const void* from, std::int64_t bytes) override { copy(pinned, from, bytes); }
  void mark(int slot) override { marks_[static_cast<std::size_t>(slot)] = queue_.landed + queue_.late.size(); }
  void wait(int slot) override { queue_.settle(marks_[static_cast<std::size_t>(slot)]); }

  void copy(void* to, const void* from, std::int64_t bytes) {
    if (queue_.kept != nullptr) stop("a copy of the host's while work is kept");
    queue_.late.push_back([=] { std::memcpy(to, from, static_cast<std::size_t>(bytes)); });
    drawn_ = drawn_ * 1664525u + 1013904223u + schedule().seed;
    const Completion completion = schedule().completion;
    if (completion == Completion::kEager || (completion == Completion::kRandom && (drawn_ >> 16 & 1) != 0))
      queue_.settle();
  }

  [[noreturn]] static void stop(const char* text) {
    std::fprintf(stderr, "emulator: %s\n", text);
    std::abort();
  }

  static void check(const std::pair<void* const, std::size_t>& entry) {
    for (std::size_t i = 0; i < kGuard; ++i)
      if (static_cast<unsigned char*>(entry.first)[entry.second + i] != kPoison)
        stop("a kernel wrote behind the end of device memory");
  }

  const int ordinal_;
  std::mutex mutex_;
  core::Fault fault_{};
  std::map<void*, std::size_t> sizes_;
  Queue queue_;
  std::vector<std::function<void()>> kept_;
  std::array<std::uint64_t, 2> marks_{};
  std::uint32_t drawn_ = 1;
  core::Staging staging_{*this};  // the last one: it gives its memory back first
};

const bool opened = [] {
  core::cuda_backend() = {
      [] { return kDevices; },
      [](int) {
        return core::DeviceProperties{"emulated device", std::int64_t{1} << 33};
      },
      [](int ordinal, void*) { return std::unique_ptr<core::Device>(new EmulatedDevice(ordinal)); }};
  core::capability_of() = [](int ordinal) { return ordinal == 0 ? 90 : 80; };
  return true;
}();

}  // namespace
}  // namespace graft::emulator
