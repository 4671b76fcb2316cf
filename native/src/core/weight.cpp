// Descriptors and memory of weights: make, wrap, destroy. All tensors of one weight lie in one piece of memory.
#include "graft/weight.h"

#include "core/device.h"
#include "core/error.h"
#include "core/handle.h"
#include "core/nf4.h"
#include "core/sketch.h"
#include "core/tensor_check.h"

namespace graft::core {
namespace {

using OwnedWeight = Owned<graft_weight>;

std::unique_ptr<OwnedWeight> owned_weight(graft_memory_category category, graft_weight_kind kind, std::int64_t n,
                                          std::int64_t k, std::int32_t border) {
  constexpr std::int64_t largest = std::int64_t{1} << 40;
  if (n < 0 || k < 0 || n > largest || k > largest)
    fail(GRAFT_INVALID_ARGUMENT, "n is %lld and k is %lld, must be in 0..2^40", static_cast<long long>(n),
         static_cast<long long>(k));
  if (border < 0) fail(GRAFT_INVALID_ARGUMENT, "border is %d, must be >= 0", border);
  auto owned = std::make_unique<OwnedWeight>();
  owned->descriptor.kind = kind;
  owned->descriptor.border = border;
  owned->descriptor.n = n;
  owned->descriptor.k = k;
  owned->category = category;
  return owned;
}

std::unique_ptr<OwnedWeight> sketch_weight(graft_memory_category category, const graft_tensor* table, std::int64_t k) {
  check_tensor("table", table);
  auto owned = owned_weight(category, GRAFT_WEIGHT_SKETCH, table->shape[0], k, 0);
  check_sketch_table("table", *table, table->shape[0], k);
  owned->descriptor.table = *table;
  return owned;
}

Context& start(graft_context* context, graft_weight** weight) {
  if (weight == nullptr) fail(GRAFT_INVALID_ARGUMENT, "weight is NULL");
  *weight = nullptr;
  return context_of(context);
}

}  // namespace
}  // namespace graft::core

using namespace graft::core;

