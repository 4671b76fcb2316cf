// attention for every float type, head size up to 1024 and stride, in fp32 without tensor cores: a warp has one query
// of one head, or one key of one kv head, and goes through its partners 32 at a time, each lane making one score; then
// the 32 are added one after the other, each lane with the elements l, l + 32, … of the head. Backward, with p from lse
// and Δ = dout · o:  dv += p dout,  ds = p (dout · v − Δ) scale,  dq += ds k,  dk += ds q; dq in a pass of its own, so
// that every sum has one owner. FLOPs: forward 4, backward 14 for each pair and element of the head. Bytes: k and v (q,
// dout) once for each query (key), from the caches.
#include "cuda/kernels/attention.h"
#include "cuda/kernels/reduce.h"
#include "cuda/kernels/tensor.h"

namespace graft::cuda {
namespace {

constexpr int kGeneralWarps = kAttentionThreads / 32;
constexpr std::int64_t kMostDepth = 1024;

GRAFT_DEVICE float warp_max(float value) {
  for (int bits = 16; bits > 0; bits /= 2) value = fmaxf(value, __shfl_xor_sync(kWholeWarp, value, bits));
  return value;
}

template <class T>
GRAFT_DEVICE float dot(const float* left, const T* right, int depth) {
  float sum = 0;
  for (int c = 0; c < depth; ++c) sum += left[c] * to_float(right[c]);
  return sum;
}

/** Rows of `count` heads in shared memory for each warp: this warp's own. */
GRAFT_DEVICE float* warp_rows(float* shared, int count, int depth) {
  return shared + static_cast<int>(threadIdx.x) / 32 * count * depth;
}

template <class T>
GRAFT_DEVICE void copy_row(const T* from, int depth, float* to) {
  for (int c = static_cast<int>(threadIdx.x) % 32; c < depth; c += 32) to[c] = to_float(from[c]);
}

GRAFT_DEVICE void clear_row(int depth, float* to) {
  for (int c = static_cast<int>(threadIdx.x) % 32; c < depth; c += 32) to[c] = 0;
}

template <class T>
GRAFT_DEVICE void write_row(const float* from, float factor, int depth, T* to) {
  for (int c = static_cast<int>(threadIdx.x) % 32; c < depth; c += 32) to[c] = from_float<T>(from[c] * factor);
}

/** Which warp of the grid this is, as one of `count` places of each of `heads` heads of a batch. */
struct HeadPlace {
  std::int64_t batch, at;
  int head;
  bool exists;
  GRAFT_DEVICE HeadPlace(std::int64_t batches, int heads, std::int64_t count) {
    const std::int64_t warp = std::int64_t{blockIdx.x} * kGeneralWarps + threadIdx.x / 32;
    at = warp % count;
    head = static_cast<int>(warp / count % heads);
    batch = warp / count / heads;
    exists = batch < batches;
  }
};

template <class T>
__global__ void __launch_bounds__(kAttentionThreads)
    attention_general_forward(Heads<const T> q, KeyHeads<const T> k, KeyHeads<const T> v, AttentionSizes all,
                              std::int64_t batches, Heads<T> o, float* lse) {
  GRAFT_DYNAMIC_SHARED(float, shared);
  const HeadPlace p(batches, all.heads, all.queries);
  if (!p.exists) return;
  const AttentionSizes n = all.of(p.batch);
  const int lane = static_cast<int>(threadIdx.x) % 32, kv = p.head / n.group;
  float* const mine = warp_rows(shared, 2, n.depth);
  float* const sums = mine + n.depth;
  copy_row(q.at(p.batch, p.at, p.head), n.depth, mine);
  clear_row(n.depth, sums);
  __syncwarp();
  const std::int64_t end = n.end(p.at, n.length(p.batch));
  float largest = -INFINITY, sum = 0;
  for (std::int64_t first = n.first(p.batch, p.at); first < end; first += 32) {
    const std::int64_t j = first + lane;
    const float s = j < end ? n.factor() * n.capped(dot(mine, k.at(p.batch, j, kv), n.depth)) : -INFINITY;
    const float next = fmaxf(largest, warp_max(s)), base = next == -INFINITY ? 0.0f : next;
    const float e = expf(s - base), shrink = expf(largest - base);
    sum = sum * shrink + warp_sum(e);
    largest = next;
    for (int c = lane; c < n.depth; c += 32) sums[c] *= shrink;
    const int count = end - first < 32 && !GRAFT_BUG(attention_general_guard) ? static_cast<int>(end - first) : 32;
    for (int i = 0; i < count; ++i) {
      const float weight = __shfl_sync(kWholeWarp, e, i);
      const T* const row = v.at(p.batch, first + i, kv);
      for (int c = lane; c < n.depth; c += 32) sums[c] += weight * to_float(row[c]);
    }
  }
  write_row(sums, sum > 0 ? 1 / sum : 0.0f, n.depth, o.at(p.batch, p.at, p.head));
  if (lse != nullptr && lane == 0) lse[n.of_lse(p.batch, p.head, p.at)] = largest + logf(sum);
}

/** All that backward reads. */
template <class T>
struct GeneralInputs {
  Heads<const T> dout, q, k, v, o;
  const float* lse;
  AttentionSizes n;
  std::int64_t batches;
};

template <class T>
__global__ void __launch_bounds__(kAttentionThreads) attention_delta(GeneralInputs<T> in, float* delta) {
  const AttentionSizes& n = in.n;
  const HeadPlace p(in.batches, n.heads, n.queries);
  if (!p.exists) return;
  const T *const o = in.o.at(p.batch, p.at, p.head), *const dout = in.dout.at(p.batch, p.at, p.head);
  float sum = 0;
  for (int c = static_cast<int>(threadIdx.x) % 32; c < n.depth; c += 32) sum += to_float(o[c]) * to_float(dout[c]);
  sum = warp_sum(sum);
  if (threadIdx.x % 32 == 0) delta[n.of_delta(p.batch, p.head, p.at)] = sum;
}

template <class T>
__global__ void __launch_bounds__(kAttentionThreads)
    attention_general_dq(GeneralInputs<T> in, const float* delta, Heads<T> dq) {
  GRAFT_DYNAMIC_SHARED(float, shared);
  const AttentionSizes& n = in.n;
  const HeadPlace p(in.batches, n.heads, n.queries);
  if (!p.exists) return;
  const int lane = static_cast<int>(threadIdx.x) % 32, kv = p.head / n.group;
  float* const query = warp_rows(shared, 3, n.depth);
  float *const dout = query + n.depth, *const sums = dout + n.depth;
  copy_row(in.q.at(p.batch, p.at, p.head), n.depth, query);
  copy_row(in.dout.at(p.batch, p.at, p.head), n.depth, dout);
  clear_row(n.depth, sums);
  __syncwarp();
  const std::int64_t end = n.end(p.at, n.length(p.batch));
  const float lse = in.lse[n.of_lse(p.batch, p.head, p.at)], own_delta = delta[n.of_delta(p.batch, p.head, p.at)];
  for (std::int64_t first = n.first(p.batch, p.at); first < end; first += 32) {
    const std::int64_t j = first + lane;
    float ds = 0;
    if (j < end) {
      const float s = n.capped(dot(query, in.k.at(p.batch, j, kv), n.depth)), weight = expf(n.factor() * s - lse);
      ds = weight * (dot(dout, in.v.at(p.batch, j, kv), n.depth) - own_delta) * n.slope(s);
    }
    const int count = end - first < 32 ? static_cast<int>(end - first) : 32;
    for (int i = 0; i < count; ++i) {
      const float factor = __shfl_sync(kWholeWarp, ds, i);
      const T* const row = in.k.at(p.batch, first + i, kv);
      for (int c = lane; c < n.depth; c += 32) sums[c] += factor * to_float(row[c]);
    }
  }
  write_row(sums, 1, n.depth, dq.at(p.batch, p.at, p.head));
}

template <class T>
__global__ void __launch_bounds__(kAttentionThreads)
    attention_general_dkv(GeneralInputs<T> in, const float* delta, Heads<T> dk, Heads<T> dv) {
  GRAFT_DYNAMIC_SHARED(float, shared);
  const AttentionSizes& n = in.n;
  const HeadPlace p(in.batches, n.key_heads, n.keys);
  if (!p.exists) return;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  float* const key = warp_rows(shared, 4, n.depth);
  float *const value = key + n.depth, *const dk_sums = value + n.depth, *const dv_sums = dk_sums + n.depth;
  copy_row(in.k.at(p.batch, p.at, p.head), n.depth, key);
  copy_row(in.v.at(p.batch, p.at, p.head), n.depth, value);
  clear_row(n.depth, dk_sums);
  clear_row(n.depth, dv_sums);
  __syncwarp();
  const RowRange range = n.rows_that_see(p.batch, p.at, p.at + 1, n.length(p.batch));
  for (std::int64_t first = range.first; first < range.end; first += 32) {
    const std::int64_t row = first + lane;
    float weight = 0, ds = 0;
    if (row < range.end) {
      const std::int64_t query = row / n.group, head = p.head * n.group + row % n.group;
      const float s = n.capped(dot(key, in.q.at(p.batch, query, head), n.depth));
      weight = expf(n.factor() * s - in.lse[n.of_lse(p.batch, head, query)]);
      ds = weight * (dot(value, in.dout.at(p.batch, query, head), n.depth) - delta[n.of_delta(p.batch, head, query)]) *
           n.slope(s);
    }
    const int count = range.end - first < 32 ? static_cast<int>(range.end - first) : 32;
    for (int i = 0; i < count; ++i) {
      const float w = __shfl_sync(kWholeWarp, weight, i), d = __shfl_sync(kWholeWarp, ds, i);
      const std::int64_t query = (first + i) / n.group, head = p.head * n.group + (first + i) % n.group;
      const T *const q = in.q.at(p.batch, query, head), *const dout = in.dout.at(p.batch, query, head);
      for (int c = lane; c < n.depth; c += 32) {
        dk_sums[c] += d * to_float(q[c]);
        dv_sums[c] += w * to_float(dout[c]);
      }
    }
  }
  write_row(dk_sums, 1, n.depth, dk.at(p.batch, p.at, p.head));
  write_row(dv_sums, 1, n.depth, dv.at(p.batch, p.at, p.head));
}

/** Warps for so many rows, with so many heads each in shared memory. */
Launch launch_of(const core::Context& context, const char* name, std::int64_t warps, int heads, int depth) {
  return {name, static_cast<unsigned>(ceil_div<std::int64_t>(warps, kGeneralWarps)), kAttentionThreads,
          static_cast<std::size_t>(kGeneralWarps * heads * depth) * sizeof(float), stream(context)};
}

std::string refuse_depth(const graft_tensor& q) {
  if (q.shape[3] > kMostDepth) return "the head size is " + std::to_string(q.shape[3]) + ", this has up to 1024";
  return refuse_f64(q);
}

template <class T>
GeneralInputs<T> inputs_of(const ops::AttentionBackward& a) {
  return {heads<const T>(*a.dout), heads<const T>(*a.q),     heads<const T>(*a.k), heads<const T>(*a.v),
          heads<const T>(*a.o),    data<const float>(a.lse), attention_sizes(a),   a.q->shape[0]};
}

}  // namespace

void attention_delta(core::Context& context, const ops::AttentionBackward& a, float* delta) {
  visit(a.q->dtype, [&](auto type) {
    using T = decltype(type);
    launch(launch_of(context, "attention_delta", a.q->shape[0] * a.q->shape[1] * a.q->shape[2], 0, 0),
           attention_delta<T>, inputs_of<T>(a), delta);
  });
}

namespace general {

std::string refuse(const ops::AttentionForward& a) { return refuse_depth(*a.q); }

void run(core::Context& context, const ops::AttentionForward& a) {
  check_lengths(context, a.pages == nullptr ? "graft_attention_forward" : "graft_attention_paged_forward", a);
  const AttentionSizes n = attention_sizes(a);
  const std::int64_t batches = a.q->shape[0];
  visit(a.q->dtype, [&](auto type) {
    using T = decltype(type);
    launch(launch_of(context, "attention_general_forward", batches * n.heads * n.queries, 2, n.depth),
           attention_general_forward<T>, heads<const T>(*a.q), key_heads<const T>(a, *a.k), key_heads<const T>(a, *a.v),
           n, batches, heads<T>(*a.o), data<float>(a.lse));
  });
}

std::string refuse(const ops::AttentionPagedForward& a) { return refuse_depth(*a.q); }

void run(core::Context& context, const ops::AttentionPagedForward& a) {
  run(context, static_cast<const ops::AttentionForward&>(a));
}

std::string refuse(const ops::AttentionBackward& a) { return refuse_depth(*a.q); }

void run(core::Context& context, const ops::AttentionBackward& a) {
  check_lengths(context, "graft_attention_backward", a);
  const AttentionSizes n = attention_sizes(a);
  const std::int64_t batches = a.q->shape[0], queries = batches * n.heads * n.queries;
  core::Scratch scratch(context.arena);
  auto* delta = scratch.take<float>(queries);
  attention_delta(context, a, delta);
  visit(a.q->dtype, [&](auto type) {
    using T = decltype(type);
    launch(launch_of(context, "attention_general_dq", queries, 3, n.depth), attention_general_dq<T>, inputs_of<T>(a),
           delta, heads<T>(*a.dq));
    launch(launch_of(context, "attention_general_dkv", batches * n.key_heads * n.keys, 4, n.depth),
           attention_general_dkv<T>, inputs_of<T>(a), delta, heads<T>(*a.dk), heads<T>(*a.dv));
  });
}

}  // namespace general
}  // namespace graft::cuda
