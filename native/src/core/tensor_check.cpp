#include "core/tensor_check.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "core/context.h"
#include "core/error.h"
#include "core/float_types.h"
#include "core/nf4.h"
#include "core/overlap.h"
#include "core/sketch.h"

namespace graft::core {
namespace {

std::string shape_text(const std::int64_t* shape, std::int64_t rank) {
  std::string text = "[";
  for (std::int64_t i = 0; i < rank; ++i) {
    if (i > 0) text += ", ";
    text += shape[i] < 0 ? "*" : std::to_string(shape[i]);
  }
  return text + "]";
}

}  // namespace

const char* dtype_name(graft_dtype dtype) {
  switch (dtype) {
    case GRAFT_DTYPE_F32:
      return "f32";
    case GRAFT_DTYPE_BF16:
      return "bf16";
    case GRAFT_DTYPE_F16:
      return "f16";
    case GRAFT_DTYPE_F64:
      return "f64";
    case GRAFT_DTYPE_I32:
      return "i32";
    case GRAFT_DTYPE_I64:
      return "i64";
    case GRAFT_DTYPE_U8:
      return "u8";
  }
  return "unknown dtype";
}

std::string describe(const char* name, const graft_tensor* tensor) {
  if (tensor == nullptr) return std::string(name) + " (NULL)";
  return std::string(name) + " " + shape_text(tensor->shape, tensor->rank) + " " + dtype_name(tensor->dtype);
}

bool is_float(graft_dtype dtype) {
  return dtype == GRAFT_DTYPE_F32 || dtype == GRAFT_DTYPE_BF16 || dtype == GRAFT_DTYPE_F16 || dtype == GRAFT_DTYPE_F64;
}

std::int64_t elements(const graft_tensor& tensor) {
  std::int64_t count = 1;
  for (int i = 0; i < tensor.rank; ++i) count *= tensor.shape[i];
  return count;
}

bool is_contiguous(const graft_tensor& tensor) {
  std::int64_t expected = 1;
  for (int i = tensor.rank - 1; i >= 0; --i) {
    if (tensor.shape[i] != 1 && tensor.stride[i] != expected) return false;
    expected *= tensor.shape[i];
  }
  return true;
}

void check_tensor(const char* name, const graft_tensor* tensor) {
  if (tensor == nullptr) fail(GRAFT_INVALID_ARGUMENT, "%s is NULL", name);
  if (graft_dtype_bytes(tensor->dtype) == 0)
    fail(GRAFT_INVALID_ARGUMENT, "%s has unknown dtype %d", name, tensor->dtype);
  if (tensor->rank < 1 || tensor->rank > GRAFT_MAX_RANK)
    fail(GRAFT_INVALID_ARGUMENT, "%s has rank %d, must be in 1..%d", name, tensor->rank, GRAFT_MAX_RANK);
  if (tensor->device != current_device())
    fail(GRAFT_INVALID_ARGUMENT, "%s is on device %d, the context is on %s", name, tensor->device,
         device_name(current_device()));
  for (int i = 0; i < tensor->rank; ++i) {
    if (tensor->shape[i] < 0 || tensor->stride[i] < 0)
      fail(GRAFT_INVALID_ARGUMENT, "%s has size %lld and stride %lld in dimension %d, must be >= 0", name,
           static_cast<long long>(tensor->shape[i]), static_cast<long long>(tensor->stride[i]), i);
  }
  if (tensor->shape[tensor->rank - 1] > 1 && tensor->stride[tensor->rank - 1] != 1)
    fail(GRAFT_INVALID_ARGUMENT, "%s has stride %lld in its last dimension, must be 1", name,
         static_cast<long long>(tensor->stride[tensor->rank - 1]));
  if (tensor->data == nullptr && elements(*tensor) > 0)
    fail(GRAFT_INVALID_ARGUMENT, "%s has no memory (data is NULL)", describe(name, tensor).c_str());
}

void check_optional(const char* name, const graft_tensor* tensor) {
  if (tensor != nullptr) check_tensor(name, tensor);
}

void check_float(const char* name, const graft_tensor& tensor) {
  if (!is_float(tensor.dtype))
    fail(GRAFT_INVALID_ARGUMENT, "%s must be f32, bf16, f16 or f64", describe(name, &tensor).c_str());
}

void check_id(const char* name, const graft_tensor& tensor) {
  if (tensor.dtype != GRAFT_DTYPE_I32 && tensor.dtype != GRAFT_DTYPE_I64)
    fail(GRAFT_INVALID_ARGUMENT, "%s must be i32 or i64", describe(name, &tensor).c_str());
}

void check_ids(const char* name, const graft_tensor& ids, std::int64_t count) {
  if (!values_known) return;
  visit_id(ids.dtype, [&](auto tag) {
    using Id = decltype(tag);
    for (std::int64_t t = 0; t < ids.shape[0]; ++t) {
      const Id id = static_cast<const Id*>(ids.data)[t];
      if (id < 0 || id >= count)
        fail(GRAFT_INVALID_ARGUMENT, "%s[%lld] is %lld, must be in 0..%lld", name, static_cast<long long>(t),
             static_cast<long long>(id), static_cast<long long>(count - 1));
    }
  });
}

// Nothing to sort, and so no memory to take, where they ascend.
void check_different(const char* name, const graft_tensor& ids) {
  if (!values_known) return;
  visit_id(ids.dtype, [&](auto tag) {
    using Id = decltype(tag);
    const Id* first = static_cast<const Id*>(ids.data);
    const Id* last = first + ids.shape[0];
    if (std::adjacent_find(first, last, std::greater_equal<>()) == last) return;
    std::vector<Id> sorted(first, last);
    std::sort(sorted.begin(), sorted.end());
    const auto twice = std::adjacent_find(sorted.begin(), sorted.end());
    if (twice != sorted.end()) fail(GRAFT_INVALID_ARGUMENT, "%s hold %lld twice", name, static_cast<long long>(*twice));
  });
}

void check_dtype(const char* name, const graft_tensor& tensor, graft_dtype dtype) {
  if (tensor.dtype != dtype)
    fail(GRAFT_INVALID_ARGUMENT, "%s must be %s", describe(name, &tensor).c_str(), dtype_name(dtype));
}

void check_same_dtype(const char* name, const graft_tensor& tensor, const char* other_name, const graft_tensor& other) {
  if (tensor.dtype != other.dtype)
    fail(GRAFT_INVALID_ARGUMENT, "%s but %s: must be of one dtype", describe(name, &tensor).c_str(),
         describe(other_name, &other).c_str());
}

graft_dtype accumulator_dtype(graft_dtype dtype) {
  return dtype == GRAFT_DTYPE_F64 ? GRAFT_DTYPE_F64 : GRAFT_DTYPE_F32;
}

void check_shape(const char* name, const graft_tensor& tensor, std::initializer_list<std::int64_t> shape) {
  bool fits = tensor.rank == static_cast<int>(shape.size());
  for (int i = 0; fits && i < tensor.rank; ++i) fits = shape.begin()[i] < 0 || shape.begin()[i] == tensor.shape[i];
  if (!fits)
    fail(GRAFT_SHAPE_MISMATCH, "%s must be %s", describe(name, &tensor).c_str(),
         shape_text(shape.begin(), static_cast<std::int64_t>(shape.size())).c_str());
}

void check_same_shape(const char* name, const graft_tensor& tensor, const char* other_name, const graft_tensor& other) {
  bool same = tensor.rank == other.rank;
  for (int i = 0; same && i < tensor.rank; ++i) same = tensor.shape[i] == other.shape[i];
  if (!same)
    fail(GRAFT_SHAPE_MISMATCH, "%s but %s: must have one shape", describe(name, &tensor).c_str(),
         describe(other_name, &other).c_str());
}

void check_no_overlap(const char* name, const graft_tensor* output, const char* other_name, const graft_tensor* input,
                      bool same_is_fine) {
  if (output == nullptr || input == nullptr) return;
  if (!share_memory(*output, *input)) return;
  if (same_is_fine && output->data == input->data && output->dtype == input->dtype && output->rank == input->rank) {
    bool same = true;
    for (int i = 0; i < output->rank; ++i) same = same && output->stride[i] == input->stride[i];
    if (same) return;
  }
  fail(GRAFT_INVALID_ARGUMENT, "%s overlaps %s in memory", describe(name, output).c_str(),
       describe(other_name, input).c_str());
}

void check_no_overlap(const char* name, const graft_tensor* output, const char* weight_name,
                      const graft_weight* weight) {
  check_no_overlap(name, output, weight_name, &weight->storage);
  if (weight->kind == GRAFT_WEIGHT_DENSE) return;
  for (const graft_tensor* part : {&weight->absmax, &weight->nested_absmax, &weight->nested_offset, &weight->table})
    if (part->rank > 0) check_no_overlap(name, output, weight_name, part);
}

const char* kind_name(graft_weight_kind kind) {
  switch (kind) {
    case GRAFT_WEIGHT_DENSE:
      return "dense";
    case GRAFT_WEIGHT_NF4:
      return "NF4";
    case GRAFT_WEIGHT_SKETCH:
      return "a sketch";
  }
  return "unknown";
}

namespace {

void check_nf4(const std::string& name, const graft_weight& w) {
  const std::int64_t blocks = ceil_div(w.n * w.k, kNf4Block);
  const auto check_part = [&](const char* part, const graft_tensor& tensor, graft_dtype dtype, std::int64_t size) {
    const std::string full = name + "'s " + part;
    check_tensor(full.c_str(), &tensor);
    check_dtype(full.c_str(), tensor, dtype);
    check_shape(full.c_str(), tensor, {size});
  };
  check_part("codes", w.storage, GRAFT_DTYPE_U8, ceil_div(w.n * w.k, 2));
  const bool nested = w.absmax.dtype == GRAFT_DTYPE_U8;
  check_part("absmax", w.absmax, nested ? GRAFT_DTYPE_U8 : GRAFT_DTYPE_F32, blocks);
  if (!nested) return;
  check_part("nested_absmax", w.nested_absmax, GRAFT_DTYPE_F32, ceil_div(blocks, kNestedBlock));
  check_part("nested_offset", w.nested_offset, GRAFT_DTYPE_F32, 1);
}

void check_sketch(const std::string& name, const graft_weight& w) {
  check_sketch_table((name + "'s table").c_str(), w.table, w.n, w.k);
  const SketchLayout layout(w.table, w.k);
  const std::string codes = name + "'s codes";
  check_tensor(codes.c_str(), &w.storage);
  check_dtype(codes.c_str(), w.storage, GRAFT_DTYPE_U8);
  check_shape(codes.c_str(), w.storage, {w.n, layout.groups, layout.blocks, layout.block_bytes()});
  check_contiguous(codes.c_str(), w.storage);
}

}  // namespace

void check_contiguous(const char* name, const graft_tensor& tensor) {
  if (!is_contiguous(tensor))
    fail(GRAFT_INVALID_ARGUMENT, "%s has gaps, must be row-major without", describe(name, &tensor).c_str());
}

void check_sketch_table(const char* name, const graft_tensor& table, std::int64_t n, std::int64_t k) {
  check_tensor(name, &table);
  check_float(name, table);
  check_shape(name, table, {n, -1, -1});
  check_contiguous(name, table);
  const std::int64_t groups = table.shape[1], entries = table.shape[2];
  if (entries != 16 && entries != 8 && entries != 4)
    fail(GRAFT_SHAPE_MISMATCH, "%s must have 16, 8 or 4 entries", describe(name, &table).c_str());
  if (groups == 0 || k % groups != 0)
    fail(GRAFT_SHAPE_MISMATCH, "%s has groups that do not divide k, which is %lld", describe(name, &table).c_str(),
         static_cast<long long>(k));
}

void check_weight(const char* name, const graft_weight* weight) {
  if (weight == nullptr) fail(GRAFT_INVALID_ARGUMENT, "%s is NULL", name);
  if (weight->kind < GRAFT_WEIGHT_DENSE || weight->kind > GRAFT_WEIGHT_SKETCH)
    fail(GRAFT_INVALID_ARGUMENT, "%s has unknown kind %d", name, weight->kind);
  if (weight->border < 0 || weight->n < 0 || weight->k < 0)
    fail(GRAFT_INVALID_ARGUMENT, "%s has n %lld, k %lld, border %d, must be >= 0", name,
         static_cast<long long>(weight->n), static_cast<long long>(weight->k), weight->border);
  if (weight->kind == GRAFT_WEIGHT_NF4) return check_nf4(name, *weight);
  if (weight->kind == GRAFT_WEIGHT_SKETCH) return check_sketch(name, *weight);
  check_tensor(name, &weight->storage);
  check_float(name, weight->storage);
  check_shape(name, weight->storage, {weight->n + weight->border, weight->k + weight->border});
}

void check_dense(const char* name, const graft_weight* weight) {
  check_weight(name, weight);
  if (weight->kind != GRAFT_WEIGHT_DENSE)
    fail(GRAFT_UNSUPPORTED, "%s is %s, must be dense", name, kind_name(weight->kind));
}

void check_served_dtype(const char* name, const graft_tensor& tensor, const char* weight_name,
                        const graft_weight& weight) {
  if (weight.kind == GRAFT_WEIGHT_DENSE) return check_same_dtype(name, tensor, weight_name, weight.storage);
  check_float(name, tensor);
}

graft_tensor dense_matrix(const graft_weight& weight) {
  graft_tensor matrix = weight.storage;
  matrix.shape[0] = weight.n;
  matrix.shape[1] = weight.k;
  return matrix;
}

void check_merged(const char* name, const graft_weight* weight, const graft_tensor* merged) {
  check_dense(name, weight);
  check_tensor("merged", merged);
  const graft_tensor matrix = dense_matrix(*weight);
  check_same_shape("merged", *merged, name, matrix);
  check_same_dtype("merged", *merged, name, matrix);
  check_no_overlap("merged", merged, name, &matrix, true);
}

void check_finite(const char* name, double value) {
  if (!std::isfinite(value)) fail(GRAFT_INVALID_ARGUMENT, "%s is %g, must be finite", name, value);
}

}  // namespace graft::core
