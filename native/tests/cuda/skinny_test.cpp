// The skinny passes of LoRA: S, dS with dB, and dA, with and without dropout. Exact values come from the repository's
// float64 LoRA through the C ABI, dS from plain loops; "plain" are loops of the same precision: operands in x's type,
// sums in float.
#include "cuda/kernels/skinny.h"

#include "schedules.h"

namespace graft::test {
namespace {

constexpr double kScale = 1.5;
constexpr std::uint64_t kSeed = 0x5eedull;

struct Case {
  graft_dtype dtype;
  std::int64_t rows, columns, rank;
  double dropout;
  std::uint64_t offset;
  std::int64_t pitch;
};

using Values = std::vector<double>;

std::vector<double> rounded(const Context& c, graft_dtype dtype, const Values& values) {
  Tensor t(c, dtype, {static_cast<std::int64_t>(values.size())});
  return t.set(values).get();
}

/** Σ over `inner` of left[i, inner] · right[inner, j], in float. */
Values product(const Values& left, const Values& right, std::int64_t rows, std::int64_t inner, std::int64_t columns) {
  Values to;
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < columns; ++j) {
      float sum = 0;
      for (std::int64_t k = 0; k < inner; ++k)
        sum += static_cast<float>(left[static_cast<std::size_t>(i * inner + k)]) *
               static_cast<float>(right[static_cast<std::size_t>(k * columns + j)]);
      to.push_back(sum);
    }
  }
  return to;
}

Values transposed(const Values& from, std::int64_t rows, std::int64_t columns) {
  Values to(from.size());
  for (std::int64_t i = 0; i < rows; ++i)
    for (std::int64_t j = 0; j < columns; ++j)
      to[static_cast<std::size_t>(j * rows + i)] = from[static_cast<std::size_t>(i * columns + j)];
  return to;
}

/** All inputs, and what must come out exactly: x stands for dy too, a for bᵀ. */
struct Exact {
  Values x, a, left, s, ds, db, da, kept;
};

Exact exact_of(const Context& cpu, const Case& n) {
  const graft_dtype f64 = GRAFT_DTYPE_F64, f32 = GRAFT_DTYPE_F32;
  Exact e;
  Tensor x = input(cpu, f64, n.dtype, {n.rows, n.columns}, 1), a = input(cpu, f64, f32, {n.rank, n.columns}, 2);
  Tensor left = input(cpu, f64, n.dtype, {n.rows, n.rank}, 3);
  e.x = x.get(), e.a = a.get(), e.left = left.get();
  // S, through a layer of one output; the kept elements too, by an `a` that picks each column.
  Weight w(cpu, f64, 1, n.columns);
  Tensor y(cpu, f64, {n.rows, 1}), s(cpu, f64, {n.rows, n.rank}), b(cpu, f64, {1, n.rank});
  GRAFT_EXPECT_OK(graft_lora_forward(cpu, x, w, a, b, 1, nullptr, n.dropout, kSeed, n.offset, 0, y, s));
  e.s = s.get();
  Tensor ones(cpu, f64, {n.rows, n.columns}), pick(cpu, f64, {n.columns, n.columns});
  Tensor all(cpu, f64, {n.rows, n.columns}), none(cpu, f64, {1, n.columns});
  ones.fill(1);
  for (std::int64_t i = 0; i < n.columns; ++i) pick.f64(i * n.columns + i) = 1;
  GRAFT_EXPECT_OK(graft_lora_forward(cpu, ones, w, pick, none, 1, nullptr, n.dropout, kSeed, n.offset, 0, y, all));
  e.kept = all.get();
  // dB of dy = x and S = left, over a layer of `columns` outputs.
  Weight wide(cpu, f64, n.columns, 1);
  Tensor up(cpu, f64, {n.columns, n.rank}), down(cpu, f64, {n.rank, 1}), db(cpu, f64, {n.columns, n.rank});
  up.set(transposed(e.a, n.rank, n.columns));
  GRAFT_EXPECT_OK(
      graft_lora_backward(cpu, x, nullptr, left, wide, down, up, kScale, 0, 0, 0, 0, nullptr, nullptr, db, nullptr));
  e.db = db.get();
  // dA of dS = left: dy has `rank` columns and B is the unit matrix.
  Weight narrow(cpu, f64, n.rank, n.columns);
  Tensor unit(cpu, f64, {n.rank, n.rank}), da(cpu, f64, {n.rank, n.columns});
  for (std::int64_t i = 0; i < n.rank; ++i) unit.f64(i * n.rank + i) = 1;
  GRAFT_EXPECT_OK(graft_lora_backward(cpu, left, x, nullptr, narrow, a, unit, 1, n.dropout, kSeed, n.offset, 0, nullptr,
                                      da, nullptr, nullptr));
  e.da = da.get();
  for (std::int64_t t = 0; t < n.rows; ++t) {
    for (std::int64_t j = 0; j < n.rank; ++j) {
      double sum = 0;
      for (std::int64_t c = 0; c < n.columns; ++c)
        sum += e.x[static_cast<std::size_t>(t * n.columns + c)] * e.a[static_cast<std::size_t>(j * n.columns + c)];
      e.ds.push_back(kScale * sum);
    }
  }
  return e;
}

