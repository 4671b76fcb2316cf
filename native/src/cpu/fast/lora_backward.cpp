// dS = scale·dy B in chunks of rows; then, in one parallel part, panels of columns of dx, da and db. Without dropout dx
// is [dy│dS]·[W;A], or dy W and then dS A panel by panel. With dropout a column panel makes its mask once, for da and
// for dx. FLOPs: 2·T·N·K + 4·T·r·(K+N). Extra bytes: dy twice and x once.
#include <algorithm>
#include <optional>

#include "core/context.h"
#include "cpu/fast/coded_weight.h"
#include "cpu/fast/dropout.h"
#include "cpu/fast/lora.h"
#include "cpu/fast/narrow_gradient.h"
#include "cpu/fast/rank_update.h"
#include "cpu/fast/skinny_bf16.h"
#include "cpu/fast/visit.h"

namespace graft::cpu::fast {
namespace {

constexpr std::int64_t kColumns = kPanelColumns;  // of a task without a panel of dx
constexpr std::int64_t kMaskRows = 256;

class Backward {
 public:
  Backward(core::Context& context, const ops::LoraBackward& a, bool bordered)
      : context_(context),
        a_(a),
        bordered_(bordered),
        rows_(a.dy->shape[0]),
        n_(a.w->n),
        k_(a.w->k),
        rank_(a.a->shape[0]),
        dtype_(a.dy->dtype),
        scratch_(context.arena),
        dy_(matrix_of(*a.dy)) {}

  void run() {
    if (a_.dx != nullptr || a_.da != nullptr) low_gradient();
    if (a_.db != nullptr) db_ = NarrowGradient(context_, scratch_, dy_, *a_.s, a_.scale, *a_.db);
    if (a_.dx == nullptr || a_.dropout.active()) {
      columns_and_rest(a_.dropout.active() && a_.dx != nullptr ? frozen() : nullptr);
    } else if (bordered_) {
      const GemmPanels dx(context_, scratch_, low_.wide, matrix_of(a_.w->storage).part(0, 0, low_.wide.columns, k_),
                          matrix_of(*a_.dx), beta());
      panels_and_rest(dx, nullptr);
    } else {
      const Matrix down = converted(context_, scratch_, *a_.a, 1, dtype_);
      const GemmPanels& dx = *frozen();
      const GemmPanels low(context_, scratch_, low_.wide, down, matrix_of(*a_.dx), 1, nullptr, &dx);
      panels_and_rest(dx, &low);
    }
    if (a_.dbias != nullptr) column_sums(context_, dy_, static_cast<float*>(a_.dbias->data));
  }

 private:
  float beta() const { return a_.accumulate ? 1.0f : 0.0f; }

  const GemmPanels* frozen() {
    frozen_ = std::make_unique<GemmPanels>(backward_panels(context_, scratch_, dy_, *a_.w, matrix_of(*a_.dx), beta()));
    return frozen_.get();
  }

  // dS in fp32, in pairs of rows for da, and in dy's type for the GEMM that makes dx.
  void low_gradient() {
    const bool pairs = has_pairs();
    const Matrix up = pairs ? Matrix{} : converted(context_, scratch_, *a_.b, a_.scale, dtype_);
    const PackedRows packed = pairs ? packed_up_rows(context_, scratch_, *a_.b, a_.scale, dtype_) : PackedRows{};
    ds_ = scratch_.take<float>(rows_ * rank_);
    auto* row_pairs = pairs ? scratch_.take<std::uint32_t>(pair_words(rows_, rank_)) : nullptr;
    narrow_ds_ = {ds_, row_pairs, rank_};
    const bool for_gemm = a_.dx != nullptr && !a_.dropout.active();
    if (for_gemm) low_ = bordered_ ? with_border(*a_.dy, *a_.w, rank_) : alone(scratch_, rows_, rank_, dtype_);
    const auto panel = [&](std::int64_t count) {
      return GemmPanel(context_, scratch_, dy_.part(0, 0, count, n_), up,
                       row_major(ds_, GRAFT_DTYPE_F32, count, rank_, rank_), 0);
    };
    const std::int64_t chunks = chunks_of(rows_, kSkinnyRows), last = rows_ - (chunks - 1) * kSkinnyRows;
    const GemmPanel inner = pairs ? GemmPanel() : panel(std::min(rows_, kSkinnyRows));
    const GemmPanel end = pairs || last == kSkinnyRows ? inner : panel(last);
    core::parallel_for(context_, chunks, [&](std::int64_t chunk, int worker) {
      const std::int64_t first = chunk * kSkinnyRows, count = std::min(kSkinnyRows, rows_ - first);
      float* out = ds_ + first * rank_;
      if (pairs) {
        row_products_bf16(dy_.part(first, 0, count, n_), {}, packed, 1, out);
      } else {
        (count == kSkinnyRows ? inner : end).run(worker, dy_.part(first, 0, 0, 0).data, up.data, out);
      }
      const Matrix made = row_major(out, GRAFT_DTYPE_F32, count, rank_, rank_);
      if (pairs) pair_rows_bf16(made, row_pairs + pair_words(first, rank_));
      if (for_gemm) convert_and_fill(made, 1, low_.tail.part(first, 0, count, low_.tail.columns));
    });
  }

