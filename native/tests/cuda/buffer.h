// Memory that kernels and tests both reach: managed memory on a GPU host, the heap in the emulator.
#pragma once

#include <cstring>
#include <vector>

#include "cuda/device.h"

namespace graft::test {

template <class T>
class Buffer {
 public:
  explicit Buffer(std::size_t count) : count_(count) {
#if defined(__CUDACC__)
    if (cudaMallocManaged(&memory_, bytes()) != cudaSuccess) throw std::bad_alloc();
#else
    if (posix_memalign(reinterpret_cast<void**>(&memory_), 16, bytes()) != 0) throw std::bad_alloc();
#endif
    std::memset(static_cast<void*>(memory_), 0xff, bytes());
  }
  explicit Buffer(const std::vector<T>& values) : Buffer(values.size()) {
    if (!values.empty()) std::memcpy(static_cast<void*>(memory_), values.data(), bytes());
  }
  Buffer(const Buffer&) = delete;
  ~Buffer() {
#if defined(__CUDACC__)
    cudaFree(memory_);
#else
    std::free(memory_);
#endif
  }
  operator T*() { return memory_; }
  /** What is there when all kernels are done. */
  std::vector<T> get() const {
#if defined(__CUDACC__)
    if (const cudaError_t error = cudaDeviceSynchronize(); error != cudaSuccess)
      core::fail(GRAFT_DEVICE_ERROR, "%s", cudaGetErrorString(error));
#endif
    return std::vector<T>(memory_, memory_ + count_);
  }

 private:
  std::size_t bytes() const { return count_ * sizeof(T) + (count_ == 0); }
  std::size_t count_;
  T* memory_ = nullptr;
};

}  // namespace graft::test
