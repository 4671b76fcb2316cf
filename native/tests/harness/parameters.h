// Parameters of every kind that adamw moves, and two ways to step them: by a call for each, or by one for all.
#pragma once

#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "graft/graph.h"
#include "tensors.h"

namespace graft::test {

/** One parameter. out: the dtype of p_out, if there is one. alone: p is bf16, without a master. k: p goes into columns
 * of a weight [shape[0], k] of dtype `weight`; 0: into none. */
struct Kind {
  Shape shape;
  std::optional<graft_dtype> out = {};
  bool coded = false, alone = false;
  std::int64_t pitch = 0, k = 0;
  graft_dtype weight = kBf16, wide = kF32;
};

/** Of all kinds and of odd sizes; one has several chunks of the CPU, one no elements. */
inline std::vector<Kind> mixed_kinds() {
  return {{{33, 17}, kBf16},
          {{5}},
          {.shape = {0, 4}, .out = kBf16},
          {.shape = {7, 30}, .coded = true},
          {.shape = {3, 20000}, .out = kF16, .coded = true},
          {.shape = {2, 3, 5, 7}, .out = kF32},
          {.shape = {600}, .alone = true},
          {.shape = {1, 300}, .coded = true, .alone = true},
          {.shape = {9, 20}, .out = kBf16, .pitch = 37},
          {.shape = {19, 3}, .pitch = 8, .k = 11},
          {.shape = {40, 16}, .coded = true, .k = 33, .weight = kF32},
          {.shape = {6, 2}, .k = 2, .weight = kF16},
          {.shape = {4, 0}, .k = 3},
          {{20001}}};
}

class Parameters {
 public:
  Parameters(const Context& context, const std::vector<Kind>& kinds) : c_(context), norm_(context, kF64, {1}) {
    for (const Kind& kind : kinds) add(kind);
  }

  std::vector<graft_adamw_parameter> table;

  /** New gradients, and the norm's sum cleared. Different by seed; scaled to differ by parameter. */
  void prepare(std::uint64_t seed) {
    for (std::size_t i = 0; i < of_.size(); ++i) of_[i]->g.random(seed * 100 + i, -1, 1 + static_cast<double>(i));
    norm_.fill(0.25);
  }

  void step_each(std::int64_t step, double max_norm) {
    for (const graft_adamw_parameter& p : table) GRAFT_EXPECT_OK(graft_adamw_squared_norm(c_, p.g, norm_));
    for (const graft_adamw_parameter& p : table) {
      if (p.m_scale != nullptr) {
        GRAFT_EXPECT_OK(graft_adamw_step_8bit(c_, p.g, p.lr, 0.9, 0.99, 1e-8, p.weight_decay, step, max_norm, norm_,
                                              p.seed, p.p, p.m, p.m_scale, p.v, p.v_scale, p.p_out));
      } else {
        GRAFT_EXPECT_OK(graft_adamw_step(c_, p.g, p.lr, 0.9, 0.99, 1e-8, p.weight_decay, step, max_norm, norm_, p.seed,
                                         p.p, p.m, p.v, p.p_out));
      }
      if (p.w == nullptr) continue;
      GRAFT_EXPECT_OK(graft_paca_write(c_, p.p, p.original, p.indices, p.scale, p.w));
    }
  }

  void step_all(std::int64_t step, double max_norm) {
    GRAFT_EXPECT_OK(graft_adamw_squared_norms(c_, table.data(), count(), norm_));
    GRAFT_EXPECT_OK(graft_adamw_steps(c_, table.data(), count(), 0.9, 0.99, 1e-8, step, max_norm, norm_));
  }

  std::int64_t count() const { return static_cast<std::int64_t>(table.size()); }
  Tensor& norm() { return norm_; }

  /** All that a step writes. */
  std::vector<std::vector<double>> values() const {
    std::vector<std::vector<double>> all{norm_.get()};
    for (const auto& of : of_) {
      for (const Tensor* t : {&of->p, &of->m, &of->v}) all.push_back(t->get());
      for (const auto* t : {&of->m_scale, &of->v_scale, &of->p_out})
        if (*t) all.push_back((*t)->get());
      if (of->w) all.push_back(of->w->matrix().get());
    }
    return all;
  }

 private:
  struct Tensors {
    Tensor g, p, m, v;
    std::optional<Tensor> m_scale, v_scale, p_out, original, indices;
    std::unique_ptr<Weight> w;
  };

  void add(const Kind& k) {
    const graft_dtype moments = k.coded ? GRAFT_DTYPE_U8 : k.wide;
    of_.push_back(std::make_unique<Tensors>(Tensors{{c_, k.wide, k.shape, k.pitch},
                                                    {c_, k.alone ? kBf16 : k.wide, k.shape, k.pitch},
                                                    {c_, moments, k.shape, k.pitch},
                                                    {c_, moments, k.shape},
                                                    {},
                                                    {},
                                                    {},
                                                    {},
                                                    {},
                                                    {}}));
    Tensors& of = *of_.back();
    of.p.random(1000 + of_.size());
    if (k.coded) {
      const std::int64_t blocks = (of.p.elements() + GRAFT_ADAMW_BLOCK - 1) / GRAFT_ADAMW_BLOCK;
      of.m_scale.emplace(c_, kF32, Shape{blocks}), of.v_scale.emplace(c_, kF32, Shape{blocks});
    }
    if (k.out) of.p_out.emplace(c_, *k.out, k.shape);
    const auto i = static_cast<double>(of_.size());
    graft_adamw_parameter p{};
    p.g = of.g, p.p = of.p, p.m = of.m, p.v = of.v;
    p.lr = 0.01 * i, p.weight_decay = 0.1 / i, p.seed = 7 * of_.size();
    if (k.coded) p.m_scale = *of.m_scale, p.v_scale = *of.v_scale;
    if (k.out) p.p_out = *of.p_out;
    if (k.k > 0) add_columns(k, of, p);
    table.push_back(p);
  }

  void add_columns(const Kind& k, Tensors& of, graft_adamw_parameter& p) {
    of.w = std::make_unique<Weight>(c_, k.weight, k.shape[0], k.k);
    of.w->matrix().random(5);
    of.original.emplace(c_, k.weight, k.shape);
    of.indices.emplace(c_, k.shape[1] % 2 == 0 ? kI64 : kI32, Shape{k.shape[1]});
    std::vector<double> indices;  // from the last column down, so that none is its own index
    for (std::int64_t j = 0; j < k.shape[1]; ++j) indices.push_back(static_cast<double>(k.k - 1 - j));
    of.indices->set(indices);
    GRAFT_EXPECT_OK(graft_paca_read(c_, *of.w, *of.indices, *of.original));
    p.w = *of.w, p.original = *of.original, p.indices = *of.indices, p.scale = 1.75;
  }

  const Context& c_;
  Tensor norm_;
  std::vector<std::unique_ptr<Tensors>> of_;
};

/** Three steps; their values. */
inline std::vector<std::vector<double>> three_steps(const Context& c, const std::vector<Kind>& kinds, bool together,
                                                    double max_norm = 0.5) {
  Parameters parameters(c, kinds);
  for (int step = 1; step <= 3; ++step) {
    parameters.prepare(static_cast<std::uint64_t>(step));
    together ? parameters.step_all(step, max_norm) : parameters.step_each(step, max_norm);
  }
  return parameters.values();
}

}  // namespace graft::test
