// A GPU as the device of a context. All work goes into one stream, the caller's or one of its own, and memory is given
// and taken in the stream's order, so that the arena may hand scratch on while kernels still use it. Copies from and to
// the host go through pinned memory (core/staging.h).
//
// Work is kept by capturing the stream. Memory that is asked for meanwhile comes from a stream of its own and is no
// node of the graph: it stays where it is from launch to launch.
//
// Errors: out of memory leaves the context usable. Any other failure, which may be that of an earlier kernel, is sticky
// in CUDA: it poisons the context, and every later call answers with the first cause. The runtime is linked statically
// and finds the driver when it is first asked for, so that the library loads where there is none.
#include "core/device.h"

#include <cuda_runtime_api.h>

#include <array>
#include <memory>
#include <string>

#include "core/capability.h"
#include "core/error.h"
#include "core/staging.h"

namespace graft::cuda {
namespace {

class CudaDevice final : public core::Device, core::Transfers {
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
    const cudaStream_t from = keeping_ ? memory_stream() : stream_;
    const cudaError_t error = cudaMallocAsync(&memory, static_cast<std::size_t>(bytes > 0 ? bytes : 1), from);
    if (error == cudaErrorMemoryAllocation) {
      cudaGetLastError();  // why: it would be reported again by the next launch
      core::fail(GRAFT_OUT_OF_MEMORY, "CUDA device %d refused %lld bytes", ordinal_, static_cast<long long>(bytes));
    }
    check(error, "allocating device memory");
    if (keeping_) check(cudaStreamSynchronize(from), "allocating device memory");  // then any stream may use it
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
    staging_->upload(memory, host, bytes);
  }

  void download(void* host, const void* memory, std::int64_t bytes) override {
    enter();
    staging_->download(host, memory, bytes);
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

  void begin_keeping() override {
    enter();
    // why relaxed: libraries that are used for the first time may ask for memory meanwhile.
    const cudaError_t error = cudaStreamBeginCapture(stream_, cudaStreamCaptureModeRelaxed);
    if (error != cudaSuccess) refuse_keeping(error);
    keeping_ = true;
  }

  std::unique_ptr<core::KeptWork> end_keeping(bool wanted) override;

  /** Puts a graph into the stream. */
  void launch(cudaGraphExec_t graph) {
    enter();
    check(cudaGraphLaunch(graph, stream_), "launching a graph");
  }

 private:
  /** why not check(): work that cannot be captured leaves the context as it was. */
  [[noreturn]] void refuse_keeping(cudaError_t error) {
    cudaGetLastError();
    core::fail(GRAFT_DEVICE_ERROR, "CUDA device %d cannot keep this work: %s, %s", ordinal_, cudaGetErrorName(error),
               cudaGetErrorString(error));
  }

  cudaStream_t memory_stream() {
    if (memory_stream_ == nullptr)
      check(cudaStreamCreateWithFlags(&memory_stream_, cudaStreamNonBlocking), "creating a stream");
    return memory_stream_;
  }

  void* pin(std::int64_t bytes) override {
    void* memory = nullptr;
    check(cudaMallocHost(&memory, static_cast<std::size_t>(bytes)), "allocating pinned memory");
    return memory;
  }
  void unpin(void* memory) noexcept override { cudaFreeHost(memory); }

  void copy_in(void* to, const void* pinned, std::int64_t bytes) override {
    check(cudaMemcpyAsync(to, pinned, static_cast<std::size_t>(bytes), cudaMemcpyHostToDevice, stream_), "uploading");
  }
  void copy_out(void* pinned, const void* from, std::int64_t bytes) override {
    check(cudaMemcpyAsync(pinned, from, static_cast<std::size_t>(bytes), cudaMemcpyDeviceToHost, stream_),
          "downloading");
  }
  void mark(int slot) override {
    cudaEvent_t& event = events_[static_cast<std::size_t>(slot)];
    if (event == nullptr) check(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), "creating an event");
    check(cudaEventRecord(event, stream_), "marking a copy");
  }
  void wait(int slot) override {
    check(cudaEventSynchronize(events_[static_cast<std::size_t>(slot)]), "waiting for a copy");
  }

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
    staging_.reset();
    for (cudaEvent_t event : events_)
      if (event != nullptr) cudaEventDestroy(event);
    if (memory_stream_ != nullptr) cudaStreamDestroy(memory_stream_);
    if (own_stream_) cudaStreamDestroy(stream_);
    cudaFreeHost(fault_);
  }

  const int ordinal_;
  cudaStream_t stream_;
  cudaStream_t memory_stream_ = nullptr;
  bool own_stream_ = false, keeping_ = false;
  std::array<cudaEvent_t, 2> events_{};
  std::unique_ptr<core::Staging> staging_{new core::Staging(*this)};
  core::Fault* fault_ = nullptr;
  std::string cause_;
};

class Graph final : public core::KeptWork {
 public:
  Graph(CudaDevice& device, cudaGraphExec_t graph) : device_(device), graph_(graph) {}
  ~Graph() override { cudaGraphExecDestroy(graph_); }
  void launch() override { device_.launch(graph_); }

 private:
  CudaDevice& device_;
  const cudaGraphExec_t graph_;
};

std::unique_ptr<core::KeptWork> CudaDevice::end_keeping(bool wanted) {
  enter();
  keeping_ = false;
  cudaGraph_t graph = nullptr;
  cudaError_t error = cudaStreamEndCapture(stream_, &graph);
  if (!wanted) {
    cudaGetLastError();
    if (graph != nullptr) cudaGraphDestroy(graph);
    return nullptr;
  }
  if (error != cudaSuccess) refuse_keeping(error);
  cudaGraphExec_t runnable = nullptr;
  error = cudaGraphInstantiateWithFlags(&runnable, graph, 0);
  cudaGraphDestroy(graph);
  if (error != cudaSuccess) refuse_keeping(error);
  return std::make_unique<Graph>(*this, runnable);
}

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
