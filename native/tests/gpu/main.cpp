// The tests of kernels on a GPU. Without one they are skipped, and what the library says then is tested instead.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstring>

#include "graft/graft.h"
#include "schedules.h"

void graft::test::for_schedules(int, const std::function<void()>& body) { body(); }

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  graft_context* context = nullptr;
  const graft_status status = graft_context_create(GRAFT_DEVICE_CUDA, 1, &context);
  if (status == GRAFT_OK) {
    graft_context_destroy(context);
    return RUN_ALL_TESTS();
  }
  std::printf("%s\n", graft_last_error());
  const bool said = status == GRAFT_DEVICE_UNAVAILABLE &&
                    std::strstr(graft_last_error(), "no CUDA device") != nullptr && context == nullptr &&
                    graft_context_create(GRAFT_DEVICE_CPU, 1, &context) == GRAFT_OK &&
                    graft_context_destroy(context) == GRAFT_OK;
  return said ? 77 : 1;
}
