// Each function of device.h on integers and bits, against what its contract says: the same answers from the CPU twin
// and from a GPU. Compiled by the C++ compiler for the emulator, and by nvcc on a GPU host.
#include <cstdint>
#include <numeric>

#include "buffer.h"
#include "cuda/device.h"
#include "schedules.h"

namespace graft::test {
namespace {

using namespace graft::cuda;

__global__ void where_am_i(int* to) {
  const int block = static_cast<int>(blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z));
  const int threads = static_cast<int>(blockDim.x * blockDim.y * blockDim.z);
  const int thread = static_cast<int>(threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z));
  to[block * threads + thread] = block * 1000 + thread;
}

TEST(CudaDeviceFunctions, GridsAndBlocksOfThreeDimensions) {
  for_schedules(3, [&] {
    Buffer<int> to(2 * 3 * 2 * 4 * 5 * 3);
    launch({"where_am_i", dim3(2, 3, 2), dim3(4, 5, 3), 0, nullptr}, where_am_i, static_cast<int*>(to));
    const std::vector<int> got = to.get();
    for (int i = 0; i < static_cast<int>(got.size()); ++i) ASSERT_EQ(got[i], i / 60 * 1000 + i % 60);
  });
}

/** Each thread reads what its neighbour wrote into static, then into dynamic shared memory. */
__global__ void neighbours(int* to) {
  GRAFT_SHARED(int, fixed, 96);
  GRAFT_DYNAMIC_SHARED(int, dynamic);
  const int i = static_cast<int>(threadIdx.x), next = (i + 1) % 96;
  fixed[i] = 3 * i;
  __syncthreads();
  dynamic[i] = fixed[next] + 1;
  __syncthreads();
  to[i] = dynamic[next];
}

TEST(CudaDeviceFunctions, SharedMemoryAndBlockBarrier) {
  for_schedules(20, [&] {
    Buffer<int> to(96);
    launch({"neighbours", 1, 96, 96 * sizeof(int), nullptr}, neighbours, static_cast<int*>(to));
    const std::vector<int> got = to.get();
    for (int i = 0; i < 96; ++i) ASSERT_EQ(got[i], 3 * ((i + 2) % 96) + 1);
  });
}

/** Two halves of a warp exchange through shared memory behind barriers of their own masks. */
__global__ void half_warps(int* to) {
  GRAFT_SHARED(int, cells, 32);
  const int lane = static_cast<int>(threadIdx.x), half = lane / 16;
  const unsigned mask = half == 0 ? 0x0000ffffu : 0xffff0000u;
  cells[lane] = lane * lane;
  __shfl_xor_sync(mask, lane, 1);  // the lanes meet, which orders no memory: ThreadSanitizer misses the next barrier
  if (!GRAFT_BUG(test_no_syncwarp)) __syncwarp(mask);
  const int other = cells[half * 16 + (lane + 5) % 16];
  if (half == 0) {
    __syncwarp(0x0000ffffu);
    to[lane] = other + __shfl_xor_sync(0x0000ffffu, lane, 3);
  } else {
    to[lane] = other - __shfl_xor_sync(0xffff0000u, lane, 1);
  }
}

TEST(CudaDeviceFunctions, WarpBarrierOfAMask) {
  for_schedules(20, [&] {
    Buffer<int> to(32);
    launch({"half_warps", 1, 32, 0, nullptr}, half_warps, static_cast<int*>(to));
    const std::vector<int> got = to.get();
    for (int lane = 0; lane < 32; ++lane) {
      const int other = lane / 16 * 16 + (lane + 5) % 16;
      ASSERT_EQ(got[lane], other * other + (lane < 16 ? lane ^ 3 : -(lane ^ 1))) << lane;
    }
  });
}

constexpr int kShuffles = 9;

