#include "cpu/gemm/matmul.h"

#include <dlfcn.h>

#include <array>
#include <map>
#include <mutex>
#include <oneapi/dnnl/dnnl.hpp>

#include "core/error.h"
#include "core/tensor_check.h"
#include "cpu/isa.h"

namespace graft::cpu {

struct Matmul {
  dnnl::matmul primitive;
  dnnl::memory::desc a, b, c, bias, scratch;
  std::int64_t scratch_bytes;
  bool reads_past_rows;
};

namespace {

constexpr std::size_t kCached = 1024;

dnnl::engine limited_engine() {
  if (!allowed(core::Isa::kAmx)) {
    constexpr dnnl::cpu_isa kIsas[] = {dnnl::cpu_isa::sse41, dnnl::cpu_isa::avx2, dnnl::cpu_isa::avx512_core,
                                       dnnl::cpu_isa::avx512_core_bf16};
    dnnl::set_max_cpu_isa(kIsas[static_cast<int>(core::max_isa())]);  // the user's own setting stays if it came first
  }
  return {dnnl::engine::kind::cpu, 0};
}

const dnnl::engine& engine() {
  static const dnnl::engine cpu = limited_engine();
  return cpu;
}

// why: the library's OpenMP would start its own team in each of our threads; with a limit of one, which is a property
// of the calling thread, it runs inline. The caller's limit comes back afterwards. A library without OpenMP has no such
// functions.
class OneThread {
 public:
  OneThread() {
    if (set() == nullptr) return;
    before_ = get()();
    if (before_ != 1) set()(1);
  }
  ~OneThread() {
    if (set() != nullptr && before_ != 1) set()(before_);
  }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  using Get = int (*)();
  using Set = void (*)(int);
  static Get get() {
    static const Get function = reinterpret_cast<Get>(dlsym(RTLD_DEFAULT, "omp_get_max_threads"));
    return function;
  }
  static Set set() {
    static const Set function =
        get() == nullptr ? nullptr : reinterpret_cast<Set>(dlsym(RTLD_DEFAULT, "omp_set_num_threads"));
    return function;
  }
  int before_ = 1;
};

dnnl::memory::data_type data_type(graft_dtype dtype) {
  switch (dtype) {
    case GRAFT_DTYPE_F32:
      return dnnl::memory::data_type::f32;
    case GRAFT_DTYPE_BF16:
      return dnnl::memory::data_type::bf16;
    case GRAFT_DTYPE_F16:
      return dnnl::memory::data_type::f16;
    default:
      core::fail(GRAFT_INTERNAL, "oneDNN has no type for %s", core::dtype_name(dtype));
  }
}

// why: with one row or one column a stride is never used, but the library reads a layout out of it.
dnnl::memory::desc describe(const Matrix& m) {
  dnnl::memory::dims strides{m.row_stride, m.column_stride};
  if (m.rows == 1 && m.column_stride == 1) strides[0] = std::max<std::int64_t>(m.row_stride, m.columns);
  if (m.columns == 1 && m.row_stride == 1) strides[1] = std::max<std::int64_t>(m.column_stride, m.rows);
  return {{m.rows, m.columns}, data_type(m.dtype), strides};
}

dnnl::matmul::primitive_desc make(const dnnl::memory::desc& a, const dnnl::memory::desc& b, const dnnl::memory::desc& c,
                                  const dnnl::memory::desc& bias, float beta) {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (beta != 0) {
    dnnl::post_ops sum;
    sum.append_sum(1.0f);
    attributes.set_post_ops(sum);
  }
  const OneThread one_thread;
  if (bias.get_ndims() == 0) return {engine(), a, b, c, attributes, true};
  return {engine(), a, b, bias, c, attributes, true};
}

using Key = std::array<std::int64_t, 12>;

std::mutex cache_mutex;
std::map<Key, std::shared_ptr<const Matmul>>& cache() {
  static auto* all = new std::map<Key, std::shared_ptr<const Matmul>>();  // why: outlives the contexts of other statics
  return *all;
}

}  // namespace

std::string matmul_refuse(graft_dtype input, graft_dtype output) {
  constexpr int kDtypes = 8;
  static std::mutex mutex;
  static std::array<std::array<int, kDtypes>, kDtypes> known{};  // 0: not asked, 1: yes, 2: no
  const std::lock_guard lock(mutex);
  int& answer = known[static_cast<std::size_t>(input)][static_cast<std::size_t>(output)];
  if (answer == 0) {
    const auto square = [](graft_dtype dtype) { return describe({nullptr, dtype, 64, 64, 64, 1}); };
    const auto pd = make(square(input), square(input), square(output), {}, 0);
    // why: the library's own reference loops are slower than ours and would hide that.
    answer = pd.get(true) != nullptr && std::string(pd.impl_info_str()).find("ref") == std::string::npos ? 1 : 2;
  }
  if (answer == 1) return {};
  return std::string("oneDNN has no fast matmul of ") + core::dtype_name(input) + " into " + core::dtype_name(output) +
         " on this processor";
}

std::shared_ptr<const Matmul> matmul_for(const Matrix& a, const Matrix& b, const Matrix& c, float beta,
                                         bool with_bias) {
  if (a.rows != c.rows || b.columns != c.columns || a.columns != b.rows)
    core::fail(GRAFT_INTERNAL, "gemm: shapes disagree");
  const Key key{c.rows,          c.columns,    a.columns, a.row_stride, a.column_stride,   b.row_stride,
                b.column_stride, c.row_stride, a.dtype,   c.dtype,      beta != 0 ? 1 : 0, with_bias ? 1 : 0};
  {
    const std::lock_guard lock(cache_mutex);
    const auto found = cache().find(key);
    if (found != cache().end()) return found->second;
  }
  const dnnl::memory::desc da = describe(a), db = describe(b), dc = describe(c);
  dnnl::memory::desc bias;
  if (with_bias) bias = {{1, c.columns}, dnnl::memory::data_type::f32, dnnl::memory::dims{c.columns, 1}};
  const auto pd = make(da, db, dc, bias, beta);
  if (pd.get(true) == nullptr)
    core::fail(GRAFT_UNSUPPORTED, "oneDNN has no matmul of %s into %s on this processor", core::dtype_name(a.dtype),
               core::dtype_name(c.dtype));
  const OneThread one_thread;
  // why: with tiles of the processor (AMX) the library up to 3.14 multiplies what lies behind the rows by zeros, so
  // that a NaN there reaches the result (oneDNN issue 5717).
  const bool tiles = std::string(pd.impl_info_str()).find("amx") != std::string::npos;
  const bool reads_past_rows = tiles && a.column_stride == 1 && a.columns % kTileColumns != 0;
  auto made = std::make_shared<const Matmul>(Matmul{dnnl::matmul(pd), da, db, dc, bias, pd.scratchpad_desc(),
                                                    static_cast<std::int64_t>(pd.scratchpad_desc().get_size()),
                                                    reads_past_rows});
  const std::lock_guard lock(cache_mutex);
  if (cache().size() >= kCached) cache().clear();
  return cache().emplace(key, std::move(made)).first->second;
}

bool matmul_in_short_vectors(graft_dtype dtype) {
  static const bool tiles = [] {
    engine();  // sets the limit
    const dnnl::cpu_isa isa = dnnl::get_effective_cpu_isa();
    return isa == dnnl::cpu_isa::avx512_core_amx || isa == dnnl::cpu_isa::avx512_core_amx_fp16;
  }();
  return graft_dtype_bytes(dtype) == 2 && !tiles && matmul_refuse(dtype, dtype).empty();
}

bool matmul_reads_past_rows(const Matmul& matmul) { return matmul.reads_past_rows; }

std::int64_t matmul_scratch(const Matmul& matmul) { return (matmul.scratch_bytes + 63) / 64 * 64; }

void matmul_run(const Matmul& matmul, const void* a, const void* b, void* c, const float* bias, void* scratch) {
  const auto memory = [](const dnnl::memory::desc& desc, const void* data) {
    return dnnl::memory(desc, engine(), const_cast<void*>(data));
  };
  thread_local dnnl::stream stream(engine());
  const OneThread one_thread;
  std::unordered_map<int, dnnl::memory> arguments{{DNNL_ARG_SRC, memory(matmul.a, a)},
                                                  {DNNL_ARG_WEIGHTS, memory(matmul.b, b)},
                                                  {DNNL_ARG_DST, memory(matmul.c, c)}};
  if (bias != nullptr) arguments.emplace(DNNL_ARG_BIAS, memory(matmul.bias, bias));
  if (scratch != nullptr) arguments.emplace(DNNL_ARG_SCRATCHPAD, memory(matmul.scratch, scratch));
  matmul.primitive.execute(stream, arguments);
}

}  // namespace graft::cpu
