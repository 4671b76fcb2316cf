// nf4: an element is level[code] · absmax of its block of 64, in fp32, then rounded; double quantised, absmax is
// map[code of the block] · nested_absmax of 256 blocks + nested_offset. A thread has eight elements of a row, which are
// four bytes of codes and lie in one block, where rows are multiples of eight; else one. Levels and map come as the
// kernel's argument, and lie in shared memory. Bytes, for each element: 0.5 and its size, and 4 (1) for each 64.
#include "core/dynamic_map.h"
#include "core/nf4.h"
#include "cuda/kernels/nf4.h"
#include "cuda/kernels/piece.h"
#include "cuda/kernels/tensor.h"
#include "ops/nf4.h"

namespace graft::cuda {
namespace {

constexpr int kThreads = 256, kLevels = 16, kMapSize = 256;

struct Codes {
  const std::uint8_t *codes, *scale_codes;  // scale_codes NULL: absmax as it is
  const float *absmax, *offset;
  std::int64_t k;
  float levels[kLevels], map[kMapSize];
};

template <class T, int Width>
__global__ void __launch_bounds__(kThreads)
    nf4_decode(Codes w, std::int64_t row, std::int64_t column, std::int64_t rows, std::int64_t columns, Rows<T> to) {
  GRAFT_SHARED(float, levels, kLevels);
  GRAFT_SHARED(float, map, kMapSize);
  const int thread = static_cast<int>(threadIdx.x);
  if (thread < kLevels) levels[thread] = w.levels[thread];
  map[thread] = w.map[thread];
  if (!GRAFT_BUG(nf4_no_barrier)) __syncthreads();
  const std::int64_t pieces = columns / Width, at = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  const std::int64_t i = at / pieces, j = at % pieces * Width;
  if (i >= rows) return;
  const std::int64_t first = (row + i) * w.k + column + j, block = first / core::kNf4Block;
  const float scale = w.scale_codes == nullptr
                          ? w.absmax[block]
                          : map[w.scale_codes[block]] * w.absmax[block / core::kNestedBlock] + *w.offset;
  T* const target = to[i] + j;
  if constexpr (Width == 1) {
    const int pair = w.codes[first / 2];
    *target = from_float<T>(levels[first % 2 == 0 ? pair >> 4 : pair & 15] * scale);
  } else {
    constexpr int size = Pack<T>::kSize;
    const std::uint32_t word = *reinterpret_cast<const std::uint32_t*>(w.codes + first / 2);
    GRAFT_UNROLL
    for (int part = 0; part < Width; part += size) {
      Pack<T> pack;
      GRAFT_UNROLL
      for (int e = 0; e < size; ++e) {
        const int byte = (part + e) / 2, shift = 8 * byte + ((part + e) % 2 == 0 ? 4 : 0);
        pack.at[e] = from_float<T>(levels[word >> shift & 15] * scale);
      }
      store_pack(target + part, pack);
    }
  }
}

Codes codes_of(const graft_weight& w) {
  const bool nested = w.absmax.dtype != GRAFT_DTYPE_F32;
  Codes codes{data<const std::uint8_t>(&w.storage),
              nested ? data<const std::uint8_t>(&w.absmax) : nullptr,
              data<const float>(nested ? &w.nested_absmax : &w.absmax),
              nested ? data<const float>(&w.nested_offset) : nullptr,
              w.k,
              {},
              {}};
  for (std::size_t i = 0; i < kLevels; ++i) codes.levels[i] = core::kNf4Levels[i];
  for (std::size_t i = 0; i < kMapSize; ++i) codes.map[i] = core::signed_dynamic_map().values[i];
  return codes;
}

}  // namespace

void run(core::Context& context, const Nf4Decode& d) {
  const std::int64_t rows = d.to.shape[0], columns = d.to.shape[1];
  if (rows == 0 || columns == 0) return;
  constexpr std::int64_t eight = 8;
  const bool wide = d.w->k % eight == 0 && d.column % eight == 0 && columns % eight == 0 && in_packs({&d.to}) &&
                    reinterpret_cast<std::uintptr_t>(d.w->storage.data) % 4 == 0;
  const auto blocks = static_cast<unsigned>(ceil_div<std::int64_t>(rows * columns / (wide ? eight : 1), kThreads));
  const Launch where{"nf4_decode", blocks, kThreads, 0, stream(context)};
  visit(d.to.dtype, [&](auto type) {
    using T = decltype(type);
    const auto with = [&](auto kernel) {
      launch(where, kernel, codes_of(*d.w), d.row, d.column, rows, columns, graft::cuda::rows<T>(&d.to));
    };
    wide ? with(nf4_decode<T, eight>) : with(nf4_decode<T, 1>);
  });
}

std::string refuse(const ops::Nf4Dequantize& a) { return refuse_f64(*a.matrix); }

void run(core::Context& context, const ops::Nf4Dequantize& a) { run(context, Nf4Decode{a.w, 0, 0, *a.matrix}); }

}  // namespace graft::cuda