__global__ void shuffles(std::int64_t* to) {
  const int lane = static_cast<int>(threadIdx.x);
  const int value = 100 + lane;
  const std::int64_t wide = (std::int64_t{lane} << 40) + lane;
  std::int64_t* mine = to + lane * kShuffles;
  mine[0] = __shfl_sync(kWholeWarp, value, 7);
  mine[1] = __shfl_sync(kWholeWarp, value, lane + 3, 8);
  mine[2] = __shfl_xor_sync(kWholeWarp, value, 16);
  mine[3] = __shfl_xor_sync(kWholeWarp, value, 5, 8);
  mine[4] = __shfl_xor_sync(kWholeWarp, value, 8, 8);  // leaves the segment
  mine[5] = __shfl_down_sync(kWholeWarp, value, 6);
  mine[6] = __shfl_down_sync(kWholeWarp, value, 3, 4);
  mine[7] = __shfl_xor_sync(kWholeWarp, wide, 1);
  mine[8] = static_cast<std::int64_t>(__shfl_down_sync(kWholeWarp, static_cast<float>(lane), 2) * 2);
}

TEST(CudaDeviceFunctions, Shuffles) {
  for_schedules(5, [&] {
    Buffer<std::int64_t> to(32 * kShuffles);
    launch({"shuffles", 1, 32, 0, nullptr}, shuffles, static_cast<std::int64_t*>(to));
    const std::vector<std::int64_t> got = to.get();
    for (int lane = 0; lane < 32; ++lane) {
      const std::int64_t* mine = got.data() + lane * kShuffles;
      const std::int64_t neighbour = lane ^ 1;
      ASSERT_EQ(mine[0], 107);
      ASSERT_EQ(mine[1], 100 + lane / 8 * 8 + (lane + 3) % 8);
      ASSERT_EQ(mine[2], 100 + (lane ^ 16));
      ASSERT_EQ(mine[3], 100 + (lane ^ 5));
      ASSERT_EQ(mine[4], 100 + ((lane ^ 8) > (lane | 7) ? lane : lane ^ 8));
      ASSERT_EQ(mine[5], 100 + (lane + 6 < 32 ? lane + 6 : lane));
      ASSERT_EQ(mine[6], 100 + (lane % 4 == 0 ? lane + 3 : lane));
      ASSERT_EQ(mine[7], (neighbour << 40) + neighbour);
      ASSERT_EQ(mine[8], 2 * (lane + 2 < 32 ? lane + 2 : lane));
    }
  });
}

__global__ void ballots(unsigned* to) {
  const int lane = static_cast<int>(threadIdx.x);
  to[lane] = __ballot_sync(kWholeWarp, lane % 3 == 0);
  if (lane < 8) to[lane] ^= __ballot_sync(0xffu, lane & 1);
}

TEST(CudaDeviceFunctions, Ballot) {
  for_schedules(5, [&] {
    Buffer<unsigned> to(32);
    launch({"ballots", 1, 32, 0, nullptr}, ballots, static_cast<unsigned*>(to));
    const std::vector<unsigned> got = to.get();
    unsigned thirds = 0;
    for (int lane = 0; lane < 32; lane += 3) thirds |= 1u << lane;
    for (int lane = 0; lane < 32; ++lane) ASSERT_EQ(got[lane], lane < 8 ? thirds ^ 0xaau : thirds);
  });
}

__global__ void add_all(float* sum, int* seen_zero) {
  if (atomicAdd(sum, static_cast<float>(threadIdx.x)) == 0) *seen_zero = 1;
}

TEST(CudaDeviceFunctions, AtomicAddOfIntegers) {
  for_schedules(5, [&] {
    Buffer<float> sum(std::vector<float>{0});
    Buffer<int> seen_zero(1);
    launch({"add_all", 7, 64, 0, nullptr}, add_all, static_cast<float*>(sum), static_cast<int*>(seen_zero));
    EXPECT_EQ(sum.get()[0], 7 * 63 * 32);
    EXPECT_EQ(seen_zero.get()[0], 1);
  });
}

template <class T>
__global__ void widen(const T* from, std::int64_t count, float* to) {
  const std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i < count) to[i] = to_float(from[i]);
}

template <class T>
__global__ void narrow(const float* from, std::int64_t count, T* to) {
  const std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i < count) to[i] = from_float<T>(from[i]);
}

