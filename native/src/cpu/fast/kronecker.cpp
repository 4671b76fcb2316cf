// kronecker through the GEMM library, in chunks of rows. x of a chunk is Q pieces [rows, K/Q], y is P pieces [rows,
// N/P]:
//   S[q] = x[q] aᵀ     [Q, rows·r]      U = w1 S     [P, rows·r]      y[p] += U[p] (scale·b)ᵀ
// and backward the same from dy to dx; gradients of the factors are summed by chunk and then in the chunks' order. A
// single row is a matrix [Q, K/Q] itself, which saves a call for each piece. FLOPs 2·T·r·(K + P·Q + N), backward three
// times that. Nothing is kept: backward makes S and U again. Scratch of each thread: a chunk's S, U and their
// gradients.
#include "ops/kronecker.h"

#include <algorithm>
#include <initializer_list>

#include "core/context.h"
#include "cpu/fast/lora.h"
#include "cpu/fast/visit.h"

namespace graft::cpu::fast {
namespace {

constexpr std::int64_t kForwardRows = 64;
constexpr std::int64_t kFewRows = 8;            // these go forward one by one
constexpr std::int64_t kGradientChunks = 16;    // so many partial sums of gradients at most
constexpr std::int64_t kSummedElements = 4096;  // of a gradient, in one task

/** Matrices of one shape that follow each other, in a chunk's rows of an activation or in scratch. */
struct Pieces {
  std::int64_t count;
  Matrix first;
  std::int64_t step;  // bytes

  void* operator[](std::int64_t i) const { return static_cast<char*>(first.data) + i * step; }
};

/** A factor [M, rows, columns] in the activations' dtype. */
class Factor {
 public:
  Factor() = default;
  Factor(core::Context& context, core::Scratch& scratch, const graft_tensor& factor, double scale, graft_dtype dtype)
      : rows_(factor.shape[1]) {
    const std::int64_t count = factor.shape[0], columns = factor.shape[2], pieces = chunks_of(rows_, kForwardRows);
    const std::int64_t step = factor.stride[0] * graft_dtype_bytes(factor.dtype);
    void* memory = scratch.take<char>(count * rows_ * columns * graft_dtype_bytes(dtype));
    all_ = row_major(memory, dtype, count * rows_, columns, columns);
    core::parallel_for(context, count * pieces, [&](std::int64_t task, int) {
      const std::int64_t m = task / pieces, first = task % pieces * kForwardRows;
      const std::int64_t height = std::min(kForwardRows, rows_ - first);
      const char* from = static_cast<const char*>(factor.data) + m * step;
      convert(row_major(from, factor.dtype, rows_, columns, columns).part(first, 0, height, columns),
              static_cast<float>(scale), all_.part(m * rows_ + first, 0, height, columns));
    });
  }
  Matrix operator[](std::int64_t m) const { return all_.part(m * rows_, 0, rows_, all_.columns); }

 private:
  std::int64_t rows_ = 0;
  Matrix all_{};
};

/** The factors, converted, and where the pieces of a chunk of so many rows lie. */
class Product {
 public:
  Product(core::Context& context, core::Scratch& scratch, const ops::KroneckerFactors& d, graft_dtype dtype)
      : d(d), dtype(dtype), w1(context, scratch, *d.w1, 1, dtype), b(context, scratch, *d.b, d.scale, dtype) {
    if (d.a != nullptr) a = Factor(context, scratch, *d.a, 1, dtype);
  }

  const ops::KroneckerFactors& d;
  const graft_dtype dtype;
  const Factor w1, b;
  Factor a;

  Pieces x(const graft_tensor& all, std::int64_t first, std::int64_t rows) const {
    return part(matrix_of(all), first, rows, d.q(), d.wide());
  }
  Pieces y(const graft_tensor& all, std::int64_t first, std::int64_t rows) const {
    return part(matrix_of(all), first, rows, d.p(), d.high());
  }
  Pieces s(void* data, std::int64_t rows) const { return made(data, rows, d.q()); }
  Pieces u(void* data, std::int64_t rows) const { return made(data, rows, d.p()); }
  /** All pieces of S or U as one matrix [Q, rows·r] or [P, rows·r]. */
  Matrix whole(const Pieces& pieces, std::int64_t count, std::int64_t rows) const {
    return row_major(pieces.first.data, dtype, count, rows * d.inner(), rows * d.inner());
  }
  std::int64_t s_bytes(std::int64_t rows) const { return d.q() * rows * d.inner() * graft_dtype_bytes(dtype); }
  std::int64_t u_bytes(std::int64_t rows) const { return d.p() * rows * d.inner() * graft_dtype_bytes(dtype); }

