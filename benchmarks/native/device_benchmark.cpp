// Times ops on a CUDA device beside the frozen dense layer of the same shape: few rows from codes (decoding of tokens),
// layers of weights of codes, the gradient of a sketch's tables, PaCA in place and beside NF4, (IA)³, DoRA and LoRA. On
// a device of compute capability 9.0, "sm90 …" is the same contender by Graft's own main loops (GRAFT_SM90,
// docs/cuda.md), where they serve it.
//     device_benchmark [--rounds N] [--json FILE] [--shape K,N]
// A round gives every contender a turn of several calls, one after another in the stream, over weights that together
// are larger than the L2, and waits once; a figure is the median over rounds. GB/s counts the bytes that a contender
// must move at least (codes, scales, tables, W; x, y and their like), so that it says how near to the memory it is.
// Without a CUDA device it says why and does nothing.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "graft/graft.h"
#include "results_file.h"

namespace {

constexpr std::int64_t kColdBytes = std::int64_t{256} << 20;  // more than any L2
constexpr std::int64_t kRank = 16, kGroups = 4;

void check(graft_status status) {
  if (status == GRAFT_OK) return;
  std::fprintf(stderr, "%s: %s\n", graft_status_name(status), graft_last_error());
  std::exit(1);
}

struct Case {
  std::string name;
  std::int64_t rows;
  double flops, bytes;
  std::function<void(std::size_t)> run;  // over the weights of this number, from 0
  std::vector<double> seconds;
  bool sm90 = false;
};

/** What runs from here on is, or is not, by the main loops for compute capability 9.0. */
void switch_sm90(bool on) { setenv("GRAFT_SM90", on ? "1" : "0", 1); }

/** Everything of one shape; it lives until the process ends. */
class Layer {
 public:
  Layer(graft_context* c, std::int64_t k, std::int64_t n)
      : c_(c),
        k_(k),
        n_(n),
        copies_(static_cast<std::size_t>(std::min<std::int64_t>(kColdBytes / (n * k / 2) + 1, 64))) {
    check(graft_context_create(GRAFT_DEVICE_CPU, 0, &host_));
    dense_.resize(std::max<std::size_t>(copies_ / 4, 2)), nf4_.resize(copies_), sketch_.resize(copies_);
    for (graft_weight*& w : dense_) {
      check(graft_weight_create_dense(c, GRAFT_MEMORY_BASE, GRAFT_DTYPE_BF16, n, k, 64, &w));
      graft_tensor matrix = w->storage;
      matrix.shape[0] = n, matrix.shape[1] = k;
      check(graft_random_uniform(c, 1, 0, -1, 1, &matrix));
    }
    make_codes();
    a_ = tensor(GRAFT_DTYPE_F32, {kRank, k}), b_ = tensor(GRAFT_DTYPE_F32, {n, kRank});
    da_ = tensor(GRAFT_DTYPE_F32, {kRank, k}), db_ = tensor(GRAFT_DTYPE_F32, {n, kRank});
    m_ = tensor(GRAFT_DTYPE_F32, {n}), norm_ = tensor(GRAFT_DTYPE_F32, {n}), dm_ = tensor(GRAFT_DTYPE_F32, {n});
    l_ = tensor(GRAFT_DTYPE_F32, {k}), dl_ = tensor(GRAFT_DTYPE_F32, {k}), indices_ = tensor(GRAFT_DTYPE_I32, {kRank});
    std::vector<std::int32_t> indices;
    for (std::int64_t j = 0; j < kRank; ++j)
      indices.push_back(static_cast<std::int32_t>((7 * j + 3) * k / (7 * kRank)));
    check(graft_tensor_upload(c, indices_, indices.data(), kRank * 4));
    check(graft_tensor_fill(c, 1, norm_));
  }

  std::vector<Case> cases() {
    std::vector<Case> all;
    for (std::int64_t rows : {1, 4, 8, 16, 17, 2048}) {
      forward(all, "dense", rows, dense_, 2.0 * double(n_ * k_));
      forward(all, "nf4", rows, nf4_, double(n_ * k_) * (0.5 + 1.0 / 64));
      forward(all, "sketch", rows, sketch_, double(n_ * k_) * 0.5 + 64.0 * double(n_ * kGroups));
    }
    training(all, 2048);
    return all;
  }

