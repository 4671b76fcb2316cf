// attention backward by tiles of 64 queries × 64 keys. A worker owns the keys and values of one (batch, kv head), or of
// one (batch, query head) where there are few of the former, and walks over the key tiles; for each over the queries
// that see it, head by head:
//     s = q kᵀ,  p = 2^(s·c − lse·log2(e));  dp = dout vᵀ,  ds = p (dp − Δ) scale,  Δ = rowsum(dout ∘ o)
//     dv += pᵀ dout,  dk += dsᵀ q  (stay in cache),  dq += ds k  (fp32 rows of the whole head in scratch)
// With a cap, s goes through tanh first and ds gets 1 − tanh² as a factor.
// The order of all sums depends on shapes only. bf16 products as in attention.cpp: p and ds are rounded to bf16.
// Bytes: k, v, dk, dv once; q, dout once per 64 keys. FLOPs: 10·D for each visible pair, and one exponential.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/fast/attention_backward.cpp"
#include <hwy/foreach_target.h>
// why: foreach_target includes this file again for each instruction set; it must come before what follows.
#include "core/context.h"
#include "cpu/fast/attention_cap-inl.h"
#include "cpu/fast/attention_rows.h"
#include "cpu/fast/tile_pack-inl.h"
#include "cpu/fast/visit.h"
#include "ops/attention.h"

HWY_BEFORE_NAMESPACE();
namespace graft::cpu::fast::HWY_NAMESPACE {

constexpr std::int64_t kTile = 64;  // queries and keys of a tile
// From this many (batch, kv head) on, each is one piece of work; with fewer, each query head is one.
constexpr std::int64_t kEnoughHeads = 16;

/** What one worker holds. */
template <class Word>
struct BackwardBuffers {
  static constexpr std::int64_t kWordRows = kTile / kPerWord<Word>;
  std::int64_t words, depth;  // words of a row, padded to 4; floats of a row, padded to vectors
  Word *q_along, *q_down, *dout_along, *dout_down, *k_down, *k_across, *v_across, *through;
  Word *p_down, *ds_along, *ds_down;  // pairs only: with floats they are s and dp themselves
  float *s, *dp, *dk, *dv;
  float *dq, *delta, *lse;  // for all queries of the heads of one piece of work

