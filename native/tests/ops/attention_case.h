// One call of attention with random inputs: the shapes and masks that its tests choose, and its tensors.
#pragma once

#include <algorithm>
#include <cmath>

#include "tensors.h"

namespace graft::test {

struct Case {
  std::int64_t batches, queries, keys, query_heads, key_heads, depth, past, window;
  std::vector<double> lengths;  // empty: all keys
  std::int64_t segment = 0;     // so many positions each, row b's shifted by 3 b; 0: no segments
  double softcap = 0;

  std::string text(graft_dtype dtype) const {
    std::string t = std::string(name(dtype)) + " B" + std::to_string(batches) + " T" + std::to_string(queries) + " S" +
                    std::to_string(keys) + " H" + std::to_string(query_heads) + "/" + std::to_string(key_heads) + " D" +
                    std::to_string(depth) + " past " + std::to_string(past) + " window " + std::to_string(window);
    if (segment > 0) t += " segments of " + std::to_string(segment);
    if (softcap > 0) t += " softcap";
    return lengths.empty() ? t : t + " lengths";
  }
};

/** Inputs and outputs of one case, random. */
struct Attention {
  Attention(const Context& context, graft_dtype dtype, const Case& shape)
      : c(context),
        s(shape),
        q(c, dtype, {s.batches, s.queries, s.query_heads, s.depth}),
        k(c, dtype, {s.batches, s.keys, s.key_heads, s.depth}),
        v(c, dtype, {s.batches, s.keys, s.key_heads, s.depth}),
        o(c, dtype, {s.batches, s.queries, s.query_heads, s.depth}),
        dout(c, dtype, {s.batches, s.queries, s.query_heads, s.depth}),
        dq(c, dtype, {s.batches, s.queries, s.query_heads, s.depth}),
        dk(c, dtype, {s.batches, s.keys, s.key_heads, s.depth}),
        dv(c, dtype, {s.batches, s.keys, s.key_heads, s.depth}),
        lse(c, sums_of(dtype), {s.batches, s.query_heads, s.queries}),
        lengths(c, GRAFT_DTYPE_I32, {s.batches}),
        starts(c, GRAFT_DTYPE_I32, {s.batches, s.queries}),
        scale(1 / std::sqrt(static_cast<double>(s.depth))) {
    q.random(1, -2, 2), k.random(2, -2, 2), v.random(3), dout.random(4);
    // What an op must overwrite starts as nonsense.
    o.fill(7), dq.fill(7), dk.fill(7), dv.fill(7), lse.fill(7);
    if (!s.lengths.empty()) lengths.set(s.lengths);
    if (s.segment > 0) starts.set(first_positions());
  }

  std::vector<double> first_positions() const {
    std::vector<double> first;
    for (std::int64_t b = 0; b < s.batches; ++b)
      for (std::int64_t i = 0; i < s.queries; ++i)
        first.push_back(std::max<double>(0, (s.past + i + 3 * b) / s.segment * s.segment - 3 * b));
    return first;
  }

  graft_tensor* lengths_or_null() const { return s.lengths.empty() ? nullptr : static_cast<graft_tensor*>(lengths); }
  graft_tensor* starts_or_null() const { return s.segment == 0 ? nullptr : static_cast<graft_tensor*>(starts); }
  graft_status forward(bool with_lse = true) {
    return graft_attention_forward(c, q, k, v, lengths_or_null(), starts_or_null(), scale, s.softcap, s.past, s.window,
                                   o, with_lse ? static_cast<graft_tensor*>(lse) : nullptr);
  }
  graft_status backward() {
    return graft_attention_backward(c, dout, q, k, v, o, lse, lengths_or_null(), starts_or_null(), scale, s.softcap,
                                    s.past, s.window, dq, dk, dv);
  }

  const Context& c;
  Case s;
  Tensor q, k, v, o, dout, dq, dk, dv, lse, lengths, starts;
  double scale;
};

}  // namespace graft::test
