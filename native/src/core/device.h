// A device beside the CPU, as a context sees it: memory and waiting. A backend brings one; the core knows no CUDA.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace graft::core {

/** What a kernel found wrong with values that only the device can see. The first one is kept until it is reported. */
struct Fault {
  const char* op;    // NULL: none
  const char* name;  // of the argument: name[position] is value, must be in 0..limit-1
  std::int64_t position, value, limit;
};

/** Work that a device has kept; see graft/graph.h. */
class KeptWork {
 public:
  virtual ~KeptWork() = default;
  /** Behind all work that was given to the device before. */
  virtual void launch() = 0;
};

class Device {
 public:
  virtual ~Device() = default;
  /** At least 256-byte aligned, not zeroed; throws OUT_OF_MEMORY naming the size. */
  virtual void* allocate(std::int64_t bytes) = 0;
  /** Takes effect behind all work that was given to the device before. */
  virtual void free(void* memory) noexcept = 0;
  virtual void zero(void* memory, std::int64_t bytes) = 0;
  /** An upload has read all of the host's memory when it returns, and reaches the device in the order of its work; a
   * download waits. */
  virtual void upload(void* memory, const void* host, std::int64_t bytes) = 0;
  virtual void download(void* host, const void* memory, std::int64_t bytes) = 0;
  /** Where kernels write a fault: memory that both sides see. */
  virtual Fault* fault() = 0;
  /** Waits for all work; throws the first failure of it. */
  virtual void synchronize() = 0;
  /** The queue that kernels are put into, ready for the calling thread; throws when the device is poisoned. */
  virtual void* stream() = 0;
  /** From here to end_keeping() what is put into the queue is kept, and not done; memory can be had as ever, and none
   * is freed. Throws where the queue cannot do that. */
  virtual void begin_keeping() = 0;
  /** wanted: else the work is forgotten, and NULL returned. */
  virtual std::unique_ptr<KeptWork> end_keeping(bool wanted) = 0;
  /** Its number among the devices of its kind. */
  virtual int ordinal() const { return 0; }
};

struct DeviceProperties {
  std::string name;
  std::int64_t memory_bytes;
};

/** The CUDA backend; all NULL where the library has none. */
struct CudaBackend {
  /** How many devices there are; throws DEVICE_UNAVAILABLE with a reason where none can be used. */
  int (*count)();
  DeviceProperties (*properties)(int ordinal);
  /** Opens a device with the caller's stream, or one of its own when NULL. */
  std::unique_ptr<Device> (*open)(int ordinal, void* stream);
};
CudaBackend& cuda_backend();

/** Memory of contexts that plan: zeroed addresses, which take memory only where somebody writes. */
std::unique_ptr<Device> planned_memory();

/** Their queue: what is put into it is not run. */
void* planned_queue();

/** Throws INVALID_ARGUMENT for a fault, which is then forgotten. */
void report(Fault& fault);

/** Memory on `device`, or the CPU's when NULL. */
void* allocate_on(Device* device, std::int64_t bytes);
void zero_on(Device* device, void* memory, std::int64_t bytes);
void upload_to(Device* device, void* memory, const void* host, std::int64_t bytes);
void download_from(Device* device, void* host, const void* memory, std::int64_t bytes);
void free_on(Device* device, void* memory) noexcept;

}  // namespace graft::core
