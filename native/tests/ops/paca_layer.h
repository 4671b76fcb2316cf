// One layer with columns that paca trains, and its arguments: for the tests of both forms.
#pragma once

#include "selected_weights.h"

namespace graft::test {

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

struct PacaLayer : SelectedLayer {
  PacaLayer(const Context& c, const PacaCase& s)
      : SelectedLayer(c, s.dtype, s.t, s.k, s.n, {s.n, s.r}, kI32, {s.r}, s.pad),
        x_i(c, s.dtype, {s.t, s.r}),
        dx(c, s.dtype, {s.t, s.k}),
        bias(c, sums_of(s.dtype), {s.n}),
        dbias(c, sums_of(s.dtype), {s.n}),
        accumulate(s.accumulate) {
    const std::vector<double> columns = spread(s.k, s.r);
    indices.set(columns);
    for (std::int64_t n = 0; n < s.n; ++n)
      for (double column : columns) places.push_back(n * s.k + static_cast<std::int64_t>(column));
    fill({&x, &dy, &y, &dx, &dd, &d, &bias, &dbias, &matrix}, s.integers);
  }
  void forward() { GRAFT_EXPECT_OK(graft_paca_forward(context, x, w, indices, bias, accumulate, y, x_i)); }
  void backward() { GRAFT_EXPECT_OK(graft_paca_backward(context, dy, x_i, w, kScale, accumulate, dx, dd, dbias)); }
  void gradient() { backward(); }
  void read() { GRAFT_EXPECT_OK(graft_paca_read(context, w, indices, original)); }
  void write() { GRAFT_EXPECT_OK(graft_paca_write(context, d, original, indices, kScale, w)); }
  graft_status restore() { return graft_paca_write(context, nullptr, original, indices, 1, w); }

  static constexpr double kScale = 2;
  Tensor x_i, dx, bias, dbias;
  bool accumulate;
};

}  // namespace graft::test
