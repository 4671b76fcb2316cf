#include "core/profile.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <utility>
#include <vector>

namespace graft::core {

bool verbose(const char* word) {
  const char* value = std::getenv("GRAFT_VERBOSE");
  return value != nullptr && std::strstr(value, word) != nullptr;
}

void Profile::add(const char* op, const char* implementation, std::chrono::nanoseconds time) {
  Row& row = rows_[std::string(op) + " (" + implementation + ")"];
  ++row.calls;
  row.time += time;
}

void Profile::print() const {
  if (rows_.empty()) return;
  std::vector<std::pair<std::string, Row>> sorted(rows_.begin(), rows_.end());
  std::sort(sorted.begin(), sorted.end(), [](const auto& a, const auto& b) { return a.second.time > b.second.time; });
  double total = 0;
  for (const auto& [op, row] : sorted) total += static_cast<double>(row.time.count()) * 1e-6;
  std::fprintf(stderr, "graft profile: %-48s %10s %12s %7s\n", "op (implementation)", "calls", "ms", "share");
  for (const auto& [op, row] : sorted) {
    const double ms = static_cast<double>(row.time.count()) * 1e-6;
    std::fprintf(stderr, "graft profile: %-48s %10lld %12.2f %6.1f%%\n", op.c_str(), static_cast<long long>(row.calls),
                 ms, 100 * ms / total);
  }
}

}  // namespace graft::core
