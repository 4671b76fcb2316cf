# Highway, the vectors of src/cpu/fast: its headers, and libhwy.so, which chooses among instruction sets at run time.
find_path(GRAFT_HWY_INCLUDE hwy/highway.h REQUIRED)
find_library(GRAFT_HWY NAMES hwy REQUIRED)

add_library(graft_hwy INTERFACE)
target_include_directories(graft_hwy SYSTEM INTERFACE ${GRAFT_HWY_INCLUDE})
target_link_libraries(graft_hwy INTERFACE ${GRAFT_HWY})

# why: three instruction sets cover the machines that matter; six would double the build time.
set(GRAFT_HWY_TARGETS HWY_DISABLED_TARGETS=HWY_SSSE3|HWY_SSE4|HWY_AVX3_DL)
