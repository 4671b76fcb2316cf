// A layer of which some weights are trained in place, and what rows, columns and entries of it promise alike.
#pragma once

#include "gradients.h"
#include "tensors.h"

namespace graft::test {

/** r different numbers below n, not in order. */
inline std::vector<double> spread(std::int64_t n, std::int64_t r) {
  std::vector<double> all;
  for (std::int64_t j = 0; j < r; ++j) all.push_back(static_cast<double>((r - 1 - j) * n / r));
  return all;
}

/** x [t, k], w [n, k] and the trained part d, whose elements are those of w at `places`, row-major. */
struct SelectedLayer {
  SelectedLayer(const Context& c, graft_dtype dtype, std::int64_t t, std::int64_t k, std::int64_t n, const Shape& part,
                graft_dtype ids, const Shape& index_shape, int pad)
      : context(c),
        x(c, dtype, {t, k}, pad == 0 ? 0 : k + pad),
        dy(c, dtype, {t, n}, pad == 0 ? 0 : n + pad),
        y(c, dtype, {t, n}),
        dd(c, sums_of(dtype), part),
        d(c, sums_of(dtype), part),
        original(c, dtype, part),
        indices(c, ids, index_shape, pad == 0 || index_shape.size() == 1 ? 0 : index_shape[1] + pad),
        w(c, dtype, n, k, pad),
        matrix(w.matrix()) {}

  const Context& context;
  Tensor x, dy, y, dd, d, original, indices;
  const Weight w;
  Tensor matrix;
  std::vector<std::int64_t> places;
};

/** dd is `scale` times those elements of the gradient of all of w. */
inline void expect_part_of_the_full_gradient(const SelectedLayer& layer, double scale, const std::string& what) {
  Tensor dw(layer.context, kF32, {layer.w->n, layer.w->k});
  GRAFT_ASSERT_OK(graft_linear_backward(layer.context, layer.dy, layer.x, layer.w, 0, nullptr, dw, nullptr));
  const std::vector<double> full = dw.get();
  std::vector<double> expected;
  for (std::int64_t place : layer.places) expected.push_back(scale * full[place]);
  const double t = static_cast<double>(layer.x->shape[0]);
  expect_close(layer.dd.get(), expected, t * 0x1p-23, what, t / 4);
}

/** layer.write() adds scale·d in float, or double for f64, rounded once; all else keeps its bits, and layer.restore()
 * brings w back. */
template <class Layer>
void expect_only_these_move(Layer& layer, double scale, const std::string& what) {
  const graft_dtype dtype = layer.matrix->dtype;
  const std::vector<double> before = layer.matrix.get(), d = layer.d.get();
  layer.read();
  layer.write();
  const std::vector<double> after = layer.matrix.get();
  std::vector<double> expected = before;
  Tensor rounded(layer.context, dtype, {1});
  for (std::size_t p = 0; p < layer.places.size(); ++p) {
    double& element = expected[layer.places[p]];
    const double moved = dtype == kF64
                             ? element + scale * d[p]
                             : static_cast<float>(element) + static_cast<float>(scale) * static_cast<float>(d[p]);
    element = rounded.set({moved}).get()[0];
  }
  EXPECT_EQ(after, expected) << what;
  EXPECT_NE(after, before) << what;
  GRAFT_ASSERT_OK(layer.restore());
  EXPECT_EQ(layer.matrix.get(), before) << what;
}

/** part(first, rows) adds the gradient of these rows to dd: two of them are layer.gradient(). */
template <class Layer, class Part>
void expect_micro_batches_add_up(Layer& layer, Part&& part) {
  layer.dd.fill(0);
  layer.gradient();
  const std::vector<double> whole = layer.dd.get();
  layer.dd.fill(0);
  const std::int64_t rows = layer.x->shape[0], first = rows / 3;
  GRAFT_ASSERT_OK(part(0, first));
  GRAFT_ASSERT_OK(part(first, rows - first));
  expect_close(layer.dd.get(), whole, static_cast<double>(rows) * 0x1p-23, "micro-batches", rows / 4);
}

/** Rows of a matrix without a pitch. */
inline Tensor rows_of(const Tensor& matrix, std::int64_t first, std::int64_t rows) {
  const std::int64_t columns = matrix.operator->()->shape[1];
  return matrix.view(first * columns, {rows, columns}, {columns, 1});
}

/** dd, what was read, and w with d written into it. */
template <class Layer>
std::vector<std::vector<double>> all_of(Layer&& layer) {
  layer.gradient();
  layer.read();
  layer.write();
  return {layer.dd.get(), layer.original.get(), layer.matrix.get()};
}

/** layer.gradient() is the derivative by d of the layer with d written into w. */
template <class Layer>
void expect_gradient_of_what_is_written(Layer& layer) {
  layer.dd.fill(0);
  layer.read();
  const auto objective = [&] {
    layer.write();
    GRAFT_EXPECT_OK(graft_linear_forward(layer.context, layer.x, layer.w, nullptr, 0, layer.y));
    return dot(layer.dy.get(), layer.y.get());
  };
  objective();
  layer.gradient();
  expect_gradient(layer.d, layer.dd.get(), objective, "dd");
}

}  // namespace graft::test
