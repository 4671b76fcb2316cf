// What Java binds of all products by other libraries: oneDNN on the CPU, cuBLASLt on a GPU.
#pragma once

#include <cstdint>
#include <memory>

#include "cublaslt_product.h"
#include "onednn_product.h"
#include "product.h"

class graft_plain_product {
 public:
  /** See graft::benchmarks::Operands. workspace: bytes of the GPU at an address that 256 divides; of no use on the CPU.
   */
  graft_plain_product(bool on_gpu, bool bf16, int64_t rows, int64_t k, int64_t n, void* x, int64_t x_pitch, void* w,
                      int64_t w_pitch, bool transposed, void* y, int64_t y_pitch, void* workspace,
                      int64_t workspace_bytes) {
    const graft::benchmarks::Operands operands{bf16, rows, k, n, x, x_pitch, w, w_pitch, transposed, y, y_pitch};
    if (on_gpu)
      product_ = std::make_unique<graft::benchmarks::CublasLtProduct>(operands, workspace, workspace_bytes);
    else
      product_ = std::make_unique<graft::benchmarks::OnednnProduct>(operands);
  }

  void run() { product_->run(); }

  /** The threads that oneDNN takes from now on, where it is built with OpenMP. */
  static void threads(int count) { graft::benchmarks::OnednnProduct::threads(count); }

  /** Why there is no cuBLASLt; empty where there is. */
  static const char* absence() { return graft::benchmarks::CublasLtProduct::absence(); }

 private:
  std::unique_ptr<graft::benchmarks::Product> product_;
};
