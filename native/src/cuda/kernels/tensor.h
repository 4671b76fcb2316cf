// What launchers share: matrices as kernels take them, dtypes as types, and why an argument is not served.
#pragma once

#include <cstdint>
#include <string>

#include "core/context.h"
#include "core/device.h"
#include "core/error.h"
#include "cuda/device/launch.h"
#include "cuda/device/numbers.h"
#include "graft/tensor.h"

namespace graft::cuda {

/** Of a block, where a kernel has no reason for another number. */
inline constexpr int kThreads = 256;

/** Rows of T, `pitch` elements apart. */
template <class T>
struct Rows {
  T* data;
  std::int64_t pitch;
  GRAFT_DEVICE T* operator[](std::int64_t row) const { return data + row * pitch; }
};

template <class T>
Rows<T> rows(const graft_tensor* matrix) {
  return matrix == nullptr ? Rows<T>{nullptr, 0} : Rows<T>{static_cast<T*>(matrix->data), matrix->stride[0]};
}

template <class T>
T* data(const graft_tensor* tensor) {
  return tensor == nullptr ? nullptr : static_cast<T*>(tensor->data);
}

/** rows x columns of a matrix from (row, column) on, or of what lies behind its columns. */
inline graft_tensor part(const graft_tensor& m, std::int64_t row, std::int64_t column, std::int64_t rows,
                         std::int64_t columns) {
  graft_tensor view = m;
  view.data = static_cast<char*>(m.data) + (row * m.stride[0] + column) * graft_dtype_bytes(m.dtype);
  view.shape[0] = rows, view.shape[1] = columns;
  return view;
}

/** A row-major matrix in scratch. */
inline graft_tensor scratch_matrix(core::Scratch& scratch, graft_dtype dtype, std::int64_t rows, std::int64_t columns) {
  void* memory = scratch.take<char>(rows * columns * graft_dtype_bytes(dtype));
  return {memory, dtype, GRAFT_DEVICE_CUDA, 2, 0, {rows, columns}, {columns, 1}};
}

/** Calls body(T{}) with the type of a served dtype. */
template <class Body>
void visit(graft_dtype dtype, Body&& body) {
  switch (dtype) {
    case GRAFT_DTYPE_F32:
      return body(float{});
    case GRAFT_DTYPE_BF16:
      return body(bf16{});
    case GRAFT_DTYPE_F16:
      return body(f16{});
    default:
      core::fail(GRAFT_INTERNAL, "dtype %d has no kernel", dtype);
  }
}

inline std::string refuse_f64(const graft_tensor& tensor) {
  return tensor.dtype == GRAFT_DTYPE_F64 ? "f64 is for references, which run on the CPU" : "";
}

inline std::string refuse_f64(const graft_tensor& a, const graft_tensor& b) {
  return a.dtype == GRAFT_DTYPE_F64 ? refuse_f64(a) : refuse_f64(b);
}

/** The queue of a context of the CUDA device. */
inline void* stream(const core::Context& context) { return context.opened->stream(); }

/** Blocks of kThreads that are so many threads together. */
inline unsigned blocks_for(std::int64_t threads) {
  return static_cast<unsigned>(ceil_div<std::int64_t>(threads, kThreads));
}

/** So many threads in blocks of kThreads, for a kernel that needs no more. */
inline Launch over(const core::Context& context, const char* kernel, std::int64_t threads) {
  return {kernel, blocks_for(threads), kThreads, 0, stream(context)};
}

}  // namespace graft::cuda
