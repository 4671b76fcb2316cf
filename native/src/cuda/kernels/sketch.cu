// sketch: to[i, j] = table[i, group of j, code], rounded to `to`'s type; codes unpacked. A thread has eight
// neighbouring columns of one row's group, of which the panel may have a part; a warp reads one table, from one line of
// the L1. Bytes, for each element: bits/8 and its size, and entries·size of the table for each group of a row.
#include "cuda/kernels/coded_weight.h"
#include "cuda/kernels/fault.h"
#include "cuda/kernels/piece.h"
#include "cuda/kernels/sketch_codes.h"
#include "ops/sketch.h"

namespace graft::cuda {
namespace {

constexpr std::int64_t kEight = 8;

/** Eighths of a row's groups in order, and where the one with column j is. */
struct Eighths {
  std::int64_t of_group, columns;
  GRAFT_DEVICE std::int64_t group(std::int64_t eighth) const { return eighth / of_group; }
  GRAFT_DEVICE std::int64_t column(std::int64_t eighth) const {
    return eighth / of_group * columns + eighth % of_group * kEight;
  }
  GRAFT_DEVICE int count(std::int64_t eighth) const {
    const std::int64_t left = columns - eighth % of_group * kEight;
    return static_cast<int>(left < kEight ? left : kEight);
  }
  std::int64_t with(std::int64_t j) const { return j / columns * of_group + j % columns / kEight; }
};

template <class T, bool Packs>
__global__ void __launch_bounds__(kThreads)
    sketch_decode(SketchCodes w, Eighths eighths, std::int64_t first, std::int64_t count, std::int64_t row,
                  std::int64_t column, std::int64_t rows, std::int64_t columns, Rows<T> to) {
  const std::int64_t at = std::int64_t{blockIdx.x} * kThreads + threadIdx.x, i = at / count;
  const std::int64_t e = (GRAFT_BUG(sketch_first_eighth) ? 0 : first) + at % count;
  if (i >= rows) return;
  const std::int64_t group = eighths.group(e), table = w.table_of(row + i, group), j = eighths.column(e) - column;
  const std::uint64_t codes = w.eight(row + i, group, e % eighths.of_group);
  T values[kEight];
  GRAFT_UNROLL
  for (int c = 0; c < kEight; ++c) values[c] = from_float<T>(w.entry(table + byte_of(codes, c)));
  if constexpr (Packs) {
    constexpr int size = Pack<T>::kSize;
    GRAFT_UNROLL
    for (int part = 0; part < kEight; part += size) {
      Pack<T> pack;
      for (int c = 0; c < size; ++c) pack.at[c] = values[part + c];
      store_pack(to[i] + j + part, pack);
    }
  } else {
    const int inside = eighths.count(e);
    for (int c = 0; c < kEight; ++c)
      if (c < inside && j + c >= 0 && j + c < columns) to[i][j + c] = values[c];
  }
}

/** Codes a byte each, [N, K], or two in a byte, the even column in the high nibble, [N, G, K/G/2]. */
__global__ void __launch_bounds__(kThreads)
    sketch_unpack(SketchCodes w, Eighths eighths, std::int64_t count, bool nibbles, std::uint8_t* to) {
  const std::int64_t at = std::int64_t{blockIdx.x} * kThreads + threadIdx.x, i = at / count, e = at % count;
  if (i >= w.n) return;
  const std::uint64_t codes = w.eight(i, eighths.group(e), e % eighths.of_group);
  const std::int64_t first = i * w.k + eighths.column(e);
  const int inside = eighths.count(e);
  for (int c = 0; c < inside; ++c) {
    if (!nibbles) {
      to[first + c] = static_cast<std::uint8_t>(byte_of(codes, c));
    } else if (c % 2 == 0) {
      to[(first + c) / 2] = static_cast<std::uint8_t>(byte_of(codes, c) << 4 | byte_of(codes, c + 1));
    }
  }
}

/** A byte of the packed codes, from all codes that are in it: bytes of codes or of two, as above. */
struct Packing {
  const std::uint8_t* from;
  bool nibbles;
  std::int64_t k, columns, blocks;  // of a row; of a row's group, and its blocks
  int bits;

