// Times on a CUDA device what a training step is made of beside products: a small LoRA step op by op and as a graph,
// where the host's launches weigh most, and its 48 parameters moved alone; attention, with segments and with a cap;
// copies from and to the host.
//     step_benchmark [--rounds N] [--json FILE]
// Contenders take turns within a round; a figure is the median over rounds of the time until the device is done.
// Without a CUDA device it says why and does nothing.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <tuple>
#include <vector>

#include "graft/graft.h"
#include "results_file.h"

namespace {

void check(graft_status status) {
  if (status == GRAFT_OK) return;
  std::fprintf(stderr, "%s: %s\n", graft_status_name(status), graft_last_error());
  std::exit(1);
}

struct Case {
  std::string name;
  int calls;
  std::function<void()> run;
  std::vector<double> seconds;
};

graft_tensor* tensor(graft_context* c, graft_dtype dtype, const std::vector<std::int64_t>& shape) {
  graft_tensor* made = nullptr;
  check(graft_tensor_create(c, GRAFT_MEMORY_ACTIVATION, dtype, static_cast<std::int32_t>(shape.size()), shape.data(),
                            nullptr, &made));
  if (dtype == GRAFT_DTYPE_BF16) check(graft_random_uniform(c, 1, 0, -1, 1, made));
  return made;
}

/** Forward, backward and AdamW of some LoRA layers, one behind the other; it lives until the process ends. */
class Step {
 public:
  explicit Step(graft_context* c)
      : c_(c), lr_(tensor(c, GRAFT_DTYPE_F64, {1})), counters_(tensor(c, GRAFT_DTYPE_I64, {2})) {
    const double lr = 1e-4;
    const std::int64_t counters[2] = {1, 0};
    check(graft_tensor_upload(c, lr_, &lr, sizeof lr));
    check(graft_tensor_upload(c, counters_, counters, sizeof counters));
    check(graft_context_step_values(c, lr_, counters_));
    for (int i = 0; i <= kLayers; ++i) x_.push_back(tensor(c, GRAFT_DTYPE_BF16, {kRows, kWidth + kRank}));
    for (graft_tensor* x : x_) x->shape[1] = kWidth;
    for (int i = 0; i < kLayers; ++i) {
      Layer l{};
      check(graft_weight_create_dense(c, GRAFT_MEMORY_BASE, GRAFT_DTYPE_BF16, kWidth, kWidth, kRank, &l.w));
      l.s = tensor(c, GRAFT_DTYPE_BF16, {kRows, kRank});
      for (int p = 0; p < 2; ++p)
        for (graft_tensor** t : {&l.p[p], &l.g[p], &l.m[p], &l.v[p]})
          *t = tensor(c, GRAFT_DTYPE_F32,
                      p == 0 ? std::vector<std::int64_t>{kRank, kWidth} : std::vector<std::int64_t>{kWidth, kRank});
      layers_.push_back(l);
      for (int p = 0; p < 2; ++p) {
        graft_adamw_parameter parameter{};
        parameter.g = l.g[p], parameter.p = l.p[p], parameter.m = l.m[p], parameter.v = l.v[p], parameter.lr = 1;
        parameters_.push_back(parameter);
      }
    }
    call();
    check(graft_graph_begin(c));
    call();
    check(graft_graph_end(c, &graph_));
  }

  void call() const {
    for (int i = 0; i < kLayers; ++i) {
      const Layer& l = layers_[static_cast<std::size_t>(i)];
      check(graft_lora_forward(c_, x_[i], l.w, l.p[0], l.p[1], 1, nullptr, 0, 0, 0, 0, x_[i + 1], l.s));
    }
    for (int i = kLayers - 1; i >= 0; --i) {
      const Layer& l = layers_[static_cast<std::size_t>(i)];
      for (graft_tensor* g : l.g) check(graft_tensor_fill(c_, 0, g));
      check(graft_lora_backward(c_, x_[i + 1], x_[i], l.s, l.w, l.p[0], l.p[1], 1, 0, 0, 0, 0, nullptr, l.g[0], l.g[1],
                                nullptr));
    }
    move_at_once();
  }

  void move_at_once() const {
    const auto count = static_cast<std::int64_t>(parameters_.size());
    check(graft_adamw_steps(c_, parameters_.data(), count, 0.9, 0.999, 1e-8, 1, 0, nullptr));
  }

  void move_each() const {
    for (const graft_adamw_parameter& p : parameters_)
      check(graft_adamw_step(c_, p.g, p.lr, 0.9, 0.999, 1e-8, 0, 1, 0, nullptr, 0, p.p, p.m, p.v, nullptr));
  }

  void launch() const { check(graft_graph_launch(c_, graph_)); }

