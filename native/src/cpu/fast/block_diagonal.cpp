// block_diagonal through the GEMM library: for each block and chunk of rows one product [rows, n] by [n, n], and for dr
// one [n, T] by [T, n] for each block, or for blocks that share r one after the other. Blocks below 64 are taken
// together, with zeros beside them. FLOPs 2·T·K·n each, or 2·T·K·64. Bytes: x and y once; r is converted to x's type.
// With an order of columns they are gathered for a chunk, or for a block of dr.
#include "ops/block_diagonal.h"

#include <algorithm>

#include "core/context.h"
#include "cpu/fast/lora.h"
#include "cpu/fast/visit.h"

namespace graft::cpu::fast {
namespace {

constexpr std::int64_t kBlockRows = 64;
constexpr std::int64_t kWidth = 64;  // of blocks that are taken together

std::string refuse_blocks(const graft_tensor& x, const graft_tensor& r) { return refuse_types(x, r, r, nullptr); }

/** Blocks that one product takes together: few small ones cost a call of the library each, and zeros beside them less.
 */
std::int64_t taken_together(std::int64_t n, std::int64_t count) {
  std::int64_t together = std::max<std::int64_t>(1, kWidth / n);
  while (count % together != 0) --together;
  return together;
}

/** The blocks of r below each other, in the activations' dtype, `together` of them each time as one block with zeros.
 */
class Blocks {
 public:
  Blocks(core::Context& context, core::Scratch& scratch, const graft_tensor& r, std::int64_t together,
         graft_dtype dtype)
      : width_(together * r.shape[1]), shared_(r.shape[0] == 1) {
    const std::int64_t n = r.shape[1], count = shared_ ? 1 : r.shape[0] / together, bytes = graft_dtype_bytes(dtype);
    const std::int64_t area = width_ * width_;
    all_ = row_major(scratch.take<char>(count * area * bytes), dtype, count * width_, width_, width_);
    core::parallel_for(context, count, [&](std::int64_t block, int) {
      const Matrix whole = (*this)[block];
      if (together > 1) std::fill_n(static_cast<char*>(whole.data), area * bytes, char{0});
      for (std::int64_t i = 0; i < together; ++i) {
        const std::int64_t from = shared_ ? 0 : block * together + i;
        convert(
            row_major(static_cast<const char*>(r.data) + from * n * n * graft_dtype_bytes(r.dtype), r.dtype, n, n, n),
            1, whole.part(i * n, i * n, n, n));
      }
    });
  }
  Matrix operator[](std::int64_t block) const { return all_.part(shared_ ? 0 : block * width_, 0, width_, width_); }
  std::int64_t width() const { return width_; }

 private:
  std::int64_t width_;
  bool shared_;
  Matrix all_{};
};

/** Where places in the blocks' order lie. */
class Order {
 public:
  explicit Order(const graft_tensor* columns) : columns_(columns) {}
  bool given() const { return columns_ != nullptr; }
  std::int64_t operator()(std::int64_t place) const {
    return columns_->dtype == GRAFT_DTYPE_I32 ? static_cast<const std::int32_t*>(columns_->data)[place]
                                              : static_cast<const std::int64_t*>(columns_->data)[place];
  }

