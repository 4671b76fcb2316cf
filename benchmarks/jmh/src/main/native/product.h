// A product of whole matrices as a library of somebody else computes it; the operands are the same for all libraries.
#pragma once

#include <cstdint>

namespace graft::benchmarks {

/** y [rows, n] = x [rows, k] · w, all row-major with a pitch in elements: w [n, k] transposed, or w [k, n] as it is. */
struct Operands {
  bool bf16;  // else f32
  std::int64_t rows, k, n;
  void* x;
  std::int64_t x_pitch;
  void* w;
  std::int64_t w_pitch;
  bool transposed;
  void* y;
  std::int64_t y_pitch;
};

class Product {
 public:
  virtual ~Product() = default;
  /** Computes, or puts the product into the stream. */
  virtual void run() = 0;
};

}  // namespace graft::benchmarks
