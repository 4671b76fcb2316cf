#include "graft/replay.h"

#include "core/context.h"
#include "core/error.h"

using namespace graft::core;

extern "C" {

graft_status graft_context_record(graft_context* handle, int32_t on) {
  return guard("graft_context_record", [&] {
    Context& context = context_of(handle);
    if (on != 0) context.recorded.clear();
    context.recording = on != 0;
  });
}

graft_status graft_context_replay(graft_context* handle, int64_t times) {
  return guard("graft_context_replay", [&] {
    Context& context = context_of(handle);
    if (times < 0) fail(GRAFT_INVALID_ARGUMENT, "times is %lld, must not be negative", static_cast<long long>(times));
    if (context.recorded.empty()) fail(GRAFT_INVALID_ARGUMENT, "the context has recorded no ops");
    context.recording = false;
    for (std::int64_t i = 0; i < times; ++i)
      for (const auto& op : context.recorded) op();
  });
}
}
