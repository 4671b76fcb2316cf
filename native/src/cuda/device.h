// The only header of the system that a kernel includes, and the only place of PTX. A kernel is compiled twice from one
// source: by nvcc for the GPU, and by the C++ compiler for the tests, which run it in an emulator (docs/cuda.md). So
// each function here has two bodies, the CUDA one and its CPU twin; CUDA's own words (threadIdx, __syncthreads,
// __shfl_xor_sync, …) are nvcc's there and the emulator's here.
//
//   device/language.h  what both compilers understand: shared memory, rounding up, planted bugs
//   device/launch.h    kernels into a stream
//   device/numbers.h   bf16 and f16, and how they become floats
//   device/memory.h    16 bytes at once, and asynchronous copies into shared memory
//   device/matrix.h    ldmatrix and mma: tensor cores
#pragma once

#include "core/philox.h"
#include "cuda/device/language.h"
#include "cuda/device/launch.h"
#include "cuda/device/matrix.h"
#include "cuda/device/memory.h"
#include "cuda/device/numbers.h"
