// attention: golden files, fast against reference over shapes, masks and dtypes, finite differences, threads, memory.
#include <cmath>
#include <limits>

#include "attention_case.h"
#include "golden.h"
#include "gradients.h"
#include "tensors.h"

namespace graft::test {
namespace {

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
  const Context forward(2, fast), reference(1, "reference"), backward(2, "fast");
  Attention a(forward, dtype, s), b(reference, dtype, s), g(backward, dtype, s);
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
      GRAFT_ASSERT_OK(graft_attention_forward(c, q, k, v, lengths, nullptr, scale, 0, past, window, o, lse));
      GRAFT_ASSERT_OK(
          graft_attention_backward(c, dout, q, k, v, o, lse, lengths, nullptr, scale, 0, past, window, dq, dk, dv));
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
      {1, 5, 5, 1, 1, 8, 0, 0, {}, 1},
      {2, 150, 150, 4, 2, 24, 0, 0, {}, 7},
      {1, 200, 200, 2, 2, 64, 0, 0, {}, 70},
      {2, 140, 140, 2, 1, 16, 0, 9, {140, 133}, 20},
      {9, 130, 200, 4, 2, 16, 70, 0, {}, 65},
      {1, 70, 70, 2, 1, 20, 0, 0, {}, 0, 1.5},
      {2, 100, 130, 2, 2, 33, 30, 40, {130, 90}, 50, 3},
  };
  for (graft_dtype dtype : kSmallFloats)
    for (const Case& s : cases) expect_agreement(dtype, s);
}

TEST(Attention, DecodeAgreesWithReference) {
  const Case cases[] = {
      {1, 1, 1, 1, 1, 8, 0, 0, {}},
      {2, 1, 300, 8, 2, 64, 299, 0, {}},
      {1, 1, 257, 3, 3, 12, 256, 0, {}},
      {1, 1, 900, 6, 1, 80, 899, 64, {}},
      {3, 1, 600, 4, 2, 128, 599, 0, {1, 0, 600}},
      {2, 3, 700, 5, 1, 33, 520, 0, {700, 522}},
      {1, 4, 400, 2, 2, 16, 396, 2, {}},
      {1, 2, 512, 2, 1, 64, 0, 0, {}},
      {2, 4, 600, 4, 2, 64, 590, 0, {600, 593}, 300, 2},
      {1, 3, 520, 2, 1, 20, 510, 0, {}, 512},
  };
  for (graft_dtype dtype : kSmallFloats)
    for (const Case& s : cases) expect_agreement(dtype, s, "decode");
  const Context c, decode(1, "decode");
  Attention a(c, GRAFT_DTYPE_F32, cases[0]), many(decode, GRAFT_DTYPE_F32, {1, 5, 5, 1, 1, 8, 0, 0, {}});
  GRAFT_ASSERT_OK(a.forward());
  EXPECT_EQ(c.last_dispatch(), "attention_forward:cpu/decode");
  expect_error(many.forward(), GRAFT_UNSUPPORTED, {"more than 4 queries"});
}

TEST(Attention, EmptySizesGiveZeros) {
  const Context c;
  for (const Case& s :
       {Case{2, 0, 5, 2, 1, 8, 0, 0, {}}, Case{0, 4, 4, 2, 1, 8, 0, 0, {}}, Case{1, 4, 4, 0, 2, 8, 0, 0, {}},
        Case{1, 3, 0, 2, 1, 8, 0, 0, {}}, Case{2, 3, 3, 1, 1, 8, 0, 0, {0, 0}}, Case{1, 3, 2, 1, 1, 8, 3, 0, {}, 3}}) {
    for (graft_dtype dtype : {GRAFT_DTYPE_F32, GRAFT_DTYPE_BF16, GRAFT_DTYPE_F64}) {
      Attention a(c, dtype, s);
      GRAFT_ASSERT_OK(a.forward()) << s.text(dtype);
      GRAFT_ASSERT_OK(a.backward()) << s.text(dtype);
      for (const Tensor* t : {&a.o, &a.dq, &a.dk, &a.dv})
        for (double value : t->get()) ASSERT_EQ(value, 0) << s.text(dtype);
      for (double value : a.lse.get()) ASSERT_EQ(value, -std::numeric_limits<double>::infinity());
    }
  }
}

