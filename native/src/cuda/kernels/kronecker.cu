// kronecker: D = scale · Σ_m w1[m] ⊗ (b[m] a[m]) is never made. With x as [T·Q, K/Q] and y as [T·P, N/P], all m side by
// side:
//   u = x aᵀ  [T, Q, M·r]      v[t, p, m] = Σ_q w1[m, p, q] u[t, q, m]      y (+)= scale · v bᵀ
// and back: dv = scale · dy b, du[t, q, m] = Σ_p w1[m, p, q] dv[t, p, m], dx (+)= du a; da += duᵀ x, db += scale · dyᵀ
// v, dw1[m, p, q] += Σ dv[t, p, m] · u[t, q, m]. Without a, u is x and dx is du, summed over m.
//
// The products are the library's, over all of an activation where its rows have no gap, else over piece after piece;
// u and dv are fp32, v and du of x's type. A thread has one element of a mixture, whose lanes read along rows; a block
// one element of dw1 and a group of rows. FLOPs 2·T·M·r·(K + P·Q + N), backward three times that, and Q of fp32 for
// each element of v. Bytes: M·r·T·(4·Q + 2·P) for u and v, of which a mixture reads u P times from the L2.
#include "core/tensor_check.h"
#include "cuda/gemm/gemm.h"
#include "cuda/kernels/column_sums.h"
#include "cuda/kernels/convert.h"
#include "cuda/kernels/pieces.h"
#include "cuda/kernels/reduce.h"
#include "cuda/kernels/row_groups.h"
#include "cuda/kernels/tensor.h"
#include "ops/kronecker.h"

