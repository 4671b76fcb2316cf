// What an adapter costs over its frozen layer: forward + backward (dx and the adapter's gradients) against frozen
// forward + dx.
//   layer_benchmark [--rounds N] [--threads N] [--json FILE] [--shape bf16|f32,T,K,N,r]
// Contenders: the frozen layer by plain whole-matrix oneDNN calls with their own threads ("library"), by Graft
// ("frozen"), LoRA without and with dropout, DoRA with the norms of one optimiser step, PaCA of the same rank, 2 % of
// the entries trained (SHiRA), (IA)³ at the inputs and at the outputs, the layer in NF4, frozen and with LoRA (QLoRA),
// and a sketch of 4 bits and 4 groups with its table's gradient. They take turns within each round; a figure is the
// median over rounds of the ratio to "frozen" in the same round, so that a machine that speeds up and slows down does
// not count. The file has all shapes that are done.
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <oneapi/dnnl/dnnl.hpp>
#include <string>
#include <vector>

#include "graft/graft.h"
#include "results_file.h"

namespace {

void check(graft_status status) {
  if (status == GRAFT_OK) return;
  std::fprintf(stderr, "%s: %s\n", graft_status_name(status), graft_last_error());
  std::exit(1);
}

struct Shape {
  graft_dtype dtype;
  std::int64_t t, k, n, r;
};

// Tensors live until the process ends: the benchmark is short, its code shorter.
graft_tensor* matrix(graft_context* c, graft_dtype dtype, std::int64_t rows, std::int64_t columns,
                     std::int64_t pitch = 0) {
  const std::int64_t shape[] = {rows, columns}, stride[] = {pitch == 0 ? columns : pitch, 1};
  graft_tensor* tensor = nullptr;
  check(graft_tensor_create(c, GRAFT_MEMORY_ACTIVATION, dtype, 2, shape, stride, &tensor));
  return tensor;
}

void randomise(graft_context* c, graft_tensor* tensor, std::uint64_t seed) {
  check(graft_random_uniform(c, seed, 0, -1, 1, tensor));
}

struct Contender {
  std::string name;
  std::function<void()> forward, backward;
  std::vector<double> forward_ms, both_ms;
};

class Layer {
 public:
  Layer(graft_context* c, const Shape& s) : c_(c), s_(s) {
    const std::int64_t border = 64;  // room for the rank, and a pitch that keeps rows on 64 bytes
    x_ = matrix(c, s.dtype, s.t, s.k, s.k + border);
    dy_ = matrix(c, s.dtype, s.t, s.n, s.n + border);
    y_ = matrix(c, s.dtype, s.t, s.n, s.n + border);
    dx_ = matrix(c, s.dtype, s.t, s.k, s.k + border);
    low_ = matrix(c, s.dtype, s.t, s.r);
    a_ = matrix(c, GRAFT_DTYPE_F32, s.r, s.k);
    b_ = matrix(c, GRAFT_DTYPE_F32, s.n, s.r);
    da_ = matrix(c, GRAFT_DTYPE_F32, s.r, s.k);
    db_ = matrix(c, GRAFT_DTYPE_F32, s.n, s.r);
    graft_tensor* matrices[] = {x_, dy_, a_, b_};
    for (int i = 0; i < 4; ++i) randomise(c, matrices[i], static_cast<std::uint64_t>(i) + 1);
    check(graft_weight_create_dense(c, GRAFT_MEMORY_BASE, s.dtype, s.n, s.k, 0, &frozen_));
    check(graft_weight_create_dense(c, GRAFT_MEMORY_BASE, s.dtype, s.n, s.k, static_cast<int32_t>(border), &adapted_));
    for (graft_weight* w : {frozen_, adapted_}) {
      graft_tensor dense = w->storage;
      dense.shape[0] = s.n;
      dense.shape[1] = s.k;
      randomise(c, &dense, 9);
    }
    check(graft_lora_pack(c, a_, b_, 2.0, adapted_));
    check(graft_weight_create_nf4(c, GRAFT_MEMORY_BASE, s.n, s.k, 1, &nf4_));
    check(graft_nf4_quantize(c, &frozen_->storage, nf4_));
  }

