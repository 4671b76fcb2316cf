// What every native test needs: contexts and tensors that clean up after themselves, values as double, random and
// integer fills, and comparison by an error bound.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "graft/graft.h"

namespace graft::test {

using Shape = std::vector<std::int64_t>;

inline constexpr graft_dtype kF32 = GRAFT_DTYPE_F32, kF64 = GRAFT_DTYPE_F64, kBf16 = GRAFT_DTYPE_BF16,
                             kF16 = GRAFT_DTYPE_F16, kI32 = GRAFT_DTYPE_I32, kI64 = GRAFT_DTYPE_I64;

/** The dtype of parameters and of their gradients beside activations of `dtype`. */
inline graft_dtype sums_of(graft_dtype dtype) { return dtype == kF64 ? kF64 : kF32; }

class Context {
 public:
  explicit Context(int threads = 2, const char* prefer = nullptr);
  explicit Context(graft_device device);
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  operator graft_context*() const { return handle_; }
  std::int64_t peak(graft_memory_category category) const;
  std::string last_dispatch() const { return graft_context_last_dispatch(handle_); }

 private:
  graft_context* handle_ = nullptr;
};

/** A tensor with memory of its own, zeroed. A matrix may get a pitch (0: row-major). */
class Tensor {
 public:
  Tensor(const Context& context, graft_dtype dtype, const Shape& shape, std::int64_t pitch = 0);
  Tensor(Tensor&& other) noexcept;
  Tensor(const Tensor&) = delete;
  ~Tensor();
  operator graft_tensor*() const { return handle_; }
  graft_tensor* operator->() const { return handle_; }

  std::int64_t elements() const;
  /** Row-major values; set converts (rounding to the dtype). */
  std::vector<double> get() const;
  Tensor& set(const std::vector<double>& values);
  Tensor& random(std::uint64_t seed, double low = -1, double high = 1);
  Tensor& integers(std::uint64_t seed, int low = -2, int high = 2);  // exact in every dtype
  Tensor& fill(double value);
  double& f64(std::int64_t row_major_index);  // f64 tensors only: for finite differences

  /** A view [shape] with strides from an element offset; the parent must outlive it. */
  Tensor view(std::int64_t offset, const Shape& shape, const Shape& stride) const;

 private:
  friend class Weight;
  Tensor(const Context& context, graft_tensor* handle) : context_(&context), handle_(handle) {}
  void* element(std::int64_t row_major_index) const;
  const Context* context_;
  graft_tensor* handle_ = nullptr;
};

/** Fills the tensors by the seeds 1, 2, …: numbers of -1..1, or integers of -bound..bound. */
void fill(std::initializer_list<Tensor*> tensors, bool integers = false, int bound = 2);

/** Asks for an NF4 weight; with `nested` its scales are quantised too. */
struct Nf4 {
  bool nested;
};

class Weight {
 public:
  Weight(const Context& context, Nf4 nf4, std::int64_t n, std::int64_t k);
  /** A sketch over this table [n, groups, entries]. */
  Weight(const Context& context, const Tensor& table, std::int64_t k);
  Weight(const Context& context, graft_dtype dtype, std::int64_t n, std::int64_t k, int border = 0);
  ~Weight();
  Weight(const Weight&) = delete;
  operator graft_weight*() const { return handle_; }
  graft_weight* operator->() const { return handle_; }
  Tensor matrix() const;  // view [n, k] of a dense one
  /** A copy of the vector `part`, e.g. w->absmax. */
  static std::vector<double> values(const Context& context, const graft_tensor& part);

 private:
  const Context* context_;
  graft_weight* handle_ = nullptr;
};

/** x [t, k] and y [t, n] and their gradients, all with a pitch. */
struct Activations {
  Activations(const Context& c, graft_dtype dtype, std::int64_t t, std::int64_t k, std::int64_t n)
      : x(c, dtype, {t, k}, k + 3),
        y(c, dtype, {t, n}, n + 1),
        dy(c, dtype, {t, n}, n + 2),
        dx(c, dtype, {t, k}, k + 1) {}
  Tensor x, y, dy, dx;
};

/** Unit roundoff of a float dtype: 2^-24, 2^-8, 2^-11, 2^-53. */
double unit_roundoff(graft_dtype dtype);
const char* name(graft_dtype dtype);

/** |actual - expected| <= tolerance·max(max|expected|, scale), element by element; says where it fails. `scale` is the
 * size of the terms that cancel, where they do. Fails too when nearly all expected values are zero (a test that could
 * not fail). */
void expect_close(const std::vector<double>& actual, const std::vector<double>& expected, double tolerance,
                  const std::string& what, double scale = 0);

/** run(context) gives the same bits on 1, 2 and 4 threads. */
template <class Run>
void expect_same_bits(Run&& run, const std::string& what = "") {
  const auto one = run(Context(1));
  for (int threads : {2, 4}) EXPECT_TRUE(run(Context(threads)) == one) << what << ", " << threads << " threads";
}

/** The call fails with this status, and the text holds each of these words. */
void expect_error(graft_status actual, graft_status expected, const std::vector<std::string>& words);

#define GRAFT_EXPECT_OK(call) EXPECT_EQ(call, GRAFT_OK) << graft_last_error()
#define GRAFT_ASSERT_OK(call) ASSERT_EQ(call, GRAFT_OK) << graft_last_error()

}  // namespace graft::test
