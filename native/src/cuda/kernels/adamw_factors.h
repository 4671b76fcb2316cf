// What AdamW steps multiply by: made by the host where it knows the step, else by a kernel from memory of the device.
#pragma once

#include "core/arena.h"
#include "cuda/device.h"
#include "ops/adamw.h"

namespace graft::cuda {

/** The most parameters that a launch moves. */
inline constexpr int kMostParameters = 168;

/** What belongs to each parameter of a launch. */
struct Rates {
  double lr[kMostParameters], weight_decay[kMostParameters];
  int count;
  void add(const ops::AdamWStep& a) { lr[count] = a.lr, weight_decay[count++] = a.weight_decay; }
};

struct StepFactors {
  ops::AdamWFactors<float> given;
  const ops::AdamWFactors<float>* made;  // NULL: given, with the parameter's own rates
  GRAFT_DEVICE ops::AdamWFactors<float> get(int parameter, float keep, float rate) const {
    if (made != nullptr) return made[parameter];
    ops::AdamWFactors<float> f = given;
    f.keep = keep, f.rate = rate;
    return f;
  }
};

/** Without clipping, whose norm is on the device. */
ops::AdamWFactors<float> unclipped_factors(const ops::AdamWStep& a);

/** Of a launch, of whose parameters `a` may be any; scratch holds what a kernel makes. */
StepFactors step_factors(core::Context& context, core::Scratch& scratch, const ops::AdamWStep& a, const Rates& rates);

/** The parameters of a table whose moments are in 8 bits. */
void run_8bit(core::Context& context, const ops::AdamWSteps& a);

}  // namespace graft::cuda
