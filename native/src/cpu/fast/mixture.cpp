// mixture, rows shared out to the threads. route and blocks are narrow: plain fp32 loops over a row. vectors with SIMD:
// per row the factor gates·v in registers; dv as partial sums over pieces of rows, which a second pass adds in order.
// Bytes of vectors: x and y once; backward dy and x once, dx once. FLOPs: 2·T·N·E; backward 6·T·N·E.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/fast/mixture.cpp"
#include <hwy/foreach_target.h>
// why: foreach_target includes this file again for each instruction set; it must come before what follows.
#include <algorithm>
#include <cmath>

#include "core/context.h"
#include "cpu/fast/simd-inl.h"
#include "cpu/fast/skinny.h"
#include "cpu/fast/visit.h"
#include "ops/mixture.h"

HWY_BEFORE_NAMESPACE();
namespace graft::cpu::fast::HWY_NAMESPACE {

// Σ_e gates[e]·v[e, i..] for the lanes from column i on.
HWY_INLINE VF mixed(F d, const float* gates, std::int64_t experts, const float* v, std::int64_t columns, std::int64_t i,
                    std::int64_t n) {
  VF sum = hn::Zero(d);
  for (std::int64_t e = 0; e < experts; ++e) sum = hn::MulAdd(hn::Set(d, gates[e]), at(d, v + e * columns + i, n), sum);
  return sum;
}

// v and gates: f32, without gaps.
void vectors_forward(core::Context& context, const ops::MixtureVectorsForward& a, const float* gates, const float* v) {
  const std::int64_t rows = a.x->shape[0], columns = a.x->shape[1], experts = a.v->shape[0];
  visit_small_float(a.x->dtype, [&](auto tag) {
    using T = decltype(tag);
    core::parallel_for(context, chunks_of(rows), [&](std::int64_t chunk, int) {
      const F d;
      for (std::int64_t t = chunk * kRowsPerChunk; t < std::min(rows, (chunk + 1) * kRowsPerChunk); ++t) {
        const T* x = row<const T>(*a.x, t);
        T* y = row<T>(*a.y, t);
        for_lanes(d, columns, [&](std::int64_t i, std::int64_t n) {
          const VF factor = mixed(d, gates + t * experts, experts, v, columns, i, n), value = at(d, x + i, n);
          const VF before = a.accumulate ? at(d, y + i, n) : hn::Zero(d);
          put(d, hn::MulAdd(factor, value, before), y + i, n);
        });
      }
    });
  });
}

// Rows first..last of dx and dgates; sums [E, N] gains their part of dv unless NULL. products: N floats of the worker.
template <class T>
void vectors_rows(const ops::MixtureVectorsBackward& a, const float* gates, const float* v, std::int64_t first,
                  std::int64_t last, float* products, float* sums) {
  const F d;
  const std::int64_t columns = a.x->shape[1], experts = a.v->shape[0];
  for (std::int64_t t = first; t < last; ++t) {
    const T *dy = row<const T>(*a.dy, t), *x = row<const T>(*a.x, t);
    const float* weights = gates + t * experts;
    for_lanes(d, columns, [&](std::int64_t i, std::int64_t n) {
      const VF gradient = at(d, dy + i, n);
      put(d, hn::Mul(gradient, at(d, x + i, n)), products + i, n);
      if (a.dx != nullptr)
        put(d, hn::Mul(gradient, mixed(d, weights, experts, v, columns, i, n)), row<T>(*a.dx, t) + i, n);
    });
    for (std::int64_t e = 0; e < experts; ++e) {
      const VF weight = hn::Set(d, weights[e]);
      VF dgate = hn::Zero(d);
      for_lanes(d, columns, [&](std::int64_t i, std::int64_t n) {
        const VF product = at(d, products + i, n);
        dgate = hn::MulAdd(product, at(d, v + e * columns + i, n), dgate);
        if (sums == nullptr) return;
        float* to = sums + e * columns + i;
        put(d, hn::MulAdd(weight, product, at(d, to, n)), to, n);
      });
      if (a.dgates != nullptr) row<T>(*a.dgates, t)[e] = T(sum(d, dgate));
    }
  }
}

void vectors_backward(core::Context& context, const ops::MixtureVectorsBackward& a, const float* gates,
                      const float* v) {
  // why not kRowsPerChunk: each piece has sums of dv's size.
  constexpr std::int64_t kPieces = 16;
  const std::int64_t rows = a.x->shape[0], columns = a.x->shape[1], experts = a.v->shape[0];
  const std::int64_t per_piece = std::max(kRowsPerChunk, chunks_of(rows, kPieces)), size = experts * columns;
  const std::int64_t pieces = chunks_of(rows, per_piece);
  core::Scratch scratch(context.arena);
  float* products = scratch.take<float>(context.pool.threads() * columns);
  float* sums = a.dv == nullptr ? nullptr : scratch.take<float>(pieces * size);
  if (sums != nullptr) std::fill_n(sums, pieces * size, 0.0f);
  visit_small_float(a.x->dtype, [&](auto tag) {
    core::parallel_for(context, pieces, [&](std::int64_t piece, int worker) {
      vectors_rows<decltype(tag)>(a, gates, v, piece * per_piece, std::min(rows, (piece + 1) * per_piece),
                                  products + worker * columns, sums == nullptr ? nullptr : sums + piece * size);
    });
  });
  if (sums == nullptr) return;
  core::parallel_for(context, experts, [&](std::int64_t e, int) {
    float* to = row<float>(*a.dv, e);
    for (std::int64_t piece = 0; piece < pieces; ++piece)
      for (std::int64_t i = 0; i < columns; ++i) to[i] += sums[piece * size + e * columns + i];
  });
}

// Rows t of y = Σ_e gates[e]·x_e.
template <class T>
void combine_row(const T* x, const T* gates, std::int64_t experts, std::int64_t columns, T* y) {
  const F d;
  for_lanes(d, columns, [&](std::int64_t i, std::int64_t n) {
    VF sum = hn::Zero(d);
    for (std::int64_t e = 0; e < experts; ++e)
      sum = hn::MulAdd(hn::Set(d, static_cast<float>(gates[e])), at(d, x + e * columns + i, n), sum);
    put(d, sum, y + i, n);
  });
}

void combine_forward(core::Context& context, const ops::MixtureCombineForward& a) {
  visit_small_float(a.x->dtype, [&](auto tag) {
    using T = decltype(tag);
    core::parallel_for(context, chunks_of(a.x->shape[0]), [&](std::int64_t chunk, int) {
      for (std::int64_t t = chunk * kRowsPerChunk; t < std::min(a.x->shape[0], (chunk + 1) * kRowsPerChunk); ++t)
        combine_row(row<const T>(*a.x, t), row<const T>(*a.gates, t), a.gates->shape[1], a.y->shape[1],
                    row<T>(*a.y, t));
    });
  });
}

template <class T>
void combine_backward_row(const ops::MixtureCombineBackward& a, std::int64_t t) {
  const F d;
  const std::int64_t columns = a.dy->shape[1];
  const T* dy = row<const T>(*a.dy, t);
  for (std::int64_t e = 0; a.dgates != nullptr && e < a.dgates->shape[1]; ++e) {
    const T* x = row<const T>(*a.x, t) + e * columns;
    VF sums = hn::Zero(d);
    for_lanes(d, columns,
              [&](std::int64_t i, std::int64_t n) { sums = hn::MulAdd(at(d, dy + i, n), at(d, x + i, n), sums); });
    row<T>(*a.dgates, t)[e] = T(sum(d, sums));
  }
  for (std::int64_t e = 0; a.dx != nullptr && e < a.gates->shape[1]; ++e) {
    T* dx = row<T>(*a.dx, t) + e * columns;
    const VF gate = hn::Set(d, static_cast<float>(row<const T>(*a.gates, t)[e]));
    for_lanes(d, columns, [&](std::int64_t i, std::int64_t n) {
      const VF before = a.accumulate ? at(d, dx + i, n) : hn::Zero(d);
      put(d, hn::MulAdd(gate, at(d, dy + i, n), before), dx + i, n);
    });
  }
}

void combine_backward(core::Context& context, const ops::MixtureCombineBackward& a) {
  visit_small_float(a.dy->dtype, [&](auto tag) {
    core::parallel_for(context, chunks_of(a.dy->shape[0]), [&](std::int64_t chunk, int) {
      for (std::int64_t t = chunk * kRowsPerChunk; t < std::min(a.dy->shape[0], (chunk + 1) * kRowsPerChunk); ++t)
        combine_backward_row<decltype(tag)>(a, t);
    });
  });
}

}  // namespace graft::cpu::fast::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace graft::cpu::fast {
namespace {

// A matrix in fp32 without gaps, from the scratch.
float* floats_of(core::Scratch& scratch, const graft_tensor& m) {
  const std::int64_t rows = m.shape[0], columns = m.shape[1];
  float* to = scratch.take<float>(rows * columns);
  convert(matrix_of(m), 1, row_major(to, GRAFT_DTYPE_F32, rows, columns, columns));
  return to;
}

// Calls body(tag, t) for all rows, in the threads' chunks.
template <class Body>
void for_rows(core::Context& context, const graft_tensor& like, Body&& body) {
  visit_small_float(like.dtype, [&](auto tag) {
    core::parallel_for(context, chunks_of(like.shape[0]), [&](std::int64_t chunk, int) {
      const std::int64_t last = std::min(like.shape[0], (chunk + 1) * kRowsPerChunk);
      for (std::int64_t t = chunk * kRowsPerChunk; t < last; ++t) body(tag, t);
    });
  });
}

// p = softmax of a row; its largest element is number `largest`.
template <class T>
std::int64_t softmax(const T* logits, std::int64_t experts, float* p) {
  std::int64_t largest = 0;
  for (std::int64_t e = 1; e < experts; ++e)
    if (static_cast<float>(logits[e]) > static_cast<float>(logits[largest])) largest = e;
  float sum = 0;
  for (std::int64_t e = 0; e < experts; ++e)
    sum += p[e] = std::exp(static_cast<float>(logits[e]) - static_cast<float>(logits[largest]));
  for (std::int64_t e = 0; e < experts; ++e) p[e] /= sum;
  return largest;
}

// The balance's f and factor, and its loss; p [T, E] is the softmax of every row. One thread: E numbers a row.
struct Balance {
  float* share;
  float factor = 0, loss = 0;

