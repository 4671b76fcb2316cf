// A whole-matrix product by oneDNN with its own threads: the line that frozen layers are held against on the CPU.
#pragma once

#include <dlfcn.h>

#include <cstdint>
#include <oneapi/dnnl/dnnl.hpp>

#include "product.h"

namespace graft::benchmarks {

class OnednnProduct final : public Product {
 public:
  explicit OnednnProduct(const Operands& o)
      : engine_(dnnl::engine::kind::cpu, 0),
        stream_(engine_),
        x_(memory(o.bf16, {o.rows, o.k}, {o.x_pitch, 1}, o.x)),
        w_(memory(o.bf16, {o.k, o.n},
                  o.transposed ? dnnl::memory::dims{1, o.w_pitch} : dnnl::memory::dims{o.w_pitch, 1}, o.w)),
        y_(memory(o.bf16, {o.rows, o.n}, {o.y_pitch, 1}, o.y)),
        matmul_(dnnl::matmul::primitive_desc(engine_, x_.get_desc(), w_.get_desc(), y_.get_desc())) {}

  void run() override {
    matmul_.execute(stream_, {{DNNL_ARG_SRC, x_}, {DNNL_ARG_WEIGHTS, w_}, {DNNL_ARG_DST, y_}});
    stream_.wait();
  }

  /** The threads that oneDNN takes from now on, where it is built with OpenMP. */
  static void threads(int count) {
    // why: the OpenMP of oneDNN's jar is in the process and in no library path that the linker knows.
    const auto set = reinterpret_cast<void (*)(int)>(dlsym(RTLD_DEFAULT, "omp_set_num_threads"));
    if (set != nullptr) set(count);
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

}  // namespace graft::benchmarks
