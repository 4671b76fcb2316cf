#include "gradients.h"

#include <algorithm>
#include <cmath>

namespace graft::test {

double dot(const std::vector<double>& coefficients, const std::vector<double>& values) {
  double sum = 0;
  for (std::size_t i = 0; i < coefficients.size(); ++i) sum += coefficients[i] * values[i];
  return sum;
}

void expect_gradient(Tensor& input, const std::vector<double>& gradient, const std::function<double()>& objective,
                     const std::string& what, std::int64_t samples) {
  ASSERT_EQ(input->dtype, GRAFT_DTYPE_F64) << what;
  ASSERT_EQ(static_cast<std::int64_t>(gradient.size()), input.elements()) << what;
  ASSERT_TRUE(std::any_of(gradient.begin(), gradient.end(), [](double g) { return g != 0; })) << what << ": all zero";
  constexpr double step = 1e-6;
  const std::int64_t stride = std::max<std::int64_t>(1, input.elements() / samples);
  for (std::int64_t i = 0; i < input.elements(); i += stride) {
    double& value = input.f64(i);
    const double kept = value;
    value = kept + step;
    const double above = objective();
    value = kept - step;
    const double below = objective();
    value = kept;
    const double difference = (above - below) / (2 * step), analytic = gradient[static_cast<std::size_t>(i)];
    ASSERT_NEAR(analytic, difference, 1e-5 + 1e-3 * std::fabs(analytic)) << what << ", element " << i;
  }
}

}  // namespace graft::test
