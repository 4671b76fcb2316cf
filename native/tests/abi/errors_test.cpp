// Contexts, tensors, weights: life, limits and errors through the C ABI. Nothing here may crash, whatever is passed.
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <string>
#include <thread>

#include "tensors.h"

namespace graft::test {
namespace {

TEST(Context, BadArguments) {
  graft_context* context = nullptr;
  expect_error(graft_context_create(GRAFT_DEVICE_CPU, 1, nullptr), GRAFT_INVALID_ARGUMENT, {"context is NULL"});
  expect_error(graft_context_create(GRAFT_DEVICE_CPU, -1, &context), GRAFT_INVALID_ARGUMENT, {"threads is -1"});
  expect_error(graft_context_create(GRAFT_DEVICE_CPU, 5000, &context), GRAFT_INVALID_ARGUMENT, {"threads is 5000"});
  expect_error(graft_context_create(static_cast<graft_device>(7), 1, &context), GRAFT_INVALID_ARGUMENT,
               {"device is 7"});
  expect_error(graft_context_create_cuda(-1, nullptr, &context), GRAFT_INVALID_ARGUMENT, {"ordinal is -1"});
  expect_error(graft_context_create_cuda(999, nullptr, &context), GRAFT_DEVICE_UNAVAILABLE, {"CUDA"});
  EXPECT_EQ(context, nullptr);
  expect_error(graft_cuda_device_count(nullptr), GRAFT_INVALID_ARGUMENT, {"count is NULL"});
  expect_error(graft_cuda_device_describe(-1, nullptr, 0, nullptr), GRAFT_INVALID_ARGUMENT, {"ordinal is -1"});
  expect_error(graft_cuda_device_describe(999, nullptr, 0, nullptr), GRAFT_DEVICE_UNAVAILABLE, {"CUDA"});
  EXPECT_EQ(graft_context_destroy(nullptr), GRAFT_OK);
  expect_error(graft_context_memory(nullptr, GRAFT_MEMORY_BASE, nullptr, nullptr), GRAFT_INVALID_ARGUMENT, {"context"});
}

// Room for the stacks of a few threads, not of a thousand.
TEST(Context, AThreadThatCannotStart) {
  std::ifstream sizes("/proc/self/statm");
  rlim_t pages = 0;
  sizes >> pages;
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_AS, &before), 0);
  rlimit low = before;
  low.rlim_cur = pages * static_cast<rlim_t>(sysconf(_SC_PAGESIZE)) + (rlim_t{256} << 20);
  ASSERT_EQ(setrlimit(RLIMIT_AS, &low), 0);
  graft_context* context = nullptr;
  const graft_status status = graft_context_create(GRAFT_DEVICE_CPU, 1024, &context);
  const std::string text = graft_last_error();
  ASSERT_EQ(setrlimit(RLIMIT_AS, &before), 0);
  EXPECT_EQ(status, GRAFT_OUT_OF_MEMORY);
  EXPECT_NE(text.find("of 1024 cannot start"), std::string::npos) << text;
  EXPECT_EQ(context, nullptr);
  GRAFT_EXPECT_OK(graft_context_create(GRAFT_DEVICE_CPU, 2, &context));
  EXPECT_EQ(graft_context_destroy(context), GRAFT_OK);
}

TEST(Context, KnowsWhatStillLives) {
  const std::int64_t before = graft_live_handles();
  graft_context* context = nullptr;
  ASSERT_EQ(graft_context_create(GRAFT_DEVICE_CPU, 1, &context), GRAFT_OK);
  const std::int64_t shape[] = {3};
  graft_tensor* tensor = nullptr;
  ASSERT_EQ(graft_tensor_create(context, GRAFT_MEMORY_BASE, GRAFT_DTYPE_F32, 1, shape, nullptr, &tensor), GRAFT_OK);
  EXPECT_EQ(graft_live_handles(), before + 2);
  expect_error(graft_context_destroy(context), GRAFT_INVALID_ARGUMENT, {"1 tensors"});
  EXPECT_EQ(graft_tensor_destroy(context, tensor), GRAFT_OK);
  EXPECT_EQ(graft_context_destroy(context), GRAFT_OK);
  EXPECT_EQ(graft_live_handles(), before);
}

TEST(Context, CountsBytesByCategory) {
  const Context c;
  {
    const Tensor base(c, GRAFT_DTYPE_F32, {10, 10});
    EXPECT_EQ(c.peak(GRAFT_MEMORY_ACTIVATION), 400);
    EXPECT_EQ(c.peak(GRAFT_MEMORY_BASE), 0);
  }
  std::int64_t current = -1;
  GRAFT_ASSERT_OK(graft_context_memory(c, GRAFT_MEMORY_ACTIVATION, &current, nullptr));
  EXPECT_EQ(current, 0);
  EXPECT_EQ(c.peak(GRAFT_MEMORY_CATEGORIES), 400);
  GRAFT_ASSERT_OK(graft_context_reset_peak(c));
  EXPECT_EQ(c.peak(GRAFT_MEMORY_CATEGORIES), 0);
}

