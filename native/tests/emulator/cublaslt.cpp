// cuBLASLt as the emulated device has it: plain loops in order of k behind the library's own interface, so that what
// the library is told (column-major layouts, transposes, pitches, alignments, workspace) is tested too. What the real
// one may answer with garbage or an error ends the process here: an algorithm that was chosen for another product, a
// pointer less aligned than promised, a workspace that is too small. The workspace is filled with NaN.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "cuda/device/numbers.h"
#include "cuda/gemm/library.h"
#include "emulator/emulator.h"

namespace graft::cuda::lt {

struct Context {
  int unused;
};

struct Operation {
  ComputeType compute;
  DataType scale;
  std::int32_t transpose_a = 0, transpose_b = 0;
  std::uint32_t epilogue = kNoEpilogue;
  const void* bias = nullptr;
};

struct Layout {
  DataType type;
  std::uint64_t rows, columns;
  std::int64_t pitch;
};

struct Preference {
  std::size_t workspace = 0;
  std::uint32_t schemes = 7, alignment[4] = {256, 256, 256, 256};
};

namespace {

enum Status { kSuccess = 0, kInvalidValue = 7 };

[[noreturn]] void stop(const char* what) {
  std::fprintf(stderr, "emulator: cublasLt: %s\n", what);
  std::abort();
}

void require(bool condition, const char* what) {
  if (!condition) stop(what);
}

const char* describe(int status) { return status == kSuccess ? "success" : "an invalid value"; }

int create(Context** made) { return *made = new Context{}, kSuccess; }

int create_operation(Operation** made, ComputeType compute, DataType scale) {
  return *made = new Operation{compute, scale}, kSuccess;
}

int destroy_operation(Operation* operation) { return delete operation, kSuccess; }

template <class Value>
int assign(Value& to, const void* value, std::size_t bytes) {
  if (bytes != sizeof to) return kInvalidValue;
  std::memcpy(&to, value, bytes);
  return kSuccess;
}

int set_operation(Operation* operation, OperationAttribute attribute, const void* value, std::size_t bytes) {
  switch (attribute) {
    case kTransposeA:
      return assign(operation->transpose_a, value, bytes);
    case kTransposeB:
      return assign(operation->transpose_b, value, bytes);
    case kEpilogue:
      return assign(operation->epilogue, value, bytes);
    case kBiasPointer:
      return assign(operation->bias, value, bytes);
  }
  return kInvalidValue;
}

int create_layout(Layout** made, DataType type, std::uint64_t rows, std::uint64_t columns, std::int64_t pitch) {
  if (rows == 0 || columns == 0 || pitch < static_cast<std::int64_t>(rows)) return kInvalidValue;
  return *made = new Layout{type, rows, columns, pitch}, kSuccess;
}

int destroy_layout(Layout* layout) { return delete layout, kSuccess; }
int create_preference(Preference** made) { return *made = new Preference, kSuccess; }
int destroy_preference(Preference* preference) { return delete preference, kSuccess; }

int set_preference(Preference* preference, PreferenceAttribute attribute, const void* value, std::size_t bytes) {
  if (attribute == kMostWorkspaceBytes) return assign(preference->workspace, value, bytes);
  if (attribute == kReductionSchemes) return assign(preference->schemes, value, bytes);
  if (attribute < kAlignmentA || attribute > kAlignmentD) return kInvalidValue;
  return assign(preference->alignment[attribute - kAlignmentA], value, bytes);
}

/** What an algorithm is good for. */
std::uint64_t mark(const Operation& o, const Layout& a, const Layout& b, const Layout& c, const Layout& d) {
  std::uint64_t hash = 1469598103934665603u;
  const auto add = [&](std::uint64_t value) { hash = (hash ^ value) * 1099511628211u; };
  for (const Layout* l : {&a, &b, &c, &d})
    for (const std::uint64_t value : {std::uint64_t(l->type), l->rows, l->columns, std::uint64_t(l->pitch)}) add(value);
  for (const std::uint64_t value :
       {std::uint64_t(o.transpose_a), std::uint64_t(o.transpose_b), std::uint64_t(o.epilogue)})
    add(value);
  return hash;
}

int find_algorithms(Context*, Operation* operation, Layout* a, Layout* b, Layout* c, Layout* d, Preference* preference,
                    int wanted, Heuristic* found, int* count) {
  require(wanted == 1, "one algorithm is asked for at a time");
  require(preference->schemes == kReduceInComputeType, "sums may be split in the result's type");
  // Some products take a workspace and others none.
  const std::size_t workspace = std::min<std::size_t>(preference->workspace, a->rows % 2 == 0 ? 1000 : 0);
  *found = {{{mark(*operation, *a, *b, *c, *d), preference->alignment[0], preference->alignment[1],
              preference->alignment[2], preference->alignment[3], workspace, 0, 0}},
            workspace,
            kSuccess,
            1,
            {}};
  return *count = 1, kSuccess;
}

float at(const void* data, DataType type, std::size_t index) {
  if (type == kReal32F) return static_cast<const float*>(data)[index];
  return type == kReal16F ? to_float(static_cast<const f16*>(data)[index])
                          : to_float(static_cast<const bf16*>(data)[index]);
}

void put(void* data, DataType type, std::size_t index, float value) {
  if (type == kReal32F) static_cast<float*>(data)[index] = value;
  if (type == kReal16F) static_cast<f16*>(data)[index] = from_float<f16>(value);
  if (type == kReal16BF) static_cast<bf16*>(data)[index] = from_float<bf16>(value);
}

/** op(matrix) or its transpose, row-major. */
std::vector<float> read(const void* data, const Layout& l, bool by_columns) {
  const auto pitch = static_cast<std::size_t>(l.pitch);
  std::vector<float> values;
  values.reserve(l.rows * l.columns);
  if (by_columns) {
    for (std::size_t j = 0; j < l.columns; ++j)
      for (std::size_t i = 0; i < l.rows; ++i) values.push_back(at(data, l.type, j * pitch + i));
  } else {
    for (std::size_t i = 0; i < l.rows; ++i)
      for (std::size_t j = 0; j < l.columns; ++j) values.push_back(at(data, l.type, j * pitch + i));
  }
  return values;
}

/** A product as it was asked for: what it was described by may be gone when it is done. */
struct Product {
  Operation o;
  Layout al, bl, cl, dl;
  float alpha, beta;
  const void *a, *b, *c;
  void *d, *workspace;
  std::size_t workspace_bytes;

