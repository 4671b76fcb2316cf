// attention forward by tiles of 128 queries × 64 keys. A worker holds one head's 128 queries, their running maximum m,
// sum l and unscaled output, and walks over the key tiles that any of them sees:
//     s = q kᵀ;  m' = max(m, s·c);  p = 2^(s·c − m');  l = l·2^(m−m') + Σ p;  o = o·2^(m−m') + p v,   c = scale·log2(e)
// Both products skip what the mask hides of a tile, at a grain of 4 queries, or of 32 in AMX's tiles. With bf16 tensors
// and a processor that has bf16 dot products, q, k, v and p enter the products as bf16 (p is rounded); sums are in fp32
// always. With a cap, s goes through tanh first. Bytes: q and o once, k and v once per 128 queries. FLOPs: 4·D for each
// visible pair, and one exponential.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/fast/attention.cpp"
#include <hwy/foreach_target.h>
// why: foreach_target includes this file again for each instruction set; it must come before what follows.
#include <cmath>
#include <limits>

#include "core/context.h"
#include "cpu/fast/attention_cap-inl.h"
#include "cpu/fast/attention_rows.h"
#include "cpu/fast/tile_pack-inl.h"
#include "cpu/fast/visit.h"
#include "ops/attention.h"

HWY_BEFORE_NAMESPACE();
namespace graft::cpu::fast::HWY_NAMESPACE {

constexpr std::int64_t kQueries = 128, kKeys = 64;
constexpr float kLn2 = 0.693147180559945309f;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

/** What one worker holds. */
template <class Word>
struct ForwardBuffers {
  std::int64_t words, depth;  // words of a row of q, padded to 4; floats of a row of o, padded to vectors
  Word *q, *k_across, *k_along, *v_down, *p;
  float *s, *o, *m, *l;