 private:
  Pieces part(const Matrix& all, std::int64_t first, std::int64_t rows, std::int64_t count,
              std::int64_t columns) const {
    const Matrix piece = all.part(first, 0, rows, columns);
    if (rows == 1) return {1, row_major(piece.data, dtype, count, columns, columns), 0};
    return {count, piece, columns * graft_dtype_bytes(dtype)};
  }
  Pieces made(void* data, std::int64_t rows, std::int64_t count) const {
    const std::int64_t r = d.inner();
    if (rows == 1) return {1, row_major(data, dtype, count, r, r), 0};
    return {count, row_major(data, dtype, rows, r, r), rows * r * graft_dtype_bytes(dtype)};
  }
};

/** to = from, or to += from, piece by piece. */
void put(const Pieces& from, bool add, const Pieces& to) {
  for (std::int64_t i = 0; i < from.count; ++i) {
    Matrix source = from.first, target = to.first;
    source.data = from[i], target.data = to[i];
    if (!add) {
      convert(source, 1, target);
      continue;
    }
    visit_small_float(target.dtype, [&](auto tag) {
      using T = decltype(tag);
      for (std::int64_t t = 0; t < target.rows; ++t) {
        const T* in = static_cast<const T*>(source.data) + t * source.row_stride;
        T* out = static_cast<T*>(target.data) + t * target.row_stride;
        for (std::int64_t j = 0; j < target.columns; ++j)
          out[j] = T(static_cast<float>(out[j]) + static_cast<float>(in[j]));
      }
    });
  }
}

class Forward {
 public:
  Forward(core::Context& context, core::Scratch& scratch, const ops::KroneckerForward& a, const Product& product,
          std::int64_t rows)
      : a_(a), product_(product), rows_(rows) {
    const Pieces x = product.x(*a.x, 0, rows), y = product.y(*a.y, 0, rows);
    const Pieces s = product.s(nullptr, rows), u = product.u(nullptr, rows);
    if (product.d.a != nullptr) down_ = GemmPanel(context, scratch, x.first, product.a[0].transposed(), s.first, 0);
    mix_ = GemmPanel(context, scratch, product.w1[0], product.whole(s, product.d.q(), rows),
                     product.whole(u, product.d.p(), rows), 0);
    for (int add : {0, 1})
      up_[add] = GemmPanel(context, scratch, u.first, product.b[0].transposed(), y.first, static_cast<float>(add));
  }

  void run(int worker, std::int64_t first, void* s_memory, void* u_memory) const {
    const Pieces x = product_.x(*a_.x, first, rows_), y = product_.y(*a_.y, first, rows_);
    const Pieces s = product_.s(s_memory, rows_), u = product_.u(u_memory, rows_);
    for (std::int64_t m = 0; m < product_.d.sums(); ++m) {
      if (product_.d.a == nullptr) {
        if (m == 0) put(x, false, s);
      } else {
        for (std::int64_t q = 0; q < x.count; ++q) down_.run(worker, x[q], product_.a[m].data, s[q]);
      }
      mix_.run(worker, product_.w1[m].data, s_memory, u_memory);
      const GemmPanel& up = up_[a_.accumulate || m > 0 ? 1 : 0];
      for (std::int64_t p = 0; p < y.count; ++p) up.run(worker, u[p], product_.b[m].data, y[p]);
    }
  }

 private:
  const ops::KroneckerForward& a_;
  const Product& product_;
  std::int64_t rows_;
  GemmPanel down_, mix_, up_[2];
};

/** The partial sums of one chunk, behind each other: those of dw1, db and da that are wanted. */
struct Sums {
  float *dw1 = nullptr, *db = nullptr, *da = nullptr;
};

class Backward {
 public:
  struct Memory {
    void *s, *u, *ds, *du;
  };

