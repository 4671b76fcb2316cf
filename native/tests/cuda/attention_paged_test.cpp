// attention over pages on the CUDA device: on the tensor cores and on the general path, against float64 and with the
// bits of each row's own keys; bad pages are reported and not read.
#include "paged.h"
#include "schedules.h"

namespace graft::test {
namespace {

void compare(const PagedCase& n, const char* implementation, int seeds) {
  SCOPED_TRACE(n.text());
  const Context cpu(1, "reference"), cuda(GRAFT_DEVICE_CUDA);
  Paged exact(cpu, kF64, n), plain(cpu, n.dtype, n);
  GRAFT_EXPECT_OK(exact.forward());
  GRAFT_EXPECT_OK(plain.forward());
  std::vector<double> first;
  for_schedules(seeds, [&] {
    Paged a(cuda, n.dtype, n);
    GRAFT_EXPECT_OK(a.forward());
    EXPECT_EQ(cuda.last_dispatch(), std::string("attention_paged_forward:cuda/") + implementation);
    GRAFT_EXPECT_OK(graft_context_synchronize(cuda));
    expect_as_good(a.o.get(), plain.o.get(), exact.o.get(), unit_roundoff(n.dtype), "o");
    if (first.empty()) first = a.o.get();
    EXPECT_EQ(a.o.get(), first);
  });
}

TEST(CudaAttention, PagesAgreeWithFloat64) {
  compare({kBf16, 1, 4, 2, 64, 64, {1, 200, 64, 65}}, "tiles", 1);
  compare({kF16, 5, 2, 1, 128, 128, {5, 300, 128}, 60}, "tiles", 1);
  compare({kBf16, 3, 2, 1, 64, 50, {3, 50, 20}}, "tiles", 1);  // a page for each row
  for (graft_dtype dtype : {kF32, kBf16, kF16}) {
    compare({dtype, 1, 4, 2, 24, 7, {1, 40, 30}}, "general", 1);
    compare({dtype, 6, 2, 1, 33, 16, {6, 50}, 9, 2}, "general", 1);
  }
  compare({kBf16, 2, 2, 1, 64, 48, {100, 2}}, "general", 1);  // tiles would lie in two pages
}

/** Where the cut of the keys does not depend on the other rows. */
TEST(CudaAttention, PagesGiveTheBitsOfEachRowApart) {
  const Context cuda(GRAFT_DEVICE_CUDA);
  for (const PagedCase& n :
       {PagedCase{kF32, 1, 4, 2, 24, 7, {1, 40, 30}}, PagedCase{kBf16, 9, 2, 1, 64, 64, {9, 100}}}) {
    Paged a(cuda, n.dtype, n);
    GRAFT_EXPECT_OK(a.forward());
    GRAFT_EXPECT_OK(graft_context_synchronize(cuda));
    EXPECT_EQ(a.o.get(), a.apart(n.dtype)) << n.text();
  }
}

TEST(CudaAttentionPaged, ManySchedules) { compare({kBf16, 5, 2, 1, 64, 64, {150, 20}}, "tiles", 10); }
TEST(CudaAttentionPagedGeneral, ManySchedules) { compare({kF32, 2, 2, 1, 8, 5, {35, 4}}, "general", 10); }

TEST(CudaAttention, PagesOutsideOfThePoolAreReported) {
  const Context cuda(GRAFT_DEVICE_CUDA);
  for (std::int64_t depth : {64, 10}) {
    Paged a(cuda, kBf16, {kBf16, 1, 2, 1, depth, 64, {70, 20}});
    std::vector<double> entries = a.pages.get();
    entries[static_cast<std::size_t>(a.most)] = -1;
    a.pages.set(entries);
    GRAFT_EXPECT_OK(a.forward());
    expect_error(graft_context_synchronize(cuda), GRAFT_INVALID_ARGUMENT,
                 {"attention_paged_forward", std::string("pages[").append(std::to_string(a.most)) + "] is -1"});
    a.pages.set(std::vector<double>(static_cast<std::size_t>(a.pages.elements()), 0));
    a.lengths.set({static_cast<double>(a.most * 64 + 1), 20});
    GRAFT_EXPECT_OK(a.forward());
    expect_error(graft_context_synchronize(cuda), GRAFT_INVALID_ARGUMENT, {"lengths[0] is"});
  }
}

}  // namespace
}  // namespace graft::test
