// Arguments of lora; the contract is graft/ops/lora.h.
#pragma once

#include <cstdint>
#include <string>

#include "core/graph.h"
#include "graft/weight.h"
#include "ops/ops.h"

namespace graft::ops {

/** Dropout by counter: element i of x is kept when Philox::half(seed, offset + i) >= bound(). */
struct Dropout {
  double probability;
  std::uint64_t seed;
  std::uint64_t offset;
  const std::int64_t* base = nullptr;  // added to offset on the device; NULL: nothing
  bool active() const { return probability > 0; }
  void follow(const core::StepValues& from, bool readable) {
    readable ? void(offset += static_cast<std::uint64_t>(from.counters[1])) : void(base = from.counters + 1);
  }
  const char* frozen() const { return active() && base == nullptr ? "offset" : nullptr; }
  double scale() const { return 1 / (1 - probability); }
  /** p in 2^-16, to the nearest: 0 keeps all, 65536 nothing. */
  std::uint32_t bound() const { return static_cast<std::uint32_t>(probability * 0x1p16 + 0.5); }
};

struct LoraPack {
  const graft_tensor* a;
  const graft_tensor* b;
  double scale;
  graft_weight* w;
  void check() const;
};

struct LoraForward {
  const graft_tensor* x;
  const graft_weight* w;
  const graft_tensor* a;
  const graft_tensor* b;
  double scale;
  const graft_tensor* bias;  // may be NULL
  Dropout dropout;
  bool accumulate;
  graft_tensor* y;
  graft_tensor* s;  // may be NULL
  void check() const;
};

struct LoraBackward {
  const graft_tensor* dy;
  const graft_tensor* x;  // may be NULL when da is
  const graft_tensor* s;  // may be NULL when db is
  const graft_weight* w;
  const graft_tensor* a;
  const graft_tensor* b;
  double scale;
  Dropout dropout;
  bool accumulate;
  graft_tensor* dx;     // may be NULL
  graft_tensor* da;     // may be NULL
  graft_tensor* db;     // may be NULL
  graft_tensor* dbias;  // may be NULL
  void check() const;
};

/** Why S cannot stand in the columns behind x, or dS behind dy, and the adapter in w's border: no room, or columns that
 * another tensor of the call uses. Empty: it can. */
std::string refuse_border(const LoraForward& a);
std::string refuse_border(const LoraBackward& a);

/** w, a [r, K], b [N, r] and scale: what every low-rank layer has. */
void check_adapter(const graft_weight* w, const graft_tensor* a, const graft_tensor* b, double scale);

/** Its outputs: y or s beside what a forward reads; the gradients that a backward adds to. */
void check_low_output(const char* name, const graft_tensor* output, const graft_weight* w, const graft_tensor* a,
                      const graft_tensor* b);
void check_low_gradients(const graft_tensor* dy, const graft_tensor* x, const graft_tensor* s, const graft_weight* w,
                         const graft_tensor* a, const graft_tensor* b, std::int64_t kept, const graft_tensor* dx,
                         const graft_tensor* da, const graft_tensor* db, const graft_tensor* dbias);
void check_dropout(const Dropout& dropout);

struct LoraMerge {
  const graft_weight* w;
  const graft_tensor* a;
  const graft_tensor* b;
  double scale;
  graft_tensor* merged;
  void check() const;
};

}  // namespace graft::ops
