// Launches, and what the twins in device.h ask of the running block.
#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "emulator/block.h"

namespace graft::emulator {
namespace {

Schedule active;
std::atomic<std::uint64_t> all_switches{0};

}  // namespace

void set_schedule(const Schedule& schedule) { active = schedule; }
const Schedule& schedule() { return active; }

bool is_planted(const char* bug) {
  const char* planted = std::getenv("GRAFT_MUTATION");
  return planted != nullptr && std::strcmp(planted, bug) == 0;
}

std::uint64_t switches() { return all_switches.load(); }

void Queue::settle(std::uint64_t count) {
  for (; landed < count && !late.empty(); ++landed) {
    late.front()();
    late.pop_front();
  }
}

void enqueue(void* queue, std::function<void()> work) {
  auto* const q = static_cast<Queue*>(queue);
  if (q != nullptr && q->kept != nullptr) return q->kept->push_back(std::move(work));
  if (q != nullptr) q->settle();
  work();
}

void launch(const char* kernel, Dim3 grid, Dim3 block, std::size_t shared_bytes, const std::function<void()>& body) {
  const std::uint64_t blocks = std::uint64_t{grid.x} * grid.y * grid.z;
  const std::uint64_t threads = std::uint64_t{block.x} * block.y * block.z;
  if (blocks == 0 || grid.y > 65535 || grid.z > 65535 || threads == 0 || threads > 1024 || block.z > 64)
    die("kernel %s has an impossible grid (%u,%u,%u) of blocks (%u,%u,%u)", kernel, grid.x, grid.y, grid.z, block.x,
        block.y, block.z);
  std::atomic<std::uint64_t> next{0};
  const auto work = [&](Block& b) {
    for (std::uint64_t i; (i = next.fetch_add(1)) < blocks;) {
      // why: in a random half of the seeds the last block comes first.
      const std::uint64_t at = active.seed & 1 ? blocks - 1 - i : i;
      b.run({static_cast<unsigned>(at % grid.x), static_cast<unsigned>(at / grid.x % grid.y),
             static_cast<unsigned>(at / grid.x / grid.y)},
            active.seed * 7919u + static_cast<std::uint32_t>(at));
    }
    all_switches += b.switches();
  };
  // why: all made and freed by this thread: a lock that workers share would order them in ThreadSanitizer's eyes.
  std::vector<std::unique_ptr<Block>> mine;
  const std::uint64_t wanted = std::min<std::uint64_t>(static_cast<std::uint64_t>(active.threads), blocks);
  for (std::uint64_t i = 0; i < wanted; ++i)
    mine.push_back(std::make_unique<Block>(kernel, grid, block, shared_bytes, body));
  std::vector<std::thread> others;
  for (std::uint64_t i = 1; i < wanted; ++i) others.emplace_back(work, std::ref(*mine[i]));
  work(*mine.front());
  for (std::thread& other : others) other.join();
}

void require_aligned(const void* address, std::size_t alignment, const char* what) {
  if (reinterpret_cast<std::uintptr_t>(address) % alignment != 0)
    die("%s: address %p is not a multiple of %zu", what, address, alignment);
}

void* dynamic_shared() { return current_block->dynamic_shared(); }
void* static_shared(const void* key, std::size_t bytes) { return current_block->static_shared(key, bytes); }

void sync_block(std::source_location where) { current_block->sync_block(where); }

void sync_warp(unsigned mask, std::source_location where) {
  current_block->meet(mask, "__syncwarp", nullptr, 0, nullptr, true, where);
}

void gather(unsigned mask, const char* what, const std::uint32_t* mine, int words, std::uint32_t* all,
            std::source_location where) {
  current_block->meet(mask, what, mine, words, all, false, where);
}

bool lands_at_once() {
  if (active.completion == Completion::kRandom) return current_block->random() & 1;
  return active.completion == Completion::kEager;
}

void later(const Copy& copy) { current_block->running().open.push_back(copy); }

void commit() {
  Thread& self = current_block->running();
  self.groups.push_back(std::move(self.open));
  self.open.clear();
}

bool take_due(int open, Copy* copy) {
  auto& groups = current_block->running().groups;
  while (groups.size() > static_cast<std::size_t>(open)) {
    if (groups.front().empty()) {
      groups.erase(groups.begin());
      continue;
    }
    *copy = groups.front().front();
    groups.front().erase(groups.front().begin());
    return true;
  }
  return false;
}

}  // namespace graft::emulator