  Balance(core::Scratch& scratch, const ops::MixtureRouteBackward& a, const float* p, const std::int64_t* largest)
      : share(scratch.take<float>(a.logits->shape[1])) {
    const std::int64_t rows = a.logits->shape[0], experts = a.logits->shape[1];
    auto* mean = scratch.take<double>(experts);
    std::fill_n(mean, experts, 0.0);
    std::fill_n(share, experts, 0.0f);
    std::int64_t count = 0;
    for (std::int64_t t = 0; t < rows; ++t) {
      if (!a.counts(t)) continue;
      for (std::int64_t e = 0; e < experts; ++e) mean[e] += p[t * experts + e];
      share[largest[t]] += 1;
      ++count;
    }
    if (count == 0) return;
    const double rows_factor = a.balance * static_cast<double>(experts) / static_cast<double>(count);
    double sum = 0;
    for (std::int64_t e = 0; e < experts; ++e) {
      share[e] /= static_cast<float>(count);
      sum += rows_factor * share[e] * mean[e];
    }
    factor = static_cast<float>(rows_factor);
    loss = static_cast<float>(sum);
  }
};

}  // namespace

HWY_EXPORT(vectors_forward);
HWY_EXPORT(vectors_backward);
HWY_EXPORT(combine_forward);
HWY_EXPORT(combine_backward);

