// What the machine gives without Graft: a whole-matrix product by oneDNN with its own threads, the line that frozen
// layers are held against, and a copy of memory by plain threads; together the roofline.
#pragma once

#include <dlfcn.h>

#include <cstdint>
#include <cstring>
#include <oneapi/dnnl/dnnl.hpp>
#include <thread>
#include <vector>

/** y [rows, n] = x [rows, k] · w, all row-major with a pitch: w [n, k] transposed, or w [k, n] as it is. */
class graft_plain_gemm {
 public:
  graft_plain_gemm(bool bf16, int64_t rows, int64_t k, int64_t n, void* x, int64_t x_pitch, void* w, int64_t w_pitch,
                   bool transposed, void* y, int64_t y_pitch)
      : engine_(dnnl::engine::kind::cpu, 0),
        stream_(engine_),
        x_(memory(bf16, {rows, k}, {x_pitch, 1}, x)),
        w_(memory(bf16, {k, n}, transposed ? dnnl::memory::dims{1, w_pitch} : dnnl::memory::dims{w_pitch, 1}, w)),
        y_(memory(bf16, {rows, n}, {y_pitch, 1}, y)),
        matmul_(dnnl::matmul::primitive_desc(engine_, x_.get_desc(), w_.get_desc(), y_.get_desc())) {}

  void run() {
    matmul_.execute(stream_, {{DNNL_ARG_SRC, x_}, {DNNL_ARG_WEIGHTS, w_}, {DNNL_ARG_DST, y_}});
    stream_.wait();
  }

  /** The threads that oneDNN takes from now on, where it is built with OpenMP. */
  static void threads(int count) {
    // why: the OpenMP of oneDNN's jar is in the process and in no library path that the linker knows.
    const auto set = reinterpret_cast<void (*)(int)>(dlsym(RTLD_DEFAULT, "omp_set_num_threads"));
    if (set != nullptr) set(count);
  }

  /** Copies so many bytes, each thread its part. */
  static void copy(const void* from, void* to, int64_t bytes, int threads) {
    std::vector<std::thread> others;
    const int64_t part = (bytes / threads + 63) / 64 * 64;
    const auto work = [=](int thread) {
      const int64_t start = part * thread, end = thread == threads - 1 ? bytes : start + part;
      if (start < end)
        std::memcpy(static_cast<char*>(to) + start, static_cast<const char*>(from) + start,
                    static_cast<std::size_t>(end - start));
    };
    for (int thread = 1; thread < threads; ++thread) others.emplace_back(work, thread);
    work(0);
    for (std::thread& thread : others) thread.join();
  }

 private:
  dnnl::memory memory(bool bf16, const dnnl::memory::dims& shape, const dnnl::memory::dims& strides, void* data) {
    const auto type = bf16 ? dnnl::memory::data_type::bf16 : dnnl::memory::data_type::f32;
    return dnnl::memory(dnnl::memory::desc(shape, type, strides), engine_, data);
  }

  dnnl::engine engine_;
  dnnl::stream stream_;
  dnnl::memory x_, w_, y_;
  dnnl::matmul matmul_;
};
