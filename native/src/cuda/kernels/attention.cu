// attention forward: o = softmax(scale · q kᵀ + mask) v by tiles of keys with a running maximum (arXiv 2307.08691); no
// matrix of rows by keys outside of registers.
//
// A block has 64 rows of one kv head (attention.h), 16 for each of 4 warps, and goes through the keys that its rows see
// in tiles of 64: S = Q Kᵀ on the tensor cores, P = 2^(S·scale·log₂e − m) in the same registers, O += P V with P
// rounded to the inputs' type. Thread l of a warp has rows l/4 and l/4 + 8, whose maximum and sum it shares with the
// three other lanes of the row. Q lies in shared memory, keys and values in two stages that asynchronous copies fill.
// Tiles that all rows see whole are not masked; keys before the first row's segment are not read. The last blocks,
// which see the most keys, start first.
//
// Few rows (a query of a cache) would leave most of the GPU idle: keys are then cut, by shape alone, and each cut
// writes its O, m and sum in fp32; attention_combine adds them in order. FLOPs: 4·T·S·D for each query head, half of it
// when causal. Bytes: q and o once, k and v once for each 64 rows of a kv head, 8·D + 16 for each row and cut.
#include <algorithm>

#include "cuda/kernels/attention.h"
#include "cuda/kernels/attention_tile.h"
#include "cuda/kernels/tensor.h"

