# oneDNN, the only GEMM library: headers and libdnnl.so from GRAFT_DNNL_ROOT (Maven unpacks them from Bytedeco's jar).
find_path(GRAFT_DNNL_INCLUDE oneapi/dnnl/dnnl.hpp HINTS ${GRAFT_DNNL_ROOT}/include ${GRAFT_DNNL_ROOT}
          PATH_SUFFIXES include REQUIRED)
find_file(GRAFT_DNNL_LIBRARY NAMES libdnnl.so.3 libdnnl.so HINTS ${GRAFT_DNNL_ROOT} ${GRAFT_DNNL_ROOT}/lib REQUIRED)
get_filename_component(GRAFT_DNNL_LIBRARY_DIR ${GRAFT_DNNL_LIBRARY} DIRECTORY)

add_library(graft_dnnl INTERFACE)
target_include_directories(graft_dnnl SYSTEM INTERFACE ${GRAFT_DNNL_INCLUDE})
target_link_libraries(graft_dnnl INTERFACE ${GRAFT_DNNL_LIBRARY})
