// attention in plain loops, one query at a time with all its scores in scratch: s = scale · q kᵀ, or c tanh(s/c) with a
// cap c; p = softmax(s), o = p v. Backward, with p from lse and Δ = dout · o:  dv += p dout,
// ds = p (dout · v − Δ) scale, with a cap times 1 − (s/c)²,  dq += ds k,  dk += ds q.
#include "ops/attention.h"

#include <cmath>
#include <limits>

#include "core/context.h"
#include "cpu/reference/element.h"

namespace graft::cpu::reference {

namespace {

template <class C>
C capped(C score, C cap) {
  return cap == 0 ? score : cap * std::tanh(score / cap);
}

}  // namespace

void run(core::Context& context, const ops::AttentionForward& a) {
  visit_compute(a.q->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> q(*a.q), k(*a.k), v(*a.v), o(*a.o);
    const std::int64_t batches = q.size(0), queries = q.size(1), heads = q.size(2), depth = q.size(3);
    if (heads == 0) return;
    const std::int64_t group = heads / k.size(2);
    const C scale = static_cast<C>(a.scale), cap = static_cast<C>(a.softcap);
    core::Scratch scratch(context.arena);
    C* p = scratch.take<C>(a.keys());
    for (std::int64_t b = 0; b < batches; ++b) {
      const ops::AttentionMask mask(a, b);
      for (std::int64_t h = 0; h < heads; ++h) {
        for (std::int64_t i = 0; i < queries; ++i) {
          const auto [first, last] = mask.keys(i);
          C largest = -std::numeric_limits<C>::infinity(), sum = 0;
          for (std::int64_t j = first; j < last; ++j) {
            C score = 0;
            const auto [block, row, rest] = ops::key_run(a, b, j);
            for (std::int64_t c = 0; c < depth; ++c) score += q(b, i, h, c) * k(block, row, h / group, c);
            p[j] = capped(score * scale, cap);
            largest = std::max(largest, p[j]);
          }
          for (std::int64_t j = first; j < last; ++j) sum += p[j] = std::exp(p[j] - largest);
          for (std::int64_t c = 0; c < depth; ++c) {
            C value = 0;
            for (std::int64_t j = first; j < last; ++j) {
              const auto [block, row, rest] = ops::key_run(a, b, j);
              value += p[j] * v(block, row, h / group, c);
            }
            o.set(first < last ? value / sum : 0, b, i, h, c);
          }
          if (a.lse != nullptr)
            View<C>(*a.lse).set(first < last ? largest + std::log(sum) : -std::numeric_limits<C>::infinity(), b, h, i);
        }
      }
    }
  });
}

void run(core::Context& context, const ops::AttentionPagedForward& a) {
  run(context, static_cast<const ops::AttentionForward&>(a));
}

void run(core::Context& context, const ops::AttentionBackward& a) {
  visit_compute(a.q->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> dout(*a.dout), q(*a.q), k(*a.k), v(*a.v), o(*a.o), lse(*a.lse), dq(*a.dq), dk(*a.dk), dv(*a.dv);
    const std::int64_t batches = q.size(0), queries = q.size(1), heads = q.size(2), depth = q.size(3);
    const std::int64_t keys = k.size(1), group = k.size(2) == 0 ? 1 : heads / k.size(2);
    const C scale = static_cast<C>(a.scale), cap = static_cast<C>(a.softcap);
    core::Scratch scratch(context.arena);
    C* dq_row = scratch.take<C>(depth);
    C* dk_sum = scratch.take<C>(keys * depth);
    C* dv_sum = scratch.take<C>(keys * depth);
    for (std::int64_t b = 0; b < batches; ++b) {
      const ops::AttentionMask mask(a, b);
      for (std::int64_t kv = 0; kv < k.size(2); ++kv) {
        std::fill(dk_sum, dk_sum + keys * depth, C{0});
        std::fill(dv_sum, dv_sum + keys * depth, C{0});
        for (std::int64_t h = kv * group; h < (kv + 1) * group; ++h) {
          for (std::int64_t i = 0; i < queries; ++i) {
            const auto [first, last] = mask.keys(i);
            std::fill(dq_row, dq_row + depth, C{0});
            C delta = 0;
            for (std::int64_t c = 0; c < depth; ++c) delta += dout(b, i, h, c) * o(b, i, h, c);
            for (std::int64_t j = first; j < last; ++j) {
              C score = 0, dp = 0;
              for (std::int64_t c = 0; c < depth; ++c) {
                score += q(b, i, h, c) * k(b, j, kv, c);
                dp += dout(b, i, h, c) * v(b, j, kv, c);
              }
              score = capped(score * scale, cap);
              const C slope = cap == 0 ? scale : scale * (1 - score / cap * (score / cap));
              const C p = std::exp(score - lse(b, h, i));
              const C ds = p * (dp - delta) * slope;
              for (std::int64_t c = 0; c < depth; ++c) {
                dv_sum[j * depth + c] += p * dout(b, i, h, c);
                dk_sum[j * depth + c] += ds * q(b, i, h, c);
                dq_row[c] += ds * k(b, j, kv, c);
              }
            }
            for (std::int64_t c = 0; c < depth; ++c) dq.set(dq_row[c], b, i, h, c);
          }
        }
        for (std::int64_t j = 0; j < keys; ++j) {
          for (std::int64_t c = 0; c < depth; ++c) {
            dk.set(dk_sum[j * depth + c], b, j, kv, c);
            dv.set(dv_sum[j * depth + c], b, j, kv, c);
          }
        }
      }
    }
  });
}

}  // namespace graft::cpu::reference
