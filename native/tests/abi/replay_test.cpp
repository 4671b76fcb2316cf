// Ops that are recorded and run again: the same calls, in their order, and nothing else.
#include "tensors.h"

namespace graft::test {
namespace {

TEST(Replay, RunsWhatWasRecordedAndNothingElse) {
  const Context c;
  Tensor x(c, kF32, {3}), y(c, kF32, {3});
  x.fill(1);
  GRAFT_ASSERT_OK(graft_context_record(c, 1));
  GRAFT_ASSERT_OK(graft_tensor_add(c, x, y));
  EXPECT_EQ(y.get()[0], 1) << "recording runs the op";
  GRAFT_ASSERT_OK(graft_context_record(c, 0));
  GRAFT_ASSERT_OK(graft_tensor_add(c, x, y));
  GRAFT_ASSERT_OK(graft_context_replay(c, 3));
  EXPECT_EQ(y.get()[2], 5);
  GRAFT_ASSERT_OK(graft_context_replay(c, 0));
  EXPECT_EQ(y.get()[2], 5);
}

TEST(Replay, KeepsTheOrderAndReadsTensorsAnew) {
  const Context c;
  Tensor x(c, kF32, {1}), y(c, kF32, {1});
  x.fill(2);
  GRAFT_ASSERT_OK(graft_context_record(c, 1));
  GRAFT_ASSERT_OK(graft_tensor_fill(c, 10, y));
  GRAFT_ASSERT_OK(graft_tensor_add(c, x, y));
  x.fill(5);
  GRAFT_ASSERT_OK(graft_context_replay(c, 2));
  EXPECT_EQ(y.get()[0], 15);
  GRAFT_ASSERT_OK(graft_context_record(c, 1));
  GRAFT_ASSERT_OK(graft_tensor_add(c, x, y));
  GRAFT_ASSERT_OK(graft_context_replay(c, 1));
  EXPECT_EQ(y.get()[0], 25) << "a new record forgets the old one";
}

TEST(Replay, WhatFailedIsNotRun) {
  const Context c;
  Tensor x(c, kF32, {1}), y(c, kF32, {1});
  x.fill(1);
  GRAFT_ASSERT_OK(graft_context_record(c, 1));
  GRAFT_ASSERT_OK(graft_context_prefer(c, "no such implementation"));
  expect_error(graft_tensor_add(c, x, y), GRAFT_UNSUPPORTED, {"graft_tensor_add"});
  GRAFT_ASSERT_OK(graft_context_prefer(c, nullptr));
  GRAFT_ASSERT_OK(graft_tensor_add(c, x, y));
  GRAFT_ASSERT_OK(graft_context_replay(c, 2));
  EXPECT_EQ(y.get()[0], 3) << "what could not be done was done in a replay";
}

TEST(Replay, BadArguments) {
  const Context c;
  expect_error(graft_context_record(nullptr, 1), GRAFT_INVALID_ARGUMENT, {"graft_context_record", "context is NULL"});
  expect_error(graft_context_replay(nullptr, 1), GRAFT_INVALID_ARGUMENT, {"graft_context_replay", "context is NULL"});
  expect_error(graft_context_replay(c, 1), GRAFT_INVALID_ARGUMENT, {"recorded no ops"});
  Tensor x(c, kF32, {1}), y(c, kF32, {2});
  GRAFT_ASSERT_OK(graft_context_record(c, 1));
  expect_error(graft_tensor_add(c, x, y), GRAFT_SHAPE_MISMATCH, {"graft_tensor_add"});
  expect_error(graft_context_replay(c, 1), GRAFT_INVALID_ARGUMENT, {"recorded no ops"});
  GRAFT_ASSERT_OK(graft_tensor_fill(c, 1, y));
  expect_error(graft_context_replay(c, -1), GRAFT_INVALID_ARGUMENT, {"times is -1"});
  GRAFT_ASSERT_OK(graft_context_replay(c, 1));
}

}  // namespace
}  // namespace graft::test
