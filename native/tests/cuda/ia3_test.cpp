// ia3 on the CUDA device: against float64, scales at the inputs, at the outputs and at both, in packs of 16 bytes and
// one by one, several groups of rows, NULL outputs, merging in place, and empty shapes.
#include "trial.h"

namespace graft::test {
namespace {

struct Case {
  graft_dtype dtype;
  std::int64_t rows, n, k;
  bool in, out, accumulate;
};

void run(Trial& r, const Case& n) {
  Weight w(r.context, r.storage, n.n, n.k);
  r.fill(w, 1);
  Tensor x = r.input({n.rows, n.k}, 2), y = r.input({n.rows, n.n}, 3, n.n + 8), z = r.zeros({n.rows, n.n});
  Tensor dy = r.input({n.rows, n.n}, 4), l_in = r.master({n.k}, 5), l_out = r.master({n.n}, 6);
  Tensor dx = r.input({n.rows, n.k}, 7), alone = r.input({n.rows, n.k}, 7), dl_in = r.gradient({n.k}, 8);
  Tensor dl_out = r.gradient({n.n}, 9), dbias = r.gradient({n.n}, 10), bias = r.master({n.n}, 11);
  Tensor inference = r.input({n.rows, n.n}, 3), matrix = w.matrix();
  const auto only = [](bool wanted, graft_tensor* t) { return wanted ? t : nullptr; };
  graft_tensor *const in = only(n.in, l_in), *const out = only(n.out, l_out);
  GRAFT_EXPECT_OK(graft_ia3_forward(r, x, w, in, out, bias, n.accumulate, y, z));
  GRAFT_EXPECT_OK(
      graft_ia3_backward(r, dy, x, z, w, in, out, n.accumulate, dx, only(n.in, dl_in), only(n.out, dl_out), dbias));
  GRAFT_EXPECT_OK(
      graft_ia3_backward(r, dy, nullptr, nullptr, w, in, out, n.accumulate, alone, nullptr, nullptr, nullptr));
  GRAFT_EXPECT_OK(graft_ia3_backward(r, dy, nullptr, nullptr, w, in, out, 0, nullptr, nullptr, nullptr, nullptr));
  GRAFT_EXPECT_OK(graft_ia3_forward(r, x, w, in, out, bias, n.accumulate, inference, nullptr));
  GRAFT_EXPECT_OK(graft_ia3_merge(r, w, in, out, matrix));
  r.keep("y", y), r.keep("z", z), r.keep("dx", dx);
  // Products take operands of x's type, so that scaled ones are rounded.
  n.out ? r.keep("dl_in", dl_in) : r.keep_sum("dl_in", dl_in);
  r.keep("dl_out", dl_out), r.keep_sum("dbias", dbias), r.keep("merged", matrix);
  EXPECT_EQ(alone.get(), dx.get());
  if (n.rows > 0) expect_close(inference.get(), y.get(), 4 * unit_roundoff(n.dtype), "y of inference");
}

/** y and z step by step, each step rounded to x's type, as a program of single steps has them. */
void step_by_step(Trial& r, const Case& n) {
  Weight w(r.context, n.dtype, n.n, n.k);
  r.fill(w, 1);
  Tensor x = r.input({n.rows, n.k}, 2), y = r.input({n.rows, n.n}, 3), z = r.zeros({n.rows, n.n});
  Tensor bias = r.master({n.n}, 11);
  const std::vector<double> l_in = r.master({n.k}, 5).get(), l_out = r.master({n.n}, 6).get(), before = y.get();
  std::vector<double> xs = x.get();
  for (std::size_t i = 0; n.in && i < xs.size(); ++i) xs[i] *= l_in[i % l_in.size()];
  GRAFT_EXPECT_OK(graft_linear_forward(r, x.set(xs), w, bias, 0, z));
  std::vector<double> ys = r["z"] = z.get();
  for (std::size_t i = 0; n.out && i < ys.size(); ++i) ys[i] *= l_out[i % l_out.size()];
  ys = z.set(ys).get();
  for (std::size_t i = 0; n.accumulate && i < ys.size(); ++i) ys[i] += before[i];
  r["y"] = y.set(ys).get();
}

void compare(const Case& n, int seeds) {
  agree(
      n.dtype, sizes({{"T", n.rows}, {"N", n.n}, {"K", n.k}}) + (n.in ? " in" : "") + (n.out ? " out" : ""), seeds,
      [&](Trial& r) { run(r, n); }, [&](Trial& plain) { step_by_step(plain, n); });
}

TEST(CudaIa3, AgreesWithFloat64) {
  for (graft_dtype dtype : {kF32, kBf16, kF16}) {
    compare({dtype, 5, 9, 13, true, true, true}, 1);
    compare({dtype, 37, 40, 16, true, false, true}, 1);
    compare({dtype, 37, 16, 40, false, true, false}, 1);
  }
  compare({kBf16, 300, 3, 8, true, true, false}, 1);
  compare({kBf16, 0, 3, 8, true, true, false}, 1);
}

TEST(CudaIa3, ManySchedules) { compare({kBf16, 10, 8, 16, true, true, true}, 2); }

}  // namespace
}  // namespace graft::test
