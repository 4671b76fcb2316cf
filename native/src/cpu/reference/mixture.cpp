// mixture in plain loops. route: g = softmax of the top_k largest logits; dlogits = g ⊙ (dg − Σ g ⊙ dg) and, for the
// balance, + balance·E/rows · p_e (f_e − Σ f p). blocks: y = scale·g_e·x. vectors: y = x ⊙ (g v). combine: y = Σ_e
// g_e·x_e.
#include "ops/mixture.h"

#include <algorithm>
#include <cmath>

#include "core/context.h"
#include "cpu/reference/element.h"

namespace graft::cpu::reference {
namespace {

// The softmax of a row over all its columns.
template <class C>
class Softmax {
 public:
  Softmax(const View<C>& logits, std::int64_t t) : logits_(logits), t_(t), largest_(logits(t, 0)) {
    for (std::int64_t e = 1; e < logits.size(1); ++e) largest_ = std::max(largest_, logits(t, e));
    for (std::int64_t e = 0; e < logits.size(1); ++e) sum_ += std::exp(logits(t, e) - largest_);
  }
  C operator()(std::int64_t e) const { return std::exp(logits_(t_, e) - largest_) / sum_; }

 private:
  const View<C>& logits_;
  const std::int64_t t_;
  C largest_, sum_ = 0;
};

template <class C>
std::int64_t largest(const View<C>& logits, std::int64_t t) {
  std::int64_t best = 0;
  for (std::int64_t e = 1; e < logits.size(1); ++e)
    if (logits(t, e) > logits(t, best)) best = e;
  return best;
}

}  // namespace

void run(core::Context& context, const ops::MixtureRouteForward& a) {
  visit_compute(a.logits->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> logits(*a.logits), gates(*a.gates);
    const std::int64_t experts = logits.size(1);
    core::Scratch scratch(context.arena);
    C* row = scratch.take<C>(experts);
    for (std::int64_t t = 0; t < logits.size(0); ++t) {
      // An expert is chosen when fewer than top_k come before it: larger ones, and equal ones with smaller numbers.
      C sum = 0;
      const C best = logits(t, largest(logits, t));
      for (std::int64_t e = 0; e < experts; ++e) {
        std::int64_t before = 0;
        for (std::int64_t i = 0; i < experts; ++i)
          before += logits(t, i) > logits(t, e) || (logits(t, i) == logits(t, e) && i < e) ? 1 : 0;
        const C part = std::exp(logits(t, e) - best);
        row[e] = before < a.top_k ? part : C{0};
        sum += a.among_all ? part : row[e];
      }
      for (std::int64_t e = 0; e < experts; ++e) gates.set(row[e] / sum, t, e);
    }
  });
}

void run(core::Context& context, const ops::MixtureRouteBackward& a) {
  visit_compute(a.logits->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> logits(*a.logits), gates(*a.gates), dlogits(*a.dlogits);
    const std::int64_t rows = logits.size(0), experts = logits.size(1);
    if (experts == 0) return;
    core::Scratch scratch(context.arena);
    C *share = scratch.take<C>(experts), *mean = scratch.take<C>(experts), count = 0, loss = 0;
    std::fill_n(share, experts, C{0});
    std::fill_n(mean, experts, C{0});
    for (std::int64_t t = 0; a.balance > 0 && t < rows; ++t) {
      if (!a.counts(t)) continue;
      const Softmax<C> p(logits, t);
      for (std::int64_t e = 0; e < experts; ++e) mean[e] += p(e);
      share[largest(logits, t)] += 1;
      count += 1;
    }
    const C factor = count == 0 ? C{0} : static_cast<C>(a.balance) * static_cast<C>(experts) / count;
    for (std::int64_t e = 0; count > 0 && e < experts; ++e) {
      share[e] /= count;
      loss += factor * share[e] * mean[e];
    }
    for (std::int64_t t = 0; t < rows; ++t) {
      C inner = 0, shares = 0;
      for (std::int64_t e = 0; a.dgates != nullptr && e < experts; ++e) inner += gates(t, e) * View<C>(*a.dgates)(t, e);
      const bool counts = factor > 0 && a.counts(t);
      const Softmax<C> p(logits, t);
      for (std::int64_t e = 0; counts && e < experts; ++e) shares += share[e] * p(e);
      for (std::int64_t e = 0; e < experts; ++e) {
        const C weight = a.among_all ? p(e) : gates(t, e);
        const C routed = a.dgates == nullptr ? C{0} : gates(t, e) * View<C>(*a.dgates)(t, e) - weight * inner;
        dlogits.set(routed + (counts ? factor * p(e) * (share[e] - shares) : C{0}), t, e);
      }
    }
    if (a.loss != nullptr) View<C>(*a.loss).add(loss, 0);
  });
}