namespace graft::cuda {
namespace {

/** to[t, o, c] = Σ_s w[m, o, s] · from[t, s, m, i] where c is (m, i), or i and the sum is over m too. */
struct Mix {
  const float* w;
  std::int64_t w_m, w_out, w_in;        // steps of w1
  std::int64_t outputs, inputs, width;  // P and Q or the other way round; r
  std::int64_t in_step, m_step;         // of from: to the next s, to the next m
  std::int64_t columns, summed;         // of an output: M·r and 1, or r and M
};

template <class From, class To>
__global__ void __launch_bounds__(kThreads)
    kronecker_mix(Mix mix, Rows<const From> from, std::int64_t rows, bool accumulate, Rows<To> to) {
  const std::int64_t at = std::int64_t{blockIdx.x} * kThreads + threadIdx.x;
  const std::int64_t c = at % mix.columns, o = at / mix.columns % mix.outputs, t = at / mix.columns / mix.outputs;
  if (t >= rows) return;
  const std::int64_t first = mix.summed == 1 ? c / mix.width : 0, i = c % mix.width;
  float sum = 0;
  for (std::int64_t m = first; m < first + mix.summed; ++m)
    for (std::int64_t s = 0; s < mix.inputs; ++s)
      sum += mix.w[m * mix.w_m + (GRAFT_BUG(kronecker_output) ? 0 : o) * mix.w_out + s * mix.w_in] *
             to_float(from[t][s * mix.in_step + m * mix.m_step + i]);
  To& element = to[t][o * mix.columns + c];
  element = from_float<To>(accumulate ? to_float(element) + sum : sum);
}

/** parts[group, (m, p, q)] = Σ over the group's rows and i of dv[t, p, m, i] · u[t, q, m, i]. */
template <class U>
__global__ void __launch_bounds__(kThreads)
    kronecker_dw1(Rows<const float> dv, Rows<const U> u, Mix mix, std::int64_t sums, RowGroups groups, float* parts) {
  const std::int64_t q = blockIdx.x % mix.inputs, p = blockIdx.x / mix.inputs % mix.outputs;
  const std::int64_t m = blockIdx.x / mix.inputs / mix.outputs, first = blockIdx.y * groups.size;
  const std::int64_t count = (first + groups.size < groups.rows ? groups.size : groups.rows - first) * mix.width;
  float sum = 0;
  for (std::int64_t at = threadIdx.x; at < count; at += kThreads) {
    const std::int64_t t = first + at / mix.width, i = at % mix.width;
    sum += dv[t][(p * sums + m) * mix.width + i] * to_float(u[t][q * mix.in_step + m * mix.m_step + i]);
  }
  sum = block_sum<kThreads>(sum);
  if (threadIdx.x == 0)
    parts[std::int64_t{blockIdx.y} * gridDim.x + (GRAFT_BUG(kronecker_dw1_place) ? 0 : blockIdx.x)] = sum;
}

/** merged = w + scale · Σ_m w1[m] ⊗ w2[m], w2 [M·N/P, K/Q]. */
template <class T>
__global__ void __launch_bounds__(kThreads)
    kronecker_merge(Rows<const T> w, const float* w1, Rows<const float> w2, int sums, std::int64_t high,
                    std::int64_t wide, std::int64_t q_count, float scale, std::int64_t w1_m, Rows<T> merged) {
  const std::int64_t n = blockIdx.x, p = n / high, j = n % high, columns = q_count * wide;
  for (std::int64_t k = threadIdx.x; k < columns; k += kThreads) {
    float sum = 0;
    for (int m = 0; m < sums; ++m)
      sum +=
          w1[m * w1_m + p * q_count + k / wide] * w2[m * high + j][k % (GRAFT_BUG(kronecker_merge_column) ? 1 : wide)];
    merged[n][k] = from_float<T>(to_float(w[n][k]) + scale * sum);
  }
}

/** Factors [M, rows, columns] as one matrix of `dtype`: below each other, or side by side. */
graft_tensor joined(core::Context& context, core::Scratch& scratch, const graft_tensor& f, graft_dtype dtype,
                    bool side_by_side) {
  const std::int64_t count = f.shape[0], rows = f.shape[1], columns = f.shape[2];
  const graft_tensor to = side_by_side ? scratch_matrix(scratch, dtype, rows, count * columns)
                                       : scratch_matrix(scratch, dtype, count * rows, columns);
  for (std::int64_t m = 0; m < count; ++m) {
    const graft_tensor at =
        side_by_side ? part(to, 0, m * columns, rows, columns) : part(to, m * rows, 0, rows, columns);
    const void* from = static_cast<const char*>(f.data) + m * f.stride[0] * graft_dtype_bytes(f.dtype);
    run(context, Convert{from, f.dtype, rows, columns, columns, at.data, dtype, rows, columns, at.stride[0]});
  }
  return to;
}

/** One call's factors and inner matrices. */
class Layer {
 public:
  Layer(core::Context& context, core::Scratch& scratch, const ops::KroneckerFactors& d, graft_dtype dtype)
      : context_(context),
        scratch_(scratch),
        d_(d),
        dtype_(dtype),
        width_(d.sums() * d.inner()),
        w1_(joined(context, scratch, *d.w1, GRAFT_DTYPE_F32, false)),
        b_(joined(context, scratch, *d.b, dtype, true)) {
    if (d.a != nullptr) a_ = joined(context, scratch, *d.a, dtype, false);
  }