  Backward(core::Context& context, core::Scratch& scratch, const ops::KroneckerBackward& a, const Product& product,
           std::int64_t rows)
      : a_(a), product_(product), d_(product.d), rows_(rows) {
    const Pieces dy = product.y(*a.dy, 0, rows);
    const Pieces s = product.s(nullptr, rows), u = product.u(nullptr, rows);
    const Matrix s_all = product.whole(s, d_.q(), rows), u_all = product.whole(u, d_.p(), rows);
    const auto panel = [&](const Matrix& left, const Matrix& right, const Matrix& out, int beta) {
      return GemmPanel(context, scratch, left, right, out, static_cast<float>(beta));
    };
    const auto floats = [](std::int64_t r, std::int64_t c) { return row_major(nullptr, GRAFT_DTYPE_F32, r, c, c); };
    up_ = panel(dy.first, product.b[0], u.first, 0);
    mix_back_ = panel(product.w1[0].transposed(), u_all, s_all, 0);
    if (reads_x()) {
      const Pieces x = product.x(*a.x, 0, rows);
      if (d_.a != nullptr) down_ = panel(x.first, product.a[0].transposed(), s.first, 0);
      mix_ = panel(product.w1[0], s_all, u_all, 0);
      dw1_ = panel(u_all, s_all.transposed(), floats(d_.p(), d_.q()), 0);
      for (int add : {0, 1}) {
        db_[add] = panel(dy.first.transposed(), u.first, floats(d_.high(), d_.inner()), add);
        if (a.da != nullptr) da_[add] = panel(s.first.transposed(), x.first, floats(d_.inner(), d_.wide()), add);
      }
    }
    for (int add : {0, 1})
      if (a.dx != nullptr && d_.a != nullptr)
        dx_[add] = panel(s.first, product.a[0], product.x(*a.dx, 0, rows).first, add);
  }

  bool reads_x() const { return a_.dw1 != nullptr || a_.db != nullptr || a_.da != nullptr; }

  void run(int worker, std::int64_t first, const Memory& memory, const Sums& sums) const {
    const Pieces dy = product_.y(*a_.dy, first, rows_);
    const Pieces s = product_.s(memory.s, rows_), u = product_.u(memory.u, rows_);
    const Pieces ds = product_.s(memory.ds, rows_), du = product_.u(memory.du, rows_);
    for (std::int64_t m = 0; m < d_.sums(); ++m) {
      for (std::int64_t p = 0; p < dy.count; ++p) up_.run(worker, dy[p], product_.b[m].data, du[p]);
      if (reads_x()) factors(worker, m, first, dy, s, u, du, sums);
      if (a_.dx == nullptr && a_.da == nullptr) continue;
      mix_back_.run(worker, product_.w1[m].data, memory.du, memory.ds);
      if (a_.da != nullptr) {
        const Pieces x = product_.x(*a_.x, first, rows_);
        for (std::int64_t q = 0; q < x.count; ++q)
          da_[q > 0 ? 1 : 0].run(worker, ds[q], x[q], sums.da + m * d_.inner() * d_.wide());
      }
      if (a_.dx == nullptr) continue;
      const Pieces dx = product_.x(*a_.dx, first, rows_);
      const bool add = a_.accumulate || m > 0;
      if (d_.a == nullptr) {
        put(ds, add, dx);
      } else {
        for (std::int64_t q = 0; q < dx.count; ++q) dx_[add ? 1 : 0].run(worker, ds[q], product_.a[m].data, dx[q]);
      }
    }
  }

 private:
  void factors(int worker, std::int64_t m, std::int64_t first, const Pieces& dy, const Pieces& s, const Pieces& u,
               const Pieces& du, const Sums& sums) const {
    const Pieces x = product_.x(*a_.x, first, rows_);
    if (d_.a == nullptr) {
      if (m == 0) put(x, false, s);
    } else if (a_.dw1 != nullptr || a_.db != nullptr) {
      for (std::int64_t q = 0; q < x.count; ++q) down_.run(worker, x[q], product_.a[m].data, s[q]);
    }
    if (a_.dw1 != nullptr) dw1_.run(worker, du.first.data, s.first.data, sums.dw1 + m * d_.p() * d_.q());
    if (a_.db == nullptr) return;
    mix_.run(worker, product_.w1[m].data, s.first.data, u.first.data);
    for (std::int64_t p = 0; p < dy.count; ++p)
      db_[p > 0 ? 1 : 0].run(worker, dy[p], u[p], sums.db + m * d_.high() * d_.inner());
  }

