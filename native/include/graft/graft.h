/** Graft: fused kernels for parameter-efficient fine-tuning. The whole C ABI.
 *
 * Conventions of all ops: tensors of one call share a device; compute is in fp32 (fp64 when the tensors are fp64) and
 * results are stored in the tensor's dtype; activation outputs are overwritten unless a parameter `accumulate` says
 * otherwise; parameter gradients are accumulated (+=); a NULL output is not wanted and not computed; outputs may not
 * overlap inputs unless the contract says so; every reduction has a fixed order, so results are the same bits for any
 * number of threads. "float" below means f32, bf16, f16 or f64. */
#ifndef GRAFT_GRAFT_H
#define GRAFT_GRAFT_H

#include "graft/context.h"
#include "graft/device.h"
#include "graft/graph.h"
#include "graft/ops/activation.h"
#include "graft/ops/adamw.h"
#include "graft/ops/attention.h"
#include "graft/ops/block_diagonal.h"
#include "graft/ops/cayley.h"
#include "graft/ops/circulant.h"
#include "graft/ops/dora.h"
#include "graft/ops/embedding.h"
#include "graft/ops/fourier.h"
#include "graft/ops/gelu.h"
#include "graft/ops/group_sum.h"
#include "graft/ops/hard_concrete.h"
#include "graft/ops/hira.h"
#include "graft/ops/ia3.h"
#include "graft/ops/khatri_rao.h"
#include "graft/ops/kronecker.h"
#include "graft/ops/layer_norm.h"
#include "graft/ops/linear.h"
#include "graft/ops/linear_cross_entropy.h"
#include "graft/ops/lora.h"
#include "graft/ops/lora_segments.h"
#include "graft/ops/mixture.h"
#include "graft/ops/nf4.h"
#include "graft/ops/paca.h"
#include "graft/ops/random.h"
#include "graft/ops/rms_norm.h"
#include "graft/ops/rope.h"
#include "graft/ops/row_scale.h"
#include "graft/ops/rows.h"
#include "graft/ops/sketch.h"
#include "graft/ops/sketch_compress.h"
#include "graft/ops/sparse.h"
#include "graft/ops/swiglu.h"
#include "graft/ops/tensor_copy.h"
#include "graft/replay.h"
#include "graft/status.h"
#include "graft/tensor.h"
#include "graft/weight.h"

#endif
