/** A linear layer's weight W [N, K] (out, in). How it is stored is a field, never another op. */
#ifndef GRAFT_WEIGHT_H
#define GRAFT_WEIGHT_H

#include "graft/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Dense is a matrix in memory. All other kinds are codes: without a border, and decoded piece by piece where a
 * product needs them; linear and lora take them, the other ops say that they need a dense weight. */
typedef enum graft_weight_kind {
  GRAFT_WEIGHT_DENSE = 0,
  GRAFT_WEIGHT_NF4 = 1,
  GRAFT_WEIGHT_SKETCH = 2
} graft_weight_kind;

/** Dense and bordered: one buffer [N+R, K+R] of pitch K+R (rounded up so that a row starts on 64 bytes).
 *
 *     rows 0..N-1, columns 0..K-1     W
 *     rows 0..N-1, columns K..K+R-1   s·B   (see graft_lora_pack)
 *     rows N..N+R-1, columns 0..K-1   A
 *
 * so that y = [x│S]·[W│sB]ᵀ and dx = [dy│dS]·[W;A] are one plain GEMM each. border R = 0 is a plain matrix.
 *
 * NF4 (QLoRA, arXiv 2305.14314, section 3; the bytes of bitsandbytes): W in row-major order, blocks of 64 elements, the
 * last one may be short. An element is level[code] · absmax of its block, in fp32. Element 2m is the high nibble of
 * byte m, 2m+1 the low one. Double quantised, absmax = map[absmax code] · nested_absmax + nested_offset, where the map
 * is the signed 8-bit dynamic map and nested_absmax belongs to 256 blocks.
 *
 * Sketch (SketchTune, arXiv 2410.06364): W[i, j] = table[i, g, code[i, j]] with g = j / (K/G). The codes, of 4, 3 or 2
 * bits, are frozen; the table [N, G, 2^bits] is a tensor of the caller's, whom training lets change it. The codes of a
 * row's group lie in blocks of 64 columns, the last one filled up with zeros; a block is 8·bits bytes:
 *
 *     4 bits   byte i of 32: column i in the low nibble, column 32 + i in the high one
 *     2 bits   byte i of 16: column 16f + i in bits 2f and 2f + 1
 *     3 bits   the low two bits of each code as above, then 8 bytes whose bit i, from the lowest, is column i's third
 *
 * so that one load and a shift yield neighbouring columns. graft_sketch_pack and _unpack convert from and to others. */
typedef struct graft_weight {
  graft_weight_kind kind;
  int32_t border;             /**< R; 0 unless dense */
  int64_t n;                  /**< out features N */
  int64_t k;                  /**< in features K */
  graft_tensor storage;       /**< dense: [N+R, K+R] with its pitch; NF4: u8 [ceil(N·K/2)], the codes; sketch: u8
                               * [N, G, ceil(K/G/64), 8·bits], the codes */
  graft_tensor absmax;        /**< NF4: [ceil(N·K/64)] f32, or the codes u8 when double quantised */
  graft_tensor nested_absmax; /**< NF4, double quantised: f32 [ceil(N·K/64/256)] */
  graft_tensor nested_offset; /**< NF4, double quantised: f32 [1] */
  graft_tensor table;         /**< sketch: float [N, G, 2^bits], row-major */
} graft_weight;

/** Allocates a zeroed dense weight. dtype: f32, bf16, f16 or f64. Errors: INVALID_ARGUMENT, OUT_OF_MEMORY. */
GRAFT_API graft_status graft_weight_create_dense(graft_context* context, graft_memory_category category,
                                                 graft_dtype dtype, int64_t n, int64_t k, int32_t border,
                                                 graft_weight** weight);

/** Describes the caller's own matrix [N, K] (any pitch, no border), which must outlive the weight. */
GRAFT_API graft_status graft_weight_wrap_dense(graft_context* context, const graft_tensor* matrix,
                                               graft_weight** weight);

/** Allocates an NF4 weight of zeros, for graft_nf4_quantize to fill; N·K/2 bytes, and 4 (double quantised: about 1) for
 * each 64 elements. Errors: INVALID_ARGUMENT, OUT_OF_MEMORY. */
GRAFT_API graft_status graft_weight_create_nf4(graft_context* context, graft_memory_category category, int64_t n,
                                               int64_t k, int32_t double_quantised, graft_weight** weight);

/** Describes the caller's own NF4 tensors, without gaps, which must outlive the weight: codes u8 [ceil(N·K/2)]; absmax
 * f32 [B] with nested_absmax and nested_offset NULL, or absmax u8 [B], nested_absmax f32 [ceil(B/256)] and
 * nested_offset f32 [1], with B = ceil(N·K/64). */
GRAFT_API graft_status graft_weight_wrap_nf4(graft_context* context, int64_t n, int64_t k, const graft_tensor* codes,
                                             const graft_tensor* absmax, const graft_tensor* nested_absmax,
                                             const graft_tensor* nested_offset, graft_weight** weight);

/** Allocates the codes of a sketch weight, all zero, for graft_sketch_pack to fill. table [N, G, L] float, row-major:
 * L is 16, 8 or 4, and G divides K; it must outlive the weight. Errors: INVALID_ARGUMENT, OUT_OF_MEMORY. */
GRAFT_API graft_status graft_weight_create_sketch(graft_context* context, graft_memory_category category,
                                                  const graft_tensor* table, int64_t k, graft_weight** weight);

/** Describes the caller's own codes and table in the layout above, which must outlive the weight. */
GRAFT_API graft_status graft_weight_wrap_sketch(graft_context* context, const graft_tensor* codes,
                                                const graft_tensor* table, int64_t k, graft_weight** weight);

/** Frees a weight; NULL is allowed. */
GRAFT_API graft_status graft_weight_destroy(graft_context* context, graft_weight* weight);

#ifdef __cplusplus
}
#endif
#endif
