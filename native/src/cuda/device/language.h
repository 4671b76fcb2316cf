// Words of both compilers: nvcc knows CUDA, and the emulator teaches it to the C++ compiler.
#pragma once

#include <cstdint>

#if defined(__CUDACC__)
#include <cuda_runtime.h>
#else
#include "emulator/language.h"
#endif

// One name for "a function of kernels": inlined, and on the device alone.
#define GRAFT_DEVICE __device__ __forceinline__

// A kernel's parameter that stays where the launch put it, for all threads: a large table that they look up.
#if defined(__CUDACC__)
#define GRAFT_CONSTANT(...) const __grid_constant__ __VA_ARGS__
#else
#define GRAFT_CONSTANT(...) const __VA_ARGS__&
#endif

// Before a loop whose index chooses registers: to be unrolled; or by two, where the compiler's own choice spills.
#if defined(__CUDACC__)
#define GRAFT_UNROLL _Pragma("unroll")
#define GRAFT_UNROLL_TWICE _Pragma("unroll 2")
#else
#define GRAFT_UNROLL
#define GRAFT_UNROLL_TWICE
#endif

// `T name[count]` of static shared memory, and `T* name` at the start of the dynamic one: at least 16-byte aligned.
// Both start as garbage on a GPU, as NaN in the emulator.
#if defined(__CUDACC__)
#define GRAFT_SHARED(T, name, count) __shared__ __align__(16) T name[count]
#define GRAFT_DYNAMIC_SHARED(T, name)                               \
  extern __shared__ __align__(128) unsigned char dynamic_shared_[]; \
  T* const name = reinterpret_cast<T*>(dynamic_shared_)
#else
#define GRAFT_SHARED(T, name, count)    \
  static constexpr char name##_key = 0; \
  T(&name)[count] = *reinterpret_cast<T(*)[count]>(graft::emulator::static_shared(&name##_key, sizeof(T[count])))
#define GRAFT_DYNAMIC_SHARED(T, name) T* const name = static_cast<T*>(graft::emulator::dynamic_shared())
#endif

// A bug that the mutation gate plants to see that the tests find it, by name and one at a time. Elsewhere none is.
#if defined(GRAFT_MUTATIONS)
#define GRAFT_BUG(name)                                             \
  [] {                                                              \
    static const bool planted = graft::emulator::is_planted(#name); \
    return planted;                                                 \
  }()
#else
#define GRAFT_BUG(name) false
#endif

namespace graft::cuda {

inline constexpr unsigned kWholeWarp = 0xffffffffu;

template <class T>
__host__ __device__ constexpr T ceil_div(T a, T b) {
  return (a + b - 1) / b;
}

}  // namespace graft::cuda
