// lora_segments on the CUDA device: against float64; adapters of several ranks, rows without one, an adapter in two
// segments, an empty segment, dropout, a weight of codes, NULL outputs; the table of segments is in host memory.
#include <optional>

#include "coded.h"

namespace graft::test {
namespace {

struct Case {
  graft_dtype dtype;
  double dropout;
  bool accumulate, nf4;
};

struct Result {
  std::vector<double> y, s, dx, da, db, dbias;
};

constexpr std::int64_t kRows = 11, kN = 9, kK = 64, kRanks = 7, kLargest = 4;

Result run(const Context& c, graft_dtype storage, const Case& n) {
  const Context host(1, "reference");
  const graft_dtype sums = sums_of(storage);
  Tensor segments(host, kI32, {5, 2}), ranks(host, kI32, {3}), scales(host, kF64, {3});
  segments.set({3, 1, 4, -1, 4, 0, 9, 2, 11, 1}), ranks.set({1, 4, 2}), scales.set({0.5, 1.5, -2});
  Weight dense(c, storage, kN, kK);
  dense.matrix().set(input(c, storage, n.dtype, {kN, kK}, 1).get());
  std::optional<Nf4Weight> coded;
  if (n.nf4) coded.emplace(c, false, kN, kK);
  const Weight& w = n.nf4 ? coded->w : dense;
  Tensor x = input(c, storage, n.dtype, {kRows, kK}, 2, kK + 3), y = input(c, storage, n.dtype, {kRows, kN}, 3);
  Tensor a = input(c, sums, n.dtype, {kRanks, kK}, 4), b = input(c, sums, n.dtype, {kN, kRanks}, 5, kRanks + 1);
  Tensor bias = input(c, sums, n.dtype, {kN}, 6), s(c, storage, {kRows, kLargest}), dy(c, storage, {kRows, kN}, kN + 1);
  Tensor dx = input(c, storage, n.dtype, {kRows, kK}, 7), da = input(c, sums, kF32, {kRanks, kK}, 8);
  Tensor db = input(c, sums, kF32, {kN, kRanks}, 9), dbias = input(c, sums, kF32, {kN}, 10);
  Tensor alone = input(c, storage, n.dtype, {kRows, kN}, 3), dx_alone = input(c, storage, n.dtype, {kRows, kK}, 7);
  dy.set(input(c, storage, n.dtype, {kRows, kN}, 11).get());
  const auto forward = [&](graft_tensor* to, graft_tensor* kept) {
    GRAFT_EXPECT_OK(graft_lora_segments_forward(c, x, w, segments, ranks, scales, a, b, bias, n.dropout, 7, 5,
                                                n.accumulate, to, kept));
  };
  const auto backward = [&](graft_tensor* to, graft_tensor* to_a, graft_tensor* to_b, graft_tensor* sum) {
    const graft_tensor *const inputs = to_a == nullptr ? nullptr : static_cast<graft_tensor*>(x),
                              *const kept = to_b == nullptr ? nullptr : static_cast<graft_tensor*>(s);
    GRAFT_EXPECT_OK(graft_lora_segments_backward(c, dy, inputs, kept, w, segments, ranks, scales, a, b, n.dropout, 7, 5,
                                                 n.accumulate, to, to_a, to_b, sum));
  };
  forward(y, s), forward(alone, nullptr);
  backward(dx, da, db, dbias), backward(dx_alone, nullptr, nullptr, nullptr);
  GRAFT_EXPECT_OK(graft_context_synchronize(c));
  EXPECT_EQ(alone.get(), y.get());
  EXPECT_EQ(dx_alone.get(), dx.get());
  return {y.get(), s.get(), dx.get(), da.get(), db.get(), dbias.get()};
}

void compare(const Case& n, int seeds) {
  SCOPED_TRACE(std::string(name(n.dtype)) + " p=" + std::to_string(n.dropout) + (n.nf4 ? " NF4" : ""));
  const Context cpu(1, "reference"), cuda(GRAFT_DEVICE_CUDA);
  const Result exact = run(cpu, kF64, n), plain = run(cpu, n.dtype, n);
  for_schedules(seeds, [&] {
    const Result actual = run(cuda, n.dtype, n);
    // A and B are rounded to x's type, and so are S and dS where they are factors.
    const double u = unit_roundoff(n.dtype);
    expect_as_good(actual.y, plain.y, exact.y, u, "y");
    expect_as_good(actual.s, plain.s, exact.s, u, "S");
    expect_as_good(actual.dx, plain.dx, exact.dx, u, "dx");
    expect_as_good(actual.da, plain.da, exact.da, u, "dA");
    expect_as_good(actual.db, plain.db, exact.db, u, "dB");
    expect_as_good(actual.dbias, plain.dbias, exact.dbias, unit_roundoff(kF32), "dbias");
  });
}

TEST(CudaLoraSegments, AgreesWithFloat64) {
  for (graft_dtype dtype : {kF32, kBf16, kF16})
    for (double dropout : {0.0, 0.25}) compare({dtype, dropout, true, false}, 1);
  compare({kBf16, 0.25, false, true}, 1);
}

TEST(CudaLoraSegments, ManySchedules) { compare({kBf16, 0.25, true, false}, 1); }

TEST(CudaLoraSegments, TheTableOfTheDeviceIsRefused) {
  const Context cuda(GRAFT_DEVICE_CUDA), host(1, "reference");
  Tensor segments(cuda, kI32, {1, 2}), ranks(host, kI32, {1}), scales(host, kF64, {1});
  Tensor x(cuda, kF32, {2, 3}), y(cuda, kF32, {2, 2}), a(cuda, kF32, {1, 3}), b(cuda, kF32, {2, 1});
  Weight w(cuda, kF32, 2, 3);
  ranks.fill(1);
  expect_error(graft_lora_segments_forward(cuda, x, w, segments, ranks, scales, a, b, nullptr, 0, 0, 0, 0, y, nullptr),
               GRAFT_INVALID_ARGUMENT, {"segments", "the CPU"});
}

}  // namespace
}  // namespace graft::test
