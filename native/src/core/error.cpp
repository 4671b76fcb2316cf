#include "core/error.h"

#include <cstdarg>
#include <cstdio>
#include <cstring>

namespace graft::core {
namespace {
// why: a fixed buffer, so that reporting "out of memory" needs no memory.
thread_local char last_error[1024] = "";
thread_local const char* array_of_element = nullptr;  // NULL: no element
thread_local long long element = 0;
}  // namespace

ElementOf::ElementOf(const char* array, long long index) noexcept { array_of_element = array, element = index; }
ElementOf::~ElementOf() { array_of_element = nullptr; }

void fail(graft_status status, const char* format, ...) {
  char text[960] = "";
  if (array_of_element != nullptr) std::snprintf(text, sizeof text, "%s[%lld]: ", array_of_element, element);
  const std::size_t start = std::strlen(text);
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text + start, sizeof text - start, format, arguments);
  va_end(arguments);
  throw Error(status, text);
}

void set_last_error(const char* function, const char* text) noexcept {
  std::snprintf(last_error, sizeof last_error, "%s: %s", function, text);
}

}  // namespace graft::core

extern "C" {

const char* graft_last_error(void) { return graft::core::last_error; }

const char* graft_version(void) { return GRAFT_VERSION; }

const char* graft_status_name(graft_status status) {
  switch (status) {
    case GRAFT_OK:
      return "GRAFT_OK";
    case GRAFT_INVALID_ARGUMENT:
      return "GRAFT_INVALID_ARGUMENT";
    case GRAFT_SHAPE_MISMATCH:
      return "GRAFT_SHAPE_MISMATCH";
    case GRAFT_UNSUPPORTED:
      return "GRAFT_UNSUPPORTED";
    case GRAFT_OUT_OF_MEMORY:
      return "GRAFT_OUT_OF_MEMORY";
    case GRAFT_DEVICE_UNAVAILABLE:
      return "GRAFT_DEVICE_UNAVAILABLE";
    case GRAFT_DEVICE_ERROR:
      return "GRAFT_DEVICE_ERROR";
    case GRAFT_INTERNAL:
      return "GRAFT_INTERNAL";
  }
  return "unknown status";
}
}
