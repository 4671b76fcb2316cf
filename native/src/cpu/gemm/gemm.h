// Matrix products by oneDNN, the only place that knows it. C is cut into fixed panels that do not depend on the number
// of threads; the context's threads share the panels, and each panel is one single-threaded oneDNN matmul. So results
// are the same bits for any number of threads, and other work can run on a panel while it is still in cache.
#pragma once

#include <cstdint>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>

#include "core/context.h"
#include "graft/tensor.h"

namespace graft::cpu {

/** Columns of one panel of C, unless it has fewer. Wide enough for the library's blocking, narrow enough for several
 * threads. */
inline constexpr std::int64_t kPanelColumns = 256;

/** Columns of a tile of 16-bit values: products over a multiple of it are the fastest where processors have tiles. */
inline constexpr std::int64_t kTileColumns = 32;

/** A strided matrix: element (i, j) lies i·row_stride + j·column_stride elements in; one of the strides is 1. */
struct Matrix {
  void* data;
  graft_dtype dtype;
  std::int64_t rows, columns, row_stride, column_stride;
  bool ends_in_zeros = false;  // behind each row, as far as the last tile of kTileColumns reaches

  Matrix transposed() const { return {data, dtype, columns, rows, column_stride, row_stride}; }
  Matrix part(std::int64_t row, std::int64_t column, std::int64_t row_count, std::int64_t column_count) const;
};

/** A row-major matrix of the caller's memory. */
Matrix row_major(const void* data, graft_dtype dtype, std::int64_t rows, std::int64_t columns, std::int64_t pitch);

/** A tensor [rows, columns]. */
Matrix matrix_of(const graft_tensor& tensor);

/** Why gemm cannot serve these types; "" when it can. a and b have the type `input`. Where the processor has no
 * products of a 16-bit type, panels of a few rows are multiplied as they lie and others in f32. */
std::string gemm_refuse(graft_dtype input, graft_dtype output);

struct Matmul;  // a oneDNN primitive

/** One shape of product, run serially on the calling worker: for use inside a parallel_for. Made on the calling thread
 * before the parallel part, with scratch for each worker. The operands of each run have the shapes, types and strides
 * of the examples; only their memory differs. */
class GemmPanel {
 public:
  GemmPanel() = default;
  GemmPanel(core::Context& context, core::Scratch& scratch, const Matrix& a, const Matrix& b, const Matrix& c,
            float beta, bool with_bias = false);
  void run(int worker, const void* a, const void* b, void* c, const float* bias = nullptr) const;

 private:
  friend class GemmPanels;
  GemmPanel(const Matrix& a, const Matrix& b, const Matrix& c, float beta, bool with_bias);
  /** Panels that never run at once in one worker share scratch. */
  static void take_scratch(core::Context& context, core::Scratch& scratch, std::initializer_list<GemmPanel*> panels);

  /** What the library reads or writes: the caller's matrix, or a copy in the scratch that each run makes. */
  struct Operand {
    Matrix caller, library;

    std::int64_t copy_bytes() const;  // 0: no copy
    /** data, or its copy in `free`, which then moves on. */
    void* place(const void* data, bool filled, char*& free) const;
  };

  std::shared_ptr<const Matmul> matmul_;
  bool in_place_ = false;  // by gemv, without the library
  char* scratch_ = nullptr;
  std::int64_t scratch_pitch_ = 0;  // from one worker to the next
  Operand a_{}, b_{}, c_{};
  float beta_ = 0;
};

/** A matrix B that nobody holds: a panel of C makes the columns that it needs, in memory of its worker. */
struct MadeColumns {
  Matrix like;  // without memory; one of its strides is 1, the other is of no account
  /** Fills `panel` with B's columns from `first` on. why no larger captures than two pointers: ops do not allocate. */
  std::function<void(std::int64_t first, const Matrix& panel)> make;
};

/** C [m, n] = A [m, k] · B [k, n] (+ bias [n] on each row) (+ C when beta is 1; beta is 0 or 1), cut into panels. A and
 * B have one type of f32, bf16, f16; C is row-major, of that type or f32; bias is f32 or NULL. Any size may be 0. */
class GemmPanels {
 public:
  struct Place {
    std::int64_t row, column, rows, columns;
  };

  GemmPanels() = default;  // none
  /** For use inside a parallel_for; made on the calling thread, with scratch for each worker. `like`: cut as that one,
   * whose C has the same shape. */
  GemmPanels(core::Context& context, core::Scratch& scratch, const Matrix& a, const Matrix& b, const Matrix& c,
             float beta, const float* bias = nullptr, const GemmPanels* like = nullptr);
  /** The same with columns of B that are made for each panel. */
  GemmPanels(core::Context& context, core::Scratch& scratch, const Matrix& a, MadeColumns b, const Matrix& c,
             float beta, const float* bias = nullptr);
  std::int64_t count() const { return down_ * across_; }
  std::int64_t columns() const { return panel_columns_; }  // of each panel but the last ones
  std::int64_t down() const { return down_; }              // panels below each other have neighbouring numbers
  Place place(std::int64_t panel) const;
  void run(std::int64_t panel, int worker) const;

 private:
  GemmPanels(const Matrix& a, const Matrix& c, const float* bias, std::int64_t panel_rows, std::int64_t panel_columns);
  void shape_panels(core::Context& context, core::Scratch& scratch, float beta);

  Matrix a_{}, b_{}, c_{};  // b_: of a MadeColumns, the first worker's panel
  std::function<void(std::int64_t, const Matrix&)> make_;
  std::int64_t made_pitch_ = 0;  // bytes from one worker's panel to the next
  const float* bias_ = nullptr;
  std::int64_t panel_rows_ = 0, panel_columns_ = 0, down_ = 0, across_ = 0;
  GemmPanel inner_, right_, bottom_, corner_;
};

/** All panels, shared over the context's threads. */
void gemm(core::Context& context, const Matrix& a, const Matrix& b, const Matrix& c, float beta,
          const float* bias = nullptr);

}  // namespace graft::cpu