  std::size_t m() const { return o.transpose_a ? al.columns : al.rows; }
  std::size_t k() const { return o.transpose_a ? al.rows : al.columns; }
  std::size_t n() const { return o.transpose_b ? bl.rows : bl.columns; }

  void run() const {
    if (workspace_bytes > 0) std::memset(workspace, 0xff, workspace_bytes);
    const std::vector<float> rows = read(a, al, o.transpose_a != 0), columns = read(b, bl, o.transpose_b == 0);
    for (std::size_t j = 0; j < n(); ++j) {
      for (std::size_t i = 0; i < m(); ++i) {
        float sum = 0;
        for (std::size_t l = 0; l < k(); ++l) sum += rows[i * k() + l] * columns[j * k() + l];
        sum *= alpha;
        if (beta != 0) sum += beta * at(c, cl.type, j * static_cast<std::size_t>(cl.pitch) + i);
        if (o.epilogue == kAddBias) sum += at(o.bias, dl.type, i);
        put(d, dl.type, j * static_cast<std::size_t>(dl.pitch) + i, sum);
      }
    }
  }
};

int multiply(Context*, Operation* o, const void* alpha, const void* a, Layout* al, const void* b, Layout* bl,
             const void* beta, const void* c, Layout* cl, void* d, Layout* dl, const Algorithm* algorithm,
             void* workspace, std::size_t workspace_bytes, void* stream) {
  require(o->compute == kCompute32F && o->scale == kReal32F, "sums and factors are fp32");
  require(algorithm->data[0] == mark(*o, *al, *bl, *cl, *dl), "an algorithm that was chosen for another product");
  const void* const pointers[] = {a, b, c, d};
  for (int i = 0; i < 4; ++i)
    require(reinterpret_cast<std::uintptr_t>(pointers[i]) % algorithm->data[1 + i] == 0,
            "a pointer is less aligned than promised");
  require(workspace_bytes >= algorithm->data[5], "the workspace is too small");
  require(reinterpret_cast<std::uintptr_t>(workspace) % 256 == 0, "the workspace is not aligned");
  const Product product{*o,
                        *al,
                        *bl,
                        *cl,
                        *dl,
                        *static_cast<const float*>(alpha),
                        *static_cast<const float*>(beta),
                        a,
                        b,
                        c,
                        d,
                        workspace,
                        workspace_bytes};
  const std::size_t bk = o->transpose_b ? bl->columns : bl->rows, m = product.m(), n = product.n();
  if (product.k() != bk || dl->rows != m || dl->columns != n || cl->rows != m || cl->columns != n) return kInvalidValue;
  emulator::enqueue(stream, [product] { product.run(); });
  return kSuccess;
}

const bool opened = [] {
  library_opener() = [] {
    return Library{describe,           create,         create_operation, destroy_operation,
                   set_operation,      create_layout,  destroy_layout,   create_preference,
                   destroy_preference, set_preference, find_algorithms,  multiply};
  };
  return true;
}();

}  // namespace
}  // namespace graft::cuda::lt

