// Which instruction sets the kernels use: what the processor has, up to GRAFT_MAX_ISA, which is read when the library
// is loaded.
#pragma once

#include "core/isa.h"

namespace graft::cpu {

/** Whether GRAFT_MAX_ISA allows it. An unknown name there allows all; making a context reports it. */
bool allowed(core::Isa isa);

}  // namespace graft::cpu
