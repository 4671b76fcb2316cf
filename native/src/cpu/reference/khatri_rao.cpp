// khatri_rao in plain loops: y[i·Q + j] = u[i] ⊙ v[j]; du[i] += Σ_j dy[i·Q + j] ⊙ v[j], dv[j] += Σ_i dy[i·Q + j] ⊙
// u[i].
#include "ops/khatri_rao.h"

#include "core/context.h"
#include "cpu/reference/element.h"

namespace graft::cpu::reference {
namespace {

/** A matrix whose element (i, c) is the tensor's (i, c), or (c, i). */
template <class C>
class Rows {
 public:
  Rows(const graft_tensor& tensor, bool columns) : view_(tensor), columns_(columns) {}
  C operator()(std::int64_t i, std::int64_t c) const { return columns_ ? view_(c, i) : view_(i, c); }
  void set(C value, std::int64_t i, std::int64_t c) const {
    columns_ ? view_.set(value, c, i) : view_.set(value, i, c);
  }
  void add(C value, std::int64_t i, std::int64_t c) const { set((*this)(i, c) + value, i, c); }

 private:
  View<C> view_;
  bool columns_;
};

}  // namespace

void run(core::Context&, const ops::KhatriRaoForward& a) {
  visit_compute(a.u->dtype, [&](auto compute) {
    using C = decltype(compute);
    const Rows<C> u(*a.u, a.columns), v(*a.v, a.columns), y(*a.y, a.columns);
    for (std::int64_t i = 0; i < a.p(); ++i)
      for (std::int64_t j = 0; j < a.q(); ++j)
        for (std::int64_t c = 0; c < a.common(); ++c) y.set(u(i, c) * v(j, c), i * a.q() + j, c);
  });
}

void run(core::Context&, const ops::KhatriRaoBackward& a) {
  visit_compute(a.u->dtype, [&](auto compute) {
    using C = decltype(compute);
    const Rows<C> u(*a.u, a.columns), v(*a.v, a.columns), dy(*a.dy, a.columns);
    for (std::int64_t c = 0; c < a.common(); ++c) {
      for (std::int64_t i = 0; a.du != nullptr && i < a.p(); ++i) {
        C sum = 0;
        for (std::int64_t j = 0; j < a.q(); ++j) sum += dy(i * a.q() + j, c) * v(j, c);
        Rows<C>(*a.du, a.columns).add(sum, i, c);
      }
      for (std::int64_t j = 0; a.dv != nullptr && j < a.q(); ++j) {
        C sum = 0;
        for (std::int64_t i = 0; i < a.p(); ++i) sum += dy(i * a.q() + j, c) * u(i, c);
        Rows<C>(*a.dv, a.columns).add(sum, j, c);
      }
    }
  });
}

}  // namespace graft::cpu::reference
