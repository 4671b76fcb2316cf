// Sketch weights on the CUDA device: codes unpacked, W and parts of it decoded, linear and lora over it, against
// float64; groups that end inside a block and inside eight columns, tables of every
// type.
#include "coded.h"
#include "cuda/kernels/coded_weight.h"

namespace graft::test {
namespace {

struct Case {
  graft_dtype dtype;
  std::int64_t rows, n, groups, columns;
  int bits;
  std::int64_t k() const { return groups * columns; }
};

struct Result {
  std::vector<double> codes, nibbles, matrix, part, y, dx;
};

Result run(const Context& c, graft_dtype storage, const Case& n, bool parts) {
  const SketchWeight sketch(c,
                            storage == kF64 ? kF64
                            : n.bits == 3   ? kBf16
                                            : kF32,
                            n.bits == 3 ? kBf16 : kF32, n.n, n.groups, n.columns, n.bits);
  const Weight& w = sketch.w;
  Result r;
  Tensor codes(c, GRAFT_DTYPE_U8, {n.n, n.k()}), matrix(c, storage, {n.n, n.k()}, n.k() + 1);
  GRAFT_EXPECT_OK(graft_sketch_unpack(c, w, codes));
  GRAFT_EXPECT_OK(graft_sketch_decode(c, w, matrix));
  Tensor x = input(c, storage, n.dtype, {n.rows, n.k()}, 2), dy = input(c, storage, n.dtype, {n.rows, n.n}, 3);
  Tensor y = input(c, storage, n.dtype, {n.rows, n.n}, 4), dx(c, storage, {n.rows, n.k()});
  Tensor a = input(c, sums_of(storage), n.dtype, {4, n.k()}, 5), b = input(c, sums_of(storage), n.dtype, {n.n, 4}, 6);
  Tensor bias = input(c, sums_of(storage), n.dtype, {n.n}, 7);
  GRAFT_EXPECT_OK(graft_linear_forward(c, x, w, bias, 1, y));
  GRAFT_EXPECT_OK(
      graft_lora_backward(c, dy, nullptr, nullptr, w, a, b, 0.5, 0.25, 7, 0, 0, dx, nullptr, nullptr, nullptr));
  GRAFT_EXPECT_OK(graft_context_synchronize(c));
  r.codes = codes.get(), r.matrix = matrix.get(), r.y = y.get(), r.dx = dx.get();
  if (n.columns % 2 == 0) {
    Tensor nibbles(c, GRAFT_DTYPE_U8, {n.n, n.groups, n.columns / 2});
    GRAFT_EXPECT_OK(graft_sketch_unpack(c, w, nibbles));
    GRAFT_EXPECT_OK(graft_context_synchronize(c));
    r.nibbles = nibbles.get();
  }
  if (parts) {
    // From the second row on, and from inside of the first group to inside of the last one.
    const std::int64_t first = n.columns / 2 + 1, count = n.k() - n.columns;
    Tensor part(c, storage, {n.n - 1, count});
    graft::cuda::decode_sketch(*static_cast<graft_context*>(c), {w, 1, first, *part});
    GRAFT_EXPECT_OK(graft_context_synchronize(c));
    r.part = part.get();
    std::vector<double> expected;
    for (std::int64_t i = 1; i < n.n; ++i)
      for (std::int64_t j = 0; j < count; ++j)
        expected.push_back(r.matrix[static_cast<std::size_t>(i * n.k() + first + j)]);
    EXPECT_EQ(r.part, expected);
  }
  return r;
}

void compare(const Case& n, int seeds) {
  SCOPED_TRACE(std::string(name(n.dtype)) + " N=" + std::to_string(n.n) + " " + std::to_string(n.groups) +
               " groups of " + std::to_string(n.columns) + ", bits=" + std::to_string(n.bits));
  const Context cpu(1, "reference"), cuda(GRAFT_DEVICE_CUDA);
  const Result exact = run(cpu, kF64, n, false), plain = run(cpu, n.dtype, n, false);
  for_schedules(seeds, [&] {
    const Result actual = run(cuda, n.dtype, n, n.groups > 1 && n.n > 1);
    const double u = unit_roundoff(n.dtype);
    EXPECT_EQ(actual.codes, plain.codes);
    EXPECT_EQ(actual.nibbles, plain.nibbles);
    EXPECT_EQ(actual.matrix, plain.matrix);
    expect_as_good(actual.y, plain.y, exact.y, u, "y");
    expect_as_good(actual.dx, plain.dx, exact.dx, u, "dx");
  });
}

TEST(CudaSketch, AgreesWithFloat64) {
  for (const int bits : {4, 3, 2}) {
    compare({kF32, 3, 5, 3, 21, bits}, 1);
    compare({kBf16, 18, 6, 2, 72, bits}, 1);
  }
  compare({kF16, 1, 1, 1, 1, 4}, 1);
  compare({kF32, 2, 4, 2, 128, 3}, 1);
}

TEST(CudaSketch, ManySchedules) { compare({kBf16, 2, 4, 2, 36, 3}, 6); }

TEST(CudaSketch, EmptyShapes) {
  const Context cuda(GRAFT_DEVICE_CUDA);
  Tensor table(cuda, kF32, {0, 2, 16}), matrix(cuda, kF32, {0, 8}), codes(cuda, GRAFT_DTYPE_U8, {0, 8});
  const Weight w(cuda, table, 8);
  GRAFT_EXPECT_OK(graft_sketch_decode(cuda, w, matrix));
  GRAFT_EXPECT_OK(graft_sketch_unpack(cuda, w, codes));
  Tensor x(cuda, kBf16, {3, 8}), y(cuda, kBf16, {3, 0});
  GRAFT_EXPECT_OK(graft_linear_forward(cuda, x, w, nullptr, 0, y));
  GRAFT_EXPECT_OK(graft_context_synchronize(cuda));
}

}  // namespace
}  // namespace graft::test
