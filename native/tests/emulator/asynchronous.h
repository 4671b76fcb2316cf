// What Hopper does beside a block's threads, for the twins of device/barrier.h, bulk.h and wgmma.h: barriers that count
// arrivals and bytes, copies and products that are under way, and what they see of shared memory.
//
// A copy and a warp's product land when the schedule says: at once, when no thread can go on, or between. Until then
// their targets (shared memory; sums) are NaN. The async proxy has a view of its own of the dynamic shared memory: what
// threads store comes into it by fence_proxy alone, what a copy brings lies in both. Landing is a thread of its own to
// ThreadSanitizer, ordered behind the issue and before the wait, and its code is compiled with the kernels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <source_location>

namespace graft::emulator {

/** What is to lie in the barrier's memory: the other functions are given it and see whether it is a barrier. */
std::uint64_t barrier_init(void* barrier, unsigned arrivals, std::source_location where);
void fence_barriers();
void barrier_arrive(void* barrier, std::uint64_t word, std::int64_t bytes, std::source_location where);
/** Waits for the end of a phase; false where that was another one than the last of this parity. */
bool barrier_try_wait(void* barrier, std::uint64_t word, unsigned parity, std::source_location where);
void fence_proxy();
void sync_some(int id, int threads, std::source_location where);
/** Of each thread of the warpgroup: more of them, or fewer, than the kernel begins with. */
void set_registers(int count, bool more);

/** Later land(what) writes `bytes` to `shared` on, and the barrier hears of it. `what` is copied. */
using Land = void (*)(const void* what);
void start_copy(Land land, const void* what, std::size_t what_bytes, void* shared, std::int64_t bytes, void* barrier,
                std::uint64_t word, std::source_location where);
constexpr std::size_t kMostWhat = 128;

/** Add it to an address in dynamic shared memory for the async proxy's view of it. */
std::uintptr_t async_view();
/** Where addresses of shared memory begin, and where in it p is. */
std::uintptr_t window();
unsigned window_offset(const void* p);
/** Ends the process unless all bytes are in dynamic shared memory. */
void require_in_window(std::uintptr_t address, std::size_t bytes);

/** One warp's share of a wgmma. */
struct WarpProduct {
  std::uint64_t a, b;
  bool keep, a_in_registers;
  int warp_of_group;
  const std::uint32_t* a_registers[32];
  float* sums[32];
};

/** What each lane says of it. */
struct ProductIssue {
  void (*land)(const WarpProduct&);
  std::uint64_t a, b;
  bool keep, a_in_registers;
  const std::uint32_t* a_registers;
};

void fence_sums(float* sums, int count);
void start_product(const ProductIssue& issue, float* sums, int count, std::source_location where);
void commit_products();
void wait_products(int open, std::source_location where);

}  // namespace graft::emulator
