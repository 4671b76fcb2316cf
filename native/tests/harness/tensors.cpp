#include "tensors.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <random>
#include <stdexcept>

namespace graft::test {
namespace {

void must(graft_status status) {
  if (status != GRAFT_OK) throw std::runtime_error(graft_last_error());
}

float from_bf16(std::uint16_t bits) { return std::bit_cast<float>(static_cast<std::uint32_t>(bits) << 16); }

std::uint16_t to_bf16(float value) {
  const std::uint32_t u = std::bit_cast<std::uint32_t>(value);
  return static_cast<std::uint16_t>((u + 0x7fffu + ((u >> 16) & 1u)) >> 16);
}

double from_f16(std::uint16_t bits) {
  const int exponent = (bits >> 10) & 31, mantissa = bits & 1023;
  const double magnitude = exponent == 0    ? std::ldexp(mantissa, -24)
                           : exponent == 31 ? (mantissa ? NAN : INFINITY)
                                            : std::ldexp(1024 + mantissa, exponent - 25);
  return bits & 0x8000 ? -magnitude : magnitude;
}

std::uint16_t to_f16(double value) {
  // The nearest of all finite f16 values by bisection over their bit patterns: slow, but nothing to get wrong.
  const std::uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  const double magnitude = std::fabs(value);
  int low = 0, high = 0x7c00;
  while (high - low > 1) {
    const int middle = (low + high) / 2;
    (from_f16(static_cast<std::uint16_t>(middle)) <= magnitude ? low : high) = middle;
  }
  const double below = from_f16(static_cast<std::uint16_t>(low));
  const double above = high == 0x7c00 ? 65536.0 : from_f16(static_cast<std::uint16_t>(high));
  const bool up = magnitude - below > above - magnitude || (magnitude - below == above - magnitude && (low & 1));
  return static_cast<std::uint16_t>(sign | (up ? high : low));
}

}  // namespace

Context::Context(int threads, const char* prefer) {
  must(graft_context_create(GRAFT_DEVICE_CPU, threads, &handle_));
  must(graft_context_prefer(handle_, prefer));
}

Context::Context(graft_device device) { must(graft_context_create(device, 1, &handle_)); }

Context::~Context() { EXPECT_EQ(graft_context_destroy(handle_), GRAFT_OK) << graft_last_error(); }

std::int64_t Context::peak(graft_memory_category category) const {
  std::int64_t peak = 0;
  must(graft_context_memory(handle_, category, nullptr, &peak));
  return peak;
}

Tensor::Tensor(const Context& context, graft_dtype dtype, const Shape& shape, std::int64_t pitch) : context_(&context) {
  const std::int64_t stride[] = {pitch, 1};
  must(graft_tensor_create(context, GRAFT_MEMORY_ACTIVATION, dtype, static_cast<int>(shape.size()), shape.data(),
                           pitch == 0 ? nullptr : stride, &handle_));
}

Tensor::Tensor(Tensor&& other) noexcept : context_(other.context_), handle_(other.handle_) { other.handle_ = nullptr; }

Tensor::~Tensor() { graft_tensor_destroy(*context_, handle_); }

std::int64_t Tensor::elements() const {
  std::int64_t count = 1;
  for (int i = 0; i < handle_->rank; ++i) count *= handle_->shape[i];
  return count;
}

void* Tensor::element(std::int64_t row_major_index) const {
  std::int64_t offset = 0;
  for (int i = handle_->rank - 1; i >= 0; --i) {
    offset += row_major_index % handle_->shape[i] * handle_->stride[i];
    row_major_index /= handle_->shape[i];
  }
  return static_cast<char*>(handle_->data) + offset * graft_dtype_bytes(handle_->dtype);
}

std::vector<double> Tensor::get() const {
  std::vector<double> values(static_cast<std::size_t>(elements()));
  const auto size = static_cast<std::size_t>(graft_dtype_bytes(handle_->dtype));
  std::vector<char> bytes(values.size() * size);
  must(graft_tensor_download(*context_, handle_, bytes.data(), static_cast<std::int64_t>(bytes.size())));
  for (std::size_t i = 0; i < values.size(); ++i) {
    const void* p = bytes.data() + i * size;
    double& value = values[i];
    switch (handle_->dtype) {
      case GRAFT_DTYPE_F32:
        value = *static_cast<const float*>(p);
        break;
      case GRAFT_DTYPE_BF16:
        value = from_bf16(*static_cast<const std::uint16_t*>(p));
        break;
      case GRAFT_DTYPE_F16:
        value = from_f16(*static_cast<const std::uint16_t*>(p));
        break;
      case GRAFT_DTYPE_F64:
        value = *static_cast<const double*>(p);
        break;
      case GRAFT_DTYPE_I32:
        value = *static_cast<const std::int32_t*>(p);
        break;
      case GRAFT_DTYPE_I64:
        value = static_cast<double>(*static_cast<const std::int64_t*>(p));
        break;
      case GRAFT_DTYPE_U8:
        value = *static_cast<const std::uint8_t*>(p);
        break;
    }
  }
  return values;
}

Tensor& Tensor::set(const std::vector<double>& values) {
  if (static_cast<std::int64_t>(values.size()) != elements()) throw std::runtime_error("set: wrong number of values");
  const auto size = static_cast<std::size_t>(graft_dtype_bytes(handle_->dtype));
  std::vector<char> bytes(values.size() * size);
  for (std::size_t i = 0; i < values.size(); ++i) {
    void* p = bytes.data() + i * size;
    const double value = values[i];
    switch (handle_->dtype) {
      case GRAFT_DTYPE_F32:
        *static_cast<float*>(p) = static_cast<float>(value);
        break;
      case GRAFT_DTYPE_BF16:
        *static_cast<std::uint16_t*>(p) = to_bf16(static_cast<float>(value));
        break;
      case GRAFT_DTYPE_F16:
        *static_cast<std::uint16_t*>(p) = to_f16(value);
        break;
      case GRAFT_DTYPE_F64:
        *static_cast<double*>(p) = value;
        break;
      case GRAFT_DTYPE_I32:
        *static_cast<std::int32_t*>(p) = static_cast<std::int32_t>(value);
        break;
      case GRAFT_DTYPE_I64:
        *static_cast<std::int64_t*>(p) = static_cast<std::int64_t>(value);
        break;
      case GRAFT_DTYPE_U8:
        *static_cast<std::uint8_t*>(p) = static_cast<std::uint8_t>(value);
        break;
    }
  }
  must(graft_tensor_upload(*context_, handle_, bytes.data(), static_cast<std::int64_t>(bytes.size())));
  return *this;
}

Tensor& Tensor::random(std::uint64_t seed, double low, double high) {
  std::mt19937_64 engine(seed);
  std::uniform_real_distribution<double> distribution(low, high);
  std::vector<double> values(static_cast<std::size_t>(elements()));
  for (double& value : values) value = distribution(engine);
  return set(values);
}

Tensor& Tensor::integers(std::uint64_t seed, int low, int high) {
  std::mt19937_64 engine(seed);
  std::uniform_int_distribution<int> distribution(low, high);
  std::vector<double> values(static_cast<std::size_t>(elements()));
  for (double& value : values) value = distribution(engine);
  return set(values);
}

Tensor& Tensor::fill(double value) { return set(std::vector<double>(static_cast<std::size_t>(elements()), value)); }

double& Tensor::f64(std::int64_t row_major_index) { return *static_cast<double*>(element(row_major_index)); }

Tensor Tensor::view(std::int64_t offset, const Shape& shape, const Shape& stride) const {
  graft_tensor* handle = nullptr;
  must(graft_tensor_view(*context_, handle_, offset, static_cast<int>(shape.size()), shape.data(), stride.data(),
                         &handle));
  return Tensor(*context_, handle);
}

void fill(std::initializer_list<Tensor*> tensors, bool integers, int bound) {
  std::uint64_t seed = 1;
  for (Tensor* tensor : tensors) integers ? tensor->integers(seed++, -bound, bound) : tensor->random(seed++);
}

Weight::Weight(const Context& context, graft_dtype dtype, std::int64_t n, std::int64_t k, int border)
    : context_(&context) {
  must(graft_weight_create_dense(context, GRAFT_MEMORY_BASE, dtype, n, k, border, &handle_));
}

Weight::Weight(const Context& context, Nf4 nf4, std::int64_t n, std::int64_t k) : context_(&context) {
  must(graft_weight_create_nf4(context, GRAFT_MEMORY_BASE, n, k, nf4.nested, &handle_));
}

Weight::Weight(const Context& context, const Tensor& table, std::int64_t k) : context_(&context) {
  must(graft_weight_create_sketch(context, GRAFT_MEMORY_BASE, table, k, &handle_));
}

std::vector<double> Weight::values(const Context& context, const graft_tensor& part) {
  graft_tensor* handle = nullptr;
  must(graft_tensor_wrap(context, part.data, part.dtype, 1, part.shape, nullptr, &handle));
  return Tensor(context, handle).get();
}

Weight::~Weight() { graft_weight_destroy(*context_, handle_); }

Tensor Weight::matrix() const {
  graft_tensor* handle = nullptr;
  const std::int64_t shape[] = {handle_->n, handle_->k}, stride[] = {handle_->storage.stride[0], 1};
  must(graft_tensor_wrap(*context_, handle_->storage.data, handle_->storage.dtype, 2, shape, stride, &handle));
  return Tensor(*context_, handle);
}

double unit_roundoff(graft_dtype dtype) {
  switch (dtype) {
    case GRAFT_DTYPE_BF16:
      return 0x1p-8;
    case GRAFT_DTYPE_F16:
      return 0x1p-11;
    case GRAFT_DTYPE_F64:
      return 0x1p-53;
    default:
      return 0x1p-24;
  }
}

const char* name(graft_dtype dtype) {
  static const char* const names[] = {"f32", "bf16", "f16", "f64", "i32", "i64", "u8"};
  return names[dtype];
}

void expect_close(const std::vector<double>& actual, const std::vector<double>& expected, double tolerance,
                  const std::string& what, double scale) {
  ASSERT_EQ(actual.size(), expected.size()) << what;
  double largest = scale;
  std::size_t non_zero = 0;
  for (double value : expected) {
    largest = std::max(largest, std::fabs(value));
    non_zero += value != 0;
  }
  EXPECT_TRUE(expected.empty() || non_zero * 4 >= expected.size()) << what << ": mistrusted, nearly all zero";
  for (std::size_t i = 0; i < actual.size(); ++i) {
    if (!(std::fabs(actual[i] - expected[i]) <= tolerance * largest + 1e-300) && actual[i] != expected[i]) {
      FAIL() << what << ": element " << i << " of " << actual.size() << " is " << actual[i] << ", expected "
             << expected[i] << ", error " << std::fabs(actual[i] - expected[i]) << " > " << tolerance << " * "
             << largest;
    }
  }
}

void expect_error(graft_status actual, graft_status expected, const std::vector<std::string>& words) {
  EXPECT_EQ(graft_status_name(actual), std::string(graft_status_name(expected))) << graft_last_error();
  for (const std::string& word : words)
    EXPECT_NE(std::string(graft_last_error()).find(word), std::string::npos)
        << "\"" << graft_last_error() << "\" does not name " << word;
}

}  // namespace graft::test