struct Result {
  Values s, ds, db, da;
};

Result plain_of(const Context& cpu, const Case& n, const Exact& e) {
  const Values a = transposed(rounded(cpu, n.dtype, e.a), n.rank, n.columns);
  Values kept = e.x;
  for (std::size_t i = 0; i < kept.size(); ++i) kept[i] *= e.kept[i];
  Result r;
  r.s = rounded(cpu, n.dtype, product(kept, a, n.rows, n.columns, n.rank));
  r.ds = product(e.x, a, n.rows, n.columns, n.rank);
  for (double& value : r.ds) value = static_cast<float>(kScale * value);
  r.db = product(transposed(e.x, n.rows, n.columns), e.left, n.columns, n.rows, n.rank);
  for (double& value : r.db) value = static_cast<float>(kScale * value);
  r.da = product(transposed(e.left, n.rows, n.rank), kept, n.rank, n.rows, n.columns);
  return r;
}

Result run_on(const Context& cuda, const Case& n, const Exact& e) {
  core::Context& context = *static_cast<graft_context*>(cuda);
  const graft_dtype f32 = GRAFT_DTYPE_F32;
  const ops::Dropout dropout{n.dropout, kSeed, n.offset};
  Tensor x(cuda, n.dtype, {n.rows, n.columns}, n.pitch), a(cuda, f32, {n.rank, n.columns});
  Tensor b(cuda, f32, {n.columns, n.rank}), s(cuda, n.dtype, {n.rows, n.rank}), left(cuda, n.dtype, {n.rows, n.rank});
  Tensor left32(cuda, f32, {n.rows, n.rank}), ds(cuda, f32, {n.rows, n.rank}), alone(cuda, f32, {n.rows, n.rank});
  Tensor db(cuda, f32, {n.columns, n.rank}), da(cuda, f32, {n.rank, n.columns});
  Tensor tail(cuda, n.dtype, {n.rows, n.rank}, n.rank + 3), low(cuda, n.dtype, {n.rows, n.rank}, n.rank + 3);
  x.set(e.x), a.set(e.a), b.set(transposed(e.a, n.rank, n.columns)), left.set(e.left), left32.set(e.left);
  graft::cuda::run(context, graft::cuda::SkinnyForward{x, a, dropout, s, tail});
  graft::cuda::run(context, graft::cuda::SkinnyBackward{x, b, left, kScale, ds, low, db});
  graft::cuda::run(context, graft::cuda::SkinnyBackward{x, b, nullptr, kScale, alone, nullptr, nullptr});
  graft::cuda::run(context, graft::cuda::SkinnyGradient{left32, x, dropout, 1, da, true});
  GRAFT_EXPECT_OK(graft_context_synchronize(cuda));
  if (n.rows * n.columns > 0) expect_close(alone.get(), ds.get(), 1e-5, "dS alone");
  EXPECT_EQ(tail.get(), s.get());
  EXPECT_EQ(low.get(), rounded(cuda, n.dtype, ds.get()));
  return {s.get(), ds.get(), db.get(), da.get()};
}

