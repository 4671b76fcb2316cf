// Golden results: safetensors files of native/tests/golden, made with PyTorch in float64.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "tensors.h"

namespace graft::test {

struct GoldenTensor {
  Shape shape;
  std::vector<double> values;
};

/** All tensors of golden/<path>, e.g. "rms_norm/small.safetensors". Throws std::runtime_error. */
std::map<std::string, GoldenTensor> golden(const std::string& path);

/** Paths ("rms_norm/….safetensors") of an operator's files, sorted. Never empty: throws instead. */
std::vector<std::string> golden_files(const std::string& op);

/** A tensor of the context with a golden tensor's shape and values. A scalar becomes [1]. */
Tensor load(const Context& context, graft_dtype dtype, const GoldenTensor& golden);

}  // namespace graft::test
