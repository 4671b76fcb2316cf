// linear_cross_entropy: with logits z = h Wᵀ of a chunk of rows at a time, never all of them,
//   loss = Σ (lse(z) − z[label]) / n;   dz = (softmax(z) − [label]) · gradient_scale / n;   dh = dz W,  dW += dzᵀ h.
// With a cap c, z = c·tanh(h Wᵀ / c), and dz gets 1 − (z/c)² as a factor.
//
// A chunk's z is made by the library, in fp32; then a block has one row: thread i takes elements i, i + 256, … with a
// running maximum, the block adds the sums in double, and in a second pass over z, from the cache where a row fits,
// writes dz in h's type for the library's two products. A row's loss goes into scratch; one block adds them in a fixed
// order. n is counted on the device, and never comes back to the host. A chunk has 64 to 1024 rows, of up to
// 64 Mi logits. FLOPs: 2·T·V·K, with gradients 6·T·V·K. Bytes beside the products': 12·T·V, with gradients (12 +
// size)·T·V.
#include <algorithm>

#include "core/tensor_check.h"
#include "cuda/device.h"
#include "cuda/kernels/fault.h"
#include "cuda/kernels/linear.h"
#include "cuda/kernels/reduce.h"
#include "cuda/kernels/tensor.h"
#include "ops/linear_cross_entropy.h"

