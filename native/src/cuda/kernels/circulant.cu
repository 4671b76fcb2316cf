// circulant: in the basis F of cosines and sines a circulant block is a complex number for each frequency, so that with
// x as [T·n, B] and y as [T·M, B]
//   X = x F      Y[m] = Σ_n C[m, n] X[n], frequency by frequency      y (+)= Y Gᵀ,  C = scale · w F
// where F has 1, cos 1, sin 1, cos 2, … as its columns and G times 1/B or 2/B. Back: dY = dy G, dX[n] = Σ_m C̄[m, n]
// dY[m], dx (+)= dX Fᵀ, dC[m, n] = Σ_t dY[m] X̄[n], dw += scale · dC Fᵀ.
//
// The products are the library's; X, dY and C are fp32, Y and dX of x's type. A thread has a frequency of one result,
// so that lanes read along rows. FLOPs: 2·T·B·(K + N) for the transforms, 4·T·K·N/B between them; backward three times
// that. Bytes: (4 + 2)·T·(K + N) for bf16, of which X is read M times from the L2.
#include "core/tensor_check.h"
#include "cuda/gemm/gemm.h"
#include "cuda/kernels/column_sums.h"
#include "cuda/kernels/convert.h"
#include "cuda/kernels/linear.h"
#include "cuda/kernels/pieces.h"
#include "cuda/kernels/row_groups.h"
#include "cuda/kernels/tensor.h"
#include "ops/circulant.h"

namespace graft::cuda {
namespace {

/** F [B, B], or G. A component c is the cosine of frequency (c + 1) / 2, or for even c > 0 its sine. */
template <class T>
__global__ void __launch_bounds__(kThreads) circulant_basis(std::int64_t size, bool weighed, T* to) {
  const std::int64_t at = std::int64_t{blockIdx.x} * kThreads + threadIdx.x, j = at / size, c = at % size;
  if (j >= size) return;
  const std::int64_t frequency = (c + 1) / 2;
  double sine, cosine;
  sin_cos_pi(2.0 * static_cast<double>(frequency * j % size) / static_cast<double>(size), &sine, &cosine);
  const double weight = !weighed ? 1.0 : (c == 0 || 2 * frequency == size ? 1.0 : 2.0) / static_cast<double>(size);
  to[at] = from_float<T>(static_cast<float>(weight * (c > 0 && c % 2 == 0 ? sine : cosine)));
}

/** A complex number c - i s: cosine and sine of a frequency. */
struct Wave {
  float c, s;
};

/** Frequency f of B numbers in the order of F; frequencies without a sine have 0. */
template <class T>
GRAFT_DEVICE Wave wave_at(const T* p, std::int64_t f, std::int64_t size) {
  if (f == 0) return {to_float(p[0]), 0};
  return {to_float(p[2 * f - 1]), 2 * f < size ? to_float(p[2 * f]) : 0.0f};
}

template <class T>
GRAFT_DEVICE void put_wave(T* p, std::int64_t f, std::int64_t size, const Wave& wave) {
  p[f == 0 ? 0 : 2 * f - 1] = from_float<T>(wave.c);
  if (f > 0 && 2 * f < size) p[2 * f] = from_float<T>(wave.s);
}

/** to += a · b̄, or a · b. */
GRAFT_DEVICE void add_product(Wave& to, const Wave& a, const Wave& b, bool conjugate) {
  const float s = conjugate && !GRAFT_BUG(circulant_conjugate) ? -b.s : b.s;
  to.c += a.c * b.c - a.s * s;
  to.s += a.s * b.c + a.c * s;
}

/** to [T, outputs, B] = Σ over inputs of from [T, inputs, B] times the numbers of a block, conjugated or not. */
template <class T>
__global__ void __launch_bounds__(kThreads)
    circulant_mix(const float* from, const float* numbers, std::int64_t rows, std::int64_t outputs, std::int64_t inputs,
                  std::int64_t out_step, std::int64_t in_step, std::int64_t size, bool conjugate, T* to) {
  const std::int64_t frequencies = size / 2 + 1, at = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  const std::int64_t f = at % frequencies, o = at / frequencies % outputs, t = at / frequencies / outputs;
  if (t >= rows) return;
  Wave sum{0, 0};
  for (std::int64_t i = 0; i < inputs; ++i)
    add_product(sum, wave_at(from + (t * inputs + i) * size, f, size),
                wave_at(numbers + (o * out_step + i * in_step) * size, f, size), conjugate);
  put_wave(to + (t * outputs + o) * size, f, size, sum);
}

/** parts[group, (m, n), B] = Σ over the group's rows of X[n] times conjugated dY[m]: y = C̄ x, so that dC = dȲ X. */
__global__ void __launch_bounds__(kThreads)
    circulant_gradient(const float* x, const float* dy, std::int64_t m_count, std::int64_t n_count, std::int64_t size,
                       RowGroups groups, float* parts) {
  const std::int64_t frequencies = size / 2 + 1, at = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  const std::int64_t f = at % frequencies, n = at / frequencies % n_count, m = at / frequencies / n_count;
  if (m >= m_count) return;
  const std::int64_t first = blockIdx.y * groups.size;
  const std::int64_t end = first + groups.size < groups.rows ? first + groups.size : groups.rows;
  Wave sum{0, 0};
  for (std::int64_t t = first; t < end; ++t)
    add_product(sum, wave_at(x + (t * n_count + n) * size, f, size), wave_at(dy + (t * m_count + m) * size, f, size),
                true);
  put_wave(parts + ((blockIdx.y * m_count + (GRAFT_BUG(circulant_block) ? 0 : m)) * n_count + n) * size, f, size, sum);
}

/** merged = weight + D. */
template <class T>
__global__ void __launch_bounds__(kThreads) circulant_merge(Rows<const T> weight, const float* w, std::int64_t n_count,
                                                            std::int64_t size, float scale, Rows<T> merged) {
  const std::int64_t row = blockIdx.x, m = row / size, i = row % size;
  for (std::int64_t column = threadIdx.x; column < n_count * size; column += kThreads) {
    const std::int64_t place = (column % size - (GRAFT_BUG(circulant_merge_row) ? 0 : i) + size) % size;
    merged[row][column] =
        from_float<T>(to_float(weight[row][column]) + scale * w[(m * n_count + column / size) * size + place]);
  }
}

/** One call's bases and numbers. */
class Frequencies {
 public:
  Frequencies(core::Context& context, core::Scratch& scratch, const graft_tensor& w, double scale, graft_dtype dtype)
      : context_(context),
        scratch_(scratch),
        m_(w.shape[0]),
        n_(w.shape[1]),
        size_(w.shape[2]),
        scale_(scale),
        dtype_(dtype),
        f_(basis(dtype, false)),
        g_(basis(dtype, true)),
        exact_(dtype == GRAFT_DTYPE_F32 ? f_ : basis(GRAFT_DTYPE_F32, false)),
        numbers_(scratch_matrix(scratch, GRAFT_DTYPE_F32, m_ * n_, size_)) {
    multiply(factor(as_floats(context, scratch, flat(w))), factor(exact_), numbers_, scale, 0);
  }

