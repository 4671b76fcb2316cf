// A row-major matrix is the column-major one of its transpose, which is all that cuBLASLt's fast paths take: so
// Cᵀ [N, M] = op(B)ᵀ op(A)ᵀ is asked for, with b as its first factor. The library's heuristic chooses an algorithm once
// for each shape, pitch and alignment on each device; among those that split the sum only the ones that add parts in
// fp32. Descriptors are made for each call: they cost less than looking for them would.
#include "cuda/gemm/gemm.h"

#include <algorithm>
#include <array>
#include <map>
#include <mutex>

#include "core/device.h"
#include "core/error.h"
#include "cuda/gemm/library.h"

namespace graft::cuda {
namespace {

constexpr std::size_t kMostWorkspace = 32 << 20;  // what the library's authors recommend for Hopper
constexpr std::uintptr_t kWorkspaceAlignment = 256;
constexpr std::size_t kMostChoices = 4096;

using Key = std::array<std::int64_t, 16>;

struct Choice {
  lt::Algorithm algorithm;
  std::size_t workspace_bytes;
};

/** What is kept for each device. why never freed: at the end of the process the driver may be gone first. */
struct Kept {
  lt::Context* context = nullptr;
  std::map<Key, Choice> choices;
};

std::mutex mutex;

Kept& kept_for(int ordinal) {
  static auto* devices = new std::map<int, Kept>;
  return (*devices)[ordinal];
}

void check(int status, const char* doing, const Gemm& g) {
  if (status == 0) return;
  core::fail(GRAFT_DEVICE_ERROR, "cuBLASLt, %s for [%lld, %lld] x [%lld, %lld]: %s", doing,
             static_cast<long long>(g.a.height()), static_cast<long long>(g.a.width()),
             static_cast<long long>(g.b.height()), static_cast<long long>(g.b.width()), lt::library().describe(status));
}

lt::DataType type_of(graft_dtype dtype) {
  return dtype == GRAFT_DTYPE_BF16 ? lt::kReal16BF : dtype == GRAFT_DTYPE_F16 ? lt::kReal16F : lt::kReal32F;
}

std::uint32_t alignment(const void* p) {
  const auto address = reinterpret_cast<std::uintptr_t>(p) | kWorkspaceAlignment;
  return static_cast<std::uint32_t>(address & (~address + 1));
}

/** The descriptors of one product, in the library's order of factors. */
class Product {
 public:
  explicit Product(const Gemm& g) : g_(g) {
    try {
      const lt::DataType from = type_of(g.factors);
      check(l_.create_operation(&operation, lt::kCompute32F, lt::kReal32F), "describing a product", g);
      set(lt::kTransposeA, g.b.transposed ? lt::kTransposed : lt::kNotTransposed);
      set(lt::kTransposeB, g.a.transposed ? lt::kTransposed : lt::kNotTransposed);
      set(lt::kEpilogue, g.bias == nullptr ? lt::kNoEpilogue : lt::kAddBias);
      if (g.bias != nullptr) set(lt::kBiasPointer, g.bias);
      layout(&b, from, g.b.rows, g.b.columns, g.b.pitch);
      layout(&a, from, g.a.rows, g.a.columns, g.a.pitch);
      layout(&c, type_of(g.result), g.a.height(), g.b.width(), g.c_pitch);
    } catch (...) {
      destroy();
      throw;
    }
  }
  ~Product() { destroy(); }
  Product(const Product&) = delete;

  Choice choose(lt::Context* context) const {
    lt::Preference* preference = nullptr;
    check(l_.create_preference(&preference), "describing a preference", g_);
    lt::Heuristic found{};
    int count = 0;
    const auto prefer = [&](lt::PreferenceAttribute attribute, auto value) {
      return l_.set_preference(preference, attribute, &value, sizeof value);
    };
    int status = prefer(lt::kMostWorkspaceBytes, kMostWorkspace);
    if (status == 0) status = prefer(lt::kReductionSchemes, lt::kReduceInComputeType);
    if (status == 0) status = prefer(lt::kAlignmentA, alignment(g_.b.data));
    if (status == 0) status = prefer(lt::kAlignmentB, alignment(g_.a.data));
    if (status == 0) status = prefer(lt::kAlignmentC, alignment(g_.c));
    if (status == 0) status = prefer(lt::kAlignmentD, alignment(g_.c));
    if (status == 0) status = l_.find_algorithms(context, operation, b, a, c, c, preference, 1, &found, &count);
    l_.destroy_preference(preference);
    check(status, "choosing an algorithm", g_);
    check(found.status, "choosing an algorithm", g_);
    if (count == 0)
      core::fail(GRAFT_UNSUPPORTED, "cuBLASLt has no algorithm for [%lld, %lld] x [%lld, %lld]",
                 static_cast<long long>(g_.a.height()), static_cast<long long>(g_.a.width()),
                 static_cast<long long>(g_.b.height()), static_cast<long long>(g_.b.width()));
    return {found.algorithm, found.workspace_bytes};
  }

