// Memory of contexts that plan.
#include <sys/mman.h>

#include <cstring>
#include <map>

#include "core/device.h"
#include "core/error.h"

namespace graft::core {
namespace {

class PlannedMemory final : public Device {
 public:
  ~PlannedMemory() override {
    for (const auto& [memory, bytes] : sizes_) munmap(memory, bytes);
  }

  void* allocate(std::int64_t bytes) override {
    void* memory = mmap(nullptr, static_cast<std::size_t>(bytes), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED)
      fail(GRAFT_OUT_OF_MEMORY, "the system refused addresses for %lld bytes", static_cast<long long>(bytes));
    sizes_.emplace(memory, static_cast<std::size_t>(bytes));
    return memory;
  }

  void free(void* memory) noexcept override {
    const auto found = sizes_.find(memory);
    if (found == sizes_.end()) return;
    munmap(memory, found->second);
    sizes_.erase(found);
  }

  void zero(void*, std::int64_t) override {}
  void upload(void* memory, const void* host, std::int64_t bytes) override {
    std::memcpy(memory, host, static_cast<std::size_t>(bytes));
  }
  void download(void* host, const void* memory, std::int64_t bytes) override {
    std::memcpy(host, memory, static_cast<std::size_t>(bytes));
  }
  Fault* fault() override { return nullptr; }
  void synchronize() override {}
  void* stream() override { return planned_queue(); }
  void begin_keeping() override { fail(GRAFT_INTERNAL, "a context that plans keeps no work"); }
  std::unique_ptr<KeptWork> end_keeping(bool) override { return nullptr; }

 private:
  std::map<void*, std::size_t> sizes_;
};

}  // namespace

void* planned_queue() {
  static char queue;
  return &queue;
}

std::unique_ptr<Device> planned_memory() { return std::make_unique<PlannedMemory>(); }

}  // namespace graft::core
