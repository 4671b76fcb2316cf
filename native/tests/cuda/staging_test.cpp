// Copies between host and device through pinned memory: of no byte, of parts of a slot and of several, in the order of
// the device's work, with copies that land late.
#include "core/staging.h"

#include <cstring>
#include <deque>
#include <functional>
#include <memory>

#include "schedules.h"

namespace graft::test {
namespace {

/** A device whose copies land as late as its events allow. */
class LateDevice final : public core::Transfers {
 public:
  void* pin(std::int64_t bytes) override {
    ++pins;
    return ::operator new(static_cast<std::size_t>(bytes));
  }
  void unpin(void* memory) noexcept override {
    land(issued_);
    ::operator delete(memory);
  }
  void copy_in(void* to, const void* pinned, std::int64_t bytes) override { copy(to, pinned, bytes); }
  void copy_out(void* pinned, const void* from, std::int64_t bytes) override { copy(pinned, from, bytes); }
  void mark(int slot) override { marks_[slot] = issued_; }
  void wait(int slot) override { land(marks_[slot]); }
  void land_all() { land(issued_); }

  int pins = 0;

 private:
  void copy(void* to, const void* from, std::int64_t bytes) {
    ++issued_;
    open_.push_back([=] { std::memcpy(to, from, static_cast<std::size_t>(bytes)); });
  }
  void land(std::uint64_t count) {
    for (; landed_ < count; ++landed_) open_.front()(), open_.pop_front();
  }

  std::deque<std::function<void()>> open_;
  std::uint64_t issued_ = 0, landed_ = 0, marks_[2] = {};
};

std::vector<char> pattern(std::int64_t bytes) {
  std::vector<char> values(static_cast<std::size_t>(bytes));
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<char>(i * 31 + i / 4096);
  return values;
}

TEST(CudaStaging, AnyNumberOfSlots) {
  constexpr std::int64_t slot = core::Staging::kSlotBytes;
  for (std::int64_t bytes : {std::int64_t{0}, std::int64_t{1}, slot, slot + 1, 3 * slot - 5, 5 * slot}) {
    SCOPED_TRACE(std::to_string(bytes) + " bytes");
    LateDevice device;
    core::Staging staging(device);
    const std::vector<char> from = pattern(bytes);
    std::vector<char> host = from, memory(from.size()), back(from.size());
    staging.upload(memory.data(), host.data(), bytes);
    std::fill(host.begin(), host.end(), 'x');  // it has been read
    device.land_all();
    EXPECT_TRUE(memory == from);
    staging.download(back.data(), memory.data(), bytes);
    EXPECT_TRUE(back == from);
    EXPECT_LE(device.pins, 2);
  }
}

TEST(CudaStaging, ManySmallCopies) {
  LateDevice device;
  core::Staging staging(device);
  std::vector<int> memory(100), back(100);
  for (int i = 0; i < 100; ++i) staging.upload(&memory[static_cast<std::size_t>(i)], &i, sizeof i);
  for (std::size_t i = 0; i < 100; ++i) {
    staging.download(&back[i], &memory[i], sizeof(int));
    EXPECT_EQ(back[i], static_cast<int>(i));
  }
}

TEST(CudaStaging, UploadsKeepTheOrderOfTheWork) {
  const Context cuda(GRAFT_DEVICE_CUDA);
  constexpr std::int64_t count = 3 << 20;  // three slots
  for_schedules(3, [&] {
    Tensor x(cuda, kF32, {count}), y(cuda, kF32, {count});
    std::vector<float> host(static_cast<std::size_t>(count));
    for (int round = 1; round <= 3; ++round) {
      std::fill(host.begin(), host.end(), static_cast<float>(round));
      GRAFT_EXPECT_OK(graft_tensor_upload(cuda, x, host.data(), count * 4));
      std::fill(host.begin(), host.end(), -100.0f);
      GRAFT_EXPECT_OK(graft_tensor_copy(cuda, x, y));
    }
    GRAFT_EXPECT_OK(graft_tensor_upload(cuda, x, host.data(), count * 4));  // behind the last copy
    GRAFT_EXPECT_OK(graft_tensor_download(cuda, y, host.data(), count * 4));
    for (float value : host) ASSERT_EQ(value, 3);
  });
}

}  // namespace
}  // namespace graft::test