  Contender library() {
    const auto type = s_.dtype == GRAFT_DTYPE_F32 ? dnnl::memory::data_type::f32 : dnnl::memory::data_type::bf16;
    const auto memory = [&](const graft_tensor* t, std::int64_t rows, std::int64_t columns, bool transposed) {
      const std::int64_t pitch = t->stride[0];
      const dnnl::memory::desc desc = transposed
                                          ? dnnl::memory::desc({columns, rows}, type, dnnl::memory::dims{1, pitch})
                                          : dnnl::memory::desc({rows, columns}, type, dnnl::memory::dims{pitch, 1});
      return dnnl::memory(desc, engine_, t->data);
    };
    const graft_tensor* w = &frozen_->storage;
    const auto call = [&](dnnl::memory a, dnnl::memory b, dnnl::memory c) {
      const dnnl::matmul matmul(dnnl::matmul::primitive_desc(engine_, a.get_desc(), b.get_desc(), c.get_desc()));
      return [=, this] {
        dnnl::stream stream = stream_;
        matmul.execute(stream, {{DNNL_ARG_SRC, a}, {DNNL_ARG_WEIGHTS, b}, {DNNL_ARG_DST, c}});
        stream.wait();
      };
    };
    return {"library",
            call(memory(x_, s_.t, s_.k, false), memory(w, s_.n, s_.k, true), memory(y_, s_.t, s_.n, false)),
            call(memory(dy_, s_.t, s_.n, false), memory(w, s_.n, s_.k, false), memory(dx_, s_.t, s_.k, false)),
            {},
            {}};
  }

  Contender frozen() { return layer("frozen", frozen_); }
  Contender nf4() { return layer("nf4", nf4_); }
  Contender lora(const char* name, double dropout) { return lora(name, adapted_, dropout); }
  Contender qlora() { return lora("nf4 lora", nf4_, 0); }

  Contender layer(const char* name, graft_weight* w) {
    return {name,
            [=, this] { check(graft_linear_forward(c_, x_, w, nullptr, 0, y_)); },
            [=, this] { check(graft_linear_backward(c_, dy_, nullptr, w, 0, dx_, nullptr, nullptr)); },
            {},
            {}};
  }

  Contender lora(const char* name, graft_weight* w, double dropout) {
    return {name,
            [=, this] { check(graft_lora_forward(c_, x_, w, a_, b_, 2.0, nullptr, dropout, 42, 0, 0, y_, low_)); },
            [=, this] {
              check(graft_lora_backward(c_, dy_, x_, low_, w, a_, b_, 2.0, dropout, 42, 0, 0, dx_, da_, db_, nullptr));
            },
            {},
            {}};
  }

  Contender dora() {
    const auto row_lengths = [&] { return vector(GRAFT_DTYPE_F32, s_.n); };
    graft_tensor *squared = row_lengths(), *norm = row_lengths(), *m = row_lengths(), *dm = row_lengths();
    graft_tensor* kept = matrix(c_, s_.dtype, s_.t, s_.n + s_.r);
    check(graft_tensor_fill(c_, 1, m));
    check(graft_dora_squared_norms(c_, adapted_, squared));
    return {"dora",
            [=, this] {
              check(graft_dora_norms(c_, adapted_, squared, a_, b_, 2.0, norm));
              check(graft_dora_forward(c_, x_, adapted_, a_, b_, 2.0, m, norm, nullptr, 0, 0, 0, 0, y_, kept));
            },
            [=, this] {
              check(graft_dora_backward(c_, dy_, x_, kept, adapted_, a_, b_, 2.0, m, norm, 0, 0, 0, 0, dx_, da_, db_,
                                        dm, nullptr));
            },
            {},
            {}};
  }