 private:
  graft_tensor* tensor(graft_dtype dtype, std::vector<std::int64_t> shape, std::vector<std::int64_t> stride = {}) {
    graft_tensor* made = nullptr;
    check(graft_tensor_create(c_, GRAFT_MEMORY_ACTIVATION, dtype, static_cast<std::int32_t>(shape.size()), shape.data(),
                              stride.empty() ? nullptr : stride.data(), &made));
    if (dtype != GRAFT_DTYPE_I32 && dtype != GRAFT_DTYPE_U8) check(graft_random_uniform(c_, 2, 0, -1, 1, made));
    return made;
  }

  static std::int64_t bytes_of(const graft_tensor& t) {
    std::int64_t bytes = graft_dtype_bytes(t.dtype);
    for (int i = 0; i < t.rank; ++i) bytes *= t.shape[i];
    return bytes;
  }

  void copy(const graft_tensor& from, graft_tensor& to) {
    check(graft_tensor_upload(c_, &to, from.data, bytes_of(from)));
  }

  /** The codes are made once, by the host. */
  void make_codes() {
    graft_weight *quantised = nullptr, *packed = nullptr;
    graft_tensor *matrix = nullptr, *codes = nullptr, *table = nullptr;
    const std::int64_t shape[] = {n_, k_}, tables[] = {n_, kGroups, 16};
    check(graft_tensor_create(host_, GRAFT_MEMORY_BASE, GRAFT_DTYPE_F32, 2, shape, nullptr, &matrix));
    check(graft_tensor_create(host_, GRAFT_MEMORY_BASE, GRAFT_DTYPE_U8, 2, shape, nullptr, &codes));
    check(graft_tensor_create(host_, GRAFT_MEMORY_BASE, GRAFT_DTYPE_F32, 3, tables, nullptr, &table));
    check(graft_random_uniform(host_, 1, 0, -1, 1, matrix));
    for (std::int64_t i = 0; i < n_ * k_; ++i)
      static_cast<std::uint8_t*>(codes->data)[i] =
          static_cast<std::uint8_t>(static_cast<float*>(matrix->data)[i] * 8 + 8) & 15;
    check(graft_weight_create_nf4(host_, GRAFT_MEMORY_BASE, n_, k_, 1, &quantised));
    check(graft_nf4_quantize(host_, matrix, quantised));
    check(graft_weight_create_sketch(host_, GRAFT_MEMORY_BASE, table, k_, &packed));
    check(graft_sketch_pack(host_, codes, packed));
    table_ = tensor(GRAFT_DTYPE_F32, {n_, kGroups, 16}), dtable_ = tensor(GRAFT_DTYPE_F32, {n_, kGroups, 16});
    for (std::size_t i = 0; i < copies_; ++i) {
      check(graft_weight_create_nf4(c_, GRAFT_MEMORY_BASE, n_, k_, 1, &nf4_[i]));
      copy(quantised->storage, nf4_[i]->storage), copy(quantised->absmax, nf4_[i]->absmax);
      copy(quantised->nested_absmax, nf4_[i]->nested_absmax), copy(quantised->nested_offset, nf4_[i]->nested_offset);
      check(graft_weight_create_sketch(c_, GRAFT_MEMORY_BASE, table_, k_, &sketch_[i]));
      copy(packed->storage, sketch_[i]->storage);
    }
    for (graft_tensor* t : {matrix, codes, table}) check(graft_tensor_destroy(host_, t));
    for (graft_weight* w : {quantised, packed}) check(graft_weight_destroy(host_, w));
  }

