// adamw over a table of parameters: the bits of the calls for each of them, whatever their kinds and order, PaCA's
// columns included; threads, recording, f64, an empty table, bad arguments.
#include <algorithm>
#include <cmath>

#include "graft/replay.h"
#include "parameters.h"

namespace graft::test {
namespace {

TEST(AdamWSteps, BitsOfTheSingleCalls) {
  for (const char* prefer : {"fast", "reference"}) {
    const Context c(2, prefer);
    std::vector<Kind> kinds = mixed_kinds();
    EXPECT_EQ(three_steps(c, kinds, true), three_steps(c, kinds, false)) << prefer;
    EXPECT_EQ(three_steps(c, kinds, true, 0), three_steps(c, kinds, false, 0)) << prefer << ", not clipped";
    std::reverse(kinds.begin(), kinds.end());
    EXPECT_EQ(three_steps(c, kinds, true), three_steps(c, kinds, false)) << prefer << ", the other way round";
  }
  const Context fast(2, "fast");
  Parameters one(fast, {{{5}}});
  one.step_all(1, 0);
  EXPECT_EQ(fast.last_dispatch(), "adamw_steps:cpu/fast");
}

TEST(AdamWSteps, SameBitsForAnyNumberOfThreads) {
  expect_same_bits([](const Context& c) { return three_steps(c, mixed_kinds(), true); });
}

// One f64 parameter, and the reference moves the whole table.
TEST(AdamWSteps, F64IsTheReferences) {
  const Context c(2);
  const std::vector<Kind> kinds{
      {.shape = {3, 4}, .wide = kF64}, {.shape = {5, 2}, .k = 7, .weight = kF64, .wide = kF64}, {{6}, kBf16}};
  EXPECT_EQ(three_steps(c, kinds, true), three_steps(Context(1, "reference"), kinds, false));
  Parameters wide(c, kinds);
  wide.step_all(1, 0);
  EXPECT_EQ(c.last_dispatch(), "adamw_steps:cpu/reference");
}

TEST(AdamWSteps, AnEmptyTable) {
  for (const char* prefer : {"fast", "reference"}) {
    const Context c(2, prefer);
    Tensor sum(c, kF64, {1});
    sum.fill(3);
    GRAFT_EXPECT_OK(graft_adamw_squared_norms(c, nullptr, 0, sum));
    GRAFT_EXPECT_OK(graft_adamw_steps(c, nullptr, 0, 0.9, 0.99, 1e-8, 1, 0, nullptr));
    EXPECT_EQ(sum.get(), std::vector<double>{3});
  }
}

TEST(AdamWSteps, NothingIsMovedWhereOneIsWrong) {
  const Context c;
  Parameters some(c, {{{4}}, {{5}}});
  const auto before = some.values();
  some.table[1].m = some.table[0].m;
  expect_error(graft_adamw_steps(c, some.table.data(), 2, 0.9, 0.99, 1e-8, 1, 0, nullptr), GRAFT_SHAPE_MISMATCH,
               {"graft_adamw_steps: parameters[1]: m [4]"});
  EXPECT_EQ(some.values(), before);
  // What failed is forgotten: the next failure, of another call, names no element.
  expect_error(graft_adamw_squared_norm(c, nullptr, some.norm()), GRAFT_INVALID_ARGUMENT,
               {"graft_adamw_squared_norm: g is NULL"});
}

TEST(AdamWSteps, ARecordHasItsOwnTable) {
  const Context c;
  Parameters recorded(c, mixed_kinds()), called(c, mixed_kinds());
  for (Parameters* p : {&recorded, &called}) p->prepare(1);
  GRAFT_EXPECT_OK(graft_context_record(c, 1));
  recorded.step_all(1, 0.5);
  GRAFT_EXPECT_OK(graft_context_record(c, 0));
  recorded.table.assign(recorded.table.size(), {});
  for (Parameters* p : {&recorded, &called}) p->prepare(2);
  GRAFT_EXPECT_OK(graft_context_replay(c, 1));
  called.prepare(1), called.step_all(1, 0.5), called.prepare(2), called.step_all(1, 0.5);
  EXPECT_EQ(recorded.values(), called.values());
}

TEST(AdamWSteps, StepValues) {
  const Context c(2, "fast");
  Parameters followed(c, mixed_kinds()), called(c, mixed_kinds());
  Tensor lr(c, kF64, {1}), counters(c, kI64, {2});
  lr.set({0.5}), counters.set({3, 0});
  for (Parameters* p : {&followed, &called}) p->prepare(1);
  for (graft_adamw_parameter& p : called.table) p.lr *= 0.5;
  called.step_all(3, 0.5);
  GRAFT_EXPECT_OK(graft_context_step_values(c, lr, counters));
  followed.step_all(77, 0.5);
  GRAFT_EXPECT_OK(graft_context_step_values(c, nullptr, nullptr));
  EXPECT_EQ(followed.values(), called.values());
}

TEST(AdamWSteps, BadArguments) {
  const Context c;
  const graft_status invalid = GRAFT_INVALID_ARGUMENT, mismatch = GRAFT_SHAPE_MISMATCH;
  Parameters some(c, {{{4, 2}}, {.shape = {4, 2}, .k = 3}});
  const std::vector<graft_adamw_parameter> good = some.table;
  const auto steps = [&](auto&& spoil) {
    std::vector<graft_adamw_parameter> table = good;
    spoil(table[1]);
    return graft_adamw_steps(c, table.data(), 2, 0.9, 0.99, 1e-8, 1, 0, nullptr);
  };
  using P = graft_adamw_parameter;
  Tensor bf16(c, kBf16, {4, 2}), narrow(c, kF32, {4, 1}), twice(c, kI32, {2}), outside(c, kI32, {2}),
      scale(c, kF32, {1});
  outside.set({0, 3});
  GRAFT_EXPECT_OK(steps([](P&) {}));
  expect_error(steps([](P& p) { p.g = nullptr; }), invalid, {"parameters[1]: g is NULL"});
  expect_error(steps([](P& p) { p.v = nullptr; }), invalid, {"parameters[1]: v is NULL"});
  expect_error(steps([&](P& p) { p.p = narrow; }), mismatch, {"parameters[1]: p [4, 1]"});
  expect_error(steps([&](P& p) { p.p = bf16; }), invalid, {"parameters[1]: p [4, 2] bf16", "columns of w"});
  expect_error(steps([&](P& p) { p.p_out = bf16; }), invalid, {"p_out", "columns of w"});
  expect_error(steps([&](P& p) { p.m_scale = scale; }), invalid, {"parameters[1]: v_scale is NULL"});
  expect_error(steps([&](P& p) { p.v_scale = scale; }), invalid, {"parameters[1]: m_scale is NULL"});
  expect_error(steps([](P& p) { p.lr = -1; }), invalid, {"parameters[1]: lr is -1"});
  expect_error(steps([](P& p) { p.weight_decay = NAN; }), invalid, {"parameters[1]: weight_decay"});
  expect_error(steps([](P& p) { p.scale = NAN; }), invalid, {"parameters[1]: scale"});
  expect_error(steps([](P& p) { p.indices = nullptr; }), invalid, {"parameters[1]: indices is NULL"});
  expect_error(steps([](P& p) { p.original = nullptr; }), invalid, {"parameters[1]: original is NULL"});
  expect_error(steps([&](P& p) { p.original = narrow; }), mismatch, {"original [4, 1]"});
  expect_error(steps([&](P& p) { p.original = p.p; }), invalid, {"original"});
  expect_error(steps([&](P& p) { p.indices = twice; }), invalid, {"0 twice"});
  expect_error(steps([&](P& p) { p.indices = outside; }), invalid, {"indices[1] is 3"});
  Weight other(c, kF32, 4, 3);
  const Tensor inside = other.matrix().view(0, {4, 2}, {3, 1});
  Tensor original(c, kF32, {4, 2});
  expect_error(steps([&](P& p) { p.w = other, p.original = original, p.g = inside; }), invalid, {"w", "overlaps g"});
  expect_error(steps([&](P& p) { p.w = other, p.original = p.m; }), invalid, {"m", "overlaps original"});
  Weight codes(c, Nf4{false}, 4, 3);
  expect_error(steps([&](P& p) { p.w = codes; }), GRAFT_UNSUPPORTED, {"w", "NF4"});
  graft_weight malformed = *static_cast<graft_weight*>(other);  // its extent means nothing
  malformed.storage.rank = 1, malformed.storage.stride[0] = 1, malformed.storage.data = some.norm()->data;
  std::vector<graft_adamw_parameter> wrong = good;
  wrong[1].w = &malformed, wrong[1].original = original;
  expect_error(graft_adamw_steps(c, wrong.data(), 2, 0.9, 0.99, 1e-8, 1, 1, some.norm()), mismatch, {"w [4]"});
  const auto numbers = [&](const P* table, std::int64_t count, double beta1, std::int64_t step,
                           const graft_tensor* norm) {
    return graft_adamw_steps(c, table, count, beta1, 0.99, 1e-8, step, 1, norm);
  };
  expect_error(graft_adamw_steps(nullptr, good.data(), 2, 0, 0, 0, 1, 0, nullptr), invalid, {"context is NULL"});
  expect_error(numbers(nullptr, 1, 0.9, 1, nullptr), invalid, {"parameters is NULL"});
  expect_error(numbers(good.data(), -1, 0.9, 1, nullptr), invalid, {"count is -1"});
  expect_error(numbers(good.data(), 0, 1, 1, nullptr), invalid, {"beta1 is 1"});
  expect_error(numbers(good.data(), 2, 0.9, 0, nullptr), invalid, {"graft_adamw_steps: step is 0"});
  expect_error(numbers(good.data(), 2, 0.9, 1, narrow), invalid, {"squared_norm"});
  expect_error(graft_adamw_squared_norms(c, nullptr, 2, some.norm()), invalid, {"parameters is NULL"});
  expect_error(graft_adamw_squared_norms(c, good.data(), -2, some.norm()), invalid, {"count is -2"});
  expect_error(graft_adamw_squared_norms(c, good.data(), 2, nullptr), invalid, {"sum is NULL"});
  expect_error(graft_adamw_squared_norms(c, nullptr, 0, nullptr), invalid, {"sum is NULL"});
  P half = good[0];
  half.g = bf16;
  expect_error(graft_adamw_squared_norms(c, &half, 1, some.norm()), invalid, {"parameters[0]: g [4, 2] bf16"});
}

}  // namespace
}  // namespace graft::test