std::string refuse(const ops::MixtureRouteForward& a) { return refuse_f64(*a.logits); }
std::string refuse(const ops::MixtureRouteBackward& a) { return refuse_f64(*a.logits); }
std::string refuse(const ops::MixtureBlocksForward& a) { return refuse_f64(*a.x); }
std::string refuse(const ops::MixtureBlocksBackward& a) { return refuse_f64(*a.x); }
std::string refuse(const ops::MixtureVectorsForward& a) {
  return a.v->dtype == GRAFT_DTYPE_F64 ? refuse_f64(*a.v) : refuse_f64(*a.x);
}
std::string refuse(const ops::MixtureVectorsBackward& a) {
  return a.v->dtype == GRAFT_DTYPE_F64 ? refuse_f64(*a.v) : refuse_f64(*a.x);
}

void run(core::Context& context, const ops::MixtureRouteForward& a) {
  const std::int64_t experts = a.logits->shape[1];
  core::Scratch scratch(context.arena);
  float* all = scratch.take<float>(a.logits->shape[0] * experts);
  for_rows(context, *a.logits, [&](auto tag, std::int64_t t) {
    using T = decltype(tag);
    const T* logits = row<const T>(*a.logits, t);
    T* gates = row<T>(*a.gates, t);
    float *p = all + t * experts, kept = 0;
    softmax(logits, experts, p);
    const bool lost = std::isnan(p[0]);  // then all are: by a logit that is NaN or infinite
    // why by logits: two that differ may have one softmax.
    for (std::int64_t e = 0; e < experts; ++e) {
      std::int64_t before = 0;
      for (std::int64_t i = 0; i < experts; ++i) {
        const float other = static_cast<float>(logits[i]), own = static_cast<float>(logits[e]);
        before += other > own || (other == own && i < e) ? 1 : 0;
      }
      if (before >= a.top_k) p[e] = -1;
    }
    for (std::int64_t e = 0; !a.among_all && e < experts; ++e) kept += std::max(p[e], 0.0f);
    if (a.among_all) kept = lost ? NAN : 1;
    for (std::int64_t e = 0; e < experts; ++e) gates[e] = T(std::max(p[e], 0.0f) / kept);
  });
}