  void forward(std::vector<Case>& all, const char* name, std::int64_t rows, const std::vector<graft_weight*>& weights,
               double weight_bytes) {
    graft_tensor *x = tensor(GRAFT_DTYPE_BF16, {rows, k_}), *y = tensor(GRAFT_DTYPE_BF16, {rows, n_});
    all.push_back(
        {std::string(name) + " forward",
         rows,
         2.0 * double(rows * n_ * k_),
         weight_bytes + 2.0 * double(rows * (n_ + k_)),
         [=, this](std::size_t i) { check(graft_linear_forward(c_, x, weights[i % weights.size()], nullptr, 0, y)); },
         {}});
  }

  void training(std::vector<Case>& all, std::int64_t t) {
    const std::int64_t px = k_ + 64, py = n_ + 64;
    graft_tensor *x = tensor(GRAFT_DTYPE_BF16, {t, k_}, {px, 1}), *y = tensor(GRAFT_DTYPE_BF16, {t, n_}, {py, 1});
    graft_tensor *dy = tensor(GRAFT_DTYPE_BF16, {t, n_}, {py, 1}), *dx = tensor(GRAFT_DTYPE_BF16, {t, k_}, {px, 1});
    graft_tensor *s = tensor(GRAFT_DTYPE_BF16, {t, kRank}), *kept = tensor(GRAFT_DTYPE_BF16, {t, n_ + kRank});
    const double layer = 4.0 * double(t * n_ * k_), low = 12.0 * double(t * kRank * (n_ + k_)) / 2;
    const double moved = 4.0 * double(n_ * k_) + 4.0 * double(t * (n_ + k_));
    graft_weight* const w = dense_[0];
    const auto add = [&](const char* name, double flops, std::function<void()> run) {
      all.push_back({name, t, flops, moved, [run](std::size_t) { run(); }, {}});
    };
    const auto backward = [=, this](graft_weight* of) {
      check(graft_linear_forward(c_, x, of, nullptr, 0, y));
      check(graft_linear_backward(c_, dy, nullptr, of, 0, dx, nullptr, nullptr));
    };
    add("dense step", layer, [=] { backward(w); });
    add("nf4 step", layer, [=, this] { backward(nf4_[0]); });
    add("sketch step", layer * 1.5, [=, this] {
      backward(sketch_[0]);
      check(graft_sketch_table_gradient(c_, dy, x, sketch_[0], dtable_));
    });
    add("sketch table gradient", layer / 2,
        [=, this] { check(graft_sketch_table_gradient(c_, dy, x, sketch_[0], dtable_)); });
    for (graft_weight* of : {w, nf4_[0]}) {
      add(of == w ? "lora forward" : "nf4 lora forward", (layer + low) / 2,
          [=, this] { check(graft_lora_forward(c_, x, of, a_, b_, 2, nullptr, 0, 1, 0, 0, y, s)); });
      all.back().bytes = moved / 2;
      add(of == w ? "lora step" : "nf4 lora step", layer + low, [=, this] {
        check(graft_lora_forward(c_, x, of, a_, b_, 2, nullptr, 0, 1, 0, 0, y, s));
        check(graft_lora_backward(c_, dy, x, s, of, a_, b_, 2, 0, 1, 0, 0, dx, da_, db_, nullptr));
      });
    }
    add("dora step", layer + low, [=, this] {
      check(graft_dora_forward(c_, x, w, a_, b_, 2, m_, norm_, nullptr, 0, 1, 0, 0, y, kept));
      check(graft_dora_backward(c_, dy, x, kept, w, a_, b_, 2, m_, norm_, 0, 1, 0, 0, dx, da_, db_, dm_, nullptr));
    });
    add("paca step", layer + 2.0 * double(t * n_ * kRank), [=, this] {
      check(graft_paca_forward(c_, x, w, indices_, nullptr, 0, y, s));
      check(graft_paca_backward(c_, dy, s, w, 2, 0, dx, db_, nullptr));
    });
    add("nf4 paca step", layer + 6.0 * double(t * n_ * kRank), [=, this] {
      check(graft_paca_slab_forward(c_, x, nf4_[0], indices_, b_, 2, nullptr, 0, y, s));
      check(graft_paca_slab_backward(c_, dy, s, nf4_[0], indices_, b_, 2, 0, dx, db_, nullptr));
    });
    add("ia3 step", layer, [=, this] {
      check(graft_ia3_forward(c_, x, w, l_, nullptr, nullptr, 0, y, nullptr));
      check(graft_ia3_backward(c_, dy, x, nullptr, w, l_, nullptr, 0, dx, dl_, nullptr, nullptr));
    });
  }

