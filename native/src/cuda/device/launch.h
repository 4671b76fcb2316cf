// Kernels into a stream: one function for both compilers.
#pragma once

#include <cstddef>

#include "core/device.h"
#include "core/error.h"
#include "cuda/device/language.h"

namespace graft::cuda {

/** What a launch needs beside the kernel and its arguments. A grid or block of size 0 launches nothing,
 * nor does the queue of a context that plans. */
struct Launch {
  const char* kernel;  // its name, for messages
  dim3 grid, block;
  std::size_t shared_bytes;
  void* stream;
};

/** Puts kernel(arguments…) behind the work of the stream; throws DEVICE_ERROR when the device refuses. */
template <class... Parameters, class... Arguments>
void launch(const Launch& l, void (*kernel)(Parameters...), const Arguments&... arguments) {
  if (l.grid.x == 0 || l.grid.y == 0 || l.grid.z == 0 || l.stream == core::planned_queue()) return;
#if defined(__CUDACC__)
  constexpr std::size_t granted = 48 << 10;  // more must be asked for
  if (l.shared_bytes > granted)
    cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(l.shared_bytes));
  kernel<<<l.grid, l.block, l.shared_bytes, static_cast<cudaStream_t>(l.stream)>>>(
      static_cast<Parameters>(arguments)...);
  if (const cudaError_t error = cudaGetLastError(); error != cudaSuccess)
    core::fail(GRAFT_DEVICE_ERROR, "kernel %s cannot be launched: %s", l.kernel, cudaGetErrorString(error));
#else
  // why copies: a launch that is kept runs when its caller's arguments are gone.
  emulator::enqueue(l.stream, [l, kernel, ... copies = static_cast<Parameters>(arguments)] {
    emulator::launch(l.kernel, l.grid, l.block, l.shared_bytes, [&] { kernel(copies...); });
  });
#endif
}

}  // namespace graft::cuda
