// What every test of kernels needs: a context of the CUDA device, the same test under many schedules, inputs that are
// alike on all devices, and the bound that an implementation must hold. In the emulator's programs the device is
// emulated; in those for a GPU host it is the GPU, and one run is all the schedules there are.
#pragma once

#include <cmath>
#include <cstdlib>
#include <string>

#include "tensors.h"
#if !defined(GRAFT_ON_GPU)
#include "emulator/emulator.h"
#endif

namespace graft::test {

#if defined(GRAFT_ON_GPU)
template <class Body>
void for_schedules(int, Body&& body) {
  body();
}
#else
/** Calls body under so many seeds, each with copies that land early, late, or either. GRAFT_EMULATOR_SEEDS sets another
 * number for all tests, GRAFT_EMULATOR_SEED runs one. */
template <class Body>
void for_schedules(int seeds, Body&& body) {
  const auto number = [](const char* name, int otherwise) {
    const char* text = std::getenv(name);
    return text == nullptr ? otherwise : std::atoi(text);
  };
  const int only = number("GRAFT_EMULATOR_SEED", -1), most = number("GRAFT_EMULATOR_SEEDS", seeds);
  const int first = only < 0 ? 0 : only, end = only < 0 ? std::min(seeds, most) : only + 1;
  using emulator::Completion;
  for (int seed = first; seed < end; ++seed) {
    for (const Completion completion : {Completion::kEager, Completion::kLazy, Completion::kRandom}) {
      emulator::set_schedule({static_cast<std::uint32_t>(seed), completion, 1 + seed % 2});
      SCOPED_TRACE("GRAFT_EMULATOR_SEED=" + std::to_string(seed) + ", completion " +
                   std::to_string(static_cast<int>(completion)));
      body();
      if (testing::Test::HasFailure()) return;
    }
  }
}
#endif

/** A tensor of dtype `storage` with random values that dtype `values` can hold. */
inline Tensor input(const Context& c, graft_dtype storage, graft_dtype values, const Shape& shape, std::uint64_t seed,
                    std::int64_t pitch = 0) {
  Tensor exact(c, values, shape), tensor(c, storage, shape, pitch);
  tensor.set(exact.random(seed).get());
  return tensor;
}

/** The error of `actual` is no more than twice that of plain loops of the same precision, or one rounding of the
 * largest value where these happen to be exact. */
inline void expect_as_good(const std::vector<double>& actual, const std::vector<double>& plain,
                           const std::vector<double>& exact, double roundoff, const std::string& what) {
  ASSERT_EQ(actual.size(), exact.size()) << what;
  ASSERT_EQ(plain.size(), exact.size()) << what;
  double largest = 0, allowed = 0;
  std::size_t non_zero = 0;
  for (std::size_t i = 0; i < exact.size(); ++i) {
    largest = std::fmax(largest, std::fabs(exact[i]));
    allowed = std::fmax(allowed, std::fabs(plain[i] - exact[i]));
    non_zero += exact[i] != 0;
  }
  EXPECT_TRUE(non_zero * 4 >= exact.size()) << what << ": mistrusted, nearly all zero";
  allowed = std::fmax(2 * allowed, roundoff * largest);
  for (std::size_t i = 0; i < exact.size(); ++i)
    ASSERT_LE(std::fabs(actual[i] - exact[i]), allowed)
        << what << ": element " << i << " of " << exact.size() << " is " << actual[i] << ", exactly " << exact[i];
}

}  // namespace graft::test
