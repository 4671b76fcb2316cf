// What the emulator refuses: each case is a kernel that a GPU would hang on, or get wrong without a word.
#include <algorithm>

#include "cuda/device.h"
#include "schedules.h"

#if !defined(GRAFT_TSAN)  // why: a death test forks, and ThreadSanitizer forbids threads in the child
namespace graft::test {
namespace {

using namespace graft::cuda;

void run(const char* name, void (*kernel)(int*), unsigned threads, std::size_t shared = 0, int* memory = nullptr) {
  emulator::set_schedule({1, emulator::Completion::kRandom, 1});
  launch({name, 1, threads, shared, nullptr}, kernel, memory);
}

class EmulatorDeathTest : public testing::Test {
 protected:
  void SetUp() override { testing::FLAGS_gtest_death_test_style = "fast"; }
};

TEST_F(EmulatorDeathTest, BarrierThatSomeThreadsMiss) {
  const auto kernel = [](int*) {
    if (threadIdx.x < 32) __syncwarp();
    if (threadIdx.x >= 32) __syncthreads();
    if (threadIdx.x < 32) __shfl_sync(kWholeWarp, threadIdx.x == 0 ? (__syncthreads(), 1) : 1, 0);
  };
  EXPECT_DEATH(run("some_miss", kernel, 64), "kernel some_miss, block \\(0,0,0\\)");
}

TEST_F(EmulatorDeathTest, DeadlockNamesThreadsAndPlaces) {
  const auto kernel = [](int*) {
    if (threadIdx.x == 3) return __syncthreads();
    __ballot_sync(kWholeWarp, 1);
  };
  EXPECT_DEATH(
      run("hang", kernel, 32),
      "deadlock in kernel hang, block \\(0,0,0\\)(.|\n)*__ballot_sync at emulator_test.cpp:[0-9]+(.|\n)*32 of 32");
}

TEST_F(EmulatorDeathTest, DifferentBarriers) {
  const auto kernel = [](int*) {
    if (threadIdx.x < 32) {
      __syncthreads();
    } else {
      __syncthreads();
    }
  };
  EXPECT_DEATH(run("two_barriers", kernel, 64), "kernel two_barriers, block .*thread .*divergent __syncthreads");
}

TEST_F(EmulatorDeathTest, MaskWithLanesThatHaveGone) {
  const auto kernel = [](int*) {
    if (threadIdx.x >= 30) return;
    __shfl_xor_sync(kWholeWarp, 1, 1);
  };
  EXPECT_DEATH(run("gone", kernel, 64),
               "__shfl_xor_sync at emulator_test.cpp:[0-9]+: mask ffffffff names lanes c0000000");
}

TEST_F(EmulatorDeathTest, MaskWithoutItself) {
  const auto kernel = [](int*) { __syncwarp(0x0000ffffu); };
  EXPECT_DEATH(run("outside", kernel, 32), "lane [0-9]+ is not in its own mask 0000ffff");
}

TEST_F(EmulatorDeathTest, MasksThatOverlap) {
  const auto kernel = [](int*) { threadIdx.x < 16 ? __syncwarp(0x0001ffffu) : __syncwarp(0xffff0000u); };
  EXPECT_DEATH(run("overlap", kernel, 32), "while lanes of mask [0-9a-f]+ wait in __syncwarp");
}

TEST_F(EmulatorDeathTest, DifferentCollectives) {
  const auto kernel = [](int*) {
    if (threadIdx.x % 2 == 0) {
      __syncwarp();
    } else {
      __ballot_sync(kWholeWarp, 1);
    }
  };
  EXPECT_DEATH(run("mixed", kernel, 32), "meet in different collectives");
}

TEST_F(EmulatorDeathTest, ShuffleFromOutsideTheMask) {
  const auto kernel = [](int*) {
    if (threadIdx.x < 8) __shfl_sync(0xffu, 1, 9);
  };
  EXPECT_DEATH(run("far", kernel, 32), "reads lane 9, which is not in its mask 000000ff");
}

TEST_F(EmulatorDeathTest, WidthThatIsNoPowerOfTwo) {
  const auto kernel = [](int*) { __shfl_sync(kWholeWarp, 1, 0, 12); };
  EXPECT_DEATH(run("width", kernel, 32), "width 12");
}

TEST_F(EmulatorDeathTest, MisalignedCopies) {
  const auto copy = [](int*) {
    GRAFT_DYNAMIC_SHARED(char, shared);
    alignas(16) static const char from[32] = {};
    cp_async16(shared + 8, from);
  };
  EXPECT_DEATH(run("copy", copy, 1, 64), "cp_async16 to: address .* is not a multiple of 16");
  const auto load = [](int* p) { load_pack(p + 1); };
  alignas(16) int memory[8] = {};
  EXPECT_DEATH(run("load", load, 1, 0, memory), "kernel load, .*load_pack: address");
}

TEST_F(EmulatorDeathTest, WriteBehindSharedMemory) {
  const auto kernel = [](int*) {
    GRAFT_DYNAMIC_SHARED(int, shared);
    shared[threadIdx.x] = 1;
  };
  EXPECT_DEATH(run("behind", kernel, 33, 32 * 4), "behind its 128 bytes|use-after-poison");
}

TEST_F(EmulatorDeathTest, ImpossibleLaunches) {
  const auto kernel = [](int*) {};
  EXPECT_DEATH(run("wide", kernel, 1025), "kernel wide has an impossible grid");
  EXPECT_DEATH(run("large", kernel, 32, 228 << 10), "kernel large asks for");
}

TEST_F(EmulatorDeathTest, OutgrownStack) {
  const auto kernel = [](int* p) {
    volatile char large[200 << 10];
    for (std::size_t i = 0; i < sizeof large; i += 16) large[sizeof large - 1 - i] = static_cast<char>(p == nullptr);
  };
  EXPECT_DEATH(run("stack", kernel, 1), "");
}

TEST(Emulator, HasTwoDevices) {
  std::int32_t count = 0;
  GRAFT_EXPECT_OK(graft_cuda_device_count(&count));
  EXPECT_EQ(count, 2);
  char name[9];
  std::int64_t bytes = 0;
  GRAFT_EXPECT_OK(graft_cuda_device_describe(1, name, sizeof name, &bytes));
  EXPECT_STREQ(name, "emulated");
  EXPECT_GT(bytes, 0);
  graft_context* context = nullptr;
  GRAFT_EXPECT_OK(graft_context_create_cuda(1, nullptr, &context));
  GRAFT_EXPECT_OK(graft_context_destroy(context));
  expect_error(graft_context_create_cuda(2, nullptr, &context), GRAFT_DEVICE_UNAVAILABLE,
               {"CUDA device 2 is asked for, there are 2"});
  expect_error(graft_cuda_device_describe(9, name, sizeof name, nullptr), GRAFT_DEVICE_UNAVAILABLE, {"CUDA device 9"});
}

TEST(Emulator, APlanRunsNoKernel) {
  graft_context* plan = nullptr;
  GRAFT_ASSERT_OK(graft_context_create_planning(GRAFT_DEVICE_CUDA, 0, &plan));
  const std::int64_t shape[] = {2, 2};
  graft_tensor *x = nullptr, *y = nullptr;
  graft_weight* w = nullptr;
  GRAFT_EXPECT_OK(graft_tensor_create(plan, GRAFT_MEMORY_ACTIVATION, kF32, 2, shape, nullptr, &x));
  GRAFT_EXPECT_OK(graft_tensor_create(plan, GRAFT_MEMORY_ACTIVATION, kF32, 2, shape, nullptr, &y));
  GRAFT_EXPECT_OK(graft_weight_create_dense(plan, GRAFT_MEMORY_BASE, kF32, 2, 2, 0, &w));
  GRAFT_EXPECT_OK(graft_tensor_fill(plan, 5, y));
  GRAFT_EXPECT_OK(graft_linear_forward(plan, x, w, nullptr, 0, y));
  EXPECT_STREQ(graft_context_last_dispatch(plan), "linear_forward:cuda/kernel");
  float values[4] = {1, 1, 1, 1};
  GRAFT_EXPECT_OK(graft_tensor_download(plan, y, values, sizeof values));
  for (float value : values) EXPECT_EQ(value, 0);
  std::int64_t scratch = 0;
  GRAFT_EXPECT_OK(graft_context_memory(plan, GRAFT_MEMORY_WORKSPACE, &scratch, nullptr));
  EXPECT_GE(scratch, std::int64_t{32} << 20);  // of a product, at most
  GRAFT_EXPECT_OK(graft_weight_destroy(plan, w));
  GRAFT_EXPECT_OK(graft_tensor_destroy(plan, x));
  GRAFT_EXPECT_OK(graft_tensor_destroy(plan, y));
  GRAFT_EXPECT_OK(graft_context_destroy(plan));
}

TEST(Emulator, SharedMemoryStartsAsNan) {
  emulator::set_schedule({});
  float seen[2] = {};
  launch(
      {"look", 1, 1, 4, nullptr},
      +[](float* to) {
        GRAFT_SHARED(float, fixed, 3);
        GRAFT_DYNAMIC_SHARED(float, dynamic);
        to[0] = fixed[1], to[1] = dynamic[0];
      },
      static_cast<float*>(seen));
  EXPECT_TRUE(std::isnan(seen[0]) && std::isnan(seen[1]));
}

// A reader that does not wait: some schedule and completion must show each of the two orders.
TEST(Emulator, CopiesLandEarlyAndLate) {
  using emulator::Completion;
  for (const auto& [completion, early, late] : {std::tuple{Completion::kEager, true, false},
                                                {Completion::kLazy, false, true},
                                                {Completion::kRandom, true, true}}) {
    bool seen[2] = {};
    for (std::uint32_t seed = 0; seed < 20; ++seed) {
      emulator::set_schedule({seed, completion, 1});
      alignas(16) const int from[4] = {7, 7, 7, 7};
      int got = 0;
      launch(
          {"peek", 1, 1, 16, nullptr},
          +[](const int* source, int* to) {
            GRAFT_DYNAMIC_SHARED(int, shared);
            cp_async16(shared, source);
            cp_async_commit();
            *to = shared[0];
            cp_async_wait<0>();
          },
          static_cast<const int*>(from), &got);
      seen[got == 7 ? 0 : 1] = true;
    }
    EXPECT_EQ(seen[0], early);
    EXPECT_EQ(seen[1], late);
  }
}

// Warps without a barrier between them: over the seeds, each order of two warps is seen.
TEST(Emulator, WarpsRunAheadOfEachOther) {
  bool first_ahead = false, second_ahead = false;
  for (std::uint32_t seed = 0; seed < 40; ++seed) {
    emulator::set_schedule({seed, emulator::Completion::kRandom, 1});
    int steps[2] = {}, lead[2] = {};
    launch(
        {"race", 1, 64, 0, nullptr},
        +[](int* counts, int* leads) {
          const unsigned warp = threadIdx.x / 32;
          for (int i = 0; i < 10; ++i) {
            if (threadIdx.x % 32 == 0) {
              ++counts[warp];
              leads[warp] = std::max(leads[warp], counts[warp] - counts[1 - warp]);
            }
            __syncwarp();
          }
        },
        static_cast<int*>(steps), static_cast<int*>(lead));
    first_ahead |= lead[0] >= 9;
    second_ahead |= lead[1] >= 9;
  }
  EXPECT_TRUE(first_ahead && second_ahead);
}

}  // namespace
}  // namespace graft::test
#endif
