// Times attention forward, backward and decode, and linear_cross_entropy: medians of rounds over all cases, so that a
// machine that changes speed changes all of them. GFLOP/s counts visible pairs only (docs/ops/attention.md).
//     attention_benchmark [rounds] [threads]
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "graft/graft.h"

namespace {

void require(graft_status status) {
  if (status == GRAFT_OK) return;
  std::fprintf(stderr, "%s\n", graft_last_error());
  std::exit(1);
}

graft_tensor* make(graft_context* context, graft_dtype dtype, std::vector<std::int64_t> shape, std::uint64_t seed) {
  graft_tensor* tensor = nullptr;
  require(graft_tensor_create(context, GRAFT_MEMORY_ACTIVATION, dtype, static_cast<std::int32_t>(shape.size()),
                              shape.data(), nullptr, &tensor));
  std::int64_t elements = 1;
  for (std::int64_t size : shape) elements *= size;
  for (std::int64_t i = 0; i < elements; ++i) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    const float value = static_cast<float>(seed >> 40) * 0x1p-23f - 1.0f;
    if (dtype == GRAFT_DTYPE_F32) {
      static_cast<float*>(tensor->data)[i] = value;
    } else {  // bf16: the upper half of a float
      std::uint32_t bits;
      std::copy_n(reinterpret_cast<const char*>(&value), 4, reinterpret_cast<char*>(&bits));
      static_cast<std::uint16_t*>(tensor->data)[i] = static_cast<std::uint16_t>(bits >> 16);
    }
  }
  return tensor;
}

struct Case {
  std::string name;
  double flops;  // 0: show GB/s of `bytes` instead
  double bytes;
  std::function<void()> run;
  std::vector<double> seconds;
};

const char* dtype_text(graft_dtype dtype) { return dtype == GRAFT_DTYPE_F32 ? "f32" : "bf16"; }

void add_training(std::vector<Case>& cases, graft_context* c, graft_dtype t, std::int64_t batches, std::int64_t queries,
                  std::int64_t heads, std::int64_t key_heads, std::int64_t depth) {
  auto* q = make(c, t, {batches, queries, heads, depth}, 1);
  auto* k = make(c, t, {batches, queries, key_heads, depth}, 2);
  auto* v = make(c, t, {batches, queries, key_heads, depth}, 3);
  auto* dout = make(c, t, {batches, queries, heads, depth}, 4);
  auto* o = make(c, t, {batches, queries, heads, depth}, 5);
  auto* dq = make(c, t, {batches, queries, heads, depth}, 5);
  auto* dk = make(c, t, {batches, queries, key_heads, depth}, 5);
  auto* dv = make(c, t, {batches, queries, key_heads, depth}, 5);
  auto* lse = make(c, GRAFT_DTYPE_F32, {batches, heads, queries}, 5);
  const double scale = 1 / std::sqrt(static_cast<double>(depth));
  const double pairs = static_cast<double>(batches * heads * queries) * static_cast<double>(queries + 1) / 2;
  const std::string shape = std::string(dtype_text(t)) + " B" + std::to_string(batches) + " T" +
                            std::to_string(queries) + " H" + std::to_string(heads) + "/" + std::to_string(key_heads) +
                            " D" + std::to_string(depth);
  cases.push_back({"forward  " + shape,
                   4 * pairs * static_cast<double>(depth),
                   0,
                   [=] { require(graft_attention_forward(c, q, k, v, nullptr, nullptr, scale, 0, 0, 0, o, lse)); },
                   {}});
  cases.push_back(
      {"backward " + shape,
       10 * pairs * static_cast<double>(depth),
       0,
       [=] {
         require(graft_attention_backward(c, dout, q, k, v, o, lse, nullptr, nullptr, scale, 0, 0, 0, dq, dk, dv));
       },
       {}});
}

