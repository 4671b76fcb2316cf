// swiglu: golden files, fast against reference, finite differences, saturated gates, aliasing, threads, bad arguments.
#include <cmath>

#include "golden.h"
#include "gradients.h"
#include "tensors.h"

namespace graft::test {
namespace {

struct Result {
  std::vector<double> y, dgate, dup;
  bool operator==(const Result&) const = default;
};

constexpr graft_glu_kind kKinds[] = {GRAFT_GLU_SILU, GRAFT_GLU_GELU_TANH};

Result run(const Context& c, graft_dtype dtype, std::int64_t rows, std::int64_t columns, std::int64_t pitch = 0,
           graft_glu_kind kind = GRAFT_GLU_SILU) {
  const Shape shape{rows, columns};
  Tensor gate(c, dtype, shape, pitch), up(c, dtype, shape), dy(c, dtype, shape, pitch), y(c, dtype, shape, pitch);
  Tensor dgate(c, dtype, shape, pitch), dup(c, dtype, shape);
  gate.random(1, -6, 6), up.random(2), dy.random(3);
  GRAFT_EXPECT_OK(graft_swiglu_forward(c, kind, gate, up, y));
  GRAFT_EXPECT_OK(graft_swiglu_backward(c, kind, dy, gate, up, dgate, dup));
  return {y.get(), dgate.get(), dup.get()};
}

TEST(Swiglu, GoldenFiles) {
  for (const std::string& path : golden_files("swiglu")) {
    auto g = golden(path);
    for (const char* prefer : {"fast", "reference"}) {
      const Context c(2, prefer);
      const Shape& shape = g.at("gate").shape;
      Tensor gate = load(c, kF32, g.at("gate")), up = load(c, kF32, g.at("up")), dy = load(c, kF32, g.at("dy"));
      Tensor y(c, kF32, shape), dgate(c, kF32, shape), dup(c, kF32, shape);
      GRAFT_ASSERT_OK(graft_swiglu_forward(c, GRAFT_GLU_SILU, gate, up, y));
      EXPECT_EQ(c.last_dispatch(), std::string("swiglu_forward:cpu/") + prefer);
      GRAFT_ASSERT_OK(graft_swiglu_backward(c, GRAFT_GLU_SILU, dy, gate, up, dgate, dup));
      expect_close(y.get(), g.at("y").values, 1e-5, path + " y");
      expect_close(dgate.get(), g.at("dgate").values, 1e-5, path + " dgate");
      expect_close(dup.get(), g.at("dup").values, 1e-5, path + " dup");
    }
  }
}

TEST(Swiglu, FastAgreesWithReference) {
  const Context fast(2, "fast"), reference(1, "reference");
  for (graft_dtype dtype : {kF32, GRAFT_DTYPE_BF16, GRAFT_DTYPE_F16}) {
    for (auto [rows, columns] : {std::pair{1, 1}, {3, 7}, {2, 16}, {33, 129}, {5, 17000}}) {
      const std::string what = std::string(name(dtype)) + " " + std::to_string(rows) + "x" + std::to_string(columns);
      for (graft_glu_kind kind : kKinds) {
        const Result a = run(fast, dtype, rows, columns, 0, kind), b = run(reference, dtype, rows, columns, 0, kind);
        const double tolerance = 2 * unit_roundoff(dtype) + (kind == GRAFT_GLU_SILU ? 8 : 16) * 0x1p-24;
        expect_close(a.y, b.y, tolerance, what + " y");
        expect_close(a.dgate, b.dgate, tolerance, what + " dgate");
        expect_close(a.dup, b.dup, tolerance, what + " dup");
      }
    }
  }
}

TEST(Swiglu, FiniteDifferences) {
  const Context c(1, "reference");
  Tensor gate(c, kF64, {5, 7}), up(c, kF64, {5, 7}), dy(c, kF64, {5, 7}), y(c, kF64, {5, 7});
  Tensor dgate(c, kF64, {5, 7}), dup(c, kF64, {5, 7});
  gate.random(1, -3, 3), up.random(2), dy.random(3);
  for (graft_glu_kind kind : kKinds) {
    auto objective = [&] {
      EXPECT_EQ(graft_swiglu_forward(c, kind, gate, up, y), GRAFT_OK);
      return dot(dy.get(), y.get());
    };
    GRAFT_ASSERT_OK(graft_swiglu_backward(c, kind, dy, gate, up, dgate, dup));
    expect_gradient(gate, dgate.get(), objective, "dgate");
    expect_gradient(up, dup.get(), objective, "dup");
  }
}

TEST(Swiglu, TheGeluGateIsThatOfGelu) {
  const Context c(1, "reference");
  Tensor gate(c, kF64, {3, 40}), ones(c, kF64, {3, 40}), y(c, kF64, {3, 40}), expected(c, kF64, {3, 40});
  gate.random(1, -50, 50), ones.fill(1);
  GRAFT_ASSERT_OK(graft_swiglu_forward(c, GRAFT_GLU_GELU_TANH, gate, ones, y));
  GRAFT_ASSERT_OK(graft_gelu_forward(c, GRAFT_GELU_TANH, gate, expected));
  EXPECT_EQ(y.get(), expected.get());
  GRAFT_ASSERT_OK(graft_swiglu_backward(c, GRAFT_GLU_GELU_TANH, ones, gate, ones, y, nullptr));
  GRAFT_ASSERT_OK(graft_gelu_backward(c, GRAFT_GELU_TANH, ones, gate, expected));
  expect_close(y.get(), expected.get(), 8 * 0x1p-53, "dgate");
}

TEST(Swiglu, AGeluGateFarFromZero) {
  for (const char* prefer : {"fast", "reference"}) {
    const Context c(1, prefer);
    Tensor gate(c, kF32, {1, 5}), up(c, kF32, {1, 5}), y(c, kF32, {1, 5}), dgate(c, kF32, {1, 5});
    gate.set({-1e30, -200, -30, 200, NAN}), up.fill(1);
    GRAFT_ASSERT_OK(graft_swiglu_forward(c, GRAFT_GLU_GELU_TANH, gate, up, y));
    GRAFT_ASSERT_OK(graft_swiglu_backward(c, GRAFT_GLU_GELU_TANH, up, gate, up, dgate, nullptr));
    for (std::size_t i = 0; i < 4; ++i) {
      EXPECT_NEAR(y.get()[i], i == 3 ? 200 : 0, 1e-4) << prefer << i;
      EXPECT_NEAR(dgate.get()[i], i == 3 ? 1 : 0, 1e-5) << prefer << i;
    }
    EXPECT_TRUE(std::isnan(y.get()[4]));
  }
}

TEST(Swiglu, SaturatedGates) {
  for (const char* prefer : {"fast", "reference"}) {
    const Context c(1, prefer);
    Tensor gate(c, kF32, {1, 6}), up(c, kF32, {1, 6}), y(c, kF32, {1, 6}), dgate(c, kF32, {1, 6}), dup(c, kF32, {1, 6});
    gate.set({-1e30, -200, -89, 89, 200, 1e30}), up.fill(1);
    GRAFT_ASSERT_OK(graft_swiglu_forward(c, GRAFT_GLU_SILU, gate, up, y));
    GRAFT_ASSERT_OK(graft_swiglu_backward(c, GRAFT_GLU_SILU, up, gate, up, dgate, dup));
    const std::vector<double> values = y.get();
    expect_close({values.begin() + 1, values.end() - 1}, {0, -89 * std::exp(-89.0), 89, 200}, 1e-6, prefer);
    const std::vector<double> slopes = dgate.get();
    for (int i = 1; i < 5; ++i) EXPECT_NEAR(slopes[i], i < 3 ? 0 : 1, 1e-6) << prefer << " " << i;
    gate.set({NAN, 1, 1, 1, 1, 1});
    GRAFT_ASSERT_OK(graft_swiglu_forward(c, GRAFT_GLU_SILU, gate, up, y));
    EXPECT_TRUE(std::isnan(y.get()[0]));
  }
}

TEST(Swiglu, TheLargestGates) {
  for (graft_glu_kind kind : {GRAFT_GLU_SILU, GRAFT_GLU_GELU_TANH})
    for (const char* prefer : {"fast", "reference"}) {
      const Context c(1, prefer);
      Tensor gate(c, kF32, {1, 4}), up(c, kF32, {1, 4}), y(c, kF32, {1, 4}), dgate(c, kF32, {1, 4});
      Tensor dup(c, kF32, {1, 4});
      gate.set({-3e38, -1e36, 1e36, 3e38}), up.fill(1);
      GRAFT_ASSERT_OK(graft_swiglu_forward(c, kind, gate, up, y));
      GRAFT_ASSERT_OK(graft_swiglu_backward(c, kind, up, gate, up, dgate, dup));
      const std::vector<double> from = gate.get(), expected = {0, 0, from[2], from[3]};
      EXPECT_EQ(y.get(), expected) << prefer << kind;
      EXPECT_EQ(dup.get(), expected) << prefer << kind;
      EXPECT_EQ(dgate.get(), (std::vector<double>{0, 0, 1, 1})) << prefer << kind;
    }
}

TEST(Swiglu, SameBitsForAnyNumberOfThreads) {
  for (const auto& size : {std::pair{300, 130}, {3, 40000}})
    expect_same_bits([&](const Context& c) { return run(c, kBf16, size.first, size.second); });
}

TEST(Swiglu, PitchEmptyAliasAndNull) {
  for (const char* prefer : {"fast", "reference"}) {
    const Context c(2, prefer);
    const Result plain = run(c, kF32, 9, 20), pitched = run(c, kF32, 9, 20, 37);
    EXPECT_TRUE(plain.y == pitched.y && plain.dgate == pitched.dgate && plain.dup == pitched.dup);
    EXPECT_TRUE(run(c, kF32, 0, 20).y.empty() && run(c, kF32, 4, 0).y.empty());
    const Shape shape{4, 6};
    Tensor gate(c, kF32, shape), up(c, kF32, shape), dy(c, kF32, shape), y(c, kF32, shape);
    Tensor dgate(c, kF32, shape), dup(c, kF32, shape), other(c, kF32, shape);
    gate.random(1), up.random(2), dy.random(3), other.fill(7);
    GRAFT_ASSERT_OK(graft_swiglu_forward(c, GRAFT_GLU_SILU, gate, up, y));
    GRAFT_ASSERT_OK(graft_swiglu_backward(c, GRAFT_GLU_SILU, dy, gate, up, dgate, dup));
    GRAFT_ASSERT_OK(graft_swiglu_backward(c, GRAFT_GLU_SILU, dy, gate, up, other, nullptr));
    EXPECT_EQ(other.get(), dgate.get());
    GRAFT_ASSERT_OK(graft_swiglu_backward(c, GRAFT_GLU_SILU, dy, gate, up, nullptr, other));
    EXPECT_EQ(other.get(), dup.get());
    GRAFT_ASSERT_OK(graft_swiglu_backward(c, GRAFT_GLU_SILU, dy, gate, up, nullptr, nullptr));
    GRAFT_ASSERT_OK(graft_swiglu_backward(c, GRAFT_GLU_SILU, dy, gate, up, gate, up));
    EXPECT_TRUE(gate.get() == dgate.get() && up.get() == dup.get());
    gate.random(1), up.random(2);
    GRAFT_ASSERT_OK(graft_swiglu_forward(c, GRAFT_GLU_SILU, gate, up, up));
    EXPECT_EQ(up.get(), y.get());
    up.random(2);
    GRAFT_ASSERT_OK(graft_swiglu_forward(c, GRAFT_GLU_SILU, gate, up, gate));
    EXPECT_EQ(gate.get(), y.get());
  }
}

TEST(Swiglu, BadArguments) {
  const Context c;
  const Shape shape{4, 6};
  Tensor gate(c, kF32, shape), up(c, kF32, shape), y(c, kF32, shape), thin(c, kF32, {4, 5}), flat(c, kF32, {6});
  Tensor half(c, GRAFT_DTYPE_BF16, shape), ids(c, GRAFT_DTYPE_I32, shape), wide(c, kF64, shape);
  const graft_status invalid = GRAFT_INVALID_ARGUMENT;
  expect_error(graft_swiglu_forward(nullptr, GRAFT_GLU_SILU, gate, up, y), invalid,
               {"graft_swiglu_forward", "context"});
  expect_error(graft_swiglu_forward(c, 2, gate, up, y), invalid, {"kind is 2"});
  expect_error(graft_swiglu_forward(c, GRAFT_GLU_SILU, nullptr, up, y), invalid, {"gate is NULL"});
  expect_error(graft_swiglu_forward(c, GRAFT_GLU_SILU, gate, nullptr, y), invalid, {"up is NULL"});
  expect_error(graft_swiglu_forward(c, GRAFT_GLU_SILU, gate, up, nullptr), invalid, {"y is NULL"});
  expect_error(graft_swiglu_forward(c, GRAFT_GLU_SILU, ids, up, y), invalid, {"gate [4, 6] i32"});
  expect_error(graft_swiglu_forward(c, GRAFT_GLU_SILU, flat, up, y), GRAFT_SHAPE_MISMATCH, {"gate [6]"});
  expect_error(graft_swiglu_forward(c, GRAFT_GLU_SILU, gate, thin, y), GRAFT_SHAPE_MISMATCH, {"up [4, 5]", "gate"});
  expect_error(graft_swiglu_forward(c, GRAFT_GLU_SILU, gate, half, y), invalid, {"up", "bf16"});
  expect_error(graft_swiglu_forward(c, GRAFT_GLU_SILU, gate, up, half), invalid, {"y", "bf16"});
  expect_error(graft_swiglu_backward(c, GRAFT_GLU_SILU, nullptr, gate, up, y, nullptr), invalid,
               {"graft_swiglu_backward", "dy"});
  expect_error(graft_swiglu_backward(c, GRAFT_GLU_SILU, thin, gate, up, y, nullptr), GRAFT_SHAPE_MISMATCH,
               {"dy [4, 5]"});
  expect_error(graft_swiglu_backward(c, GRAFT_GLU_SILU, y, gate, up, y, nullptr), invalid, {"dgate", "overlaps dy"});
  expect_error(graft_swiglu_backward(c, GRAFT_GLU_SILU, y, gate, up, nullptr, gate), invalid, {"dup", "overlaps gate"});
  expect_error(graft_swiglu_backward(c, GRAFT_GLU_SILU, y, gate, up, half, nullptr), invalid, {"dgate", "bf16"});
  Tensor all(c, kF32, {5, 6}), first = all.view(0, shape, {6, 1}), second = all.view(6, shape, {6, 1});
  expect_error(graft_swiglu_forward(c, GRAFT_GLU_SILU, first, up, second), invalid, {"y", "overlaps gate"});
  const Context fast(1, "fast");
  Tensor up64(c, kF64, shape), y64(c, kF64, shape);
  expect_error(graft_swiglu_forward(fast, GRAFT_GLU_SILU, wide, up64, y64), GRAFT_UNSUPPORTED, {"fast", "fp64"});
}

}  // namespace
}  // namespace graft::test