  const ops::KroneckerBackward& a_;
  const Product& product_;
  const ops::KroneckerFactors& d_;
  std::int64_t rows_;
  GemmPanel down_, mix_, up_, mix_back_, dw1_, db_[2], da_[2], dx_[2];
};

/** gradient += factor · the chunks' sums, which are `pitch` apart. */
void add_sums(core::Context& context, const float* sums, std::int64_t chunks, std::int64_t pitch, float factor,
              const graft_tensor& gradient) {
  const std::int64_t count = core::elements(gradient);
  auto* out = static_cast<float*>(gradient.data);
  core::parallel_for(context, chunks_of(count, kSummedElements), [&](std::int64_t task, int) {
    const std::int64_t last = std::min(count, (task + 1) * kSummedElements);
    for (std::int64_t i = task * kSummedElements; i < last; ++i) {
      float sum = 0;
      for (std::int64_t chunk = 0; chunk < chunks; ++chunk) sum += sums[chunk * pitch + i];
      out[i] += factor * sum;
    }
  });
}

std::string refuse(const ops::KroneckerFactors& d, const graft_tensor& activation) {
  for (const graft_tensor* factor : {d.w1, d.b, d.a})
    if (factor != nullptr && factor->dtype == GRAFT_DTYPE_F64) return "fp64 is for the reference";
  return refuse_types(activation, *d.w1, *d.b, nullptr);
}

}  // namespace

std::string refuse(const ops::KroneckerForward& a) { return refuse(a.d, *a.x); }
std::string refuse(const ops::KroneckerBackward& a) { return refuse(a.d, *a.dy); }

void run(core::Context& context, const ops::KroneckerForward& a) {
  const std::int64_t all = a.x->shape[0], rows = all <= kFewRows ? 1 : std::min(all, kForwardRows);
  if (all == 0) return;
  core::Scratch scratch(context.arena);
  const Product product(context, scratch, a.d, a.x->dtype);
  const std::int64_t chunks = chunks_of(all, rows), last = all - (chunks - 1) * rows, threads = context.pool.threads();
  const Forward inner(context, scratch, a, product, rows), end(context, scratch, a, product, last);
  char* s = scratch.take<char>(threads * product.s_bytes(rows));
  char* u = scratch.take<char>(threads * product.u_bytes(rows));
  core::parallel_for(context, chunks, [&](std::int64_t chunk, int worker) {
    const Forward& one = chunk + 1 < chunks ? inner : end;
    one.run(worker, chunk * rows, s + worker * product.s_bytes(rows), u + worker * product.u_bytes(rows));
  });
}

void run(core::Context& context, const ops::KroneckerBackward& a) {
  const std::int64_t all = a.dy->shape[0];
  if (all == 0) return;
  const std::int64_t rows = std::max(std::min(all, kForwardRows), chunks_of(all, kGradientChunks));
  core::Scratch scratch(context.arena);
  const Product product(context, scratch, a.d, a.dy->dtype);
  const std::int64_t chunks = chunks_of(all, rows), last = all - (chunks - 1) * rows, threads = context.pool.threads();
  const Backward inner(context, scratch, a, product, rows), end(context, scratch, a, product, last);
  const std::int64_t s_bytes = product.s_bytes(rows), u_bytes = product.u_bytes(rows);
  char* memory = scratch.take<char>(threads * 2 * (s_bytes + u_bytes));
  const std::int64_t dw1 = a.dw1 == nullptr ? 0 : core::elements(*a.dw1);
  const std::int64_t db = a.db == nullptr ? 0 : core::elements(*a.db);
  const std::int64_t da = a.da == nullptr ? 0 : core::elements(*a.da), pitch = dw1 + db + da;
  float* sums = scratch.take<float>(chunks * pitch);
  core::parallel_for(context, chunks, [&](std::int64_t chunk, int worker) {
    char* own = memory + worker * 2 * (s_bytes + u_bytes);
    float* parts = sums + chunk * pitch;
    (chunk + 1 < chunks ? inner : end)
        .run(worker, chunk * rows, {own, own + s_bytes, own + s_bytes + u_bytes, own + 2 * s_bytes + u_bytes},
             {parts, parts + dw1, parts + dw1 + db});
  });
  if (a.dw1 != nullptr) add_sums(context, sums, chunks, pitch, 1, *a.dw1);
  if (a.db != nullptr) add_sums(context, sums + dw1, chunks, pitch, static_cast<float>(a.d.scale), *a.db);
  if (a.da != nullptr) add_sums(context, sums + dw1 + db, chunks, pitch, 1, *a.da);
}

}  // namespace graft::cpu::fast