// Runs a layer of [t, k] by [n, k] on a context and returns what it counted at most, by category.
std::vector<std::int64_t> layer_bytes(graft_context* c, std::int64_t t, std::int64_t k, std::int64_t n, float* first) {
  const std::int64_t x_shape[] = {t, k}, y_shape[] = {t, n};
  graft_tensor *x = nullptr, *y = nullptr;
  graft_weight* w = nullptr;
  EXPECT_EQ(graft_tensor_create(c, GRAFT_MEMORY_ACTIVATION, GRAFT_DTYPE_BF16, 2, x_shape, nullptr, &x), GRAFT_OK);
  EXPECT_EQ(graft_tensor_create(c, GRAFT_MEMORY_ACTIVATION, GRAFT_DTYPE_F32, 2, y_shape, nullptr, &y), GRAFT_OK);
  EXPECT_EQ(graft_weight_create_nf4(c, GRAFT_MEMORY_BASE, n, k, 1, &w), GRAFT_OK);
  EXPECT_EQ(graft_tensor_fill(c, 1, x), GRAFT_OK);
  EXPECT_EQ(graft_tensor_fill(c, 5, y), GRAFT_OK);
  *first = static_cast<float*>(y->data)[0];
  graft_tensor narrow = *y;
  narrow.dtype = GRAFT_DTYPE_BF16;
  narrow.stride[0] = 2 * n;
  EXPECT_EQ(graft_linear_forward(c, x, w, nullptr, 0, &narrow), GRAFT_OK) << graft_last_error();
  std::vector<std::int64_t> bytes(GRAFT_MEMORY_CATEGORIES + 1);
  for (int i = 0; i <= GRAFT_MEMORY_CATEGORIES; ++i)
    EXPECT_EQ(graft_context_memory(c, static_cast<graft_memory_category>(i), nullptr, &bytes[i]), GRAFT_OK);
  EXPECT_EQ(graft_tensor_destroy(c, x), GRAFT_OK);
  EXPECT_EQ(graft_tensor_destroy(c, y), GRAFT_OK);
  EXPECT_EQ(graft_weight_destroy(c, w), GRAFT_OK);
  return bytes;
}

TEST(Context, PlansTheBytesThatARunTakes) {
  graft_context *real = nullptr, *planning = nullptr;
  ASSERT_EQ(graft_context_create(GRAFT_DEVICE_CPU, 3, &real), GRAFT_OK);
  ASSERT_EQ(graft_context_create_planning(GRAFT_DEVICE_CPU, 3, &planning), GRAFT_OK);
  float filled = 0, planned = 1;
  const auto run = layer_bytes(real, 70, 300, 200, &filled), plan = layer_bytes(planning, 70, 300, 200, &planned);
  EXPECT_EQ(plan, run);
  EXPECT_GT(plan[GRAFT_MEMORY_WORKSPACE], 0);
  EXPECT_EQ(filled, 5);
  EXPECT_EQ(planned, 0);
  // Far more than there is: 3 TB of codes.
  const auto large = layer_bytes(planning, 70, std::int64_t{1} << 20, std::int64_t{6} << 20, &planned);
  EXPECT_GT(large[GRAFT_MEMORY_BASE], std::int64_t{3} << 40);
  graft_tensor* tensor = nullptr;
  const std::int64_t none[] = {0, 4};
  EXPECT_EQ(graft_tensor_create(planning, GRAFT_MEMORY_BASE, GRAFT_DTYPE_F32, 2, none, nullptr, &tensor), GRAFT_OK);
  expect_error(graft_linear_forward(planning, tensor, nullptr, nullptr, 0, tensor), GRAFT_INVALID_ARGUMENT, {"w is"});
  expect_error(graft_context_destroy(planning), GRAFT_INVALID_ARGUMENT, {"1 tensors"});
  EXPECT_EQ(graft_tensor_destroy(planning, tensor), GRAFT_OK);
  EXPECT_EQ(graft_context_destroy(planning), GRAFT_OK);
  EXPECT_EQ(graft_context_destroy(real), GRAFT_OK);
  expect_error(graft_context_create_planning(GRAFT_DEVICE_CPU, -1, &planning), GRAFT_INVALID_ARGUMENT, {"threads"});
  expect_error(graft_context_create_planning(static_cast<graft_device>(7), 1, &planning), GRAFT_INVALID_ARGUMENT,
               {"device is 7"});
}

