# The CUDA side: with nvcc, the kernels in src/cuda/kernels are compiled for sm_80, sm_90a and sm_100, with PTX of the
# newest for what comes after, and those in src/cuda/sm90 for sm_90a alone; said aloud when there is none.
option(GRAFT_CUDA "Compile the CUDA kernels when nvcc is there" ON)
find_program(GRAFT_NVCC nvcc HINTS /usr/local/cuda/bin)
set(GRAFT_HAS_CUDA OFF)
set(GRAFT_HAS_SM90 OFF)
if(NOT GRAFT_CUDA)
  message(STATUS "graft: the CUDA kernels are not compiled here")
elseif(NOT GRAFT_NVCC)
  message(STATUS "graft: no nvcc found, building the CPU library only; the emulator runs the kernels all the same")
else()
  if(NOT CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES 80-real 90a-real 100)
  endif()
  set(CMAKE_CUDA_COMPILER ${GRAFT_NVCC})
  enable_language(CUDA)
  set(GRAFT_HAS_CUDA ON)
  if(CMAKE_CUDA_ARCHITECTURES MATCHES "90a")
    set(GRAFT_HAS_SM90 ON)
  endif()
  find_package(CUDAToolkit REQUIRED)
  # why: CMake 3.25 does not know that nvcc has C++20.
  if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)
    set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION -std=c++20)
    set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION -std=c++20)
  endif()
endif()

# graft_kernels(NAME SOURCES…): an object library of CUDA sources; ptxas' report lies beside each object as NAME.ptxas.
function(graft_kernels name)
  add_library(${name} OBJECT ${ARGN})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(${name} PRIVATE graft_headers)
  target_compile_definitions(${name} PRIVATE GRAFT_BUILD)
  target_compile_options(${name} PRIVATE --expt-relaxed-constexpr -Xptxas=-v -Xcompiler=-Wall,-Wextra,-Wno-unused-parameter
                                         $<$<BOOL:${GRAFT_WERROR}>:-Werror=all-warnings>)
  set_target_properties(${name} PROPERTIES CUDA_STANDARD 20 CUDA_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON
                        CUDA_COMPILER_LAUNCHER "sh;${PROJECT_SOURCE_DIR}/../cmake/ptxas_report.sh;${CMAKE_CXX_COMPILER_LAUNCHER}")
endfunction()
