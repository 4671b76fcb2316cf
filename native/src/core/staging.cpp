#include "core/staging.h"

#include <algorithm>
#include <cstring>

namespace graft::core {

Staging::~Staging() {
  for (const Slot& slot : slots_)
    if (slot.memory != nullptr) transfers_.unpin(slot.memory);
}

char* Staging::ready(int slot) {
  Slot& s = slots_[static_cast<std::size_t>(slot)];
  if (s.memory == nullptr) s.memory = static_cast<char*>(transfers_.pin(kSlotBytes));
  if (s.marked) transfers_.wait(slot);
  s.marked = false;
  return s.memory;
}

void Staging::upload(void* to, const void* host, std::int64_t bytes) {
  for (std::int64_t done = 0; done < bytes; done += kSlotBytes) {
    const std::int64_t size = std::min(kSlotBytes, bytes - done);
    char* const pinned = ready(next_);
    std::memcpy(pinned, static_cast<const char*>(host) + done, static_cast<std::size_t>(size));
    transfers_.copy_in(static_cast<char*>(to) + done, pinned, size);
    transfers_.mark(next_);
    slots_[static_cast<std::size_t>(next_)].marked = true;
    next_ = 1 - next_;
  }
}

void Staging::download(void* host, const void* from, std::int64_t bytes) {
  const auto size_at = [&](std::int64_t done) { return std::min(kSlotBytes, bytes - done); };
  const auto start = [&](std::int64_t done, int slot) {
    transfers_.copy_out(ready(slot), static_cast<const char*>(from) + done, size_at(done));
    transfers_.mark(slot);
    slots_[static_cast<std::size_t>(slot)].marked = true;
  };
  if (bytes > 0) start(0, next_);
  for (std::int64_t done = 0; done < bytes; done += kSlotBytes) {
    if (done + kSlotBytes < bytes) start(done + kSlotBytes, 1 - next_);
    std::memcpy(static_cast<char*>(host) + done, ready(next_), static_cast<std::size_t>(size_at(done)));
    next_ = 1 - next_;
  }
}

}  // namespace graft::core