  bool has_pairs() const { return dtype_ == GRAFT_DTYPE_BF16 && has_bf16_pairs(); }

  // dx by panels of the GEMM; da and db by column tasks of their own.
  void panels_and_rest(const GemmPanels& dx, const GemmPanels* low) {
    const std::int64_t panels = dx.count(), da = a_.da == nullptr ? 0 : chunks_of(k_, kColumns);
    core::parallel_for(context_, panels + da + db_.tasks(), [&](std::int64_t task, int worker) {
      if (task < panels) {
        dx.run(task, worker);
        if (low != nullptr) low->run(task, worker);
      } else if (task < panels + da) {
        const std::int64_t column = (task - panels) * kColumns;
        down_columns(column, std::min(kColumns, k_ - column), 0, rows_, {});
      } else {
        db_.run(task - panels - da, worker);
      }
    });
  }

  // Tasks of one panel's columns of dx and da, all rows; dx may be missing, or dropout be active, or both.
  void columns_and_rest(const GemmPanels* dx) {
    const bool wanted = dx != nullptr || a_.da != nullptr, drops = a_.dropout.active();
    const std::int64_t width = dx != nullptr && dx->columns() > 0 ? dx->columns() : kColumns;
    const std::int64_t tasks = wanted ? chunks_of(k_, width) : 0, pitch = mask_bytes(width);
    std::uint8_t* all_bits = drops ? scratch_.take<std::uint8_t>(context_.pool.threads() * kMaskRows * pitch) : nullptr;
    std::optional<RankUpdate> low;
    if (dx != nullptr) {
      const Matrix down = converted(context_, scratch_, *a_.a, 1, GRAFT_DTYPE_F32);
      low.emplace(context_, scratch_, ds_, rows_, WideFactor(context_, scratch_, down, dtype_));
    }
    core::parallel_for(context_, tasks + db_.tasks(), [&](std::int64_t task, int worker) {
      if (task >= tasks) return db_.run(task - tasks, worker);
      const std::int64_t column = task * width, columns = std::min(width, k_ - column);
      if (!drops) return down_columns(column, columns, 0, rows_, {});
      std::uint8_t* bits = all_bits + worker * kMaskRows * pitch;
      // why: a panel's rows follow it at once, while it is in cache.
      const std::int64_t panels = dx == nullptr ? 1 : dx->down();
      for (std::int64_t panel = task * panels; panel < (task + 1) * panels; ++panel) {
        if (dx != nullptr) dx->run(panel, worker);
        const GemmPanels::Place place = dx == nullptr ? GemmPanels::Place{0, column, rows_, columns} : dx->place(panel);
        for (std::int64_t first = place.row; first < place.row + place.rows; first += kMaskRows)
          masked_rows(first, std::min(kMaskRows, place.row + place.rows - first), column, columns, low, bits);
      }
    });
  }

  // Both uses of a mask: da, and what S adds to dx, unless it is not wanted.
  void masked_rows(std::int64_t first, std::int64_t count, std::int64_t column, std::int64_t columns,
                   const std::optional<RankUpdate>& low, std::uint8_t* bits) const {
    const auto part = [&](const graft_tensor& of) { return matrix_of(of).part(first, column, count, columns); };
    const Keep keep = keep_part(a_.dropout, part(a_.da != nullptr ? *a_.x : *a_.dx), first, column, k_, bits);
    if (low) low->run(first, column, keep, static_cast<float>(a_.dropout.scale()), part(*a_.dx));
    if (a_.da != nullptr) down_columns(column, columns, first, count, keep);
  }

  // da [r, some columns] += dSᵀ drop(x) over some rows.
  void down_columns(std::int64_t column, std::int64_t columns, std::int64_t first, std::int64_t count,
                    Keep keep) const {
    const float scale = a_.dropout.active() ? static_cast<float>(a_.dropout.scale()) : 1.0f;
    outer_sum(narrow_ds_.from(first), matrix_of(*a_.x).part(first, column, count, columns), keep, scale,
              static_cast<float*>(a_.da->data) + column, a_.da->stride[0]);
  }

  core::Context& context_;
  const ops::LoraBackward& a_;
  const bool bordered_;
  const std::int64_t rows_, n_, k_, rank_;
  const graft_dtype dtype_;
  core::Scratch scratch_;
  const Matrix dy_;
  Bordered low_{};  // dS for the GEMM, behind dy or alone
  float* ds_ = nullptr;
  Narrow narrow_ds_;
  NarrowGradient db_;
  std::unique_ptr<GemmPanels> frozen_;
};

}  // namespace

void lora_backward(core::Context& context, const ops::LoraBackward& a, bool bordered) {
  if (a.dy->shape[0] > 0) Backward(context, a, bordered).run();
}

}  // namespace graft::cpu::fast
