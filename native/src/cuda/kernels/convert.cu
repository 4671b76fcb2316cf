// convert: to[i, j] = [to[i, j] +] factor · from[i, j], or zero where `from` ends. A thread has one element, in
// row-major order of `to`. Bytes: the sizes of both, and once more that of `to` when it accumulates.
#include "cuda/device.h"
#include "cuda/kernels/convert.h"
#include "cuda/kernels/tensor.h"

namespace graft::cuda {
namespace {

template <class From, class To>
__global__ void __launch_bounds__(kThreads)
    convert_elements(Rows<const From> from, std::int64_t from_rows, std::int64_t from_columns, float factor,
                     bool accumulate, std::int64_t rows, std::int64_t columns, Rows<To> to) {
  const std::int64_t at = std::int64_t{blockIdx.x} * kThreads + threadIdx.x, i = at / columns, j = at % columns;
  if (i >= rows) return;
  const bool inside = i < from_rows && (GRAFT_BUG(convert_guard) ? j <= from_columns : j < from_columns);
  float value = inside ? factor * to_float(from[i][j]) : 0.0f;
  if (accumulate) value += to_float(to[i][j]);
  to[i][j] = from_float<To>(value);
}

}  // namespace

void run(core::Context& context, const Convert& c) {
  if (c.rows == 0 || c.columns == 0) return;
  visit(c.from_dtype, [&](auto from) {
    using From = decltype(from);
    visit(c.to_dtype, [&](auto to) {
      using To = decltype(to);
      launch(over(context, "convert_elements", c.rows * c.columns), convert_elements<From, To>,
             Rows<const From>{static_cast<const From*>(c.from), c.from_pitch}, c.from_rows, c.from_columns,
             static_cast<float>(c.factor), c.accumulate, c.rows, c.columns, Rows<To>{static_cast<To*>(c.to), c.pitch});
    });
  });
}

graft_tensor as_floats(core::Context& context, core::Scratch& scratch, const graft_tensor& m) {
  if (m.dtype == GRAFT_DTYPE_F32) return m;
  const std::int64_t rows = m.shape[0], columns = m.shape[1];
  const graft_tensor to = scratch_matrix(scratch, GRAFT_DTYPE_F32, rows, columns);
  run(context, Convert{m.data, m.dtype, rows, columns, m.stride[0], to.data, to.dtype, rows, columns, columns});
  return to;
}

const void* vector_as(core::Context& context, core::Scratch& scratch, const graft_tensor* vector, graft_dtype dtype) {
  if (vector == nullptr || vector->dtype == dtype) return data<const void>(vector);
  const std::int64_t n = vector->shape[0];
  void* const made = scratch.take<char>(n * graft_dtype_bytes(dtype));
  run(context, Convert{vector->data, vector->dtype, 1, n, n, made, dtype, 1, n, n});
  return made;
}

}  // namespace graft::cuda
