// embedding: rows by number, repeated and bad numbers, fast against reference, pitch, finite differences, threads.
#include <cmath>

#include "gradients.h"
#include "tensors.h"

namespace graft::test {
namespace {

struct Result {
  std::vector<double> y, dtable;
  bool operator==(const Result&) const = default;
};

Result run(const Context& c, graft_dtype dtype, graft_dtype id_dtype, std::int64_t rows, std::int64_t columns,
           std::int64_t pitch = 0) {
  const graft_dtype sums = sums_of(dtype);
  constexpr std::int64_t vocabulary = 11;
  Tensor table(c, dtype, {vocabulary, columns}, pitch), ids(c, id_dtype, {rows}), y(c, dtype, {rows, columns}, pitch);
  Tensor dy(c, dtype, {rows, columns}, pitch), dtable(c, sums, {vocabulary, columns}, pitch);
  table.random(1), ids.integers(2, 0, vocabulary - 1), dy.random(3), dtable.random(4);
  GRAFT_EXPECT_OK(graft_embedding_forward(c, table, ids, 1, y));
  GRAFT_EXPECT_OK(graft_embedding_backward(c, ids, dy, 1, dtable));
  return {y.get(), dtable.get()};
}

TEST(Embedding, TakesRowsAndAddsGradients) {
  for (const char* prefer : {"fast", "reference"}) {
    const Context c(2, prefer);
    Tensor table(c, kF32, {3, 2}), ids(c, kI64, {4}), y(c, kF32, {4, 2}), dtable(c, kF32, {3, 2});
    table.set({1, 2, 3, 4, 5, 6}), ids.set({2, 0, 2, 2}), dtable.fill(100);
    GRAFT_ASSERT_OK(graft_embedding_forward(c, table, ids, 1, y));
    EXPECT_EQ(c.last_dispatch(), std::string("embedding_forward:cpu/") + prefer);
    EXPECT_EQ(y.get(), (std::vector<double>{5, 6, 1, 2, 5, 6, 5, 6}));
    GRAFT_ASSERT_OK(graft_embedding_backward(c, ids, y, 1, dtable));
    EXPECT_EQ(dtable.get(), (std::vector<double>{101, 102, 100, 100, 115, 118}));
  }
}

TEST(Embedding, FastIsTheReferenceBitForBit) {
  const Context fast(2, "fast"), reference(1, "reference");
  for (graft_dtype dtype : {kF32, GRAFT_DTYPE_BF16, GRAFT_DTYPE_F16}) {
    for (graft_dtype ids : {kI32, kI64}) {
      for (auto [rows, columns] : {std::pair{1, 1}, {7, 5}, {90, 129}, {65, 300}}) {
        const Result a = run(fast, dtype, ids, rows, columns), b = run(reference, dtype, ids, rows, columns);
        EXPECT_EQ(a.y, b.y) << name(dtype) << " " << rows << "x" << columns;
        EXPECT_EQ(a.dtable, b.dtable) << name(dtype) << " " << rows << "x" << columns;
      }
    }
  }
}

TEST(Embedding, FiniteDifferences) {
  const Context c(1, "reference");
  Tensor table(c, kF64, {6, 4}), ids(c, kI32, {9}), y(c, kF64, {9, 4}), dy(c, kF64, {9, 4}), dtable(c, kF64, {6, 4});
  table.random(1), ids.integers(2, 0, 5), dy.random(3);
  GRAFT_ASSERT_OK(graft_embedding_backward(c, ids, dy, 1, dtable));
  auto objective = [&] {
    EXPECT_EQ(graft_embedding_forward(c, table, ids, 1, y), GRAFT_OK);
    return dot(dy.get(), y.get());
  };
  expect_gradient(table, dtable.get(), objective, "dtable");
}

TEST(Embedding, SameBitsForAnyNumberOfThreads) {
  expect_same_bits([](const Context& c) { return run(c, kBf16, kI32, 200, 700); });
}

TEST(Embedding, PitchAndEmpty) {
  for (const char* prefer : {"fast", "reference"}) {
    const Context c(2, prefer);
    const Result plain = run(c, kF32, kI32, 40, 20), pitched = run(c, kF32, kI32, 40, 20, 37);
    EXPECT_TRUE(plain.y == pitched.y && plain.dtable == pitched.dtable);
    EXPECT_TRUE(run(c, kF32, kI32, 0, 20).y.empty());
    EXPECT_TRUE(run(c, kF32, kI32, 3, 0).y.empty());
  }
}

TEST(Embedding, BadIdsAreFoundBeforeAnythingIsWritten) {
  for (const char* prefer : {"fast", "reference"}) {
    for (graft_dtype id_dtype : {kI32, kI64}) {
      const Context c(2, prefer);
      Tensor table(c, kF32, {3, 2}), ids(c, id_dtype, {4}), y(c, kF32, {4, 2}), dtable(c, kF32, {3, 2});
      table.fill(1), y.fill(7), dtable.fill(7);
      for (double bad : {3.0, -1.0}) {
        ids.set({0, 1, bad, 2});
        const std::string text = "ids[2] is " + std::to_string(static_cast<int>(bad));
        expect_error(graft_embedding_forward(c, table, ids, 1, y), GRAFT_INVALID_ARGUMENT, {text, "0..2"});
        expect_error(graft_embedding_backward(c, ids, y, 1, dtable), GRAFT_INVALID_ARGUMENT, {text, "0..2"});
      }
      EXPECT_EQ(y.get(), std::vector<double>(8, 7));
      EXPECT_EQ(dtable.get(), std::vector<double>(6, 7));
    }
  }
}

TEST(Embedding, AScaleMultipliesRowsAndGradients) {
  for (const char* prefer : {"fast", "reference"}) {
    const Context c(2, prefer);
    Tensor table(c, kF32, {5, 7}), ids(c, kI32, {4}), y(c, kF32, {4, 7}), once(c, kF32, {4, 7});
    Tensor dtable(c, kF32, {5, 7}), plain(c, kF32, {5, 7});
    table.random(1), ids.set({3, 0, 3, 4}), dtable.fill(0), plain.fill(0);
    GRAFT_ASSERT_OK(graft_embedding_forward(c, table, ids, 2.5, y));
    GRAFT_ASSERT_OK(graft_embedding_forward(c, table, ids, 1, once));
    GRAFT_ASSERT_OK(graft_embedding_backward(c, ids, once, 2.5, dtable));
    GRAFT_ASSERT_OK(graft_embedding_backward(c, ids, y, 1, plain));
    for (std::size_t i = 0; i < 28; ++i) EXPECT_EQ(y.get()[i], static_cast<float>(2.5 * once.get()[i])) << prefer;
    EXPECT_EQ(dtable.get(), plain.get()) << prefer;
    expect_error(graft_embedding_forward(c, table, ids, NAN, y), GRAFT_INVALID_ARGUMENT, {"scale is nan"});
  }
}

TEST(Embedding, BadArguments) {
  const Context c;
  Tensor table(c, kF32, {3, 2}), ids(c, kI32, {4}), y(c, kF32, {4, 2}), short_y(c, kF32, {3, 2}), flat(c, kF32, {6});
  Tensor half(c, GRAFT_DTYPE_BF16, {4, 2}), floats(c, kF32, {4}), half_table(c, GRAFT_DTYPE_BF16, {3, 2});
  const graft_status invalid = GRAFT_INVALID_ARGUMENT;
  expect_error(graft_embedding_forward(nullptr, table, ids, 1, y), invalid, {"graft_embedding_forward", "context"});
  expect_error(graft_embedding_forward(c, nullptr, ids, 1, y), invalid, {"table is NULL"});
  expect_error(graft_embedding_forward(c, table, nullptr, 1, y), invalid, {"ids is NULL"});
  expect_error(graft_embedding_forward(c, table, ids, 1, nullptr), invalid, {"y is NULL"});
  expect_error(graft_embedding_forward(c, flat, ids, 1, y), GRAFT_SHAPE_MISMATCH, {"table [6]"});
  expect_error(graft_embedding_forward(c, table, floats, 1, y), invalid, {"ids [4] f32"});
  expect_error(graft_embedding_forward(c, table, ids, 1, short_y), GRAFT_SHAPE_MISMATCH, {"y [3, 2]", "[4, 2]"});
  expect_error(graft_embedding_forward(c, table, ids, 1, half), invalid, {"y", "bf16"});
  Tensor part = table.view(0, {1, 2}, {2, 1}), one_id(c, kI32, {1});
  expect_error(graft_embedding_forward(c, table, one_id, 1, part), invalid, {"y", "overlaps table"});
  expect_error(graft_embedding_backward(c, ids, y, 1, nullptr), invalid,
               {"graft_embedding_backward", "dtable is NULL"});
  expect_error(graft_embedding_backward(c, ids, nullptr, 1, table), invalid, {"dy is NULL"});
  expect_error(graft_embedding_backward(c, ids, short_y, 1, table), GRAFT_SHAPE_MISMATCH, {"dy [3, 2]"});
  expect_error(graft_embedding_backward(c, ids, half, 1, half_table), invalid, {"dtable [3, 2] bf16", "f32"});
}

}  // namespace
}  // namespace graft::test