  void run(lt::Context* context, const Choice& choice, void* workspace, void* stream) const {
    check(l_.multiply(context, operation, &g_.alpha, g_.b.data, b, g_.a.data, a, &g_.beta, g_.c, c, g_.c, c,
                      &choice.algorithm, workspace, choice.workspace_bytes, stream),
          "multiplying", g_);
  }

 private:
  template <class Value>
  void set(lt::OperationAttribute attribute, Value value) {
    check(l_.set_operation(operation, attribute, &value, sizeof value), "describing a product", g_);
  }

  void layout(lt::Layout** to, lt::DataType type, std::int64_t rows, std::int64_t columns, std::int64_t pitch) {
    check(l_.create_layout(to, type, static_cast<std::uint64_t>(columns), static_cast<std::uint64_t>(rows),
                           std::max(pitch, columns)),
          "describing a matrix", g_);
  }

  void destroy() noexcept {
    for (lt::Layout* made : {a, b, c})
      if (made != nullptr) l_.destroy_layout(made);
    if (operation != nullptr) l_.destroy_operation(operation);
  }

  const lt::Library& l_ = lt::library();
  const Gemm& g_;
  lt::Operation* operation = nullptr;
  lt::Layout *a = nullptr, *b = nullptr, *c = nullptr;
};

Key key_of(const Gemm& g) {
  return {g.factors,           g.result,       g.a.rows,          g.a.columns,
          g.a.pitch,           g.a.transposed, g.b.rows,          g.b.columns,
          g.b.pitch,           g.b.transposed, g.c_pitch,         alignment(g.a.data),
          alignment(g.b.data), alignment(g.c), g.bias != nullptr, g.bias == nullptr ? 0 : alignment(g.bias)};
}

}  // namespace

std::string refuse_gemm(graft_dtype factors, graft_dtype result) {
  if (factors != GRAFT_DTYPE_F32 && factors != GRAFT_DTYPE_BF16 && factors != GRAFT_DTYPE_F16)
    return "f64 is for references, which run on the CPU";
  if (result != GRAFT_DTYPE_F32 && result != factors) return "a result that is neither f32 nor of its factors' type";
  return {};
}

void run(core::Context& context, const Gemm& g) {
  if (g.a.height() == 0 || g.b.width() == 0) return;
  if (g.a.width() != g.b.height() || g.a.width() == 0)
    core::fail(GRAFT_INTERNAL, "a product of [%lld, %lld] and [%lld, %lld]", static_cast<long long>(g.a.height()),
               static_cast<long long>(g.a.width()), static_cast<long long>(g.b.height()),
               static_cast<long long>(g.b.width()));
  if (context.planning) {
    core::Scratch(context.arena).take<char>(kMostWorkspace + kWorkspaceAlignment);
    return;
  }
  void* const stream = context.opened->stream();
  const Product product(g);
  lt::Context* library = nullptr;
  Choice choice;
  {
    const std::lock_guard lock(mutex);
    Kept& kept = kept_for(context.opened->ordinal());
    if (kept.context == nullptr) check(lt::library().create(&kept.context), "starting", g);
    library = kept.context;
    if (kept.choices.size() >= kMostChoices) kept.choices.clear();
    const Key key = key_of(g);
    auto known = kept.choices.find(key);
    if (known == kept.choices.end()) known = kept.choices.emplace(key, product.choose(library)).first;
    choice = known->second;
  }
  core::Scratch scratch(context.arena);
  auto workspace = reinterpret_cast<std::uintptr_t>(
      scratch.take<char>(static_cast<std::int64_t>(choice.workspace_bytes + kWorkspaceAlignment)));
  workspace = (workspace + kWorkspaceAlignment - 1) / kWorkspaceAlignment * kWorkspaceAlignment;
  product.run(library, choice, choice.workspace_bytes == 0 ? nullptr : reinterpret_cast<void*>(workspace), stream);
}

}  // namespace graft::cuda
