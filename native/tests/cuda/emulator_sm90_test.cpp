// What the emulator refuses of what sm_90 does beside the threads: each case is a kernel that a GPU would hang on, or
// get wrong without a word.
#include "cuda/device_sm90.h"
#include "schedules.h"

#if !defined(GRAFT_TSAN)  // why: a death test forks, and ThreadSanitizer forbids threads in the child
namespace graft::test {
namespace {

using namespace graft::cuda;

constexpr unsigned kGroup = 128;
alignas(16) const int numbers[4] = {1, 2, 3, 4};

void run(const char* name, void (*kernel)(float*), unsigned threads, float* memory = nullptr,
         emulator::Completion completion = emulator::Completion::kRandom) {
  emulator::set_schedule({1, completion, 1});
  launch({name, 1, threads, 40 << 10, nullptr}, kernel, memory);
}

/** One barrier that is ready for use. */
Barrier* one_barrier(unsigned arrivals) {
  GRAFT_SHARED(Barrier, b, 1);
  if (threadIdx.x == 0) {
    barrier_init(b, arrivals);
    fence_barrier_init();
  }
  __syncthreads();
  return b;
}

unsigned char* tiles() {
  GRAFT_DYNAMIC_SHARED(unsigned char, memory);
  return memory + (1024 - reinterpret_cast<std::uintptr_t>(memory) % 1024) % 1024;
}

class EmulatorSm90DeathTest : public testing::Test {
 protected:
  void SetUp() override { testing::FLAGS_gtest_death_test_style = "fast"; }
};

TEST_F(EmulatorSm90DeathTest, BarriersThatAreNone) {
  const auto never = [](float*) {
    GRAFT_SHARED(Barrier, b, 1);
    barrier_arrive(b);
  };
  EXPECT_DEATH(run("never", never, 1), "barrier_arrive at emulator_sm90_test.cpp:[0-9]+: there is no initialised");
  const auto again = [](float*) {
    GRAFT_SHARED(Barrier, b, 1);
    barrier_init(b, 1), barrier_init(b, 1);
  };
  EXPECT_DEATH(run("again", again, 1), "barrier_init at .*: again");
  const auto unfenced = [](float*) {
    GRAFT_SHARED(Barrier, b, 1);
    barrier_init(b, 1);
    load_run(tiles(), numbers, 16, b);
  };
  EXPECT_DEATH(run("unfenced", unfenced, 1), "its barrier was not fenced");
}

TEST_F(EmulatorSm90DeathTest, WrongParityOrCountIsADeadlock) {
  const auto parity = [](float*) {
    Barrier* const b = one_barrier(32);
    barrier_arrive(b);
    barrier_wait(b, 0);
    barrier_wait(b, 1);  // the second phase, in which nobody arrives
  };
  EXPECT_DEATH(run("parity", parity, 32),
               "deadlock in kernel parity(.|\n)*barrier_try_wait at emulator_sm90_test(.|\n)*"
               "barrier .*, phase [0-9]: waits for [0-9]+ arrivals and 0 bytes");
  const auto few = [](float*) {
    Barrier* const b = one_barrier(1);
    if (threadIdx.x == 0) {
      barrier_arrive_expect(b, 32);
      load_run(tiles(), numbers, 16, b);
    }
    barrier_wait(b, 0);
  };
  EXPECT_DEATH(run("few", few, 32), "deadlock in kernel few(.|\n)*waits for 0 arrivals and 16 bytes");
}

TEST_F(EmulatorSm90DeathTest, BytesThatNobodyExpects) {
  const auto kernel = [](float*) {
    Barrier* const b = one_barrier(1);
    load_run(tiles(), numbers, 16, b);
    barrier_arrive(b);
    barrier_wait(b, 0);
  };
  EXPECT_DEATH(run("more", kernel, 1), "16 bytes more have landed than phase 0");
}

TEST_F(EmulatorSm90DeathTest, AnEndWithoutAWait) {
  const auto copy = [](float*) {
    Barrier* const b = one_barrier(1);
    barrier_arrive_expect(b, 16);
    load_run(tiles(), numbers, 16, b);
  };
  EXPECT_DEATH(run("end", copy, 1, nullptr, emulator::Completion::kLazy),
               "has ended while 1 bulk copies are under way");
  const auto product = [](float*) {
    float sums[32] = {};
    wgmma_fence(sums);
    wgmma<Major::kAlongK, Major::kAlongK>(sums, operand<Major::kAlongK>(tiles()), operand<Major::kAlongK>(tiles()),
                                          true);
    wgmma_commit();
  };
  EXPECT_DEATH(run("end", product, kGroup), "has ended before 1 of its products were waited for");
}

TEST_F(EmulatorSm90DeathTest, CopiesToWrongPlaces) {
  const auto misaligned = [](float*) { load_run(tiles() + 8, numbers, 16, one_barrier(1)); };
  EXPECT_DEATH(run("misaligned", misaligned, 1), "load_run to: address .* is not a multiple of 16");
  const auto outside = [](float*) { load_run(tiles() + (40 << 10), numbers, 16, one_barrier(1)); };
  EXPECT_DEATH(run("outside", outside, 1), "the async proxy reaches 16 bytes from byte [0-9]+ of 40960");
  const auto odd = [](float*) { load_run(tiles(), numbers, 8, one_barrier(1)); };
  EXPECT_DEATH(run("odd", odd, 1), "load_run of 8 bytes");
  EXPECT_DEATH(tensor_map({numbers, 4, 12, 12, 2, 4, 4, false}), "rows 24 bytes apart");
  EXPECT_DEATH(tensor_map({numbers, 4, 32, 32, 2, 4, 32, true}), "swizzled rows of 64 bytes");
}

TEST_F(EmulatorSm90DeathTest, SumsThatWereTouched) {
  const auto unfenced = [](float*) {
    float sums[32] = {};
    wgmma<Major::kAlongK, Major::kAlongK>(sums, operand<Major::kAlongK>(tiles()), operand<Major::kAlongK>(tiles()),
                                          true);
  };
  EXPECT_DEATH(run("unfenced", unfenced, kGroup), "no wgmma_fence since its sums were touched");
  const auto behind = [](float*) {
    float sums[32] = {};
    wgmma_fence(sums);
    sums[3] = 1;
    wgmma<Major::kAlongK, Major::kAlongK>(sums, operand<Major::kAlongK>(tiles()), operand<Major::kAlongK>(tiles()),
                                          true);
  };
  EXPECT_DEATH(run("behind", behind, kGroup), "its sums were touched behind the wgmma_fence");
  const auto under_way = [](float*) {
    float sums[32] = {};
    wgmma_fence(sums);
    wgmma<Major::kAlongK, Major::kAlongK>(sums, operand<Major::kAlongK>(tiles()), operand<Major::kAlongK>(tiles()),
                                          true);
    wgmma_commit();
    sums[3] = 1;
    wgmma_wait<0>(sums);
  };
  EXPECT_DEATH(run("under_way", under_way, kGroup), "sums were touched while a product was under way");
}

TEST_F(EmulatorSm90DeathTest, WarpsThatDisagree) {
  const auto kernel = [](float*) {
    float sums[32] = {};
    wgmma_fence(sums);
    wgmma<Major::kAlongK, Major::kAlongK>(sums, operand<Major::kAlongK>(tiles()),
                                          operand<Major::kAlongK>(tiles() + (threadIdx.x < 64 ? 0 : 8192)), true);
  };
  EXPECT_DEATH(run("disagree", kernel, kGroup), "warps of one warpgroup multiply different operands");
  EXPECT_DEATH(run("no_group", kernel, 64), "outside of a whole warpgroup");
  const auto counts = [](float*) { sync_some(1, threadIdx.x < 32 ? 64 : 96); };
  EXPECT_DEATH(run("counts", counts, 64), "sync_some at .* while others wait for");
  const auto registers = [](float*) { take_registers<256>(); };
  EXPECT_DEATH(run("registers", registers, 3 * kGroup), "98304 registers together, there are 65536");
  const auto fewer = [](float*) { take_registers<96>(); };
  EXPECT_DEATH(run("fewer", fewer, 4 * kGroup), "takes registers of 96, the kernel begins with 128");
}

/** sums[7] of thread 5: ones, stored by the threads, multiplied. */
template <bool Fenced>
void multiply_stored(float* to) {
  unsigned char* const at = tiles();
  for (unsigned i = threadIdx.x; i < 8192; i += kGroup) reinterpret_cast<std::uint16_t*>(at)[i] = 0x3f80;
  if (Fenced) fence_proxy_async();
  __syncthreads();
  float sums[32] = {};
  wgmma_fence(sums);
  wgmma<Major::kAlongK, Major::kAlongK>(sums, operand<Major::kAlongK>(at), operand<Major::kAlongK>(at), true);
  wgmma_commit();
  wgmma_wait<0>(sums);
  if (threadIdx.x == 5) *to = sums[7];
}

TEST(EmulatorSm90, ProductsSeeStoresBehindAFenceAlone) {
  float fenced = 0, unfenced = 0;
  run("stored", multiply_stored<true>, kGroup, &fenced);
  run("stored", multiply_stored<false>, kGroup, &unfenced);
  EXPECT_EQ(fenced, 16);
  EXPECT_TRUE(std::isnan(unfenced));
}

TEST(EmulatorSm90, SumsAreNanUntilTheWait) {
  float seen = 0;
  run(
      "peek",
      [](float* to) {
        float sums[32] = {};
        wgmma_fence(sums);
        wgmma<Major::kAlongK, Major::kAlongK>(sums, operand<Major::kAlongK>(tiles()), operand<Major::kAlongK>(tiles()),
                                              false);
        wgmma_commit();
        if (threadIdx.x == 0) *to = sums[0];
        wgmma_wait<0>(sums);
      },
      kGroup, &seen);
  EXPECT_TRUE(std::isnan(seen));
}

// A reader that does not wait: each completion shows its order, and random ones both.
TEST(EmulatorSm90, BulkCopiesLandEarlyAndLate) {
  using emulator::Completion;
  for (const auto& [completion, early, late] : {std::tuple{Completion::kEager, true, false},
                                                {Completion::kLazy, false, true},
                                                {Completion::kRandom, true, true}}) {
    bool seen[2] = {};
    for (std::uint32_t seed = 0; seed < 20; ++seed) {
      emulator::set_schedule({seed, completion, 1});
      int got = 0;
      launch(
          {"peek", 1, 1, 2048, nullptr},
          +[](int* to) {
            Barrier* const b = one_barrier(1);
            barrier_arrive_expect(b, 16);
            load_run(tiles(), numbers, 16, b);
            *to = reinterpret_cast<int*>(tiles())[1];
            barrier_wait(b, 0);
          },
          &got);
      seen[got == 2 ? 0 : 1] = true;
    }
    EXPECT_EQ(seen[0], early);
    EXPECT_EQ(seen[1], late);
  }
}

}  // namespace
}  // namespace graft::test
#endif
