// adamw with moments of 8 bits, by SIMD. A block of moments is decoded by the map into two buffers that
// stay in L1, moved there in one pass over g and p, and coded again by arithmetic in the place of a search. Bytes per
// element: 16 + sizeof(p_out) and 2 scales a block. FLOPs: about 60, with three divisions and one square root.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/fast/adamw_8bit.cpp"
#include <hwy/foreach_target.h>
// why: foreach_target includes this file again for each instruction set; it must come before what follows.
#include <algorithm>
#include <cmath>

#include "core/dynamic_map.h"
#include "core/tensor_check.h"
#include "cpu/fast/adamw-inl.h"
#include "cpu/fast/adamw.h"
#include "cpu/fast/halves-inl.h"
#include "cpu/fast/paca.h"
#include "cpu/fast/visit.h"

HWY_BEFORE_NAMESPACE();
namespace graft::cpu::fast::HWY_NAMESPACE {

/** A block in L1; what lies behind a shorter one is 0. */
using Block = float[GRAFT_ADAMW_BLOCK];

/** One kind of moment of one block: its codes and its scale. */
struct Moments8 {
  const core::DynamicMap& map;
  std::uint8_t* codes;
  float* scale;

  void decode(Block& moments, std::int64_t count) const {
    const float factor = *scale;
    for (std::int64_t i = 0; i < count; ++i) moments[i] = map.values[codes[i]] * factor;
    std::fill(moments + count, moments + GRAFT_ADAMW_BLOCK, 0.0f);
  }

  void encode(const Block& moments, std::int64_t count) const {
    const F d;
    const std::int64_t lanes = static_cast<std::int64_t>(hn::Lanes(d));
    VF largest = hn::Zero(d), not_a_number = hn::Zero(d);
    for (std::int64_t i = 0; i < GRAFT_ADAMW_BLOCK; i += lanes) {
      const VF moment = hn::LoadU(d, moments + i);
      largest = hn::Max(largest, hn::Abs(moment));
      not_a_number = hn::Or(not_a_number, hn::VecFromMask(d, hn::IsNaN(moment)));
    }
    const float top = hn::GetLane(hn::MaxOfLanes(d, largest));
    *scale = hn::AllFalse(d, hn::MaskFromVec(not_a_number)) ? top : NAN;
    const VF divisor = hn::Set(d, top > 0 ? top : 1.0f);
    std::uint8_t made[GRAFT_ADAMW_BLOCK];
    for (std::int64_t i = 0; i < GRAFT_ADAMW_BLOCK; i += lanes) {
      const hn::Rebind<std::int32_t, F> di;
      const VF code = code_of(d, hn::Div(hn::LoadU(d, moments + i), divisor));
      hn::StoreU(hn::DemoteTo(hn::Rebind<std::uint8_t, F>(), hn::ConvertTo(di, code)), hn::Rebind<std::uint8_t, F>(),
                 made + i);
    }
    std::copy_n(made, count, codes);
  }

