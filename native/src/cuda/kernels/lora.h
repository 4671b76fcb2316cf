// What the ops on top of lora share with it: its layers, and the low-rank part alone, in all rows or in some.
#pragma once

#include <string>

#include "core/context.h"
#include "graft/tensor.h"
#include "ops/lora.h"

namespace graft::cuda {

/** scale · B A, with dropout before A: a [r, K], b [N, r] float. */
struct Low {
  const graft_tensor* a;
  const graft_tensor* b;
  double scale;
  ops::Dropout dropout;
};

/** What backward has and makes; x may be NULL when da is, s when db is, and each output. */
struct LowGradients {
  const graft_tensor *dy, *x, *s;
  graft_tensor *dx, *da, *db;
};

/** y += scale · S Bᵀ with S = drop(x) Aᵀ, which is kept unless NULL. */
void add_low_forward(core::Context& context, const Low& l, const graft_tensor& x, const graft_tensor& y,
                     graft_tensor* kept);

/** With dS = scale · dy B: dx += drop'(dS A), da += dSᵀ drop(x), db += scale · dyᵀ s. */
void add_low_backward(core::Context& context, const Low& l, const LowGradients& g);

/** lora by the first path that serves. */
std::string refuse(const ops::LoraForward& a);
void run(core::Context& context, const ops::LoraForward& a);
std::string refuse(const ops::LoraBackward& a);
void run(core::Context& context, const ops::LoraBackward& a);
std::string refuse(const ops::LoraMerge& a);
void run(core::Context& context, const ops::LoraMerge& a);

}  // namespace graft::cuda
