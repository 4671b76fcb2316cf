#include "cuda/gemm/library.h"

#include <dlfcn.h>

#include <cstdlib>
#include <string>
#include <type_traits>

#include "core/error.h"

namespace graft::cuda::lt {
namespace {

Library functions_of(void* loaded, const char* library) {
  Library l{};
  for_functions(l, [&](const char* name, auto*& function) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(loaded, name));
    if (function == nullptr) core::fail(GRAFT_DEVICE_UNAVAILABLE, "%s has no function %s", library, name);
  });
  return l;
}

Library open_installed() {
  if (const char* named = std::getenv("GRAFT_CUBLASLT"); named != nullptr && *named != '\0')
    return open_library({named});
  return open_library({"libcublasLt.so.13", "libcublasLt.so.12", "libcublasLt.so"});
}

}  // namespace

Library open_library(std::initializer_list<const char*> names) {
  std::string tried;
  for (const char* name : names) {
    if (void* loaded = dlopen(name, RTLD_NOW | RTLD_LOCAL); loaded != nullptr) return functions_of(loaded, name);
    tried += std::string(tried.empty() ? "" : "; ") + dlerror();
  }
  core::fail(GRAFT_DEVICE_UNAVAILABLE,
             "products on CUDA need cuBLASLt, which cannot be loaded (%s); GRAFT_CUBLASLT may name it", tried.c_str());
}

OpenLibrary& library_opener() {
  static OpenLibrary opener = open_installed;
  return opener;
}

const Library& library() {
  static const Library opened = library_opener()();
  return opened;
}

}  // namespace graft::cuda::lt
