// random on the CUDA device: the numbers of the contract, in every dtype, at any place of the stream, over strides.
#include "schedules.h"

namespace graft::test {
namespace {

constexpr std::uint64_t kSeed = 0x0123456789abcdefu;

/** The four ops, each on a matrix of its own with a pitch. */
std::vector<double> run(const Context& c, graft_dtype storage, graft_dtype values, std::int64_t rows,
                        std::int64_t columns, std::uint64_t offset) {
  const auto make = [&](std::uint64_t seed) { return input(c, storage, values, {rows, columns}, seed, columns + 3); };
  Tensor uniform = make(1), normal = make(2), added = make(3), kept = make(4);
  GRAFT_EXPECT_OK(graft_random_uniform(c, kSeed, offset, -2, 3, uniform));
  GRAFT_EXPECT_OK(graft_random_normal(c, kSeed, offset, 0.5, 2, normal));
  GRAFT_EXPECT_OK(graft_random_add_normal(c, kSeed, offset, 0.25, added));
  GRAFT_EXPECT_OK(graft_random_keep(c, kSeed, offset, 0.75, kept));
  GRAFT_EXPECT_OK(graft_context_synchronize(c));
  std::vector<double> all;
  for (const Tensor* y : {&uniform, &normal, &added, &kept})
    for (double value : y->get()) all.push_back(value);
  return all;
}

TEST(CudaRandom, AgreesWithFloat64) {
  const Context cpu(1, "reference"), cuda(GRAFT_DEVICE_CUDA);
  for (graft_dtype dtype : {kF32, kBf16, kF16}) {
    SCOPED_TRACE(name(dtype));
    for (const auto& [rows, columns, offset] :
         {std::array<std::int64_t, 3>{1, 1, 0}, {3, 101, 7}, {2, 5, std::int64_t{1} << 48}, {0, 3, 0}, {2, 0, 1}}) {
      const auto at = static_cast<std::uint64_t>(offset);
      const std::vector<double> exact = run(cpu, kF64, dtype, rows, columns, at),
                                plain = run(cpu, dtype, dtype, rows, columns, at);
      for_schedules(1, [&] {
        expect_as_good(run(cuda, dtype, dtype, rows, columns, at), plain, exact, unit_roundoff(dtype), "y");
      });
    }
  }
}

TEST(CudaRandom, NoNumberReachesTheBound) {
  const Context cuda(GRAFT_DEVICE_CUDA);
  Tensor y(cuda, kBf16, {3000});
  GRAFT_EXPECT_OK(graft_random_uniform(cuda, kSeed, 0, 1, 1.015625, y));  // 1 and 1.0078125 are all there is
  GRAFT_EXPECT_OK(graft_context_synchronize(cuda));
  for (double value : y.get()) ASSERT_LT(value, 1.015625);
}

}  // namespace
}  // namespace graft::test
