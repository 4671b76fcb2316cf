// Descriptors and memory of tensors: make, wrap, view, destroy.
#include "graft/tensor.h"

#include <memory>

#include "core/device.h"
#include "core/error.h"
#include "core/handle.h"
#include "core/large_memory.h"
#include "core/tensor_check.h"

namespace graft::core {
namespace {

using OwnedTensor = Owned<graft_tensor>;

}  // namespace

std::int64_t checked_multiply(std::int64_t a, std::int64_t b) {
  std::int64_t product;
  if (__builtin_mul_overflow(a, b, &product)) fail(GRAFT_INVALID_ARGUMENT, "the size overflows 64 bits");
  return product;
}

graft_tensor make_descriptor(graft_dtype dtype, std::int32_t rank, const std::int64_t* shape,
                             const std::int64_t* stride) {
  if (graft_dtype_bytes(dtype) == 0) fail(GRAFT_INVALID_ARGUMENT, "dtype is %d, which is unknown", dtype);
  if (rank < 1 || rank > GRAFT_MAX_RANK)
    fail(GRAFT_INVALID_ARGUMENT, "rank is %d, must be in 1..%d", rank, GRAFT_MAX_RANK);
  if (shape == nullptr) fail(GRAFT_INVALID_ARGUMENT, "shape is NULL");
  graft_tensor tensor{};
  tensor.dtype = dtype;
  tensor.rank = rank;
  std::int64_t row_major = 1;
  for (int i = rank - 1; i >= 0; --i) {
    if (shape[i] < 0)
      fail(GRAFT_INVALID_ARGUMENT, "shape[%d] is %lld, must be >= 0", i, static_cast<long long>(shape[i]));
    if (stride != nullptr && stride[i] < 0)
      fail(GRAFT_INVALID_ARGUMENT, "stride[%d] is %lld, must be >= 0", i, static_cast<long long>(stride[i]));
    tensor.shape[i] = shape[i];
    tensor.stride[i] = stride != nullptr ? stride[i] : row_major;
    row_major = checked_multiply(row_major, shape[i]);
  }
  if (shape[rank - 1] > 1 && tensor.stride[rank - 1] != 1)
    fail(GRAFT_INVALID_ARGUMENT, "stride[%d] is %lld, the last dimension needs 1", rank - 1,
         static_cast<long long>(tensor.stride[rank - 1]));
  return tensor;
}

namespace {

/** In a view's descriptor: its memory ends with its last element, whatever the pitch. */
constexpr std::int32_t kEndsInRow = 1;

/** Elements that a tensor's views may reach. */
std::int64_t held_by(const graft_tensor& parent) { return span(parent, (parent.reserved & kEndsInRow) == 0); }

}  // namespace

std::int64_t span(const graft_tensor& tensor, bool whole_rows) {
  std::int64_t last = 0;
  for (int i = 0; i < tensor.rank; ++i) {
    if (tensor.shape[i] == 0) return 0;
    std::int64_t step = checked_multiply(tensor.shape[i] - 1, tensor.stride[i]);
    if (__builtin_add_overflow(last, step, &last)) fail(GRAFT_INVALID_ARGUMENT, "the size overflows 64 bits");
  }
  if (!whole_rows) return last + 1;
  const std::int64_t packed = checked_multiply(tensor.shape[0], tensor.stride[0]);
  return packed > last + 1 ? packed : last + 1;
}

void forget_handle(Context& context) {
  context.handles.fetch_sub(1);
  live_handles.fetch_sub(1);
}

std::int64_t allocate_into(Context& context, graft_memory_category category, graft_tensor& tensor) {
  if (category < 0 || category >= GRAFT_MEMORY_CATEGORIES)
    fail(GRAFT_INVALID_ARGUMENT, "category is %d, must be in 0..%d", category, GRAFT_MEMORY_CATEGORIES - 1);
  const std::int64_t bytes = checked_multiply(span(tensor, true), graft_dtype_bytes(tensor.dtype));
  tensor.device = context.device;
  // why: one byte at least, so that bytes > 0 says "owned" for empty tensors too.
  const std::int64_t counted = bytes > 0 ? bytes : 1;
  tensor.data = context.keeping == nullptr ? nullptr : context.keeping->memory.reuse(context, counted);
  const bool fresh = tensor.data == nullptr;
  if (fresh && context.opened == nullptr) tensor.data = map_large(counted);
  const bool zeroed = fresh && tensor.data != nullptr;
  if (tensor.data == nullptr) tensor.data = allocate_on(context.opened.get(), counted);
  if (!zeroed) zero_on(context.opened.get(), tensor.data, counted);
  context.memory.add(category, counted);
  return counted;
}

void release(Context& context, graft_memory_category category, void* memory, std::int64_t bytes) {
  if (bytes == 0) return;
  context.memory.add(category, -bytes);
  context.keeping == nullptr ? free_on(context.opened.get(), memory)
                             : context.keeping->memory.keep(context, memory, bytes);
}

namespace {

/** Calls copy(elements of the tensor, bytes of the host) for each row, or once where there are no gaps. */
template <class Copy>
void for_rows(Context& context, const graft_tensor* tensor, const void* host, std::int64_t bytes, Copy&& copy) {
  check_tensor("tensor", tensor);
  const std::int64_t size = graft_dtype_bytes(tensor->dtype), count = elements(*tensor);
  if (bytes != count * size)
    fail(GRAFT_INVALID_ARGUMENT, "bytes is %lld, %s has %lld", static_cast<long long>(bytes),
         describe("tensor", tensor).c_str(), static_cast<long long>(count * size));
  if (count == 0) return;
  if (host == nullptr) fail(GRAFT_INVALID_ARGUMENT, "host is NULL");
  check_may_wait(context);
  const std::int64_t row = is_contiguous(*tensor) ? count : tensor->shape[tensor->rank - 1];
  for (std::int64_t first = 0; first < count; first += row) {
    std::int64_t offset = 0, rest = first;
    for (int i = tensor->rank - 1; i >= 0; --i) {
      offset += rest % tensor->shape[i] * tensor->stride[i];
      rest /= tensor->shape[i];
    }
    copy(static_cast<char*>(tensor->data) + offset * size, first * size, row * size);
  }
}

}  // namespace
}  // namespace graft::core

