// cayley, a block of threads for each matrix: the series by Horner's rule, H[k] = c[k] I + Q H[k+1] and R - I = Q H[1];
// without terms R - I = -2 M Q with M = (I + Q)⁻¹ by Gauss and Jordan with pivots. Back: dQ += dH[k] H[k+1]ᵀ with
// dH[k+1] = Qᵀ dH[k]; or dQ = -2 Mᵀ dR Mᵀ.
//
// The matrices are fp32 in scratch, small enough for the L1 where n is 32; threads take elements along rows, and add in
// the order of the sum. FLOPs 2·n³ a power, 4·n³ for an inverse; backward twice that. Scratch: 3 matrices a block; for
// the gradient of a series one more for each term.
#include "cuda/device.h"
#include "cuda/kernels/tensor.h"
#include "cuda/kernels/thin.h"
#include "ops/cayley.h"

namespace graft::cuda {
namespace {

/** Q of any float type from the entries above its diagonal, or from any square matrices. */
struct Skew {
  Vector q;
  std::int64_t block_stride, row_stride, n;
  bool square;
  GRAFT_DEVICE std::int64_t place(std::int64_t block, std::int64_t i, std::int64_t j) const {
    return block * block_stride + (square ? i * row_stride + j : i * (2 * n - i - 1) / 2 + j - i - 1);
  }
  GRAFT_DEVICE float at(std::int64_t block, std::int64_t i, std::int64_t j) const {
    if (i == j) return 0;
    if (square) return (q.at(place(block, i, j)) - q.at(place(block, j, i))) / 2;
    return i < j ? q.at(place(block, i, j)) : -q.at(place(block, j, i));
  }
};

/** Terms of the series that have a coefficient of their own: those of 3 are those of 4. */
__host__ __device__ constexpr int powers(int terms) { return terms == 3 ? 4 : terms; }

__host__ __device__ constexpr float coefficient(int power, int terms) {
  return power == 0 || (terms >= 3 && power == powers(terms) - 1) ? 1.0f : 2.0f;
}

/** A square matrix, or its transpose. */
struct Square {
  const float* data;
  bool turned = false;
  GRAFT_DEVICE float at(std::int64_t i, std::int64_t j, std::int64_t n) const {
    return turned ? data[j * n + i] : data[i * n + j];
  }
};

/** to = diagonal·I + scale · a b (+ to); what a and b hold must be there for all threads, and so is the result. */
GRAFT_DEVICE void multiply(const Square& a, const Square& b, std::int64_t n, float diagonal, float scale,
                           bool accumulate, float* to) {
  for (std::int64_t at = threadIdx.x; at < n * n; at += kThreads) {
    const std::int64_t i = at / n, j = at % n;
    float sum = 0;
    for (std::int64_t k = 0; k < n; ++k) sum += a.at(i, k, n) * b.at(k, j, n);
    to[at] = (accumulate ? to[at] : 0.0f) + scale * sum + (i == j ? diagonal : 0.0f);
  }
  if (!GRAFT_BUG(cayley_no_barrier)) __syncthreads();
}

GRAFT_DEVICE void load(const Skew& q, std::int64_t block, float diagonal, float* to) {
  for (std::int64_t at = threadIdx.x; at < q.n * q.n; at += kThreads) {
    const std::int64_t i = at / q.n, j = at % q.n;
    to[at] = i == j ? diagonal : q.at(block, i, j);
  }
  __syncthreads();
}

/** The row of the largest element in size from the diagonal of a column on, in all threads: the first of equal ones. */
GRAFT_DEVICE std::int64_t find_pivot(const float* left, std::int64_t column, std::int64_t n) {
  GRAFT_SHARED(std::int64_t, found, 1);
  if (threadIdx.x < 32) {
    std::int64_t row = n;
    float largest = -1;
    for (std::int64_t i = column + threadIdx.x; i < n; i += 32)
      if (fabsf(left[i * n + column]) > largest) row = i, largest = fabsf(left[i * n + column]);
    for (int bits = 16; bits > 0; bits /= 2) {
      const float other = __shfl_xor_sync(kWholeWarp, largest, bits);
      const std::int64_t other_row = __shfl_xor_sync(kWholeWarp, row, bits);
      if (other > largest || (other == largest && other_row < row)) row = other_row, largest = other;
    }
    if (threadIdx.x == 0) found[0] = GRAFT_BUG(cayley_no_pivot) ? column : row;
  }
  __syncthreads();
  return found[0];
}

/** right = left⁻¹; left is lost, and factors [n]. */
GRAFT_DEVICE void invert(float* left, float* right, float* factors, std::int64_t n) {
  for (std::int64_t at = threadIdx.x; at < n * n; at += kThreads) right[at] = at / n == at % n ? 1.0f : 0.0f;
  __syncthreads();
  for (std::int64_t column = 0; column < n; ++column) {
    const std::int64_t pivot = find_pivot(left, column, n);
    const float scale = 1 / left[pivot * n + column];
    __syncthreads();
    for (std::int64_t j = threadIdx.x; j < 2 * n; j += kThreads) {
      float* const m = j < n ? left + j : right + j - n;
      const float value = m[pivot * n];
      m[pivot * n] = m[column * n];
      m[column * n] = value * scale;
    }
    __syncthreads();
    for (std::int64_t i = threadIdx.x; i < n; i += kThreads) factors[i] = i == column ? 0.0f : left[i * n + column];
    __syncthreads();
    for (std::int64_t at = threadIdx.x; at < 2 * n * n; at += kThreads) {
      float* const m = at < n * n ? left : right;
      const std::int64_t i = at / n % n, j = at % n;
      m[i * n + j] -= factors[i] * m[column * n + j];
    }
    __syncthreads();
  }
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    cayley_forward(Skew q, int terms, float* scratch, std::int64_t floats, T* r) {
  const std::int64_t block = blockIdx.x, n = q.n, size = n * n;
  float *const matrix = scratch + block * floats, *first = matrix + size, *second = first + size;
  load(q, block, 0, matrix);
  if (terms == 0) {
    load(q, block, 1, first);
    invert(first, second, second + size, n);
    multiply({second}, {matrix}, n, 0, -2, false, first);
  } else {
    // H[k+1] and then H[k]; the last step leaves R - I in `first`.
    const int last = powers(terms) - 1;
    for (std::int64_t at = threadIdx.x; at < size; at += kThreads)
      second[at] = last > 0 && at / n == at % n ? coefficient(last, terms) : 0.0f;
    __syncthreads();
    for (int k = last - 1; k >= 0; --k) {
      multiply({matrix}, {second}, n, k > 0 ? coefficient(k, terms) : 0.0f, 1, false, first);
      float* const swapped = first;
      first = second, second = swapped;
    }
    first = second;
  }
  for (std::int64_t at = threadIdx.x; at < size; at += kThreads) r[block * size + at] = from_float<T>(first[at]);
}

__global__ void __launch_bounds__(kThreads)
    cayley_backward(Skew q, const float* dr, int terms, float* scratch, std::int64_t floats, Skew to, float* dq) {
  const std::int64_t block = blockIdx.x, n = q.n, size = n * n;
  float *const matrix = scratch + block * floats, *const gradient = matrix + size, *const third = gradient + size;
  dr += block * size;
  if (terms == 0) {
    load(q, block, 1, matrix);
    invert(matrix, third, third + size, n);
    multiply({third, true}, {dr}, n, 0, 1, false, matrix);
    multiply({matrix}, {third, true}, n, 0, -2, false, gradient);
  } else {
    // third + k·size is H[k + 1]; dH[k] is dr, and then one of two matrices behind these.
    const int last = powers(terms) - 1;
    load(q, block, 0, matrix);
    for (std::int64_t at = threadIdx.x; at < size; at += kThreads) {
      gradient[at] = 0;
      if (last > 0) third[(last - 1) * size + at] = at / n == at % n ? coefficient(last, terms) : 0.0f;
    }
    __syncthreads();
    for (int k = last - 1; k > 0; --k)
      multiply({matrix}, {third + k * size}, n, coefficient(k, terms), 1, false, third + (k - 1) * size);
    const float* dh = dr;
    for (int k = 0; k < last; ++k) {
      multiply({dh}, {third + k * size, true}, n, 0, 1, true, gradient);
      float* const next = third + (last + k % 2) * size;
      if (k + 1 < last) multiply({matrix, true}, {dh}, n, 0, 1, false, next);
      dh = next;
    }
  }
  for (std::int64_t at = threadIdx.x; at < size; at += kThreads) {
    const std::int64_t i = at / n, j = at % n;
    const float entry = gradient[at] - gradient[j * n + i];
    if (i == j || (!to.square && i > j)) continue;
    dq[to.place(block, i, j)] += to.square ? entry / 2 : entry;
  }
}

Skew skew(const graft_tensor& q, std::int64_t n) {
  return {vector(&q), q.stride[0], q.rank == 3 ? q.stride[1] : 0, n, q.rank == 3};
}

}  // namespace

std::string refuse(const ops::CayleyForward& a) { return refuse_f64(*a.q, *a.r); }

void run(core::Context& context, const ops::CayleyForward& a) {
  const std::int64_t blocks = a.r->shape[0], n = a.r->shape[1], floats = 3 * n * n + n;
  core::Scratch scratch(context.arena);
  auto* const memory = scratch.take<float>(blocks * floats);
  visit(a.r->dtype, [&](auto type) {
    using T = decltype(type);
    launch({"cayley_forward", static_cast<unsigned>(blocks), kThreads, 0, stream(context)}, cayley_forward<T>,
           skew(*a.q, n), a.terms, memory, floats, data<T>(a.r));
  });
}

std::string refuse(const ops::CayleyBackward& a) { return refuse_f64(*a.q); }

void run(core::Context& context, const ops::CayleyBackward& a) {
  const std::int64_t blocks = a.dr->shape[0], n = a.dr->shape[1];
  const std::int64_t matrices = a.terms == 0 ? 3 : 2 + powers(a.terms) - 1 + 2, floats = matrices * n * n + n;
  core::Scratch scratch(context.arena);
  auto* const memory = scratch.take<float>(blocks * floats);
  launch({"cayley_backward", static_cast<unsigned>(blocks), kThreads, 0, stream(context)}, cayley_backward,
         skew(*a.q, n), data<const float>(a.dr), a.terms, memory, floats, skew(*a.dq, n), data<float>(a.dq));
}

}  // namespace graft::cuda