/** All 65536 patterns to float and back, and floats around every one of them. `bias` and `digits` are the format's. */
template <class T>
void every_pattern(int digits, int bias) {
  std::vector<T> all(65536);
  for (int i = 0; i < 65536; ++i) all[i].bits = static_cast<std::uint16_t>(i);
  Buffer<T> from(all);
  Buffer<float> wide(65536);
  launch({"widen", 512, 128, 0, nullptr}, widen<T>, static_cast<const T*>(from), std::int64_t{65536},
         static_cast<float*>(wide));
  const std::vector<float> values = wide.get();
  const int top = (1 << (15 - digits)) - 1;
  for (int i = 0; i < 65536; ++i) {
    const int exponent = i >> digits & top, mantissa = i & ((1 << digits) - 1);
    if (exponent == top && mantissa != 0) {
      ASSERT_TRUE(std::isnan(values[i])) << i;
      continue;
    }
    const double magnitude = exponent == top ? INFINITY
                             : exponent == 0 ? std::ldexp(mantissa, 1 - bias - digits)
                                             : std::ldexp((1 << digits) + mantissa, exponent - bias - digits);
    ASSERT_EQ(values[i], i & 0x8000 ? -magnitude : magnitude) << i;
  }
  // Between two neighbours: a little below, at, and a little above the middle.
  std::vector<float> floats;
  std::vector<std::uint16_t> expected;
  for (int i = 0; i < top << digits; ++i) {
    for (int sign : {0, 0x8000}) {
      // Infinity's place among the numbers is where the next one would be.
      const float low = std::fabs(values[i]);
      const float high = i + 1 == top << digits ? std::ldexp(1.0f, top - 1 - bias) * 2 : std::fabs(values[i + 1]);
      const float middle = low / 2 + high / 2;
      if (std::isinf(high) || middle <= low || middle >= high) continue;
      const int even = i & 1 ? i + 1 : i;
      for (const auto& [value, rounds_to] : {std::pair{std::nextafter(middle, 0.0f), i}, std::pair{middle, even},
                                             std::pair{std::nextafter(middle, high), i + 1}, std::pair{low, i}}) {
        floats.push_back(sign != 0 ? -value : value);
        expected.push_back(static_cast<std::uint16_t>(rounds_to | sign));
      }
    }
  }
  floats.push_back(NAN);
  expected.push_back(0x7fff);
  Buffer<float> given(floats);
  Buffer<T> narrowed(floats.size());
  const auto count = static_cast<std::int64_t>(floats.size());
  launch({"narrow", static_cast<unsigned>(ceil_div<std::int64_t>(count, 128)), 128, 0, nullptr}, narrow<T>,
         static_cast<const float*>(given), count, static_cast<T*>(narrowed));
  const std::vector<T> got = narrowed.get();
  for (std::size_t i = 0; i < floats.size(); ++i) ASSERT_EQ(got[i].bits, expected[i]) << floats[i];
}

TEST(CudaDeviceFunctions, Bf16IsExact) { every_pattern<bf16>(7, 127); }
TEST(CudaDeviceFunctions, F16IsExact) { every_pattern<f16>(10, 15); }

__global__ void quarter_turns(double step, double* to) {
  const int i = static_cast<int>(threadIdx.x);
  sin_cos_pi(i * step, to + 2 * i, to + 2 * i + 1);
}

TEST(CudaDeviceFunctions, SinesOfHalfTurns) {
  for (double step : {0.5, -0.5, 100000.5, 0.1}) {
    Buffer<double> to(128);
    launch({"quarter_turns", 1, 64, 0, nullptr}, quarter_turns, step, static_cast<double*>(to));
    const std::vector<double> got = to.get();
    for (int i = 0; i < 64; ++i) {
      const double angle = std::fmod(i * step, 2.0) * 3.14159265358979323846;
      ASSERT_NEAR(got[2 * i], std::sin(angle), 1e-15);
      ASSERT_NEAR(got[2 * i + 1], std::cos(angle), 1e-15);
    }
  }
}

__global__ void reverse_packs(const bf16* from, bf16* to) {
  const int packs = static_cast<int>(blockDim.x), i = static_cast<int>(threadIdx.x);
  store_pack(to + 8 * (packs - 1 - i), load_pack(from + 8 * i));
}

TEST(CudaDeviceFunctions, Packs) {
  std::vector<bf16> values(8 * 40);
  for (std::size_t i = 0; i < values.size(); ++i) values[i].bits = static_cast<std::uint16_t>(i);
  Buffer<bf16> from(values), to(values.size());
  launch({"reverse_packs", 1, 40, 0, nullptr}, reverse_packs, static_cast<const bf16*>(from), static_cast<bf16*>(to));
  const std::vector<bf16> got = to.get();
  for (int i = 0; i < 320; ++i) ASSERT_EQ(got[i].bits, (39 - i / 8) * 8 + i % 8);
  static_assert(Pack<float>::kSize == 4 && sizeof(Pack<f16>) == 16);
}

