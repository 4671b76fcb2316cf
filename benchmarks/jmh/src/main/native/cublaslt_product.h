// A whole-matrix product by cuBLASLt, what a GPU gives without Graft: by the algorithm that its heuristic names first.
// The library is loaded at run time, and its interface is that of native/src/cuda/gemm/library.h. A row-major matrix is
// the column-major one of its transpose: so yᵀ = op(w)ᵀ xᵀ is asked for. Work goes into CUDA's legacy default stream.
#pragma once

#include <dlfcn.h>

#include <cstdint>
#include <cstdlib>
#include <initializer_list>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "cuda/gemm/library.h"
#include "product.h"

namespace graft::benchmarks {

class CublasLtProduct final : public Product {
  using lt = graft::cuda::lt::Library;

 public:
  /** workspace: bytes of the device at an address that 256 divides, which the product may use. */
  CublasLtProduct(const Operands& o, void* workspace, std::int64_t bytes)
      : x_(o.x), w_(o.w), y_(o.y), workspace_(workspace), bytes_(static_cast<std::size_t>(bytes)) {
    using namespace graft::cuda::lt;
    if (!loaded().missing.empty()) throw std::runtime_error("cuBLASLt: " + loaded().missing);
    const DataType type = o.bf16 ? kReal16BF : kReal32F;
    Operation* operation = nullptr;
    check(library().create_operation(&operation, kCompute32F, kReal32F));
    operation_.reset(operation);
    const Transpose first = o.transposed ? kTransposed : kNotTransposed;
    check(library().set_operation(operation_.get(), kTransposeA, &first, sizeof first));
    w_layout_ = layout(type, o.transposed ? o.n : o.k, o.transposed ? o.k : o.n, o.w_pitch);
    x_layout_ = layout(type, o.rows, o.k, o.x_pitch);
    y_layout_ = layout(type, o.rows, o.n, o.y_pitch);
    choose();
  }

  void run() override {
    const float alpha = 1, beta = 0;
    check(library().multiply(context(), operation_.get(), &alpha, w_, w_layout_.get(), x_, x_layout_.get(), &beta, y_,
                             y_layout_.get(), y_, y_layout_.get(), &found_.algorithm, workspace_,
                             found_.workspace_bytes, nullptr));
  }

  /** Why there is no cuBLASLt; empty where there is. */
  static const char* absence() { return loaded().missing.c_str(); }

 private:
  /** Gives back what the library has made, also where the constructor goes no further. */
  struct Destroy {
    void operator()(graft::cuda::lt::Operation* made) const { library().destroy_operation(made); }
    void operator()(graft::cuda::lt::Layout* made) const { library().destroy_layout(made); }
    void operator()(graft::cuda::lt::Preference* made) const { library().destroy_preference(made); }
  };

  template <class T>
  using Owned = std::unique_ptr<T, Destroy>;

  struct Loaded {
    lt functions{};
    std::string missing;
  };

  static const Loaded& loaded() {
    static const Loaded once = load();
    return once;
  }

  static const lt& library() { return loaded().functions; }

  static Loaded load() {
    Loaded made;
    void* opened = nullptr;
    for (const char* name :
         std::initializer_list<const char*>{std::getenv("GRAFT_BENCHMARK_CUBLASLT"), std::getenv("GRAFT_CUBLASLT"),
                                            "libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so"}) {
      if (name != nullptr && *name != '\0' && opened == nullptr) opened = dlopen(name, RTLD_NOW | RTLD_LOCAL);
    }
    if (opened == nullptr) {
      made.missing = dlerror();
      return made;
    }
    graft::cuda::lt::for_functions(made.functions, [&](const char* name, auto*& function) {
      function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(opened, name));
      if (function == nullptr) made.missing = std::string("it has no function ") + name;
    });
    return made;
  }

  /** One for all products. why never destroyed: at the end of the process the driver may be gone first. */
  static graft::cuda::lt::Context* context() {
    static graft::cuda::lt::Context* const made = [] {
      graft::cuda::lt::Context* created = nullptr;
      check(library().create(&created));
      return created;
    }();
    return made;
  }

  static void check(int status) {
    if (status != 0) throw std::runtime_error(std::string("cuBLASLt: ") + library().describe(status));
  }

  static Owned<graft::cuda::lt::Layout> layout(graft::cuda::lt::DataType type, int64_t rows, int64_t columns,
                                               int64_t pitch) {
    graft::cuda::lt::Layout* made = nullptr;
    check(library().create_layout(&made, type, static_cast<std::uint64_t>(columns), static_cast<std::uint64_t>(rows),
                                  pitch));
    return Owned<graft::cuda::lt::Layout>(made);
  }

  /** The library takes pointers to be multiples of 256, as Graft's tensors on a GPU are. */
  void choose() {
    using namespace graft::cuda::lt;
    Preference* made = nullptr;
    check(library().create_preference(&made));
    const Owned<Preference> preference(made);
    int count = 0;
    check(library().set_preference(made, kMostWorkspaceBytes, &bytes_, sizeof bytes_));
    const std::uint32_t schemes = kReduceInComputeType;
    check(library().set_preference(made, kReductionSchemes, &schemes, sizeof schemes));
    check(library().find_algorithms(context(), operation_.get(), w_layout_.get(), x_layout_.get(), y_layout_.get(),
                                    y_layout_.get(), made, 1, &found_, &count));
    if (count == 0) throw std::runtime_error("cuBLASLt has no algorithm for this product");
    check(found_.status);
  }

  void *x_, *w_, *y_, *workspace_;
  std::size_t bytes_;
  Owned<graft::cuda::lt::Operation> operation_;
  Owned<graft::cuda::lt::Layout> w_layout_, x_layout_, y_layout_;
  graft::cuda::lt::Heuristic found_{};
};

}  // namespace graft::benchmarks
