// GRAFT_VERBOSE=profile: one table for all contexts that live at the same time.
#include <cstdlib>
#include <regex>
#include <string>

#include "tensors.h"

namespace {

using graft::test::Context;
using graft::test::kF32;
using graft::test::Tensor;

// why before main: the library reads it when its first op runs.
const int kProfiled = setenv("GRAFT_VERBOSE", "profile", 1);

void fill(Context& context, int times) {
  Tensor y(context, kF32, {3});
  for (int i = 0; i < times; ++i) ASSERT_EQ(GRAFT_OK, graft_tensor_fill(context, 1.0, y));
}

std::string fills(const std::string& table) {
  std::smatch found;
  const std::regex row("graft profile: tensor_fill \\(\\S+\\) +(\\d+) ");
  return std::regex_search(table, found, row) ? found[1].str() : "none";
}

TEST(Profile, OpsOfContextsThatLiveTogetherAreInOneTable) {
  ASSERT_EQ(0, kProfiled);
  testing::internal::CaptureStderr();
  {
    Context home(2);
    fill(home, 1);
    {
      Context worker(1);
      fill(worker, 2);
    }
    EXPECT_EQ("", testing::internal::GetCapturedStderr());
    testing::internal::CaptureStderr();
    fill(home, 4);
  }
  const std::string table = testing::internal::GetCapturedStderr();
  EXPECT_EQ("7", fills(table)) << table;
}

TEST(Profile, ALaterContextBeginsANewTable) {
  testing::internal::CaptureStderr();
  {
    Context alone(1);
    fill(alone, 3);
  }
  EXPECT_EQ("3", fills(testing::internal::GetCapturedStderr()));
  testing::internal::CaptureStderr();
  { Context idle(1); }
  EXPECT_EQ("", testing::internal::GetCapturedStderr());
}

}  // namespace
