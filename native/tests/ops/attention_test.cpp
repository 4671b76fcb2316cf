// attention: golden files, fast against reference over shapes, masks and dtypes, finite differences, threads, memory.
#include <cmath>
#include <limits>

#include "golden.h"
#include "gradients.h"
#include "tensors.h"

namespace graft::test {
namespace {

struct Case {
  std::int64_t batches, queries, keys, query_heads, key_heads, depth, past, window;
  std::vector<double> lengths;  // empty: all keys

  std::string text(graft_dtype dtype) const {
    std::string t = std::string(name(dtype)) + " B" + std::to_string(batches) + " T" + std::to_string(queries) + " S" +
                    std::to_string(keys) + " H" + std::to_string(query_heads) + "/" + std::to_string(key_heads) + " D" +
                    std::to_string(depth) + " past " + std::to_string(past) + " window " + std::to_string(window);
    return lengths.empty() ? t : t + " lengths";
  }
};

graft_dtype sums_of(graft_dtype dtype) { return dtype == GRAFT_DTYPE_F64 ? GRAFT_DTYPE_F64 : GRAFT_DTYPE_F32; }

/** Inputs and outputs of one case, random. */
struct Attention {
  Attention(const Context& context, graft_dtype dtype, const Case& shape)
      : c(context),
        s(shape),
        q(c, dtype, {s.batches, s.queries, s.query_heads, s.depth}),
        k(c, dtype, {s.batches, s.keys, s.key_heads, s.depth}),
        v(c, dtype, {s.batches, s.keys, s.key_heads, s.depth}),
        o(c, dtype, {s.batches, s.queries, s.query_heads, s.depth}),
        dout(c, dtype, {s.batches, s.queries, s.query_heads, s.depth}),
        dq(c, dtype, {s.batches, s.queries, s.query_heads, s.depth}),
        dk(c, dtype, {s.batches, s.keys, s.key_heads, s.depth}),
        dv(c, dtype, {s.batches, s.keys, s.key_heads, s.depth}),
        lse(c, sums_of(dtype), {s.batches, s.query_heads, s.queries}),
        lengths(c, GRAFT_DTYPE_I32, {s.batches}),
        scale(1 / std::sqrt(static_cast<double>(s.depth))) {
    q.random(1, -2, 2), k.random(2, -2, 2), v.random(3), dout.random(4);
    // What an op must overwrite starts as nonsense.
    o.fill(7), dq.fill(7), dk.fill(7), dv.fill(7), lse.fill(7);
    if (!s.lengths.empty()) lengths.set(s.lengths);
  }

  graft_tensor* lengths_or_null() const { return s.lengths.empty() ? nullptr : static_cast<graft_tensor*>(lengths); }
  graft_status forward(bool with_lse = true) {
    return graft_attention_forward(c, q, k, v, lengths_or_null(), scale, s.past, s.window, o,
                                   with_lse ? static_cast<graft_tensor*>(lse) : nullptr);
  }
  graft_status backward() {
    return graft_attention_backward(c, dout, q, k, v, o, lse, lengths_or_null(), scale, s.past, s.window, dq, dk, dv);
  }

