// nf4 by vectors. Quantising reads each element twice while its block is in the first cache, even and odd elements into
// vectors of their own, so that two codes make a byte; a search of four steps makes a code. Decoding a block of 64
// scales the 16 levels once; then 16 elements cost a widening load, a shift and two permutations. Bytes: 0.5 an element
// read, the matrix written.
#include "ops/nf4.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/fast/nf4.cpp"
#include <hwy/foreach_target.h>
// why: foreach_target includes this file again for each instruction set; it must come before what follows.
#include <hwy/cache_control.h>

#include <algorithm>

#include "core/context.h"
#include "cpu/fast/nf4-inl.h"
#include "cpu/fast/nf4.h"
#include "cpu/fast/skinny.h"
#include "cpu/fast/visit.h"

HWY_BEFORE_NAMESPACE();
namespace graft::cpu::fast::HWY_NAMESPACE {

constexpr std::int64_t kBlock = core::kNf4Block;

// out [64] = the block whose codes are bytes [32].
template <class T>
HWY_INLINE void decode_block(const std::uint8_t* bytes, float scale, T* out) {
  const F d;
  const Levels<> levels(scale, std::is_same_v<T, core::bf16>);
  const std::int64_t lanes = static_cast<std::int64_t>(hn::Lanes(d));
  for (std::int64_t i = 0; i < kBlock / 2; i += lanes) {
    const Pair pair = levels.of(bytes + i);
    if constexpr (std::is_same_v<T, core::bf16> && kTableInVectors) {
      // An even element is the lower half of a lane, the odd one behind it the upper half.
      const U32 du;
      const auto even = hn::ShiftRight<16>(hn::BitCast(du, pair.even));
      hn::StoreU(hn::Or(even, hn::BitCast(du, pair.odd)), du, reinterpret_cast<std::uint32_t*>(out + 2 * i));
    } else if constexpr (std::is_same_v<T, float>) {
      store_in_turn(pair, out + 2 * i);
    } else {
      float both[2 * kLanes];
      store_in_turn(pair, both);
      store(d, hn::LoadU(d, both), out + 2 * i);
      store(d, hn::LoadU(d, both + lanes), out + 2 * i + lanes);
    }
  }
}

template <class T>
void decode_row(const graft_weight& w, const core::Nf4Scales& scales, std::int64_t first, std::int64_t count, T* out) {
  const auto* codes = static_cast<const std::uint8_t*>(w.storage.data);
  const std::int64_t bytes = w.storage.shape[0], last = first + count;
  for (std::int64_t i = first; i < last;) {
    const std::int64_t block = i / kBlock, begin = block * kBlock, end = std::min(last, begin + kBlock);
    const std::uint8_t* from = codes + begin / 2;
    if (end - i == kBlock) {
      decode_block(from, scales[block], out + (i - first));
    } else {
      std::uint8_t held[kBlock / 2] = {};
      T whole[kBlock];
      std::copy_n(from, std::min(kBlock / 2, bytes - begin / 2), held);
      decode_block(held, scales[block], whole);
      std::copy_n(whole + (i - begin), end - i, out + (i - first));
    }
    i = end;
  }
}

// why: a panel of some columns touches few lines of each row, too far apart for the processor to fetch ahead.
void fetch_row(const graft_weight& w, std::int64_t first, std::int64_t count) {
  const auto* codes = static_cast<const char*>(w.storage.data);
  const auto* scales = static_cast<const char*>(w.absmax.data);
  for (std::int64_t i = first / 2; i < (first + count) / 2; i += 64) hwy::Prefetch(codes + i);
  hwy::Prefetch(scales + first / kBlock * graft_dtype_bytes(w.absmax.dtype));
}

void decode_panel(const graft_weight& w, std::int64_t n, std::int64_t k, const Matrix& panel) {
  const core::Nf4Scales scales(w);
  constexpr std::int64_t ahead = 24;
  const bool strided = panel.columns < w.k;
  visit_small_float(panel.dtype, [&](auto tag) {
    using T = decltype(tag);
    for (std::int64_t i = 0; i < panel.rows; ++i) {
      if (strided && i + ahead < panel.rows) fetch_row(w, (n + i + ahead) * w.k + k, panel.columns);
      decode_row(w, scales, (n + i) * w.k + k, panel.columns, static_cast<T*>(panel.data) + i * panel.row_stride);
    }
  });
}

// 2·Lanes elements.
template <class T>
HWY_INLINE Pair load_pair(const T* in) {
  const F d;
  if constexpr (std::is_same_v<T, float>) {
    return load_in_turn(in);
  } else if constexpr (std::is_same_v<T, core::bf16>) {
    const U32 du;
    const auto both = hn::LoadU(du, reinterpret_cast<const std::uint32_t*>(in));
    return {hn::BitCast(d, hn::ShiftLeft<16>(both)), hn::BitCast(d, hn::And(both, hn::Set(du, 0xffff0000u)))};
  } else {
    float values[2 * kLanes];
    hn::StoreU(load(d, in), d, values);
    hn::StoreU(load(d, in + hn::Lanes(d)), d, values + hn::Lanes(d));
    return load_in_turn(values);
  }
}

// How many bounds lie below each value, which is its code. A NaN has the code 0.
class Bounds {
 public:
  HWY_INLINE Bounds() {
    const F d;
    float halves[kLanes] = {}, quarters[kLanes] = {};
    for (std::size_t i = 0; kTableInVectors && i < 8; ++i) halves[i] = core::kNf4Bounds[2 * i];
    for (std::size_t i = 0; kTableInVectors && i < 4; ++i) quarters[i] = core::kNf4Bounds[4 * i + 1];
    halves_ = hn::LoadU(d, halves);
    quarters_ = hn::LoadU(d, quarters);
  }

