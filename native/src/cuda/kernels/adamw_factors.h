// What an AdamW step multiplies by: made by the host where it knows the step, else by a kernel from memory of the
// device.
#pragma once

#include "core/arena.h"
#include "cuda/device.h"
#include "ops/adamw.h"

namespace graft::cuda {

struct StepFactors {
  ops::AdamWFactors<float> given;
  const ops::AdamWFactors<float>* made;  // NULL: given
  GRAFT_DEVICE ops::AdamWFactors<float> get() const { return made == nullptr ? given : *made; }
};

/** Without clipping, whose norm is on the device; scratch holds what a kernel makes. */
StepFactors step_factors(core::Context& context, core::Scratch& scratch, const ops::AdamWStep& a);

}  // namespace graft::cuda
