// What every test of kernels needs: a context of the CUDA device, the same test under many schedules, inputs that are
// alike on all devices, and the bound that an implementation must hold. In the emulator's programs the device is
// emulated; in those for a GPU host it is the GPU, and one run is all the schedules there are.
#pragma once

#include <cmath>
#include <functional>
#include <string>

#include "tensors.h"

namespace graft::test {

/** Calls body under so many seeds, each with copies that land early, late, or either. GRAFT_EMULATOR_SEEDS sets another
 * number for all tests, GRAFT_EMULATOR_SEED runs one. On a GPU host: once. */
void for_schedules(int seeds, const std::function<void()>& body);

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
