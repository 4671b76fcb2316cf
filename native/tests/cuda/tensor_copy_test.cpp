// tensor_copy, tensor_fill, tensor_add and tensor_transpose on the CUDA device: the bits of the CPU's, over all pairs
// of types, strides and odd shapes.
#include "schedules.h"

namespace graft::test {
namespace {

using Values = std::vector<double>;

TEST(CudaTensorCopy, FloatsAreCopiedAndAdded) {
  const Context cpu(1, "reference"), cuda(GRAFT_DEVICE_CUDA);
  for (graft_dtype from : {kF32, kBf16, kF16}) {
    for (graft_dtype to : {kF32, kBf16, kF16}) {
      SCOPED_TRACE(std::string(name(from)) + " to " + name(to));
      Values copied[2], added[2];
      for (const Context* c : {&cpu, &cuda}) {
        Tensor whole = input(*c, from, from, {4, 4, 7}, 1), y = input(*c, to, to, {4, 4, 4}, 2), sum(*c, to, {4, 4, 4});
        const Tensor x = whole.view(2, {4, 4, 4}, {28, 7, 1});
        sum.set(y.get());
        GRAFT_EXPECT_OK(graft_tensor_copy(*c, x, y));
        GRAFT_EXPECT_OK(graft_tensor_add(*c, x, sum));
        GRAFT_EXPECT_OK(graft_context_synchronize(*c));
        copied[c == &cuda] = y.get(), added[c == &cuda] = sum.get();
      }
      EXPECT_EQ(copied[1], copied[0]);
      EXPECT_EQ(added[1], added[0]);
    }
  }
}

TEST(CudaTensorCopy, IntegersWidenAndAreNotNarrowed) {
  const Context cuda(GRAFT_DEVICE_CUDA);
  Tensor x(cuda, kI32, {3}), wide(cuda, kI64, {3}), same(cuda, kI32, {3});
  x.set({-5, 0, 1 << 30});
  GRAFT_EXPECT_OK(graft_tensor_copy(cuda, x, wide));
  GRAFT_EXPECT_OK(graft_tensor_copy(cuda, x, same));
  GRAFT_EXPECT_OK(graft_context_synchronize(cuda));
  EXPECT_EQ(wide.get(), x.get());
  EXPECT_EQ(same.get(), x.get());
  expect_error(graft_tensor_copy(cuda, wide, x), GRAFT_UNSUPPORTED, {"narrower", "CPU"});
}

TEST(CudaTensorCopy, EveryTypeIsFilled) {
  const Context cuda(GRAFT_DEVICE_CUDA);
  for (graft_dtype dtype : {kF32, kBf16, kF16, kF64, kI32, kI64, GRAFT_DTYPE_U8}) {
    Tensor y(cuda, dtype, {3, 4}, 6), none(cuda, dtype, {0, 4});
    GRAFT_EXPECT_OK(graft_tensor_fill(cuda, 3, y));
    GRAFT_EXPECT_OK(graft_tensor_fill(cuda, 3, none));
    GRAFT_EXPECT_OK(graft_context_synchronize(cuda));
    EXPECT_EQ(y.get(), Values(12, 3.0)) << name(dtype);
  }
}

TEST(CudaTensorCopy, ManySchedules) {
  const Context cpu(1), cuda(GRAFT_DEVICE_CUDA);
  for (graft_dtype dtype : {kF32, kBf16}) {
    Tensor x = input(cuda, dtype, dtype, {35, 70}, 1, 72), x_cpu = input(cpu, dtype, dtype, {35, 70}, 1);
    Tensor expected(cpu, dtype, {70, 35});
    GRAFT_EXPECT_OK(graft_tensor_transpose(cpu, x_cpu, expected));
    for_schedules(10, [&] {
      Tensor y(cuda, dtype, {70, 35}, 37);
      GRAFT_EXPECT_OK(graft_tensor_transpose(cuda, x, y));
      GRAFT_EXPECT_OK(graft_context_synchronize(cuda));
      EXPECT_EQ(y.get(), expected.get());
    });
  }
}

}  // namespace
}  // namespace graft::test