void compare(const Case& n, int seeds) {
  SCOPED_TRACE(std::string(name(n.dtype)) + " T=" + std::to_string(n.rows) + " C=" + std::to_string(n.columns) +
               " r=" + std::to_string(n.rank) + " p=" + std::to_string(n.dropout));
  const Context cpu(1, "reference"), cuda(GRAFT_DEVICE_CUDA);
  const Exact e = exact_of(cpu, n);
  const Result plain = plain_of(cpu, n, e);
  Result first;
  for_schedules(seeds, [&] {
    const Result actual = run_on(cuda, n, e);
    const double u = unit_roundoff(n.dtype), sum = unit_roundoff(GRAFT_DTYPE_F32);
    expect_as_good(actual.s, plain.s, e.s, u, "S");
    expect_as_good(actual.ds, plain.ds, e.ds, sum, "dS");
    expect_as_good(actual.db, plain.db, e.db, sum, "dB");
    expect_as_good(actual.da, plain.da, e.da, sum, "dA");
    if (first.s.empty()) first = actual;
    EXPECT_TRUE(actual.s == first.s && actual.ds == first.ds && actual.db == first.db && actual.da == first.da);
  });
}

TEST(CudaSkinny, AgreesWithFloat64) {
  for (graft_dtype dtype : {GRAFT_DTYPE_F32, GRAFT_DTYPE_BF16, GRAFT_DTYPE_F16}) {
    for (double dropout : {0.0, 0.25}) {
      compare({dtype, 1, 1, 1, 0, 0, 0}, 1);
      compare({dtype, 70, 140, 5, dropout, 8, 0}, 1);
      compare({dtype, 65, 72, 16, dropout, 3, 80}, 1);
      compare({dtype, 3, 33, 20, dropout, 0, 35}, 1);
    }
  }
  compare({GRAFT_DTYPE_BF16, 40, 48, 64, 0.5, 0, 0}, 1);
  compare({GRAFT_DTYPE_BF16, 20, 24, 70, 0.5, 0, 0}, 1);  // two slices of the rank
}

TEST(CudaSkinny, SeveralGroupsOfTilesEachWay) {
  compare({GRAFT_DTYPE_BF16, 1100, 70, 4, 0.1, 0, 72}, 1);
  compare({GRAFT_DTYPE_BF16, 20, 1300, 8, 0.1, 0, 0}, 1);
  compare({GRAFT_DTYPE_F32, 20, 700, 3, 0.1, 16, 0}, 1);
}

// Four tiles each way, so that both stages are used again.
TEST(CudaSkinny, ManySchedulesForwards) { compare({GRAFT_DTYPE_BF16, 10, 450, 3, 0.2, 0, 456}, 100); }
TEST(CudaSkinny, ManySchedulesBackwards) { compare({GRAFT_DTYPE_BF16, 200, 40, 3, 0.2, 0, 0}, 100); }

TEST(CudaSkinny, APartOfTheOffsetInMemory) {
  const Context cuda(GRAFT_DEVICE_CUDA);
  core::Context& context = *static_cast<graft_context*>(cuda);
  Tensor x = input(cuda, kF32, kF32, {6, 50}, 1), a = input(cuda, kF32, kF32, {3, 50}, 2), base(cuda, kI64, {1});
  Tensor whole(cuda, kF32, {6, 3}), split(cuda, kF32, {6, 3});
  base.fill(9);
  const auto* moved = static_cast<const std::int64_t*>(base->data);
  graft::cuda::run(context, graft::cuda::SkinnyForward{x, a, {0.5, kSeed, 13, nullptr}, whole, nullptr});
  graft::cuda::run(context, graft::cuda::SkinnyForward{x, a, {0.5, kSeed, 4, moved}, split, nullptr});
  GRAFT_EXPECT_OK(graft_context_synchronize(cuda));
  EXPECT_EQ(split.get(), whole.get());
}

TEST(CudaSkinny, EmptyShapes) {
  const Context cpu(1, "reference"), cuda(GRAFT_DEVICE_CUDA);
  core::Context& context = *static_cast<graft_context*>(cuda);
  Tensor x(cuda, GRAFT_DTYPE_BF16, {3, 0}), a(cuda, GRAFT_DTYPE_F32, {2, 0}), s(cuda, GRAFT_DTYPE_BF16, {3, 2});
  s.fill(7);
  graft::cuda::run(context, graft::cuda::SkinnyForward{x, a, {}, s, nullptr});
  GRAFT_EXPECT_OK(graft_context_synchronize(cuda));
  EXPECT_EQ(s.get(), Values(6, 0.0));
  Tensor none(cuda, GRAFT_DTYPE_BF16, {0, 5}), down(cuda, GRAFT_DTYPE_F32, {2, 5}),
      empty(cuda, GRAFT_DTYPE_BF16, {0, 2});
  graft::cuda::run(context, graft::cuda::SkinnyForward{none, down, {}, empty, nullptr});
}

}  // namespace
}  // namespace graft::test
