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

GRAFT_CUDA_1(AdamWSquaredNorm)
GRAFT_CUDA_1(AdamWStep)
GRAFT_CUDA_1(EmbeddingForward)
GRAFT_CUDA_1(EmbeddingBackward)
GRAFT_CUDA_1(RmsNormForward)
GRAFT_CUDA_1(RmsNormBackward)
GRAFT_CUDA_1(RopeFrequencies)
GRAFT_CUDA_1(RopeForward)
GRAFT_CUDA_1(RopeBackward)
GRAFT_CUDA_1(SwigluForward)
GRAFT_CUDA_1(SwigluBackward)

}  // namespace graft::cuda
