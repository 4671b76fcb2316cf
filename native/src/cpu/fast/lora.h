// What the two fast paths of lora share. "bordered": the adapter stands in the weight's border and S in the
// activation's tail, so that each direction is one GEMM. "accumulating": the same products, added panel by panel.
#pragma once

#include <string>

#include "cpu/fast/scaling.h"
#include "cpu/fast/skinny.h"
#include "ops/lora.h"

namespace graft::cpu::fast {

/** Rows of S and dS that one chunk makes. */
inline constexpr std::int64_t kSkinnyRows = 64;

/** [x│S] as the bordered product reads it, and its tail [T, >= r], of which the first r columns are S. On processors
 * with tiles the tail reaches to the end of a tile, where the border has room: what is behind S is then to be zero. */
struct Bordered {
  Matrix wide, tail;
};

Bordered with_border(const graft_tensor& x, const graft_weight& w, std::int64_t rank);

/** The same without x, from the scratch: S alone, [T, r] and its tail. */
Bordered alone(core::Scratch& scratch, std::int64_t rows, std::int64_t rank, graft_dtype dtype);

/** Why neither path serves x or dy: types that the GEMM library lacks. */
std::string refuse_types(const graft_tensor& x, const graft_tensor& a, const graft_tensor& b, const graft_tensor* bias);

/** to[t, :] = from[t, :], converted, then zeros. */
void convert_and_fill(const Matrix& from, float scale, const Matrix& to);

/** scale·m in the type and memory of `dtype`, from the scratch. */
Matrix converted(core::Context& context, core::Scratch& scratch, const Matrix& m, double scale, graft_dtype dtype);
inline Matrix converted(core::Context& context, core::Scratch& scratch, const graft_tensor& m, double scale,
                        graft_dtype dtype) {
  return converted(context, scratch, matrix_of(m), scale, dtype);
}

/** (scale·b)ᵀ [r, N] of b [N, r] in the type `dtype`, f32 or bf16, from the scratch. */
Matrix up_rows(core::Context& context, core::Scratch& scratch, const graft_tensor& b, double scale, graft_dtype dtype);

/** The same for row_products. */
PackedRows packed_up_rows(core::Context& context, core::Scratch& scratch, const graft_tensor& b, double scale,
                          graft_dtype dtype);

/** to [rows, >= r] = drop(x) downᵀ, summed in fp32, then zeros; also into s [rows, r], unless NULL. down [r, columns of
 * x] of x's type. */
void project(core::Context& context, const Matrix& x, const Matrix& down, const ops::Dropout& dropout, const Matrix& to,
             const graft_tensor* s);

/** epilogue: what is done to each panel of y while it is in cache; its `from` is y. */
void lora_forward(core::Context& context, const ops::LoraForward& a, bool bordered, const Scaling* epilogue = nullptr);
void lora_backward(core::Context& context, const ops::LoraBackward& a, bool bordered);

}  // namespace graft::cpu::fast
