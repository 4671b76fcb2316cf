// Positions of the same id on the CUDA device: the chains that plain loops find, over several parts of the ids.
#include "cuda/kernels/chains.h"

#include <algorithm>

#include "core/device.h"
#include "schedules.h"

namespace graft::test {
namespace {

void compare(graft_dtype dtype, std::int64_t count, int largest, int seeds) {
  const Context cuda(GRAFT_DEVICE_CUDA);
  core::Context& context = *static_cast<graft_context*>(cuda);
  Tensor ids(cuda, dtype, {count});
  const std::vector<double> values = ids.integers(3, 0, largest).get();
  for_schedules(seeds, [&] {
    core::Scratch scratch(context.arena);
    const graft::cuda::Chains chains = graft::cuda::find_chains(context, scratch, *ids);
    GRAFT_EXPECT_OK(graft_context_synchronize(cuda));
    std::vector<std::int64_t> next(values.size());
    std::vector<std::uint8_t> is_first(values.size());
    context.opened->download(next.data(), chains.next, count * 8);
    context.opened->download(is_first.data(), chains.is_first, count);
    for (std::size_t t = 0; t < values.size(); ++t) {
      const auto found = std::find(values.begin() + static_cast<std::ptrdiff_t>(t) + 1, values.end(), values[t]);
      EXPECT_EQ(next[t], found - values.begin());
      EXPECT_EQ(is_first[t], std::find(values.begin(), values.end(), values[t]) - values.begin() == std::ptrdiff_t(t));
    }
  });
}

TEST(CudaChains, AreThoseOfPlainLoops) {
  compare(kI64, 1, 3, 1);
  compare(kI32, 530, 90, 3);
}

TEST(CudaChains, ManySchedules) { compare(kI32, 270, 9, 4); }

}  // namespace
}  // namespace graft::test