TEST(Attention, FiniteDifferences) {
  const Context c(1, "reference");
  for (const Case& s : {Case{2, 5, 8, 4, 2, 3, 3, 4, {8, 5}}, Case{1, 6, 6, 2, 1, 4, 0, 0, {}},
                        Case{2, 6, 7, 2, 1, 3, 1, 0, {7, 6}, 4, 0.7}}) {
    Attention a(c, GRAFT_DTYPE_F64, s);
    auto objective = [&] {
      EXPECT_EQ(a.forward(), GRAFT_OK);
      return dot(a.dout.get(), a.o.get());
    };
    objective();
    GRAFT_ASSERT_OK(a.backward());
    expect_gradient(a.q, a.dq.get(), objective, "dq");
    expect_gradient(a.k, a.dk.get(), objective, "dk");
    expect_gradient(a.v, a.dv.get(), objective, "dv");
  }
}

TEST(Attention, SameBitsForAnyNumberOfThreads) {
  const Case cases[] = {
      {2, 150, 150, 4, 2, 32, 0, 0, {}}, {8, 70, 70, 4, 2, 16, 0, 30, {}}, {1, 1, 3000, 8, 2, 64, 2999, 0, {}}};
  for (graft_dtype dtype : {GRAFT_DTYPE_F32, GRAFT_DTYPE_BF16}) {
    for (const Case& s : cases) {
      std::vector<double> o, dq, dk, dv;
      for (int threads : {1, 2, 4}) {
        const Context c(threads);
        Attention a(c, dtype, s);
        GRAFT_ASSERT_OK(a.forward());
        GRAFT_ASSERT_OK(a.backward());
        if (threads == 1) o = a.o.get(), dq = a.dq.get(), dk = a.dk.get(), dv = a.dv.get();
        EXPECT_EQ(a.o.get(), o);
        EXPECT_EQ(a.dq.get(), dq);
        EXPECT_EQ(a.dk.get(), dk);
        EXPECT_EQ(a.dv.get(), dv);
      }
    }
  }
}

TEST(Attention, SlicesOfOneBuffer) {
  const Context c;
  const Case s{2, 70, 70, 4, 2, 16, 0, 0, {}};
  for (graft_dtype dtype : kSmallFloats) {
    Attention a(c, dtype, s);
    GRAFT_ASSERT_OK(a.forward());
    GRAFT_ASSERT_OK(a.backward());
    const std::int64_t row = 8 * 16;
    Tensor qkv(c, dtype, {2, 70, row}), gradient(c, dtype, {2, 70, row}), o(c, dtype, {2, 70, 4, 16});
    const Shape stride{70 * row, row, 16, 1}, wide{2, 70, 4, 16}, narrow{2, 70, 2, 16};
    Tensor q = qkv.view(0, wide, stride), k = qkv.view(64, narrow, stride), v = qkv.view(96, narrow, stride);
    Tensor dq = gradient.view(0, wide, stride), dk = gradient.view(64, narrow, stride);
    Tensor dv = gradient.view(96, narrow, stride);
    q.set(a.q.get()), k.set(a.k.get()), v.set(a.v.get());
    GRAFT_ASSERT_OK(graft_attention_forward(c, q, k, v, nullptr, nullptr, a.scale, 0, 0, 0, o, a.lse));
    GRAFT_ASSERT_OK(
        graft_attention_backward(c, a.dout, q, k, v, o, a.lse, nullptr, nullptr, a.scale, 0, 0, 0, dq, dk, dv));
    EXPECT_EQ(o.get(), a.o.get());
    EXPECT_EQ(dq.get(), a.dq.get());
    EXPECT_EQ(dk.get(), a.dk.get());
    EXPECT_EQ(dv.get(), a.dv.get());
    GRAFT_ASSERT_OK(graft_attention_forward(c, q, k, v, nullptr, nullptr, a.scale, 0, 0, 0, o, nullptr));
    EXPECT_EQ(o.get(), a.o.get());
  }
}

