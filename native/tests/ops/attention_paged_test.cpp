// attention over pages: the same bits as over each row's own keys, for every implementation; what no row holds is not
// read; threads, rows that share a page, refusals and bad arguments.
#include "paged.h"

namespace graft::test {
namespace {

/** `prefer` serves both, with the same bits. */
void expect_same_as_apart(const char* prefer, const PagedCase& n) {
  const Context c(2, prefer);
  Paged a(c, n.dtype, n);
  GRAFT_ASSERT_OK(a.forward()) << n.text();
  EXPECT_EQ(c.last_dispatch(), std::string("attention_paged_forward:cpu/") + prefer);
  EXPECT_EQ(a.o.get(), a.apart(n.dtype)) << prefer << " " << n.text();
}

TEST(AttentionPaged, SameBitsAsEachRowApart) {
  for (graft_dtype dtype : {kF32, kBf16, kF16}) {
    for (std::int64_t page : {1, 5, 16, 64, 100, 700}) {
      expect_same_as_apart("decode", {dtype, 1, 4, 2, 24, page, {1, 40, 7, 64, 65}});
      expect_same_as_apart("reference", {dtype, 1, 4, 2, 24, page, {1, 40, 7, 64, 65}});
    }
    expect_same_as_apart("decode", {dtype, 3, 6, 2, 64, 48, {600, 3, 257}});
    expect_same_as_apart("decode", {dtype, 4, 5, 1, 80, 33, {530, 256, 90}, 70, 3});
    for (std::int64_t page : {64, 128, 192}) {
      expect_same_as_apart("fast", {dtype, 9, 4, 2, 24, page, {9, 200, 64, 129}});
      expect_same_as_apart("fast", {dtype, 70, 2, 1, 64, page, {70, 300}, 33, 2});
    }
    // One page for each row: any size.
    expect_same_as_apart("fast", {dtype, 9, 4, 2, 24, 77, {9, 70, 77, 30, 12, 50, 60}});
    expect_same_as_apart("reference", {dtype, 9, 4, 2, 24, 13, {9, 70, 50}, 20, 1.5});
  }
  expect_same_as_apart("reference", {kF64, 5, 4, 2, 10, 6, {5, 31}});
}

TEST(AttentionPaged, SameBitsForAnyNumberOfThreads) {
  for (std::int64_t queries : {1, 20})
    expect_same_bits([&](const Context& c) {
      Paged a(c, kBf16, {kBf16, queries, 4, 2, 64, 64, {300, 20, 513}});
      GRAFT_EXPECT_OK(a.forward());
      return a.o.get();
    });
}

/** Rows whose first pages are the same ones, as behind one prompt. */
TEST(AttentionPaged, RowsMayShareAPage) {
  const Context c;
  Paged a(c, kF32, {kF32, 1, 2, 1, 8, 4, {8, 8}});
  std::vector<double> table = a.pages.get(), q = a.q.get();
  std::copy_n(table.begin(), a.most, table.begin() + a.most);
  std::copy_n(q.begin(), q.size() / 2, q.begin() + static_cast<std::ptrdiff_t>(q.size() / 2));
  a.pages.set(table), a.q.set(q);
  GRAFT_ASSERT_OK(a.forward());
  const std::vector<double> o = a.o.get();
  EXPECT_TRUE(std::equal(o.begin(), o.begin() + static_cast<std::ptrdiff_t>(o.size() / 2),
                         o.begin() + static_cast<std::ptrdiff_t>(o.size() / 2)));
}

TEST(AttentionPaged, QueriesBeforeTheFirstPositionAndEmptyShapes) {
  for (const char* prefer : {"decode", "reference"}) {
    const Context c(1, prefer);
    Paged a(c, kF32, {kF32, 3, 2, 1, 8, 4, {5, 3}});
    a.lengths.set({5, 1});
    GRAFT_ASSERT_OK(a.forward());
    const std::vector<double> o = a.o.get();
    for (std::size_t i = 3 * 16; i < 5 * 16; ++i) EXPECT_EQ(o[i], 0) << prefer << i;
    EXPECT_NE(o[5 * 16], 0);
    a.lengths.set({0, 0});
    GRAFT_ASSERT_OK(a.forward());
    EXPECT_EQ(a.o.get(), std::vector<double>(96, 0.0)) << prefer;
    Tensor none(c, kF32, {0, 1, 2, 8}), no_pages(c, kI32, {0, 0}), no_lengths(c, kI32, {0});
    GRAFT_EXPECT_OK(graft_attention_paged_forward(c, none, a.k, a.v, no_pages, no_lengths, 1, 0, 0, none));
  }
}

TEST(AttentionPaged, RefusalsSayWhy) {
  const Context c(1, "fast");
  Paged a(c, kF32, {kF32, 9, 2, 1, 8, 48, {9, 100}});
  expect_error(a.forward(), GRAFT_UNSUPPORTED, {"pages of 48 keys", "multiples of 64"});
  const Context any(1);
  Paged b(any, kF32, {kF32, 9, 2, 1, 8, 48, {9, 100}});
  GRAFT_EXPECT_OK(b.forward());
  EXPECT_EQ(any.last_dispatch(), "attention_paged_forward:cpu/reference");
}

TEST(AttentionPaged, BadArguments) {
  const Context c;
  Paged a(c, kF32, {kF32, 1, 2, 1, 8, 4, {5, 3}});
  const auto with = [&](const graft_tensor* pages, const graft_tensor* lengths, graft_tensor* o, double scale = 1,
                        double softcap = 0, std::int64_t window = 0) {
    return graft_attention_paged_forward(c, a.q, a.k, a.v, pages, lengths, scale, softcap, window, o);
  };
  const graft_status bad = GRAFT_INVALID_ARGUMENT, shape = GRAFT_SHAPE_MISMATCH;
  expect_error(with(nullptr, a.lengths, a.o), bad, {"graft_attention_paged_forward", "pages is NULL"});
  expect_error(with(a.pages, nullptr, a.o), bad, {"lengths is NULL"});
  expect_error(with(a.pages, a.lengths, nullptr), bad, {"o is NULL"});
  expect_error(with(a.pages, a.lengths, a.q), bad, {"o", "overlaps", "q"});
  expect_error(with(a.pages, a.lengths, a.o, std::nan("")), bad, {"scale"});
  expect_error(with(a.pages, a.lengths, a.o, 1, -1), bad, {"softcap is -1"});
  expect_error(with(a.pages, a.lengths, a.o, 1, 0, -1), bad, {"window is -1"});
  Tensor wide(c, kI64, {2, a.most}), one(c, kI32, {1, a.most});
  expect_error(with(wide, a.lengths, a.o), bad, {"pages", "i32"});
  expect_error(with(one, a.lengths, a.o), shape, {"pages [1, "});
  Tensor table(c, kI32, {2, 2}), half = table.view(0, {2, 1}, {2, 1});
  expect_error(with(half, a.lengths, a.o), bad, {"pages"});
  a.lengths.set({static_cast<double>(a.most * 4 + 1), 3});
  expect_error(with(a.pages, a.lengths, a.o), bad, {"lengths[0] is"});
  a.lengths.set({5, 3});
  std::vector<double> entries = a.pages.get();
  entries.back() = static_cast<double>(a.k->shape[0]);
  a.pages.set(entries);
  expect_error(with(a.pages, a.lengths, a.o), bad,
               {std::string("pages[1, ").append(std::to_string(a.most - 1)) + "] is"});
  Tensor empty(c, kF32, {3, 0, 1, 8});
  expect_error(graft_attention_paged_forward(c, a.q, empty, empty, a.pages, a.lengths, 1, 0, 0, a.o), shape,
               {"pages of no keys"});
  EXPECT_EQ(a.o.get(), std::vector<double>(2 * 2 * 8, 7.0));
}

}  // namespace
}  // namespace graft::test
