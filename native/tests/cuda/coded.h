// Weights of codes for the tests of kernels: the codes are made on the CPU, and every context gets the same.
#pragma once

#include "schedules.h"

namespace graft::test {

/** The bytes of a tensor without gaps into that of another context; nothing where there is no tensor. */
inline void copy_bytes(const Context& from, const graft_tensor& source, const Context& to, graft_tensor target) {
  if (source.data == nullptr) return;
  std::int64_t bytes = graft_dtype_bytes(source.dtype);
  for (int i = 0; i < source.rank; ++i) bytes *= source.shape[i];
  std::vector<char> host(static_cast<std::size_t>(bytes));
  GRAFT_EXPECT_OK(graft_tensor_download(from, &source, host.data(), bytes));
  GRAFT_EXPECT_OK(graft_tensor_upload(to, &target, host.data(), bytes));
}

/** An NF4 weight of random values. */
struct Nf4Weight {
  Nf4Weight(const Context& c, bool nested, std::int64_t n, std::int64_t k) : w(c, Nf4{nested}, n, k) {
    const Context cpu(1, "reference");
    Weight quantized(cpu, Nf4{nested}, n, k);
    Tensor source(cpu, kF32, {n, k});
    GRAFT_EXPECT_OK(graft_nf4_quantize(cpu, source.random(1), quantized));
    copy_bytes(cpu, quantized->storage, c, w->storage), copy_bytes(cpu, quantized->absmax, c, w->absmax);
    copy_bytes(cpu, quantized->nested_absmax, c, w->nested_absmax);
    copy_bytes(cpu, quantized->nested_offset, c, w->nested_offset);
  }
  Weight w;
};

/** A sketch weight of random codes and tables [n, groups, 2^bits] of `storage`, with values that `values` can hold. */
struct SketchWeight {
  SketchWeight(const Context& c, graft_dtype storage, graft_dtype values, std::int64_t n, std::int64_t groups,
               std::int64_t columns, int bits)
      : table(input(c, storage, values, {n, groups, std::int64_t{1} << bits}, 1)), w(c, table, groups * columns) {
    const Context cpu(1, "reference");
    Tensor codes(cpu, GRAFT_DTYPE_U8, {n, groups * columns}), any(cpu, kF32, {n, groups, std::int64_t{1} << bits});
    Weight packed(cpu, any, groups * columns);
    GRAFT_EXPECT_OK(graft_sketch_pack(cpu, codes.integers(2, 0, (1 << bits) - 1), packed));
    copy_bytes(cpu, packed->storage, c, w->storage);
  }
  Tensor table;
  Weight w;
};

}  // namespace graft::test
