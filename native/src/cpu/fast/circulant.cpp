// circulant through the GEMM library, in chunks of rows. In the basis of cosines and sines F [B, B] a circulant block
// is a complex number for each frequency, so that
//   X[n] = Fᵀ x[n]ᵀ   [B, rows]      Y[f] = C[f] X[f]      y[m] = Y[m]ᵀ Gᵀ,  G = F with 1/B or 2/B in each column
// where C[f] is [2M, 2n], or [M, n] for the frequencies 0 and B/2, and the rows of X[f] lie together. Backward goes the
// same way back. FLOPs of a row: 2·B·(K + N) for the two transforms, 4·K·N/B between them; backward three times that.
// Scratch of a thread: a chunk's X and Y and their gradients; for dw at most 16 partial sums of 2·N·K/B numbers.
#include "ops/circulant.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "core/context.h"
#include "cpu/fast/lora.h"
#include "cpu/fast/visit.h"

namespace graft::cpu::fast {
namespace {

constexpr std::int64_t kForwardRows = 128;
constexpr std::int64_t kGradientChunks = 16;  // so many partial sums of dC at most

/** Sizes, and the order of frequencies: 0; cosine and sine of 1, 2, …; where B is even, B/2. */
struct Sizes {
  explicit Sizes(const graft_tensor& w) : m(w.shape[0]), n(w.shape[1]), b(w.shape[2]) {}
  std::int64_t m, n, b;

  std::int64_t frequencies() const { return b / 2 + 1; }
  bool paired(std::int64_t f) const { return f > 0 && 2 * f < b; }
  std::int64_t first(std::int64_t f) const { return f == 0 ? 0 : 2 * f - 1; }  // of a frequency's components
  std::int64_t parts(std::int64_t f) const { return paired(f) ? 2 : 1; }
  /** Where C[f] lies: behind a single matrix and pairs, each four. */
  std::int64_t offset(std::int64_t f) const { return f == 0 ? 0 : m * n * (1 + 4 * (f - 1)); }
  std::int64_t mixes() const { return offset(frequencies() - 1) + m * n * (parts(frequencies() - 1) == 2 ? 4 : 1); }
};

/** F [B, B], element by element times weight(component). */
template <class Weight>
Matrix basis(core::Context& context, core::Scratch& scratch, const Sizes& s, graft_dtype dtype, Weight&& weight) {
  float* circle = scratch.take<float>(2 * s.b);
  for (std::int64_t i = 0; i < s.b; ++i) {
    const double angle = 2 * std::numbers::pi * static_cast<double>(i) / static_cast<double>(s.b);
    circle[i] = static_cast<float>(std::cos(angle));
    circle[s.b + i] = static_cast<float>(std::sin(angle));
  }
  const Matrix f = row_major(scratch.take<char>(s.b * s.b * graft_dtype_bytes(dtype)), dtype, s.b, s.b, s.b);
  visit_small_float(dtype, [&](auto tag) {
    using T = decltype(tag);
    T* to = static_cast<T*>(f.data);
    core::parallel_for(context, s.b, [&](std::int64_t j, int) {
      std::int64_t place = 0;  // k·j mod B
      for (std::int64_t k = 0; k < s.frequencies(); ++k) {
        for (std::int64_t part = 0; part < s.parts(k); ++part)
          to[j * s.b + s.first(k) + part] = T(weight(k) * circle[part * s.b + place]);
        place = place + j < s.b ? place + j : place + j - s.b;
      }
    });
  });
  return f;
}

/** The mixing matrices C, from w in frequencies. */
class Mixes {
 public:
  Mixes(core::Context& context, core::Scratch& scratch, const Sizes& s, const graft_tensor& w, double scale,
        graft_dtype dtype)
      : s_(s), dtype_(dtype) {
    const std::int64_t blocks = s.m * s.n;
    graft_tensor flat = w;
    flat.rank = 2;
    flat.shape[0] = blocks, flat.shape[1] = flat.stride[0] = s.b, flat.stride[1] = 1;
    data_ = scratch.take<char>(s.mixes() * graft_dtype_bytes(dtype));
    float* frequencies = scratch.take<float>(blocks * s.b);
    const Matrix kernel = converted(context, scratch, flat, scale, GRAFT_DTYPE_F32);
    const Matrix f = basis(context, scratch, s, GRAFT_DTYPE_F32, [](std::int64_t) { return 1.0f; });
    gemm(context, kernel, f, row_major(frequencies, GRAFT_DTYPE_F32, blocks, s.b, s.b), 0);
    visit_small_float(dtype, [&](auto tag) {
      using T = decltype(tag);
      core::parallel_for(context, s.frequencies(), [&](std::int64_t k, int) {
        T* to = static_cast<T*>(static_cast<void*>(data_)) + s.offset(k);
        const std::int64_t pitch = s.parts(k) * s.n;
        for (std::int64_t i = 0; i < blocks; ++i) {
          const float cosine = frequencies[i * s.b + s.first(k)];
          T* at = to + i / s.n * pitch + i % s.n;
          at[0] = T(cosine);
          if (!s.paired(k)) continue;
          const float sine = frequencies[i * s.b + s.first(k) + 1];
          at[s.n] = T(sine);
          at[s.m * pitch] = T(-sine);
          at[s.m * pitch + s.n] = T(cosine);
        }
      });
    });
  }

