// nf4_quantize on the CUDA device: the bits of the host, single and double quantised; rows that end inside a block and
// inside a byte, zeros, NaN and infinities, scales that are no whole block of them, empty shapes.
#include <limits>

#include "schedules.h"

namespace graft::test {
namespace {

struct Case {
  graft_dtype dtype;
  bool nested;
  std::int64_t n, k;
};

std::vector<std::vector<double>> quantised(const Context& c, const Case& n, bool special) {
  Tensor matrix = input(c, n.dtype, n.dtype, {n.n, n.k}, 3, n.k + 2);
  if (special) {
    std::vector<double> values = matrix.get();
    for (std::size_t i = 0; i < values.size() && i < 64; ++i) values[i] = 0;
    values[values.size() / 2] = std::numeric_limits<double>::quiet_NaN();
    values.back() = std::numeric_limits<double>::infinity();
    matrix.set(values);
  }
  const Weight w(c, Nf4{n.nested}, n.n, n.k);
  GRAFT_EXPECT_OK(graft_nf4_quantize(c, matrix, w));
  GRAFT_EXPECT_OK(graft_context_synchronize(c));
  std::vector<std::vector<double>> parts{Weight::values(c, w->storage), Weight::values(c, w->absmax)};
  if (n.nested)
    parts.push_back(Weight::values(c, w->nested_absmax)), parts.push_back(Weight::values(c, w->nested_offset));
  return parts;
}

void compare(const Case& n, bool special, int seeds) {
  SCOPED_TRACE(std::string(name(n.dtype)) + " N=" + std::to_string(n.n) + " K=" + std::to_string(n.k) +
               (n.nested ? " double quantised" : "") + (special ? " with zeros, NaN and infinity" : ""));
  const Context cpu(1, "reference"), fast(1, "fast"), cuda(GRAFT_DEVICE_CUDA);
  const auto plain = quantised(cpu, n, special);
  EXPECT_EQ(quantised(fast, n, special), plain);
  for_schedules(seeds, [&] { EXPECT_EQ(quantised(cuda, n, special), plain); });
}

TEST(CudaNf4Quantize, HasTheBitsOfTheHost) {
  for (graft_dtype dtype : {kF32, kBf16, kF16}) {
    for (bool nested : {false, true}) {
      compare({dtype, nested, 3, 64}, false, 1);
      compare({dtype, nested, 5, 33}, false, 1);
      compare({dtype, nested, 1, 1}, false, 1);
      compare({dtype, nested, 130, 200}, false, 1);
    }
  }
  compare({kF32, false, 3, 65}, true, 1);
}

TEST(CudaNf4Quantize, ManySchedules) { compare({kBf16, true, 70, 256}, false, 20); }

TEST(CudaNf4Quantize, EmptyShapes) {
  for (bool nested : {false, true}) compare({kF32, nested, 0, 64}, false, 1);
}

TEST(CudaNf4Quantize, FloatsOfTheReferenceAreRefused) {
  const Context cuda(GRAFT_DEVICE_CUDA);
  const Weight w(cuda, Nf4{false}, 2, 64);
  const Tensor matrix(cuda, kF64, {2, 64});
  expect_error(graft_nf4_quantize(cuda, matrix, w), GRAFT_UNSUPPORTED, {"f64 is for references"});
}

}  // namespace
}  // namespace graft::test
