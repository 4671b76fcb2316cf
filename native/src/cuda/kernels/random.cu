// random: a thread has one element, whose number in the stream is offset + its row-major place, and makes it of Philox
// words alone, so that no grid changes a number. In double, as the contract's numbers are, rounded once to y's type:
// uniform ones have the bits of the CPU, normal ones (Box-Muller) but for the device's logarithm and sine. Bytes: each
// element once, twice where the old value counts; 10 rounds of Philox for an element, 20 for a normal one.
#include "core/philox.h"
#include "cuda/device.h"
#include "cuda/kernels/places.h"
#include "cuda/kernels/tensor.h"
#include "ops/random.h"

namespace graft::cuda {
namespace {

using core::Philox;

struct Uniform {
  std::uint64_t seed;
  double low, range, smallest, largest;
  GRAFT_DEVICE double operator()(std::uint64_t i, double) const {
    return fmin(fmax(low + range * Philox::uniform(seed, i), smallest), largest);
  }
};

/** N(0, 1): element 2k of the stream has the cosine of a pair of words, element 2k + 1 the sine. */
GRAFT_DEVICE double standard_normal(std::uint64_t seed, std::uint64_t i) {
  const double u = Philox::uniform(seed, i & ~std::uint64_t{1}), v = Philox::uniform(seed, i | 1);
  double sine, cosine;
  sin_cos_pi(2 * v, &sine, &cosine);
  return sqrt(-2 * log(u + 0x1p-32)) * (GRAFT_BUG(random_cosines) || (i & 1) == 0 ? cosine : sine);
}

struct Normal {
  std::uint64_t seed;
  double mean, deviation;
  GRAFT_DEVICE double operator()(std::uint64_t i, double) const { return mean + deviation * standard_normal(seed, i); }
};

struct AddNormal {
  std::uint64_t seed;
  double factor;
  GRAFT_DEVICE double operator()(std::uint64_t i, double old) const { return old + factor * standard_normal(seed, i); }
};

struct Keep {
  std::uint64_t seed;
  double keep;
  GRAFT_DEVICE double operator()(std::uint64_t i, double old) const {
    return Philox::uniform(seed, i) < keep ? old / keep : 0;
  }
};

/** Rounded once: towards zero with the last bit set where a second rounding, to 16 bits, follows ("round to odd"). */
template <class T>
GRAFT_DEVICE T from_double(double value) {
  float nearest = static_cast<float>(value);
  if constexpr (sizeof(T) == 2) {
    if (static_cast<double>(nearest) != value) {
      std::uint32_t bits = std::bit_cast<std::uint32_t>(nearest);
      if (fabs(static_cast<double>(nearest)) > fabs(value)) --bits;
      nearest = std::bit_cast<float>(bits | 1u);
    }
  }
  return from_float<T>(nearest);
}

template <class T, class Number>
__global__ void __launch_bounds__(kThreads)
    random_numbers(Number number, std::uint64_t offset, T* y, Places y_at, std::int64_t count) {
  const std::int64_t i = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  if (i >= count) return;
  T& to = y[y_at[i]];
  to = from_double<T>(number(offset + static_cast<std::uint64_t>(i), static_cast<double>(to_float(to))));
}

template <class Number>
void fill(core::Context& context, const Number& number, std::uint64_t offset, const graft_tensor& y) {
  const std::int64_t count = core::elements(y);
  visit(y.dtype, [&](auto type) {
    using T = decltype(type);
    launch(over(context, "random_numbers", count), random_numbers<T, Number>, number, offset, data<T>(&y), places(y),
           count);
  });
}

}  // namespace

std::string refuse(const ops::RandomUniform& a) { return refuse_f64(*a.y); }
std::string refuse(const ops::RandomNormal& a) { return refuse_f64(*a.y); }
std::string refuse(const ops::RandomAddNormal& a) { return refuse_f64(*a.y); }
std::string refuse(const ops::RandomKeep& a) { return refuse_f64(*a.y); }

void run(core::Context& context, const ops::RandomUniform& a) {
  const ops::Bounds bounds = a.bounds();
  fill(context, Uniform{a.seed, a.low, a.high - a.low, bounds.smallest, bounds.largest}, a.offset, *a.y);
}

void run(core::Context& context, const ops::RandomNormal& a) {
  fill(context, Normal{a.seed, a.mean, a.deviation}, a.offset, *a.y);
}

void run(core::Context& context, const ops::RandomAddNormal& a) {
  fill(context, AddNormal{a.seed, a.factor}, a.offset, *a.y);
}

void run(core::Context& context, const ops::RandomKeep& a) { fill(context, Keep{a.seed, a.keep}, a.offset, *a.y); }

}  // namespace graft::cuda
