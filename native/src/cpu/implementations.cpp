// The CPU backend's implementations, one line per op, best first; each serves or says why not.
#include "ops/dispatch.h"

namespace graft::cpu {

using core::Context;

// The plain loops accept every legal argument.
template <class Args>
std::string never_refuse(const Args&) {
  return {};
}

template <class Args>
struct Register {
  Register(std::initializer_list<ops::Implementation<Args>> list) {
    ops::implementations<Args>(GRAFT_DEVICE_CPU) = list;
  }
};

#define GRAFT_DECLARE(kind, Args)             \
  namespace kind {                            \
  std::string refuse(const ops::Args&);       \
  void run(core::Context&, const ops::Args&); \
  }
#define GRAFT_LISTED(kind, Args) \
  { #kind, kind::refuse, kind::run }
#define GRAFT_REFERENCE(Args) \
  { "reference", never_refuse<ops::Args>, reference::run }

#define GRAFT_CPU_1(Args)                     \
  namespace reference {                       \
  void run(core::Context&, const ops::Args&); \
  }                                           \
  static const Register<ops::Args> register_##Args{GRAFT_REFERENCE(Args)};

#define GRAFT_CPU_2(Args, best)               \
  GRAFT_DECLARE(best, Args)                   \
  namespace reference {                       \
  void run(core::Context&, const ops::Args&); \
  }                                           \
  static const Register<ops::Args> register_##Args{GRAFT_LISTED(best, Args), GRAFT_REFERENCE(Args)};

#define GRAFT_CPU_3(Args, best, second)                                                                  \
  GRAFT_DECLARE(best, Args)                                                                              \
  GRAFT_DECLARE(second, Args)                                                                            \
  namespace reference {                                                                                  \
  void run(core::Context&, const ops::Args&);                                                            \
  }                                                                                                      \
  static const Register<ops::Args> register_##Args{GRAFT_LISTED(best, Args), GRAFT_LISTED(second, Args), \
                                                   GRAFT_REFERENCE(Args)};

GRAFT_CPU_2(ActivationForward, fast)
GRAFT_CPU_2(ActivationBackward, fast)
GRAFT_CPU_2(AdamWSquaredNorm, fast)
GRAFT_CPU_2(AdamWSquaredNorms, fast)
GRAFT_CPU_2(AdamWStep, fast)
GRAFT_CPU_2(AdamWStep8Bit, fast)
GRAFT_CPU_2(AdamWSteps, fast)
GRAFT_CPU_2(BlockDiagonalForward, fast)
GRAFT_CPU_2(BlockDiagonalBackward, fast)
GRAFT_CPU_2(CayleyForward, fast)
GRAFT_CPU_2(CayleyBackward, fast)
GRAFT_CPU_2(CirculantForward, fast)
GRAFT_CPU_2(CirculantBackward, fast)
GRAFT_CPU_1(CirculantMerge)
GRAFT_CPU_2(DoraSquaredNorms, fast)
GRAFT_CPU_2(DoraNorms, fast)
GRAFT_CPU_2(DoraForward, fast)
GRAFT_CPU_2(DoraBackward, fast)
GRAFT_CPU_2(DoraMerge, fast)
GRAFT_CPU_2(EmbeddingForward, fast)
GRAFT_CPU_2(EmbeddingBackward, fast)
GRAFT_CPU_2(FourierForward, fast)
GRAFT_CPU_2(FourierBackward, fast)
GRAFT_CPU_2(FourierMerge, fast)
GRAFT_CPU_2(GeluForward, fast)
GRAFT_CPU_2(GeluBackward, fast)
GRAFT_CPU_2(GroupSumForward, fast)
GRAFT_CPU_2(GroupSumBackward, fast)
GRAFT_CPU_2(HiraForward, fast)
GRAFT_CPU_2(HiraBackward, fast)
GRAFT_CPU_2(HiraMerge, fast)
GRAFT_CPU_2(HardConcreteWrite, fast)
GRAFT_CPU_2(HardConcreteBackward, fast)
GRAFT_CPU_2(Ia3Forward, fast)
GRAFT_CPU_2(Ia3Backward, fast)
GRAFT_CPU_2(Ia3Merge, fast)
GRAFT_CPU_2(KhatriRaoForward, fast)
GRAFT_CPU_2(KhatriRaoBackward, fast)
GRAFT_CPU_2(KroneckerForward, fast)
GRAFT_CPU_2(KroneckerBackward, fast)
GRAFT_CPU_1(KroneckerMerge)
GRAFT_CPU_2(LayerNormForward, fast)
GRAFT_CPU_2(LayerNormBackward, fast)
GRAFT_CPU_3(LinearForward, few_rows, fast)
GRAFT_CPU_2(LinearBackward, fast)
GRAFT_CPU_2(LoraPack, fast)
GRAFT_CPU_3(LoraForward, bordered, accumulating)
GRAFT_CPU_3(LoraBackward, bordered, accumulating)
GRAFT_CPU_2(LoraMerge, fast)
GRAFT_CPU_2(LoraSegmentsForward, fast)
GRAFT_CPU_2(LoraSegmentsBackward, fast)
GRAFT_CPU_2(MixtureRouteForward, fast)
GRAFT_CPU_2(MixtureRouteBackward, fast)
GRAFT_CPU_2(MixtureBlocksForward, fast)
GRAFT_CPU_2(MixtureBlocksBackward, fast)
GRAFT_CPU_2(MixtureVectorsForward, fast)
GRAFT_CPU_2(MixtureVectorsBackward, fast)
GRAFT_CPU_2(MixtureCombineForward, fast)
GRAFT_CPU_2(MixtureCombineBackward, fast)
GRAFT_CPU_2(Nf4Quantize, fast)
GRAFT_CPU_2(Nf4Dequantize, fast)
GRAFT_CPU_2(PacaForward, fast)
GRAFT_CPU_2(PacaBackward, fast)
GRAFT_CPU_2(PacaSlabForward, fast)
GRAFT_CPU_2(PacaSlabBackward, fast)
GRAFT_CPU_2(PacaRead, fast)
GRAFT_CPU_2(PacaWrite, fast)
GRAFT_CPU_2(PacaColumnNorms, fast)
GRAFT_CPU_2(RandomUniform, fast)
GRAFT_CPU_2(RandomNormal, fast)
GRAFT_CPU_2(RandomAddNormal, fast)
GRAFT_CPU_2(RandomKeep, fast)
GRAFT_CPU_2(RmsNormForward, fast)
GRAFT_CPU_2(RmsNormBackward, fast)
GRAFT_CPU_1(RopeFrequencies)
GRAFT_CPU_2(RopeForward, fast)
GRAFT_CPU_2(RopeBackward, fast)
GRAFT_CPU_2(RowScaleForward, fast)
GRAFT_CPU_2(RowScaleBackward, fast)
GRAFT_CPU_2(RowsGradient, fast)
GRAFT_CPU_2(RowsRead, fast)
GRAFT_CPU_2(RowsWrite, fast)
GRAFT_CPU_1(SketchPack)
GRAFT_CPU_1(SketchUnpack)
GRAFT_CPU_2(SketchDecode, fast)
GRAFT_CPU_2(SketchTableGradient, fast)
GRAFT_CPU_2(SketchCompressFactor, fast)
GRAFT_CPU_2(SketchCompressMatrix, fast)
GRAFT_CPU_2(SparseGradient, fast)
GRAFT_CPU_2(SparseRead, fast)
GRAFT_CPU_2(SparseWrite, fast)
GRAFT_CPU_2(SparseAddSquares, fast)
GRAFT_CPU_2(SparseSelect, fast)
GRAFT_CPU_2(SwigluForward, fast)
GRAFT_CPU_2(SwigluBackward, fast)
GRAFT_CPU_2(TensorCopy, fast)
GRAFT_CPU_2(TensorFill, fast)
GRAFT_CPU_2(TensorAdd, fast)
GRAFT_CPU_1(TensorTranspose)
GRAFT_CPU_3(AttentionForward, decode, fast)
GRAFT_CPU_3(AttentionPagedForward, decode, fast)
GRAFT_CPU_2(AttentionBackward, fast)
GRAFT_CPU_2(LinearCrossEntropyForward, fast)

}  // namespace graft::cpu
