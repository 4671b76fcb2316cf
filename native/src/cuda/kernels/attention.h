// What the kernels of attention share: sizes, who sees whom, and the rows of a block.
//
// The query heads that read one kv head are its group; the rows of a kv head are its queries times its group, row i
// being query i/G of head i%G in the group. So a block reads keys and values once for all heads of the group, and one
// query of a cache has G rows.
#pragma once

#include <bit>

#include "cuda/device.h"
#include "cuda/kernels/fault.h"
#include "cuda/kernels/heads.h"
#include "ops/attention.h"

namespace graft::cuda {

inline constexpr int kAttentionThreads = 128;  // of a block

/** Keys or values of batch rows, which may lie in pages of a pool: page t / size of the row, and place t mod size
 * there. */
template <class T>
struct KeyHeads {
  Heads<T> heads;
  const std::int32_t* pages;  // [B, M], row-major; NULL: key t of row b is in block b
  std::int64_t row_pages;     // M
  int count, size;            // of pages, and keys of each

  /** A page that is outside of the pool is reported, and page 0 read. */
  GRAFT_DEVICE std::int64_t page(std::int64_t b, std::int64_t t) const {
    const std::int32_t page = pages[(GRAFT_BUG(attention_pages_of_row_0) ? 0 : b) * row_pages + t / size];
    return page < 0 || page >= count ? 0 : page;
  }
  GRAFT_DEVICE T* at(std::int64_t b, std::int64_t t, std::int64_t h) const {
    return pages == nullptr ? heads.at(b, t, h) : heads.at(page(b, t), t % size, h);
  }
};

template <class T, class Args>
KeyHeads<T> key_heads(const Args& a, const graft_tensor& x) {
  if (a.pages == nullptr) return {heads<T>(x), nullptr, 0, 0, 0};
  return {heads<T>(x), static_cast<const std::int32_t*>(a.pages->data), a.pages->shape[1], static_cast<int>(x.shape[0]),
          static_cast<int>(x.shape[1])};
}

/** Rows first <= i < end of a kv head. */
struct RowRange {
  std::int64_t first, end;
};

struct AttentionSizes {
  std::int64_t queries, keys, past, window;  // T, S; window 0: none
  int heads, key_heads, group, depth;        // Hq, Hk, Hq/Hk, D
  float scale, softcap;                      // softcap 0: none
  const std::int32_t* lengths;               // NULL: all of S
  const std::int32_t* starts;                // of segments, never falling along a row; NULL: all 0
  std::int64_t start_batch, start_query;     // strides of starts
  std::int64_t lse_batch, lse_head;          // strides of lse
  bool ends_with_queries;                    // of keys in pages: a row's queries are its last keys