void run(core::Context& context, const ops::MixtureRouteBackward& a) {
  const std::int64_t rows = a.logits->shape[0], experts = a.logits->shape[1];
  if (experts == 0) return;
  core::Scratch scratch(context.arena);
  const bool balanced = a.balance > 0, wanted = balanced || a.among_all;
  float* p = wanted ? scratch.take<float>(rows * experts) : nullptr;
  auto* largest = wanted ? scratch.take<std::int64_t>(rows) : nullptr;
  float factor = 0;
  const float* share = nullptr;
  if (wanted)
    for_rows(context, *a.logits, [&](auto tag, std::int64_t t) {
      largest[t] = softmax(row<const decltype(tag)>(*a.logits, t), experts, p + t * experts);
    });
  if (balanced) {
    const Balance balance(scratch, a, p, largest);
    factor = balance.factor, share = balance.share;
    if (a.loss != nullptr) *static_cast<float*>(a.loss->data) += balance.loss;
  }
  for_rows(context, *a.logits, [&](auto tag, std::int64_t t) {
    using T = decltype(tag);
    const T* gates = row<const T>(*a.gates, t);
    const T* dgates = a.dgates == nullptr ? nullptr : row<const T>(*a.dgates, t);
    const bool counts = factor > 0 && a.counts(t);
    float inner = 0, shares = 0;
    for (std::int64_t e = 0; dgates != nullptr && e < experts; ++e)
      inner += static_cast<float>(gates[e]) * static_cast<float>(dgates[e]);
    for (std::int64_t e = 0; counts && e < experts; ++e) shares += share[e] * p[t * experts + e];
    for (std::int64_t e = 0; e < experts; ++e) {
      const float gate = static_cast<float>(gates[e]), weight = a.among_all ? p[t * experts + e] : gate;
      float value = dgates == nullptr ? 0 : gate * static_cast<float>(dgates[e]) - weight * inner;
      if (counts) value += factor * p[t * experts + e] * (share[e] - shares);
      row<T>(*a.dlogits, t)[e] = T(value);
    }
  });
}

void run(core::Context& context, const ops::MixtureBlocksForward& a) {
  const std::int64_t experts = a.gates->shape[1], width = a.x->shape[1] / experts;
  for_rows(context, *a.x, [&](auto tag, std::int64_t t) {
    using T = decltype(tag);
    const T* x = row<const T>(*a.x, t);
    T* y = row<T>(*a.y, t);
    for (std::int64_t e = 0; e < experts; ++e) {
      const float factor = static_cast<float>(a.scale) * static_cast<float>(row<const T>(*a.gates, t)[e]);
      for (std::int64_t j = e * width; j < (e + 1) * width; ++j) y[j] = T(factor * static_cast<float>(x[j]));
    }
  });
}

void run(core::Context& context, const ops::MixtureBlocksBackward& a) {
  const std::int64_t experts = a.gates->shape[1], width = a.x->shape[1] / experts;
  const float scale = static_cast<float>(a.scale);
  for_rows(context, *a.x, [&](auto tag, std::int64_t t) {
    using T = decltype(tag);
    const T *dy = row<const T>(*a.dy, t), *x = row<const T>(*a.x, t);
    T* dx = a.dx == nullptr ? nullptr : row<T>(*a.dx, t);
    for (std::int64_t e = 0; e < experts; ++e) {
      const float factor = scale * static_cast<float>(row<const T>(*a.gates, t)[e]);
      float sum = 0;
      for (std::int64_t j = e * width; j < (e + 1) * width; ++j) {
        const float gradient = static_cast<float>(dy[j]);
        sum += gradient * static_cast<float>(x[j]);
        if (dx != nullptr) dx[j] = T(factor * gradient);
      }
      if (a.dgates != nullptr) row<T>(*a.dgates, t)[e] = T(scale * sum);
    }
  });
}

void run(core::Context& context, const ops::MixtureVectorsForward& a) {
  core::Scratch scratch(context.arena);
  HWY_DYNAMIC_DISPATCH(vectors_forward)(context, a, floats_of(scratch, *a.gates), floats_of(scratch, *a.v));
}

void run(core::Context& context, const ops::MixtureVectorsBackward& a) {
  core::Scratch scratch(context.arena);
  HWY_DYNAMIC_DISPATCH(vectors_backward)(context, a, floats_of(scratch, *a.gates), floats_of(scratch, *a.v));
}

std::string refuse(const ops::MixtureCombineForward& a) { return refuse_f64(*a.x); }
std::string refuse(const ops::MixtureCombineBackward& a) { return refuse_f64(*a.dy); }
void run(core::Context& context, const ops::MixtureCombineForward& a) {
  HWY_DYNAMIC_DISPATCH(combine_forward)(context, a);
}
void run(core::Context& context, const ops::MixtureCombineBackward& a) {
  HWY_DYNAMIC_DISPATCH(combine_backward)(context, a);
}

}  // namespace graft::cpu::fast
#endif
