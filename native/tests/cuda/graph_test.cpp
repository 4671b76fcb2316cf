// Steps of training kept as a graph: launches have the bits of the calls, with new values in the same memory; memory
// that is made and given back meanwhile; numbers that would stay, and calls that wait, are refused.
#include "graft/graph.h"

#include "schedules.h"

namespace graft::test {
namespace {

constexpr std::int64_t kRows = 6, kIn = 40, kHidden = 24, kRank = 3, kVocabulary = 11;

/** A model of one LoRA layer and a head, with all that a step reads and writes. */
struct Model {
  explicit Model(const Context& c)
      : c(c),
        w(c, kF32, kHidden, kIn),
        head(c, kF32, kVocabulary, kHidden),
        x(c, kF32, {kRows, kIn}),
        labels(c, kI32, {kRows}),
        a(input(c, kF32, kF32, {kRank, kIn}, 3)),
        b(input(c, kF32, kF32, {kHidden, kRank}, 4)),
        da(c, kF32, {kRank, kIn}),
        db(c, kF32, {kHidden, kRank}),
        norm(c, kF64, {1}),
        loss(c, kF32, {1}),
        ma(c, kF32, {kRank, kIn}),
        va(c, kF32, {kRank, kIn}),
        mb(c, kF32, {kHidden, kRank}),
        vb(c, kF32, {kHidden, kRank}),
        lr(c, kF64, {1}),
        counters(c, kI64, {2}) {
    w.matrix().set(input(c, kF32, kF32, {kHidden, kIn}, 1).get());
    head.matrix().set(input(c, kF32, kF32, {kVocabulary, kHidden}, 2).get());
  }

  /** What differs between steps, as a caller sets it. */
  void prepare(int step) {
    x.set(input(c, kF32, kF32, {kRows, kIn}, 10 + static_cast<std::uint64_t>(step)).get());
    std::vector<double> ids;
    for (int t = 0; t < kRows; ++t) ids.push_back((t * 5 + step) % kVocabulary);
    labels.set(ids);
    lr.set({0.01 / step}), counters.set({static_cast<double>(step), static_cast<double>(step * kRows * kIn)});
  }

  /** One step; activations are made and given back. factor, step, offset: as called. */
  void run(double factor, std::int64_t step, std::uint64_t offset) {
    Tensor y(c, kF32, {kRows, kHidden}), s(c, kF32, {kRows, kRank}), dh(c, kF32, {kRows, kHidden});
    for (const Tensor* sum : {&da, &db, &norm}) GRAFT_EXPECT_OK(graft_tensor_fill(c, 0, *sum));
    GRAFT_EXPECT_OK(graft_lora_forward(c, x, w, a, b, 2, nullptr, 0.25, 9, offset, 0, y, s));
    GRAFT_EXPECT_OK(graft_linear_cross_entropy_forward(c, y, head, labels, -100, 0, 0, 1, loss, nullptr, dh, nullptr));
    GRAFT_EXPECT_OK(graft_lora_backward(c, dh, x, s, w, a, b, 2, 0.25, 9, offset, 0, nullptr, da, db, nullptr));
    GRAFT_EXPECT_OK(graft_adamw_squared_norm(c, da, norm));
    GRAFT_EXPECT_OK(graft_adamw_squared_norm(c, db, norm));
    GRAFT_EXPECT_OK(graft_adamw_step(c, da, factor, 0.9, 0.99, 1e-8, 0.1, step, 0.5, norm, 0, a, ma, va, nullptr));
    GRAFT_EXPECT_OK(graft_adamw_step(c, db, factor, 0.9, 0.99, 1e-8, 0.1, step, 0.5, norm, 0, b, mb, vb, nullptr));
  }

  std::vector<std::vector<double>> values() const {
    return {loss.get(), a.get(), b.get(), ma.get(), vb.get(), norm.get()};
  }

