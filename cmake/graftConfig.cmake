# find_package(graft) gives the target graft::graft.
include(${CMAKE_CURRENT_LIST_DIR}/graftTargets.cmake)
