// sparse_select: the nnz entries with the largest key, the score's bits or their complement, in order of rows. The
// threshold, the largest key that so many entries reach, is found bit by bit: 32 counts of all entries by 256 threads a
// block, each behind a block that adds the counts up and keeps the bit or not. Then each thread has 64 neighbouring
// entries; what its block and those before it take gives the place of its first one. Of entries at the threshold the
// first ones are taken. Bytes: a and b 34 times.
#include <bit>

#include "cuda/device.h"
#include "cuda/kernels/reduce.h"
#include "cuda/kernels/tensor.h"
#include "cuda/kernels/thin.h"
#include "ops/sparse.h"

namespace graft::cuda {
namespace {

constexpr int kRun = 64;
constexpr std::int64_t kChunk = std::int64_t{kThreads} * kRun;

struct Keys {
  Thin a, b;
  bool product, largest;
  std::int64_t columns, count;

  GRAFT_DEVICE std::uint32_t of(std::int64_t i) const {
    const std::int64_t row = i / columns;
    const int column = static_cast<int>(i % columns);
    const float left = a.at(row, column), right = b.data == nullptr ? 0 : b.at(row, column);
    const float score = fabsf(product ? left * right : left - right);
    const std::uint32_t bits = score == score ? std::bit_cast<std::uint32_t>(score) : 0x7fc00000u;
    return largest ? bits : ~bits;
  }
};

/** Of the entries of some run, those above a threshold and those at it. */
struct Ranked {
  std::int64_t above, equal;
};

constexpr std::uint32_t kFirstBit = std::uint32_t{1} << 31;

/** counts[block] = entries of its chunk whose key is threshold | bit or more; no bit is kept before the first one. */
__global__ void __launch_bounds__(kThreads)
    select_count(Keys keys, const std::uint32_t* threshold, std::uint32_t bit, std::int64_t* counts) {
  const std::uint32_t least = bit == kFirstBit ? bit : *threshold | bit;
  const std::int64_t first = std::int64_t{blockIdx.x} * kChunk;
  std::int64_t count = 0;
  for (std::int64_t i = first + threadIdx.x; i < first + kChunk && i < keys.count; i += kThreads)
    count += keys.of(i) >= least;
  count = block_sum<kThreads>(count);
  if (threadIdx.x == 0) counts[blockIdx.x] = count;
}

/** One block: keeps the bit where at least `wanted` entries reach the threshold with it. */
__global__ void __launch_bounds__(kThreads)
    select_bit(const std::int64_t* counts, std::int64_t chunks, std::int64_t wanted, std::uint32_t bit,
               std::uint32_t* threshold) {
  std::int64_t count = 0;
  for (std::int64_t i = threadIdx.x; i < chunks; i += kThreads) count += counts[i];
  count = block_sum<kThreads>(count);
  if (threadIdx.x != 0) return;
  const std::uint32_t kept = count >= wanted ? bit : 0;
  *threshold = bit == kFirstBit ? kept : *threshold | kept;
}

GRAFT_DEVICE Ranked counts_of(const Keys& keys, std::uint32_t threshold, std::int64_t first) {
  Ranked counts{0, 0};
  for (std::int64_t i = first; i < first + kRun && i < keys.count; ++i) {
    const std::uint32_t key = keys.of(i);
    counts.above += key > threshold;
    counts.equal += key == threshold;
  }
  return counts;
}

/** of[block] = what its chunk has. */
__global__ void __launch_bounds__(kThreads) select_sizes(Keys keys, const std::uint32_t* threshold, Ranked* of) {
  Ranked own = counts_of(keys, *threshold, std::int64_t{blockIdx.x} * kChunk + std::int64_t{threadIdx.x} * kRun);
  own.above = block_sum<kThreads>(own.above);
  own.equal = block_sum<kThreads>(own.equal);
  if (threadIdx.x == 0) of[blockIdx.x] = own;
}

/** One thread: of[block] = what the chunks before it have; of[chunks] = all. */
__global__ void select_before(Ranked* of, std::int64_t chunks) {
  Ranked sum{0, 0};
  for (std::int64_t i = 0; i < chunks; ++i) {
    const Ranked own = of[i];
    of[i] = sum;
    sum.above += own.above, sum.equal += own.equal;
  }
  of[chunks] = sum;
}

template <class Id>
__global__ void __launch_bounds__(kThreads)
    select_write(Keys keys, const std::uint32_t* threshold, const Ranked* before, std::int64_t chunks,
                 std::int64_t wanted, Id* rows, Id* columns) {
  GRAFT_SHARED(Ranked, runs, kThreads);
  const std::int64_t first = std::int64_t{blockIdx.x} * kChunk + std::int64_t{threadIdx.x} * kRun;
  runs[threadIdx.x] = counts_of(keys, *threshold, first);
  if (!GRAFT_BUG(sparse_select_no_barrier)) __syncthreads();
  Ranked seen = before[blockIdx.x];
  for (unsigned thread = 0; thread < threadIdx.x; ++thread)
    seen.above += runs[thread].above, seen.equal += runs[thread].equal;
  const std::int64_t ties = wanted - before[chunks].above;
  for (std::int64_t i = first; i < first + kRun && i < keys.count; ++i) {
    const std::uint32_t key = keys.of(i);
    if (key > *threshold || (key == *threshold && (GRAFT_BUG(sparse_select_last_ties) || seen.equal < ties))) {
      const std::int64_t place = seen.above + (seen.equal < ties ? seen.equal : ties);
      rows[place] = static_cast<Id>(i / keys.columns);
      columns[place] = static_cast<Id>(i % keys.columns);
    }
    seen.above += key > *threshold;
    seen.equal += key == *threshold;
  }
}

}  // namespace

std::string refuse(const ops::SparseSelect& a) {
  const std::string refusal = refuse_f64(*a.a);
  return refusal.empty() && a.b != nullptr ? refuse_f64(*a.b) : refusal;
}

void run(core::Context& context, const ops::SparseSelect& a) {
  const std::int64_t wanted = a.indices->shape[1];
  if (wanted == 0) return;
  const Keys keys{thin(a.a, false), thin(a.b, false), a.score == GRAFT_SPARSE_PRODUCT,
                  a.largest,        a.a->shape[1],    a.a->shape[0] * a.a->shape[1]};
  const std::int64_t chunks = ceil_div<std::int64_t>(keys.count, kChunk);
  const auto blocks = static_cast<unsigned>(chunks);
  core::Scratch scratch(context.arena);
  auto* const threshold = scratch.take<std::uint32_t>(1);
  auto* const counts = scratch.take<std::int64_t>(chunks);
  auto* const sizes = scratch.take<Ranked>(chunks + 1);
  for (std::uint32_t bit = kFirstBit; bit > 0; bit >>= 1) {
    launch({"select_count", blocks, kThreads, 0, stream(context)}, select_count, keys, threshold, bit, counts);
    launch({"select_bit", 1, kThreads, 0, stream(context)}, select_bit, counts, chunks, wanted, bit, threshold);
  }
  launch({"select_sizes", blocks, kThreads, 0, stream(context)}, select_sizes, keys, threshold, sizes);
  launch({"select_before", 1, 1, 0, stream(context)}, select_before, sizes, chunks);
  const auto write = [&](auto id) {
    using Id = decltype(id);
    Id* const rows = data<Id>(a.indices);
    launch({"select_write", blocks, kThreads, 0, stream(context)}, select_write<Id>, keys, threshold, sizes, chunks,
           wanted, rows, rows + a.indices->stride[0]);
  };
  a.indices->dtype == GRAFT_DTYPE_I64 ? write(std::int64_t{}) : write(std::int32_t{});
}

}  // namespace graft::cuda
