// The CUDA backend's implementations, one line per op, best first; each serves or says why not.
#include "ops/dispatch.h"

namespace graft::cuda {

template <class Args>
struct Register {
  Register(std::initializer_list<ops::Implementation<Args>> list) {
    ops::implementations<Args>(GRAFT_DEVICE_CUDA) = list;
  }
};

#define GRAFT_CUDA_1(Args)                    \
  std::string refuse(const ops::Args&);       \
  void run(core::Context&, const ops::Args&); \
  static const Register<ops::Args> register_##Args{{"kernel", refuse, run}};

#define GRAFT_CUDA_NAMED(kind, Args)          \
  namespace kind {                            \
  std::string refuse(const ops::Args&);       \
  void run(core::Context&, const ops::Args&); \
  }

#define GRAFT_CUDA_2(Args, best, second)                                             \
  GRAFT_CUDA_NAMED(best, Args)                                                       \
  GRAFT_CUDA_NAMED(second, Args)                                                     \
  static const Register<ops::Args> register_##Args{{#best, best::refuse, best::run}, \
                                                   {#second, second::refuse, second::run}};

// With main loops for compute capability 9.0 before the others, where they are compiled (sm90/).
#if defined(GRAFT_SM90)
#define GRAFT_CUDA_SM90_1(Args)               \
  GRAFT_CUDA_NAMED(sm90, Args)                \
  std::string refuse(const ops::Args&);       \
  void run(core::Context&, const ops::Args&); \
  static const Register<ops::Args> register_##Args{{"sm90", sm90::refuse, sm90::run}, {"kernel", refuse, run}};

#define GRAFT_CUDA_SM90_2(Args, best, second)       \
  GRAFT_CUDA_NAMED(sm90, Args)                      \
  GRAFT_CUDA_NAMED(best, Args)                      \
  GRAFT_CUDA_NAMED(second, Args)                    \
  static const Register<ops::Args> register_##Args{ \
      {"sm90", sm90::refuse, sm90::run}, {#best, best::refuse, best::run}, {#second, second::refuse, second::run}};
#else
#define GRAFT_CUDA_SM90_1 GRAFT_CUDA_1
#define GRAFT_CUDA_SM90_2 GRAFT_CUDA_2
#endif

GRAFT_CUDA_1(ActivationForward)
GRAFT_CUDA_1(ActivationBackward)
GRAFT_CUDA_1(AdamWSquaredNorm)
GRAFT_CUDA_1(AdamWSquaredNorms)
GRAFT_CUDA_1(AdamWStep)
GRAFT_CUDA_1(AdamWStep8Bit)
GRAFT_CUDA_1(AdamWSteps)
GRAFT_CUDA_2(AttentionForward, tiles, general)
GRAFT_CUDA_2(AttentionBackward, tiles, general)
GRAFT_CUDA_2(AttentionPagedForward, tiles, general)
GRAFT_CUDA_1(BlockDiagonalForward)
GRAFT_CUDA_1(BlockDiagonalBackward)
GRAFT_CUDA_1(CayleyForward)
GRAFT_CUDA_1(CayleyBackward)
GRAFT_CUDA_1(CirculantForward)
GRAFT_CUDA_1(CirculantBackward)
GRAFT_CUDA_1(CirculantMerge)
GRAFT_CUDA_1(DoraSquaredNorms)
GRAFT_CUDA_1(DoraNorms)
GRAFT_CUDA_1(DoraForward)
GRAFT_CUDA_1(DoraBackward)
GRAFT_CUDA_1(DoraMerge)
GRAFT_CUDA_1(EmbeddingForward)
GRAFT_CUDA_1(EmbeddingBackward)
GRAFT_CUDA_1(FourierForward)
GRAFT_CUDA_1(FourierBackward)
GRAFT_CUDA_1(FourierMerge)
GRAFT_CUDA_1(GeluForward)
GRAFT_CUDA_1(GeluBackward)
GRAFT_CUDA_1(GroupSumForward)
GRAFT_CUDA_1(GroupSumBackward)
GRAFT_CUDA_1(HardConcreteWrite)
GRAFT_CUDA_1(HardConcreteBackward)
GRAFT_CUDA_1(HiraForward)
GRAFT_CUDA_1(HiraBackward)
GRAFT_CUDA_1(HiraMerge)
GRAFT_CUDA_1(Ia3Forward)
GRAFT_CUDA_1(Ia3Backward)
GRAFT_CUDA_1(Ia3Merge)
GRAFT_CUDA_1(KhatriRaoForward)
GRAFT_CUDA_1(KhatriRaoBackward)
GRAFT_CUDA_1(KroneckerForward)
GRAFT_CUDA_1(KroneckerBackward)
GRAFT_CUDA_1(KroneckerMerge)
GRAFT_CUDA_1(LayerNormForward)
GRAFT_CUDA_1(LayerNormBackward)
GRAFT_CUDA_SM90_1(LinearForward)
GRAFT_CUDA_SM90_1(LinearBackward)
GRAFT_CUDA_1(LinearCrossEntropyForward)
GRAFT_CUDA_SM90_2(LoraForward, bordered, accumulating)
GRAFT_CUDA_2(LoraBackward, bordered, accumulating)
GRAFT_CUDA_1(LoraMerge)
GRAFT_CUDA_1(LoraPack)
GRAFT_CUDA_1(LoraSegmentsForward)
GRAFT_CUDA_1(LoraSegmentsBackward)
GRAFT_CUDA_1(MixtureRouteForward)
GRAFT_CUDA_1(MixtureRouteBackward)
GRAFT_CUDA_1(MixtureBlocksForward)
GRAFT_CUDA_1(MixtureBlocksBackward)
GRAFT_CUDA_1(MixtureVectorsForward)
GRAFT_CUDA_1(MixtureVectorsBackward)
GRAFT_CUDA_1(MixtureCombineForward)
GRAFT_CUDA_1(MixtureCombineBackward)
GRAFT_CUDA_1(Nf4Quantize)
GRAFT_CUDA_1(Nf4Dequantize)
GRAFT_CUDA_1(PacaBackward)
GRAFT_CUDA_1(PacaColumnNorms)
GRAFT_CUDA_1(PacaForward)
GRAFT_CUDA_1(PacaRead)
GRAFT_CUDA_1(PacaSlabBackward)
GRAFT_CUDA_1(PacaSlabForward)
GRAFT_CUDA_1(PacaWrite)
GRAFT_CUDA_1(RandomUniform)
GRAFT_CUDA_1(RandomNormal)
GRAFT_CUDA_1(RandomAddNormal)
GRAFT_CUDA_1(RandomKeep)
GRAFT_CUDA_1(RmsNormForward)
GRAFT_CUDA_1(RmsNormBackward)
GRAFT_CUDA_1(RopeFrequencies)
GRAFT_CUDA_1(RopeForward)
GRAFT_CUDA_1(RopeBackward)
GRAFT_CUDA_1(RowScaleForward)
GRAFT_CUDA_1(RowScaleBackward)
GRAFT_CUDA_1(RowsGradient)
GRAFT_CUDA_1(RowsRead)
GRAFT_CUDA_1(RowsWrite)
GRAFT_CUDA_1(SketchDecode)
GRAFT_CUDA_SM90_1(SketchTableGradient)
GRAFT_CUDA_1(SketchPack)
GRAFT_CUDA_1(SketchUnpack)
GRAFT_CUDA_1(SparseAddSquares)
GRAFT_CUDA_1(SparseGradient)
GRAFT_CUDA_1(SparseRead)
GRAFT_CUDA_1(SparseSelect)
GRAFT_CUDA_1(SparseWrite)
GRAFT_CUDA_1(SwigluForward)
GRAFT_CUDA_1(SwigluBackward)
GRAFT_CUDA_1(TensorAdd)
GRAFT_CUDA_1(TensorCopy)
GRAFT_CUDA_1(TensorFill)
GRAFT_CUDA_1(TensorTranspose)

}  // namespace graft::cuda