// A row of three sequences gives each the bits that it has by itself, whatever the others hold.
TEST(Attention, SegmentsDoNotSeeEachOther) {
  const std::int64_t cuts[] = {0, 37, 110, 150};
  for (const char* prefer : {"fast", "reference"}) {
    const Context c(2, prefer);
    Attention row(c, GRAFT_DTYPE_F32, {1, 150, 150, 2, 1, 16, 0, 0, {}, 1});
    std::vector<double> first(150, 0);
    for (int n = 0; n < 3; ++n) std::fill(first.begin() + cuts[n], first.begin() + cuts[n + 1], cuts[n]);
    row.starts.set(first);
    GRAFT_ASSERT_OK(row.forward());
    GRAFT_ASSERT_OK(row.backward());
    for (int n = 0; n < 3; ++n) {
      const std::int64_t length = cuts[n + 1] - cuts[n];
      Attention alone(c, GRAFT_DTYPE_F32, {1, length, length, 2, 1, 16, 0, 0, {}});
      const auto part = [&](const Tensor& whole) {
        const std::vector<double> all = whole.get();
        const std::int64_t width = whole->shape[2] * whole->shape[3];
        return std::vector<double>(all.begin() + cuts[n] * width, all.begin() + cuts[n + 1] * width);
      };
      alone.q.set(part(row.q)), alone.k.set(part(row.k)), alone.v.set(part(row.v)), alone.dout.set(part(row.dout));
      GRAFT_ASSERT_OK(alone.forward());
      GRAFT_ASSERT_OK(alone.backward());
      expect_near_all(part(row.o), alone.o.get(), 8 * 0x1p-24, "o");
      expect_near_all(part(row.dq), alone.dq.get(), 32 * 0x1p-24, "dq");
      expect_near_all(part(row.dk), alone.dk.get(), 32 * 0x1p-24, "dk");
      expect_near_all(part(row.dv), alone.dv.get(), 32 * 0x1p-24, "dv");
    }
    // What another segment holds changes no bit.
    const std::vector<double> o = row.o.get(), dk = row.dk.get();
    for (Tensor* t : {&row.q, &row.k, &row.v, &row.dout}) {
      std::vector<double> values = t->get();
      const auto width = static_cast<std::ptrdiff_t>(values.size() / 150);
      std::fill(values.begin() + cuts[1] * width, values.begin() + cuts[2] * width, 9.0);
      t->set(values);
    }
    GRAFT_ASSERT_OK(row.forward());
    GRAFT_ASSERT_OK(row.backward());
    const std::vector<double> o_after = row.o.get(), dk_after = row.dk.get();
    for (std::int64_t i = 0; i < 150; ++i) {
      if (i >= cuts[1] && i < cuts[2]) continue;
      for (std::int64_t j = 0; j < 32; ++j) ASSERT_EQ(o_after[i * 32 + j], o[i * 32 + j]) << i;
      for (std::int64_t j = 0; j < 16; ++j) ASSERT_EQ(dk_after[i * 16 + j], dk[i * 16 + j]) << i;
    }
  }
}

TEST(Attention, NaNComesThrough) {
  const Context c;
  for (graft_dtype dtype : {GRAFT_DTYPE_F32, GRAFT_DTYPE_BF16}) {
    Attention a(c, dtype, {1, 70, 70, 1, 1, 16, 0, 0, {}});
    std::vector<double> q = a.q.get();
    q[69 * 16 + 3] = std::numeric_limits<double>::quiet_NaN();
    a.q.set(q);
    GRAFT_ASSERT_OK(a.forward());
    const std::vector<double> o = a.o.get();
    EXPECT_TRUE(std::isnan(o[69 * 16])) << name(dtype);
    EXPECT_FALSE(std::isnan(o[68 * 16])) << name(dtype);
  }
}

