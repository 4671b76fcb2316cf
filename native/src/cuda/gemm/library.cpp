#include "cuda/gemm/library.h"

#include <dlfcn.h>

#include <cstdlib>
#include <string>

#include "core/error.h"

namespace graft::cuda::lt {
namespace {

template <class Function>
void find(void* loaded, const char* library, const char* name, Function*& function) {
  function = reinterpret_cast<Function*>(dlsym(loaded, name));
  if (function == nullptr) core::fail(GRAFT_DEVICE_UNAVAILABLE, "%s has no function %s", library, name);
}

Library functions_of(void* loaded, const char* name) {
  Library l{};
  find(loaded, name, "cublasLtGetStatusString", l.describe);
  find(loaded, name, "cublasLtCreate", l.create);
  find(loaded, name, "cublasLtMatmulDescCreate", l.create_operation);
  find(loaded, name, "cublasLtMatmulDescDestroy", l.destroy_operation);
  find(loaded, name, "cublasLtMatmulDescSetAttribute", l.set_operation);
  find(loaded, name, "cublasLtMatrixLayoutCreate", l.create_layout);
  find(loaded, name, "cublasLtMatrixLayoutDestroy", l.destroy_layout);
  find(loaded, name, "cublasLtMatmulPreferenceCreate", l.create_preference);
  find(loaded, name, "cublasLtMatmulPreferenceDestroy", l.destroy_preference);
  find(loaded, name, "cublasLtMatmulPreferenceSetAttribute", l.set_preference);
  find(loaded, name, "cublasLtMatmulAlgoGetHeuristic", l.find_algorithms);
  find(loaded, name, "cublasLtMatmul", l.multiply);
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
