// Weights of codes on their way into a stage (main_loop.h): a tile's rows of 64 columns, of which a thread decodes one
// at a time. What it needs beside the codes, it fetches a step ahead.
//
// NF4: the scale of its block of 64 elements. Levels lie in shared memory in 16 banks. Sketch: the table of its row's
// group, rounded to bf16, in places of the thread's own, [entry][thread], so that no two threads of a warp meet in a
// bank and no barrier is needed.
#pragma once

#include "cuda/device_sm90.h"
#include "cuda/kernels/nf4_codes.h"
#include "cuda/kernels/sketch_codes.h"
#include "cuda/sm90/main_loop.h"

namespace graft::cuda::sm90 {

struct Nf4Source {
  Nf4Codes w;

  using Fetched = float;  // the scale
  static constexpr Fetched kNone = 0;

  static constexpr int kSharedWords = kNf4LevelCount + kNf4MapSize;
  /** Bytes of a row's codes of 64 columns. */
  std::int64_t row_bytes() const { return w.k / 2; }
  GRAFT_DEVICE int block_bytes() const { return kSteps / 2; }
  /** By all threads of the block, before a barrier. */
  GRAFT_DEVICE void stage(std::uint32_t* shared) const {
    auto* const levels = reinterpret_cast<float*>(shared);
    w.stage(levels, levels + kNf4LevelCount);
  }
  GRAFT_DEVICE Fetched fetch(const std::uint32_t* shared, std::int64_t row, std::int64_t block, Fetched) const {
    if (row >= w.n || block * kSteps >= w.k) return 0;
    return w.scale(row * w.k + block * kSteps, reinterpret_cast<const float*>(shared) + kNf4LevelCount);
  }
  GRAFT_DEVICE void put(std::uint32_t*, int, Fetched, Fetched) const {}
  /** Columns 8e … 8e+7 of a block. */
  GRAFT_DEVICE Pack<std::uint32_t> eight(const std::uint32_t* shared, int, Fetched scale, const unsigned char* codes,
                                         int e) const {
    const auto* const levels = reinterpret_cast<const float*>(shared);
    const std::uint32_t word = reinterpret_cast<const std::uint32_t*>(codes)[e];
    Pack<std::uint32_t> pack;
    GRAFT_UNROLL
    for (int i = 0; i < 4; ++i)
      pack.at[i] = pair_of<bf16>(levels[nf4_code(word, 2 * i)] * scale, levels[nf4_code(word, 2 * i + 1)] * scale);
    return pack;
  }
};

struct SketchSource {
  SketchCodes w;

  /** A table, two entries in a word; -1: zeros, outside of W. */
  struct Fetched {
    std::uint32_t pairs[core::kSketchEntries / 2];
    std::int64_t table;
  };
  static constexpr Fetched kNone = {{}, -2};

  static constexpr int kSharedWords = core::kSketchEntries * kGroup;
  std::int64_t row_bytes() const { return w.groups * w.blocks * 8 * w.bits; }
  GRAFT_DEVICE int block_bytes() const { return 8 * w.bits; }
  GRAFT_DEVICE void stage(std::uint32_t*) const {}
  GRAFT_DEVICE Fetched fetch(const std::uint32_t*, std::int64_t row, std::int64_t block, const Fetched& before) const {
    const bool inside = row < w.n && block * kSteps < w.k;
    const std::int64_t table = inside ? w.table_of(row, block / w.blocks) : -1;
    if (table == before.table) return before;
    Fetched fetched{{}, table};
    GRAFT_UNROLL
    for (int i = 0; i < core::kSketchEntries / 2; ++i)
      if (inside && 2 * i < w.entries)
        fetched.pairs[i] = pair_of<bf16>(w.entry(table + 2 * i), w.entry(table + 2 * i + 1));
    return fetched;
  }
  GRAFT_DEVICE void put(std::uint32_t* shared, int thread, const Fetched& fetched, const Fetched& before) const {
    if (fetched.table == before.table) return;
    GRAFT_UNROLL
    for (int i = 0; i < core::kSketchEntries; ++i)
      shared[i * kGroup + thread] = fetched.pairs[i / 2] >> (i % 2 * 16) & 0xffff;
  }
  GRAFT_DEVICE Pack<std::uint32_t> eight(const std::uint32_t* shared, int thread, const Fetched&,
                                         const unsigned char* codes, int e) const {
    SketchCodes block = w;
    block.codes = codes;
    const std::uint64_t eight = block.eight(0, 0, e);
    Pack<std::uint32_t> pack;
    GRAFT_UNROLL
    for (int i = 0; i < 4; ++i)
      pack.at[i] = shared[byte_of(eight, 2 * i) * kGroup + thread] | shared[byte_of(eight, 2 * i + 1) * kGroup + thread]
                                                                         << 16;
    return pack;
  }
};

}  // namespace graft::cuda::sm90