  /** x aᵀ in fp32, or x. */
  graft_tensor u(const graft_tensor& x) const {
    if (d_.a == nullptr) return x;
    const graft_tensor to = scratch_matrix(scratch_, GRAFT_DTYPE_F32, x.shape[0], d_.q() * width_);
    for_pieces(x, to, d_.q(), [&](const graft_tensor& from, const graft_tensor& piece) {
      multiply(factor(from), factor(a_).t(), piece, 1, 0);
    });
    return to;
  }
  graft_tensor v(const graft_tensor& u) const {
    const graft_tensor to = scratch_matrix(scratch_, dtype_, u.shape[0], d_.p() * width_);
    mix(forward(), u, false, to);
    return to;
  }
  void y(const graft_tensor& v, bool accumulate, const graft_tensor& y) const {
    for_pieces(y, v, d_.p(), [&](const graft_tensor& to, const graft_tensor& piece) {
      multiply(factor(piece), factor(b_).t(), to, d_.scale, accumulate);
    });
  }
  graft_tensor dv(const graft_tensor& dy) const {
    const graft_tensor to = scratch_matrix(scratch_, GRAFT_DTYPE_F32, dy.shape[0], d_.p() * width_);
    for_pieces(dy, to, d_.p(), [&](const graft_tensor& from, const graft_tensor& piece) {
      multiply(factor(from), factor(b_), piece, d_.scale, 0);
    });
    return to;
  }
  graft_tensor du(const graft_tensor& dv) const {
    const graft_tensor to = scratch_matrix(scratch_, dtype_, dv.shape[0], d_.q() * width_);
    mix(back(d_.a != nullptr), dv, false, to);
    return to;
  }
  void dx(const graft_tensor* du, const graft_tensor& dv, bool accumulate, const graft_tensor& dx) const {
    if (d_.a == nullptr) return mix(back(false), dv, accumulate, dx);
    for_pieces(dx, *du, d_.q(), [&](const graft_tensor& to, const graft_tensor& piece) {
      multiply(factor(piece), factor(a_), to, 1, accumulate);
    });
  }
  void da(const graft_tensor& du, const graft_tensor& x, const graft_tensor& da) const {
    const graft_tensor to{da.data, da.dtype, da.device, 2, 0, {width_, d_.wide()}, {d_.wide(), 1}};
    for_pieces(x, du, d_.q(), [&](const graft_tensor& from, const graft_tensor& piece) {
      multiply(factor(piece).t(), factor(from), to, 1, 1);
    });
  }
  void db(const graft_tensor& dy, const graft_tensor& v, const graft_tensor& db) const {
    for_pieces(dy, v, d_.p(), [&](const graft_tensor& from, const graft_tensor& piece) {
      for (std::int64_t m = 0; m < d_.sums(); ++m) {
        const std::int64_t inner = d_.inner();
        const graft_tensor to{static_cast<float*>(db.data) + m * d_.high() * inner,
                              db.dtype,
                              db.device,
                              2,
                              0,
                              {d_.high(), inner},
                              {inner, 1}};
        multiply(factor(from).t(), factor(part(piece, 0, m * inner, piece.shape[0], inner)), to, d_.scale, 1);
      }
    });
  }
  void dw1(const graft_tensor& dv, const graft_tensor& u, const graft_tensor& dw1) const {
    const RowGroups groups(dv.shape[0]);
    const std::int64_t elements = d_.sums() * d_.p() * d_.q();
    auto* const parts = scratch_.take<float>(groups.count * elements);
    visit(u.dtype, [&](auto type) {
      using U = decltype(type);
      launch({"kronecker_dw1",
              {static_cast<unsigned>(elements), static_cast<unsigned>(groups.count)},
              kThreads,
              0,
              stream(context_)},
             kronecker_dw1<U>, rows<const float>(&dv), rows<const U>(&u), forward(), d_.sums(), groups, parts);
    });
    add_parts(context_, parts, groups.count, elements, data<float>(&dw1));
  }

 private:
  void multiply(const Factor& left, const Factor& right, const graft_tensor& to, double alpha, bool accumulate) const {
    run(context_, Gemm{left, right, dtype_, to.data, to.stride[0], to.dtype, static_cast<float>(alpha),
                       accumulate ? 1.0f : 0.0f});
  }
  Mix forward() const {
    const bool low = d_.a != nullptr;
    return {data<const float>(&w1_),  d_.p() * d_.q(),      d_.q(), 1, d_.p(), d_.q(), d_.inner(),
            low ? width_ : d_.wide(), low ? d_.inner() : 0, width_, 1};
  }
  Mix back(bool apart) const {
    return {
        data<const float>(&w1_),     d_.p() * d_.q(),      1, d_.q(), d_.q(), d_.p(), d_.inner(), width_, d_.inner(),
        apart ? width_ : d_.inner(), apart ? 1 : d_.sums()};
  }
  void mix(const Mix& m, const graft_tensor& from, bool accumulate, const graft_tensor& to) const {
    const std::int64_t rows = from.shape[0], threads = rows * m.outputs * m.columns;
    visit(from.dtype, [&](auto from_type) {
      visit(to.dtype, [&](auto to_type) {
        using From = decltype(from_type);
        using To = decltype(to_type);
        launch({"kronecker_mix", blocks_for(threads), kThreads, 0, stream(context_)}, kronecker_mix<From, To>, m,
               graft::cuda::rows<const From>(&from), rows, accumulate, graft::cuda::rows<To>(&to));
      });
    });
  }