  HWY_INLINE hn::Vec<U32> codes(VF value) const {
    const F d;
    const U32 du;
    auto code = hn::Zero(du);
    const auto append = [&](auto code_so_far, VF bound) HWY_ATTR {
      const auto above = hn::BitCast(du, hn::VecFromMask(d, hn::Gt(value, bound)));
      return hn::Sub(hn::Add(code_so_far, code_so_far), above);
    };
    if constexpr (kTableInVectors) {
      const VF middle = hn::Set(d, core::kNf4Bounds[7]);
      const auto upper = hn::Gt(value, middle);
      code = append(code, middle);
      code = append(code, hn::IfThenElse(upper, hn::Set(d, core::kNf4Bounds[11]), hn::Set(d, core::kNf4Bounds[3])));
      code = append(code, hn::TableLookupLanes(quarters_, hn::IndicesFromVec(d, code)));
      return append(code, hn::TableLookupLanes(halves_, hn::IndicesFromVec(d, code)));
    } else {
      for (const float bound : core::kNf4Bounds)
        code = hn::Sub(code, hn::BitCast(du, hn::VecFromMask(d, hn::Gt(value, hn::Set(d, bound)))));
      return code;
    }
  }

 private:
  VF halves_, quarters_;  // what the last step and the one before it compare with
};

// bytes [32] and the scale of in [64].
template <class T>
HWY_INLINE void encode_block(const Bounds& bounds, const T* in, std::uint8_t* bytes, float* scale) {
  const F d;
  const hn::RebindToSigned<F> di;
  const hn::Rebind<std::uint8_t, F> d8;
  constexpr std::int64_t half = kBlock / 2;
  const std::int64_t lanes = static_cast<std::int64_t>(hn::Lanes(d));
  VF largest = hn::Zero(d);
  const auto widen = [&](VF value) HWY_ATTR {
    const VF size = hn::Abs(value);
    largest = hn::IfThenElse(hn::Gt(size, largest), size, largest);
  };
  for (std::int64_t i = 0; i < half; i += lanes) {
    const Pair pair = load_pair(in + 2 * i);
    widen(pair.even);
    widen(pair.odd);
  }
  *scale = hn::GetLane(hn::MaxOfLanes(d, largest));
  if (!(*scale > 0)) {
    std::fill_n(bytes, half, std::uint8_t{core::kNf4Zero << 4 | core::kNf4Zero});
    return;
  }
  const VF inverse = hn::Set(d, 1 / *scale);
  for (std::int64_t i = 0; i < half; i += lanes) {
    const Pair pair = load_pair(in + 2 * i);
    const auto even = bounds.codes(hn::Mul(pair.even, inverse)), odd = bounds.codes(hn::Mul(pair.odd, inverse));
    hn::StoreU(hn::DemoteTo(d8, hn::BitCast(di, hn::Or(hn::ShiftLeft<4>(even), odd))), d8, bytes + i);
  }
}

// Blocks first.. of a matrix in row-major order.
template <class T>
void encode(const Matrix& m, std::int64_t first, std::int64_t last, std::uint8_t* bytes, float* scales) {
  const Bounds bounds;
  const T* const data = static_cast<const T*>(m.data);
  const std::int64_t elements = m.rows * m.columns;
  for (std::int64_t block = first; block < last; ++block) {
    const std::int64_t begin = block * kBlock, count = std::min(kBlock, elements - begin);
    std::int64_t row = begin / m.columns, column = begin % m.columns;
    const T* const in = data + row * m.row_stride + column * m.column_stride;
    std::uint8_t* const out = bytes + begin / 2;
    if (count == kBlock && m.column_stride == 1 && column + kBlock <= m.columns) {
      encode_block(bounds, in, out, scales + block);
      continue;
    }
    T values[kBlock] = {};
    for (std::int64_t i = 0; i < count; ++i) {
      values[i] = data[row * m.row_stride + column * m.column_stride];
      if (++column == m.columns) ++row, column = 0;
    }
    std::uint8_t held[kBlock / 2];
    encode_block(bounds, values, held, scales + block);
    // why: what a missing neighbour counts as does not follow from the scale where that is tiny.
    if (count % 2 != 0) held[count / 2] = static_cast<std::uint8_t>((held[count / 2] & 0xf0) | core::kNf4Zero);
    std::copy_n(held, (count + 1) / 2, out);
  }
}

void encode_blocks(const Matrix& m, std::int64_t first, std::int64_t last, std::uint8_t* bytes, float* scales) {
  visit_small_float(m.dtype, [&](auto tag) { encode<decltype(tag)>(m, first, last, bytes, scales); });
}

}  // namespace graft::cpu::fast::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace graft::cpu::fast {
HWY_EXPORT(decode_panel);
HWY_EXPORT(encode_blocks);

