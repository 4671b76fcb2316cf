// The file of a native benchmark's results: a JSON array with a row on each line, which is whole whenever somebody
// looks.
#pragma once

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>

class ResultsFile {
 public:
  /** path: "" for no file. */
  void open(const std::string& path) { path_ = path; }

  /** row: an object in JSON. */
  void add(const std::string& row) { rows_ += (rows_.empty() ? "  " : ",\n  ") + row; }

  /** Puts all rows so far into the place of those that are there; ends the program where that cannot be. */
  void write() const {
    if (path_.empty()) return;
    const std::string beside = path_ + ".new";
    std::ofstream out(beside);
    out << "[\n" << rows_ << "\n]\n";
    out.close();
    if (out && std::rename(beside.c_str(), path_.c_str()) == 0) return;
    std::perror(path_.c_str());
    std::exit(1);
  }

 private:
  std::string path_;
  std::string rows_;
};
