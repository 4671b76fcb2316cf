// Sketch weights on the CUDA device: codes unpacked, W and parts of it decoded, linear and lora over it, against
// float64; groups that end inside a block and inside eight columns, tables of every type.
#include "coded.h"
#include "cuda/kernels/coded_weight.h"
#include "trial.h"

namespace graft::test {
namespace {

struct Case {
  graft_dtype dtype;
  std::int64_t rows, n, groups, columns;
  int bits;
  std::int64_t k() const { return groups * columns; }
};

void run(Trial& r, const Case& n) {
  const graft_dtype narrow = n.bits == 3 ? kBf16 : kF32;
  const SketchWeight sketch(r.context, r.storage == kF64 ? kF64 : narrow, narrow, n.n, n.groups, n.columns, n.bits);
  const Weight& w = sketch.w;
  Tensor codes(r.context, GRAFT_DTYPE_U8, {n.n, n.k()}), matrix = r.zeros({n.n, n.k()}, n.k() + 1);
  Tensor x = r.input({n.rows, n.k()}, 2), dy = r.input({n.rows, n.n}, 3), y = r.input({n.rows, n.n}, 4);
  Tensor dx = r.zeros({n.rows, n.k()}), a = r.master({4, n.k()}, 5), b = r.master({n.n, 4}, 6),
         bias = r.master({n.n}, 7);
  GRAFT_EXPECT_OK(graft_sketch_unpack(r, w, codes));
  GRAFT_EXPECT_OK(graft_sketch_decode(r, w, matrix));
  GRAFT_EXPECT_OK(graft_linear_forward(r, x, w, bias, 1, y));
  GRAFT_EXPECT_OK(
      graft_lora_backward(r, dy, nullptr, nullptr, w, a, b, 0.5, 0.25, 7, 0, 0, dx, nullptr, nullptr, nullptr));
  r.keep_bits("codes", codes), r.keep_bits("matrix", matrix), r.keep("y", y), r.keep("dx", dx);
  if (n.columns % 2 == 0) {
    Tensor nibbles(r.context, GRAFT_DTYPE_U8, {n.n, n.groups, n.columns / 2});
    GRAFT_EXPECT_OK(graft_sketch_unpack(r, w, nibbles));
    r.keep_bits("nibbles", nibbles);
  }
  if (codes->device != GRAFT_DEVICE_CUDA || n.groups == 1 || n.n == 1) return;
  // From the second row on, and from inside of the first group to inside of the last one.
  const std::int64_t first = n.columns / 2 + 1, count = n.k() - n.columns;
  Tensor part = r.zeros({n.n - 1, count});
  graft::cuda::decode_sketch(*static_cast<graft_context*>(r), {w, 1, first, *part});
  GRAFT_EXPECT_OK(graft_context_synchronize(r));
  EXPECT_EQ(part.get(), matrix.view((n.k() + 1) + first, {n.n - 1, count}, {n.k() + 1, 1}).get());
}

void compare(const Case& n, int seeds) {
  agree(n.dtype, sizes({{"N", n.n}, {"groups", n.groups}, {"columns", n.columns}, {"bits", n.bits}}), seeds,
        [&](Trial& r) { run(r, n); });
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

/** Packed codes, from a byte each and, where that can be, from two in a byte. */
void pack(Trial& r, const Case& n) {
  for (const bool nibbles : {false, true}) {
    if (nibbles && n.columns % 2 != 0) continue;
    const Tensor table = r.zeros({n.n, n.groups, std::int64_t{1} << n.bits});
    const Weight w(r.context, table, n.k());
    Tensor codes(r.context, GRAFT_DTYPE_U8, nibbles ? Shape{n.n, n.groups, n.columns / 2} : Shape{n.n, n.k()});
    const int largest = (1 << n.bits) - 1;
    codes.integers(2, 0, largest);
    if (nibbles) {
      std::vector<double> bytes = codes.get();
      for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] += 16 * static_cast<double>(i % (largest + 1));
      codes.set(bytes);
    }
    GRAFT_EXPECT_OK(graft_sketch_pack(r, codes, w));
    GRAFT_EXPECT_OK(graft_context_synchronize(r));
    std::int64_t size = 1;
    for (int i = 0; i < w->storage.rank; ++i) size *= w->storage.shape[i];
    std::vector<std::uint8_t> bytes(static_cast<std::size_t>(size));
    GRAFT_EXPECT_OK(graft_tensor_download(r, &w->storage, bytes.data(), size));
    r.outputs.push_back({nibbles ? "from nibbles" : "from bytes", {bytes.begin(), bytes.end()}, 0});
  }
}

TEST(CudaSketch, PacksAsTheHost) {
  for (const int bits : {4, 3, 2})
    for (const Case& n : {Case{kF32, 1, 5, 3, 21, bits}, Case{kF32, 1, 3, 2, 72, bits}, Case{kF32, 1, 2, 1, 128, bits}})
      agree(kF32, sizes({{"N", n.n}, {"groups", n.groups}, {"columns", n.columns}, {"bits", bits}}), 1,
            [&](Trial& r) { pack(r, n); });
}

TEST(CudaSketch, ACodeThatTheTableLacksIsReported) {
  const Context cuda(GRAFT_DEVICE_CUDA);
  const Tensor table(cuda, kF32, {2, 1, 8});
  const Weight w(cuda, table, 6);
  Tensor bytes(cuda, GRAFT_DTYPE_U8, {2, 6}), nibbles(cuda, GRAFT_DTYPE_U8, {2, 1, 3});
  bytes.set({0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 9, 0});
  GRAFT_EXPECT_OK(graft_sketch_pack(cuda, bytes, w));
  expect_error(graft_context_synchronize(cuda), GRAFT_INVALID_ARGUMENT,
               {"graft_sketch_pack: codes[8] is 8, must be in 0..7"});
  nibbles.set({0, 1, 0x7a, 3, 4, 5});
  GRAFT_EXPECT_OK(graft_sketch_pack(cuda, nibbles, w));
  expect_error(graft_context_synchronize(cuda), GRAFT_INVALID_ARGUMENT,
               {"graft_sketch_pack: codes[5] is 10, must be in 0..7"});
  GRAFT_EXPECT_OK(graft_context_synchronize(cuda));
}

TEST(CudaSketch, EmptyShapes) {
  const Context cuda(GRAFT_DEVICE_CUDA);
  Tensor table(cuda, kF32, {0, 2, 16}), matrix(cuda, kF32, {0, 8}), codes(cuda, GRAFT_DTYPE_U8, {0, 8});
  const Weight w(cuda, table, 8);
  GRAFT_EXPECT_OK(graft_sketch_decode(cuda, w, matrix));
  GRAFT_EXPECT_OK(graft_sketch_unpack(cuda, w, codes));
  GRAFT_EXPECT_OK(graft_sketch_pack(cuda, codes, w));
  Tensor x(cuda, kBf16, {3, 8}), y(cuda, kBf16, {3, 0});
  GRAFT_EXPECT_OK(graft_linear_forward(cuda, x, w, nullptr, 0, y));
  GRAFT_EXPECT_OK(graft_context_synchronize(cuda));
}

// The host does not look at values that are not in its memory: what it would refuse on the CPU changes nothing.
TEST(CudaSketch, CompressionIsRefused) {
  const Context cuda(GRAFT_DEVICE_CUDA);
  Tensor h(cuda, kF32, {4, 4}), r(cuda, kF32, {4, 4}), order(cuda, kI32, {4}), matrix(cuda, kF32, {3, 4});
  Tensor table(cuda, kF32, {3, 1, 16});
  const Weight w(cuda, table, 4);
  h.fill(-1), order.fill(9), matrix.fill(std::numeric_limits<double>::infinity());
  expect_error(graft_sketch_compress_factor(cuda, h, 0, 1, order, r), GRAFT_UNSUPPORTED, {"on CUDA"});
  expect_error(graft_sketch_compress_matrix(cuda, matrix, order, r, 2, w, nullptr), GRAFT_UNSUPPORTED, {"on CUDA"});
}

}  // namespace
}  // namespace graft::test