  const Context& c;
  Case s;
  Tensor q, k, v, o, dout, dq, dk, dv, lse, lengths;
  double scale;
};

/** Compares finite values by expect_close and wants the same infinities. */
void expect_lse(const std::vector<double>& actual, const std::vector<double>& expected, double tolerance,
                const std::string& what) {
  ASSERT_EQ(actual.size(), expected.size()) << what;
  for (std::size_t i = 0; i < actual.size(); ++i) {
    if (std::isinf(expected[i])) {
      EXPECT_EQ(actual[i], expected[i]) << what << " [" << i << "]";
    } else {
      EXPECT_NEAR(actual[i], expected[i], tolerance * (4 + std::abs(expected[i]))) << what << " [" << i << "]";
    }
  }
}

/** Relative to the largest value, or to `least` where that is smaller: a query that sees one key has gradients of 0. */
void expect_near_all(const std::vector<double>& actual, const std::vector<double>& expected, double tolerance,
                     const std::string& what, double least = 0.25) {
  ASSERT_EQ(actual.size(), expected.size()) << what;
  double largest = least;
  for (double e : expected) largest = std::max(largest, std::abs(e));
  for (std::size_t i = 0; i < actual.size(); ++i)
    ASSERT_LE(std::abs(actual[i] - expected[i]), tolerance * largest)
        << what << " [" << i << "] " << actual[i] << " for " << expected[i];
}

void expect_agreement(graft_dtype dtype, const Case& s, const char* fast = "fast") {
  const Context one(2, fast), other(1, "reference"), quick(2, "fast");
  Attention a(one, dtype, s), b(other, dtype, s), g(quick, dtype, s);
  const std::string what = s.text(dtype);
  GRAFT_ASSERT_OK(a.forward()) << what;
  GRAFT_ASSERT_OK(b.forward()) << what;
  // bf16: p and ds are rounded too, each an error of u relative to its size; the sums behind them are in fp32.
  const double u = unit_roundoff(dtype), tolerance = 4 * u + 64 * 0x1p-24;
  expect_near_all(a.o.get(), b.o.get(), tolerance, what + " o");
  expect_lse(a.lse.get(), b.lse.get(), 64 * 0x1p-24, what + " lse");
  g.o.set(b.o.get()), g.lse.set(b.lse.get());
  GRAFT_ASSERT_OK(g.backward()) << what;
  GRAFT_ASSERT_OK(b.backward()) << what;
  expect_near_all(g.dq.get(), b.dq.get(), tolerance, what + " dq");
  expect_near_all(g.dk.get(), b.dk.get(), tolerance, what + " dk");
  expect_near_all(g.dv.get(), b.dv.get(), tolerance, what + " dv");
}

constexpr graft_dtype kSmallFloats[] = {GRAFT_DTYPE_F32, GRAFT_DTYPE_BF16, GRAFT_DTYPE_F16};

TEST(Attention, GoldenFiles) {
  for (const std::string& path : golden_files("attention")) {
    auto g = golden(path);
    for (const char* prefer : {"fast", "reference"}) {
      const Context c(2, prefer);
      const graft_dtype f32 = GRAFT_DTYPE_F32;
      Tensor q = load(c, f32, g.at("q")), k = load(c, f32, g.at("k")), v = load(c, f32, g.at("v"));
      Tensor dout = load(c, f32, g.at("do")), lengths = load(c, GRAFT_DTYPE_I32, g.at("lengths"));
      Tensor o(c, f32, g.at("o").shape), lse(c, f32, g.at("lse").shape);
      Tensor dq(c, f32, g.at("q").shape), dk(c, f32, g.at("k").shape), dv(c, f32, g.at("v").shape);
      const double scale = 1 / std::sqrt(static_cast<double>(q->shape[3]));
      const auto past = static_cast<std::int64_t>(g.at("past_window").values.at(0));
      const auto window = static_cast<std::int64_t>(g.at("past_window").values.at(1));
      GRAFT_ASSERT_OK(graft_attention_forward(c, q, k, v, lengths, scale, past, window, o, lse));
      GRAFT_ASSERT_OK(graft_attention_backward(c, dout, q, k, v, o, lse, lengths, scale, past, window, dq, dk, dv));
      expect_close(o.get(), g.at("o").values, 1e-5, path + " o");
      expect_lse(lse.get(), g.at("lse").values, 1e-5, path + " lse");
      expect_close(dq.get(), g.at("dq").values, 1e-5, path + " dq");
      expect_close(dk.get(), g.at("dk").values, 1e-5, path + " dk");
      expect_close(dv.get(), g.at("dv").values, 1e-5, path + " dv");
    }
  }
}

TEST(Attention, FastAgreesWithReference) {
  const Case cases[] = {
      {1, 1, 1, 1, 1, 8, 0, 0, {}},
      {2, 5, 5, 2, 1, 12, 0, 0, {}},
      {1, 63, 63, 2, 2, 16, 0, 0, {}},
      {1, 65, 65, 4, 2, 64, 0, 0, {}},
      {2, 64, 64, 1, 1, 64, 0, 0, {}},
      {1, 130, 130, 1, 1, 5, 0, 0, {}},
      {1, 200, 200, 3, 1, 80, 0, 0, {}},
      {1, 129, 129, 2, 1, 128, 0, 0, {}},
      {1, 7, 100, 4, 1, 32, 93, 0, {}},
      {2, 33, 300, 2, 1, 33, 150, 0, {}},
      {1, 150, 150, 2, 2, 24, 0, 1, {}},
      {1, 150, 150, 2, 2, 24, 0, 17, {}},
      {1, 260, 260, 2, 1, 16, 0, 64, {}},
      {1, 140, 300, 2, 1, 16, 160, 100, {}},
      {3, 90, 90, 2, 2, 16, 0, 0, {90, 31, 0}},
      {2, 70, 200, 2, 1, 20, 130, 40, {200, 150}},
      {1, 40, 10, 1, 1, 16, 0, 0, {}},
      {9, 70, 70, 4, 2, 16, 0, 0, {}},
      {1, 10, 50, 1, 1, 16, 100, 20, {}},
      {1, 1, 1, 2, 2, 1, 0, 0, {}},
  };
  for (graft_dtype dtype : kSmallFloats)
    for (const Case& s : cases) expect_agreement(dtype, s);
}

}  // namespace
}  // namespace graft::test
