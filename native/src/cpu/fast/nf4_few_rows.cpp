// y = x Wᵀ of a few rows straight from NF4 codes: T·R sums in registers for R rows of W, which share each load of x. x
// lies in fp32, even and odd elements apart, as the nibbles give them. Bytes: 0.5 and a scale's 1/64 (double quantised)
// an element of W, once; FLOPs 2·T·N·K.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/fast/nf4_few_rows.cpp"
#include <hwy/foreach_target.h>
// why: foreach_target includes this file again for each instruction set; it must come before what follows.
#include <algorithm>
#include <type_traits>

#include "core/context.h"
#include "cpu/fast/coded_weight.h"
#include "cpu/fast/nf4-inl.h"
#include "cpu/fast/nf4.h"
#include "cpu/fast/skinny.h"
#include "cpu/fast/visit.h"

HWY_BEFORE_NAMESPACE();
namespace graft::cpu::fast::HWY_NAMESPACE {

// x [rows, K] becomes `apart`: of each 2·Lanes elements first the even ones, then the odd ones.
void even_and_odd(const float* x, std::int64_t count, float* apart) {
  const F d;
  const std::int64_t lanes = static_cast<std::int64_t>(hn::Lanes(d));
  for (std::int64_t i = 0; i < count; i += 2 * lanes) {
    const Pair pair = load_in_turn(x + i);
    hn::StoreU(pair.even, d, apart + i);
    hn::StoreU(pair.odd, d, apart + i + lanes);
  }
}

// sums[r·T + t] = W[n + r] · x[t]
template <int T, int R>
HWY_INLINE void dot_rows(const graft_weight& w, const core::Nf4Scales& scales, std::int64_t n, const float* x,
                         float* sums) {
  const F d;
  const std::int64_t lanes = static_cast<std::int64_t>(hn::Lanes(d)), k = w.k, blocks = k / core::kNf4Block;
  const auto* codes = static_cast<const std::uint8_t*>(w.storage.data) + n * k / 2;
  VF acc[R][T];
  for (int r = 0; r < R; ++r)
    for (int t = 0; t < T; ++t) acc[r][t] = hn::Zero(d);
  for (std::int64_t block = 0; block < blocks; ++block) {
    const std::int64_t first = block * core::kNf4Block;
    for (int r = 0; r < R; ++r) {
      const Levels<> levels(scales[(n + r) * blocks + block], false);
      const std::uint8_t* bytes = codes + (r * k + first) / 2;
      for (std::int64_t i = 0; i < core::kNf4Block / 2; i += lanes) {
        const Pair pair = levels.of(bytes + i);
        const float* from = x + first + 2 * i;
        for (int t = 0; t < T; ++t) {
          acc[r][t] = hn::MulAdd(pair.even, hn::LoadU(d, from + t * k), acc[r][t]);
          acc[r][t] = hn::MulAdd(pair.odd, hn::LoadU(d, from + t * k + lanes), acc[r][t]);
        }
      }
    }
  }
  for (int r = 0; r < R; ++r)
    for (int t = 0; t < T; ++t) sums[r * T + t] = sum(d, acc[r][t]);
}

// sums [rows, T] of W's rows n..
template <int T>
void dot_some(const graft_weight& w, const core::Nf4Scales& scales, std::int64_t n, std::int64_t rows, const float* x,
              float* sums) {
  constexpr int R = T <= 2 ? 4 : kLanes == 16 ? (T <= 4 ? 4 : 2) : T <= 4 ? 2 : 1;
  std::int64_t r = 0;
  for (; r + R <= rows; r += R) dot_rows<T, R>(w, scales, n + r, x, sums + r * T);
  for (; r < rows; ++r) dot_rows<T, 1>(w, scales, n + r, x, sums + r * T);
}

void dots(const graft_weight& w, const core::Nf4Scales& scales, std::int64_t n, std::int64_t rows, const float* x,
          std::int64_t t, float* sums) {
  static_assert(kFewRows == 8);
  switch (t) {
    case 1:
      return dot_some<1>(w, scales, n, rows, x, sums);
    case 2:
      return dot_some<2>(w, scales, n, rows, x, sums);
    case 3:
      return dot_some<3>(w, scales, n, rows, x, sums);
    case 4:
      return dot_some<4>(w, scales, n, rows, x, sums);
    case 5:
      return dot_some<5>(w, scales, n, rows, x, sums);
    case 6:
      return dot_some<6>(w, scales, n, rows, x, sums);
    case 7:
      return dot_some<7>(w, scales, n, rows, x, sums);
    case 8:
      return dot_some<8>(w, scales, n, rows, x, sums);
  }
}

}  // namespace graft::cpu::fast::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace graft::cpu::fast {
HWY_EXPORT(even_and_odd);
HWY_EXPORT(dots);

namespace {
constexpr std::int64_t kRows = 64;  // of W, one task
}

std::string refuse_few_rows_nf4(const graft_weight& w) {
  return w.k % core::kNf4Block == 0 ? "" : "rows of " + std::to_string(w.k) + " elements end within a block";
}

void few_rows_nf4(core::Context& context, const Matrix& x, const graft_weight& w, const Matrix& y, float beta,
                  const float* bias) {
  core::Scratch scratch(context.arena);
  const std::int64_t rows = x.rows, k = w.k;
  float* wide = scratch.take<float>(rows * k);
  float* apart = scratch.take<float>(rows * k);
  convert(x, 1, row_major(wide, GRAFT_DTYPE_F32, rows, k, k));
  HWY_DYNAMIC_DISPATCH(even_and_odd)(wide, rows * k, apart);
  const core::Nf4Scales scales(w);
  core::parallel_for(context, chunks_of(w.n, kRows), [&](std::int64_t chunk, int) {
    const std::int64_t first = chunk * kRows, count = std::min(kRows, w.n - first);
    float sums[kRows * kFewRows];
    HWY_DYNAMIC_DISPATCH(dots)(w, scales, first, count, apart, rows, sums);
    visit_small_float(y.dtype, [&](auto tag) {
      using T = decltype(tag);
      for (std::int64_t t = 0; t < rows; ++t) {
        T* to = static_cast<T*>(y.data) + t * y.row_stride + first;
        for (std::int64_t i = 0; i < count; ++i) {
          const float value = sums[i * rows + t] + (bias == nullptr ? 0.0f : bias[first + i]);
          to[i] = T(beta == 0 ? value : static_cast<float>(to[i]) + value);
        }
      }
    });
  });
}

}  // namespace graft::cpu::fast
#endif
