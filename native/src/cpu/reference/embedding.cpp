// embedding in plain loops: y[t] = scale · table[ids[t]], dtable[ids[t]] += scale · dy[t] in order of t.
#include "ops/embedding.h"

#include "core/context.h"
#include "core/tensor_check.h"
#include "cpu/reference/element.h"

namespace graft::cpu::reference {

void run(core::Context&, const ops::EmbeddingForward& a) {
  core::check_ids("ids", *a.ids, a.table->shape[0]);
  visit_compute(a.table->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> table(*a.table), y(*a.y);
    const C scale = static_cast<C>(a.scale);
    for (std::int64_t t = 0; t < y.size(0); ++t) {
      const std::int64_t id = id_at(*a.ids, t);
      for (std::int64_t j = 0; j < y.size(1); ++j) y.set(scale * table(id, j), t, j);
    }
  });
}

void run(core::Context&, const ops::EmbeddingBackward& a) {
  core::check_ids("ids", *a.ids, a.dtable->shape[0]);
  visit_compute(a.dy->dtype, [&](auto compute) {
    using C = decltype(compute);
    const View<C> dy(*a.dy), dtable(*a.dtable);
    const C scale = static_cast<C>(a.scale);
    for (std::int64_t t = 0; t < dy.size(0); ++t) {
      const std::int64_t id = id_at(*a.ids, t);
      for (std::int64_t j = 0; j < dy.size(1); ++j) dtable.add(scale * dy(t, j), id, j);
    }
  });
}

}  // namespace graft::cpu::reference
