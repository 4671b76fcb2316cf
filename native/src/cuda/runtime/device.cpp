// A GPU as the device of a context. All work goes into one stream, the caller's or one of its own, and memory is given
// and taken in the stream's order, so that the arena may hand scratch on while kernels still use it.
//
// Errors: out of memory leaves the context usable. Any other failure, which may be that of an earlier kernel, is sticky
// in CUDA: it poisons the context, and every later call answers with the first cause. The runtime is linked statically
// and finds the driver when it is first asked for, so that the library loads where there is none.
#include "core/device.h"

#include <cuda_runtime_api.h>

#include <string>

#include "core/capability.h"
#include "core/error.h"

namespace graft::cuda {
namespace {

class CudaDevice final : public core::Device {
 public:
  CudaDevice(int ordinal, void* stream) : ordinal_(ordinal), stream_(static_cast<cudaStream_t>(stream)) {
    enter();
    if (stream == nullptr) {
      check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "creating a stream");
      own_stream_ = true;
    }
    try {
      void* memory = nullptr;
      check(cudaHostAlloc(&memory, sizeof(core::Fault), cudaHostAllocMapped), "allocating pinned memory");
      fault_ = new (memory) core::Fault{};
    } catch (...) {
      close();
      throw;
    }
  }

  ~CudaDevice() override {
    cudaSetDevice(ordinal_);
    cudaStreamSynchronize(stream_);
    close();
  }

  int ordinal() const override { return ordinal_; }

  void* allocate(std::int64_t bytes) override {
    enter();
    void* memory = nullptr;
    const cudaError_t error = cudaMallocAsync(&memory, static_cast<std::size_t>(bytes > 0 ? bytes : 1), stream_);
    if (error == cudaErrorMemoryAllocation) {
      cudaGetLastError();  // why: it would be reported again by the next launch
      core::fail(GRAFT_OUT_OF_MEMORY, "CUDA device %d refused %lld bytes", ordinal_, static_cast<long long>(bytes));
    }
    check(error, "allocating device memory");
    return memory;
  }

  void free(void* memory) noexcept override {
    if (cudaSetDevice(ordinal_) == cudaSuccess) cudaFreeAsync(memory, stream_);
  }

  void zero(void* memory, std::int64_t bytes) override {
    enter();
    check(cudaMemsetAsync(memory, 0, static_cast<std::size_t>(bytes), stream_), "zeroing device memory");
  }

  void upload(void* memory, const void* host, std::int64_t bytes) override {
    enter();
    check(cudaMemcpyAsync(memory, host, static_cast<std::size_t>(bytes), cudaMemcpyHostToDevice, stream_), "uploading");
    check(cudaStreamSynchronize(stream_), "uploading");
  }

  void download(void* host, const void* memory, std::int64_t bytes) override {
    enter();
    check(cudaMemcpyAsync(host, memory, static_cast<std::size_t>(bytes), cudaMemcpyDeviceToHost, stream_),
          "downloading");
    check(cudaStreamSynchronize(stream_), "downloading");
  }

  core::Fault* fault() override { return fault_; }

  void synchronize() override {
    enter();
    check(cudaStreamSynchronize(stream_), "waiting for the stream");
    core::report(*fault_);
  }

  void* stream() override {
    enter();
    return stream_;
  }

 private:
  /** Makes this device the calling thread's; refuses when it is poisoned. */
  void enter() {
    if (!cause_.empty())
      core::fail(GRAFT_DEVICE_ERROR, "the context is poisoned by an earlier failure: %s", cause_.c_str());
    check(cudaSetDevice(ordinal_), "choosing the device");
  }

  void check(cudaError_t error, const char* doing) {
    if (error == cudaSuccess) return;
    cause_ = std::string(doing) + " on CUDA device " + std::to_string(ordinal_) + ": " + cudaGetErrorName(error) +
             ", " + cudaGetErrorString(error);
    core::fail(GRAFT_DEVICE_ERROR, "%s", cause_.c_str());
  }

  void close() noexcept {
    if (own_stream_) cudaStreamDestroy(stream_);
    cudaFreeHost(fault_);
  }

  const int ordinal_;
  cudaStream_t stream_;
  bool own_stream_ = false;
  core::Fault* fault_ = nullptr;
  std::string cause_;
};

int count() {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  if (error != cudaSuccess) {
    cudaGetLastError();
    int driver = 0;
    cudaDriverGetVersion(&driver);
    core::fail(GRAFT_DEVICE_UNAVAILABLE, "no CUDA device can be used: %s",
               driver == 0 ? "there is no NVIDIA driver" : cudaGetErrorString(error));
  }
  return count;
}

core::DeviceProperties properties(int ordinal) {
  cudaDeviceProp found;
  const cudaError_t error = cudaGetDeviceProperties(&found, ordinal);
  if (error != cudaSuccess) {
    cudaGetLastError();
    core::fail(GRAFT_DEVICE_UNAVAILABLE, "CUDA device %d cannot be used: %s", ordinal, cudaGetErrorString(error));
  }
  return {found.name, static_cast<std::int64_t>(found.totalGlobalMem)};
}

int capability(int ordinal) {
  int major = 0, minor = 0;
  if (cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, ordinal) != cudaSuccess ||
      cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, ordinal) != cudaSuccess) {
    cudaGetLastError();
    return 0;
  }
  return 10 * major + minor;
}

std::unique_ptr<core::Device> open(int ordinal, void* stream) { return std::make_unique<CudaDevice>(ordinal, stream); }

const bool registered = [] {
  core::cuda_backend() = {count, properties, open};
  core::capability_of() = capability;
  return true;
}();

}  // namespace
}  // namespace graft::cuda
