// Four columns of B by one or two rows of A in registers. Bytes: B once; A, and B again for each two rows more, come
// from the first caches.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/gemm/gemv.cpp"
#include <hwy/foreach_target.h>
// why: foreach_target includes this file again for each instruction set; it must come before what follows.
#include <hwy/cache_control.h>

#include "cpu/fast/simd-inl.h"
#include "cpu/fast/visit.h"
#include "cpu/gemm/gemv.h"

HWY_BEFORE_NAMESPACE();
namespace graft::cpu::HWY_NAMESPACE {
using namespace fast::HWY_NAMESPACE;

// acc [T, R] += n elements of rows of A · of columns of B, from i on; n is below a vector's only where `rest`. why a
// function: compilers leave a lambda of this size out of line, and then its sums are in memory.
template <bool rest, int T, int R, class E>
HWY_INLINE void add(const E* a, std::int64_t a_pitch, const E* b, std::int64_t pitch, std::int64_t i, std::int64_t n,
                    VF (&acc)[T][R]) {
  const F d;
  const auto from = [&](const E* p) { return rest ? load_n(d, p + i, static_cast<std::size_t>(n)) : load(d, p + i); };
  VF row[T];
  for (int t = 0; t < T; ++t) row[t] = from(a + t * a_pitch);
  for (int j = 0; j < R; ++j) {
    const VF column = from(b + j * pitch);
    for (int t = 0; t < T; ++t) acc[t][j] = hn::MulAdd(row[t], column, acc[t][j]);
  }
}

// sums [T, R] = a [T, k] · R columns of B, `pitch` apart; fetches the columns that lie behind them.
template <int T, int R, class E>
HWY_INLINE void dots(const E* a, std::int64_t a_pitch, const E* b, std::int64_t pitch, std::int64_t next,
                     std::int64_t k, float* sums) {
  const F d;
  const std::int64_t lanes = static_cast<std::int64_t>(hn::Lanes(d));
  VF acc[T][R];
  for (int i = 0; i < T * R; ++i) acc[i / R][i % R] = hn::Zero(d);
  std::int64_t i = 0;
  for (; i + 2 * lanes <= k; i += 2 * lanes) {
    for (int j = 0; j < R; ++j) hwy::Prefetch(b + j * pitch + next + i);
    add<false>(a, a_pitch, b, pitch, i, lanes, acc);
    add<false>(a, a_pitch, b, pitch, i + lanes, lanes, acc);
  }
  for (; i + lanes <= k; i += lanes) add<false>(a, a_pitch, b, pitch, i, lanes, acc);
  if (i < k) add<true>(a, a_pitch, b, pitch, i, k - i, acc);
  for (int t = 0; t < T * R; ++t) sums[t] = sum(d, acc[t / R][t % R]);
}

template <int R, class E>
HWY_INLINE void columns(const Matrix& a, const E* b, std::int64_t pitch, std::int64_t next, float* sums) {
  const E* rows = static_cast<const E*>(a.data);
  std::int64_t t = 0;
  for (; t + 2 <= a.rows; t += 2)
    dots<2, R>(rows + t * a.row_stride, a.row_stride, b, pitch, next, a.columns, sums + t * R);
  if (t < a.rows) dots<1, R>(rows + t * a.row_stride, a.row_stride, b, pitch, next, a.columns, sums + t * R);
}

void product(const Matrix& a, const Matrix& b, const Matrix& c, float beta, const float* bias) {
  fast::visit_small_float(b.dtype, [&](auto element) {
    fast::visit_small_float(c.dtype, [&](auto result) {
      using E = decltype(element);
      using C = decltype(result);
      const auto some = [&](auto count, std::int64_t n, std::int64_t apart) {
        constexpr int R = decltype(count)::value;
        const std::int64_t pitch = b.column_stride;
        float sums[kGemvRows * R];
        columns<R>(a, static_cast<const E*>(b.data) + n * pitch, apart * pitch, pitch, sums);
        for (std::int64_t t = 0; t < a.rows; ++t)
          for (int j = 0; j < R; ++j) {
            const std::int64_t column = n + j * apart;
            C& to = static_cast<C*>(c.data)[t * c.row_stride + column];
            const float value = sums[t * R + j] + (bias == nullptr ? 0.0f : bias[column]);
            to = C(beta == 0 ? value : static_cast<float>(to) + value);
          }
      };
      // why a quarter apart: so each of four streams runs on through memory, and the processor reads ahead of it.
      const std::int64_t quarter = b.columns / 4;
      for (std::int64_t n = 0; n < quarter; ++n) some(std::integral_constant<int, 4>{}, n, quarter);
      for (std::int64_t n = 4 * quarter; n < b.columns; ++n) some(std::integral_constant<int, 1>{}, n, 1);
    });
  });
}

}  // namespace graft::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace graft::cpu {
HWY_EXPORT(product);

bool gemv_serves(const Matrix& a, const Matrix& b) {
  return a.rows <= kGemvRows && a.column_stride == 1 && b.row_stride == 1;
}

void gemv(const Matrix& a, const Matrix& b, const Matrix& c, float beta, const float* bias) {
  HWY_DYNAMIC_DISPATCH(product)(a, b, c, beta, bias);
}

}  // namespace graft::cpu
#endif
