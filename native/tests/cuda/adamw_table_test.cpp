// adamw over a table of parameters on the CUDA device: the bits of the calls for each of them, of every kind, under any
// schedule; more parameters than one launch takes; kept as a graph.
#include "graft/graph.h"
#include "parameters.h"
#include "schedules.h"

namespace graft::test {
namespace {

TEST(CudaAdamwTable, BitsOfTheSingleCalls) {
  const Context cuda(GRAFT_DEVICE_CUDA);
  for (const double clip : {0.5, 0.0}) {
    std::vector<Kind> kinds = mixed_kinds();
    std::erase_if(kinds, [](const Kind& kind) { return kind.shape.back() > 2000; });  // too many for the emulator
    kinds.push_back({{4100}});                                                        // two blocks of the norm
    const auto each = three_steps(cuda, kinds, false, clip);
    for_schedules(2, [&] { EXPECT_EQ(three_steps(cuda, kinds, true, clip), each) << "clipped to " << clip; });
  }
}

// In several launches; the last one of each kind moves one parameter.
TEST(CudaAdamwTable, MoreParametersThanALaunchTakes) {
  const Context cuda(GRAFT_DEVICE_CUDA);
  std::vector<Kind> kinds;
  for (std::int64_t i = 0; i < 168 + 1; ++i) kinds.push_back({{1 + i % 3}});
  for (std::int64_t i = 0; i < 168 + 1; ++i) kinds.push_back({.shape = {1 + i % 2}, .coded = true});
  Parameters each(cuda, kinds), all(cuda, kinds);
  for (Parameters* p : {&each, &all}) p->prepare(1);
  each.step_each(1, 0.5), all.step_all(1, 0.5);
  EXPECT_EQ(all.values(), each.values());
}

TEST(CudaAdamwTable, AnIndexOutsideNamesNoColumn) {
  const Context cuda(GRAFT_DEVICE_CUDA);
  Parameters some(cuda, {{.shape = {5, 2}, .k = 3}});
  Tensor indices(cuda, kI32, {2});
  indices.set({1, 3});
  some.table[0].indices = indices;
  some.prepare(1);
  const std::vector<double> before = some.values().back();
  some.step_all(1, 0);
  const std::vector<double> after = some.values().back();
  for (std::size_t i = 0; i < before.size(); ++i) EXPECT_EQ(after[i] == before[i], i % 3 != 1) << i;
}

std::vector<std::vector<double>> followed(const Context& c, const std::vector<Kind>& kinds, bool together, bool kept) {
  Parameters parameters(c, kinds);
  Tensor lr(c, kF64, {1}), counters(c, kI64, {2});
  GRAFT_EXPECT_OK(graft_context_step_values(c, lr, counters));
  graft_graph* graph = nullptr;
  for (int step = 1; step <= 3; ++step) {
    parameters.prepare(static_cast<std::uint64_t>(step));
    lr.set({0.5 / step}), counters.set({static_cast<double>(step), 0});
    if (!kept || step == 1) {
      together ? parameters.step_all(77, 0.5) : parameters.step_each(77, 0.5);
      continue;
    }
    if (graph == nullptr) {
      GRAFT_EXPECT_OK(graft_graph_begin(c));
      parameters.step_all(77, 0.5);
      GRAFT_EXPECT_OK(graft_graph_end(c, &graph));
      parameters.table.assign(parameters.table.size(), {});  // the graph has its own
    }
    GRAFT_EXPECT_OK(graft_graph_launch(c, graph));
  }
  const auto values = parameters.values();
  GRAFT_EXPECT_OK(graft_graph_destroy(c, graph));
  GRAFT_EXPECT_OK(graft_context_step_values(c, nullptr, nullptr));
  return values;
}

TEST(CudaAdamwTable, KeptAsAGraph) {
  const Context cuda(GRAFT_DEVICE_CUDA);
  const std::vector<Kind> kinds{
      {{33, 17}, kBf16}, {.shape = {7, 50}, .coded = true}, {{300}}, {.shape = {19, 3}, .k = 11}};
  const auto each = followed(cuda, kinds, false, false);
  for_schedules(2, [&] {
    EXPECT_EQ(followed(cuda, kinds, true, false), each);
    EXPECT_EQ(followed(cuda, kinds, true, true), each);
  });
}

TEST(CudaAdamwTable, NumbersThatWouldStayAreRefused) {
  const Context cuda(GRAFT_DEVICE_CUDA);
  Parameters some(cuda, {{{4}}, {.shape = {4}, .alone = true}});
  Tensor lr(cuda, kF64, {1}), counters(cuda, kI64, {2});
  const auto steps = [&](std::int64_t count) {
    return graft_adamw_steps(cuda, some.table.data(), count, 0.9, 0.99, 1e-8, 1, 0, nullptr);
  };
  GRAFT_ASSERT_OK(graft_graph_begin(cuda));
  expect_error(steps(1), GRAFT_UNSUPPORTED, {"lr and step", "would stay as called"});
  GRAFT_EXPECT_OK(steps(0));
  GRAFT_EXPECT_OK(graft_graph_end(cuda, nullptr));
  GRAFT_EXPECT_OK(graft_context_step_values(cuda, lr, counters));
  GRAFT_ASSERT_OK(graft_graph_begin(cuda));
  expect_error(steps(2), GRAFT_UNSUPPORTED, {"seed", "would stay as called"});
  GRAFT_EXPECT_OK(steps(1));
  GRAFT_EXPECT_OK(graft_graph_end(cuda, nullptr));
  GRAFT_EXPECT_OK(graft_context_step_values(cuda, nullptr, nullptr));
}

}  // namespace
}  // namespace graft::test
