// group_sum: by hand, fast against reference, backward is the transpose of forward, threads, bad arguments.
#include <cmath>

#include "tensors.h"

namespace graft::test {
namespace {

struct Case {
  graft_dtype dtype;
  std::int64_t t, groups, width;
  bool accumulate = false;
};

std::vector<std::vector<double>> all_of(const Context& c, const Case& s) {
  Tensor x(c, s.dtype, {s.t, s.groups * s.width}, s.groups * s.width + 3), y(c, s.dtype, {s.t, s.groups});
  Tensor dy(c, s.dtype, {s.t, s.groups}), dx(c, s.dtype, {s.t, s.groups * s.width});
  x.random(1), dy.random(2), dx.random(3);
  GRAFT_EXPECT_OK(graft_group_sum_forward(c, x, 0.5, y));
  GRAFT_EXPECT_OK(graft_group_sum_backward(c, dy, 0.5, s.accumulate, dx));
  return {y.get(), dx.get()};
}

TEST(GroupSum, ByHand) {
  for (const char* prefer : {"fast", "reference"}) {
    const Context c(2, prefer);
    Tensor x(c, kF32, {2, 4}), y(c, kF32, {2, 2}), dx(c, kF32, {2, 4});
    x.set({1, 2, 3, 4, 5, 6, 7, 8});
    GRAFT_ASSERT_OK(graft_group_sum_forward(c, x, 2, y));
    EXPECT_EQ(y.get(), (std::vector<double>{6, 14, 22, 30}));
    EXPECT_EQ(c.last_dispatch(), std::string("group_sum_forward:cpu/") + prefer);
    dx.fill(1);
    GRAFT_ASSERT_OK(graft_group_sum_backward(c, y, 0.5, 1, dx));
    EXPECT_EQ(dx.get(), (std::vector<double>{4, 4, 8, 8, 12, 12, 16, 16}));
    GRAFT_ASSERT_OK(graft_group_sum_backward(c, y, 1, 0, dx));
    EXPECT_EQ(dx.get(), (std::vector<double>{6, 6, 14, 14, 22, 22, 30, 30}));
  }
}

TEST(GroupSum, FastAgreesWithReference) {
  const Context fast(2, "fast"), reference(1, "reference");
  for (graft_dtype dtype : {kF32, kBf16, GRAFT_DTYPE_F16})
    for (const auto& [t, groups, width] : {std::tuple{1, 1, 1}, {5, 3, 7}, {40, 4, 32}, {3, 2, 65}, {0, 2, 3}}) {
      const auto a = all_of(fast, {dtype, t, groups, width, true}),
                 b = all_of(reference, {dtype, t, groups, width, true});
      EXPECT_EQ(a[1], b[1]);
      if (t > 0)
        expect_close(a[0], b[0], unit_roundoff(dtype) + static_cast<double>(width) * 0x1p-24, "y", std::sqrt(width));
    }
}

// Both are linear: <dy, forward(x)> = <backward(dy), x> is all there is to a derivative.
TEST(GroupSum, BackwardIsTheTransposeOfForward) {
  const Context c(1);
  Tensor x(c, kF64, {3, 12}), y(c, kF64, {3, 4}), dy(c, kF64, {3, 4}), dx(c, kF64, {3, 12});
  x.random(1), dy.random(2);
  GRAFT_ASSERT_OK(graft_group_sum_forward(c, x, 0.75, y));
  GRAFT_ASSERT_OK(graft_group_sum_backward(c, dy, 0.75, 0, dx));
  double left = 0, right = 0;
  for (std::size_t i = 0; i < 12; ++i) left += dy.get()[i] * y.get()[i];
  for (std::size_t i = 0; i < 36; ++i) right += dx.get()[i] * x.get()[i];
  EXPECT_NEAR(left, right, 1e-14);
  EXPECT_GT(std::abs(left), 1e-3);
}

TEST(GroupSum, SameBitsForAnyNumberOfThreads) {
  const Case s{kBf16, 300, 6, 20, true};
  expect_same_bits([&](const Context& c) { return all_of(c, s); });
}

TEST(GroupSum, BadArguments) {
  const Context c;
  Tensor x(c, kF32, {2, 6}), y(c, kF32, {2, 4}), two(c, kF32, {2, 2}), bf16(c, kBf16, {2, 2}), none(c, kF32, {2, 0});
  expect_error(graft_group_sum_forward(c, nullptr, 1, two), GRAFT_INVALID_ARGUMENT, {"group_sum", "x is NULL"});
  expect_error(graft_group_sum_forward(c, x, 1, y), GRAFT_SHAPE_MISMATCH, {"y [2, 4]", "x [2, 6]"});
  expect_error(graft_group_sum_forward(c, x, 1, none), GRAFT_SHAPE_MISMATCH, {"y [2, 0]"});
  expect_error(graft_group_sum_forward(c, x, 1, bf16), GRAFT_INVALID_ARGUMENT, {"y", "bf16"});
  expect_error(graft_group_sum_forward(c, x, NAN, two), GRAFT_INVALID_ARGUMENT, {"scale"});
  expect_error(graft_group_sum_backward(c, y, 1, 0, x), GRAFT_SHAPE_MISMATCH, {"dy [2, 4]"});
  expect_error(graft_group_sum_backward(c, x, 1, 0, x), GRAFT_INVALID_ARGUMENT, {"dx", "overlaps"});
}

}  // namespace
}  // namespace graft::test
