// swiglu on the CUDA device: against float64, gated through SiLU and GELU, in every dtype, in packs of 16 bytes and one
// by one.
#include "schedules.h"

namespace graft::test {
namespace {

struct Result {
  std::vector<double> y, dgate, dup;
};

Result run(const Context& c, graft_glu_kind kind, graft_dtype storage, graft_dtype values, std::int64_t rows,
           std::int64_t columns, std::int64_t pitch) {
  const Shape matrix = {rows, columns};
  Tensor gate = input(c, storage, values, matrix, 1, pitch), up = input(c, storage, values, matrix, 2, pitch);
  Tensor dy = input(c, storage, values, matrix, 3), y(c, storage, matrix), dup(c, storage, matrix, pitch);
  GRAFT_EXPECT_OK(graft_swiglu_forward(c, kind, gate, up, y));
  GRAFT_EXPECT_OK(graft_swiglu_backward(c, kind, dy, gate, up, gate, dup));
  GRAFT_EXPECT_OK(graft_context_synchronize(c));
  return {y.get(), gate.get(), dup.get()};
}

void compare(graft_glu_kind kind) {
  const Context cpu(1, "reference"), cuda(GRAFT_DEVICE_CUDA);
  for (graft_dtype dtype : {GRAFT_DTYPE_F32, GRAFT_DTYPE_BF16, GRAFT_DTYPE_F16}) {
    SCOPED_TRACE(name(dtype));
    for (const auto& [rows, columns, pitch] : {std::array<std::int64_t, 3>{1, 1, 0},
                                               {3, 40, 0},
                                               {2, 41, 43},
                                               {3, 4096, 5000},
                                               {0, 8, 0},
                                               {2, 0, 0},
                                               {5, 256, 0}}) {
      const Result exact = run(cpu, kind, GRAFT_DTYPE_F64, dtype, rows, columns, pitch);
      const Result plain = run(cpu, kind, dtype, dtype, rows, columns, pitch);
      for_schedules(2, [&] {
        const Result actual = run(cuda, kind, dtype, dtype, rows, columns, pitch);
        expect_as_good(actual.y, plain.y, exact.y, unit_roundoff(dtype), "y");
        expect_as_good(actual.dgate, plain.dgate, exact.dgate, unit_roundoff(dtype), "dgate");
        expect_as_good(actual.dup, plain.dup, exact.dup, unit_roundoff(dtype), "dup");
      });
    }
  }
}

TEST(CudaSwiglu, AgreesWithFloat64) { compare(GRAFT_GLU_SILU); }
TEST(CudaSwiglu, ByGeluAgreesWithFloat64) { compare(GRAFT_GLU_GELU_TANH); }

TEST(CudaSwiglu, LargeGatesAndNull) {
  const Context cuda(GRAFT_DEVICE_CUDA);
  Tensor gate(cuda, GRAFT_DTYPE_F32, {1, 3}), up(cuda, GRAFT_DTYPE_F32, {1, 3}), y(cuda, GRAFT_DTYPE_F32, {1, 3});
  Tensor dy(cuda, GRAFT_DTYPE_F32, {1, 3});
  gate.set({-200, 0, 200}), up.fill(2), dy.fill(1);
  for (graft_glu_kind kind : {GRAFT_GLU_SILU, GRAFT_GLU_GELU_TANH}) {
    GRAFT_EXPECT_OK(graft_swiglu_forward(cuda, kind, gate, up, y));
    GRAFT_EXPECT_OK(graft_context_synchronize(cuda));
    EXPECT_EQ(y.get(), (std::vector<double>{0, 0, 400}));
    GRAFT_EXPECT_OK(graft_swiglu_backward(cuda, kind, dy, gate, up, nullptr, y));
    EXPECT_EQ(y.get(), (std::vector<double>{0, 0, 200}));
    GRAFT_EXPECT_OK(graft_swiglu_backward(cuda, kind, dy, gate, up, y, nullptr));
    EXPECT_EQ(y.get(), (std::vector<double>{0, 1, 2}));
  }
}

}  // namespace
}  // namespace graft::test