  BackwardBuffers(core::Scratch& scratch, std::int64_t d, std::int64_t queries)
      : words(round_up((d + kPerWord<Word> - 1) / kPerWord<Word>, 4)), depth(round_up(d, hn::MaxLanes(F()))) {
    constexpr bool kPairs = kPerWord<Word> == 2;
    const std::int64_t down = kWordRows * depth;
    q_along = scratch.take<Word>(kTile * words);
    q_down = scratch.take<Word>(down);
    dout_along = scratch.take<Word>(kTile * words);
    dout_down = scratch.take<Word>(down);
    k_down = scratch.take<Word>(down);
    k_across = scratch.take<Word>(words * kTile);
    v_across = scratch.take<Word>(words * kTile);
    through = scratch.take<Word>(kTile * words);
    s = scratch.take<float>(kTile * kTile);
    dp = scratch.take<float>(kTile * kTile);
    p_down = kPairs ? scratch.take<Word>(kTile * kTile / 2) : reinterpret_cast<Word*>(s);
    ds_along = kPairs ? scratch.take<Word>(kTile * kTile / 2) : reinterpret_cast<Word*>(dp);
    ds_down = kPairs ? scratch.take<Word>(kTile * kTile / 2) : reinterpret_cast<Word*>(dp);
    dk = scratch.take<float>(kTile * depth);
    dv = scratch.take<float>(kTile * depth);
    dq = scratch.take<float>(queries * depth);
    delta = scratch.take<float>(queries);
    lse = scratch.take<float>(queries);
  }
};

/** p and ds of one vector of keys of one row; hidden keys get 0. */
struct Gradients {
  VF p, ds;
};

HWY_INLINE Gradients gradients_of(const float* s, const float* dp, std::int64_t j, ops::KeyRange seen,
                                  const Scores& scores, float lse, float delta) {
  const F d;
  const VF x = hn::LoadU(d, s + j);
  VF p = exp2_of(hn::MulSub(x, hn::Set(d, scores.factor), hn::Set(d, lse)));
  VF ds = hn::Mul(hn::Mul(p, hn::Set(d, scores.scale)), hn::Sub(hn::LoadU(d, dp + j), hn::Set(d, delta)));
  if (scores.capped) ds = hn::Mul(ds, hn::NegMulAdd(x, x, hn::Set(d, 1.0f)));
  if (seen.first > j || seen.last < j + static_cast<std::int64_t>(hn::Lanes(d))) {
    const VF at_key = hn::Add(hn::Iota(d, 0.0f), hn::Set(d, static_cast<float>(j)));
    const auto visible = hn::And(hn::Ge(at_key, hn::Set(d, static_cast<float>(seen.first))),
                                 hn::Lt(at_key, hn::Set(d, static_cast<float>(seen.last))));
    p = hn::IfThenElseZero(visible, p);
    ds = hn::IfThenElseZero(visible, ds);
  }
  return {p, ds};
}

/** Turns s and dp into p and ds, in place. */
HWY_INLINE void softmax_gradient(const BackwardBuffers<float>& w, const Tile& tile, std::int64_t rows,
                                 const Scores& scores, const float* lse, const float* delta) {
  const F d;
  for (std::int64_t r = 0; r < rows; ++r) {
    const ops::KeyRange seen = tile.seen(r);
    for (std::int64_t j = 0; j < kTile; j += static_cast<std::int64_t>(hn::Lanes(d))) {
      const auto [p, ds] = gradients_of(w.s + r * kTile, w.dp + r * kTile, j, seen, scores, lse[r], delta[r]);
      hn::StoreU(p, d, w.s + r * kTile + j);
      hn::StoreU(ds, d, w.dp + r * kTile + j);
    }
  }
}

#if GRAFT_PAIRS
/** The same into pairs; two rows at a time make one row of the down layouts. */
GRAFT_PAIR_ATTR HWY_NOINLINE void softmax_gradient(const BackwardBuffers<Pair>& w, const Tile& tile, std::int64_t rows,
                                                   const Scores& scores, const float* lse, const float* delta) {
  const F d;
  for (std::int64_t r = 0; r < rows; r += 2) {
    const bool both = r + 1 < rows;
    const ops::KeyRange seen = tile.seen(r), seen_next = tile.seen(r + 1);
    for (std::int64_t j = 0; j < kTile; j += static_cast<std::int64_t>(hn::Lanes(d))) {
      const auto even = gradients_of(w.s + r * kTile, w.dp + r * kTile, j, seen, scores, lse[r], delta[r]);
      Gradients odd{hn::Zero(d), hn::Zero(d)};
      if (both)
        odd =
            gradients_of(w.s + (r + 1) * kTile, w.dp + (r + 1) * kTile, j, seen_next, scores, lse[r + 1], delta[r + 1]);
      store_down(even.p, odd.p, w.p_down + r / 2 * kTile + j);
      store_down(even.ds, odd.ds, w.ds_down + r / 2 * kTile + j);
      core::bf16* along = reinterpret_cast<core::bf16*>(w.ds_along) + r * kTile + j;
      store_narrow(even.ds, along);
      if (both) store_narrow(odd.ds, along + kTile);
    }
  }
}
#endif

/** Adds what the queries of one tile give to dq, dk and dv. q and dout point at the tile's first row. */
template <class T, class Word>
HWY_INLINE void backward_tile(const ops::AttentionBackward& a, const BackwardBuffers<Word>& w, const Tile& tile,
                              std::int64_t rows, const T* q, const T* dout, const float* lse, const float* delta,
                              float* dq) {
  constexpr std::int64_t kPer = kPerWord<Word>, kWords = kTile / kPer;
  const std::int64_t depth = a.q->shape[3];
  const Scores scores(a);
  pack_along(q, a.q->stride[1], rows, depth, w.q_along, w.words);
  pack_along(dout, a.dout->stride[1], rows, depth, w.dout_along, w.words);
  pack_down(q, a.q->stride[1], rows, depth, w.q_down, w.depth);
  pack_down(dout, a.dout->stride[1], rows, depth, w.dout_down, w.depth);

  const auto keys_of = [&](std::int64_t, std::int64_t to) { return Span{0, w.words, tile.seen(to - 1).last}; };
  product(rows, Operands<Word>{w.q_along, w.words, 1, w.k_across, kTile, w.s, kTile, false}, keys_of);
  product(rows, Operands<Word>{w.dout_along, w.words, 1, w.v_across, kTile, w.dp, kTile, false}, keys_of);
  if (scores.capped) scores.cap(w.s, rows * kTile);
  softmax_gradient(w, tile, rows, scores, lse, delta);

  const auto queries_of = [&](std::int64_t from, std::int64_t to) {
    const auto [first, last] = tile.rows_seeing(from, to, rows);
    return Span{first / kPer, (last + kPer - 1) / kPer, w.depth};
  };
  product(tile.keys, Operands<Word>{w.p_down, 1, kTile, w.dout_down, w.depth, w.dv, w.depth, true}, queries_of);
  product(tile.keys, Operands<Word>{w.ds_down, 1, kTile, w.q_down, w.depth, w.dk, w.depth, true}, queries_of);
  product(rows, Operands<Word>{w.ds_along, kWords, 1, w.k_down, w.depth, dq, w.depth, true},
          [&](std::int64_t from, std::int64_t to) {
            return Span{tile.seen(from).first / kPer, (tile.seen(to - 1).last + kPer - 1) / kPer, w.depth};
          });
}

/** Δ and lse·log2(e) of all queries of one head. */
template <class T>
void row_statistics(const ops::AttentionBackward& a, std::int64_t b, std::int64_t h, float* delta, float* lse) {
  const F d;
  const graft_tensor& l = *a.lse;
  for (std::int64_t i = 0; i < a.q->shape[1]; ++i) {
    const T* dout = head_row<const T>(*a.dout, b, i, h);
    const T* o = head_row<const T>(*a.o, b, i, h);
    VF total = hn::Zero(d);
    for_lanes(d, a.q->shape[3],
              [&](std::int64_t j, std::int64_t n) { total = hn::MulAdd(at(d, dout + j, n), at(d, o + j, n), total); });
    delta[i] = sum(d, total);
    lse[i] = static_cast<const float*>(l.data)[b * l.stride[0] + h * l.stride[1] + i * l.stride[2]] * kLog2E;
  }
}

template <class T>
HWY_INLINE void write_rows(const float* from, std::int64_t ld, std::int64_t rows, std::int64_t columns, T* to,
                           std::int64_t stride) {
  const F d;
  for (std::int64_t r = 0; r < rows; ++r)
    for_lanes(d, columns,
              [&](std::int64_t j, std::int64_t n) { put(d, at(d, from + r * ld + j, n), to + r * stride + j, n); });
}

/** One piece of work: query heads [head, head + heads), which share kv head kv. partial: where dk and dv go in fp32,
 * all keys of dk and then of dv; NULL: into the tensors. */
template <class T, class Word>
void backward_heads(const ops::AttentionBackward& a, std::int64_t b, std::int64_t kv, std::int64_t head,
                    std::int64_t heads, const BackwardBuffers<Word>& w, float* partial) {
  const std::int64_t queries = a.q->shape[1], depth = a.q->shape[3], keys = a.k->shape[1];
  const ops::AttentionMask mask(a, b);
  std::fill(w.dq, w.dq + heads * queries * w.depth, 0.0f);
  for (std::int64_t h = 0; h < heads; ++h)
    row_statistics<T>(a, b, head + h, w.delta + h * queries, w.lse + h * queries);
  for (std::int64_t key = 0; key < keys; key += kTile) {
    Tile tile{mask, 0, key, std::min(kTile, keys - key)};
    std::fill(w.dk, w.dk + tile.keys * w.depth, 0.0f);
    std::fill(w.dv, w.dv + tile.keys * w.depth, 0.0f);
    const auto [first, last] = tile.rows_seeing(0, tile.keys, queries);
    if (first < last) {
      const T* k = head_row<const T>(*a.k, b, key, kv);
      pack_across(k, a.k->stride[1], tile.keys, depth, w.k_across, kTile, w.through);
      pack_down(k, a.k->stride[1], tile.keys, depth, w.k_down, w.depth);
      pack_across(head_row<const T>(*a.v, b, key, kv), a.v->stride[1], tile.keys, depth, w.v_across, kTile, w.through);
    }
    for (std::int64_t h = 0; h < heads; ++h) {
      for (std::int64_t query = first; query < last; query += kTile) {
        tile.query = query;
        const std::int64_t row = h * queries + query;
        backward_tile(a, w, tile, std::min(kTile, last - query), head_row<const T>(*a.q, b, query, head + h),
                      head_row<const T>(*a.dout, b, query, head + h), w.lse + row, w.delta + row, w.dq + row * w.depth);
      }
    }
    if (partial == nullptr) {
      write_rows(w.dk, w.depth, tile.keys, depth, head_row<T>(*a.dk, b, key, kv), a.dk->stride[1]);
      write_rows(w.dv, w.depth, tile.keys, depth, head_row<T>(*a.dv, b, key, kv), a.dv->stride[1]);
    } else {
      write_rows(w.dk, w.depth, tile.keys, depth, partial + key * depth, depth);
      write_rows(w.dv, w.depth, tile.keys, depth, partial + (keys + key) * depth, depth);
    }
  }
  for (std::int64_t h = 0; h < heads; ++h)
    write_rows(w.dq + h * queries * w.depth, w.depth, queries, depth, head_row<T>(*a.dq, b, 0, head + h),
               a.dq->stride[1]);
}

/** dk and dv of one (batch, kv head) out of the partial sums of its query heads, in order. */
template <class T>
void add_partials(const ops::AttentionBackward& a, std::int64_t b, std::int64_t kv, std::int64_t group,
                  const float* partial) {
  const F d;
  const std::int64_t keys = a.k->shape[1], depth = a.k->shape[3];
  for (int which = 0; which < 2; ++which) {
    for (std::int64_t key = 0; key < keys; ++key) {
      T* to = head_row<T>(which == 0 ? *a.dk : *a.dv, b, key, kv);
      for_lanes(d, depth, [&](std::int64_t j, std::int64_t n) {
        VF total = hn::Zero(d);
        for (std::int64_t h = 0; h < group; ++h)
          total = hn::Add(total, at(d, partial + ((h * 2 + which) * keys + key) * depth + j, n));
        put(d, total, to + j, n);
      });
    }
  }
}

template <class T, class Word>
void backward_as(core::Context& context, const ops::AttentionBackward& a) {
  const std::int64_t batches = a.q->shape[0], queries = a.q->shape[1], heads = a.q->shape[2], depth = a.q->shape[3];
  const std::int64_t key_heads = a.k->shape[2], keys = a.k->shape[1];
  if (batches * key_heads == 0) return;
  const std::int64_t group = heads / key_heads;
  const bool split = group > 1 && batches * key_heads < kEnoughHeads;
  const std::int64_t per_piece = split ? 1 : group, pieces = batches * (split ? heads : key_heads);
  core::Scratch scratch(context.arena);
  auto* workers = scratch.take<BackwardBuffers<Word>>(context.pool.threads());
  for (int n = 0; n < context.pool.threads(); ++n)
    new (workers + n) BackwardBuffers<Word>(scratch, depth, per_piece * queries);
  float* partial = split ? scratch.take<float>(pieces * 2 * keys * depth) : nullptr;
  core::parallel_for(context, pieces, [&](std::int64_t piece, int worker) {
    const WholeTiles tiles;
    const std::int64_t in_batch = pieces / batches, first = piece % in_batch;
    backward_heads<T, Word>(a, piece / in_batch, split ? first / group : first, first * per_piece, per_piece,
                            workers[worker], split ? partial + piece * 2 * keys * depth : nullptr);
  });
  if (!split) return;
  core::parallel_for(context, batches * key_heads, [&](std::int64_t chunk, int) {
    add_partials<T>(a, chunk / key_heads, chunk % key_heads, group, partial + chunk * group * 2 * keys * depth);
  });
}

void attention_backward(core::Context& context, const ops::AttentionBackward& a) {
#if GRAFT_PAIRS
  if (a.q->dtype == GRAFT_DTYPE_BF16 && __builtin_cpu_supports("avx512bf16"))
    return backward_as<core::bf16, Pair>(context, a);
#endif
  visit_small_float(a.q->dtype, [&](auto tag) { backward_as<decltype(tag), float>(context, a); });
}

}  // namespace graft::cpu::fast::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace graft::cpu::fast {
HWY_EXPORT(attention_backward);

std::string refuse(const ops::AttentionBackward& a) { return refuse_f64(*a.q); }
void run(core::Context& context, const ops::AttentionBackward& a) {
  HWY_DYNAMIC_DISPATCH(attention_backward)(context, a);
}
}  // namespace graft::cpu::fast
#endif
