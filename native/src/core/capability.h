// The compute capability of CUDA devices, by which kernels for one kind of GPU are chosen.
#pragma once

namespace graft::core {

/** How the CUDA backend tells that of a device: 90 for 9.0. NULL where there is no backend. */
using CapabilityOf = int (*)(int ordinal);
CapabilityOf& capability_of();

/** That of the context which the calling thread has entered the library with last; 0 on the CPU, or where it only
 * plans. */
int current_capability();

}  // namespace graft::core
