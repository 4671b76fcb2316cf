// Decoding a sketch by vectors: the table of a row's group is rounded once to the type wanted; then 16 elements cost
// half a widening load, a shift, a permutation and a narrowing store. Bytes: the codes and tables read, the matrix
// written.
#include "cpu/fast/sketch.h"
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/fast/sketch.cpp"
#include <hwy/foreach_target.h>
// why: foreach_target includes this file again for each instruction set; it must come before what follows.
#include <hwy/cache_control.h>

#include <algorithm>
#include <bit>
#include <type_traits>

#include "core/context.h"
#include "cpu/fast/sketch-inl.h"
#include "cpu/fast/visit.h"
#include "ops/sketch.h"

HWY_BEFORE_NAMESPACE();
namespace graft::cpu::fast::HWY_NAMESPACE {

// out [64] = a block.
template <int bits, class T>
HWY_INLINE void decode_block(const SketchTable<bits>& table, const std::uint8_t* bytes, T* out) {
  const U32 du;
  VU codes[kVectors];
  block_codes<bits>(bytes, codes);
  for (std::size_t q = 0; q < kVectors; ++q) {
    const VU pattern = table.at(codes[q]);
    if constexpr (std::is_same_v<T, float>) {
      hn::StoreU(pattern, du, reinterpret_cast<std::uint32_t*>(out + q * kLanes));
    } else {
      const hn::Rebind<std::uint16_t, U32> d16;
      const hn::RebindToSigned<U32> di;
      hn::StoreU(hn::DemoteTo(d16, hn::BitCast(di, pattern)), d16, &out[q * kLanes].bits);
    }
  }
}

HWY_INLINE std::uint32_t pattern_of(float value) { return std::bit_cast<std::uint32_t>(value); }
HWY_INLINE std::uint32_t pattern_of(core::f16 value) { return value.bits; }

// out [count] = columns first.. of row n's group; entries [16].
template <int bits, class T>
void decode_run(const core::SketchLayout& layout, std::int64_t n, std::int64_t group, const float* entries,
                std::int64_t first, std::int64_t count, T* out) {
  std::uint32_t patterns[core::kSketchEntries];
  if constexpr (std::is_same_v<T, core::bf16>) {
    for (std::size_t i = 0; i < core::kSketchEntries; i += kLanes)
      hn::StoreU(bf16_bits(hn::LoadU(F(), entries + i)), U32(), patterns + i);
  } else {
    for (int i = 0; i < core::kSketchEntries; ++i) patterns[i] = pattern_of(T(entries[i]));
  }
  const SketchTable<bits> table(patterns);
  for (std::int64_t j = first; j < first + count;) {
    const std::int64_t within = j % core::kSketchBlock, run = std::min(core::kSketchBlock - within, first + count - j);
    const std::uint8_t* block = layout.block(n, group, j / core::kSketchBlock);
    if (run == core::kSketchBlock) {
      decode_block<bits>(table, block, out + (j - first));
    } else {
      T whole[core::kSketchBlock];
      decode_block<bits>(table, block, whole);
      std::copy_n(whole + within, run, out + (j - first));
    }
    j += run;
  }
}

// why: a panel of some columns touches few lines of each row, too far apart for the processor to fetch ahead.
void fetch_run(const graft_weight& w, const core::SketchLayout& layout, std::int64_t n, std::int64_t group,
               std::int64_t first, std::int64_t count) {
  const std::uint8_t* codes = layout.block(n, group, first / core::kSketchBlock);
  for (std::int64_t i = 0; i < count * layout.bits / 8; i += 64) hwy::Prefetch(codes + i);
  const std::int64_t table = (n * layout.groups + group) * layout.entries;
  hwy::Prefetch(static_cast<const char*>(w.table.data) + table * graft_dtype_bytes(w.table.dtype));
}

template <class T>
void decode_rows(const graft_weight& w, std::int64_t n, std::int64_t k, const Matrix& panel) {
  const core::SketchLayout layout(w);
  constexpr std::int64_t ahead = 24;  // rows
  const bool strided = panel.columns < w.k;
  const auto run = layout.bits == 4 ? decode_run<4, T> : layout.bits == 3 ? decode_run<3, T> : decode_run<2, T>;
  for (std::int64_t i = 0; i < panel.rows; ++i)
    for (std::int64_t j = 0; j < panel.columns;) {
      const std::int64_t group = (k + j) / layout.columns, first = (k + j) % layout.columns;
      const std::int64_t count = std::min(layout.columns - first, panel.columns - j);
      if (strided && i + ahead < panel.rows) fetch_run(w, layout, n + i + ahead, group, first, count);
      float held[core::kSketchEntries];
      run(layout, n + i, group, table_of(w, n + i, group, held), first, count,
          static_cast<T*>(panel.data) + i * panel.row_stride + j);
      j += count;
    }
}

void sketch_panel(const graft_weight& w, std::int64_t n, std::int64_t k, const Matrix& panel) {
  switch (panel.dtype) {
    case GRAFT_DTYPE_BF16:
      return decode_rows<core::bf16>(w, n, k, panel);
    case GRAFT_DTYPE_F16:
      return decode_rows<core::f16>(w, n, k, panel);
    default:
      return decode_rows<float>(w, n, k, panel);
  }
}

}  // namespace graft::cpu::fast::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace graft::cpu::fast {
HWY_EXPORT(sketch_panel);

const float* table_of(const graft_weight& w, std::int64_t row, std::int64_t group, float* held) {
  const std::int64_t entries = w.table.shape[2], first = (row * w.table.shape[1] + group) * entries;
  if (w.table.dtype == GRAFT_DTYPE_F32 && entries == core::kSketchEntries)
    return static_cast<const float*>(w.table.data) + first;
  std::fill_n(held, core::kSketchEntries, 0.0f);
  core::visit_float(w.table.dtype, [&](auto tag) {
    const auto* from = static_cast<const decltype(tag)*>(w.table.data) + first;
    for (std::int64_t i = 0; i < entries; ++i) held[i] = static_cast<float>(from[i]);
  });
  return held;
}

void decode_sketch(const graft_weight& w, std::int64_t n, std::int64_t k, const Matrix& panel) {
  HWY_DYNAMIC_DISPATCH(sketch_panel)(w, n, k, panel);
}

std::string refuse(const ops::SketchDecode& a) { return refuse_f64(*a.matrix); }

void run(core::Context& context, const ops::SketchDecode& a) {
  const Matrix matrix = matrix_of(*a.matrix);
  core::parallel_for(context, chunks_of(matrix.rows), [&](std::int64_t chunk, int) {
    const std::int64_t first = chunk * kRowsPerChunk, rows = std::min(kRowsPerChunk, matrix.rows - first);
    decode_sketch(*a.w, first, 0, matrix.part(first, 0, rows, matrix.columns));
  });
}

}  // namespace graft::cpu::fast
#endif