  graft_context *c_, *host_ = nullptr;
  std::int64_t k_, n_;
  std::size_t copies_;
  std::vector<graft_weight*> dense_, nf4_, sketch_;
  graft_tensor *a_, *b_, *da_, *db_, *m_, *norm_, *dm_, *l_, *dl_, *indices_, *table_ = nullptr, *dtable_ = nullptr;
};

double seconds() { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

void measure(graft_context* c, Case& of) {
  const std::size_t calls = of.rows > 64 ? 4 : 64;
  switch_sm90(of.sm90);
  of.run(0);
  check(graft_context_synchronize(c));
  const double start = seconds();
  for (std::size_t i = 0; i < calls; ++i) of.run(i);
  check(graft_context_synchronize(c));
  of.seconds.push_back((seconds() - start) / static_cast<double>(calls));
}

/** The contenders of many rows once more, where the last op of one is served by the other main loops. */
void add_sm90(graft_context* c, std::vector<Case>& cases) {
  const std::vector<Case> known = cases;
  switch_sm90(true);
  for (const Case& of : known) {
    if (of.rows <= 16) continue;
    of.run(0);
    if (std::strstr(graft_context_last_dispatch(c), "/sm90") == nullptr) continue;
    cases.push_back(of);
    cases.back().name = "sm90 " + of.name;
    cases.back().sm90 = true;
  }
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  int rounds = 21;
  long k = 4096, n = 4096;
  ResultsFile results;
  for (int i = 1; i < argc; ++i) {
    const std::string option = argv[i];
    const char* value = i + 1 < argc ? argv[++i] : "";
    if (option == "--rounds")
      rounds = std::atoi(value);
    else if (option == "--json")
      results.open(value);
    else if (option != "--shape" || std::sscanf(value, "%ld,%ld", &k, &n) != 2 || k % 256 != 0 || n < 1)
      rounds = 0;
    if (rounds < 1 || k < 256) {
      std::fprintf(stderr, "usage: %s [--rounds N] [--json FILE] [--shape K,N], K a multiple of 256\n", argv[0]);
      return 2;
    }
  }
  graft_context* context = nullptr;
  if (graft_context_create(GRAFT_DEVICE_CUDA, 0, &context) != GRAFT_OK) {
    std::printf("nothing to measure: %s\n", graft_last_error());
    return 0;
  }
  Layer layer(context, k, n);
  std::vector<Case> cases = layer.cases();
  add_sm90(context, cases);
  for (int round = 0; round < rounds; ++round)
    for (Case& of : cases) measure(context, of);
  std::printf("K=%ld N=%ld bf16, rank %ld, %ld groups, %d rounds\n%-26s %6s %10s %9s %9s\n", k, n, long{kRank},
              long{kGroups}, rounds, "contender", "T", "us", "GB/s", "TFLOP/s");
  for (const Case& of : cases) {
    const double time = median(of.seconds);
    std::printf("%-26s %6ld %10.2f %9.1f %9.2f\n", of.name.c_str(), long{of.rows}, time * 1e6, of.bytes / time / 1e9,
                of.flops / time / 1e12);
    char row[512];
    std::snprintf(row, sizeof row,
                  "{\"benchmark\": \"device\", \"contender\": \"%s\", \"dtype\": \"bf16\", \"T\": %ld, \"K\": %ld, "
                  "\"N\": %ld, \"rounds\": %d, \"median_us\": %.3f, \"gb_per_s\": %.2f, \"tflop_per_s\": %.3f}",
                  of.name.c_str(), long{of.rows}, k, n, rounds, time * 1e6, of.bytes / time / 1e9,
                  of.flops / time / 1e12);
    results.add(row);
  }
  results.write();
  return 0;
}
