// adamw with moments of 8 bits, in plain loops: a block is decoded, moved by the formula of the contract, and coded by
// a search in the map.
#include <algorithm>
#include <cmath>
#include <vector>

#include "core/context.h"
#include "core/dynamic_map.h"
#include "core/tensor_check.h"
#include "cpu/reference/element.h"
#include "graft/ops/adamw.h"
#include "ops/adamw.h"

namespace graft::cpu::reference {
namespace {

// A tensor without gaps, as a vector.
graft_tensor flat(const graft_tensor& t) {
  graft_tensor vector = t;
  vector.rank = 1;
  vector.shape[0] = core::elements(t);
  vector.stride[0] = 1;
  return vector;
}

template <class C>
void encode(const std::vector<C>& moments, const core::DynamicMap& map, std::uint8_t* codes, float* scale) {
  C largest = 0;
  bool number = true;
  for (C moment : moments) {
    largest = std::max(largest, std::abs(moment));
    number = number && !std::isnan(moment);
  }
  *scale = number ? static_cast<float>(largest) : NAN;
  const C divisor = *scale > 0 ? static_cast<C>(*scale) : 1;
  for (std::size_t i = 0; i < moments.size(); ++i) codes[i] = map.code(static_cast<float>(moments[i] / divisor));
}

}  // namespace

void run(core::Context&, const ops::AdamWStep8Bit& a) {
  visit_compute(a.p->dtype, [&](auto compute) {
    using C = decltype(compute);
    const ops::AdamWFactors<C> f(a);
    const View<C> g(flat(*a.g)), p(flat(*a.p)), p_out(flat(a.p_out == nullptr ? *a.p : *a.p_out));
    const core::DynamicMap &m_map = core::signed_dynamic_map(), &v_map = core::unsigned_dynamic_map();
    const std::int64_t count = core::elements(*a.p);
    for (std::int64_t first = 0; first < count; first += GRAFT_ADAMW_BLOCK) {
      const std::int64_t block = first / GRAFT_ADAMW_BLOCK;
      std::vector<C> m(static_cast<std::size_t>(std::min<std::int64_t>(GRAFT_ADAMW_BLOCK, count - first))), v(m);
      auto* m_codes = static_cast<std::uint8_t*>(a.m->data) + first;
      auto* v_codes = static_cast<std::uint8_t*>(a.v->data) + first;
      float& m_scale = static_cast<float*>(a.m_scale->data)[block];
      float& v_scale = static_cast<float*>(a.v_scale->data)[block];
      for (std::size_t i = 0; i < m.size(); ++i) {
        const std::int64_t at = first + static_cast<std::int64_t>(i);
        const C gradient = f.clip * g(at);
        m[i] = f.beta1 * static_cast<C>(m_map.values[m_codes[i]]) * static_cast<C>(m_scale) + f.rest1 * gradient;
        v[i] = f.beta2 * static_cast<C>(v_map.values[v_codes[i]]) * static_cast<C>(v_scale) +
               f.rest2 * gradient * gradient;
        const C moved = f.keep * p(at) - f.rate * m[i] / (f.root * std::sqrt(v[i]) + f.eps);
        p.set(a.rounds_at_random() ? rounded_at_random<C>(moved, a.seed, static_cast<std::uint64_t>(at)) : moved, at);
        if (a.p_out != nullptr) p_out.set(p(at), at);
      }
      encode(m, m_map, m_codes, &m_scale);
      encode(v, v_map, v_codes, &v_scale);
    }
  });
}

}  // namespace graft::cpu::reference
