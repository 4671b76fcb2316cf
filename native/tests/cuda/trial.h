// One test of an op on the CUDA device: a body makes inputs, calls the op and keeps what it gave. agree() has the body
// run in float64 and in plain loops of the tested type on the CPU, and on the device under many schedules: each output
// must be as near to float64 as the plain one is, and have the same bits under every schedule.
#pragma once

#include "schedules.h"

namespace graft::test {

/** What a body gave: where `roundoff` is 0, the device must have the bits of plain loops. */
struct Output {
  std::string name;
  std::vector<double> values;
  double roundoff;
};

class Trial {
 public:
  Trial(const Context& context, graft_dtype type, bool exact)
      : context(context), type(type), storage(exact ? kF64 : type), sums(sums_of(storage)) {}
  operator graft_context*() const { return context; }

  /** Random values that `type` can hold: of activations and dense weights, and of masters and scales beside them. */
  Tensor input(const Shape& shape, std::uint64_t seed, std::int64_t pitch = 0) const {
    return test::input(context, storage, type, shape, seed, pitch);
  }
  Tensor master(const Shape& shape, std::uint64_t seed, std::int64_t pitch = 0) const {
    return test::input(context, sums, type, shape, seed, pitch);
  }
  /** What a gradient of a parameter is added to. */
  Tensor gradient(const Shape& shape, std::uint64_t seed, std::int64_t pitch = 0) const {
    return test::input(context, sums, kF32, shape, seed, pitch);
  }
  Tensor zeros(const Shape& shape, std::int64_t pitch = 0) const { return Tensor(context, storage, shape, pitch); }
  Tensor ids(graft_dtype dtype, const Shape& shape, const std::vector<double>& values, std::int64_t pitch = 0) const {
    Tensor tensor(context, dtype, shape, pitch);
    tensor.set(values);
    return tensor;
  }
  void fill(const Weight& w, std::uint64_t seed) const { w.matrix().set(input({w->n, w->k}, seed).get()); }

  /** An output, when what was called before is done. Of activations and of sums it may be rounded once, as its type
   * rounds; else by so much. */
  void keep(const std::string& name, const Tensor& output) { keep(name, output, unit_roundoff(type)); }
  void keep_sum(const std::string& name, const Tensor& output) { keep(name, output, unit_roundoff(kF32)); }
  void keep_bits(const std::string& name, const Tensor& output) { keep(name, output, 0); }
  void keep(const std::string& name, const Tensor& output, double roundoff) {
    GRAFT_EXPECT_OK(graft_context_synchronize(context));
    outputs.push_back({name, output.get(), roundoff});
  }
  std::vector<double>& operator[](const std::string& name) {
    for (Output& output : outputs)
      if (output.name == name) return output.values;
    throw std::out_of_range(name);
  }

  const Context& context;
  const graft_dtype type, storage, sums;
  std::vector<Output> outputs;
};

using Body = std::function<void(Trial&)>;

/** `rounded` may put into the outputs of the plain run what a program of single steps has, each rounded to the type. */
inline void agree(graft_dtype type, const std::string& what, int seeds, const Body& body, const Body& rounded = {}) {
  SCOPED_TRACE(std::string(name(type)) + " " + what);
  const Context cpu(1, "reference"), cuda(GRAFT_DEVICE_CUDA);
  Trial exact(cpu, type, true), plain(cpu, type, false);
  body(exact), body(plain);
  if (rounded) rounded(plain);
  std::vector<Output> first;
  for_schedules(seeds, [&] {
    Trial actual(cuda, type, false);
    body(actual);
    ASSERT_EQ(actual.outputs.size(), exact.outputs.size());
    for (std::size_t i = 0; i < actual.outputs.size(); ++i) {
      const Output& output = actual.outputs[i];
      if (output.roundoff == 0) {
        EXPECT_EQ(output.values, plain.outputs[i].values) << output.name;
      } else {
        expect_as_good(output.values, plain.outputs[i].values, exact.outputs[i].values, output.roundoff, output.name);
      }
      if (!first.empty()) {
        EXPECT_EQ(output.values, first[i].values) << output.name << ": not those of another schedule";
      }
    }
    if (first.empty()) first = std::move(actual.outputs);
  });
}

/** "T=3 N=5". */
inline std::string sizes(std::initializer_list<std::pair<const char*, std::int64_t>> all) {
  std::string text;
  for (const auto& [name, size] : all)
    text += (text.empty() ? "" : " ") + std::string(name) + "=" + std::to_string(size);
  return text;
}

}  // namespace graft::test
