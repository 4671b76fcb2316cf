// Each function of device_sm90.h on integers and bits, as device_test.cu has those of device.h: the same answers from
// the CPU twin and from a GPU of compute capability 9.0.
#include <cstdint>
#include <numeric>

#include "buffer.h"
#include "core/capability.h"
#include "cuda/device_sm90.h"
#include "schedules.h"

namespace graft::test {
namespace {

using namespace graft::cuda;

class CudaSm90Device : public testing::Test {
 protected:
  void SetUp() override {
    const int capability = core::capability_of()(0);
    if (capability != 90) GTEST_SKIP() << "wgmma and TMA need compute capability 90, this device has " << capability;
  }
};

constexpr int kGroup = 128, kTileBytes = 64 * 128;

/** The first multiple of 1024 bytes in 1024 bytes more. */
GRAFT_DEVICE unsigned char* tiles_in(unsigned char* memory) {
  return memory + (1024 - reinterpret_cast<std::uintptr_t>(memory) % 1024) % 1024;
}

bf16 bf16_of(int i) {  // exact up to 256
  const float value = static_cast<float>(i);
  std::uint32_t bits;
  std::memcpy(&bits, &value, 4);
  return {static_cast<std::uint16_t>(bits >> 16)};
}

/** A warp that writes numbers and three that add them up, two places between them. */
__global__ void pass_numbers(int rounds, int* to) {
  GRAFT_SHARED(Barrier, full, 2);
  GRAFT_SHARED(Barrier, empty, 2);
  GRAFT_SHARED(int, places, 2 * 32);
  const int thread = static_cast<int>(threadIdx.x), lane = thread % 32;
  if (thread == 0) {
    for (int i = 0; i < 2; ++i) barrier_init(full + i, 32), barrier_init(empty + i, 96);
    fence_barrier_init();
  }
  __syncthreads();
  int sum = 0;
  for (int round = 0; round < rounds; ++round) {
    const int place = round % 2;
    const unsigned parity = round / 2 & 1;
    if (thread < 32) {
      barrier_wait(empty + place, parity ^ 1);
      places[place * 32 + lane] = round * 100 + lane;
      barrier_arrive(full + place);
    } else {
      barrier_wait(full + place, parity);
      sum += places[place * 32 + (lane + round) % 32];
      barrier_arrive(empty + place);
    }
  }
  if (thread >= 32) to[thread - 32] = sum;
}

TEST_F(CudaSm90Device, BarriersOfARing) {
  for_schedules(10, [&] {
    Buffer<int> to(96);
    launch({"pass_numbers", 1, kGroup, 0, nullptr}, pass_numbers, 7, static_cast<int*>(to));
    const std::vector<int> got = to.get();
    for (int i = 0; i < 96; ++i) {
      int sum = 0;
      for (int round = 0; round < 7; ++round) sum += round * 100 + (i + round) % 32;
      ASSERT_EQ(got[static_cast<std::size_t>(i)], sum);
    }
  });
}

/** Two warpgroups, of which one gives registers to the other; in each, numbers go round behind its own barrier. */
__global__ void __launch_bounds__(2 * kGroup, 1) go_round(int* to) {
  GRAFT_SHARED(int, places, 2 * kGroup);
  const int thread = static_cast<int>(threadIdx.x), group = thread / kGroup;
  if (group == 0) {
    give_registers<40>();
    places[thread] = 3 * thread;
    sync_some(1, kGroup);
    to[thread] = places[(thread + 45) % kGroup];
  } else {
    take_registers<256>();
    places[thread] = 5 * thread;
    sync_some(2, kGroup);
    to[thread] = places[kGroup + (thread + 45) % kGroup];
  }
}

TEST_F(CudaSm90Device, BarriersOfSomeWarps) {
  for_schedules(10, [&] {
    Buffer<int> to(2 * kGroup);
    launch({"go_round", 1, 2 * kGroup, 0, nullptr}, go_round, static_cast<int*>(to));
    const std::vector<int> got = to.get();
    for (int i = 0; i < 2 * kGroup; ++i)
      ASSERT_EQ(got[static_cast<std::size_t>(i)],
                i < kGroup ? 3 * ((i + 45) % kGroup) : 5 * (kGroup + (i + 45) % kGroup));
  });
}

/** A box of 64 x 64 as it lies there, of 128 bytes a row, in `to`; behind it 48 bytes of `run`. */
__global__ void fetch(const GRAFT_GRID_CONSTANT TensorMap map, std::int64_t row, std::int64_t column, const int* run,
                      unsigned char* to) {
  GRAFT_SHARED(Barrier, there, 1);
  GRAFT_DYNAMIC_SHARED(unsigned char, memory);
  unsigned char* const tile = tiles_in(memory);
  if (threadIdx.x == 0) {
    barrier_init(there, 1);
    fence_barrier_init();
    barrier_arrive_expect(there, kTileBytes + 48);
    load_box(tile, map, row, column, there);
    load_run(tile + kTileBytes, run, 48, there);
  }
  __syncthreads();
  barrier_wait(there, 0);
  for (int i = static_cast<int>(threadIdx.x); i < kTileBytes + 48; i += static_cast<int>(blockDim.x)) to[i] = tile[i];
}

TEST_F(CudaSm90Device, BoxesAndRuns) {
  constexpr int rows = 70, columns = 90, pitch = 96;
  std::vector<std::uint16_t> values(rows * pitch);
  std::iota(values.begin(), values.end(), std::uint16_t{1});
  std::vector<int> numbers(12);
  std::iota(numbers.begin(), numbers.end(), 7);
  Buffer<std::uint16_t> matrix(values);
  Buffer<int> run(numbers);
  for (const bool swizzle : {true, false}) {
    for (const auto& [row, column] : {std::pair{0, 0}, std::pair{30, 37}, std::pair{-3, 64}, std::pair{70, 0}}) {
      const TensorMap map = tensor_map({static_cast<std::uint16_t*>(matrix), rows, columns, pitch, 2, 64, 64, swizzle});
      for_schedules(3, [&] {
        Buffer<unsigned char> to(kTileBytes + 48);
        launch({"fetch", 1, 64, kTileBytes + 48 + 1024, nullptr}, fetch, map, std::int64_t{row}, std::int64_t{column},
               static_cast<const int*>(run), static_cast<unsigned char*>(to));
        const std::vector<unsigned char> got = to.get();
        for (int i = 0; i < 64; ++i) {
          for (int j = 0; j < 64; ++j) {
            const int r = row + i, c = column + j, at = swizzle ? i * 128 + ((2 * j) ^ (i % 8) << 4) : i * 128 + 2 * j;
            const bool inside = r >= 0 && r < rows && c < columns;
            std::uint16_t value;
            std::memcpy(&value, got.data() + at, 2);
            ASSERT_EQ(value, inside ? values[static_cast<std::size_t>(r * pitch + c)] : 0) << i << " " << j;
          }
        }
        ASSERT_EQ(std::memcmp(got.data() + kTileBytes, numbers.data(), 48), 0);
      });
    }
  }
}

/** sums of a warpgroup into c [64, 2 Count]. */
template <int Count>
GRAFT_DEVICE void store_sums(const float (&sums)[Count], float* c) {
  const int thread = static_cast<int>(threadIdx.x), lane = thread % 32, row = thread / 32 * 16 + lane / 4;
  GRAFT_UNROLL
  for (int i = 0; i < Count; ++i) c[(row + i % 4 / 2 * 8) * 2 * Count + i / 4 * 8 + 2 * (lane % 4) + i % 2] = sums[i];
}

/** A tile for each 64 of the count, as an operand has it: element (i, k) of m [count, 64]. */
template <Major major>
GRAFT_DEVICE void stage(const bf16* m, int count, unsigned char* tiles) {
  for (int at = static_cast<int>(threadIdx.x); at < count * 64; at += kGroup) {
    const int i = at / 64, k = at % 64;
    unsigned char* const tile = tiles + i / 64 * kTileBytes;
    const int place = major == Major::kAlongK ? swizzled(i % 64, 2 * k) : swizzled(k, 2 * (i % 64));
    *reinterpret_cast<bf16*>(tile + place) = m[at];
  }
}

/** c [64, 2 Count] = 2 a·bᵀ: added up twice in two groups, a [64, 64], b [2 Count, 64] staged by the threads. */
template <Major a_major, Major b_major, int Count>
__global__ void __launch_bounds__(kGroup, 1) multiply_twice(const bf16* a, const bf16* b, float* c) {
  GRAFT_DYNAMIC_SHARED(unsigned char, memory);
  unsigned char* const tiles = tiles_in(memory);
  stage<a_major>(a, 64, tiles);
  stage<b_major>(b, 2 * Count, tiles + kTileBytes);
  fence_proxy_async();
  __syncthreads();
  const std::uint64_t left = operand<a_major>(tiles), right = operand<b_major>(tiles + kTileBytes, kTileBytes);
  float sums[Count] = {};
  wgmma_fence(sums);
  GRAFT_UNROLL
  for (int again = 0; again < 2; ++again) {
    GRAFT_UNROLL
    for (int k = 0; k < 4; ++k)
      wgmma<a_major, b_major>(sums, steps_further<a_major>(left, k), steps_further<b_major>(right, k), k + again > 0);
    wgmma_commit();
  }
  wgmma_wait<1>(sums);
  wgmma_wait<0>(sums);
  store_sums(sums, c);
}

/** c = a·bᵀ with a [64, 16] in registers, b [2 Count, 64] of which 16 columns count. */
template <Major b_major, int Count>
__global__ void __launch_bounds__(kGroup, 1) multiply_registers(const bf16* a, const bf16* b, float* c) {
  GRAFT_DYNAMIC_SHARED(unsigned char, memory);
  unsigned char* const tiles = tiles_in(memory);
  stage<b_major>(b, 2 * Count, tiles);
  fence_proxy_async();
  __syncthreads();
  const int thread = static_cast<int>(threadIdx.x), g = thread / 32 * 16 + thread % 32 / 4, t = 2 * (thread % 4);
  const auto pair = [&](int row, int k) {
    return static_cast<std::uint32_t>(a[row * 64 + k].bits) | static_cast<std::uint32_t>(a[row * 64 + k + 1].bits)
                                                                  << 16;
  };
  const std::uint32_t left[4] = {pair(g, t), pair(g + 8, t), pair(g, t + 8), pair(g + 8, t + 8)};
  float sums[Count];
  for (int i = 0; i < Count; ++i) sums[i] = 1;
  wgmma_fence(sums);
  wgmma<b_major>(sums, left, operand<b_major>(tiles, kTileBytes), true);
  wgmma_commit();
  wgmma_wait<0>(sums);
  store_sums(sums, c);
}

int number(int i, int step) { return i * step % 11 - 5; }

template <int Count>
void expect_product(void (*kernel)(const bf16*, const bf16*, float*), int seeds, int depth, int times, int added) {
  constexpr int n = 2 * Count;
  std::vector<bf16> a(64 * 64), b(n * 64);
  for (int i = 0; i < 64 * 64; ++i) a[static_cast<std::size_t>(i)] = bf16_of(number(i, 5));
  for (int i = 0; i < n * 64; ++i) b[static_cast<std::size_t>(i)] = bf16_of(number(i, 3));
  Buffer<bf16> left(a), right(b);
  for_schedules(seeds, [&] {
    Buffer<float> c(64 * n);
    launch({"multiply", 1, kGroup, kTileBytes + n * 128 + 1024, nullptr}, kernel, static_cast<const bf16*>(left),
           static_cast<const bf16*>(right), static_cast<float*>(c));
    const std::vector<float> got = c.get();
    for (int i = 0; i < 64; ++i) {
      for (int j = 0; j < n; ++j) {
        int sum = 0;
        for (int k = 0; k < depth; ++k) sum += number(i * 64 + k, 5) * number(j * 64 + k, 3);
        ASSERT_EQ(got[static_cast<std::size_t>(i * n + j)], times * sum + added) << i << " " << j;
      }
    }
  });
}

TEST_F(CudaSm90Device, ProductsOfSharedOperands) {
  constexpr Major along = Major::kAlongK, across = Major::kAcrossK;
  expect_product<64>(multiply_twice<along, along, 64>, 3, 64, 2, 0);
  expect_product<64>(multiply_twice<along, across, 64>, 2, 64, 2, 0);
  expect_product<32>(multiply_twice<across, along, 32>, 2, 64, 2, 0);
  expect_product<64>(multiply_twice<across, across, 64>, 2, 64, 2, 0);
  expect_product<128>(multiply_twice<along, across, 128>, 1, 64, 2, 0);
}

TEST_F(CudaSm90Device, ProductsOfRegisters) {
  expect_product<32>(multiply_registers<Major::kAlongK, 32>, 2, 16, 1, 1);
  expect_product<64>(multiply_registers<Major::kAcrossK, 64>, 2, 16, 1, 1);
}

}  // namespace
}  // namespace graft::test
