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

/** Columns of the border that the bordered products use: the rank, or whole tiles where the processor multiplies in
 * tiles and the border has room; those behind the rank hold zeros. */
std::int64_t border_columns(const graft_weight& w, std::int64_t rank, graft_dtype dtype);

/** Why neither path serves x or dy: types that the GEMM library lacks. */
std::string refuse_types(const graft_tensor& x, const graft_tensor& a, const graft_tensor& b, const graft_tensor* bias);

/** to[t, :] = from[t, :], converted, then zeros. */
void convert_and_fill(const Matrix& from, float scale, const Matrix& to);

/** scale·m in the type and memory of `dtype`, from the scratch. */
Matrix converted(core::Context& context, core::Scratch& scratch, const graft_tensor& m, double scale,
                 graft_dtype dtype);

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