 private:
  static constexpr int kLayers = 24;
  static constexpr std::int64_t kRows = 64, kWidth = 1024, kRank = 16;
  struct Layer {
    graft_weight* w;
    graft_tensor *s, *p[2], *g[2], *m[2], *v[2];
  };
  graft_context* c_;
  graft_tensor *lr_, *counters_;
  std::vector<graft_tensor*> x_;
  std::vector<Layer> layers_;
  std::vector<graft_adamw_parameter> parameters_;
  graft_graph* graph_ = nullptr;
};

void add_attention(graft_context* c, std::vector<Case>& cases) {
  constexpr std::int64_t t = 4096, heads = 32, key_heads = 8, d = 128, segment = 512;
  const auto of = [&](std::int64_t h) { return tensor(c, GRAFT_DTYPE_BF16, {1, t, h, d}); };
  graft_tensor *q = of(heads), *k = of(key_heads), *v = of(key_heads), *o = of(heads), *dq = of(heads);
  graft_tensor *dout = of(heads), *dk = of(key_heads), *dv = of(key_heads),
               *lse = tensor(c, GRAFT_DTYPE_F32, {1, heads, t});
  graft_tensor* starts = tensor(c, GRAFT_DTYPE_I32, {1, t});
  std::vector<std::int32_t> first;
  for (std::int64_t i = 0; i < t; ++i) first.push_back(static_cast<std::int32_t>(i / segment * segment));
  check(graft_tensor_upload(c, starts, first.data(), t * 4));
  const double scale = 1 / std::sqrt(static_cast<double>(d));
  const auto add = [&](const char* name, graft_tensor* segments, double cap) {
    cases.push_back(
        {std::string("attention ") + name,
         4,
         [=] {
           check(graft_attention_forward(c, q, k, v, nullptr, segments, scale, cap, 0, 0, o, lse));
           check(graft_attention_backward(c, dout, q, k, v, o, lse, nullptr, segments, scale, cap, 0, 0, dq, dk, dv));
         },
         {}});
  };
  add("4096", nullptr, 0), add("4096 in segments of 512", starts, 0), add("4096 capped", nullptr, 50);
}

void add_copies(graft_context* c, std::vector<Case>& cases) {
  constexpr std::int64_t count = 16 << 20;
  graft_tensor *large = tensor(c, GRAFT_DTYPE_F32, {count}), *small = tensor(c, GRAFT_DTYPE_F32, {1});
  auto* host = new std::vector<float>(static_cast<std::size_t>(count), 1.0f);
  for (const auto& [name, to, bytes] : {std::tuple{"64 MiB", large, count * 4}, {"4 bytes", small, std::int64_t{4}}}) {
    cases.push_back({std::string("upload of ") + name,
                     4,
                     [=, to = to, bytes = bytes] { check(graft_tensor_upload(c, to, host->data(), bytes)); },
                     {}});
    cases.push_back({std::string("download of ") + name,
                     4,
                     [=, to = to, bytes = bytes] { check(graft_tensor_download(c, to, host->data(), bytes)); },
                     {}});
  }
}

double now() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

void measure(graft_context* c, Case& of) {
  of.run();
  check(graft_context_synchronize(c));
  const double start = now();
  for (int i = 0; i < of.calls; ++i) of.run();
  check(graft_context_synchronize(c));
  of.seconds.push_back((now() - start) / of.calls);
}

}  // namespace

int main(int argc, char** argv) {
  int rounds = 21;
  ResultsFile results;
  for (int i = 1; i < argc; ++i) {
    const std::string option = argv[i];
    const char* value = i + 1 < argc ? argv[++i] : "";
    if (option == "--json") results.open(value);
    rounds = option == "--rounds" ? std::atoi(value) : option == "--json" ? rounds : 0;
    if (rounds < 1) {
      std::fprintf(stderr, "usage: %s [--rounds N] [--json FILE]\n", argv[0]);
      return 2;
    }
  }
  graft_context* context = nullptr;
  if (graft_context_create(GRAFT_DEVICE_CUDA, 0, &context) != GRAFT_OK) {
    std::printf("nothing to measure: %s\n", graft_last_error());
    return 0;
  }
  const Step step(context);
  std::vector<Case> cases{{"step op by op", 4, [&] { step.call(); }, {}},
                          {"step as a graph", 4, [&] { step.launch(); }, {}},
                          {"adamw, a call for each", 4, [&] { step.move_each(); }, {}},
                          {"adamw at once", 4, [&] { step.move_at_once(); }, {}}};
  add_attention(context, cases);
  add_copies(context, cases);
  for (int round = 0; round < rounds; ++round)
    for (Case& of : cases) measure(context, of);
  std::printf("%d rounds\n%-36s %12s\n", rounds, "contender", "us");
  for (Case& of : cases) {
    std::sort(of.seconds.begin(), of.seconds.end());
    const double time = of.seconds[of.seconds.size() / 2] * 1e6;
    std::printf("%-36s %12.2f\n", of.name.c_str(), time);
    char row[256];
    std::snprintf(row, sizeof row,
                  "{\"benchmark\": \"step\", \"contender\": \"%s\", \"rounds\": %d, \"median_us\": %.3f}",
                  of.name.c_str(), rounds, time);
    results.add(row);
  }
  results.write();
  return 0;
}
