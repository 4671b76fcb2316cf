// Runs CUDA kernels on the CPU: one fiber per CUDA thread, blocks spread over CPU threads, in an order drawn from a
// seed. What a kernel may not do (meet at different barriers, leave lanes of a mask behind, wait for ever, write behind
// its memory) ends the process with a line that names kernel, block, thread and place. It proves logic, never speed.
//
// Kernels see none of this: they see CUDA's words (language.h) and device.h, whose twins call what stands here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <source_location>
#include <vector>

namespace graft::emulator {

/** When an asynchronous copy lands: at its issue, at its wait, or either, by the seed. */
enum class Completion { kEager, kLazy, kRandom };

struct Schedule {
  std::uint32_t seed = 0;
  Completion completion = Completion::kRandom;
  int threads = 2;  // CPU threads that share the blocks
};

/** For all launches from now on. */
void set_schedule(const Schedule& schedule);
const Schedule& schedule();

/** As CUDA's dim3 and uint3. */
struct Dim3 {
  unsigned x, y, z;
  constexpr Dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

/** Runs body once for each thread of the grid; returns when all are done. */
void launch(const char* kernel, Dim3 grid, Dim3 block, std::size_t shared_bytes, const std::function<void()>& body);

/** The queue of a device: work is done when it is put in, or kept; copies from and to pinned memory may land later, in
 * their order, the last of them before the next work. */
struct Queue {
  std::vector<std::function<void()>>* kept = nullptr;  // NULL: work is done
  std::deque<std::function<void()>> late;
  std::uint64_t landed = 0;
  /** The first `count` copies of all land, if they have not. */
  void settle(std::uint64_t count = ~std::uint64_t{0});
};

/** Puts work into a queue; NULL: it is done now. */
void enqueue(void* queue, std::function<void()> work);

/** Where the running CUDA thread stands. */
struct Place {
  Dim3 thread, block, block_size, grid_size;
  int lane;
};
extern thread_local constinit const Place* here;

/** Ends the process with this text and where the running thread stands. */
[[noreturn, gnu::format(printf, 1, 2)]] void die(const char* format, ...);

void require_aligned(const void* address, std::size_t alignment, const char* what);

/** The block's dynamic shared memory, and a piece of its static one for the declaration at `key`. */
void* dynamic_shared();
void* static_shared(const void* key, std::size_t bytes);

/** All threads of the block that still run. */
void sync_block(std::source_location where);

/** All lanes of the mask: orders memory. */
void sync_warp(unsigned mask, std::source_location where);

/** All lanes of the mask give `words` words; afterwards all[lane·words …] holds what each lane gave. Orders no memory:
 * on the device too, only a barrier does. */
void gather(unsigned mask, const char* what, const std::uint32_t* mine, int words, std::uint32_t* all,
            std::source_location where);
constexpr int kMostWords = 12;

/** An asynchronous copy of 16 bytes, of which `valid` come from the source and the rest are zero. */
struct Copy {
  void* to;
  const void* from;
  int valid;
};

/** Whether the next copy lands at once; if not, it is to be given to later(). */
bool lands_at_once();
void later(const Copy& copy);
void commit();
/** Takes the next copy that must land before at most `open` groups are open; false when there is none. */
bool take_due(int open, Copy* copy);

/** Whether GRAFT_MUTATION in the environment names this bug. */
bool is_planted(const char* bug);

/** Switches between fibers and meetings of warps so far, for the curious. */
std::uint64_t switches();

}  // namespace graft::emulator