TEST(Tensor, BadArguments) {
  const Context c;
  graft_tensor* tensor = nullptr;
  const std::int64_t negative[] = {2, -1}, huge[] = {std::int64_t{1} << 40, std::int64_t{1} << 40}, fine[] = {2, 3};
  const std::int64_t strided[] = {6, 2}, terabytes[] = {std::int64_t{1} << 55};
  auto create = [&](graft_dtype dtype, int rank, const std::int64_t* shape, const std::int64_t* stride) {
    return graft_tensor_create(c, GRAFT_MEMORY_BASE, dtype, rank, shape, stride, &tensor);
  };
  expect_error(create(GRAFT_DTYPE_F32, 2, negative, nullptr), GRAFT_INVALID_ARGUMENT, {"shape[1] is -1"});
  expect_error(create(GRAFT_DTYPE_F32, 2, huge, nullptr), GRAFT_INVALID_ARGUMENT, {"overflow"});
  expect_error(create(GRAFT_DTYPE_F32, 1, terabytes, nullptr), GRAFT_OUT_OF_MEMORY, {"bytes"});
  expect_error(create(GRAFT_DTYPE_F32, 9, fine, nullptr), GRAFT_INVALID_ARGUMENT, {"rank is 9"});
  expect_error(create(GRAFT_DTYPE_F32, 2, nullptr, nullptr), GRAFT_INVALID_ARGUMENT, {"shape is NULL"});
  expect_error(create(GRAFT_DTYPE_F32, 2, fine, strided), GRAFT_INVALID_ARGUMENT, {"stride[1] is 2"});
  expect_error(create(static_cast<graft_dtype>(99), 2, fine, nullptr), GRAFT_INVALID_ARGUMENT, {"dtype is 99"});
  EXPECT_EQ(tensor, nullptr);
  const Tensor parent(c, GRAFT_DTYPE_F32, {2, 3});
  expect_error(graft_tensor_view(c, parent, 1, 2, fine, nullptr, &tensor), GRAFT_INVALID_ARGUMENT, {"element 1", "6"});
  expect_error(graft_tensor_view(c, parent, -1, 2, fine, nullptr, &tensor), GRAFT_INVALID_ARGUMENT, {"-1"});
  expect_error(graft_tensor_wrap(c, nullptr, GRAFT_DTYPE_F32, 2, fine, nullptr, &tensor), GRAFT_INVALID_ARGUMENT,
               {"data is NULL"});
  float host[6] = {};
  expect_error(graft_tensor_upload(c, parent, host, 20), GRAFT_INVALID_ARGUMENT, {"bytes is 20", "has 24"});
  expect_error(graft_tensor_download(c, parent, nullptr, 24), GRAFT_INVALID_ARGUMENT, {"host is NULL"});
  expect_error(graft_tensor_download(c, nullptr, host, 24), GRAFT_INVALID_ARGUMENT, {"tensor is NULL"});
  graft_weight* weight = nullptr;
  expect_error(graft_weight_create_dense(c, GRAFT_MEMORY_BASE, GRAFT_DTYPE_I32, 2, 2, 0, &weight),
               GRAFT_INVALID_ARGUMENT, {"i32"});
  expect_error(graft_weight_create_dense(c, GRAFT_MEMORY_BASE, GRAFT_DTYPE_F32, 2, 2, -4, &weight),
               GRAFT_INVALID_ARGUMENT, {"border is -4"});
}

TEST(Tensor, AViewOfAViewStaysInTheMemory) {
  const Context c;
  graft_tensor* tensor = nullptr;
  const std::int64_t four[] = {4}, one[] = {1};
  const auto view = [&](const Tensor& parent, std::int64_t offset, const std::int64_t* shape) {
    return graft_tensor_view(c, parent, offset, 1, shape, nullptr, &tensor);
  };
  const Tensor parent(c, GRAFT_DTYPE_F32, {4, 8});
  const Tensor right = parent.view(4, {4, 4}, {8, 1}), left = parent.view(0, {4, 4}, {8, 1});
  const Tensor last = right.view(24, {4}, {1});
  expect_error(view(right, 28, four), GRAFT_INVALID_ARGUMENT, {"element 28", "has 28"});
  expect_error(view(last, 4, one), GRAFT_INVALID_ARGUMENT, {"element 4"});
  // The last row of these has its whole pitch in the memory.
  EXPECT_EQ(left.view(28, {4}, {1})->data, right.view(24, {4}, {1})->data);
  const Tensor pitched(c, GRAFT_DTYPE_F32, {4, 5}, 8), upper = pitched.view(0, {3, 5}, {8, 1});
  EXPECT_EQ(pitched.view(0, {4, 8}, {8, 1})->shape[1], 8);
  EXPECT_EQ(upper.view(5, {3, 3}, {8, 1})->shape[1], 3);
}

TEST(Weight, BorderedRowsStartOnACacheLine) {
  const Context c;
  const Weight w(c, GRAFT_DTYPE_BF16, 5, 7, 3);
  EXPECT_EQ(w->storage.shape[0], 8);
  EXPECT_EQ(w->storage.shape[1], 10);
  EXPECT_EQ(w->storage.stride[0], 32);
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(w->storage.data) % 64, 0u);
}

TEST(Errors, TextBelongsToTheThread) {
  expect_error(graft_context_create(GRAFT_DEVICE_CPU, -7, nullptr), GRAFT_INVALID_ARGUMENT, {"NULL"});
  const std::string mine = graft_last_error();
  std::thread([] { EXPECT_STREQ(graft_last_error(), ""); }).join();
  EXPECT_EQ(mine, graft_last_error());
  EXPECT_STREQ(graft_status_name(GRAFT_SHAPE_MISMATCH), "GRAFT_SHAPE_MISMATCH");
  EXPECT_STREQ(graft_version(), "0.1.0");
}

}  // namespace
}  // namespace graft::test
