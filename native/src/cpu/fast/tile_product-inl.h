// Products of tiles (tile_product.h) in vector registers: four rows and four vectors (two without AVX-512) of C at a
// time.
#if defined(GRAFT_CPU_FAST_TILE_PRODUCT_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef GRAFT_CPU_FAST_TILE_PRODUCT_INL_H
#undef GRAFT_CPU_FAST_TILE_PRODUCT_INL_H
#else
#define GRAFT_CPU_FAST_TILE_PRODUCT_INL_H
#endif

#include <algorithm>
#include <type_traits>

#include "cpu/fast/amx.h"
#include "cpu/fast/simd-inl.h"
#include "cpu/fast/tile_product.h"

// why: Highway 1.0 has no instruction set with bf16 dot products, so the pair kernels add it to AVX-512 themselves.
#undef GRAFT_PAIRS
#undef GRAFT_PAIR_ATTR
#if defined(__x86_64__) && HWY_TARGET == HWY_AVX3 && !defined(__clang__)
#include <immintrin.h>
#define GRAFT_PAIRS 1
#define GRAFT_PAIR_ATTR __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")))
#else
#define GRAFT_PAIRS 0
#endif

HWY_BEFORE_NAMESPACE();
namespace graft::cpu::fast::HWY_NAMESPACE {

inline constexpr int kTileRows = 4;
inline constexpr int kTileVectors = HWY_TARGET <= HWY_AVX3 ? 4 : 2;

// The same loop for both kinds of word; a macro, since a function for one instruction set is not inlined into another.
#define GRAFT_TILE_LOOP(MULTIPLY_ADD)                                                                                 \
  const F d;                                                                                                          \
  constexpr std::int64_t kL = static_cast<std::int64_t>(hn::MaxLanes(F()));                                           \
  VF sum[R][V];                                                                                                       \
  _Pragma("GCC unroll 8") for (int m = 0; m < R; ++m) _Pragma("GCC unroll 8") for (int n = 0; n < V; ++n) sum[m][n] = \
      p.accumulate ? hn::LoadU(d, p.c + m * p.ldc + j + n * kL) : hn::Zero(d);                                        \
  for (std::int64_t w = span.first; w < span.last; ++w) {                                                             \
    VF right[V];                                                                                                      \
    _Pragma("GCC unroll 8") for (int n = 0; n < V; ++n) right[n] =                                                    \
        hn::LoadU(d, reinterpret_cast<const float*>(p.b + w * p.ldb + j + n * kL));                                   \
    _Pragma("GCC unroll 8") for (int m = 0; m < R; ++m) {                                                             \
      float word;                                                                                                     \
      std::memcpy(&word, p.a + m * p.am + w * p.ak, sizeof(word));                                                    \
      const VF left = hn::Set(d, word);                                                                               \
      _Pragma("GCC unroll 8") for (int n = 0; n < V; ++n) sum[m][n] = MULTIPLY_ADD(left, right[n], sum[m][n]);        \
    }                                                                                                                 \
  }                                                                                                                   \
  _Pragma("GCC unroll 8") for (int m = 0; m < R; ++m) _Pragma("GCC unroll 8") for (int n = 0; n < V; ++n)             \
      hn::StoreU(sum[m][n], d, p.c + m * p.ldc + j + n * kL);

template <int R, int V>
HWY_INLINE void tile(const Operands<float>& p, const Span& span, std::int64_t j) {
  GRAFT_TILE_LOOP(hn::MulAdd)
}

template <int R>
HWY_NOINLINE void rows_of_tile(const Operands<float>& p, const Span& span) {
  constexpr std::int64_t kL = static_cast<std::int64_t>(hn::MaxLanes(F()));
  std::int64_t j = 0;
  for (; j + kTileVectors * kL <= round_up(span.columns, kL); j += kTileVectors * kL) tile<R, kTileVectors>(p, span, j);
  for (; j < span.columns; j += kL) tile<R, 1>(p, span, j);
}

#if GRAFT_PAIRS
GRAFT_PAIR_ATTR HWY_INLINE VF dot_add(VF left, VF right, VF sum) {
  return VF{_mm512_dpbf16_ps(sum.raw, reinterpret_cast<__m512bh>(left.raw), reinterpret_cast<__m512bh>(right.raw))};
}

template <int R, int V>
GRAFT_PAIR_ATTR HWY_INLINE void tile(const Operands<Pair>& p, const Span& span, std::int64_t j) {
  GRAFT_TILE_LOOP(dot_add)
}

template <int R>
GRAFT_PAIR_ATTR HWY_NOINLINE void rows_of_tile(const Operands<Pair>& p, const Span& span) {
  constexpr std::int64_t kL = static_cast<std::int64_t>(hn::MaxLanes(F()));
  std::int64_t j = 0;
  for (; j + kTileVectors * kL <= round_up(span.columns, kL); j += kTileVectors * kL) tile<R, kTileVectors>(p, span, j);
  for (; j < span.columns; j += kL) tile<R, 1>(p, span, j);
}
#endif
#undef GRAFT_TILE_LOOP

/** The product over all rows; span_of(m, m') tells what rows [m, m') need. With pairs inside a scope of WholeTiles. */
template <class Word, class SpanOf>
HWY_INLINE void product(std::int64_t rows, const Operands<Word>& p, SpanOf&& span_of) {
  std::int64_t m = 0;
  if constexpr (std::is_same_v<Word, Pair>) {
    for (; has_bf16_tiles() && m < rows; m += kRowsInTiles) {
      const std::int64_t next = std::min(rows, m + kRowsInTiles);
      product_in_tiles(next - m, p.from(m), span_of(m, next));
    }
  }
  for (; m + kTileRows <= rows; m += kTileRows) rows_of_tile<kTileRows>(p.from(m), span_of(m, m + kTileRows));
  for (; m < rows; ++m) rows_of_tile<1>(p.from(m), span_of(m, m + 1));
}

}  // namespace graft::cpu::fast::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