  Matrix operator[](std::int64_t f) const {
    const std::int64_t parts = s_.parts(f);
    return row_major(data_ + s_.offset(f) * graft_dtype_bytes(dtype_), dtype_, parts * s_.m, parts * s_.n,
                     parts * s_.n);
  }

 private:
  const Sizes s_;
  const graft_dtype dtype_;
  char* data_ = nullptr;
};

/** Bases and mixes, and the products of chunks of so many rows. */
struct Transforms {
  Transforms(core::Context& context, core::Scratch& scratch, const graft_tensor& w, double scale, graft_dtype dtype)
      : s(w),
        dtype(dtype),
        f(basis(context, scratch, s, dtype, [](std::int64_t) { return 1.0f; })),
        g(basis(context, scratch, s, dtype,
                [this](std::int64_t k) { return (s.paired(k) ? 2.0f : 1.0f) / static_cast<float>(s.b); })),
        mixes(context, scratch, s, w, scale, dtype) {}

  /** Components × rows of piece i of `count`. */
  Matrix components(void* data, std::int64_t count, std::int64_t i, std::int64_t rows) const {
    return row_major(static_cast<char*>(data) + i * rows * graft_dtype_bytes(dtype), dtype, s.b, rows, count * rows);
  }
  /** All rows of a frequency. */
  Matrix frequency(void* data, std::int64_t count, std::int64_t k, std::int64_t rows) const {
    return row_major(static_cast<char*>(data) + s.first(k) * count * rows * graft_dtype_bytes(dtype), dtype,
                     s.parts(k) * count, rows, rows);
  }

  const Sizes s;
  const graft_dtype dtype;
  const Matrix f, g;
  const Mixes mixes;
};

/** The products of a chunk of `rows` rows, in one direction and back. */
class Chunk {
 public:
  Chunk(core::Context& context, core::Scratch& scratch, const Transforms& t, std::int64_t rows, const Matrix* x,
        const Matrix* y, const Matrix* dy, const Matrix* dx, bool gradient)
      : t_(t), rows_(rows) {
    const Sizes& s = t.s;
    const auto panel = [&](const Matrix& a, const Matrix& b, const Matrix& c, float beta) {
      return GemmPanel(context, scratch, a, b, c, beta);
    };
    const Matrix in = t.components(nullptr, s.n, 0, rows), out = t.components(nullptr, s.m, 0, rows);
    if (x != nullptr) to_x_ = panel(t.f.transposed(), x->part(0, 0, rows, s.b).transposed(), in, 0);
    if (dy != nullptr) to_dy_ = panel(t.g.transposed(), dy->part(0, 0, rows, s.b).transposed(), out, 0);
    for (int add : {0, 1}) {
      const float beta = static_cast<float>(add);
      if (y != nullptr) from_y_[add] = panel(out.transposed(), t.g.transposed(), y->part(0, 0, rows, s.b), beta);
      if (dx != nullptr) from_dx_[add] = panel(in.transposed(), t.f.transposed(), dx->part(0, 0, rows, s.b), beta);
    }
    for (std::int64_t k : {std::int64_t{0}, std::int64_t{1}}) {  // a single frequency and, where there is one, a pair
      if (k == 1 && !s.paired(1)) continue;
      const Matrix xs = t.frequency(nullptr, s.n, k, rows), ys = t.frequency(nullptr, s.m, k, rows);
      if (y != nullptr) mix_[k] = panel(t.mixes[k], xs, ys, 0);
      if (dx != nullptr) back_[k] = panel(t.mixes[k].transposed(), ys, xs, 0);
      if (gradient)
        dmix_[k] = panel(ys, xs.transposed(), row_major(nullptr, GRAFT_DTYPE_F32, ys.rows, xs.rows, xs.rows), 0);
    }
  }