  Contender ia3(bool inputs) {
    graft_tensor* l = vector(GRAFT_DTYPE_F32, inputs ? s_.k : s_.n);
    graft_tensor* dl = vector(GRAFT_DTYPE_F32, inputs ? s_.k : s_.n);
    graft_tensor* z = inputs ? nullptr : matrix(c_, s_.dtype, s_.t, s_.n);
    randomise(c_, l, 10);
    const auto in = [inputs](graft_tensor* t) { return inputs ? t : nullptr; };
    const auto out = [inputs](graft_tensor* t) { return inputs ? nullptr : t; };
    return {inputs ? "ia3 inputs" : "ia3 outputs",
            [=, this] { check(graft_ia3_forward(c_, x_, frozen_, in(l), out(l), nullptr, 0, y_, z)); },
            [=, this] {
              check(graft_ia3_backward(c_, dy_, in(x_), z, frozen_, in(l), out(l), 0, dx_, in(dl), out(dl), nullptr));
            },
            {},
            {}};
  }

  Contender sketch() {
    const std::int64_t groups = s_.k % 4 == 0 ? 4 : 1, shape[] = {s_.n, groups, 16};
    graft_tensor *table = nullptr, *dtable = nullptr;
    check(graft_tensor_create(c_, GRAFT_MEMORY_ADAPTER, GRAFT_DTYPE_F32, 3, shape, nullptr, &table));
    check(graft_tensor_create(c_, GRAFT_MEMORY_GRADIENT, GRAFT_DTYPE_F32, 3, shape, nullptr, &dtable));
    randomise(c_, table, 5);
    graft_tensor* codes = matrix(c_, GRAFT_DTYPE_U8, s_.n, s_.k);
    std::uint32_t state = 1;
    for (std::int64_t i = 0; i < s_.n * s_.k; ++i)
      static_cast<std::uint8_t*>(codes->data)[i] =
          static_cast<std::uint8_t>((state = state * 1664525 + 1013904223) >> 28);
    graft_weight* w = nullptr;
    check(graft_weight_create_sketch(c_, GRAFT_MEMORY_BASE, table, s_.k, &w));
    check(graft_sketch_pack(c_, codes, w));
    return {"sketch",
            [=, this] { check(graft_linear_forward(c_, x_, w, nullptr, 0, y_)); },
            [=, this] {
              check(graft_linear_backward(c_, dy_, nullptr, w, 0, dx_, nullptr, nullptr));
              check(graft_sketch_table_gradient(c_, dy_, x_, w, dtable));
            },
            {},
            {}};
  }

  Contender sparse() {
    const std::int64_t count = s_.n * s_.k / 50;
    graft_tensor *indices = matrix(c_, GRAFT_DTYPE_I32, 2, count), *dd = vector(GRAFT_DTYPE_F32, count);
    check(graft_sparse_select(c_, GRAFT_SPARSE_ABSOLUTE, &frozen_->storage, nullptr, 1, indices));
    return {"sparse 2 %",
            [=, this] { check(graft_linear_forward(c_, x_, frozen_, nullptr, 0, y_)); },
            [=, this] {
              check(graft_linear_backward(c_, dy_, nullptr, frozen_, 0, dx_, nullptr, nullptr));
              check(graft_sparse_gradient(c_, dy_, x_, indices, dd));
            },
            {},
            {}};
  }

  Contender paca() {
    graft_tensor* indices = vector(GRAFT_DTYPE_I32, s_.r);
    for (std::int64_t j = 0; j < s_.r; ++j)
      static_cast<std::int32_t*>(indices->data)[j] = static_cast<std::int32_t>((7 * j + 3) * s_.k / (7 * s_.r));
    return {"paca",
            [=, this] { check(graft_paca_forward(c_, x_, frozen_, indices, nullptr, 0, y_, low_)); },
            [this] { check(graft_paca_backward(c_, dy_, low_, frozen_, 2.0, 0, dx_, db_, nullptr)); },
            {},
            {}};
  }

 private:
  graft_tensor* vector(graft_dtype dtype, std::int64_t size) {
    const std::int64_t stride = 1;
    graft_tensor* tensor = nullptr;
    check(graft_tensor_create(c_, GRAFT_MEMORY_ADAPTER, dtype, 1, &size, &stride, &tensor));
    return tensor;
  }

