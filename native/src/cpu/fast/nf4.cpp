// nf4 by vectors. Quantising reads each element twice while its block is in the first cache; 15 comparisons make a
// code. Decoding a block of 64 scales the 16 levels once; then 16 elements cost a widening load, a shift and two
// permutations. Bytes: 0.5 an element read, the matrix written.
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

// codes [64] of values [64], which are scaled to [-1, 1].
HWY_INLINE void codes_of(const float* values, float inverse, std::uint8_t* codes) {
  const F d;
  const hn::RebindToSigned<F> di;
  const hn::Rebind<std::uint8_t, F> d8;
  const std::int64_t lanes = static_cast<std::int64_t>(hn::Lanes(d));
  for (std::int64_t i = 0; i < kBlock; i += lanes) {
    const VF value = hn::Mul(hn::LoadU(d, values + i), hn::Set(d, inverse));
    auto code = hn::Zero(di);
    for (const float bound : core::kNf4Bounds)
      code = hn::Sub(code, hn::BitCast(di, hn::VecFromMask(d, hn::Gt(value, hn::Set(d, bound)))));
    hn::StoreU(hn::DemoteTo(d8, code), d8, codes + i);
  }
}

HWY_INLINE float largest_of(const float* values) {
  const F d;
  const std::int64_t lanes = static_cast<std::int64_t>(hn::Lanes(d));
  VF largest = hn::Zero(d);
  for (std::int64_t i = 0; i < kBlock; i += lanes) {
    const VF size = hn::Abs(hn::LoadU(d, values + i));
    largest = hn::IfThenElse(hn::Gt(size, largest), size, largest);
  }
  return hn::GetLane(hn::MaxOfLanes(d, largest));
}

void encode_block(const float* values, std::int64_t count, std::uint8_t* bytes, float* scale) {
  const float largest = largest_of(values);
  *scale = largest;
  std::uint8_t codes[kBlock];
  if (largest > 0) {
    codes_of(values, 1 / largest, codes);
  } else {
    std::fill_n(codes, kBlock, std::uint8_t{core::kNf4Zero});
  }
  if (count % 2 != 0) codes[count] = core::kNf4Zero;
  for (std::int64_t i = 0; i < (count + 1) / 2; ++i)
    bytes[i] = static_cast<std::uint8_t>(codes[2 * i] << 4 | codes[2 * i + 1]);
}

}  // namespace graft::cpu::fast::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace graft::cpu::fast {
HWY_EXPORT(decode_panel);
HWY_EXPORT(encode_block);

namespace {

constexpr std::int64_t kBlock = core::kNf4Block;
constexpr std::int64_t kBlocksPerChunk = 1024;

// Elements first.. of a matrix in row-major order, in fp32; zeros behind them.
void gather_block(const Matrix& m, std::int64_t first, std::int64_t count, float* values) {
  std::fill_n(values + count, kBlock - count, 0.0f);
  for (std::int64_t i = 0; i < count;) {
    const std::int64_t row = (first + i) / m.columns, column = (first + i) % m.columns;
    const std::int64_t run = std::min(count - i, m.columns - column);
    convert(m.part(row, column, 1, run), 1, row_major(values + i, GRAFT_DTYPE_F32, 1, run, run));
    i += run;
  }
}

}  // namespace

void decode_nf4(const graft_weight& w, std::int64_t n, std::int64_t k, const Matrix& panel) {
  HWY_DYNAMIC_DISPATCH(decode_panel)(w, n, k, panel);
}

std::string refuse(const ops::Nf4Quantize& a) { return refuse_f64(*a.matrix); }

void run(core::Context& context, const ops::Nf4Quantize& a) {
  const Matrix matrix = matrix_of(*a.matrix);
  const std::int64_t count = matrix.rows * matrix.columns, blocks = core::ceil_div(count, kBlock);
  const bool nested = a.w->absmax.dtype == GRAFT_DTYPE_U8;
  core::Scratch scratch(context.arena);
  float* scales = nested ? scratch.take<float>(blocks) : static_cast<float*>(a.w->absmax.data);
  auto* bytes = static_cast<std::uint8_t*>(a.w->storage.data);
  core::parallel_for(context, chunks_of(blocks, kBlocksPerChunk), [&](std::int64_t chunk, int) {
    const std::int64_t last = std::min(blocks, (chunk + 1) * kBlocksPerChunk);
    for (std::int64_t block = chunk * kBlocksPerChunk; block < last; ++block) {
      const std::int64_t first = block * kBlock, size = std::min(kBlock, count - first);
      float values[kBlock];
      gather_block(matrix, first, size, values);
      HWY_DYNAMIC_DISPATCH(encode_block)(values, size, bytes + first / 2, scales + block);
    }
  });
  if (nested) core::nest_scales(scales, blocks, *a.w);
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
