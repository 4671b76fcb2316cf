#include "ops/dora.h"

#include "core/tensor_check.h"
#include "graft/ops/dora.h"
#include "ops/dispatch.h"

namespace graft::ops {
using namespace core;

namespace {

// A vector [N] that goes with W.
void check_rows(const char* name, const graft_tensor* vector, const graft_weight& w) {
  check_tensor(name, vector);
  check_float(name, *vector);
  check_shape(name, *vector, {w.n});
}

void check_magnitude(const graft_tensor* m, const graft_tensor* norm, const graft_weight& w) {
  check_rows("m", m, w);
  check_rows("norm", norm, w);
}

}  // namespace

graft_tensor matrix_tensor(void* data, graft_dtype dtype, std::int64_t rows, std::int64_t columns, std::int64_t pitch) {
  return {data, dtype, GRAFT_DEVICE_CPU, 2, 0, {rows, columns}, {pitch, 1}};
}

graft_tensor columns_of(const graft_tensor& matrix, std::int64_t first, std::int64_t count) {
  graft_tensor part = matrix;
  part.shape[1] = count;
  if (matrix.data != nullptr)
    part.data = static_cast<char*>(matrix.data) + first * matrix.stride[1] * graft_dtype_bytes(matrix.dtype);
  return part;
}

void DoraSquaredNorms::check() const {
  check_dense("w", w);
  check_rows("squared", squared, *w);
  check_dtype("squared", *squared, accumulator_dtype(w->storage.dtype));
  check_no_overlap("squared", squared, "w", &w->storage);
}

void DoraNorms::check() const {
  check_adapter(w, a, b, scale);
  check_dense("w", w);
  check_rows("squared", squared, *w);
  check_rows("norm", norm, *w);
  check_dtype("norm", *norm, accumulator_dtype(w->storage.dtype));
  check_no_overlap("norm", norm, "w", &w->storage);
  check_no_overlap("norm", norm, "a", a);
  check_no_overlap("norm", norm, "b", b);
  check_no_overlap("norm", norm, "squared", squared, true);
}

void DoraForward::check() const {
  lora.check();
  check_dense("w", lora.w);
  check_magnitude(m, norm, *lora.w);
  check_no_overlap("y", lora.y, "m", m);
  check_no_overlap("y", lora.y, "norm", norm);
  check_optional("kept", kept);
  if (kept == nullptr) return;
  check_shape("kept", *kept, {lora.x->shape[0], lora.w->n + lora.a->shape[0]});
  check_same_dtype("kept", *kept, "x", *lora.x);
  for (const auto& [name, tensor] : {std::pair<const char*, const graft_tensor*>{"x", lora.x},
                                     {"y", lora.y},
                                     {"w", &lora.w->storage},
                                     {"a", lora.a},
                                     {"b", lora.b},
                                     {"m", m},
                                     {"norm", norm},
                                     {"bias", lora.bias}})
    check_no_overlap("kept", kept, name, tensor);
}

void DoraBackward::check() const {
  LoraBackward layer = lora;
  layer.db = nullptr;  // why: its S is a part of kept, which is looked at below
  layer.check();
  check_dense("w", lora.w);
  check_magnitude(m, norm, *lora.w);
  check_optional("kept", kept);
  check_optional("db", lora.db);
  check_optional("dm", dm);
  if (kept == nullptr) {
    for (const auto& [name, wanted] : {std::pair<const char*, const graft_tensor*>{"db", lora.db}, {"dm", dm}})
      if (wanted != nullptr) fail(GRAFT_INVALID_ARGUMENT, "kept is NULL, but %s is wanted", name);
    return;
  }
  check_shape("kept", *kept, {lora.dy->shape[0], lora.w->n + lora.a->shape[0]});
  check_same_dtype("kept", *kept, "dy", *lora.dy);
  const graft_tensor low = columns_of(*kept, lora.w->n, lora.a->shape[0]);
  layer.db = lora.db;
  layer.s = &low;
  layer.check();
  for (const auto& [name, output] : {std::pair<const char*, const graft_tensor*>{"dx", lora.dx},
                                     {"da", lora.da},
                                     {"db", lora.db},
                                     {"dbias", lora.dbias}}) {
    check_no_overlap(name, output, "kept", kept);
    check_no_overlap(name, output, "m", m);
    check_no_overlap(name, output, "norm", norm);
    check_no_overlap("dm", dm, name, output);
  }
  if (dm == nullptr) return;
  check_shape("dm", *dm, {lora.w->n});
  check_dtype("dm", *dm, accumulator_dtype(lora.dy->dtype));
  for (const auto& [name, input] : {std::pair<const char*, const graft_tensor*>{"dy", lora.dy},
                                    {"x", lora.x},
                                    {"kept", kept},
                                    {"w", &lora.w->storage},
                                    {"m", m},
                                    {"norm", norm}})
    check_no_overlap("dm", dm, name, input);
}

void DoraMerge::check() const {
  lora.check();
  check_magnitude(m, norm, *lora.w);
  check_no_overlap("merged", lora.merged, "m", m);
  check_no_overlap("merged", lora.merged, "norm", norm);
}

}  // namespace graft::ops

using namespace graft;

extern "C" {

graft_status graft_dora_squared_norms(graft_context* context, const graft_weight* w, graft_tensor* squared) {
  return core::guard("graft_dora_squared_norms", [&] { dispatch(context, ops::DoraSquaredNorms{w, squared}); });
}

graft_status graft_dora_norms(graft_context* context, const graft_weight* w, const graft_tensor* squared,
                              const graft_tensor* a, const graft_tensor* b, double scale, graft_tensor* norm) {
  return core::guard("graft_dora_norms", [&] { dispatch(context, ops::DoraNorms{w, squared, a, b, scale, norm}); });
}

graft_status graft_dora_forward(graft_context* context, const graft_tensor* x, const graft_weight* w,
                                const graft_tensor* a, const graft_tensor* b, double scale, const graft_tensor* m,
                                const graft_tensor* norm, const graft_tensor* bias, double dropout, uint64_t seed,
                                uint64_t offset, int32_t accumulate, graft_tensor* y, graft_tensor* kept) {
  return core::guard("graft_dora_forward", [&] {
    const ops::LoraForward lora{x, w, a, b, scale, bias, {dropout, seed, offset}, accumulate != 0, y, nullptr};
    dispatch(context, ops::DoraForward{lora, m, norm, kept});
  });
}

graft_status graft_dora_backward(graft_context* context, const graft_tensor* dy, const graft_tensor* x,
                                 const graft_tensor* kept, const graft_weight* w, const graft_tensor* a,
                                 const graft_tensor* b, double scale, const graft_tensor* m, const graft_tensor* norm,
                                 double dropout, uint64_t seed, uint64_t offset, int32_t accumulate, graft_tensor* dx,
                                 graft_tensor* da, graft_tensor* db, graft_tensor* dm, graft_tensor* dbias) {
  return core::guard("graft_dora_backward", [&] {
    const ops::LoraBackward lora{dy, x,  nullptr, w,    a, b, scale, {dropout, seed, offset}, accumulate != 0,
                                 dx, da, db,      dbias};
    dispatch(context, ops::DoraBackward{lora, kept, m, norm, dm});
  });
}

graft_status graft_dora_merge(graft_context* context, const graft_weight* w, const graft_tensor* a,
                              const graft_tensor* b, double scale, const graft_tensor* m, const graft_tensor* norm,
                              graft_tensor* merged) {
  return core::guard("graft_dora_merge", [&] { dispatch(context, ops::DoraMerge{{w, a, b, scale, merged}, m, norm}); });
}
}