  /** In frequencies, in fp32: x F, or dy G. */
  graft_tensor of_x(const graft_tensor& x) const { return transform(x, n_, f_); }
  graft_tensor of_dy(const graft_tensor& dy) const { return transform(dy, m_, g_); }
  void y(const graft_tensor& x, bool accumulate, const graft_tensor& y) const {
    back(mixed(x, m_, n_, n_, 1, true), m_, g_, accumulate, y);
  }
  void dx(const graft_tensor& dy, bool accumulate, const graft_tensor& dx) const {
    back(mixed(dy, n_, m_, 1, n_, false), n_, f_, accumulate, dx);
  }
  void dw(const graft_tensor& x, const graft_tensor& dy, const graft_tensor& dw) const {
    const RowGroups groups(x.shape[0]);
    const std::int64_t blocks = m_ * n_;
    auto* const parts = scratch_.take<float>(groups.count * blocks * size_);
    const graft_tensor sums = scratch_matrix(scratch_, GRAFT_DTYPE_F32, blocks, size_);
    const dim3 grid(blocks_for(blocks * (size_ / 2 + 1)), static_cast<unsigned>(groups.count));
    launch({"circulant_gradient", grid, kThreads, 0, stream(context_)}, circulant_gradient, data<const float>(&x),
           data<const float>(&dy), m_, n_, size_, groups, parts);
    run(context_, Convert{nullptr, sums.dtype, 0, 0, 0, sums.data, sums.dtype, blocks, size_, size_});
    add_parts(context_, parts, groups.count, blocks * size_, data<float>(&sums));
    multiply(factor(sums), factor(exact_).t(), flat(dw), scale_, 1);
  }

