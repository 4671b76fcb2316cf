#include "core/profile.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

#include "graft/context.h"

namespace graft::core {

bool verbose(const char* word) {
  const char* value = std::getenv("GRAFT_VERBOSE");
  return value != nullptr && std::strstr(value, word) != nullptr;
}

void Profile::add(const char* op, const char* implementation, double seconds) {
  const std::string name = std::string(op) + " (" + implementation + ")";
  auto row = std::find_if(rows_.begin(), rows_.end(), [&](const Row& known) { return known.name == name; });
  if (row == rows_.end()) row = rows_.insert(row, Row{name});
  ++row->calls;
  row->seconds += seconds;
}

void Profile::print() const {
  static std::mutex monitor;
  static std::map<std::string, Row> process;
  const std::lock_guard<std::mutex> lock(monitor);
  for (const Row& row : rows_) {
    Row& all = process[row.name];
    all = {row.name, all.calls + row.calls, all.seconds + row.seconds};
  }
  if (graft_live_handles() > 0 || process.empty()) return;
  std::vector<Row> sorted;
  for (const auto& [name, row] : process) sorted.push_back(row);
  process.clear();
  std::sort(sorted.begin(), sorted.end(), [](const Row& a, const Row& b) { return a.seconds > b.seconds; });
  double total = 0;
  for (const Row& row : sorted) total += row.seconds;
  std::fprintf(stderr, "graft profile: %-48s %10s %12s %7s\n", "op (implementation)", "calls", "ms", "share");
  for (const Row& row : sorted)
    std::fprintf(stderr, "graft profile: %-48s %10lld %12.2f %6.1f%%\n", row.name.c_str(),
                 static_cast<long long>(row.calls), 1e3 * row.seconds, 100 * row.seconds / total);
}

}  // namespace graft::core