  /** Code i of a block, whose codes begin at `first` of the row; 0 behind the group's columns. */
  GRAFT_DEVICE int code(std::int64_t first, std::int64_t count, int i) const {
    if (!GRAFT_BUG(sketch_pack_no_end) && i >= count) return 0;
    const std::int64_t at = first + i;
    if (!nibbles) return from[at];
    return at % 2 == 0 ? from[at / 2] >> 4 : from[at / 2] & 15;
  }

  GRAFT_DEVICE int byte(std::int64_t block, int which) const {
    const std::int64_t group = block / blocks, begin = block % blocks * core::kSketchBlock;
    const std::int64_t first = group * columns + begin, count = columns - begin;
    const auto at = [&](int i) { return code(first, count, i); };
    if (bits == 4) return at(which) | at(32 + which) << 4;
    int byte = 0;
    if (which < 16) {
      for (int f = 0; f < 4; ++f) byte |= (at(16 * f + which) & 3) << 2 * f;
    } else {
      for (int j = 0; j < (GRAFT_BUG(sketch_pack_third) ? 7 : 8); ++j) byte |= (at(8 * (which - 16) + j) >> 2) << j;
    }
    return byte;
  }
};

/** A thread makes a byte. */
__global__ void __launch_bounds__(kThreads) sketch_pack(Packing packing, std::int64_t bytes, std::uint8_t* to) {
  const std::int64_t at = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  const int size = 8 * packing.bits;
  if (at < bytes) to[at] = static_cast<std::uint8_t>(packing.byte(at / size, static_cast<int>(at % size)));
}

Eighths eighths_of(const SketchCodes& w) { return {ceil_div(w.columns, kEight), w.columns}; }

std::string refuse_weight(const graft_weight& w, const graft_tensor& other) {
  const std::string refusal = refuse_sketch(w);
  return refusal.empty() ? refuse_f64(other) : refusal;
}

}  // namespace

void decode_sketch(core::Context& context, const Decode& d) {
  const std::int64_t rows = d.to.shape[0], columns = d.to.shape[1];
  if (rows == 0 || columns == 0) return;
  const SketchCodes w = sketch_codes(*d.w);
  const Eighths eighths = eighths_of(w);
  const std::int64_t first = eighths.with(d.column), count = eighths.with(d.column + columns - 1) + 1 - first;
  const bool packs = w.columns % kEight == 0 && d.column % kEight == 0 && columns % kEight == 0 && in_packs({&d.to});
  const Launch where = over(context, "sketch_decode", rows * count);
  visit(d.to.dtype, [&](auto type) {
    using T = decltype(type);
    const auto with = [&](auto kernel) {
      launch(where, kernel, w, eighths, first, count, d.row, d.column, rows, columns, graft::cuda::rows<T>(&d.to));
    };
    packs ? with(sketch_decode<T, true>) : with(sketch_decode<T, false>);
  });
}

std::string refuse(const ops::SketchDecode& a) { return refuse_weight(*a.w, *a.matrix); }

void run(core::Context& context, const ops::SketchDecode& a) { decode_sketch(context, {a.w, 0, 0, *a.matrix}); }

std::string refuse(const ops::SketchPack&) { return ""; }

void run(core::Context& context, const ops::SketchPack& a) {
  const core::SketchLayout layout(*a.w);
  const std::int64_t bytes = a.w->n * layout.groups * layout.blocks * layout.block_bytes();
  if (bytes == 0) return;
  find_outside(context, "graft_sketch_pack", "codes", *a.codes, layout.entries);
  const Packing packing{
      data<const std::uint8_t>(a.codes), a.codes->rank == 3, a.w->k, layout.columns, layout.blocks, layout.bits};
  launch(over(context, "sketch_pack", bytes), sketch_pack, packing, bytes, layout.codes);
}

std::string refuse(const ops::SketchUnpack& a) { return refuse_weight(*a.w, *a.codes); }

void run(core::Context& context, const ops::SketchUnpack& a) {
  const SketchCodes w = sketch_codes(*a.w);
  const Eighths eighths = eighths_of(w);
  const std::int64_t count = w.groups * eighths.of_group;
  if (w.n == 0 || count == 0) return;
  launch(over(context, "sketch_unpack", w.n * count), sketch_unpack, w, eighths, count, a.codes->rank == 3,
         data<std::uint8_t>(a.codes));
}

}  // namespace graft::cuda