// The same by the names of the real library, for those who load it (GRAFT_BENCHMARK_CUBLASLT). The legacy default
// stream is no queue of ours: what goes there is done at once.
namespace lt = graft::cuda::lt;
#define GRAFT_EXPORTED extern "C" __attribute__((visibility("default")))
GRAFT_EXPORTED const char* cublasLtGetStatusString(int status) { return lt::describe(status); }
GRAFT_EXPORTED int cublasLtCreate(lt::Context** made) { return lt::create(made); }
GRAFT_EXPORTED int cublasLtMatmulDescCreate(lt::Operation** made, lt::ComputeType compute, lt::DataType scale) {
  return lt::create_operation(made, compute, scale);
}
GRAFT_EXPORTED int cublasLtMatmulDescDestroy(lt::Operation* operation) { return lt::destroy_operation(operation); }
GRAFT_EXPORTED int cublasLtMatmulDescSetAttribute(lt::Operation* operation, lt::OperationAttribute attribute,
                                                  const void* value, std::size_t bytes) {
  return lt::set_operation(operation, attribute, value, bytes);
}
GRAFT_EXPORTED int cublasLtMatrixLayoutCreate(lt::Layout** made, lt::DataType type, std::uint64_t rows,
                                              std::uint64_t columns, std::int64_t pitch) {
  return lt::create_layout(made, type, rows, columns, pitch);
}
GRAFT_EXPORTED int cublasLtMatrixLayoutDestroy(lt::Layout* layout) { return lt::destroy_layout(layout); }
GRAFT_EXPORTED int cublasLtMatmulPreferenceCreate(lt::Preference** made) { return lt::create_preference(made); }
GRAFT_EXPORTED int cublasLtMatmulPreferenceDestroy(lt::Preference* preference) {
  return lt::destroy_preference(preference);
}
GRAFT_EXPORTED int cublasLtMatmulPreferenceSetAttribute(lt::Preference* preference, lt::PreferenceAttribute attribute,
                                                        const void* value, std::size_t bytes) {
  return lt::set_preference(preference, attribute, value, bytes);
}
GRAFT_EXPORTED int cublasLtMatmulAlgoGetHeuristic(lt::Context* context, lt::Operation* operation, lt::Layout* a,
                                                  lt::Layout* b, lt::Layout* c, lt::Layout* d,
                                                  lt::Preference* preference, int wanted, lt::Heuristic* found,
                                                  int* count) {
  return lt::find_algorithms(context, operation, a, b, c, d, preference, wanted, found, count);
}
GRAFT_EXPORTED int cublasLtMatmul(lt::Context* context, lt::Operation* operation, const void* alpha, const void* a,
                                  lt::Layout* al, const void* b, lt::Layout* bl, const void* beta, const void* c,
                                  lt::Layout* cl, void* d, lt::Layout* dl, const lt::Algorithm* algorithm,
                                  void* workspace, std::size_t bytes, void* stream) {
  return lt::multiply(context, operation, alpha, a, al, b, bl, beta, c, cl, d, dl, algorithm, workspace, bytes, stream);
}
#undef GRAFT_EXPORTED
