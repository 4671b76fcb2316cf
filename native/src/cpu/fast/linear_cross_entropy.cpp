// linear_cross_entropy over blocks of counted rows: gather the rows of h, logits z = h Wᵀ in fp32 scratch by gemm, then
// row by row the statistics and, in place, dz in the tensors' type; then dh = dz W and dw += dzᵀ h by gemm. Rows that
// do not count cost nothing but the zeros of their dh. The block's logits serve the next block. Bytes: W once or twice
// per block, blocks·V·K·4·2 for dw. FLOPs: 2·T·K·V for each of logits, dh, dw; T·V exponentials.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/fast/linear_cross_entropy.cpp"
#include <hwy/foreach_target.h>
// why: foreach_target includes this file again for each instruction set; it must come before what follows.
#include <cmath>
#include <cstring>
#include <limits>

#include "core/context.h"
#include "core/tensor_check.h"
#include "cpu/fast/tanh-inl.h"
#include "cpu/fast/tile_product-inl.h"
#include "cpu/fast/visit.h"
#include "cpu/gemm/gemm.h"
#include "ops/linear_cross_entropy.h"

HWY_BEFORE_NAMESPACE();
namespace graft::cpu::fast::HWY_NAMESPACE {

// The last block is padded with zero rows to a multiple of this, so that gemm meets few shapes.
constexpr std::int64_t kRowGrain = 32;

/** Rows of a block: at most 256, fewer where the vocabulary is large, so that the logits take about 32 MiB. */
inline std::int64_t block_rows(std::int64_t vocabulary) {
  const std::int64_t fitting = (std::int64_t{8} << 20) / std::max<std::int64_t>(1, vocabulary);
  return std::clamp<std::int64_t>(fitting / kRowGrain * kRowGrain, kRowGrain, 256);
}

/** z becomes cap · t, t = tanh(z / cap). */
HWY_NOINLINE void cap_row(float* z, std::int64_t vocabulary, float cap, float* t) {
  const F d;
  for_lanes(d, vocabulary, [&](std::int64_t j, std::int64_t n) {
    const VF inner = tanh_of(d, hn::Mul(at(d, z + j, n), hn::Set(d, 1 / cap)));
    put(d, inner, t + j, n);
    put(d, hn::Mul(inner, hn::Set(d, cap)), z + j, n);
  });
}

/** The row's loss; z becomes exp(z − max), and *sum their sum. */
HWY_INLINE double row_loss(float* z, std::int64_t vocabulary, std::int64_t label, float* sum_of_row) {
  const F d;
  VF largest = hn::Set(d, -std::numeric_limits<float>::infinity());
  const std::int64_t lanes = static_cast<std::int64_t>(hn::Lanes(d));
  std::int64_t j = 0;
  for (; j + lanes <= vocabulary; j += lanes) largest = hn::Max(largest, hn::LoadU(d, z + j));
  float m = hn::GetLane(hn::MaxOfLanes(d, largest));
  for (; j < vocabulary; ++j) m = std::max(m, z[j]);
  const double at_label = z[label];
  const VF factor = hn::Set(d, kLog2E), shift = hn::Set(d, m);
  VF total = hn::Zero(d);
  for (j = 0; j + lanes <= vocabulary; j += lanes) {
    const VF e = exp2_of(hn::Mul(hn::Sub(hn::LoadU(d, z + j), shift), factor));
    total = hn::Add(total, e);
    hn::StoreU(e, d, z + j);
  }
  float rest = 0;
  for (; j < vocabulary; ++j) rest += z[j] = std::exp(z[j] - m);
  *sum_of_row = sum(d, total) + rest;
  return static_cast<double>(m) + std::log(static_cast<double>(*sum_of_row)) - at_label;
}

/** dz = (e · factor/sum) − factor at the label, over the row's own memory; times 1 − t² where t is not NULL. */
template <class T>
HWY_INLINE void row_gradient(float* e, std::int64_t vocabulary, std::int64_t label, float sum_of_row, float factor,
                             const float* t) {
  const F d;
  const VF scale = hn::Set(d, factor / sum_of_row);
  const float at_label = e[label] / sum_of_row;
  // why: a result is never wider than what it replaces, so the writes stay behind the reads.
  T* dz = reinterpret_cast<T*>(e);
  for_lanes(d, vocabulary, [&](std::int64_t j, std::int64_t n) {
    VF gradient = hn::Mul(at(d, e + j, n), scale);
    if (t != nullptr) gradient = hn::Mul(gradient, hn::NegMulAdd(at(d, t + j, n), at(d, t + j, n), hn::Set(d, 1.0f)));
    put(d, gradient, dz + j, n);
  });
  dz[label] = T((at_label - 1.0f) * factor * (t == nullptr ? 1.0f : 1.0f - t[label] * t[label]));
}

template <class T>
void cross_entropy_as(core::Context& context, const ops::LinearCrossEntropyForward& a) {
  const std::int64_t rows = a.h->shape[0], columns = a.h->shape[1], vocabulary = a.w->n;
  const std::int64_t counted = a.counted_rows();
  const double n = a.normalizer != 0 ? a.normalizer : static_cast<double>(counted);
  const float factor = static_cast<float>(a.gradient_scale / n);
  const std::int64_t block = std::min(block_rows(vocabulary), round_up(std::max<std::int64_t>(counted, 1), kRowGrain));
  const bool gradient = a.dh != nullptr || a.dw != nullptr;
  const std::size_t row_bytes = static_cast<std::size_t>(columns) * sizeof(T);
  core::Scratch scratch(context.arena);
  T* h = scratch.take<T>(block * columns);
  T* dh = a.dh == nullptr ? nullptr : scratch.take<T>(block * columns);
  float* z = scratch.take<float>(block * vocabulary);
  std::int64_t* source = scratch.take<std::int64_t>(block);
  double* losses = scratch.take<double>(block);
  const float cap = static_cast<float>(a.softcap);
  float* caps = cap > 0 ? scratch.take<float>(context.pool.threads() * vocabulary) : nullptr;
  const graft_tensor weight = core::dense_matrix(*a.w);
  const Matrix w = matrix_of(weight);
  double loss = 0;
  for (std::int64_t next = 0; next < rows;) {
    std::int64_t used = 0;
    for (; next < rows && used < block; ++next) {
      if (a.counts(next)) {
        source[used++] = next;
      } else if (a.dh != nullptr) {
        std::memset(row<T>(*a.dh, next), 0, row_bytes);
      }
    }
    if (used == 0) break;
    const std::int64_t padded = round_up(used, kRowGrain);
    for (std::int64_t r = 0; r < used; ++r) std::memcpy(h + r * columns, row<const T>(*a.h, source[r]), row_bytes);
    std::memset(h + used * columns, 0, static_cast<std::size_t>(padded - used) * row_bytes);
    const Matrix h_block = row_major(h, a.h->dtype, padded, columns, columns);
    gemm(context, h_block, w.transposed(), row_major(z, GRAFT_DTYPE_F32, padded, vocabulary, vocabulary), 0);
    core::parallel_for(context, padded, [&](std::int64_t r, int worker) {
      float* z_row = z + r * vocabulary;
      if (r >= used) {
        std::memset(z_row, 0, static_cast<std::size_t>(vocabulary) * sizeof(float));
        return;
      }
      const std::int64_t label = a.label(source[r]);
      float* t = caps == nullptr ? nullptr : caps + worker * vocabulary;
      if (t != nullptr) cap_row(z_row, vocabulary, cap, t);
      float sum_of_row;
      losses[r] = row_loss(z_row, vocabulary, label, &sum_of_row);
      if (gradient) row_gradient<T>(z_row, vocabulary, label, sum_of_row, factor, t);
    });
    for (std::int64_t r = 0; r < used; ++r) loss += losses[r];
    const Matrix dz =
        row_major(z, a.h->dtype, padded, vocabulary, vocabulary * static_cast<std::int64_t>(sizeof(float) / sizeof(T)));
    if (a.dh != nullptr) {
      gemm(context, dz, w, row_major(dh, a.h->dtype, padded, columns, columns), 0);
      for (std::int64_t r = 0; r < used; ++r) std::memcpy(row<T>(*a.dh, source[r]), dh + r * columns, row_bytes);
    }
    if (a.dw != nullptr) gemm(context, dz.transposed(), h_block, matrix_of(*a.dw), 1);
  }
  *static_cast<float*>(a.loss->data) = counted == 0 ? 0.0f : static_cast<float>(loss / n);
  if (a.count != nullptr) *static_cast<std::int64_t*>(a.count->data) = counted;
}

void cross_entropy(core::Context& context, const ops::LinearCrossEntropyForward& a) {
  visit_small_float(a.h->dtype, [&](auto tag) { cross_entropy_as<decltype(tag)>(context, a); });
}

}  // namespace graft::cpu::fast::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace graft::cpu::fast {
HWY_EXPORT(cross_entropy);

std::string refuse(const ops::LinearCrossEntropyForward& a) {
  std::string text = refuse_f64(*a.h);
  if (text.empty()) text = gemm_refuse(a.h->dtype, GRAFT_DTYPE_F32);
  if (text.empty() && a.dh != nullptr) text = gemm_refuse(a.h->dtype, a.h->dtype);
  return text;
}
void run(core::Context& context, const ops::LinearCrossEntropyForward& a) {
  HWY_DYNAMIC_DISPATCH(cross_entropy)(context, a);
}
}  // namespace graft::cpu::fast
#endif
