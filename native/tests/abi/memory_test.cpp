// Memory of tensors: zeroed and aligned at every size, also where it was used before, and counted to the byte.
#include <sys/mman.h>

#include <cstdint>
#include <cstring>

#include "tensors.h"

// There where the library is watched by AddressSanitizer, which maps memory by its own rules.
extern "C" [[gnu::weak]] void __asan_init();

namespace graft::test {
namespace {

bool zero(const char* memory, std::int64_t bytes) {
  for (std::int64_t i = 0; i < bytes; ++i)
    if (memory[i] != 0) return false;
  return true;
}

// Blocks of the C library, those that the system gives in large pages, and sizes around the border between both.
TEST(Memory, NewTensorsAreZeroed) {
  const Context c;
  for (std::int64_t bytes : {1, 4096, (2 << 20) - 1, 2 << 20, (2 << 20) + 1, (6 << 20) + 4097, 40 << 20}) {
    SCOPED_TRACE(bytes);
    for (int again = 0; again < 3; ++again) {
      Tensor x(c, GRAFT_DTYPE_U8, {bytes}), y(c, GRAFT_DTYPE_U8, {bytes});
      for (graft_tensor* one : {static_cast<graft_tensor*>(x), static_cast<graft_tensor*>(y)}) {
        char* const memory = static_cast<char*>(one->data);
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(memory) % 64, 0u);
        EXPECT_TRUE(zero(memory, bytes));
        std::memset(memory, 0x5a, static_cast<std::size_t>(bytes));
      }
    }
  }
}

std::int64_t held(const Context& c) {
  std::int64_t current = 0;
  GRAFT_EXPECT_OK(graft_context_memory(c, GRAFT_MEMORY_CATEGORIES, &current, nullptr));
  return current;
}

TEST(Memory, AnotherContextGivesNothingBack) {
  const Context c, other;
  const std::int64_t shape[] = {4, 64};
  graft_tensor* tensor = nullptr;
  graft_weight* weight = nullptr;
  GRAFT_EXPECT_OK(graft_tensor_create(c, GRAFT_MEMORY_BASE, GRAFT_DTYPE_F32, 2, shape, nullptr, &tensor));
  GRAFT_EXPECT_OK(graft_weight_wrap_dense(c, tensor, &weight));
  EXPECT_EQ(graft_weight_destroy(other, weight), GRAFT_INVALID_ARGUMENT);
  EXPECT_STREQ(graft_last_error(), "graft_weight_destroy: weight is of another context");
  EXPECT_EQ(graft_tensor_destroy(other, tensor), GRAFT_INVALID_ARGUMENT);
  EXPECT_EQ(held(other), 0);
  EXPECT_EQ(held(c), 4 * 64 * 4);
  GRAFT_EXPECT_OK(graft_weight_destroy(c, weight));
  GRAFT_EXPECT_OK(graft_tensor_destroy(c, tensor));
  EXPECT_EQ(held(c), 0);
}

TEST(Memory, LargeBlocksAreCountedAndGivenBack) {
  const Context c;
  const std::int64_t before = held(c), bytes = (3 << 20) + 5;
  void* memory = nullptr;
  {
    Tensor x(c, GRAFT_DTYPE_U8, {bytes});
    memory = x->data;
    EXPECT_EQ(held(c) - before, bytes);
  }
  EXPECT_EQ(held(c), before);
  if (__asan_init == nullptr) {
    EXPECT_EQ(msync(memory, 4096, MS_ASYNC), -1);  // fails where nothing is mapped
  }
}

}  // namespace
}  // namespace graft::test
