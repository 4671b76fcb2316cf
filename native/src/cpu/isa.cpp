#include "cpu/isa.h"

#include <hwy/targets.h>

namespace graft::cpu {
namespace {

core::Isa limit() {
  try {
    return core::max_isa();
  } catch (...) {
    return core::Isa::kAmx;
  }
}

// Highway chooses at its first call, which comes after the library was loaded.
const bool limited = [] {
  std::int64_t disabled = 0;
#if HWY_ARCH_X86
  if (!allowed(core::Isa::kAvx512)) disabled |= HWY_AVX3 | HWY_AVX3_DL;
  if (!allowed(core::Isa::kAvx2)) disabled |= HWY_AVX2 | HWY_SSE4 | HWY_SSSE3;
#endif
  if (disabled != 0) hwy::DisableTargets(disabled);
  return true;
}();

}  // namespace

bool allowed(core::Isa isa) {
  static const core::Isa best = limit();
  return isa <= best;
}

}  // namespace graft::cpu
