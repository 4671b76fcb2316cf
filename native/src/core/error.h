// Errors inside the library are exceptions of one type; guard() at the C entry is the only place that catches them.
#pragma once

#include <exception>
#include <new>
#include <string>
#include <utility>

#include "graft/status.h"

namespace graft::core {

class Error : public std::exception {
 public:
  Error(graft_status status, std::string text) : status_(status), text_(std::move(text)) {}
  graft_status status() const { return status_; }
  const char* what() const noexcept override { return text_.c_str(); }

 private:
  graft_status status_;
  std::string text_;
};

/** Throws an Error with a printf-like text. */
[[noreturn, gnu::format(printf, 2, 3)]] void fail(graft_status status, const char* format, ...);

/** While it lives, what fails on its thread names an element of an array argument first: "parameters[3]: …". */
class ElementOf {
 public:
  ElementOf(const char* array, long long index) noexcept;
  ~ElementOf();
  ElementOf(const ElementOf&) = delete;
  ElementOf& operator=(const ElementOf&) = delete;
};

/** Text of the calling thread's last failure; see graft_last_error. */
void set_last_error(const char* function, const char* text) noexcept;

/** Runs the body of a C entry: every exception becomes a status and the thread's error text. */
template <class Body>
graft_status guard(const char* function, Body&& body) noexcept {
  try {
    body();
    return GRAFT_OK;
  } catch (const Error& e) {
    set_last_error(function, e.what());
    return e.status();
  } catch (const std::bad_alloc&) {
    set_last_error(function, "the system has no memory left");
    return GRAFT_OUT_OF_MEMORY;
  } catch (const std::exception& e) {
    set_last_error(function, e.what());
    return GRAFT_INTERNAL;
  } catch (...) {
    set_last_error(function, "unknown exception");
    return GRAFT_INTERNAL;
  }
}

}  // namespace graft::core
