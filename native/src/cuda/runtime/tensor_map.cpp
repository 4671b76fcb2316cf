// Maps of boxes are made by the driver. Its function is looked for when one is first wanted, with a prototype of our
// own (cuda.h, CUDA 12.0 and later): the library builds without the driver's headers and loads where there is none.
#include "cuda/device/tensor_map.h"

#include <dlfcn.h>

#include "core/error.h"

namespace graft::cuda {
namespace {

enum DataType : int { kUnsigned8 = 0, kUnsigned16 = 1 };
enum Interleave : int { kNotInterleaved = 0 };
enum Swizzle : int { kNotSwizzled = 0, kSwizzled128 = 3 };
enum Promotion : int { kPromoted256 = 3 };
enum Fill : int { kZeros = 0 };

using Encode = int (*)(TensorMap* made, DataType type, std::uint32_t rank, void* data, const std::uint64_t* sizes,
                       const std::uint64_t* pitches, const std::uint32_t* box, const std::uint32_t* steps,
                       Interleave interleave, Swizzle swizzle, Promotion promotion, Fill fill);

Encode encoder() {
  static const Encode found = [] {
    void* const driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
    void* const function = driver == nullptr ? nullptr : dlsym(driver, "cuTensorMapEncodeTiled");
    if (function == nullptr)
      core::fail(GRAFT_DEVICE_UNAVAILABLE, "the driver has no cuTensorMapEncodeTiled: %s", dlerror());
    return reinterpret_cast<Encode>(function);
  }();
  return found;
}

}  // namespace

TensorMap tensor_map(const Boxes& b) {
  const std::uint64_t sizes[] = {static_cast<std::uint64_t>(b.columns), static_cast<std::uint64_t>(b.rows)};
  const std::uint64_t pitch = static_cast<std::uint64_t>(b.pitch * b.element_bytes);
  const std::uint32_t box[] = {static_cast<std::uint32_t>(b.box_columns), static_cast<std::uint32_t>(b.box_rows)};
  const std::uint32_t steps[] = {1, 1};
  TensorMap made;
  const int status =
      encoder()(&made, b.element_bytes == 1 ? kUnsigned8 : kUnsigned16, 2, const_cast<void*>(b.data), sizes, &pitch,
                box, steps, kNotInterleaved, b.swizzled ? kSwizzled128 : kNotSwizzled, kPromoted256, kZeros);
  if (status != 0)
    core::fail(GRAFT_DEVICE_ERROR, "cuTensorMapEncodeTiled, [%lld, %lld] in boxes of [%d, %d]: error %d",
               static_cast<long long>(b.rows), static_cast<long long>(b.columns), b.box_rows, b.box_columns, status);
  return made;
}

}  // namespace graft::cuda
