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

}  // namespace graft::cuda
