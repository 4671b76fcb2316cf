// The emulator as a device of the library: memory that starts as NaN and whose bounds are watched, exactly by
// AddressSanitizer, by a guard without it. A context of GRAFT_DEVICE_CUDA runs on it in the tests; there are two
// devices, since a program may ask for any of several: the first of compute capability 9.0, the second of 8.0.
#include "core/device.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

#include "core/capability.h"
#include "core/error.h"

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

class EmulatedDevice final : public core::Device {
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
    const std::lock_guard lock(mutex_);
    const auto found = sizes_.find(memory);
    if (found == sizes_.end()) stop("memory was freed that the emulated device had not given");
    check(*found);
    sizes_.erase(found);
    std::free(memory);
  }

  void zero(void* memory, std::int64_t bytes) override { std::memset(memory, 0, static_cast<std::size_t>(bytes)); }

  void upload(void* memory, const void* host, std::int64_t bytes) override {
    std::memcpy(memory, host, static_cast<std::size_t>(bytes));
  }

  void download(void* host, const void* memory, std::int64_t bytes) override {
    std::memcpy(host, memory, static_cast<std::size_t>(bytes));
  }

  core::Fault* fault() override { return &fault_; }

  void synchronize() override {
    const std::lock_guard lock(mutex_);
    for (const auto& entry : sizes_) check(entry);
    core::report(fault_);
  }

  void* stream() override { return nullptr; }

 private:
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
