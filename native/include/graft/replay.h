/** Ops of a context, remembered and run again from C: what they take without the language that calls them. */
#ifndef GRAFT_REPLAY_H
#define GRAFT_REPLAY_H

#include "graft/context.h"

#ifdef __cplusplus
extern "C" {
#endif

/** on != 0: forgets what was recorded, and remembers every op that the context is asked for from now on and that does
 * not fail, with its arguments; ops run as ever. on = 0: remembers no more. Errors: INVALID_ARGUMENT. */
GRAFT_API graft_status graft_context_record(graft_context* context, int32_t on);

/** Runs the recorded ops in their order, checks included, so many times; nothing is recorded meanwhile. All tensors and
 * weights of the recorded calls must still exist. Errors: INVALID_ARGUMENT for a context without a record or negative
 * times, and those of the ops, of which the first ends the replay. */
GRAFT_API graft_status graft_context_replay(graft_context* context, int64_t times);

#ifdef __cplusplus
}
#endif
#endif
