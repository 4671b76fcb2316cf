// Products through cuBLASLt's interface: every transpose, pitch and type against float64, and the library that is not
// there. In the emulator the library is a twin, which checks what it is told.
#include "cuda/gemm/gemm.h"

#include "core/error.h"
#include "cuda/gemm/library.h"
#include "schedules.h"

namespace graft::test {
namespace {

using Values = std::vector<double>;

struct Case {
  graft_dtype factors, result;
  std::int64_t m, n, k;
  bool a_transposed, b_transposed, bias;
  double alpha, beta;
  std::int64_t gap;  // behind each row, in elements
};

std::size_t at(std::int64_t row, std::int64_t column, std::int64_t columns) {
  return static_cast<std::size_t>(row * columns + column);
}

/** In T's arithmetic, rounded to the result's type by the caller. */
template <class T>
Values loops(const Case& n, const Values& a, const Values& b, const Values& c, const Values& bias) {
  Values to;
  for (std::int64_t i = 0; i < n.m; ++i) {
    for (std::int64_t j = 0; j < n.n; ++j) {
      T sum = 0;
      for (std::int64_t l = 0; l < n.k; ++l)
        sum += static_cast<T>(a[n.a_transposed ? at(l, i, n.m) : at(i, l, n.k)]) *
               static_cast<T>(b[n.b_transposed ? at(j, l, n.k) : at(l, j, n.n)]);
      sum = static_cast<T>(n.alpha) * sum + static_cast<T>(n.beta) * static_cast<T>(c[at(i, j, n.n)]);
      to.push_back(n.bias ? sum + static_cast<T>(bias[static_cast<std::size_t>(j)]) : sum);
    }
  }
  return to;
}

void compare(const Case& n) {
  SCOPED_TRACE(std::string(name(n.factors)) + " to " + name(n.result) + " M=" + std::to_string(n.m) +
               " N=" + std::to_string(n.n) + " K=" + std::to_string(n.k) + (n.a_transposed ? " Aᵀ" : "") +
               (n.b_transposed ? " Bᵀ" : "") + " gap " + std::to_string(n.gap));
  const Context cuda(GRAFT_DEVICE_CUDA), cpu(1);
  const Shape a_shape = n.a_transposed ? Shape{n.k, n.m} : Shape{n.m, n.k};
  const Shape b_shape = n.b_transposed ? Shape{n.n, n.k} : Shape{n.k, n.n};
  Tensor a = input(cuda, n.factors, n.factors, a_shape, 1, a_shape[1] + n.gap);
  Tensor b = input(cuda, n.factors, n.factors, b_shape, 2, b_shape[1] + n.gap);
  Tensor c = input(cuda, n.result, n.result, {n.m, n.n}, 3, n.n + n.gap),
         bias = input(cuda, n.result, n.result, {n.n}, 4);
  const Values exact = loops<double>(n, a.get(), b.get(), c.get(), bias.get());
  Tensor rounded(cpu, n.result, {n.m, n.n});
  const Values plain = rounded.set(loops<float>(n, a.get(), b.get(), c.get(), bias.get())).get();
  if (n.beta == 0) c.fill(std::nan(""));  // what is there may not be read
  cuda::Gemm g{cuda::factor(*a), cuda::factor(*b), n.factors, c->data, c->stride[0], n.result};
  if (n.a_transposed) g.a = g.a.t();
  if (n.b_transposed) g.b = g.b.t();
  g.alpha = static_cast<float>(n.alpha), g.beta = static_cast<float>(n.beta);
  if (n.bias) g.bias = bias->data;
  for (int again = 0; again < (n.beta == 0 ? 2 : 1); ++again) {  // the second time with the algorithm that was kept
    cuda::run(*static_cast<graft_context*>(cuda), g);
    GRAFT_EXPECT_OK(graft_context_synchronize(cuda));
    expect_as_good(c.get(), plain, exact, unit_roundoff(n.result), "C");
  }
}

TEST(CudaGemm, AgreesWithFloat64) {
  const graft_dtype types[][2] = {{kF32, kF32}, {kBf16, kBf16}, {kF16, kF16}, {kBf16, kF32}, {kF16, kF32}};
  for (const auto& [factors, result] : types) {
    for (bool a_transposed : {false, true}) {
      for (bool b_transposed : {false, true}) {
        compare({factors, result, 5, 7, 3, a_transposed, b_transposed, false, 1, 0, 0});
        compare({factors, result, 33, 40, 65, a_transposed, b_transposed, true, 0.5, 1, 3});
        compare({factors, result, 16, 24, 32, a_transposed, b_transposed, true, 1, 0, 8});
        compare({factors, result, 1, 1, 1, a_transposed, b_transposed, false, -2, 1, 1});
      }
    }
  }
}

TEST(CudaGemm, NothingToDoAndWhatIsNotServed) {
  const Context cuda(GRAFT_DEVICE_CUDA);
  Tensor a(cuda, kF32, {0, 3}), b(cuda, kF32, {3, 4}), c(cuda, kF32, {0, 4});
  cuda::run(*static_cast<graft_context*>(cuda), {cuda::factor(*a), cuda::factor(*b), kF32, c->data, 4, kF32});
  GRAFT_EXPECT_OK(graft_context_synchronize(cuda));
  EXPECT_NE(cuda::refuse_gemm(kF64, kF64).find("f64"), std::string::npos);
  EXPECT_NE(cuda::refuse_gemm(kF32, kBf16).find("neither"), std::string::npos);
  EXPECT_EQ(cuda::refuse_gemm(kBf16, kF32), "");
}

TEST(CudaGemm, ALibraryThatIsMissingIsNamed) {
  const auto refusal = [](std::initializer_list<const char*> names) -> std::string {
    try {
      cuda::lt::open_library(names);
    } catch (const core::Error& error) {
      EXPECT_EQ(error.status(), GRAFT_DEVICE_UNAVAILABLE);
      return error.what();
    }
    return "none";
  };
  const std::string missing = refusal({"libgraft_has_no_such.so.1", "libnor_this.so.2"});
  EXPECT_NE(missing.find("libgraft_has_no_such.so.1"), std::string::npos) << missing;
  EXPECT_NE(missing.find("libnor_this.so.2"), std::string::npos) << missing;
  EXPECT_NE(missing.find("GRAFT_CUBLASLT"), std::string::npos) << missing;
  EXPECT_NE(refusal({"libc.so.6"}).find("libc.so.6 has no function cublasLt"), std::string::npos);
}

}  // namespace
}  // namespace graft::test
