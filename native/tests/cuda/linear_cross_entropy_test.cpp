// linear_cross_entropy on the CUDA device: against float64, with rows that are ignored and without, several chunks of
// rows, capped logits, and labels that are none.
#include "schedules.h"

namespace graft::test {
namespace {

struct Case {
  graft_dtype dtype, labels;
  std::int64_t rows, vocabulary, k;
  double normalizer = 0, softcap = 0;
};

struct Result {
  std::vector<double> loss, count, dh, dw, loss_alone;
};

Result run(const Context& c, graft_dtype storage, const Case& n) {
  Tensor h = input(c, storage, n.dtype, {n.rows, n.k}, 1, n.k + 3), dh(c, storage, {n.rows, n.k}, n.k + 1);
  Tensor dw = input(c, sums_of(storage), n.dtype, {n.vocabulary, n.k}, 2), labels(c, n.labels, {n.rows});
  Tensor loss(c, sums_of(storage), {1}), alone(c, sums_of(storage), {1}), count(c, kI64, {1});
  Weight w(c, storage, n.vocabulary, n.k);
  w.matrix().set(input(c, storage, n.dtype, {n.vocabulary, n.k}, 3).get());
  std::vector<double> values;
  for (std::int64_t t = 0; t < n.rows; ++t)
    values.push_back(t % 3 == 1 ? -100 : static_cast<double>((t * 7 + 2) % n.vocabulary));
  labels.set(values);
  GRAFT_EXPECT_OK(
      graft_linear_cross_entropy_forward(c, h, w, labels, -100, n.softcap, n.normalizer, 2, loss, count, dh, dw));
  GRAFT_EXPECT_OK(graft_linear_cross_entropy_forward(c, h, w, labels, -100, n.softcap, n.normalizer, 2, alone, nullptr,
                                                     nullptr, nullptr));
  GRAFT_EXPECT_OK(graft_context_synchronize(c));
  return {loss.get(), count.get(), dh.get(), dw.get(), alone.get()};
}

void compare(const Case& n, int seeds) {
  SCOPED_TRACE(std::string(name(n.dtype)) + " T=" + std::to_string(n.rows) + " V=" + std::to_string(n.vocabulary));
  const Context cpu(1, "reference"), cuda(GRAFT_DEVICE_CUDA);
  const Result exact = run(cpu, kF64, n), plain = run(cpu, n.dtype, n);
  Result first;
  for_schedules(seeds, [&] {
    const Result actual = run(cuda, n.dtype, n);
    const double u = unit_roundoff(n.dtype);
    expect_as_good(actual.loss, plain.loss, exact.loss, 4 * unit_roundoff(kF32), "loss");
    EXPECT_EQ(actual.loss_alone, actual.loss);
    EXPECT_EQ(actual.count, exact.count);
    expect_as_good(actual.dh, plain.dh, exact.dh, u, "dh");
    expect_as_good(actual.dw, plain.dw, exact.dw, u, "dw");  // dz is rounded to the type
    if (first.dw.empty()) first = actual;
    EXPECT_TRUE(actual.loss == first.loss && actual.dh == first.dh && actual.dw == first.dw);
  });
}

TEST(CudaLinearCrossEntropy, AgreesWithFloat64) {
  for (graft_dtype dtype : {kF32, kBf16, kF16}) {
    compare({dtype, kI32, 7, 300, 24}, 1);
    compare({dtype, kI64, 5, 9, 40, 11}, 1);
    compare({dtype, kI32, 1, 2, 1}, 1);
    compare({dtype, kI32, 5, 260, 24, 0, 1.5}, 1);
  }
}

TEST(CudaLinearCrossEntropy, SeveralChunksOfRows) { compare({kF32, kI32, 1100, 3, 2}, 1); }

TEST(CudaLinearCrossEntropy, ManySchedules) { compare({kBf16, kI32, 4, 600, 8, 0, 1}, 20); }

TEST(CudaLinearCrossEntropy, NothingCountsAndBadLabels) {
  const Context cuda(GRAFT_DEVICE_CUDA);
  Tensor h = input(cuda, kF32, kF32, {3, 4}, 1), labels(cuda, kI32, {3}), loss(cuda, kF32, {1}), count(cuda, kI64, {1});
  Tensor dh = input(cuda, kF32, kF32, {3, 4}, 2), none(cuda, kF32, {0, 4}), no_labels(cuda, kI32, {0});
  Weight w(cuda, kF32, 5, 4);
  const auto run = [&](const Tensor& x, const Tensor& of, graft_tensor* gradient) {
    loss.fill(7), count.fill(7);
    GRAFT_EXPECT_OK(graft_linear_cross_entropy_forward(cuda, x, w, of, -1, 0, 0, 1, loss, count, gradient, nullptr));
  };
  labels.fill(-1);
  run(h, labels, dh);
  GRAFT_EXPECT_OK(graft_context_synchronize(cuda));
  EXPECT_EQ(loss.get()[0], 0);
  EXPECT_EQ(count.get()[0], 0);
  EXPECT_EQ(dh.get(), std::vector<double>(12, 0.0));
  run(none, no_labels, nullptr);
  GRAFT_EXPECT_OK(graft_context_synchronize(cuda));
  EXPECT_EQ(loss.get()[0], 0);
  labels.set({4, 5, -1});
  run(h, labels, dh);
  expect_error(graft_context_synchronize(cuda), GRAFT_INVALID_ARGUMENT, {"cross_entropy", "labels[1] is 5", "0..4"});
}

}  // namespace
}  // namespace graft::test
