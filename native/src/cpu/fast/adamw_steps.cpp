// adamw over threads: the chunks of one parameter, or of a table of them in a single parallel part. What a chunk does
// does not depend on what stands beside it, so that a table gives the bits of its parameters' own calls. The norm's
// sums of chunks are added gradient by gradient, in order. Bytes and FLOPs: adamw.cpp, adamw_8bit.cpp.
#include <algorithm>
#include <type_traits>

#include "core/context.h"
#include "cpu/fast/adamw.h"
#include "cpu/fast/visit.h"

namespace graft::cpu::fast {

std::string refuse(const ops::PacaWrite&);

namespace {

/** The chunks of the elements of a table, side by side. */
class Chunks {
 public:
  /** count_of(i): the chunks of element i. */
  template <class CountOf>
  Chunks(core::Scratch& scratch, std::int64_t elements, CountOf&& count_of)
      : elements_(elements), ends_(scratch.take<std::int64_t>(elements)) {
    for (std::int64_t i = 0; i < elements; ++i) ends_[i] = begin(i) + count_of(i);
  }
  std::int64_t begin(std::int64_t i) const { return i == 0 ? 0 : ends_[i - 1]; }
  std::int64_t end(std::int64_t i) const { return ends_[i]; }
  std::int64_t count() const { return begin(elements_); }
  std::int64_t element_of(std::int64_t chunk) const {
    return std::upper_bound(ends_, ends_ + elements_, chunk) - ends_;
  }

 private:
  std::int64_t elements_;
  std::int64_t* ends_;
};

template <class Step>
void run_one(core::Context& context, const Step& a) {
  const ops::AdamWFactors<float> factors(a);
  core::parallel_for(context, chunks(a), [&](std::int64_t chunk, int) { run_chunk(a, factors, nullptr, chunk); });
}

std::string refuse_step(const ops::AdamWStep& a) {
  return a.p_out != nullptr && a.p_out->dtype == GRAFT_DTYPE_F64 ? refuse_f64(*a.p_out) : refuse_f64(*a.p);
}

}  // namespace

std::string refuse(const ops::AdamWStep& a) { return refuse_step(a); }
std::string refuse(const ops::AdamWStep8Bit& a) { return refuse_step(a); }
void run(core::Context& context, const ops::AdamWStep& a) { run_one(context, a); }
void run(core::Context& context, const ops::AdamWStep8Bit& a) { run_one(context, a); }

std::string refuse(const ops::AdamWSteps& a) {
  std::string refusal;
  for (std::int64_t i = 0; i < a.count && refusal.empty(); ++i) {
    a.visit(i, [&](const auto& step) { refusal = refuse_step(step); });
    if (refusal.empty() && a.parameters[i].w != nullptr) refusal = refuse(a.columns(i));
  }
  return refusal;
}

void run(core::Context& context, const ops::AdamWSteps& a) {
  using Factors = ops::AdamWFactors<float>;
  static_assert(std::is_trivially_copyable_v<Factors>);
  core::Scratch scratch(context.arena);
  auto* factors = scratch.take<Factors>(a.count);
  const Chunks all(scratch, a.count, [&](std::int64_t i) {
    std::int64_t count = 0;
    a.visit(i, [&](const auto& step) {
      factors[i] = Factors(step);
      count = chunks(step);
    });
    return count;
  });
  core::parallel_for(context, all.count(), [&](std::int64_t chunk, int) {
    const std::int64_t i = all.element_of(chunk);
    const bool in_columns = a.parameters[i].w != nullptr;
    const ops::PacaWrite columns = a.columns(i);
    a.visit(i, [&](const auto& step) {
      run_chunk(step, factors[i], in_columns ? &columns : nullptr, chunk - all.begin(i));
    });
  });
}

std::string refuse(const ops::AdamWSquaredNorms& a) {
  std::string refusal;
  for (std::int64_t i = 0; i < a.count && refusal.empty(); ++i) refusal = refuse_f64(*a.parameters[i].g);
  return refusal;
}

void run(core::Context& context, const ops::AdamWSquaredNorms& a) {
  core::Scratch scratch(context.arena);
  const Chunks all(scratch, a.count, [&](std::int64_t i) { return chunks(a.of(i)); });
  double* partial = scratch.take<double>(all.count());
  core::parallel_for(context, all.count(), [&](std::int64_t chunk, int) {
    const std::int64_t i = all.element_of(chunk);
    partial[chunk] = sum_chunk(a.of(i), chunk - all.begin(i));
  });
  for (std::int64_t i = 0; i < a.count; ++i) {
    double sum = 0;
    for (std::int64_t chunk = all.begin(i); chunk < all.end(i); ++chunk) sum += partial[chunk];
    *static_cast<double*>(a.sum->data) += sum;
  }
}

std::string refuse(const ops::AdamWSquaredNorm& a) { return refuse_f64(*a.g); }

void run(core::Context& context, const ops::AdamWSquaredNorm& a) {
  graft_adamw_parameter one{};
  one.g = a.g;
  run(context, ops::AdamWSquaredNorms{&one, 1, a.sum});
}

}  // namespace graft::cpu::fast
