// One block at a time: its threads, barriers, warps and shared memory. A Block is used again for the next one, as its
// stacks are dear.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "emulator/emulator.h"
#include "emulator/fiber.h"
#include "emulator/proxy.h"

namespace graft::emulator {

struct Thread {
  Fiber fiber;
  Place place;
  int warp = 0;
  bool done = false;
  const std::uint64_t* waits_for = nullptr;  // runs on when it is no longer `seen`
  std::uint64_t seen = 0;
  const char* waits_in = "";
  std::source_location waits_at;
  std::vector<Copy> open;                 // copies since the last commit
  std::vector<std::vector<Copy>> groups;  // committed and not landed, oldest first
  ThreadProducts products;
};

/** Lanes of one mask that meet. After a divergence several masks of a warp may do so at once. */
struct Meeting {
  unsigned mask = 0, arrived = 0;
  const char* what = nullptr;
  int words = 0;
  std::array<std::uint32_t, 32 * kMostWords> given;
  std::array<std::uint32_t*, 32> wanted;
  std::uint64_t generation = 0;
};

struct Warp {
  unsigned live = 0;
  std::array<Meeting, 32> meetings;
  WarpProducts products;
};

class Block {
 public:
  Block(const char* kernel, Dim3 grid, Dim3 size, std::size_t shared_bytes, const std::function<void()>& body);
  ~Block();
  void run(Dim3 index, std::uint32_t seed);

  void sync_block(std::source_location where);
  void meet(unsigned mask, const char* what, const std::uint32_t* mine, int words, std::uint32_t* all, bool orders,
            std::source_location where);
  void* dynamic_shared() const { return dynamic_; }
  void* static_shared(const void* key, std::size_t bytes);
  std::uint32_t random();
  /** Lets others run until *generation is no longer `seen`. */
  void wait(const std::uint64_t* generation, std::uint64_t seen, const char* what, std::source_location where);
  Thread& running() { return *running_; }
  Thread& thread(int i) { return *threads_[static_cast<std::size_t>(i)]; }
  Warp& warp(int i) { return *warps_[static_cast<std::size_t>(i)]; }
  int count() const { return count_; }
  Proxy& proxy() { return proxy_; }
  const char* kernel() const { return kernel_; }
  std::uint64_t switches() const { return switches_; }

 private:
  static void enter(void* block);
  void start(Dim3 index);
  bool run_some();
  bool run_warp(int warp, int first_lane, bool upwards);
  void open_barrier_if_full();
  Meeting& meeting(Warp& warp, unsigned mask);
  void check_shared() const;
  [[noreturn]] void report_deadlock() const;

  const char* const kernel_;
  const Dim3 grid_, size_;
  const int count_;
  const std::function<void()>& body_;
  std::vector<std::unique_ptr<Thread>> threads_;
  std::vector<std::unique_ptr<Warp>> warps_;
  Thread* running_ = nullptr;
  Dim3 index_;
  std::uint32_t state_ = 1;
  int live_ = 0, arrived_ = 0;
  std::uint64_t barrier_ = 0, switches_ = 0;
  const char* barrier_file_ = nullptr;
  unsigned barrier_line_ = 0;

  char* const window_;  // shared addresses are counted from here
  char* const dynamic_;
  const std::size_t dynamic_bytes_;
  char* const static_;
  std::size_t static_used_ = 0;
  std::vector<std::pair<const void*, char*>> static_pieces_;
  Proxy proxy_;
};

/** The name of a place's file without its folders. */
const char* file_name(const std::source_location& where);

extern thread_local Block* current_block;

}  // namespace graft::emulator