 private:
  const graft_tensor* columns_;
};

/** to's columns = from's columns at the places first.. of the order. */
void gather(const Matrix& from, const Order& order, std::int64_t first, const Matrix& to) {
  visit_small_float(to.dtype, [&](auto tag) {
    using T = decltype(tag);
    for (std::int64_t i = 0; i < to.rows; ++i) {
      const T* source = static_cast<const T*>(from.data) + i * from.row_stride;
      T* target = static_cast<T*>(to.data) + i * to.row_stride;
      for (std::int64_t j = 0; j < to.columns; ++j) target[j] = source[order(first + j)];
    }
  });
}

/** to's columns in the order = from's, or += with add. */
void scatter(const Matrix& from, const Order& order, bool add, const Matrix& to) {
  visit_small_float(to.dtype, [&](auto tag) {
    using T = decltype(tag);
    for (std::int64_t i = 0; i < to.rows; ++i) {
      const T* source = static_cast<const T*>(from.data) + i * from.row_stride;
      T* target = static_cast<T*>(to.data) + i * to.row_stride;
      for (std::int64_t j = 0; j < from.columns; ++j) {
        T& at = target[order.given() ? order(j) : j];
        at = add ? T(static_cast<float>(at) + static_cast<float>(source[j])) : source[j];
      }
    }
  });
}

/** to[d] = from[d] + from[d] r[d], or r[d]ᵀ (+ to[d] with accumulate), for all blocks. */
void multiply(core::Context& context, const Matrix& from, const graft_tensor& r, const Order& order, bool turned,
              bool accumulate, const Matrix& to) {
  const std::int64_t rows = from.rows, columns = from.columns;
  if (rows == 0) return;
  core::Scratch scratch(context.arena);
  const std::int64_t together = taken_together(r.shape[1], columns / r.shape[1]);
  const Blocks all(context, scratch, r, together, from.dtype);
  const std::int64_t n = all.width(), count = columns / n;
  const std::int64_t chunks = chunks_of(rows, kBlockRows), last = rows - (chunks - 1) * kBlockRows;
  const std::int64_t bytes = order.given() ? std::min(rows, kBlockRows) * columns * graft_dtype_bytes(from.dtype) : 0;
  char* memory = scratch.take<char>(context.pool.threads() * 2 * bytes);
  const Matrix like = row_major(memory, from.dtype, rows, columns, columns);
  const Matrix &in = order.given() ? like : from, &out = order.given() ? like : to;
  const auto product = [&](std::int64_t height) {
    const Matrix block = all[0];
    return GemmPanel(context, scratch, in.part(0, 0, height, n), turned ? block.transposed() : block,
                     out.part(0, 0, height, n), 1);
  };
  const GemmPanel inner = product(std::min(rows, kBlockRows));
  const GemmPanel end = last == kBlockRows ? inner : product(last);
  core::parallel_for(context, chunks, [&](std::int64_t chunk, int worker) {
    const std::int64_t first = chunk * kBlockRows, height = std::min(kBlockRows, rows - first);
    Matrix source = from.part(first, 0, height, columns), target = to.part(first, 0, height, columns);
    const Matrix place = target;
    if (order.given()) {
      char* own = memory + worker * 2 * bytes;
      const Matrix gathered = row_major(own, from.dtype, height, columns, columns);
      gather(source, order, 0, gathered);
      source = gathered;
      target = row_major(own + bytes, from.dtype, height, columns, columns);
      convert(source, 1, target);
    } else {
      scatter(source, order, accumulate, target);
    }
    for (std::int64_t d = 0; d < count; ++d)
      (chunk + 1 < chunks ? inner : end)
          .run(worker, source.part(0, d * n, 1, n).data, all[d].data, target.part(0, d * n, 1, n).data);
    if (order.given()) scatter(target, order, accumulate, place);
  });
}

void gradient(core::Context& context, const Matrix& x, const Matrix& dy, const Order& order, const graft_tensor& dr) {
  const std::int64_t n = dr.shape[1], rows = x.rows;
  if (rows == 0) return;
  const std::int64_t together = taken_together(n, x.columns / n), width = together * n, count = x.columns / width;
  core::Scratch scratch(context.arena);
  const std::int64_t threads = context.pool.threads();
  const std::int64_t bytes = order.given() ? rows * width * graft_dtype_bytes(x.dtype) : 0;
  char* memory = scratch.take<char>(threads * 2 * bytes);
  float* tiles = scratch.take<float>(threads * width * width);
  const Matrix like = row_major(memory, x.dtype, rows, width, width);
  const GemmPanel product(context, scratch, (order.given() ? like : x.part(0, 0, rows, width)).transposed(),
                          order.given() ? like : dy.part(0, 0, rows, width),
                          row_major(tiles, GRAFT_DTYPE_F32, width, width, width), 0);
  const bool shared = dr.shape[0] == 1;
  core::parallel_for(context, shared ? 1 : count, [&](std::int64_t task, int worker) {
    float* tile = tiles + worker * width * width;
    for (std::int64_t d = task; d < (shared ? count : task + 1); ++d) {
      Matrix in = x.part(0, d * width, rows, width), out = dy.part(0, d * width, rows, width);
      if (order.given()) {
        in = row_major(memory + worker * 2 * bytes, x.dtype, rows, width, width);
        out = row_major(memory + (worker * 2 + 1) * bytes, x.dtype, rows, width, width);
        gather(x, order, d * width, in);
        gather(dy, order, d * width, out);
      }
      product.run(worker, in.data, out.data, tile);
      for (std::int64_t i = 0; i < together * n; ++i) {
        const std::int64_t block = i / n;
        float* to = static_cast<float*>(dr.data) + ((shared ? 0 : d * together + block) * n + i % n) * n;
        for (std::int64_t j = 0; j < n; ++j) to[j] += tile[i * width + block * n + j];
      }
    }
  });
}

}  // namespace

std::string refuse(const ops::BlockDiagonalForward& a) { return refuse_blocks(*a.x, *a.r); }
std::string refuse(const ops::BlockDiagonalBackward& a) { return refuse_blocks(*a.dy, *a.r); }

void run(core::Context& context, const ops::BlockDiagonalForward& a) {
  multiply(context, matrix_of(*a.x), *a.r, Order(a.columns), false, false, matrix_of(*a.y));
}

void run(core::Context& context, const ops::BlockDiagonalBackward& a) {
  if (a.dx != nullptr)
    multiply(context, matrix_of(*a.dy), *a.r, Order(a.columns), true, a.accumulate, matrix_of(*a.dx));
  if (a.dr != nullptr) gradient(context, matrix_of(*a.x), matrix_of(*a.dy), Order(a.columns), *a.dr);
}

}  // namespace graft::cpu::fast
