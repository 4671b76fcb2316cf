// The skinny passes of LoRA over x [T, K] and dy [T, N], of bf16, f16 or f32 as told by the tensors. They are
// memory-bound: each reads its large matrix once (for each 64 of the rank). Sums are made in fp32 in a fixed order.
#pragma once

#include <string>

#include "core/context.h"
#include "ops/lora.h"

namespace graft::cuda {

/** s [T, r] of x's dtype = drop(x) aᵀ, a [r, K] float; the same into tail. Each may be NULL. */
struct SkinnyForward {
  const graft_tensor* x;
  const graft_tensor* a;
  ops::Dropout dropout;
  graft_tensor* s;
  graft_tensor* tail;
};

/** ds [T, r] f32 = scale · dy b, the same into tail [T, r] of dy's dtype unless NULL, and db [N, r] f32 += scale · dyᵀ
 * s, over one read of dy. b [N, r] float, s [T, r] of dy's dtype. db may be NULL, and s with it. */
struct SkinnyBackward {
  const graft_tensor* dy;
  const graft_tensor* b;
  const graft_tensor* s;
  double scale;
  graft_tensor* ds;
  graft_tensor* tail;
  graft_tensor* db;
};

/** to [C, r] f32 += scale · drop(x)ᵀ left, or its transpose [r, C]; x [T, C], left [T, r] float. */
struct SkinnyGradient {
  const graft_tensor* left;
  const graft_tensor* x;
  ops::Dropout dropout;
  double scale;
  graft_tensor* to;
  bool transposed;
};

std::string refuse(const SkinnyForward& a);
void run(core::Context& context, const SkinnyForward& a);
std::string refuse(const SkinnyBackward& a);
void run(core::Context& context, const SkinnyBackward& a);
std::string refuse(const SkinnyGradient& a);
void run(core::Context& context, const SkinnyGradient& a);

}  // namespace graft::cuda
