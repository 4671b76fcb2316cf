// cuBLASLt's C interface, as much of it as one product needs, in prototypes of our own: the library is looked for when
// a product first needs it, so that Graft builds without its headers and loads where it is not installed. Versions 12
// and 13 have the same interface here. Numbers are those of cublasLt.h and library_types.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>

namespace graft::cuda::lt {

struct Context;
struct Operation;
struct Layout;
struct Preference;

struct Algorithm {
  std::uint64_t data[8];
};

struct Heuristic {
  Algorithm algorithm;
  std::size_t workspace_bytes;
  int status;
  float waves;
  int reserved[4];
};

enum ComputeType : int { kCompute32F = 68 };
enum DataType : int { kReal32F = 0, kReal16F = 2, kReal16BF = 14 };
enum Transpose : std::int32_t { kNotTransposed = 0, kTransposed = 1 };
enum Epilogue : std::uint32_t { kNoEpilogue = 1, kAddBias = 4 };
enum ReductionScheme : std::uint32_t { kReduceInComputeType = 2 };
enum OperationAttribute : int { kTransposeA = 3, kTransposeB = 4, kEpilogue = 7, kBiasPointer = 8 };
enum PreferenceAttribute : int {
  kMostWorkspaceBytes = 1,
  kReductionSchemes = 3,
  kAlignmentA = 5,
  kAlignmentB = 6,
  kAlignmentC = 7,
  kAlignmentD = 8
};

/** The functions; each returns 0 or a status that describe() puts into words. */
struct Library {
  const char* (*describe)(int status);
  int (*create)(Context** made);
  int (*create_operation)(Operation** made, ComputeType compute, DataType scale);
  int (*destroy_operation)(Operation* operation);
  int (*set_operation)(Operation* operation, OperationAttribute attribute, const void* value, std::size_t bytes);
  int (*create_layout)(Layout** made, DataType type, std::uint64_t rows, std::uint64_t columns, std::int64_t pitch);
  int (*destroy_layout)(Layout* layout);
  int (*create_preference)(Preference** made);
  int (*destroy_preference)(Preference* preference);
  int (*set_preference)(Preference* preference, PreferenceAttribute attribute, const void* value, std::size_t bytes);
  int (*find_algorithms)(Context* context, Operation* operation, Layout* a, Layout* b, Layout* c, Layout* d,
                         Preference* preference, int wanted, Heuristic* found, int* count);
  int (*multiply)(Context* context, Operation* operation, const void* alpha, const void* a, Layout* a_layout,
                  const void* b, Layout* b_layout, const void* beta, const void* c, Layout* c_layout, void* d,
                  Layout* d_layout, const Algorithm* algorithm, void* workspace, std::size_t workspace_bytes,
                  void* stream);
};

/** Fills the functions one by one: each by find(name, function), which is to set function to what is called so. */
template <class Find>
void for_functions(Library& l, Find&& find) {
  find("cublasLtGetStatusString", l.describe);
  find("cublasLtCreate", l.create);
  find("cublasLtMatmulDescCreate", l.create_operation);
  find("cublasLtMatmulDescDestroy", l.destroy_operation);
  find("cublasLtMatmulDescSetAttribute", l.set_operation);
  find("cublasLtMatrixLayoutCreate", l.create_layout);
  find("cublasLtMatrixLayoutDestroy", l.destroy_layout);
  find("cublasLtMatmulPreferenceCreate", l.create_preference);
  find("cublasLtMatmulPreferenceDestroy", l.destroy_preference);
  find("cublasLtMatmulPreferenceSetAttribute", l.set_preference);
  find("cublasLtMatmulAlgoGetHeuristic", l.find_algorithms);
  find("cublasLtMatmul", l.multiply);
}

/** The first of these that can be loaded; throws DEVICE_UNAVAILABLE with all names that were tried. */
Library open_library(std::initializer_list<const char*> names);

/** How library() gets its functions: from what is installed, unless a test brings its own. */
using OpenLibrary = Library (*)();
OpenLibrary& library_opener();

/** Opened at the first call. */
const Library& library();

}  // namespace graft::cuda::lt
