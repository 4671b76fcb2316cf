// attention backward on the tensor cores. With P = 2^(S·scale·log₂e − lse·log₂e), Δ = dout · o and
// dS = P ∘ (dout vᵀ − Δ) · scale:   dv = Pᵀ dout,   dk = dSᵀ q,   dq = dS k. With a softcap S·scale is softcap·t,
// t = tanh(S·scale/softcap), and dS has the factor 1 − t².
//
// Two passes, each with one owner for every sum and so without atomics, the same bits every time. attention_dkv: a
// block has 64 keys of one kv head, 16 for each of 4 warps, and goes through the rows (attention.h) that see them in
// tiles of 32: Sᵀ = K Qᵀ and V doutᵀ come out as the left factors that dV += Pᵀ dout and dK += dSᵀ Q take from
// registers. attention_dq: a block has 64 rows and goes through keys in tiles of 32. In both the fixed tiles lie in
// shared memory whole, and the moving ones in two stages that asynchronous copies fill. P and dS are rounded to the
// inputs' type. FLOPs: 8·T·S·D and 6·T·S·D for each query head (10 would do if dq were added up by atomics), half of it
// when causal. Bytes: q and dout once for each 64 keys, k and v once for each 64 rows; each output once.
#include "cuda/kernels/attention.h"
#include "cuda/kernels/attention_tile.h"
#include "cuda/kernels/tensor.h"