TEST(Attention, KeysBeyondTheValidNumberNeverCount) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const char* path : {"fast", "decode", "reference"})
    for (graft_dtype dtype : {GRAFT_DTYPE_F32, GRAFT_DTYPE_BF16}) {
      const Context c(2, path);
      const Case s{2, 3, 75, 1, 1, 16, 2, 0, {5, 70}};
      Attention clean(c, dtype, s), a(c, dtype, s);
      std::vector<double> k = a.k.get(), v = a.v.get();
      for (std::size_t b : {0, 1})
        for (std::size_t i = (b * 75 + static_cast<std::size_t>(s.lengths[b])) * 16; i < (b + 1) * 75 * 16; ++i)
          k[i] = v[i] = nan;
      a.k.set(k), a.v.set(v);
      GRAFT_ASSERT_OK(clean.forward());
      GRAFT_ASSERT_OK(a.forward());
      EXPECT_EQ(a.o.get(), clean.o.get()) << path;
      EXPECT_EQ(a.lse.get(), clean.lse.get()) << path;
    }
}

// With scale 0 all scores are 0, below a cap too; a scale far below the cap gives none beyond it.
TEST(Attention, ACapOverAScaleOfNothing) {
  for (double scale : {0.0, 1e-30})
    for (std::int64_t queries : {3, 70}) {
      const Context fast(2, queries == 3 ? "decode" : "fast"), backward(2, "fast"), reference(1, "reference");
      Case s{1, queries, queries, 2, 1, 16, 0, 0, {}};
      s.softcap = scale == 0 ? 5 : 1e20;
      Attention a(fast, GRAFT_DTYPE_F32, s), b(reference, GRAFT_DTYPE_F32, s), g(backward, GRAFT_DTYPE_F32, s);
      a.scale = b.scale = g.scale = scale;
      GRAFT_ASSERT_OK(a.forward());
      GRAFT_ASSERT_OK(b.forward());
      expect_near_all(a.o.get(), b.o.get(), 64 * 0x1p-24, "o");
      g.o.set(b.o.get()), g.lse.set(b.lse.get());
      GRAFT_ASSERT_OK(g.backward());
      GRAFT_ASSERT_OK(b.backward());
      expect_near_all(g.dq.get(), b.dq.get(), 64 * 0x1p-24, "dq");
      expect_near_all(g.dv.get(), b.dv.get(), 64 * 0x1p-24, "dv");
    }
}

TEST(Attention, NoMatrixOfAllScores) {
  for (graft_dtype dtype : {GRAFT_DTYPE_F32, GRAFT_DTYPE_BF16}) {
    const Context c(2, "fast");
    Attention a(c, dtype, {1, 2048, 2048, 2, 2, 64, 0, 0, {}});
    GRAFT_ASSERT_OK(a.forward());
    EXPECT_LE(c.peak(GRAFT_MEMORY_WORKSPACE), 1 << 20);
    GRAFT_ASSERT_OK(a.backward());
    // Per worker: dq of a head in fp32 and tiles. One matrix of scores would be 16 MiB.
    EXPECT_LE(c.peak(GRAFT_MEMORY_WORKSPACE), 4 << 20);
  }
}

