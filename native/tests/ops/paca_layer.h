// One layer with columns that paca trains, and its arguments: for the tests of both forms.
#pragma once

#include "tensors.h"

namespace graft::test {

inline constexpr graft_dtype kF32 = GRAFT_DTYPE_F32, kF64 = GRAFT_DTYPE_F64, kBf16 = GRAFT_DTYPE_BF16;

inline graft_dtype sums_of(graft_dtype dtype) { return dtype == kF64 ? kF64 : kF32; }

struct PacaCase {
  graft_dtype dtype = kF32;
  std::int64_t t = 5, k = 9, n = 7, r = 3;
  bool accumulate = false, integers = false;
  int pad = 0;
  std::string text() const {
    return std::string(name(dtype)) + " " + std::to_string(t) + "x" + std::to_string(k) + "->" + std::to_string(n) +
           " r " + std::to_string(r) + (accumulate ? " accumulate" : "");
  }
};

// r different columns, not in order.
inline std::vector<double> columns_of(std::int64_t k, std::int64_t r) {
  std::vector<double> all;
  for (std::int64_t j = 0; j < r; ++j) all.push_back(static_cast<double>((r - 1 - j) * k / r));
  return all;
}

struct PacaLayer {
  PacaLayer(const Context& c, const PacaCase& s)
      : context(c),
        x(c, s.dtype, {s.t, s.k}, s.pad == 0 ? 0 : s.k + s.pad),
        dy(c, s.dtype, {s.t, s.n}, s.pad == 0 ? 0 : s.n + s.pad),
        y(c, s.dtype, {s.t, s.n}),
        x_i(c, s.dtype, {s.t, s.r}),
        dx(c, s.dtype, {s.t, s.k}),
        dd(c, sums_of(s.dtype), {s.n, s.r}),
        d(c, sums_of(s.dtype), {s.n, s.r}),
        bias(c, sums_of(s.dtype), {s.n}),
        dbias(c, sums_of(s.dtype), {s.n}),
        original(c, s.dtype, {s.n, s.r}),
        indices(c, GRAFT_DTYPE_I32, {s.r}),
        w(c, s.dtype, s.n, s.k, s.pad),
        matrix(w.matrix()),
        accumulate(s.accumulate) {
    indices.set(columns_of(s.k, s.r));
    std::uint64_t seed = 1;
    for (Tensor* tensor : {&x, &dy, &y, &dx, &dd, &d, &bias, &dbias, &matrix})
      s.integers ? tensor->integers(seed++) : tensor->random(seed++);
  }
  void forward() { GRAFT_EXPECT_OK(graft_paca_forward(context, x, w, indices, bias, accumulate, y, x_i)); }
  void backward() { GRAFT_EXPECT_OK(graft_paca_backward(context, dy, x_i, w, kScale, accumulate, dx, dd, dbias)); }
  void read() { GRAFT_EXPECT_OK(graft_paca_read(context, w, indices, original)); }
  void write() { GRAFT_EXPECT_OK(graft_paca_write(context, d, original, indices, kScale, w)); }

  static constexpr double kScale = 2;
  const Context& context;
  Tensor x, dy, y, x_i, dx, dd, d, bias, dbias, original, indices;
  const Weight w;
  Tensor matrix;
  bool accumulate;
};

}  // namespace graft::test
