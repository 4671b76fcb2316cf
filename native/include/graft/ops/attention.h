/** Softmax attention by tiles with a running maximum (arXiv 2205.14135, 2307.08691): no T×S matrix in memory. */
#ifndef GRAFT_OPS_ATTENTION_H
#define GRAFT_OPS_ATTENTION_H

#include "graft/weight.h"

#ifdef __cplusplus
extern "C" {
#endif

/** o = softmax(scale · q kᵀ + mask) v, causal.
 *
 * q, o [B, T, Hq, D]; k, v [B, S, Hk, D] float, any strides but the last; Hq a multiple of Hk: head h reads kv head
 * h/(Hq/Hk). lengths [B] i32 or NULL (all S). starts [B, T] i32 or NULL (all 0): the first position of each query's own
 * segment where a row holds several sequences behind one another, 0 <= starts[b, i] <= past + i, never falling along a
 * row. Query i stands at position past + i and sees keys j <= past + i with past + i − j < window (window > 0; 0: no
 * window), j < lengths[b] and j >= starts[b, i]. A query that sees no key gives zeros and lse = -inf. softcap > 0:
 * scores become softcap · tanh(scale · q kᵀ / softcap) (Gemma 2, arXiv 2408.00118, section 2); 0: they stay. lse
 * [B, Hq, T] f32 (f64 with f64): log-sum-exp of the scores, kept for backward; NULL in inference. */
GRAFT_API graft_status graft_attention_forward(graft_context* context, const graft_tensor* q, const graft_tensor* k,
                                               const graft_tensor* v, const graft_tensor* lengths,
                                               const graft_tensor* starts, double scale, double softcap, int64_t past,
                                               int64_t window, graft_tensor* o, graft_tensor* lse);

/** The same for inference over keys and values in pages (Kwon et al., arXiv 2309.06180, section 4.1), so that the rows
 * of a batch may have any lengths without padding: k, v [P, S, Hk, D] are P pages of S >= 1 keys, any strides but the
 * last. pages [B, M] i32, row-major: key j of row b is key j mod S of page pages[b, j / S]; every entry in 0..P−1, also
 * where none is read. lengths [B] i32: the keys of each row, those of its T queries among them, at most M·S. Query i of
 * row b stands at position lengths[b] − T + i; one before position 0 sees no key. Pages may be shared by rows. No lse.
 */
GRAFT_API graft_status graft_attention_paged_forward(graft_context* context, const graft_tensor* q,
                                                     const graft_tensor* k, const graft_tensor* v,
                                                     const graft_tensor* pages, const graft_tensor* lengths,
                                                     double scale, double softcap, int64_t window, graft_tensor* o);

/** dout, o as o above; dq, dk, dv as q, k, v: overwritten, all three wanted. */
GRAFT_API graft_status graft_attention_backward(graft_context* context, const graft_tensor* dout, const graft_tensor* q,
                                                const graft_tensor* k, const graft_tensor* v, const graft_tensor* o,
                                                const graft_tensor* lse, const graft_tensor* lengths,
                                                const graft_tensor* starts, double scale, double softcap, int64_t past,
                                                int64_t window, graft_tensor* dq, graft_tensor* dk, graft_tensor* dv);

#ifdef __cplusplus
}
#endif
#endif
