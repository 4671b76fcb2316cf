// GRAFT_VERBOSE=profile: how often each op of a context ran and how long it took; printed for all contexts together,
// since some are made for the threads of others.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace graft::core {

/** Whether the environment's GRAFT_VERBOSE names this word; read once per word. */
bool verbose(const char* word);

class Profile {
 public:
  void add(const char* op, const char* implementation, double seconds);
  /** Adds the rows to those of the process; where no context lives any more, a table of them all on stderr. */
  void print() const;

 private:
  struct Row {
    std::string name;
    std::int64_t calls = 0;
    double seconds = 0;
  };
  std::vector<Row> rows_;
};

}  // namespace graft::core