void add_decode(std::vector<Case>& cases, graft_context* c, graft_dtype t, std::int64_t batches, std::int64_t keys,
                std::int64_t heads, std::int64_t key_heads, std::int64_t depth) {
  auto* q = make(c, t, {batches, 1, heads, depth}, 1);
  auto* k = make(c, t, {batches, keys, key_heads, depth}, 2);
  auto* v = make(c, t, {batches, keys, key_heads, depth}, 3);
  auto* o = make(c, t, {batches, 1, heads, depth}, 5);
  const double bytes = 2.0 * static_cast<double>(batches * keys * key_heads * depth * graft_dtype_bytes(t));
  cases.push_back(
      {std::string("decode   ") + dtype_text(t) + " B" + std::to_string(batches) + " S" + std::to_string(keys) + " H" +
           std::to_string(heads) + "/" + std::to_string(key_heads),
       0,
       bytes,
       [=] { require(graft_attention_forward(c, q, k, v, nullptr, nullptr, 0.125, 0, keys - 1, 0, o, nullptr)); },
       {}});
}

void add_loss(std::vector<Case>& cases, graft_context* c, graft_dtype t, std::int64_t rows, std::int64_t depth,
              std::int64_t vocabulary) {
  auto* h = make(c, t, {rows, depth}, 1);
  auto* w = make(c, t, {vocabulary, depth}, 2);
  auto* dh = make(c, t, {rows, depth}, 3);
  auto* loss = make(c, GRAFT_DTYPE_F32, {1}, 3);
  graft_tensor* labels = nullptr;
  require(graft_tensor_create(c, GRAFT_MEMORY_ACTIVATION, GRAFT_DTYPE_I32, 1, &rows, nullptr, &labels));
  graft_weight* weight = nullptr;
  require(graft_weight_wrap_dense(c, w, &weight));
  cases.push_back(
      {std::string("loss+dh  ") + dtype_text(t) + " T" + std::to_string(rows) + " K" + std::to_string(depth) + " V" +
           std::to_string(vocabulary),
       4.0 * static_cast<double>(rows * depth * vocabulary),
       0,
       [=] {
         require(graft_linear_cross_entropy_forward(c, h, weight, labels, -100, 0, 0, 1, loss, nullptr, dh, nullptr));
       },
       {}});
}

}  // namespace

int main(int count, char** arguments) {
  const int rounds = count > 1 ? std::atoi(arguments[1]) : 7;
  graft_context* c = nullptr;
  require(graft_context_create(GRAFT_DEVICE_CPU, count > 2 ? std::atoi(arguments[2]) : 0, &c));
  std::vector<Case> cases;
  for (graft_dtype t : {GRAFT_DTYPE_F32, GRAFT_DTYPE_BF16}) {
    add_training(cases, c, t, 4, 256, 8, 8, 64);
    add_training(cases, c, t, 1, 2048, 8, 8, 64);
    add_training(cases, c, t, 4, 256, 16, 8, 64);
    add_decode(cases, c, t, 1, 16384, 8, 8, 64);
    add_decode(cases, c, t, 1, 16384, 32, 8, 64);
    add_loss(cases, c, t, 1024, 512, 8192);
  }
  for (int round = 0; round < rounds + 1; ++round) {
    for (Case& item : cases) {
      const auto start = std::chrono::steady_clock::now();
      item.run();
      const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - start;
      if (round > 0) item.seconds.push_back(taken.count());  // the first round warms up
    }
  }
  for (Case& item : cases) {
    std::sort(item.seconds.begin(), item.seconds.end());
    const double median = item.seconds[item.seconds.size() / 2], least = item.seconds[0];
    const double work = item.flops > 0 ? item.flops : item.bytes;
    std::printf("%-36s median %8.3f ms  min %8.3f ms  %7.1f %s at min\n", item.name.c_str(), median * 1e3, least * 1e3,
                work / least * 1e-9, item.flops > 0 ? "GFLOP/s" : "GB/s");
  }
  return 0;
}
