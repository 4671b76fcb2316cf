// lora_segments on the CUDA device: against float64; adapters of several ranks, rows without one, an adapter in two
// segments, an empty segment, dropout, a weight of codes, NULL outputs; the table of segments is in host memory.
#include <cmath>
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

struct Layout {
  graft_dtype dtype;
  double dropout;
  std::vector<double> ranks, ends, adapters;
  std::int64_t n = kN, k = kK;
};

/** The same by graft_lora_* for the rows of each segment, one behind the other: s, da and db with the same bits. Into y
 * and dx go products of a library, which may add up all rows in another order than those of a segment. */
void compare_to_lora(const Layout& l) {
  SCOPED_TRACE(std::string(name(l.dtype)) + " p=" + std::to_string(l.dropout) +
               " segments=" + std::to_string(l.ends.size()));
  const Context c(GRAFT_DEVICE_CUDA), host(1, "reference");
  const auto count = static_cast<std::int64_t>(l.ends.size()), adapters = static_cast<std::int64_t>(l.ranks.size());
  const auto rows = static_cast<std::int64_t>(l.ends.back());
  std::vector<double> table, first, factors;
  double all = 0, largest = 0;
  for (double rank : l.ranks)
    first.push_back(all), factors.push_back(0.5 + all), all += rank, largest = std::fmax(largest, rank);
  for (std::size_t g = 0; g < l.ends.size(); ++g) table.push_back(l.ends[g]), table.push_back(l.adapters[g]);
  const auto r = static_cast<std::int64_t>(all), most = static_cast<std::int64_t>(largest);
  Tensor segments(host, kI32, {count, 2}), ranks(host, kI32, {adapters}), scales(host, kF64, {adapters});
  segments.set(table), ranks.set(l.ranks), scales.set(factors);
  Weight w(c, l.dtype, l.n, l.k);
  w.matrix().set(input(c, l.dtype, l.dtype, {l.n, l.k}, 1).get());
  const Tensor x = input(c, l.dtype, l.dtype, {rows, l.k}, 2), dy = input(c, l.dtype, l.dtype, {rows, l.n}, 3);
  const Tensor a = input(c, kF32, l.dtype, {r, l.k}, 4), b = input(c, kF32, l.dtype, {l.n, r}, 5);
  const auto run = [&](bool together) {
    Tensor y(c, l.dtype, {rows, l.n}), s(c, l.dtype, {rows, most}), dx(c, l.dtype, {rows, l.k}), da(c, kF32, {r, l.k});
    Tensor db(c, kF32, {l.n, r});
    if (together) {
      GRAFT_EXPECT_OK(
          graft_lora_segments_forward(c, x, w, segments, ranks, scales, a, b, nullptr, l.dropout, 7, 5, 0, y, s));
      GRAFT_EXPECT_OK(graft_lora_segments_backward(c, dy, x, s, w, segments, ranks, scales, a, b, l.dropout, 7, 5, 0,
                                                   dx, da, db, nullptr));
    } else {
      GRAFT_EXPECT_OK(graft_linear_forward(c, x, w, nullptr, 0, y));
      GRAFT_EXPECT_OK(graft_linear_backward(c, dy, nullptr, w, 0, dx, nullptr, nullptr));
    }
    for (std::size_t g = 0; !together && g < l.ends.size(); ++g) {
      const auto begin = static_cast<std::int64_t>(g == 0 ? 0 : l.ends[g - 1]),
                 n = static_cast<std::int64_t>(l.ends[g]) - begin;
      if (l.adapters[g] < 0 || n == 0) continue;
      const auto e = static_cast<std::size_t>(l.adapters[g]);
      const auto at = static_cast<std::int64_t>(first[e]), rank = static_cast<std::int64_t>(l.ranks[e]);
      if (rank == 0) continue;
      const auto of = [&](const Tensor& t, std::int64_t columns) {
        return t.view(begin * t->stride[0], {n, columns}, {t->stride[0], 1});
      };
      const Tensor own_a = a.view(at * l.k, {rank, l.k}, {l.k, 1}), own_b = b.view(at, {l.n, rank}, {r, 1});
      const Tensor own_da = da.view(at * l.k, {rank, l.k}, {l.k, 1}), own_db = db.view(at, {l.n, rank}, {r, 1});
      const auto offset = static_cast<std::uint64_t>(5 + begin * l.k);
      Tensor kept = of(s, rank), to = of(y, l.n), from = of(x, l.k), gradient = of(dy, l.n), low = of(dx, l.k);
      GRAFT_EXPECT_OK(
          graft_lora_forward(c, from, w, own_a, own_b, factors[e], nullptr, l.dropout, 7, offset, 0, to, kept));
      GRAFT_EXPECT_OK(graft_lora_backward(c, gradient, from, kept, w, own_a, own_b, factors[e], l.dropout, 7, offset, 0,
                                          low, own_da, own_db, nullptr));
    }
    GRAFT_EXPECT_OK(graft_context_synchronize(c));
    return std::vector{y.get(), s.get(), dx.get(), da.get(), db.get()};
  };
  const auto together = run(true), apart = run(false);
  const char* const names[] = {"y", "s", "dx", "da", "db"};
  for (const int i : {1, 3, 4}) EXPECT_EQ(together[i], apart[i]) << names[i];
  for (const auto& [i, terms] : {std::pair{0, l.k + most}, {2, l.n + most}}) {
    const auto of = static_cast<double>(terms);
    expect_close(together[i], apart[i], 4 * unit_roundoff(l.dtype) + of * 0x1p-24, names[i], std::sqrt(of));
  }
}

TEST(CudaLoraSegments, AddsWhatLoraAdds) {
  for (graft_dtype dtype : {kF32, kBf16})
    for (double dropout : {0.0, 0.25}) {
      compare_to_lora({dtype, dropout, {1, 4, 0, 2}, {3, 4, 4, 9, 11, 80, 82}, {1, -1, 0, 3, 1, 0, 2}});
      compare_to_lora({dtype, dropout, {66, 20}, {5, 9, 12}, {0, 1, 0}});
    }
  compare_to_lora({kF32, 0, {3, 2}, {2, 1062, 1130}, {0, 1, 0}});
  // Row sums in several groups of columns.
  compare_to_lora({kBf16, 0.25, {3, 2}, {5, 9, 12}, {0, 1, 0}, kN, 1100});
  compare_to_lora({kBf16, 0.25, {3, 2}, {5, 9, 12}, {0, 1, 0}, 1100, kK});
}

TEST(CudaLoraSegments, MoreSegmentsThanATableHas) {
  Layout layout{kBf16, 0.25, {2, 1, 3}, {}, {}};
  for (int g = 0; g < 150; ++g) layout.ends.push_back(g + 1), layout.adapters.push_back(g % 4 - 1);
  compare_to_lora(layout);
}

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