 private:
  graft_tensor basis(graft_dtype dtype, bool weighed) const {
    const graft_tensor to = scratch_matrix(scratch_, dtype, size_, size_);
    visit(dtype, [&](auto type) {
      using T = decltype(type);
      launch(over(context_, "circulant_basis", size_ * size_), circulant_basis<T>, size_, weighed, data<T>(&to));
    });
    return to;
  }
  /** In fp32. */
  void multiply(const Factor& left, const Factor& right, const graft_tensor& to, double alpha, bool accumulate) const {
    run(context_, Gemm{left, right, GRAFT_DTYPE_F32, to.data, to.stride[0], GRAFT_DTYPE_F32, static_cast<float>(alpha),
                       accumulate ? 1.0f : 0.0f});
  }
  graft_tensor transform(const graft_tensor& x, std::int64_t count, const graft_tensor& basis) const {
    const graft_tensor to = scratch_matrix(scratch_, GRAFT_DTYPE_F32, x.shape[0], count * size_);
    for_pieces(x, to, count, [&](const graft_tensor& from, const graft_tensor& piece) {
      run(context_, Gemm{factor(from), factor(basis), dtype_, piece.data, piece.stride[0], piece.dtype});
    });
    return to;
  }
  graft_tensor mixed(const graft_tensor& from, std::int64_t outputs, std::int64_t inputs, std::int64_t out_step,
                     std::int64_t in_step, bool conjugate) const {
    const std::int64_t rows = from.shape[0];
    const graft_tensor to = scratch_matrix(scratch_, dtype_, rows, outputs * size_);
    visit(dtype_, [&](auto type) {
      using T = decltype(type);
      launch(over(context_, "circulant_mix", rows * outputs * (size_ / 2 + 1)), circulant_mix<T>,
             data<const float>(&from), data<const float>(&numbers_), rows, outputs, inputs, out_step, in_step, size_,
             conjugate, data<T>(&to));
    });
    return to;
  }
  void back(const graft_tensor& inner, std::int64_t count, const graft_tensor& basis, bool accumulate,
            const graft_tensor& to) const {
    for_pieces(to, inner, count, [&](const graft_tensor& piece, const graft_tensor& from) {
      run(context_, Gemm{factor(from), factor(basis).t(), dtype_, piece.data, piece.stride[0], piece.dtype, 1,
                         accumulate ? 1.0f : 0.0f});
    });
  }

  core::Context& context_;
  core::Scratch& scratch_;
  const std::int64_t m_, n_, size_;
  const double scale_;
  const graft_dtype dtype_;
  const graft_tensor f_, g_, exact_, numbers_;
};

}  // namespace

std::string refuse(const ops::CirculantForward& a) { return refuse_beside(*a.x, *a.w); }

void run(core::Context& context, const ops::CirculantForward& a) {
  if (a.x->shape[0] == 0) return;
  core::Scratch scratch(context.arena);
  const Frequencies blocks(context, scratch, *a.w, a.scale, a.x->dtype);
  blocks.y(blocks.of_x(*a.x), a.accumulate, *a.y);
}

std::string refuse(const ops::CirculantBackward& a) { return refuse_beside(*a.dy, *a.w); }

void run(core::Context& context, const ops::CirculantBackward& a) {
  if (a.dy->shape[0] == 0 || (a.dx == nullptr && a.dw == nullptr)) return;
  core::Scratch scratch(context.arena);
  const Frequencies blocks(context, scratch, *a.w, a.scale, a.dy->dtype);
  const graft_tensor dy = blocks.of_dy(*a.dy);
  if (a.dx != nullptr) blocks.dx(dy, a.accumulate, *a.dx);
  if (a.dw != nullptr) blocks.dw(blocks.of_x(*a.x), dy, *a.dw);
}

std::string refuse(const ops::CirculantMerge& a) { return refuse_beside(*a.merged, *a.w); }

void run(core::Context& context, const ops::CirculantMerge& a) {
  core::Scratch scratch(context.arena);
  const graft_tensor weight = core::dense_matrix(*a.weight), w = as_floats(context, scratch, flat(*a.w));
  visit(weight.dtype, [&](auto type) {
    using T = decltype(type);
    launch({"circulant_merge", static_cast<unsigned>(a.weight->n), kThreads, 0, stream(context)}, circulant_merge<T>,
           rows<const T>(&weight), data<const float>(&w), a.w->shape[1], a.w->shape[2], static_cast<float>(a.scale),
           rows<T>(a.merged));
  });
}

}  // namespace graft::cuda
