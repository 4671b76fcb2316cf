/** NF4: 4-bit codes of normal quantiles, with one scale for each 64 elements, which may be quantised once more (QLoRA,
 * arXiv 2305.14314, section 3). The layout is that of graft_weight; linear and lora take such a weight as it is. */
#ifndef GRAFT_OPS_NF4_H
#define GRAFT_OPS_NF4_H

#include "graft/weight.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Fills an NF4 weight [N, K] from a matrix [N, K] float (f64 is rounded to f32 first).
 *
 * absmax of a block is its largest magnitude; the code of w is the number of midpoints between levels that lie below
 * w · (1 / absmax), in fp32. A block of zeros has code 7, which is 0, and so has the last nibble of an odd number of
 * elements. Double quantised: nested_offset is the mean of all absmax, nested_absmax the largest |absmax -
 * nested_offset| of 256 blocks, and the code the nearest entry of the map. NaN and infinities are not looked for: their
 * blocks decode to no useful value. */
GRAFT_API graft_status graft_nf4_quantize(graft_context* context, const graft_tensor* matrix, graft_weight* w);

/** matrix [N, K] float = level[code] · absmax, in fp32, then rounded to its dtype. */
GRAFT_API graft_status graft_nf4_dequantize(graft_context* context, const graft_weight* w, graft_tensor* matrix);

#ifdef __cplusplus
}
#endif
#endif