namespace graft::cuda {
namespace {

constexpr int kFixed = 64, kMoving = 32, kTiles = kMoving / 8;

template <int Depth>
inline constexpr int kFixedSize = kFixed* kTilePitch<Depth>;
template <int Depth>
inline constexpr int kMovingSize = kMoving* kTilePitch<Depth>;

template <class T>
struct Inputs {
  Heads<const T> dout, q, k, v;
  const float *lse, *delta;
  AttentionSizes n;
};

/** A row of a kv head as a query and its head. */
struct Row {
  int query, head;
  GRAFT_DEVICE Row(const AttentionSizes& n, int kv, std::int64_t row)
      : query(static_cast<int>(row) / n.group), head(kv * n.group + static_cast<int>(row) % n.group) {}
};

/** The warp's 16 rows of a result into a tensor: where(r) is row r of the tile, or NULL. */
template <int Depth, class T, class Where>
GRAFT_DEVICE void store_rows(const float (&sums)[Depth / 8][4], int warp_row, Where&& where) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  for (int half = 0; half < 2; ++half) {
    T* const to = where(warp_row + lane / 4 + 8 * half);
    if (to == nullptr) continue;
    GRAFT_UNROLL
    for (int c = 0; c < Depth / 8; ++c) store_pair(to + c * 8 + lane % 4 * 2, sums[c][2 * half], sums[c][2 * half + 1]);
  }
}

template <class T, int Depth>
__global__ void __launch_bounds__(kAttentionThreads) attention_dkv(Inputs<T> in, Heads<T> dk, Heads<T> dv) {
  GRAFT_DYNAMIC_SHARED(T, keys);
  GRAFT_SHARED(float, statistics, 2 * 2 * kMoving);  // in each stage lse·log₂e and Δ
  GRAFT_SHARED(int, seen_keys, 2 * 2 * kMoving);  // in each stage the first of the block's that a row sees, and the end
  T* const values = keys + kFixedSize<Depth>;
  T* const stages = values + kFixedSize<Depth>;  // queries and dout, queries and dout
  const AttentionSizes& n = in.n;
  const int lane = static_cast<int>(threadIdx.x) % 32, warp_row = static_cast<int>(threadIdx.x) / 32 * 16;
  const std::int64_t b = blockIdx.y / n.key_heads, key0 = std::int64_t{blockIdx.x} * kFixed, length = n.length(b);
  const int kv = static_cast<int>(blockIdx.y) % n.key_heads;
  const RowRange range = n.rows_that_see(b, key0, key0 + kFixed, length);
  const int count =
      range.end > range.first ? static_cast<int>(ceil_div<std::int64_t>(range.end - range.first, kMoving)) : 0;

  const auto fetch = [&](int i) {
    const std::int64_t row0 = range.first + std::int64_t{i} * kMoving;
    T* const to = stages + i % 2 * 2 * kMovingSize<Depth>;
    const auto row_of = [&](const Heads<const T>& x, int r) -> const T* {
      const Row row(n, kv, row0 + r);
      return row0 + r < range.end ? x.at(b, row.query, row.head) : nullptr;
    };
    fetch_rows<kAttentionThreads, kMoving, Depth>(to, in.q.data, [&](int r) { return row_of(in.q, r); });
    fetch_rows<kAttentionThreads, kMoving, Depth>(to + kMovingSize<Depth>, in.dout.data,
                                                  [&](int r) { return row_of(in.dout, r); });
    cp_async_commit();
    if (threadIdx.x >= kMoving) return;
    const int stage = i % 2 * 2 * kMoving + static_cast<int>(threadIdx.x);
    if (row0 + threadIdx.x >= range.end) {
      seen_keys[stage] = seen_keys[stage + kMoving] = 0;
      return;
    }
    const Row row(n, kv, row0 + threadIdx.x);
    const std::int64_t first = n.first(b, row.query) - key0, end = n.end(row.query, length) - key0;
    seen_keys[stage] = static_cast<int>(first < 0 ? 0 : first < kFixed ? first : kFixed);
    seen_keys[stage + kMoving] = static_cast<int>(end < 0 ? 0 : end < kFixed ? end : kFixed);
    statistics[stage] = in.lse[n.of_lse(b, row.head, row.query)] * kLog2E;
    statistics[stage + kMoving] = in.delta[n.of_delta(b, row.head, row.query)];
  };

  const auto fixed_row = [&](const Heads<const T>& x, int r) -> const T* {
    return key0 + r < length ? x.at(b, key0 + r, kv) : nullptr;
  };
  if (count > 0) {
    fetch_rows<kAttentionThreads, kFixed, Depth>(keys, in.k.data, [&](int r) { return fixed_row(in.k, r); });
    fetch_rows<kAttentionThreads, kFixed, Depth>(values, in.v.data, [&](int r) { return fixed_row(in.v, r); });
    fetch(0);
  }
  float dk_sums[Depth / 8][4] = {}, dv_sums[Depth / 8][4] = {};
  const float factor = n.factor() * kLog2E;
  for (int i = 0; i < count; ++i) {
    if (i + 1 < count) {
      fetch(i + 1);
      cp_async_wait<1>();
    } else {
      cp_async_wait<0>();
    }
    if (!GRAFT_BUG(attention_dkv_no_barrier_before)) __syncthreads();
    const T *const queries = stages + i % 2 * 2 * kMovingSize<Depth>, *const dout = queries + kMovingSize<Depth>;
    const float *const lse = statistics + i % 2 * 2 * kMoving, *const delta = lse + kMoving;
    const int *const first = seen_keys + i % 2 * 2 * kMoving, *const end = first + kMoving;
    float p[kTiles][4] = {}, ds[kTiles][4] = {};
    add_product_t<Depth>(p, keys, warp_row, queries);
    add_product_t<Depth>(ds, values, warp_row, dout);
    GRAFT_UNROLL
    for (int c = 0; c < kTiles; ++c) {
      GRAFT_UNROLL
      for (int e = 0; e < 4; ++e) {
        const int r = c * 8 + lane % 4 * 2 + e % 2, key = warp_row + lane / 4 + e / 2 * 8;
        const bool seen = key >= first[r] && key < end[r];
        const float capped = n.capped(p[c][e]);
        p[c][e] = seen ? exp2f(capped * factor - lse[r]) : 0.0f;
        ds[c][e] = seen ? p[c][e] * (ds[c][e] - delta[r]) * n.slope(capped) : 0.0f;
      }
    }
    add_product<Depth>(dv_sums, p, dout);
    add_product<Depth>(dk_sums, ds, queries);
    if (!GRAFT_BUG(attention_dkv_no_barrier_behind)) __syncthreads();  // the next fetch overwrites what was read
  }
  const auto where = [&](const Heads<T>& x, int r) { return key0 + r < n.keys ? x.at(b, key0 + r, kv) : nullptr; };
  store_rows<Depth, T>(dk_sums, warp_row, [&](int r) { return where(dk, r); });
  store_rows<Depth, T>(dv_sums, warp_row, [&](int r) { return where(dv, r); });
}

template <class T, int Depth>
__global__ void __launch_bounds__(kAttentionThreads) attention_dq(Inputs<T> in, Heads<T> dq) {
  GRAFT_DYNAMIC_SHARED(T, queries);
  T* const dout = queries + kFixedSize<Depth>;
  T* const stages = dout + kFixedSize<Depth>;  // keys and values, keys and values
  const AttentionSizes& n = in.n;
  const int lane = static_cast<int>(threadIdx.x) % 32, warp_row = static_cast<int>(threadIdx.x) / 32 * 16;
  const std::int64_t b = blockIdx.y / n.key_heads, length = n.length(b), rows = n.rows();
  const int kv = static_cast<int>(blockIdx.y) % n.key_heads;
  const std::int64_t row0 = std::int64_t{gridDim.x - 1 - blockIdx.x} * kFixed;
  const std::int64_t last_row = (row0 + kFixed < rows ? row0 + kFixed : rows) - 1;
  const std::int64_t seen0 = n.first(b, row0 / n.group), tile0 = seen0 / kMoving;
  const std::int64_t end = n.end(last_row / n.group, length);
  const std::int64_t left = end - tile0 * kMoving;
  const int count = left > 0 ? static_cast<int>(ceil_div<std::int64_t>(left, kMoving)) : 0;

  const auto fetch = [&](int i) {
    const std::int64_t key0 = (tile0 + i) * kMoving;
    T* const to = stages + i % 2 * 2 * kMovingSize<Depth>;
    // why: zeros for keys that no row sees, since 0 · NaN would be NaN.
    const auto row_of = [&](const Heads<const T>& x, int r) -> const T* {
      return key0 + r >= seen0 && key0 + r < end ? x.at(b, key0 + r, kv) : nullptr;
    };
    fetch_rows<kAttentionThreads, kMoving, Depth>(to, in.k.data, [&](int r) { return row_of(in.k, r); });
    fetch_rows<kAttentionThreads, kMoving, Depth>(to + kMovingSize<Depth>, in.v.data,
                                                  [&](int r) { return row_of(in.v, r); });
    cp_async_commit();
  };

  const auto row_of = [&](const auto& x, int r) {
    const Row row(n, kv, row0 + r);
    return row0 + r < rows ? x.at(b, row.query, row.head) : nullptr;
  };
  fetch_rows<kAttentionThreads, kFixed, Depth>(queries, in.q.data, [&](int r) { return row_of(in.q, r); });
  fetch_rows<kAttentionThreads, kFixed, Depth>(dout, in.dout.data, [&](int r) { return row_of(in.dout, r); });
  if (count > 0) fetch(0);

  const std::int64_t my_row = row0 + warp_row + lane / 4;
  float lse[2] = {}, delta[2] = {};
  std::int64_t my_first[2] = {}, my_end[2] = {};  // rows that do not exist see nothing
  for (int half = 0; half < 2; ++half) {
    if (my_row + 8 * half >= rows) continue;
    const Row row(n, kv, my_row + 8 * half);
    lse[half] = in.lse[n.of_lse(b, row.head, row.query)] * kLog2E;
    delta[half] = in.delta[n.of_delta(b, row.head, row.query)];
    my_first[half] = n.first(b, row.query), my_end[half] = n.end(row.query, length);
  }
  float sums[Depth / 8][4] = {};
  const float factor = n.factor() * kLog2E;
  for (int i = 0; i < count; ++i) {
    if (i + 1 < count) {
      fetch(i + 1);
      cp_async_wait<1>();
    } else {
      cp_async_wait<0>();
    }
    if (!GRAFT_BUG(attention_dq_no_barrier_before)) __syncthreads();
    const T *const keys = stages + i % 2 * 2 * kMovingSize<Depth>, *const values = keys + kMovingSize<Depth>;
    float p[kTiles][4] = {}, ds[kTiles][4] = {};
    add_product_t<Depth>(p, queries, warp_row, keys);
    add_product_t<Depth>(ds, dout, warp_row, values);
    GRAFT_UNROLL
    for (int c = 0; c < kTiles; ++c) {
      GRAFT_UNROLL
      for (int e = 0; e < 4; ++e) {
        const std::int64_t key = (tile0 + i) * kMoving + c * 8 + lane % 4 * 2 + e % 2;
        const bool seen = key >= my_first[e / 2] && key < my_end[e / 2];
        const float capped = n.capped(p[c][e]), weight = exp2f(capped * factor - lse[e / 2]);
        ds[c][e] = seen ? weight * (ds[c][e] - delta[e / 2]) * n.slope(capped) : 0.0f;
      }
    }
    add_product<Depth>(sums, ds, keys);
    if (!GRAFT_BUG(attention_dq_no_barrier_behind)) __syncthreads();  // the next fetch overwrites what was read
  }
  cp_async_wait<0>();
  store_rows<Depth, T>(sums, warp_row, [&](int r) { return row_of(dq, r); });
}

template <class T, int Depth>
void backward(core::Context& context, const ops::AttentionBackward& a, const float* delta) {
  const AttentionSizes n = attention_sizes(a);
  const Inputs<T> in{heads<const T>(*a.dout),
                     heads<const T>(*a.q),
                     heads<const T>(*a.k),
                     heads<const T>(*a.v),
                     data<const float>(a.lse),
                     delta,
                     n};
  const auto blocks_y = static_cast<unsigned>(a.q->shape[0] * n.key_heads);
  const auto tiles = [](std::int64_t size) { return static_cast<unsigned>(ceil_div<std::int64_t>(size, kFixed)); };
  const std::size_t bytes = (2 * kFixedSize<Depth> + 4 * kMovingSize<Depth>)*sizeof(T);
  launch({"attention_dkv", {tiles(n.keys), blocks_y}, kAttentionThreads, bytes, stream(context)},
         attention_dkv<T, Depth>, in, heads<T>(*a.dk), heads<T>(*a.dv));
  launch({"attention_dq", {tiles(n.queries * n.group), blocks_y}, kAttentionThreads, bytes, stream(context)},
         attention_dq<T, Depth>, in, heads<T>(*a.dq));
}

}  // namespace

namespace tiles {

std::string refuse(const ops::AttentionBackward& a) {
  return refuse_tiles(a, {a.q, a.k, a.v, a.dout, a.dq, a.dk, a.dv});
}

void run(core::Context& context, const ops::AttentionBackward& a) {
  check_lengths(context, "graft_attention_backward", a);
  core::Scratch scratch(context.arena);
  auto* delta = scratch.take<float>(a.q->shape[0] * a.q->shape[1] * a.q->shape[2]);
  attention_delta(context, a, delta);
  const auto with = [&](auto type) {
    using T = decltype(type);
    a.q->shape[3] == 64 ? backward<T, 64>(context, a, delta) : backward<T, 128>(context, a, delta);
  };
  a.q->dtype == GRAFT_DTYPE_BF16 ? with(bf16{}) : with(f16{});
}

}  // namespace tiles
}  // namespace graft::cuda