/** A ring of two stages: while one is read, the next is on its way. */
__global__ void copy_ring(const int* from, int stages, int* to) {
  GRAFT_DYNAMIC_SHARED(int, ring);
  const int i = static_cast<int>(threadIdx.x), count = static_cast<int>(blockDim.x);
  const auto fetch = [&](int stage) {
    cp_async16(ring + (stage % 2 * count + i) * 4, from + (stage * count + i) * 4, stage % 3 == 2 ? 8 : 16);
    cp_async_commit();
  };
  fetch(0);
  for (int stage = 0; stage < stages; ++stage) {
    if (stage + 1 < stages) {
      fetch(stage + 1);
      cp_async_wait<1>();
    } else {
      cp_async_wait<0>();
    }
    __syncthreads();
    const int other = (i + 33) % count;
    for (int j = 0; j < 4; ++j) to[(stage * count + i) * 4 + j] = ring[(stage % 2 * count + other) * 4 + j];
    __syncthreads();
  }
}

TEST(CudaDeviceFunctions, AsynchronousCopies) {
  constexpr int count = 64, stages = 5;
  std::vector<int> values(count * stages * 4);
  std::iota(values.begin(), values.end(), 1);
  Buffer<int> from(values);
  for_schedules(30, [&] {
    Buffer<int> to(values.size());
    launch({"copy_ring", 1, count, 2 * count * 16, nullptr}, copy_ring, static_cast<const int*>(from), stages,
           static_cast<int*>(to));
    const std::vector<int> got = to.get();
    for (int stage = 0; stage < stages; ++stage)
      for (int i = 0; i < count; ++i)
        for (int j = 0; j < 4; ++j)
          ASSERT_EQ(got[(stage * count + i) * 4 + j],
                    stage % 3 == 2 && j > 1 ? 0 : values[(stage * count + (i + 33) % count) * 4 + j]);
  });
}

__global__ void load_matrices(const std::uint16_t* from, std::uint32_t* to) {
  GRAFT_SHARED(std::uint16_t, tiles, 4 * 64);
  const int lane = static_cast<int>(threadIdx.x);
  for (int i = lane; i < 4 * 64; i += 32) tiles[i] = from[i];
  __syncwarp();
  std::uint32_t four[4], two[2];
  ldmatrix_x4(four, tiles + lane * 8);
  for (int i = 0; i < 4; ++i) to[i * 32 + lane] = four[i];
  ldmatrix_x4_trans(four, tiles + lane * 8);
  for (int i = 0; i < 4; ++i) to[(4 + i) * 32 + lane] = four[i];
  ldmatrix_x2(two, tiles + (lane % 16) * 8);
  for (int i = 0; i < 2; ++i) to[(8 + i) * 32 + lane] = two[i];
  ldmatrix_x2_trans(two, tiles + (lane % 16) * 8);
  for (int i = 0; i < 2; ++i) to[(10 + i) * 32 + lane] = two[i];
}

TEST(CudaDeviceFunctions, LoadMatrices) {
  std::vector<std::uint16_t> values(4 * 64);
  std::iota(values.begin(), values.end(), std::uint16_t{1000});
  Buffer<std::uint16_t> from(values);
  for_schedules(5, [&] {
    Buffer<std::uint32_t> to(12 * 32);
    launch({"load_matrices", 1, 32, 0, nullptr}, load_matrices, static_cast<const std::uint16_t*>(from),
           static_cast<std::uint32_t*>(to));
    const std::vector<std::uint32_t> got = to.get();
    for (int r = 0; r < 12; ++r) {
      const int tile = r < 8 ? r % 4 : r % 2;
      const bool transposed = (r >= 4 && r < 8) || r >= 10;
      for (int lane = 0; lane < 32; ++lane) {
        const auto element = [&](int half) {
          const int g = lane / 4, t = 2 * (lane % 4) + half;
          return std::uint32_t{values[tile * 64 + (transposed ? t * 8 + g : g * 8 + t)]};
        };
        ASSERT_EQ(got[r * 32 + lane], element(0) | element(1) << 16) << "register " << r << " lane " << lane;
      }
    }
  });
}