  void to_frequencies(int worker, const Matrix& x, std::int64_t first, void* data) const {
    for (std::int64_t n = 0; n < t_.s.n; ++n)
      to_x_.run(worker, t_.f.data, x.part(first, n * t_.s.b, 1, 1).data, t_.components(data, t_.s.n, n, rows_).data);
  }
  void gradient_to_frequencies(int worker, const Matrix& dy, std::int64_t first, void* data) const {
    for (std::int64_t m = 0; m < t_.s.m; ++m)
      to_dy_.run(worker, t_.g.data, dy.part(first, m * t_.s.b, 1, 1).data, t_.components(data, t_.s.m, m, rows_).data);
  }
  void mix(int worker, void* x, void* y) const {
    each([&](std::int64_t k, int kind, void* xs, void* ys) { mix_[kind].run(worker, t_.mixes[k].data, xs, ys); }, x, y);
  }
  void mix_back(int worker, void* dy, void* dx) const {
    each([&](std::int64_t k, int kind, void* xs, void* ys) { back_[kind].run(worker, t_.mixes[k].data, ys, xs); }, dx,
         dy);
  }
  /** sums = dC. */
  void gradient(int worker, void* x, void* dy, float* sums) const {
    each([&](std::int64_t k, int kind, void* xs, void* ys) { dmix_[kind].run(worker, ys, xs, sums + t_.s.offset(k)); },
         x, dy);
  }
  void from_frequencies(int worker, void* data, bool add, const Matrix& y, std::int64_t first) const {
    for (std::int64_t m = 0; m < t_.s.m; ++m)
      from_y_[add ? 1 : 0].run(worker, t_.components(data, t_.s.m, m, rows_).data, t_.g.data,
                               y.part(first, m * t_.s.b, 1, 1).data);
  }
  void gradient_from_frequencies(int worker, void* data, bool add, const Matrix& dx, std::int64_t first) const {
    for (std::int64_t n = 0; n < t_.s.n; ++n)
      from_dx_[add ? 1 : 0].run(worker, t_.components(data, t_.s.n, n, rows_).data, t_.f.data,
                                dx.part(first, n * t_.s.b, 1, 1).data);
  }

 private:
  template <class Body>
  void each(Body&& body, void* x, void* y) const {
    for (std::int64_t k = 0; k < t_.s.frequencies(); ++k)
      body(k, t_.s.paired(k) ? 1 : 0, t_.frequency(x, t_.s.n, k, rows_).data, t_.frequency(y, t_.s.m, k, rows_).data);
  }