  core::Context& context_;
  core::Scratch& scratch_;
  const ops::KroneckerFactors& d_;
  const graft_dtype dtype_;
  const std::int64_t width_;  // M·r
  const graft_tensor w1_, b_;
  graft_tensor a_{};
};

std::string refuse_factors(const ops::KroneckerFactors& d) {
  for (const graft_tensor* factor : {d.w1, d.b, d.a})
    if (factor != nullptr && factor->dtype == GRAFT_DTYPE_F64) return refuse_f64(*factor);
  return {};
}

}  // namespace

std::string refuse(const ops::KroneckerForward& a) {
  const std::string refusal = refuse_gemm(a.x->dtype, a.y->dtype);
  return refusal.empty() ? refuse_factors(a.d) : refusal;
}

void run(core::Context& context, const ops::KroneckerForward& a) {
  if (a.x->shape[0] == 0) return;
  core::Scratch scratch(context.arena);
  const Layer layer(context, scratch, a.d, a.x->dtype);
  layer.y(layer.v(layer.u(*a.x)), a.accumulate, *a.y);
}

std::string refuse(const ops::KroneckerBackward& a) {
  const std::string refusal = refuse_gemm(a.dy->dtype, a.dy->dtype);
  return refusal.empty() ? refuse_factors(a.d) : refusal;
}

void run(core::Context& context, const ops::KroneckerBackward& a) {
  const bool factors = a.dw1 != nullptr || a.db != nullptr || a.da != nullptr;
  if (a.dy->shape[0] == 0 || (a.dx == nullptr && !factors)) return;
  core::Scratch scratch(context.arena);
  const Layer layer(context, scratch, a.d, a.dy->dtype);
  graft_tensor dv{}, du{}, u{};
  if (a.dx != nullptr || a.dw1 != nullptr || a.da != nullptr) dv = layer.dv(*a.dy);
  if (a.d.a != nullptr && (a.dx != nullptr || a.da != nullptr)) du = layer.du(dv);
  if (a.dx != nullptr) layer.dx(&du, dv, a.accumulate, *a.dx);
  if (a.da != nullptr) layer.da(du, *a.x, *a.da);
  if (a.dw1 != nullptr || a.db != nullptr) u = layer.u(*a.x);
  if (a.dw1 != nullptr) layer.dw1(dv, u, *a.dw1);
  if (a.db != nullptr) layer.db(*a.dy, layer.v(u), *a.db);
}

std::string refuse(const ops::KroneckerMerge& a) {
  const std::string refusal = refuse_f64(*a.merged);
  return refusal.empty() ? refuse_factors(a.d) : refusal;
}

void run(core::Context& context, const ops::KroneckerMerge& a) {
  const ops::KroneckerFactors& d = a.d;
  core::Scratch scratch(context.arena);
  const graft_tensor w = core::dense_matrix(*a.w), w1 = joined(context, scratch, *d.w1, GRAFT_DTYPE_F32, false);
  const graft_tensor b = joined(context, scratch, *d.b, GRAFT_DTYPE_F32, false);
  graft_tensor w2 = b;
  if (d.a != nullptr) {
    const graft_tensor down = joined(context, scratch, *d.a, GRAFT_DTYPE_F32, false);
    w2 = scratch_matrix(scratch, GRAFT_DTYPE_F32, b.shape[0], d.wide());
    for (std::int64_t m = 0; m < d.sums(); ++m) {
      const graft_tensor to = part(w2, m * d.high(), 0, d.high(), d.wide());
      run(context, Gemm{factor(part(b, m * d.high(), 0, d.high(), d.inner())),
                        factor(part(down, m * d.inner(), 0, d.inner(), d.wide())), GRAFT_DTYPE_F32, to.data,
                        to.stride[0], GRAFT_DTYPE_F32});
    }
  }
  visit(w.dtype, [&](auto type) {
    using T = decltype(type);
    launch({"kronecker_merge", static_cast<unsigned>(a.w->n), kThreads, 0, stream(context)}, kronecker_merge<T>,
           rows<const T>(&w), data<const float>(&w1), rows<const float>(&w2), static_cast<int>(d.sums()), d.high(),
           d.wide(), d.q(), static_cast<float>(d.scale), d.p() * d.q(), rows<T>(a.merged));
  });
}

}  // namespace graft::cuda
