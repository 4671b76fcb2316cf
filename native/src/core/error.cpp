#include "core/error.h"

#include <cstdarg>
#include <cstdio>

namespace graft::core {
namespace {
// why: a fixed buffer, so that reporting "out of memory" needs no memory.
thread_local char last_error[1024] = "";
}  // namespace

void fail(graft_status status, const char* format, ...) {
  char text[960];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
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
