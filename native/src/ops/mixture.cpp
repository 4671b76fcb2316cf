#include "ops/mixture.h"

#include "core/error.h"
#include "core/tensor_check.h"
#include "graft/ops/mixture.h"
#include "ops/dispatch.h"

namespace graft::ops {
using namespace core;
namespace {

void check_matrix(const char* name, const graft_tensor* tensor) {
  check_tensor(name, tensor);
  check_float(name, *tensor);
  check_shape(name, *tensor, {-1, -1});
}

/** Of this shape, and of the dtype of another. */
void check_as(const char* name, const graft_tensor* tensor, std::int64_t rows, std::int64_t columns,
              const char* other_name, const graft_tensor& other) {
  check_tensor(name, tensor);
  check_shape(name, *tensor, {rows, columns});
  check_same_dtype(name, *tensor, other_name, other);
}

/** gates [T, E] beside x [T, E·r]; T and E·r are x's. */
void check_blocks(const graft_tensor* x, const graft_tensor* gates) {
  check_matrix("x", x);
  check_as("gates", gates, x->shape[0], -1, "x", *x);
  const std::int64_t experts = gates->shape[1];
  if (experts == 0 || x->shape[1] % experts != 0)
    fail(GRAFT_SHAPE_MISMATCH, "%s has no block for each column of %s", describe("x", x).c_str(),
         describe("gates", gates).c_str());
}

void check_vectors(const graft_tensor* x, const graft_tensor* gates, const graft_tensor* v) {
  check_matrix("x", x);
  check_matrix("v", v);
  check_as("gates", gates, x->shape[0], v->shape[0], "x", *x);
  check_shape("v", *v, {-1, x->shape[1]});
}

}  // namespace

void MixtureRouteForward::check() const {
  check_matrix("logits", logits);
  check_as("gates", gates, logits->shape[0], logits->shape[1], "logits", *logits);
  if (top_k < 1 || top_k > logits->shape[1])
    fail(GRAFT_INVALID_ARGUMENT, "top_k is %lld, must be in 1..%lld", static_cast<long long>(top_k),
         static_cast<long long>(logits->shape[1]));
  check_no_overlap("gates", gates, "logits", logits, true);
}

void MixtureRouteBackward::check() const {
  check_matrix("logits", logits);
  const std::int64_t rows = logits->shape[0], experts = logits->shape[1];
  check_as("gates", gates, rows, experts, "logits", *logits);
  check_as("dlogits", dlogits, rows, experts, "logits", *logits);
  check_no_overlap("dlogits", dlogits, "logits", logits);
  check_no_overlap("dlogits", dlogits, "gates", gates);
  if (dgates != nullptr) {
    check_as("dgates", dgates, rows, experts, "logits", *logits);
    check_no_overlap("dlogits", dlogits, "dgates", dgates, true);
  }
  check_finite("balance", balance);
  if (balance < 0) fail(GRAFT_INVALID_ARGUMENT, "balance is %g, must be >= 0", balance);
  if (lengths != nullptr) {
    check_tensor("lengths", lengths);
    check_dtype("lengths", *lengths, GRAFT_DTYPE_I32);
    check_shape("lengths", *lengths, {-1});
    const std::int64_t batch = lengths->shape[0];
    if (batch == 0 ? rows != 0 : rows % batch != 0)
      fail(GRAFT_SHAPE_MISMATCH, "%s does not divide the %lld rows of logits", describe("lengths", lengths).c_str(),
           static_cast<long long>(rows));
    check_no_overlap("dlogits", dlogits, "lengths", lengths);
  }
  check_optional("loss", loss);
  if (loss == nullptr) return;
  check_dtype("loss", *loss, accumulator_dtype(logits->dtype));
  check_shape("loss", *loss, {1});
  check_no_overlap("loss", loss, "logits", logits);
  check_no_overlap("loss", loss, "gates", gates);
  check_no_overlap("loss", loss, "dgates", dgates);
  check_no_overlap("loss", loss, "lengths", lengths);
  check_no_overlap("dlogits", dlogits, "loss", loss);
}

void MixtureBlocksForward::check() const {
  check_blocks(x, gates);
  check_as("y", y, x->shape[0], x->shape[1], "x", *x);
  check_finite("scale", scale);
  check_no_overlap("y", y, "x", x, true);
  check_no_overlap("y", y, "gates", gates);
}

void MixtureBlocksBackward::check() const {
  check_blocks(x, gates);
  check_as("dy", dy, x->shape[0], x->shape[1], "x", *x);
  check_finite("scale", scale);
  if (dx != nullptr) {
    check_as("dx", dx, x->shape[0], x->shape[1], "x", *x);
    check_no_overlap("dx", dx, "dy", dy, true);
    check_no_overlap("dx", dx, "x", x);
    check_no_overlap("dx", dx, "gates", gates);
  }
  if (dgates == nullptr) return;
  check_as("dgates", dgates, gates->shape[0], gates->shape[1], "x", *x);
  for (const auto& [name, input] : {std::pair{"dy", dy}, {"x", x}, {"gates", gates}})
    check_no_overlap("dgates", dgates, name, input);
  check_no_overlap("dgates", dgates, "dx", dx);
}

void MixtureVectorsForward::check() const {
  check_vectors(x, gates, v);
  check_as("y", y, x->shape[0], x->shape[1], "x", *x);
  check_no_overlap("y", y, "x", x, !accumulate);
  check_no_overlap("y", y, "gates", gates);
  check_no_overlap("y", y, "v", v);
}

void MixtureVectorsBackward::check() const {
  check_vectors(x, gates, v);
  check_as("dy", dy, x->shape[0], x->shape[1], "x", *x);
  if (dx != nullptr) {
    check_as("dx", dx, x->shape[0], x->shape[1], "x", *x);
    check_no_overlap("dx", dx, "dy", dy, true);
    for (const auto& [name, input] : {std::pair{"x", x}, {"gates", gates}, {"v", v}})
      check_no_overlap("dx", dx, name, input);
  }
  if (dgates != nullptr) check_as("dgates", dgates, gates->shape[0], gates->shape[1], "x", *x);
  check_optional("dv", dv);
  if (dv != nullptr) {
    check_same_shape("dv", *dv, "v", *v);
    check_dtype("dv", *dv, accumulator_dtype(x->dtype));
  }
  for (const auto& [name, output] : {std::pair{"dgates", dgates}, {"dv", dv}}) {
    for (const auto& [input_name, input] : {std::pair{"dy", dy}, {"x", x}, {"gates", gates}, {"v", v}})
      check_no_overlap(name, output, input_name, input);
    check_no_overlap(name, output, "dx", dx);
  }
  check_no_overlap("dv", dv, "dgates", dgates);
}

void MixtureCombineForward::check() const {
  check_blocks(x, gates);
  check_as("y", y, x->shape[0], x->shape[1] / gates->shape[1], "x", *x);
  check_no_overlap("y", y, "x", x);
  check_no_overlap("y", y, "gates", gates);
}

void MixtureCombineBackward::check() const {
  check_matrix("dy", dy);
  check_optional("x", x);
  check_optional("gates", gates);
  if (dgates != nullptr && x == nullptr) fail(GRAFT_INVALID_ARGUMENT, "x is NULL, but dgates is wanted");
  if (dx != nullptr && gates == nullptr) fail(GRAFT_INVALID_ARGUMENT, "gates is NULL, but dx is wanted");
  const std::int64_t rows = dy->shape[0], columns = dy->shape[1];
  if (dx != nullptr) {
    check_as("gates", gates, rows, -1, "dy", *dy);
    check_as("dx", dx, rows, gates->shape[1] * columns, "dy", *dy);
    for (const auto& [name, input] : {std::pair{"dy", dy}, {"x", x}, {"gates", gates}})
      check_no_overlap("dx", dx, name, input);
  }
  if (dgates == nullptr) return;
  check_as("dgates", dgates, rows, -1, "dy", *dy);
  check_as("x", x, rows, dgates->shape[1] * columns, "dy", *dy);
  for (const auto& [name, input] : {std::pair{"dy", dy}, {"x", x}, {"gates", gates}})
    check_no_overlap("dgates", dgates, name, input);
  check_no_overlap("dgates", dgates, "dx", dx);
}

}  // namespace graft::ops