  const Context& c;
  Weight w, head;
  Tensor x, labels, a, b, da, db, norm, loss, ma, va, mb, vb, lr, counters;
};

constexpr int kSteps = 4;

/** kSteps steps with the numbers of each in the calls. */
std::vector<std::vector<double>> as_called(const Context& c) {
  Model model(c);
  for (int step = 1; step <= kSteps; ++step) {
    model.prepare(step);
    model.run(0.01 / step, step, static_cast<std::uint64_t>(step * kRows * kIn));
  }
  return model.values();
}

/** The same with the numbers in memory; from step `kept` on by a graph of one step. */
std::vector<std::vector<double>> with_values(const Context& c, int kept) {
  Model model(c);
  GRAFT_EXPECT_OK(graft_context_step_values(c, model.lr, model.counters));
  graft_graph* graph = nullptr;
  for (int step = 1; step <= kSteps; ++step) {
    model.prepare(step);
    if (step < kept) {
      model.run(1, 77, 0);
      continue;
    }
    if (graph == nullptr) {
      GRAFT_EXPECT_OK(graft_graph_begin(c));
      model.run(1, 77, 0);
      GRAFT_EXPECT_OK(graft_graph_end(c, &graph));
      // What others do meanwhile may not take the graph's scratch or activations away.
      Weight other(c, kF32, 300, 200);
      Tensor x = input(c, kF32, kF32, {70, 200}, 1), y(c, kF32, {70, 300}), a = input(c, kF32, kF32, {8, 200}, 1);
      Tensor b = input(c, kF32, kF32, {300, 8}, 1);
      GRAFT_EXPECT_OK(graft_lora_forward(c, x, other, a, b, 1, nullptr, 0, 0, 0, 0, y, nullptr));
    }
    GRAFT_EXPECT_OK(graft_graph_launch(c, graph));
  }
  const auto values = model.values();
  GRAFT_EXPECT_OK(graft_graph_destroy(c, graph));
  GRAFT_EXPECT_OK(graft_context_step_values(c, nullptr, nullptr));
  return values;
}

TEST(CudaGraph, LaunchesHaveTheBitsOfTheCalls) {
  const Context cuda(GRAFT_DEVICE_CUDA);
  const auto called = as_called(cuda);
  for_schedules(2, [&] {
    const auto valued = with_values(cuda, kSteps + 1), kept = with_values(cuda, 2), at_once = with_values(cuda, 1);
    EXPECT_EQ(kept, valued);
    EXPECT_EQ(at_once, valued);
    // The factors of AdamW are the device's own powers.
    for (std::size_t i = 0; i < called.size(); ++i) expect_close(valued[i], called[i], 1e-6, "as called");
  });
}

TEST(CudaGraph, StepValuesOnTheCpu) {
  const Context cpu(1, "reference");
  EXPECT_EQ(with_values(cpu, kSteps + 1), as_called(cpu));
  Model model(cpu);
  GRAFT_EXPECT_OK(graft_context_step_values(cpu, model.lr, model.counters));
  model.prepare(1);
  GRAFT_EXPECT_OK(graft_context_record(cpu, 1));
  GRAFT_EXPECT_OK(graft_adamw_step(cpu, model.da, 2, 0.9, 0.99, 1e-8, 0.1, 77, 0, nullptr, 0, model.a, model.ma,
                                   model.va, nullptr));
  GRAFT_EXPECT_OK(graft_context_record(cpu, 0));
  const std::vector<double> before = model.a.get();
  model.lr.set({0.5});
  GRAFT_EXPECT_OK(graft_context_replay(cpu, 1));  // no gradient: the weights decay by lr · 0.1
  const std::vector<double> after = model.a.get();
  for (std::size_t i = 0; i < before.size(); ++i) EXPECT_NEAR(after[i], before[i] * 0.9, 1e-6);
  model.counters.set({0, 0});
  expect_error(graft_context_replay(cpu, 1), GRAFT_INVALID_ARGUMENT, {"step is 0"});
}

TEST(CudaGraph, Adamw8BitReadsItsNumbers) {
  const Context cuda(GRAFT_DEVICE_CUDA);
  Tensor lr(cuda, kF64, {1}), counters(cuda, kI64, {2}), g = input(cuda, kF32, kF32, {300}, 1);
  std::vector<double> moved[2];
  for (int way = 0; way < 2; ++way) {
    Tensor p = input(cuda, kF32, kF32, {300}, 2), m(cuda, GRAFT_DTYPE_U8, {300}), v(cuda, GRAFT_DTYPE_U8, {300});
    Tensor m_scale(cuda, kF32, {2}), v_scale(cuda, kF32, {2});
    lr.set({0.25}), counters.set({3, 0});
    GRAFT_EXPECT_OK(graft_context_step_values(cuda, way == 1 ? static_cast<graft_tensor*>(lr) : nullptr,
                                              way == 1 ? static_cast<graft_tensor*>(counters) : nullptr));
    GRAFT_EXPECT_OK(graft_adamw_step_8bit(cuda, g, way == 1 ? 2 : 0.5, 0.9, 0.99, 1e-8, 0.1, way == 1 ? 1 : 3, 0,
                                          nullptr, 0, p, m, m_scale, v, v_scale, nullptr));
    GRAFT_EXPECT_OK(graft_context_step_values(cuda, nullptr, nullptr));
    GRAFT_EXPECT_OK(graft_context_synchronize(cuda));
    moved[way] = p.get();
  }
  expect_close(moved[1], moved[0], 1e-6, "p");
}

// An op whose dropout is that of a layer inside of it.
TEST(CudaGraph, DoraReadsItsOffset) {
  const Context cuda(GRAFT_DEVICE_CUDA);
  Tensor lr(cuda, kF64, {1}), counters(cuda, kI64, {2}), x = input(cuda, kF32, kF32, {3, 16}, 1);
  Tensor a = input(cuda, kF32, kF32, {2, 16}, 2), b = input(cuda, kF32, kF32, {5, 2}, 3),
         m = input(cuda, kF32, kF32, {5}, 4);
  Tensor norm(cuda, kF32, {5}), y(cuda, kF32, {3, 5}), dy = input(cuda, kF32, kF32, {3, 5}, 5), dx(cuda, kF32, {3, 16});
  const Weight w(cuda, kF32, 5, 16);
  norm.fill(2), counters.set({1, 40});
  const auto forward = [&](std::uint64_t offset) {
    return graft_dora_forward(cuda, x, w, a, b, 2, m, norm, nullptr, 0.5, 7, offset, 0, y, nullptr);
  };
  const auto backward = [&](std::uint64_t offset) {
    return graft_dora_backward(cuda, dy, x, nullptr, w, a, b, 2, m, norm, 0.5, 7, offset, 0, dx, nullptr, nullptr,
                               nullptr, nullptr);
  };
  GRAFT_ASSERT_OK(graft_graph_begin(cuda));
  expect_error(forward(2), GRAFT_UNSUPPORTED, {"offset would stay as called"});
  expect_error(backward(2), GRAFT_UNSUPPORTED, {"offset would stay as called"});
  GRAFT_EXPECT_OK(graft_graph_end(cuda, nullptr));
  GRAFT_EXPECT_OK(forward(42));
  GRAFT_EXPECT_OK(backward(42));
  GRAFT_EXPECT_OK(graft_context_synchronize(cuda));
  const std::vector<double> called = y.get(), called_dx = dx.get();
  GRAFT_EXPECT_OK(forward(2));
  GRAFT_EXPECT_OK(backward(2));
  GRAFT_EXPECT_OK(graft_context_synchronize(cuda));
  EXPECT_NE(y.get(), called);
  GRAFT_EXPECT_OK(graft_context_step_values(cuda, lr, counters));
  GRAFT_EXPECT_OK(forward(2));
  GRAFT_EXPECT_OK(backward(2));
  GRAFT_EXPECT_OK(graft_context_step_values(cuda, nullptr, nullptr));
  GRAFT_EXPECT_OK(graft_context_synchronize(cuda));
  EXPECT_EQ(y.get(), called);
  EXPECT_EQ(dx.get(), called_dx);
}

TEST(CudaGraph, NothingRunsWhileWorkIsKept) {
  const Context cuda(GRAFT_DEVICE_CUDA);
  Tensor x(cuda, kF32, {5}), y(cuda, kF32, {5});
  x.fill(2);
  GRAFT_ASSERT_OK(graft_graph_begin(cuda));
  GRAFT_EXPECT_OK(graft_tensor_add(cuda, x, y));
  graft_graph* graph = nullptr;
  GRAFT_ASSERT_OK(graft_graph_end(cuda, &graph));
  EXPECT_EQ(y.get()[4], 0);
  for (int i = 0; i < 3; ++i) GRAFT_EXPECT_OK(graft_graph_launch(cuda, graph));
  EXPECT_EQ(y.get()[4], 6);
  x.fill(5);
  GRAFT_EXPECT_OK(graft_graph_launch(cuda, graph));
  EXPECT_EQ(y.get()[0], 11);
  GRAFT_EXPECT_OK(graft_graph_destroy(cuda, graph));
  GRAFT_ASSERT_OK(graft_graph_begin(cuda));
  GRAFT_EXPECT_OK(graft_tensor_add(cuda, x, y));
  GRAFT_EXPECT_OK(graft_graph_end(cuda, nullptr));
  EXPECT_EQ(y.get()[0], 11) << "forgotten work was done";
}

std::int64_t held(const Context& c, graft_memory_category category) {
  std::int64_t bytes = 0;
  GRAFT_EXPECT_OK(graft_context_memory(c, category, &bytes, nullptr));
  return bytes;
}

TEST(CudaGraph, MemoryOfTheGraph) {
  const Context cuda(GRAFT_DEVICE_CUDA);
  Tensor sum(cuda, kF32, {100}), one(cuda, kF32, {100});
  one.fill(1);
  const std::int64_t activations = held(cuda, GRAFT_MEMORY_ACTIVATION), workspace = held(cuda, GRAFT_MEMORY_WORKSPACE);
  graft_graph* graph = nullptr;
  GRAFT_ASSERT_OK(graft_graph_begin(cuda));
  const void* first = nullptr;
  for (int i = 0; i < 2; ++i) {
    Tensor t(cuda, kF32, {100});
    if (i == 0) first = t->data;
    EXPECT_EQ(t->data, first) << "memory of the same size was not given again";
    GRAFT_EXPECT_OK(graft_tensor_add(cuda, one, t));  // made as zeros: 1
    GRAFT_EXPECT_OK(graft_tensor_add(cuda, t, sum));
  }
  GRAFT_ASSERT_OK(graft_graph_end(cuda, &graph));
  EXPECT_EQ(held(cuda, GRAFT_MEMORY_ACTIVATION), activations);
  EXPECT_EQ(held(cuda, GRAFT_MEMORY_WORKSPACE), workspace + 400);
  for (int i = 0; i < 2; ++i) GRAFT_EXPECT_OK(graft_graph_launch(cuda, graph));
  EXPECT_EQ(sum.get(), std::vector<double>(100, 4.0));
  GRAFT_EXPECT_OK(graft_graph_destroy(cuda, graph));
  EXPECT_EQ(held(cuda, GRAFT_MEMORY_WORKSPACE), workspace);
}

TEST(CudaGraph, NumbersThatWouldStayAreRefused) {
  const Context cuda(GRAFT_DEVICE_CUDA), host(1, "reference");
  Model model(cuda);
  Tensor y(cuda, kF32, {kRows, kHidden}), m(cuda, GRAFT_DTYPE_U8, {kRank, kIn}), m_scale(cuda, kF32, {1});
  Tensor v(cuda, GRAFT_DTYPE_U8, {kRank, kIn}), v_scale(cuda, kF32, {1});
  Tensor segments(host, kI32, {1, 2}), ranks(host, kI32, {1}), sizes(host, kF64, {1});
  Tensor gate(cuda, kF32, {kHidden, kIn}), original(cuda, kF32, {kHidden, kIn}), g(cuda, kF32, {kHidden, kIn});
  Tensor dgate(cuda, kF32, {kHidden, kIn}), gate_sums(cuda, kF64, {2});
  segments.set({kRows, 0}), ranks.fill(kRank);
  GRAFT_ASSERT_OK(graft_graph_begin(cuda));
  const auto refused = [](graft_status status, const char* what) {
    expect_error(status, GRAFT_UNSUPPORTED, {what, "would stay as called"});
  };
  refused(graft_adamw_step(cuda, model.da, 1, 0, 0, 1, 0, 1, 0, nullptr, 0, model.a, model.ma, model.va, nullptr),
          "lr and step");
  refused(
      graft_adamw_step_8bit(cuda, model.da, 1, 0, 0, 1, 0, 1, 0, nullptr, 0, model.a, m, m_scale, v, v_scale, nullptr),
      "lr and step");
  refused(graft_lora_forward(cuda, model.x, model.w, model.a, model.b, 1, nullptr, 0.5, 0, 0, 0, y, nullptr), "offset");
  refused(graft_random_uniform(cuda, 1, 0, 0, 1, y), "offset");
  refused(graft_linear_cross_entropy_forward(cuda, y, model.head, model.labels, -100, 0, 5, 1, model.loss, nullptr,
                                             nullptr, nullptr),
          "normalizer");
  refused(graft_lora_segments_forward(cuda, model.x, model.w, segments, ranks, sizes, model.a, model.b, nullptr, 0, 0,
                                      0, 0, y, nullptr),
          "segments");
  const auto write = [&](graft_gate_mode mode) {
    return graft_hard_concrete_write(cuda, gate, gate, original, mode, 1, 0, -0.5, 1.5, 1, model.w);
  };
  const auto backward = [&](graft_gate_mode mode) {
    return graft_hard_concrete_backward(cuda, gate, gate, mode, 1, 0, -0.5, 1.5, 1, 0, g, dgate, gate_sums);
  };
  refused(write(GRAFT_GATE_SAMPLED), "offset");
  refused(backward(GRAFT_GATE_SAMPLED), "offset");
  for (const graft_gate_mode mode : {GRAFT_GATE_MEAN, GRAFT_GATE_FIXED}) {
    GRAFT_EXPECT_OK(write(mode));
    GRAFT_EXPECT_OK(backward(mode));
  }
  GRAFT_EXPECT_OK(graft_lora_forward(cuda, model.x, model.w, model.a, model.b, 1, nullptr, 0, 0, 0, 0, y, nullptr));
  GRAFT_EXPECT_OK(graft_graph_end(cuda, nullptr));
}

TEST(CudaGraph, WaitingAndBadArguments) {
  const Context cuda(GRAFT_DEVICE_CUDA), other(GRAFT_DEVICE_CUDA), cpu;
  Tensor x(cuda, kF32, {1}), lr(cuda, kF64, {1}), counters(cuda, kI64, {2});
  float value = 1;
  graft_graph* graph = nullptr;
  expect_error(graft_graph_begin(cpu), GRAFT_UNSUPPORTED, {"the CPU keeps no work"});
  expect_error(graft_graph_begin(nullptr), GRAFT_INVALID_ARGUMENT, {"context is NULL"});
  graft_context* planning = nullptr;
  GRAFT_ASSERT_OK(graft_context_create_planning(GRAFT_DEVICE_CUDA, 1, &planning));
  expect_error(graft_graph_begin(planning), GRAFT_UNSUPPORTED, {"plans"});
  GRAFT_EXPECT_OK(graft_context_destroy(planning));
  expect_error(graft_graph_end(cuda, &graph), GRAFT_INVALID_ARGUMENT, {"no work"});
  GRAFT_ASSERT_OK(graft_graph_begin(cuda));
  expect_error(graft_graph_begin(cuda), GRAFT_INVALID_ARGUMENT, {"already"});
  expect_error(graft_context_synchronize(cuda), GRAFT_INVALID_ARGUMENT, {"waits for the device"});
  expect_error(graft_tensor_upload(cuda, x, &value, 4), GRAFT_INVALID_ARGUMENT, {"waits for the device"});
  expect_error(graft_tensor_download(cuda, x, &value, 4), GRAFT_INVALID_ARGUMENT, {"waits for the device"});
  GRAFT_EXPECT_OK(graft_tensor_fill(cuda, 3, x));
  GRAFT_ASSERT_OK(graft_graph_end(cuda, &graph));
  expect_error(graft_graph_launch(cuda, nullptr), GRAFT_INVALID_ARGUMENT, {"graph is NULL"});
  expect_error(graft_graph_launch(other, graph), GRAFT_INVALID_ARGUMENT, {"another context"});
  expect_error(graft_graph_destroy(other, graph), GRAFT_INVALID_ARGUMENT, {"another context"});
  GRAFT_ASSERT_OK(graft_graph_begin(cuda));
  expect_error(graft_graph_launch(cuda, graph), GRAFT_INVALID_ARGUMENT, {"being kept"});
  expect_error(graft_graph_destroy(cuda, graph), GRAFT_INVALID_ARGUMENT, {"being kept"});
  GRAFT_EXPECT_OK(graft_graph_end(cuda, nullptr));
  expect_error(graft_context_step_values(cuda, lr, nullptr), GRAFT_INVALID_ARGUMENT, {"counters is NULL"});
  expect_error(graft_context_step_values(cuda, nullptr, counters), GRAFT_INVALID_ARGUMENT, {"lr is NULL"});
  expect_error(graft_context_step_values(cuda, x, counters), GRAFT_INVALID_ARGUMENT, {"lr"});
  expect_error(graft_context_step_values(cuda, lr, lr), GRAFT_INVALID_ARGUMENT, {"counters"});
  GRAFT_EXPECT_OK(graft_graph_destroy(cuda, nullptr));
  GRAFT_EXPECT_OK(graft_graph_destroy(cuda, graph));
}

TEST(CudaGraph, ABadIdIsReportedAfterALaunch) {
  const Context cuda(GRAFT_DEVICE_CUDA);
  Tensor table(cuda, kF32, {4, 8}), ids(cuda, kI32, {2}), y(cuda, kF32, {2, 8});
  graft_graph* graph = nullptr;
  GRAFT_ASSERT_OK(graft_graph_begin(cuda));
  GRAFT_EXPECT_OK(graft_embedding_forward(cuda, table, ids, 1, y));
  GRAFT_ASSERT_OK(graft_graph_end(cuda, &graph));
  GRAFT_EXPECT_OK(graft_graph_launch(cuda, graph));
  GRAFT_EXPECT_OK(graft_context_synchronize(cuda));
  ids.set({1, 4});
  GRAFT_EXPECT_OK(graft_graph_launch(cuda, graph));
  expect_error(graft_context_synchronize(cuda), GRAFT_INVALID_ARGUMENT, {"ids[1] is 4"});
  GRAFT_EXPECT_OK(graft_graph_destroy(cuda, graph));
}

}  // namespace
}  // namespace graft::test