namespace graft::cuda {
namespace {

constexpr std::int64_t kChunkLogits = std::int64_t{64} << 20, kFewestRows = 64, kMostRows = 1024;

/** Labels that do not count, or that are no label, are −1. */
template <class Id>
struct Labels {
  const Id* data;
  std::int64_t ignored, limit;
  GRAFT_DEVICE std::int64_t operator[](std::int64_t t) const {
    const std::int64_t label = data[t];
    return label == ignored || label < 0 || label >= limit ? -1 : label;
  }
};

/** count = rows that count. One block. */
template <class Id>
__global__ void __launch_bounds__(kThreads) count_labels(Labels<Id> labels, std::int64_t rows, double* count) {
  double sum = 0;
  for (std::int64_t t = threadIdx.x; t < rows; t += kThreads) sum += labels[t] >= 0 ? 1 : 0;
  sum = block_sum<kThreads>(sum);
  if (threadIdx.x == 0) *count = sum;
}

/** Makes a logit of a product. */
struct Cap {
  float softcap;  // 0: none
  GRAFT_DEVICE float operator()(float product) const {
    return softcap == 0 ? product : softcap * tanhf(product / softcap);
  }
  GRAFT_DEVICE float slope(float z) const { return softcap == 0 ? 1.0f : 1 - z / softcap * (z / softcap); }
};

/** The loss of each row of a chunk, and its dz unless NULL; z becomes capped. */
template <class T, class Id>
__global__ void __launch_bounds__(kThreads)
    cross_entropy_rows(float* logits, std::int64_t vocabulary, Labels<Id> labels, std::int64_t first, Cap cap,
                       double normalizer, const double* count, double gradient_scale, double* losses, T* dz) {
  GRAFT_SHARED(float, largest_of, kThreads / 32);
  float* const z = logits + blockIdx.x * vocabulary;
  const std::int64_t label = labels[first + blockIdx.x];
  T* const to = dz == nullptr ? nullptr : dz + blockIdx.x * vocabulary;
  if (label < 0) {
    for (std::int64_t v = threadIdx.x; to != nullptr && v < vocabulary; v += kThreads) to[v] = from_float<T>(0);
    if (threadIdx.x == 0) losses[first + blockIdx.x] = 0;
    return;
  }
  float largest = -INFINITY, sum = 0;
  for (std::int64_t v = threadIdx.x; v < vocabulary; v += kThreads) {
    const float logit = cap(z[v]), next = fmaxf(largest, logit), base = next == -INFINITY ? 0.0f : next;
    if (cap.softcap != 0) z[v] = logit;
    sum = sum * expf(largest - base) + expf(logit - base);
    largest = next;
  }
  float all = largest;
  for (int bits = 16; bits > 0; bits /= 2) all = fmaxf(all, __shfl_xor_sync(kWholeWarp, all, bits));
  if (threadIdx.x % 32 == 0) largest_of[threadIdx.x / 32] = all;
  if (!GRAFT_BUG(cross_entropy_no_barrier)) __syncthreads();
  for (const float other : largest_of) all = fmaxf(all, other);
  const double total = block_sum<kThreads>(static_cast<double>(sum) * static_cast<double>(expf(largest - all)));
  const double lse = static_cast<double>(all) + log(total);
  if (threadIdx.x == 0) losses[first + blockIdx.x] = lse - static_cast<double>(z[label]);
  if (to == nullptr) return;
  const auto factor = static_cast<float>(gradient_scale / (normalizer != 0 ? normalizer : *count));
  const auto inverse = static_cast<float>(1 / total);
  for (std::int64_t v = threadIdx.x; v < vocabulary; v += kThreads)
    to[v] = from_float<T>((expf(z[v] - all) * inverse - (v == label ? 1.0f : 0.0f)) * factor * cap.slope(z[v]));
}

/** One block: loss = Σ losses / n. */
__global__ void __launch_bounds__(kThreads) add_losses(const double* losses, std::int64_t rows, double normalizer,
                                                       const double* count, float* loss, std::int64_t* counted) {
  double sum = 0;
  for (std::int64_t t = threadIdx.x; t < rows; t += kThreads) sum += losses[t];
  sum = block_sum<kThreads>(sum);
  if (threadIdx.x != 0) return;
  *loss = *count == 0 ? 0.0f : static_cast<float>(sum / (normalizer != 0 ? normalizer : *count));
  if (counted != nullptr) *counted = static_cast<std::int64_t>(*count);
}

graft_tensor scratch_rows(core::Scratch& scratch, graft_dtype dtype, std::int64_t rows, std::int64_t columns) {
  void* memory = scratch.take<char>(rows * columns * graft_dtype_bytes(dtype));
  return {memory, dtype, GRAFT_DEVICE_CUDA, 2, 0, {rows, columns}, {columns, 1}};
}

template <class T, class Id>
void forward(core::Context& context, const ops::LinearCrossEntropyForward& a) {
  const std::int64_t rows = a.h->shape[0], k = a.w->k, vocabulary = a.w->n;
  const Labels<Id> labels{data<const Id>(a.labels), a.ignore_index, vocabulary};
  const bool gradients = a.dh != nullptr || a.dw != nullptr;
  const std::int64_t fitting = kChunkLogits / std::max<std::int64_t>(vocabulary, 1) / kFewestRows * kFewestRows;
  const std::int64_t chunk = std::min(rows, std::clamp(fitting, kFewestRows, kMostRows));
  core::Scratch scratch(context.arena);
  auto* count = scratch.take<double>(1);
  auto* losses = scratch.take<double>(rows);
  const graft_tensor z = scratch_rows(scratch, GRAFT_DTYPE_F32, chunk, vocabulary);
  const graft_tensor dz = scratch_rows(scratch, a.h->dtype, gradients ? chunk : 0, vocabulary);
  launch({"count_labels", 1, kThreads, 0, stream(context)}, count_labels<Id>, labels, rows, count);
  for (std::int64_t first = 0; first < rows; first += chunk) {
    const std::int64_t size = std::min(chunk, rows - first);
    const graft_tensor h = part(*a.h, first, 0, size, k);
    graft_tensor logits = part(z, 0, 0, size, vocabulary);
    run(context, ops::LinearForward{&h, a.w, nullptr, false, &logits});
    launch({"cross_entropy_rows", static_cast<unsigned>(size), kThreads, 0, stream(context)}, cross_entropy_rows<T, Id>,
           data<float>(&logits), vocabulary, labels, first, Cap{static_cast<float>(a.softcap)}, a.normalizer, count,
           a.gradient_scale, losses, gradients ? data<T>(&dz) : nullptr);
    if (!gradients) continue;
    const graft_tensor gradient = part(dz, 0, 0, size, vocabulary);
    graft_tensor dh = a.dh == nullptr ? graft_tensor{} : part(*a.dh, first, 0, size, k);
    run(context, ops::LinearBackward{&gradient, &h, a.w, false, a.dh == nullptr ? nullptr : &dh, a.dw, nullptr});
  }
  launch({"add_losses", 1, kThreads, 0, stream(context)}, add_losses, losses, rows, a.normalizer, count,
         data<float>(a.loss), data<std::int64_t>(a.count));
}

}  // namespace

std::string refuse(const ops::LinearCrossEntropyForward& a) { return refuse_f64(*a.h); }

void run(core::Context& context, const ops::LinearCrossEntropyForward& a) {
  find_outside(context, "graft_linear_cross_entropy_forward", "labels", *a.labels, a.w->n, a.ignore_index);
  visit(a.h->dtype, [&](auto type) {
    using T = decltype(type);
    a.labels->dtype == GRAFT_DTYPE_I64 ? forward<T, std::int64_t>(context, a) : forward<T, std::int32_t>(context, a);
  });
}

}  // namespace graft::cuda