  ForwardBuffers(core::Scratch& scratch, std::int64_t d)
      : words(round_up((d + kPerWord<Word> - 1) / kPerWord<Word>, 4)), depth(round_up(d, hn::MaxLanes(F()))) {
    q = scratch.take<Word>(kQueries * words);
    k_across = scratch.take<Word>(words * kKeys);
    k_along = scratch.take<Word>(kKeys * words);
    v_down = scratch.take<Word>(kKeys / kPerWord<Word> * depth);
    p = kPerWord<Word> == 1 ? nullptr : scratch.take<Word>(kQueries * kKeys / kPerWord<Word>);
    s = scratch.take<float>(kQueries * kKeys);
    o = scratch.take<float>(kQueries * depth);
    m = scratch.take<float>(kQueries);
    l = scratch.take<float>(kQueries);
  }
};

/** Turns a row of scores into p, in place, over [0, kKeys); hidden keys get 0. The new maximum is in units of log2;
 * returns the row's sum. */
HWY_INLINE float softmax_row(float* s, ops::KeyRange seen, float factor, float* maximum) {
  const F d;
  constexpr std::int64_t kL = static_cast<std::int64_t>(hn::MaxLanes(F()));
  constexpr int kVectors = static_cast<int>(kKeys / kL);
  const VF none = hn::Set(d, -kInfinity), factors = hn::Set(d, factor), lane = hn::Iota(d, 0.0f);
  VF x[kVectors], largest = none;
  const bool whole = seen.first == 0 && seen.last == kKeys;
  for (int n = 0; n < kVectors; ++n) {
    x[n] = hn::Mul(hn::LoadU(d, s + n * kL), factors);
    if (!whole) {
      const VF j = hn::Add(lane, hn::Set(d, static_cast<float>(n * kL)));
      const auto visible = hn::And(hn::Ge(j, hn::Set(d, static_cast<float>(seen.first))),
                                   hn::Lt(j, hn::Set(d, static_cast<float>(seen.last))));
      x[n] = hn::IfThenElse(visible, x[n], none);
    }
    largest = hn::Max(largest, x[n]);
  }
  const float m = std::max(*maximum, hn::GetLane(hn::MaxOfLanes(d, largest)));
  *maximum = m;
  VF total = hn::Zero(d);
  for (int n = 0; n < kVectors; ++n) {
    const VF e = exp2_of(hn::Sub(x[n], hn::Set(d, m)));
    total = hn::Add(total, e);
    hn::StoreU(e, d, s + n * kL);
  }
  return sum(d, total);
}

/** Values along a sum as words: themselves, or rounded into `to`. */
HWY_INLINE const float* words_of(const float* values, std::int64_t, float*) { return values; }

#if GRAFT_PAIRS
GRAFT_PAIR_ATTR HWY_NOINLINE const Pair* words_of(const float* values, std::int64_t count, Pair* to) {
  for (std::int64_t i = 0; i < count; i += 16)
    store_narrow(hn::LoadU(F(), values + i), reinterpret_cast<core::bf16*>(to) + i);
  return to;
}
#endif

template <class Word>
HWY_INLINE void forward_tile(const ForwardBuffers<Word>& w, const Tile& tile, std::int64_t rows, const Scores& scores) {
  const F d;
  constexpr std::int64_t kL = static_cast<std::int64_t>(hn::MaxLanes(F()));
  const auto [first, last] = tile.rows_seeing(0, tile.keys, rows);
  const std::int64_t base = first;
  product(last - base,
          Operands<Word>{w.q + base * w.words, w.words, 1, w.k_across, kKeys, w.s + base * kKeys, kKeys, false},
          [&](std::int64_t, std::int64_t to) {
            return Span{0, w.words, tile.seen(base + to - 1).last};
          });
  if (scores.capped) scores.cap(w.s + base * kKeys, (last - base) * kKeys);
  for (std::int64_t r = base; r < last; ++r) {
    const float before = w.m[r];
    const float total = softmax_row(w.s + r * kKeys, tile.seen(r), scores.factor, &w.m[r]);
    if (w.m[r] == before) {
      w.l[r] += total;
      continue;
    }
    const float shrink = before == -kInfinity ? 0.0f : std::exp2(before - w.m[r]);
    w.l[r] = w.l[r] * shrink + total;
    float* o = w.o + r * w.depth;
    for (std::int64_t j = 0; j < w.depth; j += kL)
      hn::StoreU(hn::Mul(hn::LoadU(d, o + j), hn::Set(d, shrink)), d, o + j);
  }
  constexpr std::int64_t kWords = kKeys / kPerWord<Word>;
  const Word* p = words_of(w.s + base * kKeys, (last - base) * kKeys, kPerWord<Word> == 1 ? w.p : w.p + base * kWords);
  product(last - base, Operands<Word>{p, kWords, 1, w.v_down, w.depth, w.o + base * w.depth, w.depth, true},
          [&](std::int64_t from, std::int64_t to) {
            return Span{tile.seen(base + from).first / kPerWord<Word>,
                        (tile.seen(base + to - 1).last + kPerWord<Word> - 1) / kPerWord<Word>, w.depth};
          });
}

template <class T, class Word>
void forward_queries(const ops::AttentionForward& a, std::int64_t b, std::int64_t h, std::int64_t query,
                     const ForwardBuffers<Word>& w) {
  const F d;
  const std::int64_t rows = std::min(kQueries, a.q->shape[1] - query), depth = a.q->shape[3];
  const std::int64_t kv = h / (a.q->shape[2] / a.k->shape[2]);
  const ops::AttentionMask mask(a, b);
  pack_along(head_row<const T>(*a.q, b, query, h), a.q->stride[1], rows, depth, w.q, w.words);
  std::fill(w.o, w.o + rows * w.depth, 0.0f);
  std::fill(w.m, w.m + rows, -kInfinity);
  std::fill(w.l, w.l + rows, 0.0f);
  const std::int64_t end = mask.keys(query + rows - 1).last;
  for (std::int64_t key = mask.keys(query).first / kKeys * kKeys; key < end; key += kKeys) {
    const ops::KeyRun run = ops::key_run(a, b, key);
    const Tile tile{mask, query, key, std::min({kKeys, run.count, mask.length - key})};
    pack_across(head_row<const T>(*a.k, run.block, run.first, kv), a.k->stride[1], tile.keys, depth, w.k_across, kKeys,
                w.k_along);
    pack_down(head_row<const T>(*a.v, run.block, run.first, kv), a.v->stride[1], tile.keys, depth, w.v_down, w.depth);
    forward_tile(w, tile, rows, Scores(a));
  }
  for (std::int64_t r = 0; r < rows; ++r) {
    const VF inverse = hn::Set(d, w.l[r] == 0.0f ? 0.0f : 1.0f / w.l[r]);
    T* o = head_row<T>(*a.o, b, query + r, h);
    for_lanes(d, depth, [&](std::int64_t j, std::int64_t n) {
      put(d, hn::Mul(hn::LoadU(d, w.o + r * w.depth + j), inverse), o + j, n);
    });
    if (a.lse == nullptr) continue;
    static_cast<float*>(a.lse->data)[b * a.lse->stride[0] + h * a.lse->stride[1] + (query + r) * a.lse->stride[2]] =
        w.l[r] == 0.0f ? -kInfinity : w.m[r] * kLn2 + std::log(w.l[r]);
  }
}

template <class T, class Word>
void forward_as(core::Context& context, const ops::AttentionForward& a) {
  const std::int64_t batches = a.q->shape[0], queries = a.q->shape[1], heads = a.q->shape[2];
  core::Scratch scratch(context.arena);
  auto* workers = scratch.take<ForwardBuffers<Word>>(context.pool.threads());
  for (int n = 0; n < context.pool.threads(); ++n) new (workers + n) ForwardBuffers<Word>(scratch, a.q->shape[3]);
  const std::int64_t blocks = chunks_of(queries, kQueries);
  core::parallel_for(context, batches * heads * blocks, [&](std::int64_t chunk, int worker) {
    // why: the last queries see the most keys; they go first, so that no thread is left with them at the end.
    const WholeTiles tiles;
    const std::int64_t block = blocks - 1 - chunk / (batches * heads), head = chunk % (batches * heads);
    forward_queries<T, Word>(a, head / heads, head % heads, block * kQueries, workers[worker]);
  });
}

void attention_forward(core::Context& context, const ops::AttentionForward& a) {
#if GRAFT_PAIRS
  if (a.q->dtype == GRAFT_DTYPE_BF16 && __builtin_cpu_supports("avx512bf16"))
    return forward_as<core::bf16, Pair>(context, a);
#endif
  visit_small_float(a.q->dtype, [&](auto tag) { forward_as<decltype(tag), float>(context, a); });
}

}  // namespace graft::cpu::fast::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace graft::cpu::fast {
HWY_EXPORT(attention_forward);

std::string refuse(const ops::AttentionForward& a) { return refuse_f64(*a.q); }
void run(core::Context& context, const ops::AttentionForward& a) {
  HWY_DYNAMIC_DISPATCH(attention_forward)(context, a);
}
std::string refuse(const ops::AttentionPagedForward& a) {
  const std::string pages = ops::refuse_pages(a, 64);
  return pages.empty() ? refuse_f64(*a.q) : pages;
}
void run(core::Context& context, const ops::AttentionPagedForward& a) {
  HWY_DYNAMIC_DISPATCH(attention_forward)(context, a);
}
}  // namespace graft::cpu::fast
#endif
