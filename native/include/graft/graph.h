/** A training step put into a GPU's queue as a whole: its ops are called once, and what they would have given to the
 * device is kept as a CUDA graph, which one call runs again and again; and numbers that change from step to step. */
#ifndef GRAFT_GRAPH_H
#define GRAFT_GRAPH_H

#include "graft/context.h"
#include "graft/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct graft_graph graft_graph;

/** From here to graft_graph_end the ops of a CUDA context are checked and chosen as ever, and their work is kept
 * instead of done. Call the same ops once before, so that algorithms are chosen and scratch has its size.
 *
 * The kept work reads and writes the tensors of the calls whenever it is launched: new values go into the same memory.
 * All else is what it was at the call: shapes, addresses, and every number by value (a scale, an epsilon, past,
 * window). Numbers that no two steps of training share are refused with UNSUPPORTED instead: lr and step of
 * graft_adamw_*, and the offset of a dropout, unless graft_context_step_values says where they are; a normalizer of
 * graft_linear_cross_entropy_forward that is not 0; graft_random_*, graft_hard_concrete_* with sampled gates, and the
 * segments of graft_lora_segments_*, which are in host memory.
 *
 * Tensors may be made meanwhile, and are zeroed at every launch; the memory of those destroyed meanwhile is the graph's
 * (counted as workspace), and is given to tensors of the same size. What waits for the device (copies from and to the
 * host, graft_context_synchronize) is refused. Errors: UNSUPPORTED (the CPU, for which graft_context_record serves, or
 * a context that plans), INVALID_ARGUMENT (work is being kept already). */
GRAFT_API graft_status graft_graph_begin(graft_context* context);

/** Ends that; graph NULL forgets the work. A call that failed has left the graph incomplete: forget it. Errors:
 * INVALID_ARGUMENT (nothing was begun), DEVICE_ERROR (the device cannot keep this work). */
GRAFT_API graft_status graft_graph_end(graft_context* context, graft_graph** graph);

/** Puts the kept work behind what the context was given before, with the same bits as the calls. All tensors of the
 * calls that were not destroyed before graft_graph_end must still exist. */
GRAFT_API graft_status graft_graph_launch(graft_context* context, graft_graph* graph);

/** Forgets the work, behind launches that are under way; NULL is allowed. A context outlives its graphs. */
GRAFT_API graft_status graft_graph_destroy(graft_context* context, graft_graph* graph);

/** From now on graft_adamw_step, _step_8bit and _steps multiply their lr by lr [1] f64 and take step = counters[0], and
 * every dropout adds counters[1] to its offset, counters [2] i64: read when the work is done, at each replay or
 * launch anew, on any device. A step below 1 is an error on the CPU, and taken as 1 on CUDA. Both tensors are of the
 * context's device, and live until others are given; NULL and NULL: numbers are as called. */
GRAFT_API graft_status graft_context_step_values(graft_context* context, const graft_tensor* lr,
                                                 const graft_tensor* counters);

#ifdef __cplusplus
}
#endif
#endif