namespace {

constexpr std::int64_t kBlocksPerChunk = 1024;
constexpr std::int64_t kNestedPerChunk = 16;

}  // namespace

void decode_nf4(const graft_weight& w, std::int64_t n, std::int64_t k, const Matrix& panel) {
  HWY_DYNAMIC_DISPATCH(decode_panel)(w, n, k, panel);
}

std::string refuse(const ops::Nf4Quantize& a) { return refuse_f64(*a.matrix); }

void run(core::Context& context, const ops::Nf4Quantize& a) {
  const Matrix matrix = matrix_of(*a.matrix);
  const std::int64_t blocks = core::ceil_div(matrix.rows * matrix.columns, core::kNf4Block);
  const bool nested = a.w->absmax.dtype == GRAFT_DTYPE_U8;
  core::Scratch scratch(context.arena);
  float* scales = nested ? scratch.take<float>(blocks) : static_cast<float*>(a.w->absmax.data);
  auto* bytes = static_cast<std::uint8_t*>(a.w->storage.data);
  core::parallel_for(context, chunks_of(blocks, kBlocksPerChunk), [&](std::int64_t chunk, int) {
    const std::int64_t first = chunk * kBlocksPerChunk, last = std::min(blocks, first + kBlocksPerChunk);
    HWY_DYNAMIC_DISPATCH(encode_blocks)(matrix, first, last, bytes, scales);
  });
  if (!nested) return;
  core::nest_mean(scales, blocks, *a.w);
  const std::int64_t outer = core::ceil_div(blocks, core::kNestedBlock);
  core::parallel_for(context, chunks_of(outer, kNestedPerChunk), [&](std::int64_t chunk, int) {
    const std::int64_t first = chunk * kNestedPerChunk, last = std::min(outer, first + kNestedPerChunk);
    for (std::int64_t block = first; block < last; ++block) core::nest_block(scales, blocks, block, *a.w);
  });
}

std::string refuse(const ops::Nf4Dequantize& a) { return refuse_f64(*a.matrix); }

void run(core::Context& context, const ops::Nf4Dequantize& a) {
  const Matrix matrix = matrix_of(*a.matrix);
  core::parallel_for(context, chunks_of(matrix.rows), [&](std::int64_t chunk, int) {
    const std::int64_t first = chunk * kRowsPerChunk, rows = std::min(kRowsPerChunk, matrix.rows - first);
    decode_nf4(*a.w, first, 0, matrix.part(first, 0, rows, matrix.columns));
  });
}

}  // namespace graft::cpu::fast
#endif