void run(core::Context&, const ops::MixtureBlocksForward& a) {
  visit_compute(a.x->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> x(*a.x), gates(*a.gates), y(*a.y);
    const std::int64_t width = x.size(1) / gates.size(1);
    for (std::int64_t t = 0; t < x.size(0); ++t)
      for (std::int64_t j = 0; j < x.size(1); ++j) y.set(static_cast<C>(a.scale) * gates(t, j / width) * x(t, j), t, j);
  });
}

void run(core::Context&, const ops::MixtureBlocksBackward& a) {
  visit_compute(a.x->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> dy(*a.dy), x(*a.x), gates(*a.gates);
    const std::int64_t experts = gates.size(1), width = x.size(1) / experts;
    const C scale = static_cast<C>(a.scale);
    for (std::int64_t t = 0; t < x.size(0); ++t)
      for (std::int64_t e = 0; e < experts; ++e) {
        C sum = 0;
        for (std::int64_t j = e * width; j < (e + 1) * width; ++j) {
          const C gradient = dy(t, j);
          sum += gradient * x(t, j);
          if (a.dx != nullptr) View<C>(*a.dx).set(scale * gates(t, e) * gradient, t, j);
        }
        if (a.dgates != nullptr) View<C>(*a.dgates).set(scale * sum, t, e);
      }
  });
}

void run(core::Context&, const ops::MixtureVectorsForward& a) {
  visit_compute(a.x->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> x(*a.x), gates(*a.gates), v(*a.v), y(*a.y);
    for (std::int64_t t = 0; t < x.size(0); ++t)
      for (std::int64_t j = 0; j < x.size(1); ++j) {
        C factor = 0;
        for (std::int64_t e = 0; e < gates.size(1); ++e) factor += gates(t, e) * v(e, j);
        y.set(factor * x(t, j) + (a.accumulate ? y(t, j) : C{0}), t, j);
      }
  });
}

void run(core::Context&, const ops::MixtureVectorsBackward& a) {
  visit_compute(a.x->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> dy(*a.dy), x(*a.x), gates(*a.gates), v(*a.v);
    const std::int64_t rows = x.size(0), columns = x.size(1), experts = gates.size(1);
    for (std::int64_t e = 0; e < experts; ++e) {
      for (std::int64_t t = 0; a.dgates != nullptr && t < rows; ++t) {
        C sum = 0;
        for (std::int64_t j = 0; j < columns; ++j) sum += dy(t, j) * x(t, j) * v(e, j);
        View<C>(*a.dgates).set(sum, t, e);
      }
      for (std::int64_t j = 0; a.dv != nullptr && j < columns; ++j) {
        C sum = 0;
        for (std::int64_t t = 0; t < rows; ++t) sum += gates(t, e) * dy(t, j) * x(t, j);
        View<C>(*a.dv).add(sum, e, j);
      }
    }
    for (std::int64_t t = 0; a.dx != nullptr && t < rows; ++t)
      for (std::int64_t j = 0; j < columns; ++j) {
        C factor = 0;
        for (std::int64_t e = 0; e < experts; ++e) factor += gates(t, e) * v(e, j);
        View<C>(*a.dx).set(factor * dy(t, j), t, j);
      }
  });
}

void run(core::Context&, const ops::MixtureCombineForward& a) {
  visit_compute(a.x->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> x(*a.x), gates(*a.gates), y(*a.y);
    const std::int64_t columns = y.size(1);
    for (std::int64_t t = 0; t < y.size(0); ++t)
      for (std::int64_t j = 0; j < columns; ++j) {
        C sum = 0;
        for (std::int64_t e = 0; e < gates.size(1); ++e) sum += gates(t, e) * x(t, e * columns + j);
        y.set(sum, t, j);
      }
  });
}

void run(core::Context&, const ops::MixtureCombineBackward& a) {
  visit_compute(a.dy->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> dy(*a.dy);
    const std::int64_t columns = dy.size(1);
    for (std::int64_t t = 0; t < dy.size(0); ++t) {
      for (std::int64_t e = 0; a.dgates != nullptr && e < a.dgates->shape[1]; ++e) {
        C sum = 0;
        for (std::int64_t j = 0; j < columns; ++j) sum += dy(t, j) * View<C>(*a.x)(t, e * columns + j);
        View<C>(*a.dgates).set(sum, t, e);
      }
      for (std::int64_t i = 0; a.dx != nullptr && i < a.dx->shape[1]; ++i) {
        const View<C> dx(*a.dx);
        dx.set(View<C>(*a.gates)(t, i / columns) * dy(t, i % columns) + (a.accumulate ? dx(t, i) : C{0}), t, i);
      }
    }
  });
}

}  // namespace graft::cpu::reference
