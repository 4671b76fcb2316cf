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

/** The arguments with the context's step values: their numbers on the CPU, where they are on a device. */
template <class Args>
Args with_step_values(const core::Context& context, Args args) {
  [[maybe_unused]] const bool readable = context.device == GRAFT_DEVICE_CPU;
  if constexpr (requires { args.follow(context.step_values, readable); }) args.follow(context.step_values, readable);
  if constexpr (requires { args.dropout.follow(context.step_values, readable); })
    args.dropout.follow(context.step_values, readable);
  return args;
}

/** Refuses to keep work (graft/graph.h) with a number that should change from step to step, and would not. */
template <class Args>
void check_keeps(const Args& args) {
  const char* frozen = nullptr;
  if constexpr (requires { args.frozen(); }) frozen = args.frozen();
  if constexpr (requires { args.dropout.frozen(); })
    if (frozen == nullptr) frozen = args.dropout.frozen();
  if (frozen != nullptr)
    core::fail(GRAFT_UNSUPPORTED, "%s would stay as called in all launches of the graph that is being made", frozen);
}

/** Runs the first implementation that serves the arguments, which are checked. */
template <class Args>
void serve(core::Context& context, const Args& args) {
  args.check();
  if (context.keeping != nullptr) check_keeps(args);
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
      const std::chrono::duration<double> time = std::chrono::steady_clock::now() - start;
      return context.profile.add(op, candidate.name, time.count());
    }
    if (verbose_dispatch())
      std::fprintf(stderr, "graft: %s: %s/%s refuses: %s\n", op, backend, candidate.name, refusal.c_str());
    refusals += std::string("; ") + candidate.name + ": " + refusal;
  }
  core::fail(GRAFT_UNSUPPORTED, "no implementation%s serves%s%s%s",
             context.device == GRAFT_DEVICE_CUDA ? " on CUDA" : "", context.preferred.empty() ? "" : " among ",
             context.preferred.c_str(), refusals.c_str());
}

/** Arguments that stay as they are when the call is over: with copies of arrays of the caller's. */
template <class Args>
Args to_keep(const Args& args) {
  if constexpr (requires { args.kept(); }) return args.kept();
  return args;
}

/** Serves a call, which is then remembered where the context records: with the step values that it has then. */
template <class Args>
void dispatch(graft_context* handle, const Args& args) {
  core::Context& context = core::context_of(handle);
  core::values_known = !context.planning && context.device == GRAFT_DEVICE_CPU;
  const bool follows = context.step_values.lr != nullptr && !context.planning;
  follows ? serve(context, with_step_values(context, args)) : serve(context, args);
  if (context.recording) context.recorded.push_back([handle, args = to_keep(args)] { dispatch(handle, args); });
}

}  // namespace graft::ops
