#include "golden.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <stdexcept>

namespace graft::test {
namespace {

template <class T>
std::vector<double> widen(const std::string& bytes, std::size_t first, std::size_t last) {
  std::vector<double> values((last - first) / sizeof(T));
  for (std::size_t i = 0; i < values.size(); ++i) {
    T value;
    std::memcpy(&value, bytes.data() + first + i * sizeof(T), sizeof(T));
    values[i] = static_cast<double>(value);
  }
  return values;
}

}  // namespace

std::map<std::string, GoldenTensor> golden(const std::string& path) {
  std::ifstream file(std::string(GRAFT_GOLDEN_DIR) + "/" + path, std::ios::binary);
  if (!file) throw std::runtime_error("no golden file " + path);
  std::stringstream stream;
  stream << file.rdbuf();
  const std::string bytes = stream.str();
  std::uint64_t header = 0;
  std::memcpy(&header, bytes.data(), 8);
  const auto json = nlohmann::json::parse(bytes.substr(8, header));
  std::map<std::string, GoldenTensor> tensors;
  for (const auto& [key, entry] : json.items()) {
    if (key == "__metadata__") continue;
    const std::string dtype = entry.at("dtype");
    const std::size_t first = 8 + header + entry.at("data_offsets").at(0).get<std::size_t>();
    const std::size_t last = 8 + header + entry.at("data_offsets").at(1).get<std::size_t>();
    GoldenTensor tensor{entry.at("shape").get<Shape>(), {}};
    if (dtype == "F32") {
      tensor.values = widen<float>(bytes, first, last);
    } else if (dtype == "F64") {
      tensor.values = widen<double>(bytes, first, last);
    } else if (dtype == "I64") {
      tensor.values = widen<std::int64_t>(bytes, first, last);
    } else if (dtype == "I32") {
      tensor.values = widen<std::int32_t>(bytes, first, last);
    } else if (dtype == "U8") {
      tensor.values = widen<std::uint8_t>(bytes, first, last);
    } else {
      throw std::runtime_error(path + ": " + key + " has dtype " + dtype);
    }
    tensors[key] = tensor;
  }
  return tensors;
}

std::vector<std::string> golden_files(const std::string& op) {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(std::string(GRAFT_GOLDEN_DIR) + "/" + op))
    files.push_back(op + "/" + entry.path().filename().string());
  if (files.empty()) throw std::runtime_error("no golden files for " + op);
  std::sort(files.begin(), files.end());
  return files;
}

Tensor load(const Context& context, graft_dtype dtype, const GoldenTensor& golden) {
  Tensor tensor(context, dtype, golden.shape.empty() ? Shape{1} : golden.shape);
  tensor.set(golden.values);
  return tensor;
}

}  // namespace graft::test
