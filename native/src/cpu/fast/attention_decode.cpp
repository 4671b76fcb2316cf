// attention forward for a few queries and many keys, as when tokens are generated: one pass over k and v, which is what
// bounds it. A piece of work is 256 keys of one (batch, kv head); all queries of the group are served by one reading of
// them. It leaves maximum m, sum l and unscaled output o of each row in scratch; afterwards the pieces of a row are
// brought to one maximum and added in order. Memory lies a head's row apart, so k and v are prefetched by hand. Of keys
// in pages a piece takes one page after the other, in the order of the keys, so that no bit depends on where they lie.
// Bytes: k and v once. FLOPs: 4·D for each visible pair.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/fast/attention_decode.cpp"
#include <hwy/foreach_target.h>
// why: foreach_target includes this file again for each instruction set; it must come before what follows.
#include <hwy/cache_control.h>

#include <cmath>
#include <limits>

#include "core/context.h"
#include "cpu/fast/attention_cap-inl.h"
#include "cpu/fast/attention_rows.h"
#include "cpu/fast/tile_product-inl.h"
#include "cpu/fast/visit.h"
#include "ops/attention.h"

HWY_BEFORE_NAMESPACE();
namespace graft::cpu::fast::HWY_NAMESPACE {

constexpr std::int64_t kPieceKeys = 256, kAhead = 16;
constexpr float kNone = -std::numeric_limits<float>::infinity();

template <class T>
HWY_INLINE void prefetch_row(const T* row, std::int64_t depth) {
  constexpr std::int64_t kLine = 64 / sizeof(T);
  for (std::int64_t j = 0; j < depth; j += kLine) hwy::Prefetch(row + j);
}

/** s[r][j] = q_r · k_j for R rows of q (ld apart, padded with zeros) and the first `count` keys. */
template <int R, class T>
HWY_INLINE void scores(const float* q, std::int64_t ld, const T* k, std::int64_t stride, std::int64_t depth,
                       std::int64_t count, float* s) {
  const F d;
  for (std::int64_t j = 0; j < count; ++j) {
    if (j + kAhead < count) prefetch_row(k + (j + kAhead) * stride, depth);
    VF total[R];
    for (int r = 0; r < R; ++r) total[r] = hn::Zero(d);
    for_lanes(d, depth, [&](std::int64_t c, std::int64_t n) {
      const VF key = at(d, k + j * stride + c, n);
      for (int r = 0; r < R; ++r) total[r] = hn::MulAdd(hn::LoadU(d, q + r * ld + c), key, total[r]);
    });
    for (int r = 0; r < R; ++r) s[r * kPieceKeys + j] = sum(d, total[r]);
  }
}

/** o[r] = Σ_j p[r][j] v_j over the first `count` keys, V vectors of the row at a time; added to o with `more`. */
template <int R, int V, class T>
HWY_INLINE void weigh(const float* p, const T* v, std::int64_t stride, std::int64_t left, std::int64_t count, bool more,
                      float* o, std::int64_t ld) {
  const F d;
  const std::int64_t lanes = static_cast<std::int64_t>(hn::Lanes(d));
  VF total[R][V];
  for (int r = 0; r < R; ++r)
    for (int n = 0; n < V; ++n) total[r][n] = more ? hn::LoadU(d, o + r * ld + n * lanes) : hn::Zero(d);
  for (std::int64_t j = 0; j < count; ++j) {
    if (j + kAhead < count) prefetch_row(v + (j + kAhead) * stride, std::min(left, V * lanes));
    VF value[V];
    for (int n = 0; n < V; ++n) value[n] = at(d, v + j * stride + n * lanes, std::min(left - n * lanes, lanes));
    for (int r = 0; r < R; ++r) {
      const VF weight = hn::Set(d, p[r * kPieceKeys + j]);
      for (int n = 0; n < V; ++n) total[r][n] = hn::MulAdd(weight, value[n], total[r][n]);
    }
  }
  for (int r = 0; r < R; ++r)
    for (int n = 0; n < V; ++n) hn::StoreU(total[r][n], d, o + r * ld + n * lanes);
}

/** Scores of a row become p = 2^(s·factor − m), hidden ones 0. */
HWY_INLINE void soften(float* s, ops::KeyRange keys, ops::KeyRange seen, const Scores& scores, float* maximum,
                       float* total) {
  const float factor = scores.factor;
  if (scores.capped) scores.cap(s, kPieceKeys);
  float m = kNone, l = 0;
  for (std::int64_t j = seen.first; j < seen.last; ++j) m = std::max(m, s[j] * factor);
  const F d;
  std::fill(s + keys.first, s + std::max(keys.first, seen.first), 0.0f);
  std::fill(s + std::max(keys.first, seen.last), s + keys.last, 0.0f);
  VF sums = hn::Zero(d);
  for_lanes(d, seen.last - seen.first, [&](std::int64_t i, std::int64_t n) {
    float* p = s + seen.first + i;
    put(d, exp2_of(hn::Sub(hn::Mul(at(d, p, n), hn::Set(d, factor)), hn::Set(d, m))), p, n);
    if (n == static_cast<std::int64_t>(hn::Lanes(d))) {
      sums = hn::Add(sums, hn::LoadU(d, p));
    } else {
      for (std::int64_t j = 0; j < n; ++j) l += p[j];
    }
  });
  *maximum = m;
  *total = l + sum(d, sums);
}

/** Where the pieces leave their results: rows are the group's heads × the queries. */
struct Pieces {
  std::int64_t rows, depth, count;  // depth is padded to vectors; count of pieces in a (batch, kv head)
  float *m, *l, *o;
};

/** Calls serve(from, count, run) for the keys [first, last) of a piece, those of one page at a time. */
template <class Serve>
HWY_INLINE void for_runs(const ops::AttentionForward& a, std::int64_t b, std::int64_t piece_key, ops::KeyRange keys,
                         Serve&& serve) {
  for (std::int64_t from = keys.first; from < keys.last;) {
    const ops::KeyRun run = ops::key_run(a, b, piece_key + from);
    const std::int64_t count = std::min(run.count, keys.last - from);
    serve(from, count, run);
    from += count;
  }
}

template <int R, class T>
void serve_rows(const ops::AttentionForward& a, const Tile& tile, std::int64_t b, std::int64_t kv, ops::KeyRange keys,
                const float* q, std::int64_t first_row, float* s, const Pieces& to, std::int64_t piece) {
  const F d;
  const std::int64_t depth = a.q->shape[3], queries = a.q->shape[1];
  const std::int64_t lanes = static_cast<std::int64_t>(hn::Lanes(d));
  for_runs(a, b, tile.key, keys, [&](std::int64_t from, std::int64_t count, const ops::KeyRun& run) {
    scores<R>(q + first_row * to.depth, to.depth, head_row<const T>(*a.k, run.block, run.first, kv), a.k->stride[1],
              depth, count, s + from);
  });
  for (std::int64_t r = 0; r < R; ++r) {
    const std::int64_t at_row = piece * to.rows + first_row + r;
    soften(s + r * kPieceKeys, keys, tile.seen((first_row + r) % queries), Scores(a), to.m + at_row, to.l + at_row);
  }
  float* o = to.o + (piece * to.rows + first_row) * to.depth;
  for_runs(a, b, tile.key, keys, [&](std::int64_t from, std::int64_t count, const ops::KeyRun& run) {
    const T* v = head_row<const T>(*a.v, run.block, run.first, kv);
    const bool more = from > keys.first;
    std::int64_t c = 0;
    for (; c + 4 * lanes <= depth; c += 4 * lanes)
      weigh<R, 4>(s + from, v + c, a.v->stride[1], depth - c, count, more, o + c, to.depth);
    for (; c < depth; c += lanes) weigh<R, 1>(s + from, v + c, a.v->stride[1], depth - c, count, more, o + c, to.depth);
  });
}

/** One piece: keys [key, key + 256) of kv head kv. */
template <class T>
void serve_piece(const ops::AttentionForward& a, std::int64_t b, std::int64_t kv, std::int64_t key, float* q, float* s,
                 const Pieces& to, std::int64_t piece) {
  const F d;
  const std::int64_t queries = a.q->shape[1], depth = a.q->shape[3], group = a.q->shape[2] / a.k->shape[2];
  const Tile tile{ops::AttentionMask(a, b), 0, key, std::min(kPieceKeys, a.keys() - key)};
  const ops::KeyRange keys{tile.seen(0).first, tile.seen(queries - 1).last};
  if (keys.first >= keys.last) {
    std::fill_n(to.m + piece * to.rows, to.rows, kNone);
    std::fill_n(to.l + piece * to.rows, to.rows, 0.0f);
    return;
  }
  for (std::int64_t r = 0; r < to.rows; ++r) {
    const T* from = head_row<const T>(*a.q, b, r % queries, kv * group + r / queries);
    std::fill_n(q + r * to.depth, to.depth, 0.0f);
    for_lanes(d, depth, [&](std::int64_t c, std::int64_t n) { put(d, at(d, from + c, n), q + r * to.depth + c, n); });
  }
  std::int64_t r = 0;
  for (; r + 4 <= to.rows; r += 4) serve_rows<4, T>(a, tile, b, kv, keys, q, r, s, to, piece);
  for (; r < to.rows; ++r) serve_rows<1, T>(a, tile, b, kv, keys, q, r, s, to, piece);
}

/** Adds the pieces of the rows of one (batch, kv head) in order. */
template <class T>
void add_pieces(const ops::AttentionForward& a, std::int64_t b, std::int64_t kv, const Pieces& from,
                std::int64_t first) {
  const F d;
  const std::int64_t queries = a.q->shape[1], depth = a.q->shape[3], group = a.q->shape[2] / a.k->shape[2];
  for (std::int64_t r = 0; r < from.rows; ++r) {
    const std::int64_t i = r % queries, h = kv * group + r / queries;
    const auto of = [&](std::int64_t piece) { return (first + piece) * from.rows + r; };
    float m = kNone, l = 0;
    for (std::int64_t piece = 0; piece < from.count; ++piece) m = std::max(m, from.m[of(piece)]);
    const auto share = [&](std::int64_t piece) {
      return from.l[of(piece)] == 0.0f ? 0.0f : std::exp2(from.m[of(piece)] - m);
    };
    for (std::int64_t piece = 0; piece < from.count; ++piece) l += share(piece) * from.l[of(piece)];
    for_lanes(d, depth, [&](std::int64_t c, std::int64_t n) {
      VF total = hn::Zero(d);
      for (std::int64_t piece = 0; piece < from.count; ++piece)
        if (from.l[of(piece)] != 0.0f)
          total = hn::MulAdd(hn::Set(d, share(piece) / l), hn::LoadU(d, from.o + of(piece) * from.depth + c), total);
      put(d, total, head_row<T>(*a.o, b, i, h) + c, n);
    });
    if (a.lse == nullptr) continue;
    static_cast<float*>(a.lse->data)[b * a.lse->stride[0] + h * a.lse->stride[1] + i * a.lse->stride[2]] =
        l == 0.0f ? kNone : m * 0.693147180559945309f + std::log(l);
  }
}

template <class T>
void decode_as(core::Context& context, const ops::AttentionForward& a) {
  const std::int64_t key_heads = a.k->shape[2], pairs = a.q->shape[0] * key_heads;
  if (pairs == 0 || a.q->shape[1] == 0) return;
  const std::int64_t rows = a.q->shape[2] / key_heads * a.q->shape[1];
  const std::int64_t depth = round_up(a.q->shape[3], hn::MaxLanes(F()));
  const std::int64_t count = chunks_of(a.keys(), kPieceKeys);
  core::Scratch scratch(context.arena);
  const std::int64_t threads = context.pool.threads();
  float* q = scratch.take<float>(threads * rows * depth);
  float* s = scratch.take<float>(threads * 4 * kPieceKeys);
  const Pieces pieces{rows,
                      depth,
                      count,
                      scratch.take<float>(pairs * count * rows),
                      scratch.take<float>(pairs * count * rows),
                      scratch.take<float>(pairs * count * rows * depth)};
  core::parallel_for(context, pairs * count, [&](std::int64_t piece, int worker) {
    const std::int64_t pair = piece / count;
    serve_piece<T>(a, pair / key_heads, pair % key_heads, piece % count * kPieceKeys, q + worker * rows * depth,
                   s + worker * 4 * kPieceKeys, pieces, piece);
  });
  core::parallel_for(context, pairs, [&](std::int64_t pair, int) {
    add_pieces<T>(a, pair / key_heads, pair % key_heads, pieces, pair * count);
  });
}

void attention_decode(core::Context& context, const ops::AttentionForward& a) {
  visit_small_float(a.q->dtype, [&](auto tag) { decode_as<decltype(tag)>(context, a); });
}

}  // namespace graft::cpu::fast::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace graft::cpu::fast {
HWY_EXPORT(attention_decode);
void run_decode(core::Context& context, const ops::AttentionForward& a) {
  HWY_DYNAMIC_DISPATCH(attention_decode)(context, a);
}
}  // namespace graft::cpu::fast

namespace graft::cpu::decode {
constexpr std::int64_t kMostQueries = 4;

std::string refuse(const ops::AttentionForward& a) {
  if (a.q->shape[1] > kMostQueries) return "more than 4 queries: tiles share more work";
  return fast::refuse_f64(*a.q);
}
void run(core::Context& context, const ops::AttentionForward& a) { fast::run_decode(context, a); }
std::string refuse(const ops::AttentionPagedForward& a) { return refuse(static_cast<const ops::AttentionForward&>(a)); }
void run(core::Context& context, const ops::AttentionPagedForward& a) { fast::run_decode(context, a); }
}  // namespace graft::cpu::decode
#endif