  const Transforms& t_;
  const std::int64_t rows_;
  GemmPanel to_x_, to_dy_, from_y_[2], from_dx_[2], mix_[2], back_[2], dmix_[2];
};

/** dw += F of what the chunks' sums of dC come to for w in frequencies. */
void add_gradient(core::Context& context, const Sizes& s, const float* sums, std::int64_t chunks, double scale,
                  const graft_tensor& dw) {
  core::Scratch scratch(context.arena);
  const std::int64_t blocks = s.m * s.n;
  float* frequencies = scratch.take<float>(blocks * s.b);
  const Matrix f = basis(context, scratch, s, GRAFT_DTYPE_F32, [](std::int64_t) { return 1.0f; });
  const auto at = [&](std::int64_t place) {
    float sum = 0;
    for (std::int64_t chunk = 0; chunk < chunks; ++chunk) sum += sums[chunk * s.mixes() + place];
    return static_cast<float>(scale) * sum;
  };
  core::parallel_for(context, s.frequencies(), [&](std::int64_t k, int) {
    const std::int64_t pitch = s.parts(k) * s.n;
    for (std::int64_t i = 0; i < blocks; ++i) {
      const std::int64_t place = s.offset(k) + i / s.n * pitch + i % s.n;
      float* to = frequencies + i * s.b + s.first(k);
      to[0] = at(place);
      if (!s.paired(k)) continue;
      to[0] += at(place + s.m * pitch + s.n);
      to[1] = at(place + s.n) - at(place + s.m * pitch);
    }
  });
  const Matrix out = row_major(dw.data, GRAFT_DTYPE_F32, blocks, s.b, s.b);
  gemm(context, row_major(frequencies, GRAFT_DTYPE_F32, blocks, s.b, s.b), f.transposed(), out, 1);
}

}  // namespace

std::string refuse(const ops::CirculantForward& a) { return refuse_types(*a.x, *a.w, *a.w, nullptr); }
std::string refuse(const ops::CirculantBackward& a) { return refuse_types(*a.dy, *a.w, *a.w, nullptr); }

void run(core::Context& context, const ops::CirculantForward& a) {
  const std::int64_t all = a.x->shape[0], rows = std::min(all, kForwardRows);
  if (all == 0) return;
  core::Scratch scratch(context.arena);
  const Transforms t(context, scratch, *a.w, a.scale, a.x->dtype);
  const Matrix x = matrix_of(*a.x), y = matrix_of(*a.y);
  const std::int64_t chunks = chunks_of(all, rows), last = all - (chunks - 1) * rows;
  const Chunk inner(context, scratch, t, rows, &x, &y, nullptr, nullptr, false);
  const Chunk end(context, scratch, t, last, &x, &y, nullptr, nullptr, false);
  const std::int64_t bytes = rows * graft_dtype_bytes(t.dtype), in = bytes * x.columns, out = bytes * y.columns;
  char* memory = scratch.take<char>(context.pool.threads() * (in + out));
  core::parallel_for(context, chunks, [&](std::int64_t chunk, int worker) {
    const Chunk& one = chunk + 1 < chunks ? inner : end;
    char* own = memory + worker * (in + out);
    one.to_frequencies(worker, x, chunk * rows, own);
    one.mix(worker, own, own + in);
    one.from_frequencies(worker, own + in, a.accumulate, y, chunk * rows);
  });
}

void run(core::Context& context, const ops::CirculantBackward& a) {
  const std::int64_t all = a.dy->shape[0];
  if (all == 0) return;
  const std::int64_t rows = std::max(std::min(all, kForwardRows), chunks_of(all, kGradientChunks));
  core::Scratch scratch(context.arena);
  const Transforms t(context, scratch, *a.w, a.scale, a.dy->dtype);
  const Matrix dy = matrix_of(*a.dy);
  const bool gradient = a.dw != nullptr;
  const Matrix x = gradient ? matrix_of(*a.x) : Matrix{}, dx = a.dx == nullptr ? Matrix{} : matrix_of(*a.dx);
  const std::int64_t chunks = chunks_of(all, rows), last = all - (chunks - 1) * rows;
  const auto chunk_of = [&](std::int64_t count) {
    return Chunk(context, scratch, t, count, gradient ? &x : nullptr, nullptr, &dy, a.dx == nullptr ? nullptr : &dx,
                 gradient);
  };
  const Chunk inner = chunk_of(rows), end = chunk_of(last);
  const std::int64_t bytes = rows * graft_dtype_bytes(t.dtype), in = bytes * t.s.n * t.s.b, out = bytes * dy.columns;
  char* memory = scratch.take<char>(context.pool.threads() * (in + out));
  float* sums = scratch.take<float>(gradient ? chunks * t.s.mixes() : 0);
  core::parallel_for(context, chunks, [&](std::int64_t chunk, int worker) {
    const Chunk& one = chunk + 1 < chunks ? inner : end;
    char *piece = memory + worker * (in + out), *frequencies = piece + in;
    one.gradient_to_frequencies(worker, dy, chunk * rows, frequencies);
    if (gradient) {
      one.to_frequencies(worker, x, chunk * rows, piece);
      one.gradient(worker, piece, frequencies, sums + chunk * t.s.mixes());
    }
    if (a.dx == nullptr) return;
    one.mix_back(worker, frequencies, piece);
    one.gradient_from_frequencies(worker, piece, a.accumulate, dx, chunk * rows);
  });
  if (gradient) add_gradient(context, t.s, sums, chunks, a.scale, *a.dw);
}

}  // namespace graft::cpu::fast
