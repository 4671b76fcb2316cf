// ia3 on the CUDA device: against float64, scales at the inputs, at the outputs and at both, in packs of 16 bytes and
// one by one, several groups of rows, NULL outputs, merging in place, and empty shapes.
#include "schedules.h"

namespace graft::test {
namespace {

struct Case {
  graft_dtype dtype;
  std::int64_t rows, n, k;
  bool in, out, accumulate;
};

struct Result {
  std::vector<double> y, z, dx, dl_in, dl_out, dbias, merged;
};

Result run(const Context& c, graft_dtype storage, const Case& n) {
  const graft_dtype sums = sums_of(storage);
  Weight w(c, storage, n.n, n.k);
  w.matrix().set(input(c, storage, n.dtype, {n.n, n.k}, 1).get());
  Tensor x = input(c, storage, n.dtype, {n.rows, n.k}, 2), y = input(c, storage, n.dtype, {n.rows, n.n}, 3, n.n + 8);
  Tensor z(c, storage, {n.rows, n.n}), dy = input(c, storage, n.dtype, {n.rows, n.n}, 4), bias(c, sums, {n.n});
  Tensor l_in = input(c, sums, n.dtype, {n.k}, 5), l_out = input(c, sums, n.dtype, {n.n}, 6);
  Tensor dx = input(c, storage, n.dtype, {n.rows, n.k}, 7), dl_in = input(c, sums, kF32, {n.k}, 8);
  Tensor dl_out = input(c, sums, kF32, {n.n}, 9), dbias = input(c, sums, kF32, {n.n}, 10);
  Tensor alone = input(c, storage, n.dtype, {n.rows, n.k}, 7);
  bias.set(input(c, sums, n.dtype, {n.n}, 11).get());
  const auto only = [](bool wanted, graft_tensor* t) { return wanted ? t : nullptr; };
  graft_tensor *const in = only(n.in, l_in), *const out = only(n.out, l_out);
  GRAFT_EXPECT_OK(graft_ia3_forward(c, x, w, in, out, bias, n.accumulate, y, z));
  GRAFT_EXPECT_OK(
      graft_ia3_backward(c, dy, x, z, w, in, out, n.accumulate, dx, only(n.in, dl_in), only(n.out, dl_out), dbias));
  GRAFT_EXPECT_OK(
      graft_ia3_backward(c, dy, nullptr, nullptr, w, in, out, n.accumulate, alone, nullptr, nullptr, nullptr));
  GRAFT_EXPECT_OK(graft_ia3_backward(c, dy, nullptr, nullptr, w, in, out, 0, nullptr, nullptr, nullptr, nullptr));
  GRAFT_EXPECT_OK(graft_context_synchronize(c));
  Result r{y.get(), z.get(), dx.get(), dl_in.get(), dl_out.get(), dbias.get(), {}};
  EXPECT_EQ(alone.get(), r.dx);
  Tensor inference = input(c, storage, n.dtype, {n.rows, n.n}, 3);
  GRAFT_EXPECT_OK(graft_ia3_forward(c, x, w, in, out, bias, n.accumulate, inference, nullptr));
  Tensor matrix = w.matrix();
  GRAFT_EXPECT_OK(graft_ia3_merge(c, w, in, out, matrix));
  GRAFT_EXPECT_OK(graft_context_synchronize(c));
  if (n.rows > 0) expect_close(inference.get(), r.y, 4 * unit_roundoff(n.dtype), "y of inference");
  r.merged = matrix.get();
  return r;
}

/** y and z step by step, each step rounded to x's type, as a program of single steps has them. */
void step_by_step(const Context& c, const Case& n, Result& r) {
  Weight w(c, n.dtype, n.n, n.k);
  w.matrix().set(input(c, n.dtype, n.dtype, {n.n, n.k}, 1).get());
  Tensor x = input(c, n.dtype, n.dtype, {n.rows, n.k}, 2), y = input(c, n.dtype, n.dtype, {n.rows, n.n}, 3);
  Tensor z(c, n.dtype, {n.rows, n.n}), bias = input(c, kF32, n.dtype, {n.n}, 11);
  const std::vector<double> l_in = input(c, kF32, n.dtype, {n.k}, 5).get();
  const std::vector<double> l_out = input(c, kF32, n.dtype, {n.n}, 6).get(), before = y.get();
  std::vector<double> xs = x.get();
  for (std::size_t i = 0; n.in && i < xs.size(); ++i) xs[i] *= l_in[i % l_in.size()];
  GRAFT_EXPECT_OK(graft_linear_forward(c, x.set(xs), w, bias, 0, z));
  r.z = z.get();
  std::vector<double> ys = r.z;
  for (std::size_t i = 0; n.out && i < ys.size(); ++i) ys[i] *= l_out[i % l_out.size()];
  ys = z.set(ys).get();
  for (std::size_t i = 0; n.accumulate && i < ys.size(); ++i) ys[i] += before[i];
  r.y = y.set(ys).get();
}

void compare(const Case& n, int seeds) {
  SCOPED_TRACE(std::string(name(n.dtype)) + " T=" + std::to_string(n.rows) + " N=" + std::to_string(n.n) +
               " K=" + std::to_string(n.k) + (n.in ? " in" : "") + (n.out ? " out" : ""));
  const Context cpu(1, "reference"), cuda(GRAFT_DEVICE_CUDA);
  const Result exact = run(cpu, kF64, n);
  Result plain = run(cpu, n.dtype, n);
  step_by_step(cpu, n, plain);
  for_schedules(seeds, [&] {
    const Result actual = run(cuda, n.dtype, n);
    // Products take operands of x's type, so that scaled ones are rounded.
    const double u = unit_roundoff(n.dtype), sum = unit_roundoff(kF32);
    expect_as_good(actual.y, plain.y, exact.y, u, "y");
    expect_as_good(actual.z, plain.z, exact.z, u, "z");
    expect_as_good(actual.dx, plain.dx, exact.dx, u, "dx");
    expect_as_good(actual.dl_in, plain.dl_in, exact.dl_in, n.out ? u : sum, "dl_in");
    expect_as_good(actual.dl_out, plain.dl_out, exact.dl_out, u, "dl_out");
    expect_as_good(actual.dbias, plain.dbias, exact.dbias, sum, "dbias");
    expect_as_good(actual.merged, plain.merged, exact.merged, u, "merged");
  });
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
