// Dispatch: an op's arguments have an ordered list of implementations per device, best first, the reference last. The
// first one that serves runs; each refusal says why.
#pragma once

#include <chrono>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

#include "core/context.h"
#include "core/error.h"
#include "core/tensor_check.h"
#include "ops/ops.h"

namespace graft::ops {

template <class Args>
struct Implementation {
  const char* name;
  std::string (*refuse)(const Args&);  // "": it serves
  void (*run)(core::Context&, const Args&);
};

/** The implementations of one op on a device; its backend fills it when the library is loaded. */
template <class Args>
std::vector<Implementation<Args>>& implementations(graft_device device) {
  static std::vector<Implementation<Args>> lists[2];
  return lists[device];
}

inline bool verbose_dispatch() {
  static const bool on = core::verbose("dispatch");
  return on;
}

inline bool verbose_profile() {
  static const bool on = core::verbose("profile");
  return on;
}

// why: the plain loops take no scratch, and do not share their work among the threads, which leave it when planning.
inline bool is_reference(const char* implementation) { return std::string_view(implementation) == "reference"; }

/** Checks the arguments and runs the first implementation that serves them. */
template <class Args>
void dispatch(graft_context* handle, const Args& args) {
  core::Context& context = core::context_of(handle);
  core::values_known = !context.planning && context.device == GRAFT_DEVICE_CPU;
  args.check();
  if (context.recording) context.recorded.push_back([handle, args] { dispatch(handle, args); });
  constexpr const char* op = OpName<Args>::value;
  const char* const backend = context.device == GRAFT_DEVICE_CUDA ? "cuda" : "cpu";
  std::string refusals;
  for (const Implementation<Args>& candidate : implementations<Args>(context.device)) {
    if (!context.preferred.empty() && context.preferred != candidate.name) continue;
    const std::string refusal = candidate.refuse(args);
    if (refusal.empty()) {
      if (verbose_dispatch()) std::fprintf(stderr, "graft: %s: %s/%s\n", op, backend, candidate.name);
      context.last_op = op;
      context.last_implementation = candidate.name;
      if (context.planning && is_reference(candidate.name)) return;
      if (!verbose_profile()) return candidate.run(context, args);
      const auto start = std::chrono::steady_clock::now();
      candidate.run(context, args);
      return context.profile.add(op, candidate.name, std::chrono::steady_clock::now() - start);
    }
    if (verbose_dispatch())
      std::fprintf(stderr, "graft: %s: %s/%s refuses: %s\n", op, backend, candidate.name, refusal.c_str());
    refusals += std::string("; ") + candidate.name + ": " + refusal;
  }
  core::fail(GRAFT_UNSUPPORTED, "no implementation%s serves%s%s%s",
             context.device == GRAFT_DEVICE_CUDA ? " on CUDA" : "", context.preferred.empty() ? "" : " among ",
             context.preferred.c_str(), refusals.c_str());
}

}  // namespace graft::ops
