// What device.h is to all kernels, for those of sm90/ alone, which are compiled for sm_90a and no other architecture.
//
//   device/barrier.h     mbarrier, barriers of some warps, the fence between stores and the async proxy, setmaxnreg
//   device/tensor_map.h  a matrix and the shape of its boxes, made by the host
//   device/bulk.h        boxes of a matrix and runs of bytes into shared memory, by one thread (TMA)
//   device/wgmma.h       products of a warpgroup out of shared memory
#pragma once

#include "cuda/device.h"
#include "cuda/device/barrier.h"
#include "cuda/device/bulk.h"
#include "cuda/device/tensor_map.h"
#include "cuda/device/wgmma.h"