  graft_context* c_;
  Shape s_;
  graft_tensor *x_, *dy_, *y_, *dx_, *low_, *a_, *b_, *da_, *db_;
  graft_weight *frozen_ = nullptr, *adapted_ = nullptr, *nf4_ = nullptr;
  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream_{engine_};
};

double quantile(std::vector<double> values, double q) {
  std::sort(values.begin(), values.end());
  return values[static_cast<std::size_t>(q * static_cast<double>(values.size() - 1))];
}

double median_ratio(const std::vector<double>& values, const std::vector<double>& base) {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < values.size(); ++i) ratios.push_back(values[i] / base[i]);
  return quantile(ratios, 0.5);
}

double now_ms() {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

void measure(Contender& contender) {
  // why: the threads of the contender before may still spin; after a pause and a call of its own this one is warm.
  usleep(1000);
  contender.forward();
  contender.backward();
  const double start = now_ms();
  contender.forward();
  const double middle = now_ms();
  contender.backward();
  contender.forward_ms.push_back(middle - start);
  contender.both_ms.push_back(now_ms() - start);
}

std::string first_line(const char* command) {
  std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command, "r"), pclose);
  char line[256] = "";
  if (pipe == nullptr || std::fgets(line, sizeof(line), pipe.get()) == nullptr) return "unknown";
  line[std::strcspn(line, "\n")] = '\0';
  return line;
}

Shape shape_of(const char* text) {
  Shape s{GRAFT_DTYPE_BF16, 0, 0, 0, 0};
  char type[8] = "";
  if (std::sscanf(text, "%7[^,],%ld,%ld,%ld,%ld", type, &s.t, &s.k, &s.n, &s.r) != 5 || s.t <= 0 || s.k <= 0 ||
      s.n <= 0 || s.r <= 0 || s.r > 64 || (std::strcmp(type, "bf16") != 0 && std::strcmp(type, "f32") != 0)) {
    std::fprintf(stderr, "--shape is %s, must be bf16 or f32, then T, K, N and r up to 64: bf16,512,2048,2048,16\n",
                 text);
    std::exit(2);
  }
  if (std::strcmp(type, "f32") == 0) s.dtype = GRAFT_DTYPE_F32;
  return s;
}

std::string isa() {
  if (__builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("amx-bf16")) return "amx";
  if (__builtin_cpu_supports("avx512bf16")) return "avx512_bf16";
  if (__builtin_cpu_supports("avx512f")) return "avx512";
  return __builtin_cpu_supports("avx2") ? "avx2" : "baseline";
}

}  // namespace

