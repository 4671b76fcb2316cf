// How the warps of a block work at different things (sm_90): barriers in shared memory that count threads and bytes
// (mbarrier), barriers of some warps, the fence that lets the async proxy (TMA, wgmma) see what threads have stored,
// and registers that one warpgroup gives to another. PTX ISA, "Parallel Synchronization and Communication
// Instructions".
//
// A Barrier is a sequence of phases, numbered from 0. A phase ends when all its arrivals and all expected bytes are in;
// then the next one begins. Waiting for parity p waits for the end of the last phase of that parity: waiting for parity
// 1 at the beginning passes at once.
#pragma once

#include <cstdint>

#include "cuda/device/language.h"
#include "cuda/device/matrix.h"  // GRAFT_WHERE
#if !defined(__CUDACC__)
#include "emulator/asynchronous.h"
#endif

namespace graft::cuda {

struct Barrier {
  std::uint64_t word;
};

#if defined(__CUDACC__)
GRAFT_DEVICE unsigned shared_address(const void* p) { return static_cast<unsigned>(__cvta_generic_to_shared(p)); }
#else
// The barrier's memory, as the sanitizers see it: written by its init, read by all else.
inline void touch(const Barrier* b) { (void)*static_cast<const volatile std::uint64_t*>(&b->word); }
#endif

/** Each phase ends with so many arrivals. One thread calls; before others use it: fence_barrier_init by that thread,
 * and a barrier of the block. */
GRAFT_DEVICE void barrier_init(Barrier* b, unsigned arrivals GRAFT_WHERE) {
#if defined(__CUDACC__)
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(b)), "r"(arrivals) : "memory");
#else
  static_cast<volatile std::uint64_t&>(b->word) = emulator::barrier_init(b, arrivals, where);
#endif
}

/** Lets the async proxy see the barriers that this thread has initialised. */
GRAFT_DEVICE void fence_barrier_init() {
#if defined(__CUDACC__)
  asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
#else
  emulator::fence_barriers();
#endif
}

GRAFT_DEVICE void barrier_arrive(Barrier* b GRAFT_WHERE) {
#if defined(__CUDACC__)
  asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(b)) : "memory");
#else
  touch(b);
  emulator::barrier_arrive(b, b->word, 0, where);
#endif
}

/** Arrives, and lets the phase wait for so many bytes of bulk copies too. */
GRAFT_DEVICE void barrier_arrive_expect(Barrier* b, unsigned bytes GRAFT_WHERE) {
#if defined(__CUDACC__)
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(b)), "r"(bytes)
               : "memory");
#else
  touch(b);
  emulator::barrier_arrive(b, b->word, bytes, where);
#endif
}

/** Whether the last phase of this parity has ended; waits a while for it. What was done before the arrivals, and what
 * the bulk copies brought, is then seen. */
GRAFT_DEVICE bool barrier_try_wait(Barrier* b, unsigned parity GRAFT_WHERE) {
#if defined(__CUDACC__)
  unsigned ended;
  asm volatile(
      "{\n"
      ".reg .pred p;\n"
      "mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n"
      "selp.u32 %0, 1, 0, p;\n"
      "}"
      : "=r"(ended)
      : "r"(shared_address(b)), "r"(parity)
      : "memory");
  return ended != 0;
#else
  touch(b);
  return emulator::barrier_try_wait(b, b->word, parity, where);
#endif
}

GRAFT_DEVICE void barrier_wait(Barrier* b, unsigned parity GRAFT_WHERE) {
#if defined(__CUDACC__)
  while (!barrier_try_wait(b, parity)) {
  }
#else
  while (!barrier_try_wait(b, parity, where)) {
  }
#endif
}

/** Lets the async proxy see what this thread has stored into shared memory. By each thread that stored, before the
 * barrier behind which a wgmma or a bulk copy reads it. */
GRAFT_DEVICE void fence_proxy_async() {
#if defined(__CUDACC__)
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#else
  emulator::fence_proxy();
#endif
}

/** Barrier `id` (1..15; 0 is __syncthreads) of so many threads, whole warps. */
GRAFT_DEVICE void sync_some(int id, int threads GRAFT_WHERE) {
#if defined(__CUDACC__)
  asm volatile("bar.sync %0, %1;" ::"r"(id), "r"(threads) : "memory");
#else
  emulator::sync_some(id, threads, where);
#endif
}

/** The calling warpgroup keeps so many registers for each thread (a multiple of 8 in 24..256), no more than it has, and
 * gives the rest up. A kernel begins with its share of 64 Ki, by __launch_bounds__(threads, 1). */
template <int Registers>
GRAFT_DEVICE void give_registers() {
  static_assert(Registers % 8 == 0 && Registers >= 24 && Registers <= 256);
#if defined(__CUDACC__)
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(Registers));
#else
  emulator::set_registers(Registers, false);
#endif
}

/** The calling warpgroup gets so many registers for each thread, no fewer than it has, when others have given them up.
 */
template <int Registers>
GRAFT_DEVICE void take_registers() {
  static_assert(Registers % 8 == 0 && Registers >= 24 && Registers <= 256);
#if defined(__CUDACC__)
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(Registers));
#else
  emulator::set_registers(Registers, true);
#endif
}

}  // namespace graft::cuda