extern "C" {

graft_status graft_weight_create_dense(graft_context* context, graft_memory_category category, graft_dtype dtype,
                                       int64_t n, int64_t k, int32_t border, graft_weight** weight) {
  return guard("graft_weight_create_dense", [&] {
    Context& c = start(context, weight);
    if (!is_float(dtype)) fail(GRAFT_INVALID_ARGUMENT, "dtype is %s, must be a float", dtype_name(dtype));
    auto owned = owned_weight(category, GRAFT_WEIGHT_DENSE, n, k, border);
    const std::int64_t row = static_cast<std::int64_t>(kAlignment) / graft_dtype_bytes(dtype);
    const std::int64_t shape[] = {n + border, k + border};
    const std::int64_t stride[] = {(k + border + row - 1) / row * row, 1};
    owned->descriptor.storage = make_descriptor(dtype, 2, shape, stride);
    owned->bytes = allocate_into(c, category, owned->descriptor.storage);
    publish(c, std::move(owned), weight);
  });
}

graft_status graft_weight_wrap_dense(graft_context* context, const graft_tensor* matrix, graft_weight** weight) {
  return guard("graft_weight_wrap_dense", [&] {
    Context& c = start(context, weight);
    check_tensor("matrix", matrix);
    check_float("matrix", *matrix);
    check_shape("matrix", *matrix, {-1, -1});
    auto owned = owned_weight(GRAFT_MEMORY_BASE, GRAFT_WEIGHT_DENSE, matrix->shape[0], matrix->shape[1], 0);
    owned->descriptor.storage = *matrix;
    publish(c, std::move(owned), weight);
  });
}

graft_status graft_weight_create_nf4(graft_context* context, graft_memory_category category, int64_t n, int64_t k,
                                     int32_t double_quantised, graft_weight** weight) {
  return guard("graft_weight_create_nf4", [&] {
    Context& c = start(context, weight);
    auto owned = owned_weight(category, GRAFT_WEIGHT_NF4, n, k, 0);
    graft_weight& w = owned->descriptor;
    const std::int64_t blocks = ceil_div(checked_multiply(n, k), kNf4Block);
    const auto vector = [&](graft_dtype dtype, std::int64_t size) { return make_descriptor(dtype, 1, &size, nullptr); };
    w.storage = vector(GRAFT_DTYPE_U8, ceil_div(n * k, 2));
    w.absmax = vector(double_quantised != 0 ? GRAFT_DTYPE_U8 : GRAFT_DTYPE_F32, blocks);
    graft_tensor* parts[] = {&w.storage, &w.absmax, &w.nested_absmax, &w.nested_offset};
    if (double_quantised != 0) {
      w.nested_absmax = vector(GRAFT_DTYPE_F32, ceil_div(blocks, kNestedBlock));
      w.nested_offset = vector(GRAFT_DTYPE_F32, 1);
    }
    std::int64_t offset[5] = {};
    for (int i = 0; i < 4; ++i) {
      const std::int64_t bytes = parts[i]->shape[0] * graft_dtype_bytes(parts[i]->dtype);
      offset[i + 1] = offset[i] + ceil_div(bytes, static_cast<std::int64_t>(kAlignment)) * kAlignment;
    }
    graft_tensor all = vector(GRAFT_DTYPE_U8, offset[4]);
    owned->bytes = allocate_into(c, category, all);
    for (int i = 0; i < (double_quantised != 0 ? 4 : 2); ++i) {
      parts[i]->data = static_cast<char*>(all.data) + offset[i];
      parts[i]->device = all.device;
    }
    publish(c, std::move(owned), weight);
  });
}

graft_status graft_weight_wrap_nf4(graft_context* context, int64_t n, int64_t k, const graft_tensor* codes,
                                   const graft_tensor* absmax, const graft_tensor* nested_absmax,
                                   const graft_tensor* nested_offset, graft_weight** weight) {
  return guard("graft_weight_wrap_nf4", [&] {
    Context& c = start(context, weight);
    auto owned = owned_weight(GRAFT_MEMORY_BASE, GRAFT_WEIGHT_NF4, n, k, 0);
    check_tensor("codes", codes);
    check_tensor("absmax", absmax);
    const bool nested = absmax->dtype == GRAFT_DTYPE_U8;
    if (!nested && (nested_absmax != nullptr || nested_offset != nullptr))
      fail(GRAFT_INVALID_ARGUMENT, "%s must be u8 with nested_absmax and nested_offset, or these two be NULL",
           describe("absmax", absmax).c_str());
    owned->descriptor.storage = *codes;
    owned->descriptor.absmax = *absmax;
    if (nested) {
      check_tensor("nested_absmax", nested_absmax);
      check_tensor("nested_offset", nested_offset);
      owned->descriptor.nested_absmax = *nested_absmax;
      owned->descriptor.nested_offset = *nested_offset;
    }
    check_weight("weight", &owned->descriptor);
    publish(c, std::move(owned), weight);
  });
}

graft_status graft_weight_create_sketch(graft_context* context, graft_memory_category category,
                                        const graft_tensor* table, int64_t k, graft_weight** weight) {
  return guard("graft_weight_create_sketch", [&] {
    Context& c = start(context, weight);
    auto owned = sketch_weight(category, table, k);
    const SketchLayout layout(*table, k);
    const std::int64_t shape[] = {table->shape[0], layout.groups, layout.blocks, layout.block_bytes()};
    owned->descriptor.storage = make_descriptor(GRAFT_DTYPE_U8, 4, shape, nullptr);
    owned->bytes = allocate_into(c, category, owned->descriptor.storage);
    publish(c, std::move(owned), weight);
  });
}

graft_status graft_weight_wrap_sketch(graft_context* context, const graft_tensor* codes, const graft_tensor* table,
                                      int64_t k, graft_weight** weight) {
  return guard("graft_weight_wrap_sketch", [&] {
    Context& c = start(context, weight);
    auto owned = sketch_weight(GRAFT_MEMORY_BASE, table, k);
    check_tensor("codes", codes);
    owned->descriptor.storage = *codes;
    check_weight("weight", &owned->descriptor);
    publish(c, std::move(owned), weight);
  });
}

graft_status graft_weight_destroy(graft_context* context, graft_weight* weight) {
  return guard("graft_weight_destroy", [&] {
    if (weight == nullptr) return;
    Context& c = context_of(context);
    const auto owned = take_back(c, "weight", weight);
    release(c, owned->category, owned->descriptor.storage.data, owned->bytes);
  });
}
}
