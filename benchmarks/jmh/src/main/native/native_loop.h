/** The yardstick of BindingOverheadBenchmark: the same calls without Java. */
#ifndef GRAFT_BENCHMARKS_NATIVE_LOOP_H
#define GRAFT_BENCHMARKS_NATIVE_LOOP_H

#include "graft/graft.h"

/** Calls graft_tensor_fill so many times; returns the first failure. */
static inline graft_status graft_benchmark_fill_loop(graft_context* context, graft_tensor* y, int64_t calls) {
  for (int64_t i = 0; i < calls; ++i) {
    graft_status status = graft_tensor_fill(context, 1.0, y);
    if (status != GRAFT_OK) return status;
  }
  return GRAFT_OK;
}

#endif
