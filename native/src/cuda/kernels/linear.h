// What the ops on top of a linear layer share with it.
#pragma once

#include <string>

#include "core/context.h"
#include "ops/linear.h"

namespace graft::cuda {

std::string refuse(const ops::LinearForward& a);
void run(core::Context& context, const ops::LinearForward& a);
std::string refuse(const ops::LinearBackward& a);
void run(core::Context& context, const ops::LinearBackward& a);

/** bias [N] in `dtype`: the tensor's memory, or a copy in scratch; NULL for NULL. */
const void* bias_as(core::Context& context, core::Scratch& scratch, const graft_tensor* bias, graft_dtype dtype);

}  // namespace graft::cuda