  // How far x lies from the code of 0 follows from its decade; no search, no table.
  HWY_INLINE VF code_of(F d, VF x) const {
    const VF size = hn::Abs(x);
    VF slope = hn::Zero(d), start = hn::Zero(d), last = hn::Zero(d);
    for (const core::DynamicMap::Decade& decade : map.decades) {
      const auto reached = hn::Gt(size, hn::Set(d, decade.from));
      slope = hn::IfThenElse(reached, hn::Set(d, decade.slope), slope);
      start = hn::IfThenElse(reached, hn::Set(d, decade.start), start);
      last = hn::IfThenElse(reached, hn::Set(d, decade.last), last);
    }
    const VF first = hn::IfThenElseZero(hn::Gt(size, hn::Set(d, map.decades[0].from)), hn::Set(d, 1.0f));
    const VF steps = hn::Max(first, hn::Min(last, hn::Floor(hn::MulAdd(slope, size, start))));
    const VF zero = hn::Set(d, map.zero), below = hn::Set(d, map.furthest_below);
    return hn::IfThenElse(hn::Lt(x, hn::Zero(d)), hn::Sub(zero, hn::Min(steps, below)), hn::Add(zero, steps));
  }
};

/** put_parameter(parameter, i, n) stores what becomes of p[i] and following. */
template <class P, class Put>
HWY_INLINE void adamw_block(const ops::AdamWFactors<float>& f, const float* g, const P* p, const Moments8& m,
                            const Moments8& v, std::int64_t count, Put&& put_parameter) {
  alignas(64) Block means, squares;
  m.decode(means, count);
  v.decode(squares, count);
  adamw_run(f, g, p, means, squares, count, put_parameter);
  m.encode(means, count);
  v.encode(squares, count);
}

void adamw_8bit_block(const ops::AdamWStep8Bit& a, const ops::AdamWFactors<float>& factors, std::int64_t block,
                      std::int64_t first, std::int64_t count) {
  const float* g = static_cast<const float*>(a.g->data) + first;
  const Moments8 m{core::signed_dynamic_map(), static_cast<std::uint8_t*>(a.m->data) + first,
                   static_cast<float*>(a.m_scale->data) + block};
  const Moments8 v{core::unsigned_dynamic_map(), static_cast<std::uint8_t*>(a.v->data) + first,
                   static_cast<float*>(a.v_scale->data) + block};
  if (a.rounds_at_random()) {
    static_assert(Halves::kCount == GRAFT_ADAMW_BLOCK);
    Halves halves;
    halves.fill(a.seed, static_cast<std::uint64_t>(first));
    auto* p = static_cast<core::bf16*>(a.p->data) + first;
    return adamw_block(factors, g, p, m, v, count, [&](VF parameter, std::int64_t i, std::int64_t n) {
      put(F(), halves.round(parameter, i), p + i, n);
    });
  }
  visit_small_float(a.p_out == nullptr ? GRAFT_DTYPE_F32 : a.p_out->dtype, [&](auto tag) {
    using T = decltype(tag);
    auto* p = static_cast<float*>(a.p->data) + first;
    T* p_out = a.p_out == nullptr ? nullptr : static_cast<T*>(a.p_out->data) + first;
    adamw_block(factors, g, p, m, v, count, [&](VF parameter, std::int64_t i, std::int64_t n) {
      put(F(), parameter, p + i, n);
      if (p_out != nullptr) put(F(), parameter, p_out + i, n);
    });
  });
}

void adamw_8bit_chunk(const ops::AdamWStep8Bit& a, const ops::AdamWFactors<float>& factors,
                      const ops::PacaWrite* columns, std::int64_t chunk) {
  const std::int64_t total = core::elements(*a.p), blocks = a.m_scale->shape[0];
  for (std::int64_t block = chunk * kCodedBlocksPerChunk; block < std::min(blocks, (chunk + 1) * kCodedBlocksPerChunk);
       ++block) {
    const std::int64_t first = block * GRAFT_ADAMW_BLOCK;
    const std::int64_t count = std::min<std::int64_t>(GRAFT_ADAMW_BLOCK, total - first);
    adamw_8bit_block(a, factors, block, first, count);
    if (columns != nullptr) write_columns(*columns, first, count);
  }
}

}  // namespace graft::cpu::fast::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace graft::cpu::fast {
HWY_EXPORT(adamw_8bit_chunk);

std::int64_t chunks(const ops::AdamWStep8Bit& a) { return chunks_of(a.m_scale->shape[0], kCodedBlocksPerChunk); }

void run_chunk(const ops::AdamWStep8Bit& a, const ops::AdamWFactors<float>& factors, const ops::PacaWrite* columns,
               std::int64_t chunk) {
  HWY_DYNAMIC_DISPATCH(adamw_8bit_chunk)(a, factors, columns, chunk);
}
}  // namespace graft::cpu::fast
#endif
