// attention on the CUDA device: against float64, on the tensor cores and on the general path; causal, grouped, with a
// window, a cache, lengths, segments, a cap, keys in several cuts, strides of a fused projection, and empty shapes.
#include "schedules.h"

namespace graft::test {
namespace {

struct Case {
  graft_dtype dtype;
  std::int64_t batches, queries, keys, heads, key_heads, depth;
  std::int64_t past = 0, window = 0;
  bool lengths = false, fused = false;
  std::int64_t segment = 0;  // so many positions each; 0: no segments
  double softcap = 0;
};

struct Result {
  std::vector<double> o, lse, dq, dk, dv;
  std::string forward, backward;
};

/** [B, T, H, D], or its part of a wider tensor, as q, k and v are in a fused projection. */
struct Part {
  Part(const Context& c, graft_dtype dtype, std::int64_t b, std::int64_t t, std::int64_t h, std::int64_t d, bool fused)
      : whole(c, dtype, {b, t, fused ? h + 2 : h, d}),
        tensor(whole.view(fused ? d : 0, {b, t, h, d}, {t * (fused ? h + 2 : h) * d, (fused ? h + 2 : h) * d, d, 1})) {}
  Part& fill(const Context& c, graft_dtype values, std::uint64_t seed) {
    Tensor exact(c, values, {tensor.elements()});
    tensor.set(exact.random(seed).get());
    return *this;
  }
  operator graft_tensor*() const { return tensor; }
  Tensor whole, tensor;
};

Result run(const Context& c, graft_dtype storage, const Case& n, bool backward) {
  const auto part = [&](std::int64_t t, std::int64_t h) { return Part(c, storage, n.batches, t, h, n.depth, n.fused); };
  Part q = part(n.queries, n.heads), k = part(n.keys, n.key_heads), v = part(n.keys, n.key_heads);
  Part o = part(n.queries, n.heads), dout = part(n.queries, n.heads), dq = part(n.queries, n.heads);
  Part dk = part(n.keys, n.key_heads), dv = part(n.keys, n.key_heads);
  q.fill(c, n.dtype, 1), k.fill(c, n.dtype, 2), v.fill(c, n.dtype, 3), dout.fill(c, n.dtype, 4);
  Tensor lse(c, sums_of(storage), {n.batches, n.heads, n.queries}), lengths(c, kI32, {n.batches});
  Tensor starts(c, kI32, {n.batches, n.queries});
  std::vector<double> counts;
  for (std::int64_t b = 0; b < n.batches; ++b) counts.push_back(static_cast<double>(n.keys - 3 * b));
  lengths.set(counts);
  std::vector<double> first;
  for (std::int64_t i = 0; i < n.batches * n.queries && n.segment > 0; ++i)
    first.push_back(static_cast<double>((n.past + i % n.queries) / n.segment * n.segment));
  if (n.segment > 0) starts.set(first);
  graft_tensor* const segments = n.segment > 0 ? static_cast<graft_tensor*>(starts) : nullptr;
  const double scale = 0.5 / std::sqrt(static_cast<double>(n.depth));
  graft_tensor* const limit = n.lengths ? static_cast<graft_tensor*>(lengths) : nullptr;
  Result r;
  GRAFT_EXPECT_OK(graft_attention_forward(c, q, k, v, limit, segments, scale, n.softcap, n.past, n.window, o, lse));
  r.forward = c.last_dispatch();
  if (backward) {
    GRAFT_EXPECT_OK(graft_attention_backward(c, dout, q, k, v, o, lse, limit, segments, scale, n.softcap, n.past,
                                             n.window, dq, dk, dv));
    r.backward = c.last_dispatch();
  }
  GRAFT_EXPECT_OK(graft_context_synchronize(c));
  r.o = o.tensor.get(), r.lse = lse.get(), r.dq = dq.tensor.get(), r.dk = dk.tensor.get(), r.dv = dv.tensor.get();
  return r;
}

enum Direction { kForward, kBoth };

void compare(const Case& n, const char* implementation, int seeds, Direction direction = kBoth) {
  SCOPED_TRACE(std::string(name(n.dtype)) + " B=" + std::to_string(n.batches) + " T=" + std::to_string(n.queries) +
               " S=" + std::to_string(n.keys) + " heads " + std::to_string(n.heads) + "/" +
               std::to_string(n.key_heads) + " D=" + std::to_string(n.depth) + " past " + std::to_string(n.past) +
               " window " + std::to_string(n.window) + " segments of " + std::to_string(n.segment) + " cap " +
               std::to_string(n.softcap));
  const bool backward = direction == kBoth;
  const Context cpu(1, "reference"), cuda(GRAFT_DEVICE_CUDA);
  const Result exact = run(cpu, kF64, n, backward), plain = run(cpu, n.dtype, n, backward);
  Result first;
  for_schedules(seeds, [&] {
    const Result actual = run(cuda, n.dtype, n, backward);
    const double u = unit_roundoff(n.dtype);
    EXPECT_EQ(actual.forward, std::string("attention_forward:cuda/") + implementation);
    expect_as_good(actual.o, plain.o, exact.o, u, "o");
    expect_as_good(actual.lse, plain.lse, exact.lse, unit_roundoff(kF32), "lse");
    if (backward) {
      EXPECT_EQ(actual.backward, std::string("attention_backward:cuda/") + implementation);
      expect_as_good(actual.dq, plain.dq, exact.dq, u, "dq");
      expect_as_good(actual.dk, plain.dk, exact.dk, u, "dk");
      expect_as_good(actual.dv, plain.dv, exact.dv, u, "dv");
    }
    if (first.o.empty()) first = actual;
    EXPECT_TRUE(actual.o == first.o && actual.lse == first.lse && actual.dq == first.dq && actual.dk == first.dk &&
                actual.dv == first.dv);
  });
}

TEST(CudaAttention, TilesAgreeWithFloat64) {
  compare({kBf16, 1, 5, 5, 1, 1, 64}, "tiles", 1);
  compare({kF16, 2, 70, 70, 4, 2, 64}, "tiles", 1);
  compare({kBf16, 1, 33, 140, 3, 1, 128, 107}, "tiles", 1);
  compare({kBf16, 1, 90, 90, 2, 1, 64, 0, 20, false, true}, "tiles", 1);
  compare({kF16, 2, 20, 50, 2, 2, 128, 25, 0, true}, "tiles", 1);
}

TEST(CudaAttention, AQueryOfACacheInSeveralCuts) {
  compare({kBf16, 2, 1, 700, 8, 2, 64, 690, 0, true}, "tiles", 1, kForward);
  compare({kBf16, 1, 2, 600, 4, 1, 128, 598, 300}, "tiles", 1, kForward);
}

TEST(CudaAttention, TheGeneralPathAgreesWithFloat64) {
  for (graft_dtype dtype : {kF32, kBf16, kF16}) {
    compare({dtype, 2, 7, 40, 4, 2, 24, 33, 0, true}, "general", 1);
    compare({dtype, 1, 40, 40, 2, 1, 33, 0, 9, false, true}, "general", 1);
  }
  compare({kF32, 1, 3, 70, 2, 2, 128, 67}, "general", 1);
  compare({kF32, 2, 40, 40, 2, 1, 12, 0, 0, true, false, 7}, "general", 1);
  compare({kF32, 1, 30, 50, 2, 2, 64, 20, 15, false, false, 11, 2}, "general", 1);
}

// Segments that end within tiles and at their borders, shorter than a tile and over several; caps that bend.
TEST(CudaAttention, SegmentsAndCaps) {
  compare({kBf16, 2, 150, 150, 2, 1, 64, 0, 0, false, false, 40}, "tiles", 1);
  compare({kF16, 1, 200, 200, 2, 2, 64, 0, 0, false, true, 100}, "tiles", 1);
  compare({kBf16, 1, 130, 170, 4, 2, 128, 40, 50, true, false, 70, 0.5}, "tiles", 1);
  compare({kBf16, 1, 70, 70, 2, 2, 64, 0, 0, false, false, 0, 0.3}, "tiles", 1);
  compare({kBf16, 1, 2, 700, 4, 1, 64, 698, 0, false, false, 650, 0.7}, "tiles", 1, kForward);
}

// Three tiles of keys for one block of rows, and three of rows for one of keys.
TEST(CudaAttention, ManySchedules) { compare({kBf16, 1, 5, 150, 2, 1, 64, 145}, "tiles", 30, kForward); }
TEST(CudaAttentionBackward, ManySchedules) { compare({kBf16, 1, 50, 70, 2, 1, 64, 20}, "tiles", 6); }
TEST(CudaAttentionSegments, ManySchedules) {
  compare({kBf16, 1, 100, 100, 2, 1, 64, 0, 0, false, false, 30, 0.4}, "tiles", 4);
}
TEST(CudaAttentionGeneral, ManySchedules) { compare({kF32, 1, 3, 35, 2, 1, 8, 32}, "general", 10); }

TEST(CudaAttention, QueriesThatSeeNothingAndEmptyShapes) {
  const Context cuda(GRAFT_DEVICE_CUDA);
  for (std::int64_t depth : {64, 10}) {
    const Shape shape = {1, 3, 2, depth};
    Tensor q = input(cuda, kBf16, kBf16, shape, 1), k = input(cuda, kBf16, kBf16, shape, 2);
    Tensor o(cuda, kBf16, shape), dq = input(cuda, kBf16, kBf16, shape, 3), dk = input(cuda, kBf16, kBf16, shape, 4);
    Tensor dv = input(cuda, kBf16, kBf16, shape, 5), lse(cuda, kF32, {1, 2, 3}), none(cuda, kI32, {1});
    o.fill(7);
    GRAFT_EXPECT_OK(graft_attention_forward(cuda, q, k, k, none, nullptr, 1, 0, 0, 0, o, lse));
    GRAFT_EXPECT_OK(graft_context_synchronize(cuda));
    EXPECT_EQ(o.get(), std::vector<double>(static_cast<std::size_t>(6 * depth), 0.0));
    EXPECT_EQ(lse.get(), std::vector<double>(6, -std::numeric_limits<double>::infinity()));
    GRAFT_EXPECT_OK(graft_attention_backward(cuda, q, q, k, k, o, lse, none, nullptr, 1, 0, 0, 0, dq, dk, dv));
    GRAFT_EXPECT_OK(graft_context_synchronize(cuda));
    for (const Tensor* gradient : {&dq, &dk, &dv})
      EXPECT_EQ(gradient->get(), std::vector<double>(static_cast<std::size_t>(6 * depth), 0.0));
    Tensor no_q(cuda, kBf16, {1, 0, 2, depth}), no_o(cuda, kBf16, {1, 0, 2, depth}), no_lse(cuda, kF32, {1, 2, 0});
    Tensor no_dq(cuda, kBf16, {1, 0, 2, depth});
    GRAFT_EXPECT_OK(graft_attention_forward(cuda, no_q, k, k, nullptr, nullptr, 1, 0, 0, 0, no_o, no_lse));
    dk.fill(7);
    GRAFT_EXPECT_OK(
        graft_attention_backward(cuda, no_q, no_q, k, k, no_o, no_lse, nullptr, nullptr, 1, 0, 0, 0, no_dq, dk, dv));
    GRAFT_EXPECT_OK(graft_context_synchronize(cuda));
    EXPECT_EQ(dk.get(), std::vector<double>(static_cast<std::size_t>(6 * depth), 0.0));
  }
}

// lse [B, Hq, T] as a part of a wider tensor: the same numbers, and nothing between its rows.
TEST(CudaAttention, StatisticsWithGaps) {
  const Context cuda(GRAFT_DEVICE_CUDA);
  for (std::int64_t depth : {64, 10})
    for (std::int64_t keys : {3, 700}) {
      const Shape shape = {2, 3, 2, depth}, of_keys = {2, keys, 1, depth};
      Tensor q = input(cuda, kBf16, kBf16, shape, 1), k = input(cuda, kBf16, kBf16, of_keys, 2);
      Tensor v = input(cuda, kBf16, kBf16, of_keys, 3), dout = input(cuda, kBf16, kBf16, shape, 4);
      Tensor tight(cuda, kF32, {2, 2, 3}), wide(cuda, kF32, {50});
      wide.fill(7);
      const Tensor apart = wide.view(1, {2, 2, 3}, {24, 8, 1});
      std::vector<std::vector<double>> results[2];
      for (const bool gaps : {false, true}) {
        graft_tensor* const lse = gaps ? apart : tight;
        Tensor o(cuda, kBf16, shape), dq(cuda, kBf16, shape), dk(cuda, kBf16, of_keys), dv(cuda, kBf16, of_keys);
        GRAFT_EXPECT_OK(graft_attention_forward(cuda, q, k, v, nullptr, nullptr, 0.1, 0, keys - 3, 0, o, lse));
        GRAFT_EXPECT_OK(
            graft_attention_backward(cuda, dout, q, k, v, o, lse, nullptr, nullptr, 0.1, 0, keys - 3, 0, dq, dk, dv));
        GRAFT_EXPECT_OK(graft_context_synchronize(cuda));
        results[gaps] = {o.get(), (gaps ? apart : tight).get(), dq.get(), dk.get(), dv.get()};
      }
      EXPECT_EQ(results[1], results[0]);
      const std::vector<double> all = wide.get();
      for (std::size_t i : {0, 4, 8, 12, 20, 24, 28, 32, 49}) EXPECT_EQ(all[i], 7) << i;
    }
}

// A cache that is not written yet, and what a window has left behind: no query sees the keys there.
TEST(CudaAttention, KeysThatNobodySeesMayBeAnything) {
  const Context cuda(GRAFT_DEVICE_CUDA);
  struct Cache {
    std::int64_t keys, past, window;
  };
  for (std::int64_t depth : {64, 10})
    for (std::int64_t queries : {1, 3, 8})
      for (const Cache& cache : {Cache{100, 10, 0}, Cache{100, 45, 5}, Cache{700, 650, 300}}) {
        SCOPED_TRACE("D=" + std::to_string(depth) + " T=" + std::to_string(queries) + " past " +
                     std::to_string(cache.past));
        const Shape shape = {1, queries, 2, depth}, of_keys = {1, cache.keys, 1, depth};
        const std::int64_t first = cache.window == 0 ? 0 : cache.past - cache.window + 1, end = cache.past + queries;
        std::vector<std::vector<double>> results[2];
        for (const bool written : {true, false}) {
          Tensor q = input(cuda, kBf16, kBf16, shape, 1), k = input(cuda, kBf16, kBf16, of_keys, 2);
          Tensor v = input(cuda, kBf16, kBf16, of_keys, 3), dout = input(cuda, kBf16, kBf16, shape, 4);
          for (Tensor* cached : {&k, &v}) {
            std::vector<double> values = cached->get();
            for (std::int64_t i = 0; i < cache.keys * depth; ++i)
              if (!written && (i / depth < first || i / depth >= end))
                values[static_cast<std::size_t>(i)] = std::numeric_limits<double>::quiet_NaN();
            cached->set(values);
          }
          Tensor o(cuda, kBf16, shape), lse(cuda, kF32, {1, 2, queries}), dq(cuda, kBf16, shape);
          Tensor dk(cuda, kBf16, of_keys), dv(cuda, kBf16, of_keys);
          GRAFT_EXPECT_OK(
              graft_attention_forward(cuda, q, k, v, nullptr, nullptr, 0.1, 0, cache.past, cache.window, o, lse));
          GRAFT_EXPECT_OK(graft_attention_backward(cuda, dout, q, k, v, o, lse, nullptr, nullptr, 0.1, 0, cache.past,
                                                   cache.window, dq, dk, dv));
          GRAFT_EXPECT_OK(graft_context_synchronize(cuda));
          results[written] = {o.get(), lse.get(), dq.get(), dk.get(), dv.get()};
        }
        EXPECT_EQ(results[0], results[1]);
      }
}

TEST(CudaAttention, BadLengthsAreReportedAndHeadsThatAreTooLargeRefused) {
  const Context cuda(GRAFT_DEVICE_CUDA);
  Tensor q = input(cuda, kBf16, kBf16, {2, 3, 1, 64}, 1), o(cuda, kBf16, {2, 3, 1, 64}), lengths(cuda, kI32, {2});
  lengths.set({3, 4});
  GRAFT_EXPECT_OK(graft_attention_forward(cuda, q, q, q, lengths, nullptr, 1, 0, 0, 0, o, nullptr));
  expect_error(graft_context_synchronize(cuda), GRAFT_INVALID_ARGUMENT,
               {"attention_forward", "lengths[1] is 4", "0..3"});
  Tensor wide(cuda, kF32, {1, 1, 1, 1025}), to(cuda, kF32, {1, 1, 1, 1025});
  expect_error(graft_attention_forward(cuda, wide, wide, wide, nullptr, nullptr, 1, 0, 0, 0, to, nullptr),
               GRAFT_UNSUPPORTED, {"1025", "1024"});
}

}  // namespace
}  // namespace graft::test
