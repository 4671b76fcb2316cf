# Options and compiler flags that every target shares.
option(GRAFT_WERROR "Treat warnings as errors" ON)
option(GRAFT_TESTS "Build the native tests" ON)
option(GRAFT_BENCHMARKS "Build the native benchmarks" ON)
set(GRAFT_DNNL_ROOT "" CACHE PATH "Folder with oneDNN's include/ and libdnnl.so")

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_C_STANDARD 11)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_CXX_VISIBILITY_PRESET hidden)
set(CMAKE_VISIBILITY_INLINES_HIDDEN ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

add_library(graft_flags INTERFACE)
target_compile_options(graft_flags INTERFACE -Wall -Wextra $<$<BOOL:${GRAFT_WERROR}>:-Werror>)
# why: contraction into FMA would make the reference's bits depend on the compiler's mood.
target_compile_options(graft_flags INTERFACE -ffp-contract=off)

# AddressSanitizer and UndefinedBehaviorSanitizer for the library. -O1 keeps lines for the reports and compiles several
# times faster than -O2, and only this machine's instruction set runs here.
add_library(graft_sanitizers INTERFACE)
# why not enum: a C caller may pass any int where the ABI has an enum, and the checks answer it.
target_compile_options(graft_sanitizers INTERFACE -UNDEBUG -O1 -g1 -march=native -fsanitize=address,undefined -fno-sanitize=enum
                                                  -fno-sanitize-recover=all -fno-omit-frame-pointer)
target_compile_definitions(graft_sanitizers INTERFACE HWY_COMPILE_ONLY_STATIC)
target_link_options(graft_sanitizers INTERFACE -fsanitize=address,undefined)
