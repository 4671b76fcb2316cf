# What `cmake --install` makes for users of the C ABI: headers, the library with what it loads, and how CMake
# (find_package(graft)) and pkg-config find both. The tree can be moved: nothing in it names its own place.
include(CMakePackageConfigHelpers)

install(TARGETS graft EXPORT graftTargets LIBRARY DESTINATION lib)
install(DIRECTORY include/graft DESTINATION include)

# why in a folder of their own: in /usr/local/lib they would be everybody's oneDNN, OpenMP and Highway. The RPATH of
# libgraft leads there.
foreach(loaded libdnnl.so.3 libgomp.so.1 libhwy.so.1)
  install(PROGRAMS $<TARGET_FILE_DIR:graft>/${loaded} DESTINATION lib/graft)
endforeach()

set(config ${PROJECT_BINARY_DIR}/package)
install(EXPORT graftTargets NAMESPACE graft:: DESTINATION lib/cmake/graft)
write_basic_package_version_file(${config}/graftConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_LIST_DIR}/graftConfig.cmake ${config}/graftConfigVersion.cmake DESTINATION lib/cmake/graft)

configure_file(${CMAKE_CURRENT_LIST_DIR}/graft.pc.in ${config}/graft.pc @ONLY)
install(FILES ${config}/graft.pc DESTINATION lib/pkgconfig)
