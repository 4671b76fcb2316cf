// adamw on the CUDA device: steps against float64, the norm in a fixed order, clipping by a norm that stays there.
#include "schedules.h"

namespace graft::test {
namespace {

struct Result {
  std::vector<double> norm, p, m, v, out;
};

Result run(const Context& c, graft_dtype storage, graft_dtype out, const Shape& shape, std::int64_t pitch,
           double clip) {
  const graft_dtype f32 = GRAFT_DTYPE_F32;
  Tensor g = input(c, storage, f32, shape, 1, pitch), p = input(c, storage, f32, shape, 2, pitch);
  Tensor m = input(c, storage, f32, shape, 3), v(c, storage, shape, pitch), p_out(c, out, shape);
  Tensor norm(c, GRAFT_DTYPE_F64, {1});
  GRAFT_EXPECT_OK(graft_adamw_squared_norm(c, g, norm));
  GRAFT_EXPECT_OK(graft_adamw_squared_norm(c, p, norm));
  for (std::int64_t step : {1, 2})
    GRAFT_EXPECT_OK(graft_adamw_step(c, g, 0.01, 0.9, 0.999, 1e-8, 0.1, step, clip, norm, 0, p, m, v, p_out));
  GRAFT_EXPECT_OK(graft_context_synchronize(c));
  return {norm.get(), p.get(), m.get(), v.get(), p_out.get()};
}

// Without a master: bf16 alone, rounded by the same random bits on both sides.
void compare_at_random(bool coded, const Shape& shape, int seeds) {
  const Context cpu(1, "reference"), cuda(GRAFT_DEVICE_CUDA);
  const auto moved = [&](const Context& c) {
    Tensor g = input(c, kF32, kF32, shape, 1), p = input(c, kBf16, kBf16, shape, 2);
    const graft_dtype moments = coded ? GRAFT_DTYPE_U8 : kF32;
    Tensor m(c, moments, shape), v(c, moments, shape);
    const std::int64_t blocks = (p.elements() + GRAFT_ADAMW_BLOCK - 1) / GRAFT_ADAMW_BLOCK;
    Tensor m_scale(c, kF32, {blocks}), v_scale(c, kF32, {blocks});
    GRAFT_EXPECT_OK(coded ? graft_adamw_step_8bit(c, g, 0.01, 0.9, 0.99, 1e-8, 0.1, 1, 0, nullptr, 5, p, m, m_scale, v,
                                                  v_scale, nullptr)
                          : graft_adamw_step(c, g, 0.01, 0.9, 0.99, 1e-8, 0.1, 1, 0, nullptr, 5, p, m, v, nullptr));
    GRAFT_EXPECT_OK(graft_context_synchronize(c));
    return p.get();
  };
  const std::vector<double> plain = moved(cpu);
  for_schedules(seeds, [&] {
    const std::vector<double> actual = moved(cuda);
    std::size_t different = 0;  // where the last bit of fp32 decides
    for (std::size_t i = 0; i < plain.size(); ++i) different += actual[i] != plain[i];
    EXPECT_LE(different, plain.size() / 200);
    expect_close(actual, plain, 2 * unit_roundoff(kBf16), "p");
  });
}

TEST(CudaAdamw, RoundsAtRandom) {
  for (const bool coded : {false, true}) {
    compare_at_random(coded, {300}, 1);
    compare_at_random(coded, {3, 100}, 1);
    compare_at_random(coded, {0}, 1);
  }
}

void compare(graft_dtype out, const Shape& shape, std::int64_t pitch, double clip, int seeds) {
  const Context cpu(1, "reference"), cuda(GRAFT_DEVICE_CUDA);
  const bool wide = out == GRAFT_DTYPE_F64;
  const Result exact = run(cpu, GRAFT_DTYPE_F64, GRAFT_DTYPE_F64, shape, pitch, clip);
  const Result plain = run(cpu, GRAFT_DTYPE_F32, wide ? GRAFT_DTYPE_F32 : out, shape, pitch, clip);
  for_schedules(seeds, [&] {
    const Result actual = run(cuda, GRAFT_DTYPE_F32, out, shape, pitch, clip);
    const double u = unit_roundoff(GRAFT_DTYPE_F32);
    expect_close(actual.norm, exact.norm, 1e-13, "norm");  // sums in double on both sides, in another order
    expect_as_good(actual.p, plain.p, exact.p, u, "p");
    expect_as_good(actual.m, plain.m, exact.m, u, "m");
    expect_as_good(actual.v, plain.v, exact.v, u, "v");
    expect_as_good(actual.out, plain.out, exact.out, unit_roundoff(out), "p_out");
  });
}

TEST(CudaAdamW, AgreesWithFloat64) {
  for (graft_dtype out : {GRAFT_DTYPE_F32, GRAFT_DTYPE_BF16, GRAFT_DTYPE_F16}) {
    SCOPED_TRACE(name(out));
    compare(out, {7, 41}, 50, 0, 2);
    compare(out, {1000}, 0, 0.5, 2);
    compare(out, {2, 3, 5}, 0, 1e9, 2);
  }
  compare(GRAFT_DTYPE_BF16, {70, 130}, 0, 1, 1);
}

TEST(CudaAdamW, ManySchedules) { compare(GRAFT_DTYPE_F32, {300}, 0, 1, 100); }

// The bits of the single calls: of some gradients of one and of several blocks, and of more than a launch takes.
TEST(CudaAdamW, NormOfManyGradients) {
  const Context cuda(GRAFT_DEVICE_CUDA);
  const auto compare = [&](const std::vector<Shape>& shapes, std::size_t times, int seeds) {
    std::vector<Tensor> gradients;
    std::vector<graft_adamw_parameter> table;
    for (const Shape& shape : shapes) gradients.push_back(input(cuda, kF32, kF32, shape, 1 + gradients.size()));
    for (std::size_t i = 0; i < times; ++i) {
      graft_adamw_parameter of{};
      of.g = gradients[i % gradients.size()];
      table.push_back(of);
    }
    Tensor expected(cuda, kF64, {1}), sum(cuda, kF64, {1});
    expected.fill(0.1);
    for (const graft_adamw_parameter& of : table) GRAFT_EXPECT_OK(graft_adamw_squared_norm(cuda, of.g, expected));
    for_schedules(seeds, [&] {
      sum.fill(0.1);
      GRAFT_EXPECT_OK(graft_adamw_squared_norms(cuda, table.data(), static_cast<std::int64_t>(times), sum));
      EXPECT_EQ(sum.get(), expected.get()) << times;
    });
  };
  compare({{5}, {0, 3}, {9000}, {3, 7}, {4097}, {2, 3, 4}}, 6, 3);
  compare({{3}, {1, 2}}, 800 + 1, 1);
  compare({{0}}, 1, 1);
}

TEST(CudaAdamW, EmptyAndWithoutNorm) {
  const Context cuda(GRAFT_DEVICE_CUDA);
  Tensor g(cuda, GRAFT_DTYPE_F32, {0}), norm(cuda, GRAFT_DTYPE_F64, {1});
  Tensor p(cuda, GRAFT_DTYPE_F32, {0}), m(cuda, GRAFT_DTYPE_F32, {0}), v(cuda, GRAFT_DTYPE_F32, {0});
  GRAFT_EXPECT_OK(graft_adamw_squared_norm(cuda, g, norm));
  GRAFT_EXPECT_OK(graft_adamw_step(cuda, g, 0.01, 0.9, 0.999, 1e-8, 0.1, 1, 0, nullptr, 0, p, m, v, nullptr));
  GRAFT_EXPECT_OK(graft_context_synchronize(cuda));
  EXPECT_EQ(norm.get(), (std::vector<double>{0}));
}

}  // namespace
}  // namespace graft::test
