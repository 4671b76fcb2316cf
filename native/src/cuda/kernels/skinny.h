// The skinny passes of LoRA over x [T, K] and dy [T, N], of bf16, f16 or f32 as told by the tensors. They are
// memory-bound: each reads its large matrix once (for each 64 of the rank). Sums are made in fp32 in a fixed order.
#pragma once

#include <string>

#include "core/context.h"
#include "ops/lora.h"

namespace graft::cuda {

struct SegmentTable;

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

/** The most places of the rank that a launch sums. */
inline constexpr int kSkinnySlice = 64;

/** The same sums in each segment of a table, in parts that the caller adds up: of the rank's places slice … slice +
 * most - 1, as far as the segment has them. rows: for a segment that begins at row b the part of columns [groups, its
 * rows, its places] lies at groups · b · most, groups being row_part_groups(); columns: behind g groups of rows [its
 * groups of 1024 rows, C, its places] at g · C · most. Each may be NULL, with right or left. */
struct SkinnyParts {
  const graft_tensor* x;
  ops::Dropout dropout;
  const graft_tensor* right;  // [C, R], of which a segment has columns
  bool transposed;            // it is [R, C]
  const graft_tensor* left;   // [T, r]
  const SegmentTable* table;
  int slice, most;
  float *rows, *columns;
};

std::int64_t row_part_groups(const graft_tensor& x, bool beside_columns);
void run(core::Context& context, const SkinnyParts& a);

std::string refuse(const SkinnyForward& a);
void run(core::Context& context, const SkinnyForward& a);
std::string refuse(const SkinnyBackward& a);
void run(core::Context& context, const SkinnyBackward& a);
std::string refuse(const SkinnyGradient& a);
void run(core::Context& context, const SkinnyGradient& a);

}  // namespace graft::cuda
