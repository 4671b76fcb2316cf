// tensor_copy, tensor_fill, tensor_add: every pair of dtypes, rounding, strides, threads, bad arguments.
#include <cmath>
#include <limits>

#include "tensors.h"

namespace graft::test {
namespace {

constexpr graft_dtype kU8 = GRAFT_DTYPE_U8;

TEST(TensorCopy, EveryPairOfFloats) {
  for (const char* prefer : {static_cast<const char*>(nullptr), "reference"}) {
    const Context c(2, prefer);
    for (graft_dtype from : {kF32, kBf16, kF16, kF64}) {
      for (graft_dtype to : {kF32, kBf16, kF16, kF64}) {
        for (const Shape& shape : {Shape{1}, {37}, {5, 19}, {2, 3, 4, 5}, {0, 4}}) {
          Tensor x(c, from, shape), y(c, to, shape), expected(c, to, shape);
          x.random(1, -300, 300);
          expected.set(x.get());
          GRAFT_ASSERT_OK(graft_tensor_copy(c, x, y));
          EXPECT_EQ(y.get(), expected.get()) << name(from) << " to " << name(to);
        }
      }
    }
  }
}

TEST(TensorCopy, EveryPairOfIntegers) {
  for (const char* prefer : {static_cast<const char*>(nullptr), "reference"}) {
    const Context c(2, prefer);
    for (graft_dtype from : {kI32, kI64, kU8}) {
      for (graft_dtype to : {kI32, kI64, kU8}) {
        Tensor x(c, from, {7, 5}), y(c, to, {7, 5}, 9);
        x.integers(1, 0, 255);
        GRAFT_ASSERT_OK(graft_tensor_copy(c, x, y));
        EXPECT_EQ(y.get(), x.get()) << name(from) << " to " << name(to);
      }
    }
    Tensor x(c, kI64, {3}), y(c, kI64, {3}), z(c, kI32, {3});
    x.set({-0x1p62, 0x1p40, -1});
    GRAFT_ASSERT_OK(graft_tensor_copy(c, x, y));
    EXPECT_EQ(y.get(), x.get());
    z.fill(5);
    expect_error(graft_tensor_copy(c, x, z), GRAFT_INVALID_ARGUMENT, {"element 0 of x", "-4611686018427387904", "i32"});
    x.set({-0x1p31, 0x1p31 - 1, -1});
    EXPECT_EQ(z.get(), std::vector<double>(3, 5));
    GRAFT_ASSERT_OK(graft_tensor_copy(c, x, z));
    EXPECT_EQ(z.get(), x.get());
  }
}

TEST(TensorCopy, RoundsOnceToNearestEven) {
  for (const char* prefer : {"fast", "reference"}) {
    const Context c(1, prefer);
    Tensor x(c, kF32, {6}), b(c, kBf16, {6}), h(c, kF16, {6});
    x.set({1 + 0x1p-8, 1 + 3 * 0x1p-8, -1 - 0x1p-8, 1 + 0x1p-8 + 0x1p-20, 0x1p-25, 1e30});
    GRAFT_ASSERT_OK(graft_tensor_copy(c, x, b));
    const std::vector<double> rounded = b.get();
    EXPECT_EQ((std::vector<double>{rounded.begin(), rounded.begin() + 4}),
              (std::vector<double>{1, 1 + 0x1p-6, -1, 1 + 0x1p-7}));
    x.set({1 + 0x1p-11, 1 + 3 * 0x1p-11, 65519, 65520, 0x1p-25, 3 * 0x1p-25});
    GRAFT_ASSERT_OK(graft_tensor_copy(c, x, h));
    EXPECT_EQ(h.get(), (std::vector<double>{1, 1 + 0x1p-9, 65504, INFINITY, 0, 0x1p-23}));
    x.set({NAN, INFINITY, -INFINITY, -0.0, 1e-45, 3e38});
    GRAFT_ASSERT_OK(graft_tensor_copy(c, x, b));
    EXPECT_TRUE(std::isnan(b.get()[0]));
    EXPECT_EQ(b.get()[1], INFINITY);
    EXPECT_EQ(b.get()[2], -INFINITY);
    EXPECT_TRUE(std::signbit(b.get()[3]));
  }
  // A double just above a tie of bf16 is on the tie as a float, and would then go to the even neighbour.
  const Context c;
  Tensor x(c, kF64, {2}), b(c, kBf16, {2}), h(c, kF16, {2});
  x.set({1 + 0x1p-8 + 0x1p-40, 1 + 3 * 0x1p-8 - 0x1p-40});
  GRAFT_ASSERT_OK(graft_tensor_copy(c, x, b));
  EXPECT_EQ(b.get(), (std::vector<double>{1 + 0x1p-7, 1 + 0x1p-7}));
  x.set({1 + 0x1p-11 + 0x1p-40, -1 - 3 * 0x1p-11 + 0x1p-40});
  GRAFT_ASSERT_OK(graft_tensor_copy(c, x, h));
  EXPECT_EQ(h.get(), (std::vector<double>{1 + 0x1p-10, -1 - 0x1p-10}));
}

TEST(TensorCopy, AnyStrides) {
  for (const char* prefer : {"fast", "reference"}) {
    const Context c(2, prefer);
    // [2, 3, 4, 5] with the two middle dimensions exchanged in memory, rows of pitch 7.
    Tensor memory(c, kF32, {2 * 4 * 3 * 7}), x = memory.view(0, {2, 3, 4, 5}, {84, 7, 21, 1});
    Tensor y(c, kBf16, {2, 3, 4, 5}), z(c, kF32, {2, 3, 4, 5}), back(c, kF32, {2 * 4 * 3 * 7});
    Tensor w = back.view(0, {2, 3, 4, 5}, {84, 7, 21, 1});
    memory.random(9), x.integers(1, -9, 9), back.fill(-77);
    GRAFT_ASSERT_OK(graft_tensor_copy(c, x, y));
    EXPECT_EQ(y.get(), x.get());
    GRAFT_ASSERT_OK(graft_tensor_copy(c, x, z));
    EXPECT_EQ(z.get(), x.get());
    GRAFT_ASSERT_OK(graft_tensor_copy(c, z, w));
    EXPECT_EQ(w.get(), x.get());
    EXPECT_EQ(back.get()[5], -77);  // the gap between rows is nobody's
    GRAFT_ASSERT_OK(graft_tensor_add(c, y, w));
    GRAFT_ASSERT_OK(graft_tensor_add(c, x, z));
    EXPECT_EQ(w.get(), z.get());
    GRAFT_ASSERT_OK(graft_tensor_fill(c, 3, w));
    EXPECT_EQ(w.get(), std::vector<double>(120, 3));
    EXPECT_EQ(back.get()[5], -77);
    // A broadcast input (stride 0) is one row seen many times.
    Tensor row(c, kF32, {1, 5}), many(c, kF32, {4, 5});
    row.set({1, 2, 3, 4, 5});
    graft_tensor broadcast = *static_cast<graft_tensor*>(row);
    broadcast.shape[0] = 4, broadcast.stride[0] = 0;
    GRAFT_ASSERT_OK(graft_tensor_copy(c, &broadcast, many));
    EXPECT_EQ(many.get(), (std::vector<double>{1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 1, 2, 3, 4, 5}));
    expect_error(graft_tensor_copy(c, many, &broadcast), GRAFT_INVALID_ARGUMENT, {"y [4, 5]", "stride 0"});
  }
}

TEST(TensorCopy, SameBitsForAnyNumberOfThreads) {
  const auto copied = [](const Context& c, const Shape& shape) {
    Tensor x(c, kF32, shape), y(c, kBf16, shape);
    x.random(1);
    y.random(2);
    GRAFT_EXPECT_OK(graft_tensor_add(c, x, y));
    std::vector<double> values = y.get();
    GRAFT_EXPECT_OK(graft_tensor_copy(c, x, y));
    for (double value : y.get()) values.push_back(value);
    return values;
  };
  for (const Shape& shape : {Shape{50000}, {400, 90}})
    expect_same_bits([&](const Context& c) { return copied(c, shape); });
}

TEST(TensorFill, EveryDtype) {
  for (const char* prefer : {"fast", "reference"}) {
    const Context c(2, prefer);
    for (graft_dtype dtype : {kF32, kBf16, kF16, kF64, kI32, kI64, kU8}) {
      Tensor y(c, dtype, {20, 9}, 11);
      GRAFT_ASSERT_OK(graft_tensor_fill(c, 37, y));
      EXPECT_EQ(y.get(), std::vector<double>(180, 37)) << name(dtype);
      GRAFT_ASSERT_OK(graft_tensor_fill(c, 0, y));
      EXPECT_EQ(y.get(), std::vector<double>(180, 0)) << name(dtype);
    }
    Tensor h(c, kBf16, {3}), i(c, kI32, {3}), u(c, kU8, {3}), l(c, kI64, {1});
    GRAFT_ASSERT_OK(graft_tensor_fill(c, -INFINITY, h));
    EXPECT_EQ(h.get()[2], -INFINITY);
    GRAFT_ASSERT_OK(graft_tensor_fill(c, -0x1p63, l));
    EXPECT_EQ(l.get()[0], -0x1p63);
    expect_error(graft_tensor_fill(c, 1.5, i), GRAFT_INVALID_ARGUMENT, {"value is 1.5", "i32"});
    expect_error(graft_tensor_fill(c, 256, u), GRAFT_INVALID_ARGUMENT, {"value is 256", "u8"});
    expect_error(graft_tensor_fill(c, NAN, i), GRAFT_INVALID_ARGUMENT, {"value", "i32"});
    expect_error(graft_tensor_fill(c, 0x1p63, l), GRAFT_INVALID_ARGUMENT, {"value", "i64"});
  }
}

TEST(TensorAdd, FastAgreesWithReference) {
  const Context fast(2, "fast"), reference(1, "reference");
  for (graft_dtype from : {kF32, kBf16, kF16}) {
    for (graft_dtype to : {kF32, kBf16, kF16}) {
      const auto sums = [&](const Context& c) {
        Tensor x(c, from, {13, 21}, 30), y(c, to, {13, 21});
        x.random(1), y.random(2);
        GRAFT_EXPECT_OK(graft_tensor_add(c, x, y));
        return y.get();
      };
      EXPECT_EQ(sums(fast), sums(reference)) << name(from) << " to " << name(to);  // one rounding: the same bits
    }
  }
  Tensor x(reference, kF64, {3}), y(reference, kF64, {3});
  x.set({1, 2, 3}), y.set({0x1p-50, 0, 1});
  GRAFT_ASSERT_OK(graft_tensor_add(reference, x, y));
  EXPECT_EQ(y.get(), (std::vector<double>{1 + 0x1p-50, 2, 4}));
}

TEST(TensorTranspose, EveryFloatAndPitch) {
  const Context c(2);
  for (graft_dtype dtype : {kF32, kF64, kBf16, kF16}) {
    Tensor x(c, dtype, {2, 3}, 5), y(c, dtype, {3, 2}, 4), wrong(c, dtype, {2, 3}), none(c, dtype, {0, 3}),
        empty(c, dtype, {3, 0});
    x.set({1, 2, 3, 4, 5, 6});
    GRAFT_ASSERT_OK(graft_tensor_transpose(c, x, y));
    EXPECT_EQ(y.get(), (std::vector<double>{1, 4, 2, 5, 3, 6}));
    GRAFT_EXPECT_OK(graft_tensor_transpose(c, none, empty));
    expect_error(graft_tensor_transpose(c, x, wrong), GRAFT_SHAPE_MISMATCH, {"y [2, 3]", "[3, 2]"});
    expect_error(graft_tensor_transpose(c, x, x), GRAFT_SHAPE_MISMATCH, {"y [2, 3]"});
  }
  Tensor ids(c, kI32, {2, 3}), square(c, kF32, {3, 3}), bf16(c, kBf16, {3, 3});
  expect_error(graft_tensor_transpose(c, ids, ids), GRAFT_INVALID_ARGUMENT, {"x [2, 3] i32"});
  expect_error(graft_tensor_transpose(c, square, square), GRAFT_INVALID_ARGUMENT, {"y", "overlaps x"});
  expect_error(graft_tensor_transpose(c, square, bf16), GRAFT_INVALID_ARGUMENT, {"y", "bf16"});
}

TEST(TensorCopy, BadArguments) {
  const Context c;
  Tensor x(c, kF32, {4, 6}), y(c, kF32, {4, 6}), thin(c, kF32, {4, 5}), ids(c, kI32, {4, 6}), flat(c, kF32, {24});
  const graft_status invalid = GRAFT_INVALID_ARGUMENT;
  expect_error(graft_tensor_copy(nullptr, x, y), invalid, {"graft_tensor_copy", "context"});
  expect_error(graft_tensor_copy(c, nullptr, y), invalid, {"x is NULL"});
  expect_error(graft_tensor_copy(c, x, nullptr), invalid, {"y is NULL"});
  expect_error(graft_tensor_copy(c, x, thin), GRAFT_SHAPE_MISMATCH, {"y [4, 5]", "x [4, 6]"});
  expect_error(graft_tensor_copy(c, x, flat), GRAFT_SHAPE_MISMATCH, {"y [24]"});
  expect_error(graft_tensor_copy(c, x, ids), invalid, {"y [4, 6] i32", "integers"});
  expect_error(graft_tensor_copy(c, x, x), invalid, {"y", "overlaps x"});
  expect_error(graft_tensor_add(c, x, x), invalid, {"graft_tensor_add", "overlaps x"});
  expect_error(graft_tensor_add(c, ids, y), invalid, {"x [4, 6] i32"});
  expect_error(graft_tensor_add(c, nullptr, y), invalid, {"x is NULL"});
  expect_error(graft_tensor_add(c, thin, y), GRAFT_SHAPE_MISMATCH, {"y [4, 6]", "x [4, 5]"});
  expect_error(graft_tensor_fill(c, 1, nullptr), invalid, {"graft_tensor_fill", "y is NULL"});
}

}  // namespace
}  // namespace graft::test