namespace graft::cuda {
namespace {

constexpr int kQueryRows = 64, kKeys = 64, kKeyTiles = kKeys / 8;
// Cuts: until this many blocks run, but none of fewer than so many tiles of keys.
constexpr std::int64_t kEnoughBlocks = 256, kFewestTiles = 4;

template <int Depth>
inline constexpr int kTileSize = kKeys* kTilePitch<Depth>;

/** What the cuts leave: O [cuts, rows of all blocks, D], m and sum [cuts, rows of all blocks]. */
struct Cuts {
  std::int64_t tiles;  // of keys in each
  float *o, *largest, *sum;
};

/** Online softmax of one warp's 16 rows by 64 keys. s becomes P; m and l are those of this thread's two rows. */
template <int Depth>
GRAFT_DEVICE void softmax_tile(float (&s)[kKeyTiles][4], float (&o)[Depth / 8][4], float (&m)[2], float (&l)[2]) {
  for (int half = 0; half < 2; ++half) {
    float largest = m[half];
    GRAFT_UNROLL
    for (int n = 0; n < kKeyTiles; ++n) largest = fmaxf(largest, fmaxf(s[n][2 * half], s[n][2 * half + 1]));
    largest = quad_max(largest);
    // why: a row that has seen no key yet has m = −∞, and −∞ − (−∞) is NaN.
    const float base = largest == -INFINITY ? 0.0f : largest, shrink = exp2f(m[half] - base);
    float sum = 0;
    GRAFT_UNROLL
    for (int n = 0; n < kKeyTiles; ++n) {
      GRAFT_UNROLL
      for (int i = 2 * half; i < 2 * half + 2; ++i) {
        s[n][i] = exp2f(s[n][i] - base);
        sum += s[n][i];
      }
    }
    l[half] = GRAFT_BUG(attention_no_rescale) ? l[half] + sum : l[half] * shrink + sum;
    m[half] = largest;
    GRAFT_UNROLL
    for (int n = 0; n < Depth / 8; ++n) {
      o[n][2 * half] *= shrink;
      o[n][2 * half + 1] *= shrink;
    }
  }
}

template <class T, int Depth>
__global__ void __launch_bounds__(kAttentionThreads)
    attention_forward(Heads<const T> q, KeyHeads<const T> k, KeyHeads<const T> v, AttentionSizes all, Heads<T> o,
                      float* lse, Cuts cuts) {
  GRAFT_DYNAMIC_SHARED(T, queries);
  T* const stages = queries + kTileSize<Depth>;  // keys and values, keys and values
  const int lane = static_cast<int>(threadIdx.x) % 32, warp_row = static_cast<int>(threadIdx.x) / 32 * 16;
  const std::int64_t b = blockIdx.y / all.key_heads;
  const AttentionSizes n = all.of(b);
  const int kv = static_cast<int>(blockIdx.y) % n.key_heads;
  const std::int64_t row0 = std::int64_t{gridDim.x - 1 - blockIdx.x} * kQueryRows, rows = n.rows();
  const std::int64_t last_row = (row0 + kQueryRows < rows ? row0 + kQueryRows : rows) - 1;
  const std::int64_t length = n.length(b), first_query = row0 / n.group, last_query = last_row / n.group;

  // Tiles of keys that some row sees, within this block's cut.
  const std::int64_t end = n.end(last_query, length), cut0 = blockIdx.z * cuts.tiles;
  const std::int64_t tiles = ceil_div<std::int64_t>(end > 0 ? end : 0, kKeys);
  const std::int64_t seen0 = n.first(b, first_query), from = seen0 / kKeys, tile0 = from > cut0 ? from : cut0;
  const std::int64_t tile1 = cut0 + cuts.tiles < tiles ? cut0 + cuts.tiles : tiles;
  const int count = tile1 > tile0 ? static_cast<int>(tile1 - tile0) : 0;

  const auto fetch = [&](int i) {
    const std::int64_t key0 = (tile0 + i) * kKeys;
    T* const to = stages + i % 2 * 2 * kTileSize<Depth>;
    const T *const keys = k.at(b, key0, kv), *const values = v.at(b, key0, kv);  // a tile lies in one page
    // why: zeros for keys that no row sees, since 0 · NaN would be NaN.
    const auto seen = [&](int r) { return key0 + r >= seen0 && key0 + r < end; };
    fetch_rows<kAttentionThreads, kKeys, Depth>(
        to, keys, [&](int r) -> const T* { return seen(r) ? keys + r * k.heads.stride[1] : nullptr; });
    fetch_rows<kAttentionThreads, kKeys, Depth>(to + kTileSize<Depth>, values, [&](int r) -> const T* {
      return seen(r) ? values + r * v.heads.stride[1] : nullptr;
    });
    cp_async_commit();
  };

  fetch_rows<kAttentionThreads, kQueryRows, Depth>(queries, q.data, [&](int r) -> const T* {
    const int row = static_cast<int>(row0) + r;
    return row < rows ? q.at(b, row / n.group, kv * n.group + row % n.group) : nullptr;
  });
  if (count > 0) fetch(0);

  float sums[Depth / 8][4] = {}, m[2] = {-INFINITY, -INFINITY}, l[2] = {};
  const std::int64_t my_row = row0 + warp_row + lane / 4;
  std::int64_t my_first[2], my_end[2];
  for (int half = 0; half < 2; ++half) {
    const std::int64_t row = my_row + 8 * half, query = (row < rows ? row : last_row) / n.group;
    my_first[half] = n.first(b, query), my_end[half] = n.end(query, length);
  }
  // All of the tiles from here on are seen whole, up to end(first_query).
  const std::int64_t all_first = n.first(b, GRAFT_BUG(attention_segments_seen_whole) ? first_query : last_query);
  const float factor = n.factor() * kLog2E;
  for (int i = 0; i < count; ++i) {
    if (i + 1 < count) {
      fetch(i + 1);
      if (!GRAFT_BUG(attention_no_wait)) cp_async_wait<1>();
    } else {
      cp_async_wait<0>();
    }
    if (!GRAFT_BUG(attention_no_barrier_before)) __syncthreads();
    if (row0 + warp_row < rows) {
      const T* const keys = stages + i % 2 * 2 * kTileSize<Depth>;
      float s[kKeyTiles][4] = {};
      add_product_t<Depth>(s, queries, warp_row, keys);
      const std::int64_t key0 = (tile0 + i) * kKeys;
      const bool whole = key0 >= all_first && key0 + kKeys <= n.end(first_query, length);
      GRAFT_UNROLL
      for (int c = 0; c < kKeyTiles; ++c) {
        GRAFT_UNROLL
        for (int e = 0; e < 4; ++e) {
          const std::int64_t key = key0 + c * 8 + lane % 4 * 2 + e % 2;
          const bool seen = whole || (key >= my_first[e / 2] && key < my_end[e / 2]);
          s[c][e] = seen ? n.capped(s[c][e]) * factor : -INFINITY;
        }
      }
      softmax_tile<Depth>(s, sums, m, l);
      add_product<Depth>(sums, s, keys + kTileSize<Depth>);
    }
    if (!GRAFT_BUG(attention_no_barrier_behind)) __syncthreads();  // the next fetch overwrites what was read
  }
  cp_async_wait<0>();

  for (int half = 0; half < 2; ++half) {
    const std::int64_t row = my_row + 8 * half;
    l[half] = quad_sum(l[half]);
    if (row >= rows) continue;
    const std::int64_t query = row / n.group, head = kv * n.group + row % n.group;
    if (gridDim.z > 1) {
      const std::int64_t at = (std::int64_t{blockIdx.z} * gridDim.y + blockIdx.y) * rows + row;
      GRAFT_UNROLL
      for (int c = 0; c < Depth / 8; ++c)
        for (int e = 0; e < 2; ++e) cuts.o[at * Depth + c * 8 + lane % 4 * 2 + e] = sums[c][2 * half + e];
      if (lane % 4 == 0) cuts.largest[at] = m[half], cuts.sum[at] = l[half];
      continue;
    }
    const float factor = l[half] > 0 ? 1 / l[half] : 0.0f;
    T* const to = o.at(b, query, head) + lane % 4 * 2;
    GRAFT_UNROLL
    for (int c = 0; c < Depth / 8; ++c)
      store_pair(to + c * 8, sums[c][2 * half] * factor, sums[c][2 * half + 1] * factor);
    if (lse != nullptr && lane % 4 == 0) lse[n.of_lse(b, head, query)] = m[half] * kLn2 + logf(l[half]);
  }
}

/** A warp for each row: its cuts' results, each shrunk to the largest of their maxima. */
template <class T, int Depth>
__global__ void __launch_bounds__(kAttentionThreads)
    attention_combine(Cuts cuts, int count, AttentionSizes n, std::int64_t all_rows, Heads<T> o, float* lse) {
  const std::int64_t at = std::int64_t{blockIdx.x} * (kAttentionThreads / 32) + threadIdx.x / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  if (at >= all_rows) return;
  float largest = -INFINITY, sum = 0, values[Depth / 32] = {};
  for (int cut = 0; cut < count; ++cut) largest = fmaxf(largest, cuts.largest[cut * all_rows + at]);
  const float base = largest == -INFINITY ? 0.0f : largest;
  for (int cut = 0; cut < count; ++cut) {
    const std::int64_t part = cut * all_rows + at;
    const float shrink = exp2f(cuts.largest[part] - base);
    sum += shrink * cuts.sum[part];
    for (int i = 0; i < Depth / 32; ++i) values[i] += shrink * cuts.o[part * Depth + i * 32 + lane];
  }
  const std::int64_t rows = n.rows(), block = at / rows, row = at % rows;
  const std::int64_t b = block / n.key_heads, query = row / n.group;
  const std::int64_t head = block % n.key_heads * n.group + row % n.group;
  const float factor = sum > 0 ? 1 / sum : 0.0f;
  for (int i = 0; i < Depth / 32; ++i) o.at(b, query, head)[i * 32 + lane] = from_float<T>(values[i] * factor);
  if (lse != nullptr && lane == 0) lse[n.of_lse(b, head, query)] = largest * kLn2 + logf(sum);
}

template <class T, int Depth>
void forward(core::Context& context, const ops::AttentionForward& a) {
  const AttentionSizes n = attention_sizes(a);
  const std::int64_t rows = n.queries * n.group, blocks_y = a.q->shape[0] * n.key_heads;
  const std::int64_t row_tiles = ceil_div<std::int64_t>(rows, kQueryRows);
  const std::int64_t key_tiles = std::max<std::int64_t>(1, ceil_div<std::int64_t>(n.keys, kKeys));
  const std::int64_t wanted =
      std::min(ceil_div(kEnoughBlocks, row_tiles * blocks_y), ceil_div(key_tiles, kFewestTiles));
  const std::int64_t tiles = ceil_div(key_tiles, std::max<std::int64_t>(1, wanted)), count = ceil_div(key_tiles, tiles);
  core::Scratch scratch(context.arena);
  Cuts cuts{tiles, nullptr, nullptr, nullptr};
  if (count > 1) {
    cuts.o = scratch.take<float>(count * blocks_y * rows * Depth);
    cuts.largest = scratch.take<float>(count * blocks_y * rows);
    cuts.sum = scratch.take<float>(count * blocks_y * rows);
  }
  const dim3 grid(static_cast<unsigned>(row_tiles), static_cast<unsigned>(blocks_y), static_cast<unsigned>(count));
  const std::size_t bytes = (GRAFT_BUG(attention_short_shared) ? 4 : 5) * kTileSize<Depth> * sizeof(T);
  launch({"attention_forward", grid, kAttentionThreads, bytes, stream(context)}, attention_forward<T, Depth>,
         heads<const T>(*a.q), key_heads<const T>(a, *a.k), key_heads<const T>(a, *a.v), n, heads<T>(*a.o),
         data<float>(a.lse), cuts);
  if (count == 1) return;
  const std::int64_t all_rows = blocks_y * rows;
  launch({"attention_combine", static_cast<unsigned>(ceil_div<std::int64_t>(all_rows, kAttentionThreads / 32)),
          kAttentionThreads, 0, stream(context)},
         attention_combine<T, Depth>, cuts, static_cast<int>(count), n, all_rows, heads<T>(*a.o), data<float>(a.lse));
}

}  // namespace

namespace tiles {

std::string refuse(const ops::AttentionForward& a) { return refuse_tiles(a, {a.q, a.k, a.v, a.o}); }

void run(core::Context& context, const ops::AttentionForward& a) {
  check_lengths(context, a.pages == nullptr ? "graft_attention_forward" : "graft_attention_paged_forward", a);
  const auto with = [&](auto type) {
    using T = decltype(type);
    a.q->shape[3] == 64 ? forward<T, 64>(context, a) : forward<T, 128>(context, a);
  };
  if (a.q->shape[0] * a.q->shape[1] * a.q->shape[2] == 0) return;
  a.q->dtype == GRAFT_DTYPE_BF16 ? with(bf16{}) : with(f16{});
}

std::string refuse(const ops::AttentionPagedForward& a) {
  const std::string pages = ops::refuse_pages(a, kKeys);
  return pages.empty() ? refuse(static_cast<const ops::AttentionForward&>(a)) : pages;
}

void run(core::Context& context, const ops::AttentionPagedForward& a) {
  run(context, static_cast<const ops::AttentionForward&>(a));
}

}  // namespace tiles
}  // namespace graft::cuda