  GRAFT_DEVICE std::int64_t rows() const { return queries * group; }
  /** What is outside of the tensor is reported, and not read. */
  GRAFT_DEVICE std::int64_t length(std::int64_t batch) const {
    if (lengths == nullptr) return keys;
    const std::int64_t length = lengths[batch];
    return length < 0 ? 0 : length > keys ? keys : length;
  }
  /** The same for one row, whose `past` it knows. */
  GRAFT_DEVICE AttentionSizes of(std::int64_t batch) const {
    AttentionSizes own = *this;
    if (ends_with_queries) own.past = (GRAFT_BUG(attention_paged_past) ? keys : length(batch)) - queries;
    return own;
  }
  /** A query sees the keys first(batch, query) <= j < end(query, length): those of its segment and window. */
  GRAFT_DEVICE std::int64_t first(std::int64_t batch, std::int64_t query) const {
    const std::int64_t j = past + query - window + 1, from = window > 0 && j > 0 ? j : 0, own = start(batch, query);
    return own > from ? own : from;
  }
  GRAFT_DEVICE std::int64_t end(std::int64_t query, std::int64_t length) const {
    const std::int64_t j = past + query + 1;
    return GRAFT_BUG(attention_sees_itself_not) ? (j - 1 < length ? j - 1 : length) : j < length ? j : length;
  }
  GRAFT_DEVICE std::int64_t start(std::int64_t batch, std::int64_t query) const {
    return starts == nullptr ? 0 : starts[batch * start_batch + query * start_query];
  }
  /** The first query whose segment begins behind a key: a warp looks at 32 places at once. */
  GRAFT_DEVICE std::int64_t segment_end(std::int64_t batch, std::int64_t key) const {
    if (starts == nullptr) return queries;
    const std::int64_t lane = threadIdx.x % 32;
    std::int64_t low = 0, high = queries;
    while (low < high) {
      const std::int64_t step = ceil_div<std::int64_t>(high - low, 32), at = low + lane * step;
      const int before = std::popcount(__ballot_sync(kWholeWarp, at < high && start(batch, at) <= key));
      if (low + before * step < high) high = low + before * step;
      if (before > 0) low += (before - 1) * step + 1;
    }
    return GRAFT_BUG(attention_segment_ends_early) ? low - 1 : low;
  }
  /** The score of a product q · k is factor() · capped(product), and changes by it as slope(capped). */
  GRAFT_DEVICE float factor() const { return softcap == 0 ? scale : softcap; }
  GRAFT_DEVICE float capped(float product) const { return softcap == 0 ? product : tanhf(product * (scale / softcap)); }
  GRAFT_DEVICE float slope(float capped) const {
    return softcap == 0 || GRAFT_BUG(attention_flat_cap) ? scale : scale * (1 - capped * capped);
  }
  /** The rows of which each sees some of the keys from `key` to before `key_end`; with a window or segments, some may
   * see none. For all lanes of a warp together. */
  GRAFT_DEVICE RowRange rows_that_see(std::int64_t batch, std::int64_t key, std::int64_t key_end,
                                      std::int64_t length) const {
    if (key >= length) return {0, 0};
    const std::int64_t from = key - past > 0 ? key - past : 0, to = key_end - 1 - past + window;
    std::int64_t last = segment_end(batch, key_end - 1);
    if (window > 0 && to < last) last = to > from ? to : from;
    return {(from < queries ? from : queries) * group, (last < queries ? last : queries) * group};
  }
  /** Element (b, h, query) of lse. */
  GRAFT_DEVICE std::int64_t of_lse(std::int64_t batch, std::int64_t head, std::int64_t query) const {
    return batch * lse_batch + head * lse_head + query;
  }
  /** The same of delta, which has no gaps. */
  GRAFT_DEVICE std::int64_t of_delta(std::int64_t batch, std::int64_t head, std::int64_t query) const {
    return (batch * heads + head) * queries + query;
  }
};

template <class Args>
AttentionSizes attention_sizes(const Args& a) {
  const int heads = static_cast<int>(a.q->shape[2]), key_heads = static_cast<int>(a.k->shape[2]);
  return {a.q->shape[1],
          a.keys(),
          a.past,
          a.window,
          heads,
          key_heads,
          key_heads == 0 ? 1 : heads / key_heads,
          static_cast<int>(a.q->shape[3]),
          static_cast<float>(a.scale),
          static_cast<float>(a.softcap),
          a.lengths == nullptr ? nullptr : static_cast<const std::int32_t*>(a.lengths->data),
          a.starts == nullptr ? nullptr : static_cast<const std::int32_t*>(a.starts->data),
          a.starts == nullptr ? 0 : a.starts->stride[0],
          a.starts == nullptr ? 0 : a.starts->stride[1],
          a.lse == nullptr ? 0 : a.lse->stride[0],
          a.lse == nullptr ? 0 : a.lse->stride[1],
          a.pages != nullptr};
}

template <class Args>
void check_lengths(core::Context& context, const char* op, const Args& a) {
  if (a.lengths != nullptr) find_outside(context, op, "lengths", *a.lengths, a.keys() + 1);
  if (a.pages == nullptr) return;
  graft_tensor pages = *a.pages;
  pages.rank = 1, pages.shape[0] = pages.shape[0] * pages.shape[1], pages.stride[0] = 1;
  find_outside(context, op, "pages", pages, a.k->shape[0]);
}

/** delta [B, Hq, T] = Σ_c dout · o. */
void attention_delta(core::Context& context, const ops::AttentionBackward& a, float* delta);

inline constexpr float kLog2E = 1.44269504088896340736f, kLn2 = 0.693147180559945309417f;

/** Why the tensor cores do not serve a call with these tensors of one dtype. */
template <class Args>
std::string refuse_tiles(const Args& a, std::initializer_list<const graft_tensor*> tensors) {
  for (const graft_tensor* t : tensors) {
    if (graft_dtype_bytes(t->dtype) != 2) return "the dtype is not bf16 or f16";
    if (t->shape[3] != 64 && t->shape[3] != 128)
      return "the head size is " + std::to_string(t->shape[3]) + ", this has 64 and 128";
    bool packs = reinterpret_cast<std::uintptr_t>(t->data) % 16 == 0;
    for (int i = 0; i < 3; ++i) packs = packs && t->stride[i] % 8 == 0;
    if (!packs) return "heads do not begin at multiples of 16 bytes";
  }
  const graft_tensor &q = *a.q, &k = *a.k;
  if (k.shape[2] > 0 && q.shape[1] * (q.shape[2] / k.shape[2]) >= std::int64_t{1} << 31) return "more than 2^31 rows";
  if (q.shape[0] * k.shape[2] > 65535) return "more heads than a grid has";
  return {};
}

}  // namespace graft::cuda
