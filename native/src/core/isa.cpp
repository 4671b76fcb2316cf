#include "core/isa.h"

#include <cstdlib>
#include <cstring>

#include "core/error.h"

namespace graft::core {

Isa max_isa() {
  const char* value = std::getenv("GRAFT_MAX_ISA");
  if (value == nullptr || *value == '\0') return Isa::kAmx;
  constexpr const char* kNames[] = {"sse2", "avx2", "avx512", "avx512_bf16", "amx"};
  for (int i = 0; i < 5; ++i)
    if (std::strcmp(value, kNames[i]) == 0) return static_cast<Isa>(i);
  fail(GRAFT_INVALID_ARGUMENT, "GRAFT_MAX_ISA is '%s', must be sse2, avx2, avx512, avx512_bf16 or amx", value);
}

}  // namespace graft::core