TEST(Attention, BadArguments) {
  const Context c;
  Attention a(c, GRAFT_DTYPE_F32, {2, 4, 6, 4, 2, 8, 2, 0, {6, 5}});
  const auto forward = [&](const graft_tensor* q, const graft_tensor* k, const graft_tensor* lengths, double scale,
                           std::int64_t past, std::int64_t window, graft_tensor* o, graft_tensor* lse) {
    return graft_attention_forward(c, q, k, a.v, lengths, nullptr, scale, 0, past, window, o, lse);
  };
  const graft_status bad = GRAFT_INVALID_ARGUMENT, shape = GRAFT_SHAPE_MISMATCH;
  Tensor half(c, GRAFT_DTYPE_BF16, {2, 6, 2, 8}), three(c, GRAFT_DTYPE_F32, {2, 4, 3, 8}),
      flat(c, GRAFT_DTYPE_F32, {2, 4});
  Tensor far(c, GRAFT_DTYPE_I32, {2}), wide(c, GRAFT_DTYPE_I64, {2});
  far.set({3, 7});
  expect_error(forward(nullptr, a.k, nullptr, 1, 0, 0, a.o, nullptr), bad, {"graft_attention_forward", "q is NULL"});
  expect_error(forward(flat, a.k, nullptr, 1, 0, 0, a.o, nullptr), shape, {"q [2, 4]"});
  expect_error(forward(a.q, half, nullptr, 1, 0, 0, a.o, nullptr), bad, {"k [2, 6, 2, 8] bf16"});
  expect_error(forward(three, a.k, nullptr, 1, 0, 0, three, nullptr), shape, {"3 heads", "2 heads"});
  expect_error(forward(a.q, a.k, far, 1, 0, 0, a.o, nullptr), bad, {"lengths[1] is 7", "0..6"});
  expect_error(forward(a.q, a.k, wide, 1, 0, 0, a.o, nullptr), bad, {"lengths", "i32"});
  expect_error(forward(a.q, a.k, nullptr, std::nan(""), 0, 0, a.o, nullptr), bad, {"scale"});
  expect_error(forward(a.q, a.k, nullptr, 1, -1, 0, a.o, nullptr), bad, {"past is -1"});
  expect_error(forward(a.q, a.k, nullptr, 1, 0, -1, a.o, nullptr), bad, {"window is -1"});
  expect_error(forward(a.q, a.k, nullptr, 1, 0, 0, a.q, nullptr), bad, {"o", "overlaps", "q"});
  expect_error(forward(a.q, a.k, nullptr, 1, 0, 0, a.o, flat), shape, {"lse [2, 4]", "[2, 4, 4]"});
  expect_error(
      graft_attention_backward(c, a.dout, a.q, a.k, a.v, a.o, nullptr, nullptr, nullptr, 1, 0, 0, 0, a.dq, a.dk, a.dv),
      bad, {"graft_attention_backward", "lse is NULL"});
  expect_error(
      graft_attention_backward(c, a.dout, a.q, a.k, a.v, a.o, a.lse, nullptr, nullptr, 1, 0, 0, 0, a.dq, nullptr, a.dv),
      bad, {"dk is NULL"});
  expect_error(
      graft_attention_backward(c, a.dout, a.q, a.k, a.v, a.o, a.lse, nullptr, nullptr, 1, 0, 0, 0, a.dq, a.dk, a.dk),
      bad, {"dv", "overlaps", "dk"});
  Tensor starts(c, GRAFT_DTYPE_I32, {2, 4}), none(c, GRAFT_DTYPE_I32, {2});
  for (Tensor* output : {&a.dq, &a.dk, &a.dv}) {
    output->fill(0);
    graft_tensor lengths_inside = *static_cast<graft_tensor*>(none),
                 starts_inside = *static_cast<graft_tensor*>(starts);
    lengths_inside.data = starts_inside.data = (*output)->data;
    expect_error(graft_attention_backward(c, a.dout, a.q, a.k, a.v, a.o, a.lse, &lengths_inside, nullptr, 1, 0, 0, 0,
                                          a.dq, a.dk, a.dv),
                 bad, {"overlaps", "lengths"});
    expect_error(graft_attention_backward(c, a.dout, a.q, a.k, a.v, a.o, a.lse, nullptr, &starts_inside, 1, 0, 0, 0,
                                          a.dq, a.dk, a.dv),
                 bad, {"overlaps", "starts"});
  }
  const auto packed = [&](const std::vector<double>& first, double softcap = 0) {
    starts.set(first);
    return graft_attention_forward(c, a.q, a.k, a.v, nullptr, starts, 1, softcap, 2, 0, a.o, nullptr);
  };
  expect_error(packed({0, 0, 0, 0, 0, 0, 5, 5}), bad, {"starts[1, 2] is 5", "0..4"});
  expect_error(packed({0, 3, 2, 2, 0, 0, 0, 0}), bad, {"starts[0, 2] is 2", "3..4"});
  expect_error(packed({-1, 0, 0, 0, 0, 0, 0, 0}), bad, {"starts[0, 0] is -1"});
  expect_error(packed({0, 0, 0, 0, 0, 0, 0, 0}, -1), bad, {"softcap is -1"});
  expect_error(graft_attention_forward(c, a.q, a.k, a.v, nullptr, far, 1, 0, 2, 0, a.o, nullptr), shape,
               {"starts [2]", "[2, 4]"});
  EXPECT_EQ(a.o.get(), std::vector<double>(2 * 4 * 4 * 8, 7.0));  // nothing was written
}

}  // namespace
}  // namespace graft::test