using namespace graft;

extern "C" {

graft_status graft_mixture_route_forward(graft_context* context, const graft_tensor* logits, int64_t top_k,
                                         int32_t among_all, graft_tensor* gates) {
  return core::guard("graft_mixture_route_forward", [&] {
    dispatch(context, ops::MixtureRouteForward{logits, top_k, among_all != 0, gates});
  });
}

graft_status graft_mixture_route_backward(graft_context* context, const graft_tensor* logits, const graft_tensor* gates,
                                          const graft_tensor* dgates, int32_t among_all, double balance,
                                          const graft_tensor* lengths, graft_tensor* dlogits, graft_tensor* loss) {
  return core::guard("graft_mixture_route_backward", [&] {
    dispatch(context,
             ops::MixtureRouteBackward{logits, gates, dgates, among_all != 0, balance, lengths, dlogits, loss});
  });
}

graft_status graft_mixture_blocks_forward(graft_context* context, const graft_tensor* x, const graft_tensor* gates,
                                          double scale, graft_tensor* y) {
  return core::guard("graft_mixture_blocks_forward", [&] {
    dispatch(context, ops::MixtureBlocksForward{x, gates, scale, y});
  });
}

graft_status graft_mixture_blocks_backward(graft_context* context, const graft_tensor* dy, const graft_tensor* x,
                                           const graft_tensor* gates, double scale, graft_tensor* dx,
                                           graft_tensor* dgates) {
  return core::guard("graft_mixture_blocks_backward", [&] {
    dispatch(context, ops::MixtureBlocksBackward{dy, x, gates, scale, dx, dgates});
  });
}

graft_status graft_mixture_vectors_forward(graft_context* context, const graft_tensor* x, const graft_tensor* gates,
                                           const graft_tensor* v, int32_t accumulate, graft_tensor* y) {
  return core::guard("graft_mixture_vectors_forward", [&] {
    dispatch(context, ops::MixtureVectorsForward{x, gates, v, accumulate != 0, y});
  });
}

graft_status graft_mixture_vectors_backward(graft_context* context, const graft_tensor* dy, const graft_tensor* x,
                                            const graft_tensor* gates, const graft_tensor* v, graft_tensor* dx,
                                            graft_tensor* dgates, graft_tensor* dv) {
  return core::guard("graft_mixture_vectors_backward", [&] {
    dispatch(context, ops::MixtureVectorsBackward{dy, x, gates, v, dx, dgates, dv});
  });
}

graft_status graft_mixture_combine_forward(graft_context* context, const graft_tensor* x, const graft_tensor* gates,
                                           graft_tensor* y) {
  return core::guard("graft_mixture_combine_forward", [&] {
    dispatch(context, ops::MixtureCombineForward{x, gates, y});
  });
}

graft_status graft_mixture_combine_backward(graft_context* context, const graft_tensor* dy, const graft_tensor* x,
                                            const graft_tensor* gates, int32_t accumulate, graft_tensor* dx,
                                            graft_tensor* dgates) {
  return core::guard("graft_mixture_combine_backward", [&] {
    dispatch(context, ops::MixtureCombineBackward{dy, x, gates, accumulate != 0, dx, dgates});
  });
}
}