int main(int argc, char** argv) {
  // why: libgomp reads its environment when it is loaded; by default its threads spin for long after a call and take
  // the processors from the next contender.
  if (std::getenv("GOMP_SPINCOUNT") == nullptr) {
    setenv("GOMP_SPINCOUNT", "20000", 1);
    execv("/proc/self/exe", argv);
  }
  int rounds = 21, threads = 0;
  std::vector<Shape> shapes{{GRAFT_DTYPE_BF16, 512, 2048, 2048, 16},
                            {GRAFT_DTYPE_BF16, 512, 2048, 5632, 32},
                            {GRAFT_DTYPE_F32, 512, 2048, 2048, 16},
                            {GRAFT_DTYPE_F32, 512, 2048, 5632, 32}};
  std::string only, command;
  ResultsFile results;
  for (int i = 0; i < argc; ++i) command.append(i == 0 ? "" : " ").append(argv[i]);
  for (int i = 1; i < argc; ++i) {
    const std::string option = argv[i];
    if (i + 1 >= argc || (option != "--rounds" && option != "--threads" && option != "--json" && option != "--shape" &&
                          option != "--only")) {
      std::fprintf(stderr,
                   "usage: %s [--rounds N] [--threads N] [--json FILE] [--shape bf16|f32,T,K,N,r] [--only "
                   "CONTENDER,...]\n",
                   argv[0]);
      return 2;
    }
    const char* value = argv[++i];
    if (option == "--json") {
      results.open(value);
    } else if (option == "--only") {
      only = "," + std::string(value) + ",";
    } else if (option == "--shape") {
      shapes = {shape_of(value)};
    } else {
      (option == "--rounds" ? rounds : threads) = std::atoi(value);
    }
  }
  const std::string machine = first_line("sed -n 's/^model name[^:]*: //p' /proc/cpuinfo");
  const std::string commit = first_line("git rev-parse --short HEAD 2>/dev/null");
  std::printf("%s, %s, commit %s, %d rounds\n%-5s %5s %5s %5s %3s  %-16s %9s %9s  %8s %8s\n", machine.c_str(),
              isa().c_str(), commit.c_str(), rounds, "type", "T", "K", "N", "r", "contender", "median ms", "low. qu.",
              "/ frozen", "forward");
  for (const Shape& s : shapes) {
    graft_context* context = nullptr;
    check(graft_context_create(GRAFT_DEVICE_CPU, threads, &context));
    Layer layer(context, s);
    std::vector<Contender> all;
    all.push_back(layer.frozen());
    all.push_back(layer.lora("lora", 0));
    all.push_back(layer.lora("lora dropout 0.1", 0.1));
    all.push_back(layer.dora());
    all.push_back(layer.paca());
    all.push_back(layer.sparse());
    all.push_back(layer.ia3(true));
    all.push_back(layer.ia3(false));
    all.push_back(layer.nf4());
    all.push_back(layer.qlora());
    all.push_back(layer.sketch());
    try {
      all.push_back(layer.library());
    } catch (const dnnl::error& e) {
      std::printf("no line \"library\": it has no such product on this processor (%s)\n", e.what());
    }
    const auto unasked = [&](const Contender& contender) {
      return !only.empty() && contender.name != "frozen" && only.find("," + contender.name + ",") == std::string::npos;
    };
    all.erase(std::remove_if(all.begin(), all.end(), unasked), all.end());
    for (Contender& contender : all) measure(contender);
    for (Contender& contender : all) contender.forward_ms.clear(), contender.both_ms.clear();
    for (int round = 0; round < rounds; ++round)
      for (std::size_t i = 0; i < all.size(); ++i) measure(all[(i + static_cast<std::size_t>(round)) % all.size()]);
    for (const Contender& contender : all) {
      const double median = quantile(contender.both_ms, 0.5), lower = quantile(contender.both_ms, 0.25);
      const double ratio = median_ratio(contender.both_ms, all[0].both_ms);
      const double forward = median_ratio(contender.forward_ms, all[0].forward_ms);
      const char* type = s.dtype == GRAFT_DTYPE_F32 ? "f32" : "bf16";
      std::printf("%-5s %5d %5d %5d %3d  %-16s %9.3f %9.3f  %8.3f %8.3f\n", type, static_cast<int>(s.t),
                  static_cast<int>(s.k), static_cast<int>(s.n), static_cast<int>(s.r), contender.name.c_str(), median,
                  lower, ratio, forward);
      char row[1024];
      std::snprintf(row, sizeof(row),
                    "{\"benchmark\": \"layer\", \"machine\": \"%s\", \"isa\": \"%s\", \"commit\": \"%s\", "
                    "\"command\": \"%s\", \"dtype\": \"%s\", \"T\": %d, \"K\": %d, \"N\": %d, \"r\": %d, "
                    "\"contender\": \"%s\", \"rounds\": %d, \"median_ms\": %.4f, \"lower_quartile_ms\": %.4f, "
                    "\"ratio_to_frozen\": %.4f, \"forward_ratio_to_frozen\": %.4f}",
                    machine.c_str(), isa().c_str(), commit.c_str(), command.c_str(), type, static_cast<int>(s.t),
                    static_cast<int>(s.k), static_cast<int>(s.n), static_cast<int>(s.r), contender.name.c_str(), rounds,
                    median, lower, ratio, forward);
      results.add(row);
    }
    results.write();
    std::fflush(stdout);
  }
  return 0;
}
