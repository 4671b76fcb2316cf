// The place where the last range of the first b values begins never falls with b, since spreads are concave (Monge), so
// that b's between two others look only between the places of those. What is looked up must be known already: b's go in
// blocks short enough for the cost to rise by less than the price. A range that begins inside a block then costs more
// than any b of it. Vectors: of begins for one b, and of neighbouring b's where few begins are left. Up to log(n) +
// 2 spreads for a value; about 10 where there are 16 ranges.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "cpu/fast/sketch_path.cpp"
#include <hwy/foreach_target.h>
// why: foreach_target includes this file again for each instruction set; it must come before what follows.
#include <hwy/highway.h>

#include <algorithm>
#include <limits>

#include "cpu/fast/sketch_path.h"

HWY_BEFORE_NAMESPACE();
namespace graft::cpu::fast::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::ScalableTag<double>;
using VD = hn::Vec<D>;
constexpr std::int64_t kLanes = static_cast<std::int64_t>(hn::MaxLanes(D()));
static_assert(kLanes <= SketchSums::kPadding);

class Search {
 public:
  Search(const SketchSums& sums, double price, double* best, std::int32_t* begins)
      : sums_(sums), price_(price), best_(best), begins_(begins) {}

  void run(std::int64_t block) {
    best_[0] = 0, begins_[0] = 0;
    for (std::int64_t done = 0; done < sums_.n;) {
      // What a range that begins inside the block costs at least: the first value's cost, and the price.
      const double known = std::max(best_[done], price_), limit = known + price_;
      std::int64_t size = std::min(block, sums_.n - done);
      for (;; size = (size + 1) / 2) {
        one(done + size, begins_[done], done);
        if (size == 1 || best_[done + size] <= limit) break;
      }
      const std::int64_t last = done + size;
      some(done + 1, last, begins_[done], begins_[last]);
      const double rise = (best_[last] - known) / price_;
      block = rise > 0.375 ? 1 + static_cast<std::int64_t>(0.75 * static_cast<double>(size) / rise) : 2 * size;
      done = last;
    }
  }

 private:
  // Of first <= b < last, whose last ranges begin within least..most.
  void some(std::int64_t first, std::int64_t last, std::int64_t least, std::int64_t most) {
    constexpr std::int64_t kRun = kLanes + 1;  // some b's of one vector, and the one behind them
    while (last - first > kLanes) {
      const std::int64_t runs = std::max<std::int64_t>(1, (last - first) / kRun / 2), b = first + runs * kRun - 1;
      one(b, least, most);
      some(first, b, least, begins_[b]);
      first = b + 1, least = begins_[b];
    }
    if (last > first) few(first, last, least, most);
  }

  // Vectors of begins.
  void one(std::int64_t b, std::int64_t least, std::int64_t most) {
    const D d;
    const VD weight = hn::Set(d, sums_.weight[b]), moment = hn::Set(d, sums_.moment[b]);
    const VD square = hn::Set(d, sums_.square[b]);
    VD lowest = hn::Set(d, std::numeric_limits<double>::infinity()), places = hn::Zero(d);
    VD place = hn::Add(hn::Iota(d, 0), hn::Set(d, static_cast<double>(least)));
    const VD step = hn::Set(d, static_cast<double>(kLanes));
    std::int64_t a = least;
    for (; a + kLanes <= most + 1; a += kLanes) {
      take(cost(weight, moment, square, a), place, lowest, places);
      place = hn::Add(place, step);
    }
    if (a <= most) {
      const auto inside = hn::FirstN(d, static_cast<std::size_t>(most + 1 - a));
      take(hn::IfThenElse(inside, cost(weight, moment, square, a), hn::Set(d, std::numeric_limits<double>::infinity())),
           place, lowest, places);
    }
    HWY_ALIGN double costs[kLanes], begins[kLanes];
    hn::Store(lowest, d, costs);
    hn::Store(places, d, begins);
    int first = 0;
    for (int i = 1; i < kLanes; ++i)
      if (costs[i] < costs[first] || (costs[i] == costs[first] && begins[i] < begins[first])) first = i;
    best_[b] = costs[first] + price_;
    begins_[b] = static_cast<std::int32_t>(begins[first]);
  }

  // A vector of b's.
  void few(std::int64_t first, std::int64_t last, std::int64_t least, std::int64_t most) {
    const D d;
    const VD weight = hn::LoadU(d, sums_.weight + first), moment = hn::LoadU(d, sums_.moment + first);
    const VD square = hn::LoadU(d, sums_.square + first);
    VD lowest = hn::Set(d, std::numeric_limits<double>::infinity()), places = hn::Zero(d);
    for (std::int64_t a = least; a <= most; ++a)
      take(cost(hn::Sub(weight, hn::Set(d, sums_.weight[a])), hn::Sub(moment, hn::Set(d, sums_.moment[a])),
                hn::Sub(square, hn::Set(d, sums_.square[a])), hn::Set(d, best_[a])),
           hn::Set(d, static_cast<double>(a)), lowest, places);
    HWY_ALIGN double costs[kLanes], begins[kLanes];
    hn::Store(hn::Add(lowest, hn::Set(d, price_)), d, costs);
    hn::Store(places, d, begins);
    for (std::int64_t b = first; b < last; ++b) {
      best_[b] = costs[b - first];
      begins_[b] = static_cast<std::int32_t>(begins[b - first]);
    }
  }

  HWY_INLINE VD cost(VD weight, VD moment, VD square, std::int64_t a) const {
    const D d;
    return cost(hn::Sub(weight, hn::LoadU(d, sums_.weight + a)), hn::Sub(moment, hn::LoadU(d, sums_.moment + a)),
                hn::Sub(square, hn::LoadU(d, sums_.square + a)), hn::LoadU(d, best_ + a));
  }

  static HWY_INLINE VD cost(VD weight, VD moment, VD square, VD before) {
    const VD spread = hn::Sub(square, hn::Div(hn::Mul(moment, moment), weight));
    return hn::Add(before, hn::IfThenElseZero(hn::Gt(weight, hn::Zero(D())), spread));
  }

  static HWY_INLINE void take(VD cost, VD place, VD& lowest, VD& places) {
    const auto lower = hn::Lt(cost, lowest);
    places = hn::IfThenElse(lower, place, places);
    lowest = hn::IfThenElse(lower, cost, lowest);
  }

  const SketchSums& sums_;
  double price_;
  double* best_;
  std::int32_t* begins_;
};

void cheapest_path(const SketchSums& sums, double price, std::int64_t block, double* best, std::int32_t* begins) {
  Search(sums, price, best, begins).run(block);
}

}  // namespace graft::cpu::fast::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace graft::cpu::fast {
HWY_EXPORT(cheapest_path);

void cheapest_path(const SketchSums& sums, double price, std::int64_t block, double* best, std::int32_t* begins) {
  HWY_DYNAMIC_DISPATCH(cheapest_path)(sums, price, block, best, begins);
}
}  // namespace graft::cpu::fast
#endif
