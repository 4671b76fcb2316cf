// 16 bytes at once, the widest access of a thread, and asynchronous copies of 16 bytes from global to shared memory.
#pragma once

#include <cstring>

#include "cuda/device/language.h"

namespace graft::cuda {

/** As many T as 16 bytes hold. */
template <class T>
struct alignas(16) Pack {
  static constexpr int kSize = 16 / sizeof(T);
  T at[kSize];
};

/** p is a multiple of 16 bytes. */
template <class T>
GRAFT_DEVICE Pack<T> load_pack(const T* p) {
  Pack<T> pack;
#if defined(__CUDACC__)
  const uint4 words = *reinterpret_cast<const uint4*>(p);
  memcpy(&pack, &words, 16);
#else
  emulator::require_aligned(p, 16, "load_pack");
  for (int i = 0; i < Pack<T>::kSize; ++i) pack.at[i] = p[i];
#endif
  return pack;
}

template <class T>
GRAFT_DEVICE void store_pack(T* p, const Pack<T>& pack) {
#if defined(__CUDACC__)
  uint4 words;
  memcpy(&words, &pack, 16);
  *reinterpret_cast<uint4*>(p) = words;
#else
  emulator::require_aligned(p, 16, "store_pack");
  for (int i = 0; i < Pack<T>::kSize; ++i) p[i] = pack.at[i];
#endif
}

#if !defined(__CUDACC__)
// In words, so that the sanitizers see every byte that is read and written.
inline void land(const emulator::Copy& copy) {
  for (int i = 0; i < 16; ++i)
    static_cast<volatile unsigned char*>(copy.to)[i] =
        i < copy.valid ? static_cast<const volatile unsigned char*>(copy.from)[i] : 0;
}
#endif

/** Starts a copy of 16 bytes from global to shared memory, both 16-byte aligned: `valid` (0..16) are read, the rest
 * becomes zero. */
GRAFT_DEVICE void cp_async16(void* shared, const void* global, int valid = 16) {
#if defined(__CUDACC__)
  asm volatile(
      "cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(static_cast<unsigned>(__cvta_generic_to_shared(shared))),
      "l"(global), "r"(valid)
      : "memory");
#else
  emulator::require_aligned(shared, 16, "cp_async16 to");
  emulator::require_aligned(global, 16, "cp_async16 from");
  if (valid < 0 || valid > 16) emulator::die("cp_async16 of %d bytes", valid);
  const emulator::Copy copy{shared, global, valid};
  emulator::lands_at_once() ? land(copy) : emulator::later(copy);
#endif
}

/** The copies started since the last commit are one group. */
GRAFT_DEVICE void cp_async_commit() {
#if defined(__CUDACC__)
  asm volatile("cp.async.commit_group;" ::: "memory");
#else
  emulator::commit();
#endif
}

/** Waits until at most the last N groups of this thread are still on their way. What other threads copied is there only
 * behind a barrier. */
template <int N>
GRAFT_DEVICE void cp_async_wait() {
#if defined(__CUDACC__)
  asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
#else
  for (emulator::Copy copy; emulator::take_due(N, &copy);) land(copy);
#endif
}

}  // namespace graft::cuda
