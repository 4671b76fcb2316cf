// nf4: to[i, j] = level[code] · absmax of the block, in fp32, then rounded. A thread has eight elements of a row, which
// are four bytes of codes and lie in one block, where rows are multiples of eight; else one. Bytes, for each element:
// 0.5 and its size, and 4 (double quantised 1) for each 64.
#include "cuda/kernels/coded_weight.h"
#include "cuda/kernels/nf4_codes.h"
#include "cuda/kernels/piece.h"
#include "ops/nf4.h"

namespace graft::cuda {
namespace {

template <class T, int Width>
__global__ void __launch_bounds__(kThreads)
    nf4_decode(Nf4Codes w, std::int64_t row, std::int64_t column, std::int64_t rows, std::int64_t columns, Rows<T> to) {
  GRAFT_SHARED(float, levels, kNf4LevelCount);
  GRAFT_SHARED(float, map, kNf4MapSize);
  w.stage(levels, map);
  if (!GRAFT_BUG(nf4_no_barrier)) __syncthreads();
  const std::int64_t pieces = columns / Width, at = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  const std::int64_t i = at / pieces, j = at % pieces * Width;
  if (i >= rows) return;
  const std::int64_t first = (row + i) * w.k + column + j;
  const float scale = w.scale(first, map);
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
      for (int e = 0; e < size; ++e) pack.at[e] = from_float<T>(levels[nf4_code(word, part + e)] * scale);
      store_pack(target + part, pack);
    }
  }
}

}  // namespace

void decode_nf4(core::Context& context, const Decode& d) {
  const std::int64_t rows = d.to.shape[0], columns = d.to.shape[1];
  if (rows == 0 || columns == 0) return;
  constexpr std::int64_t eight = 8;
  const bool wide = d.w->k % eight == 0 && d.column % eight == 0 && columns % eight == 0 && in_packs({&d.to}) &&
                    reinterpret_cast<std::uintptr_t>(d.w->storage.data) % 4 == 0;
  const auto blocks = blocks_for(rows * columns / (wide ? eight : 1));
  const Launch where{"nf4_decode", blocks, kThreads, 0, stream(context)};
  visit(d.to.dtype, [&](auto type) {
    using T = decltype(type);
    const auto with = [&](auto kernel) {
      launch(where, kernel, nf4_codes(*d.w), d.row, d.column, rows, columns, graft::cuda::rows<T>(&d.to));
    };
    wide ? with(nf4_decode<T, eight>) : with(nf4_decode<T, 1>);
  });
}

std::string refuse(const ops::Nf4Dequantize& a) { return refuse_f64(*a.matrix); }

void run(core::Context& context, const ops::Nf4Dequantize& a) { decode_nf4(context, {a.w, 0, 0, *a.matrix}); }

}  // namespace graft::cuda
