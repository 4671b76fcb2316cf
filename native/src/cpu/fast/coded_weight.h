// Products with a weight of any kind. A dense one is an operand of the GEMM library as it lies. The codes of another
// are decoded, by each panel of the result, into a panel of W that stays in cache until the library has read it; a
// product of few rows reads the codes alone. A new kind adds its cases to `decode` and few_rows_forward, and nothing
// else has to know it.
#pragma once

#include <algorithm>
#include <atomic>
#include <new>

#include "core/context.h"
#include "cpu/fast/visit.h"
#include "cpu/gemm/gemm.h"
#include "graft/weight.h"

namespace graft::cpu::fast {

/** panel [rows, columns] (row-major; f32, bf16 or f16) = W[n.., k..], each element rounded once to its dtype. On the
 * calling worker. */
void decode(const graft_weight& w, std::int64_t n, std::int64_t k, const Matrix& panel);

/** The panels of y = x Wᵀ + bias (+ y when beta is 1). */
GemmPanels forward_panels(core::Context& context, core::Scratch& scratch, const Matrix& x, const graft_weight& w,
                          const Matrix& y, float beta, const float* bias);

/** The panels of dx = dy W (+ dx when beta is 1). */
GemmPanels backward_panels(core::Context& context, core::Scratch& scratch, const Matrix& dy, const graft_weight& w,
                           const Matrix& dx, float beta);

/** Runs all panels, shared over the context's threads. */
void run_panels(core::Context& context, const GemmPanels& panels);

/** Rows of x for which y = x Wᵀ is faster from the codes than by panels. */
inline constexpr std::int64_t kFewRows = 8;

/** Why few_rows_forward does not serve. */
std::string refuse_few_rows(const graft_weight& w, std::int64_t rows);

/** y = x Wᵀ + bias (+ y when beta is 1) of at most kFewRows rows, in fp32 from the codes. */
void few_rows_forward(core::Context& context, const Matrix& x, const graft_weight& w, const Matrix& y, float beta,
                      const float* bias);

/** Most rows of W in one part of a few_rows_forward. */
inline constexpr std::int64_t kFewRowsPart = 32;

/** Calls body(first, count) for parts of W's n rows. why a run of parts for each worker: what it reads goes on along
 * memory, so that the processor reads ahead of it. Who has done its own takes parts of the others' runs. */
template <class Body>
void for_few_rows_parts(core::Context& context, std::int64_t n, const Body& body) {
  struct alignas(64) Run {
    std::atomic<std::int64_t> next;
    std::int64_t end;
  };
  const std::int64_t parts = chunks_of(n, kFewRowsPart), runs = std::min<std::int64_t>(parts, context.pool.threads());
  core::Scratch scratch(context.arena);
  Run* const of = scratch.take<Run>(runs);
  for (std::int64_t run = 0; run < runs; ++run) new (of + run) Run{run * parts / runs, (run + 1) * parts / runs};
  core::parallel_for(context, runs, [&](std::int64_t own, int) {
    for (std::int64_t i = 0; i < runs; ++i) {
      Run& run = of[(own + i) % runs];
      for (std::int64_t part = run.next++; part < run.end; part = run.next++)
        body(part * kFewRowsPart, std::min(kFewRowsPart, n - part * kFewRowsPart));
    }
  });
}

/** y's columns first.. of `count` rows of W = sums [count, t] + bias (+ y when beta is 1). */
void store_few_rows(const float* sums, std::int64_t t, std::int64_t first, std::int64_t count, float beta,
                    const float* bias, const Matrix& y);

}  // namespace graft::cpu::fast
