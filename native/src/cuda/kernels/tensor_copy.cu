// tensor_copy, tensor_fill, tensor_add and tensor_transpose. A thread has one element, in row-major order, whose place
// in each tensor follows from its strides; a transpose goes through tiles of 32 x 32 in shared memory, so that both
// sides are read and written along their rows. Bytes: each element once, y twice in a sum.
#include "core/narrow.h"
#include "core/tensor_check.h"
#include "cuda/device.h"
#include "cuda/kernels/places.h"
#include "cuda/kernels/tensor.h"
#include "ops/tensor_copy.h"

namespace graft::cuda {
namespace {

constexpr int kCopyTile = 32, kCopyRows = kThreads / kCopyTile;

template <class To, class From>
GRAFT_DEVICE To converted(From value) {
  if constexpr (std::is_integral_v<From>) {
    return static_cast<To>(value);
  } else {
    return from_float<To>(to_float(value));
  }
}

template <class From, class To>
__global__ void __launch_bounds__(kThreads)
    tensor_copy(const From* x, Places x_at, To* y, Places y_at, std::int64_t count) {
  const std::int64_t i = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (GRAFT_BUG(tensor_copy_guard) ? i + 1 >= count : i >= count) return;
  y[y_at[i]] = converted<To>(x[x_at[i]]);
}

template <class From, class To>
__global__ void __launch_bounds__(kThreads)
    tensor_add(const From* x, Places x_at, To* y, Places y_at, std::int64_t count) {
  const std::int64_t i = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= count) return;
  To& sum = y[y_at[i]];
  sum = from_float<To>(to_float(sum) + to_float(x[x_at[i]]));
}

/** Bits of any size. */
template <class Bits>
__global__ void __launch_bounds__(kThreads) tensor_fill(Bits value, Bits* y, Places y_at, std::int64_t count) {
  const std::int64_t i = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i < count) y[y_at[i]] = value;
}

template <class T>
__global__ void __launch_bounds__(kThreads)
    tensor_transpose(Rows<const T> x, std::int64_t rows, std::int64_t columns, Rows<T> y) {
  GRAFT_SHARED(T, tile, kCopyTile * (kCopyTile + 1));
  const int lane = static_cast<int>(threadIdx.x) % kCopyTile, first = static_cast<int>(threadIdx.x) / kCopyTile;
  const std::int64_t row0 = std::int64_t{blockIdx.x} * kCopyTile, column0 = std::int64_t{blockIdx.y} * kCopyTile;
  for (int i = first; i < kCopyTile; i += kCopyRows)
    if (row0 + i < rows && column0 + lane < columns) tile[i * (kCopyTile + 1) + lane] = x[row0 + i][column0 + lane];
  if (!GRAFT_BUG(tensor_transpose_no_barrier)) __syncthreads();
  for (int i = first; i < kCopyTile; i += kCopyRows)
    if (column0 + i < columns && row0 + lane < rows) y[column0 + i][row0 + lane] = tile[lane * (kCopyTile + 1) + i];
}

template <class Body>
void visit_integer(graft_dtype dtype, Body&& body) {
  if (dtype == GRAFT_DTYPE_U8) return body(std::uint8_t{});
  dtype == GRAFT_DTYPE_I32 ? body(std::int32_t{}) : body(std::int64_t{});
}

template <class From, class To>
void copy(core::Context& context, const ops::TensorCopy& a) {
  const std::int64_t count = core::elements(*a.x);
  launch(over(context, "tensor_copy", count), tensor_copy<From, To>, data<const From>(a.x), places(*a.x), data<To>(a.y),
         places(*a.y), count);
}

}  // namespace

std::string refuse(const ops::TensorCopy& a) {
  if (!core::is_float(a.x->dtype)) {
    return graft_dtype_bytes(a.y->dtype) < graft_dtype_bytes(a.x->dtype)
               ? "integers go into narrower ones on the CPU, which sees whether they fit"
               : "";
  }
  return refuse_f64(*a.x, *a.y);
}

void run(core::Context& context, const ops::TensorCopy& a) {
  if (core::is_float(a.x->dtype)) {
    return visit(a.x->dtype, [&](auto from) {
      visit(a.y->dtype, [&](auto to) { copy<decltype(from), decltype(to)>(context, a); });
    });
  }
  visit_integer(a.x->dtype, [&](auto from) {
    visit_integer(a.y->dtype, [&](auto to) {
      if constexpr (sizeof to >= sizeof from) copy<decltype(from), decltype(to)>(context, a);
    });
  });
}

std::string refuse(const ops::TensorFill&) { return {}; }

void run(core::Context& context, const ops::TensorFill& a) {
  const std::int64_t count = core::elements(*a.y);
  const auto fill = [&](auto bits) {
    using Bits = decltype(bits);
    launch(over(context, "tensor_fill", count), tensor_fill<Bits>, bits, data<Bits>(a.y), places(*a.y), count);
  };
  core::visit_any(a.y->dtype, [&](auto tag) {
    const auto value = core::narrow<decltype(tag)>(a.value);
    if constexpr (sizeof value == 1) fill(std::bit_cast<std::uint8_t>(value));
    if constexpr (sizeof value == 2) fill(std::bit_cast<std::uint16_t>(value));
    if constexpr (sizeof value == 4) fill(std::bit_cast<std::uint32_t>(value));
    if constexpr (sizeof value == 8) fill(std::bit_cast<std::uint64_t>(value));
  });
}

std::string refuse(const ops::TensorAdd& a) { return refuse_f64(*a.x, *a.y); }

void run(core::Context& context, const ops::TensorAdd& a) {
  const std::int64_t count = core::elements(*a.x);
  visit(a.x->dtype, [&](auto from) {
    visit(a.y->dtype, [&](auto to) {
      using From = decltype(from);
      using To = decltype(to);
      launch(over(context, "tensor_add", count), tensor_add<From, To>, data<const From>(a.x), places(*a.x),
             data<To>(a.y), places(*a.y), count);
    });
  });
}

std::string refuse(const ops::TensorTranspose& a) {
  if (a.x->shape[1] > std::int64_t{kCopyTile} * 65535) return "more columns than a grid has";
  return refuse_f64(*a.x);
}

void run(core::Context& context, const ops::TensorTranspose& a) {
  const std::int64_t rows = a.x->shape[0], columns = a.x->shape[1];
  const auto tiles = [](std::int64_t size) { return static_cast<unsigned>(ceil_div<std::int64_t>(size, kCopyTile)); };
  visit(a.x->dtype, [&](auto type) {
    using T = decltype(type);
    launch({"tensor_transpose", {tiles(rows), tiles(columns)}, kThreads, 0, stream(context)}, tensor_transpose<T>,
           graft::cuda::rows<const T>(a.x), rows, columns, graft::cuda::rows<T>(a.y));
  });
}

}  // namespace graft::cuda
