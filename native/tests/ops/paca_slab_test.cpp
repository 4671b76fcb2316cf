// paca beside the weight: fast against reference and against the columns in place, over NF4 codes, finite differences,
// threads, empty shapes, bad arguments.
#include <cmath>

#include "gradients.h"
#include "paca_layer.h"

namespace graft::test {
namespace {

using Case = PacaCase;
using Layer = PacaLayer;

// y, x_i, dx, dd, dbias of the layer with the slab beside W.
std::vector<std::vector<double>> slab_of(const Context& c, Layer& layer, const graft_weight* w) {
  GRAFT_EXPECT_OK(graft_paca_slab_forward(c, layer.x, w, layer.indices, layer.d, Layer::kScale, layer.bias,
                                          layer.accumulate, layer.y, layer.x_i));
  GRAFT_EXPECT_OK(graft_paca_slab_backward(c, layer.dy, layer.x_i, w, layer.indices, layer.d, Layer::kScale,
                                           layer.accumulate, layer.dx, layer.dd, layer.dbias));
  return {layer.y.get(), layer.x_i.get(), layer.dx.get(), layer.dd.get(), layer.dbias.get()};
}

void expect_slabs_agree(const Case& s, const std::vector<std::vector<double>>& a,
                        const std::vector<std::vector<double>>& b, bool in_dtype = true) {
  const double grain = 3 * unit_roundoff(s.dtype);
  const double terms[] = {static_cast<double>(s.k + s.r), 0, static_cast<double>(s.n), static_cast<double>(s.t),
                          static_cast<double>(s.t)};
  const char* names[] = {"y", "x_i", "dx", "dd", "dbias"};
  for (int i = 0; i < 5; ++i) {
    const bool stored = in_dtype && (i == 0 || i == 2);
    // Two roundings of each stored sum, and of d and of the r sums on the way, to bf16.
    expect_close(a[i], b[i], (stored ? 2 * grain : 0) + terms[i] * 0x1p-23, s.text() + " slab " + names[i],
                 terms[i] * 0.25);
  }
}

TEST(PacaSlab, AgreesWithReferenceAndWithTheColumnsInPlace) {
  const Context fast(2, "fast"), reference(2, "reference");
  for (graft_dtype dtype : {kF32, kBf16})
    for (auto [t, k, n, r] :
         {std::tuple{1, 1, 1, 1}, {2, 3, 5, 2}, {33, 48, 40, 17}, {70, 96, 257, 8}, {129, 64, 300, 64}})
      for (bool accumulate : {false, true}) {
        const Case s{dtype, t, k, n, r, accumulate, false, accumulate ? 16 : 0};
        Layer a(fast, s), b(reference, s), in_place(reference, s);
        const std::vector<double> before = a.matrix.get();
        const auto values = slab_of(fast, a, a.w);
        expect_slabs_agree(s, values, slab_of(reference, b, b.w));
        EXPECT_EQ(a.matrix.get(), before) << s.text();
        in_place.read();
        in_place.write();
        in_place.forward();
        in_place.backward();
        expect_slabs_agree(
            s, values,
            {in_place.y.get(), in_place.x_i.get(), in_place.dx.get(), in_place.dd.get(), in_place.dbias.get()});
      }
}

TEST(PacaSlab, OverCodes) {
  for (graft_dtype dtype : {kF32, kBf16})
    for (auto [t, k, n, r] : {std::tuple{1, 64, 96, 4}, {8, 128, 70, 5}, {40, 192, 130, 16}}) {
      const Context fast(2, "fast"), reference(2, "reference");
      const Case s{dtype, t, k, n, r, true};
      std::vector<std::vector<double>> results[3];
      int i = 0;
      for (const Context* c : {&fast, &reference}) {
        Layer layer(*c, s);
        graft_weight* codes = nullptr;
        GRAFT_ASSERT_OK(graft_weight_create_nf4(*c, GRAFT_MEMORY_BASE, n, k, 1, &codes));
        GRAFT_ASSERT_OK(graft_nf4_quantize(*c, layer.matrix, codes));
        results[i++] = slab_of(*c, layer, codes);
        if (c == &reference) {  // the codes' matrix, in fp32, is the same layer
          Layer wide(*c, {kF32, t, k, n, r, true});
          for (auto [to, from] : {std::pair{&wide.x, &layer.x}, {&wide.dy, &layer.dy}}) to->set(from->get());
          Layer fresh(*c, s);
          wide.y.set(fresh.y.get()), wide.dx.set(fresh.dx.get());
          GRAFT_ASSERT_OK(graft_nf4_dequantize(*c, codes, wide.matrix));
          results[i++] = slab_of(*c, wide, wide.w);
        }
        GRAFT_ASSERT_OK(graft_weight_destroy(*c, codes));
      }
      expect_slabs_agree(s, results[0], results[1]);
      expect_slabs_agree(s, results[0], results[2]);
    }
}

TEST(PacaSlab, FiniteDifferencesThreadsAndArguments) {
  const Context c(1);
  {
    Layer layer(c, {kF64, 4, 6, 5, 3});
    layer.dd.fill(0), layer.dbias.fill(0);
    slab_of(c, layer, layer.w);
    const auto objective = [&] {
      GRAFT_EXPECT_OK(graft_paca_slab_forward(c, layer.x, layer.w, layer.indices, layer.d, Layer::kScale, layer.bias, 0,
                                              layer.y, layer.x_i));
      return dot(layer.dy.get(), layer.y.get());
    };
    expect_gradient(layer.x, layer.dx.get(), objective, "dx");
    expect_gradient(layer.d, layer.dd.get(), objective, "dd");
    expect_gradient(layer.bias, layer.dbias.get(), objective, "dbias");
  }
  const Context two(2), four(4);
  for (graft_dtype dtype : {kF32, kBf16}) {
    const Case s{dtype, 150, 600, 520, 9};
    Layer one(c, s);
    const auto expected = slab_of(c, one, one.w);
    for (const Context* other : {&two, &four}) {
      Layer layer(*other, s);
      EXPECT_EQ(slab_of(*other, layer, layer.w), expected) << s.text();
    }
  }
  Layer empty(c, {kF32, 0, 6, 4, 2}), none(c, {kBf16, 3, 6, 4, 0}), layer(c, {});
  slab_of(c, empty, empty.w);
  slab_of(c, none, none.w);
  GRAFT_EXPECT_OK(
      graft_paca_slab_forward(c, layer.x, layer.w, layer.indices, layer.d, 1, nullptr, 0, layer.y, nullptr));
  GRAFT_EXPECT_OK(graft_paca_slab_backward(c, layer.dy, nullptr, layer.w, layer.indices, layer.d, 1, 0, layer.dx,
                                           nullptr, nullptr));
  expect_error(graft_paca_slab_forward(c, layer.x, layer.w, layer.indices, nullptr, 1, nullptr, 0, layer.y, layer.x_i),
               GRAFT_INVALID_ARGUMENT, {"d is NULL"});
  expect_error(
      graft_paca_slab_forward(c, layer.x, layer.w, layer.indices, layer.x_i, 1, nullptr, 0, layer.y, layer.x_i),
      GRAFT_SHAPE_MISMATCH, {"d [5, 3]", "[7, 3]"});
  expect_error(graft_paca_slab_backward(c, layer.dy, layer.x_i, layer.w, layer.indices, layer.d, INFINITY, 0, layer.dx,
                                        layer.dd, nullptr),
               GRAFT_INVALID_ARGUMENT, {"scale"});
  expect_error(
      graft_paca_slab_backward(c, layer.dy, layer.x_i, layer.w, nullptr, layer.d, 1, 0, layer.dx, layer.dd, nullptr),
      GRAFT_INVALID_ARGUMENT, {"indices is NULL"});
}

}  // namespace
}  // namespace graft::test
