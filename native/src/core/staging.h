// Pinned host memory between pageable memory and a device: a copy from or to pageable memory would make the driver
// stage it, and the caller wait. Two slots of 4 MiB, made when the first copy wants one, and no more: while the device
// reads one the host fills the other, and an event says when a slot may be used again.
#pragma once

#include <array>
#include <cstdint>

namespace graft::core {

/** What a device does for it, all in the order of its queue. */
class Transfers {
 public:
  virtual ~Transfers() = default;
  virtual void* pin(std::int64_t bytes) = 0;
  virtual void unpin(void* memory) noexcept = 0;
  virtual void copy_in(void* to, const void* pinned, std::int64_t bytes) = 0;
  virtual void copy_out(void* pinned, const void* from, std::int64_t bytes) = 0;
  /** Event `slot` happens when all that was put into the queue before is done. */
  virtual void mark(int slot) = 0;
  virtual void wait(int slot) = 0;
};

class Staging {
 public:
  static constexpr std::int64_t kSlotBytes = std::int64_t{4} << 20;

  explicit Staging(Transfers& transfers) : transfers_(transfers) {}
  ~Staging();
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;

  /** The host's memory has been read when it returns. */
  void upload(void* to, const void* host, std::int64_t bytes);
  /** The host's memory has been written when it returns. */
  void download(void* host, const void* from, std::int64_t bytes);

 private:
  struct Slot {
    char* memory = nullptr;
    bool marked = false;  // its event may be still to come
  };
  /** Its memory, free to be used. */
  char* ready(int slot);

  Transfers& transfers_;
  std::array<Slot, 2> slots_;
  int next_ = 0;
};

}  // namespace graft::core