/** c [16, 8] += a [16, 16] · b [8, 16]ᵀ. */
template <class T>
__global__ void one_tile(const T* a, const T* b, float* c) {
  const int lane = static_cast<int>(threadIdx.x), g = lane / 4, t = 2 * (lane % 4);
  const auto pair = [](const T* p) { return static_cast<std::uint32_t>(p[0].bits) | std::uint32_t{p[1].bits} << 16; };
  const std::uint32_t rows[4] = {pair(a + g * 16 + t), pair(a + (g + 8) * 16 + t), pair(a + g * 16 + t + 8),
                                 pair(a + (g + 8) * 16 + t + 8)};
  const std::uint32_t columns[2] = {pair(b + g * 16 + t), pair(b + g * 16 + t + 8)};
  float sums[4] = {c[g * 8 + t], c[g * 8 + t + 1], c[(g + 8) * 8 + t], c[(g + 8) * 8 + t + 1]};
  mma_m16n8k16(T{}, sums, rows, columns);
  c[g * 8 + t] = sums[0], c[g * 8 + t + 1] = sums[1];
  c[(g + 8) * 8 + t] = sums[2], c[(g + 8) * 8 + t + 1] = sums[3];
}

template <class T>
void multiply_integers(std::uint16_t (*of)(int)) {
  std::vector<T> a(16 * 16), b(8 * 16);
  std::vector<float> c(16 * 8);
  const auto number = [](int i, int step) { return i * step % 7 - 3; };
  for (int i = 0; i < 256; ++i) a[i].bits = of(number(i, 5));
  for (int i = 0; i < 128; ++i) b[i].bits = of(number(i, 3)), c[i] = static_cast<float>(i);
  Buffer<T> left(a), right(b);
  Buffer<float> sums(c);
  launch({"one_tile", 1, 32, 0, nullptr}, one_tile<T>, static_cast<const T*>(left), static_cast<const T*>(right),
         static_cast<float*>(sums));
  const std::vector<float> got = sums.get();
  for (int i = 0; i < 16; ++i) {
    for (int j = 0; j < 8; ++j) {
      int expected = i * 8 + j;
      for (int k = 0; k < 16; ++k) expected += number(i * 16 + k, 5) * number(j * 16 + k, 3);
      ASSERT_EQ(got[i * 8 + j], expected) << i << " " << j;
    }
  }
}

TEST(CudaDeviceFunctions, MultiplyTiles) {
  for_schedules(3, [&] {
    multiply_integers<bf16>([](int i) {
      const float value = static_cast<float>(i);
      std::uint32_t bits;
      std::memcpy(&bits, &value, 4);
      return static_cast<std::uint16_t>(bits >> 16);
    });
    multiply_integers<f16>([](int i) {
      const int magnitude = i < 0 ? -i : i;
      const int bits = magnitude == 0 ? 0 : magnitude == 1 ? 0x3c00 : magnitude == 2 ? 0x4000 : 0x4200;
      return static_cast<std::uint16_t>(bits | (i < 0 ? 0x8000 : 0));
    });
  });
}

__global__ void philox(std::uint64_t seed, std::uint64_t first, std::uint32_t* to) {
  const std::uint64_t i = first + threadIdx.x;
  to[2 * threadIdx.x] = core::Philox::word(seed, i);
  to[2 * threadIdx.x + 1] = core::Philox::half(seed, i);
}

TEST(CudaDeviceFunctions, PhiloxGivesTheHostsBits) {
  const std::uint64_t seed = 0x123456789abcdefull, first = 0xfffffff0ull;
  Buffer<std::uint32_t> to(128);
  launch({"philox", 1, 64, 0, nullptr}, philox, seed, first, static_cast<std::uint32_t*>(to));
  const std::vector<std::uint32_t> got = to.get();
  for (std::uint64_t i = 0; i < 64; ++i) {
    ASSERT_EQ(got[2 * i], core::Philox::word(seed, first + i));
    ASSERT_EQ(got[2 * i + 1], core::Philox::half(seed, first + i));
  }
}

}  // namespace
}  // namespace graft::test