using namespace graft::core;

extern "C" {

int64_t graft_dtype_bytes(graft_dtype dtype) {
  switch (dtype) {
    case GRAFT_DTYPE_F64:
    case GRAFT_DTYPE_I64:
      return 8;
    case GRAFT_DTYPE_F32:
    case GRAFT_DTYPE_I32:
      return 4;
    case GRAFT_DTYPE_BF16:
    case GRAFT_DTYPE_F16:
      return 2;
    case GRAFT_DTYPE_U8:
      return 1;
  }
  return 0;
}

graft_status graft_tensor_create(graft_context* context, graft_memory_category category, graft_dtype dtype,
                                 int32_t rank, const int64_t* shape, const int64_t* stride, graft_tensor** tensor) {
  return guard("graft_tensor_create", [&] {
    if (tensor == nullptr) fail(GRAFT_INVALID_ARGUMENT, "tensor is NULL");
    *tensor = nullptr;
    Context& c = context_of(context);
    auto owned = std::make_unique<OwnedTensor>(OwnedTensor{make_descriptor(dtype, rank, shape, stride), 0, category});
    owned->bytes = allocate_into(c, category, owned->descriptor);
    publish(c, std::move(owned), tensor);
  });
}

graft_status graft_tensor_wrap(graft_context* context, void* data, graft_dtype dtype, int32_t rank,
                               const int64_t* shape, const int64_t* stride, graft_tensor** tensor) {
  return guard("graft_tensor_wrap", [&] {
    if (tensor == nullptr) fail(GRAFT_INVALID_ARGUMENT, "tensor is NULL");
    *tensor = nullptr;
    Context& c = context_of(context);
    auto owned = std::make_unique<OwnedTensor>(
        OwnedTensor{make_descriptor(dtype, rank, shape, stride), 0, GRAFT_MEMORY_ACTIVATION});
    owned->descriptor.data = data;
    owned->descriptor.device = c.device;
    check_tensor("tensor", &owned->descriptor);
    publish(c, std::move(owned), tensor);
  });
}

graft_status graft_tensor_view(graft_context* context, const graft_tensor* parent, int64_t offset, int32_t rank,
                               const int64_t* shape, const int64_t* stride, graft_tensor** tensor) {
  return guard("graft_tensor_view", [&] {
    if (tensor == nullptr) fail(GRAFT_INVALID_ARGUMENT, "tensor is NULL");
    *tensor = nullptr;
    Context& c = context_of(context);
    check_tensor("parent", parent);
    auto owned = std::make_unique<OwnedTensor>(
        OwnedTensor{make_descriptor(parent->dtype, rank, shape, stride), 0, GRAFT_MEMORY_ACTIVATION});
    const std::int64_t needed = span(owned->descriptor, false), held = held_by(*parent);
    if (offset < 0 || offset > held || needed > held - offset)
      fail(GRAFT_INVALID_ARGUMENT, "%s from element %lld needs %lld elements, the parent %s has %lld",
           describe("the view", &owned->descriptor).c_str(), static_cast<long long>(offset),
           static_cast<long long>(needed), describe("tensor", parent).c_str(), static_cast<long long>(held));
    if (span(owned->descriptor, true) > held - offset) owned->descriptor.reserved |= kEndsInRow;
    owned->descriptor.device = parent->device;
    owned->descriptor.data = static_cast<char*>(parent->data) + offset * graft_dtype_bytes(parent->dtype);
    publish(c, std::move(owned), tensor);
  });
}

graft_status graft_tensor_upload(graft_context* context, graft_tensor* tensor, const void* host, int64_t bytes) {
  return guard("graft_tensor_upload", [&] {
    Context& c = context_of(context);
    for_rows(c, tensor, host, bytes, [&](void* memory, std::int64_t at, std::int64_t length) {
      upload_to(c.opened.get(), memory, static_cast<const char*>(host) + at, length);
    });
  });
}

graft_status graft_tensor_download(graft_context* context, const graft_tensor* tensor, void* host, int64_t bytes) {
  return guard("graft_tensor_download", [&] {
    Context& c = context_of(context);
    if (c.opened != nullptr && c.keeping == nullptr) c.opened->synchronize();
    for_rows(c, tensor, host, bytes, [&](const void* memory, std::int64_t at, std::int64_t length) {
      download_from(c.opened.get(), static_cast<char*>(host) + at, memory, length);
    });
  });
}

graft_status graft_tensor_destroy(graft_context* context, graft_tensor* tensor) {
  return guard("graft_tensor_destroy", [&] {
    if (tensor == nullptr) return;
    Context& c = context_of(context);
    const auto owned = take_back(c, "tensor", tensor);
    release(c, owned->category, owned->descriptor.data, owned->bytes);
  });
}
}
