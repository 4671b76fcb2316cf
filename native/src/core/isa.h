// The best instruction set that kernels may use, so that each path can be run on a machine that has a better one.
#pragma once

namespace graft::core {

enum class Isa { kSse2, kAvx2, kAvx512, kAvx512Bf16, kAmx };  // on other processors only the names' order matters

/** The environment's GRAFT_MAX_ISA: sse2, avx2, avx512, avx512_bf16 or amx; amx where it is not set. Whether the
 * processor has it is not asked here. Throws INVALID_ARGUMENT for other names. */
Isa max_isa();

}  // namespace graft::core
