// mixture on the CUDA device: against float64, routes with ties, balances over rows of several lengths, blocks, vectors
// and sums of experts, more of them than a warp has lanes, outputs over inputs, NULL outputs, and no rows.
#include "trial.h"

namespace graft::test {
namespace {

struct Case {
  graft_dtype dtype;
  std::int64_t rows, experts, width;
};

std::string text(const Case& n) { return sizes({{"T", n.rows}, {"E", n.experts}, {"width", n.width}}); }

/** Logits of few values, so that some are equal. */
Tensor logits_of(const Trial& r, const Case& n) {
  Tensor logits = r.zeros({n.rows, n.experts}, n.experts + 1);
  logits.integers(1, -3, 3);
  return logits;
}

void route(const Case& n, std::int64_t top_k, bool among_all, double balance, bool lengths, int seeds) {
  agree(n.dtype, text(n) + " top " + std::to_string(top_k) + (among_all ? " among all" : ""), seeds, [&](Trial& r) {
    Tensor logits = logits_of(r, n), in_place = logits_of(r, n), gates = r.zeros({n.rows, n.experts});
    Tensor given = r.input({n.rows, n.experts}, 2), dgates = r.input({n.rows, n.experts}, 3);
    Tensor alone = r.zeros({n.rows, n.experts}), loss = r.gradient({1}, 4);
    std::vector<double> counted;
    for (int b = 0; b < 2; ++b) counted.push_back(static_cast<double>(b == 0 ? n.rows / 2 : n.rows / 4));
    Tensor some = r.ids(kI32, {2}, counted);
    graft_tensor* const of = lengths ? static_cast<graft_tensor*>(some) : nullptr;
    GRAFT_EXPECT_OK(graft_mixture_route_forward(r, logits, top_k, among_all, gates));
    GRAFT_EXPECT_OK(graft_mixture_route_forward(r, in_place, top_k, among_all, in_place));
    GRAFT_EXPECT_OK(graft_mixture_route_backward(r, logits, given, nullptr, among_all, balance, of, alone, nullptr));
    GRAFT_EXPECT_OK(graft_mixture_route_backward(r, logits, given, dgates, among_all, balance, of, dgates, loss));
    r.keep("gates", gates), r.keep("dlogits", dgates), r.keep_sum("loss", loss);
    balance > 0 ? r.keep("dlogits of the balance", alone) : r.keep_bits("dlogits of nothing", alone);
    EXPECT_EQ(in_place.get(), gates.get());
  });
}

TEST(CudaMixture, Routes) {
  for (graft_dtype dtype : {kF32, kBf16, kF16}) {
    route({dtype, 6, 5, 0}, 2, false, 0.25, true, 1);
    route({dtype, 4, 40, 0}, 33, true, 0, false, 1);
  }
  route({kF32, 300, 3, 0}, 1, false, 0.5, false, 1);
  route({kF32, 1, 1, 0}, 1, false, 0, false, 1);
  route({kF32, 0, 3, 0}, 1, false, 0.5, false, 1);
}

void weigh(const Case& n, int seeds) {
  agree(n.dtype, text(n), seeds, [&](Trial& r) {
    const std::int64_t all = n.experts * n.width;
    Tensor gates = r.input({n.rows, n.experts}, 1, n.experts + 2), x = r.input({n.rows, all}, 2, all + 3);
    Tensor dy = r.input({n.rows, all}, 3), y = r.zeros({n.rows, all}), dgates = r.zeros({n.rows, n.experts});
    GRAFT_EXPECT_OK(graft_mixture_blocks_forward(r, x, gates, 0.75, y));
    GRAFT_EXPECT_OK(graft_mixture_blocks_backward(r, dy, x, gates, 0.75, dy, dgates));
    GRAFT_EXPECT_OK(graft_mixture_blocks_backward(r, dy, x, gates, 0.75, nullptr, nullptr));
    r.keep("blocks", y), r.keep("dx of blocks", dy), r.keep("dgates of blocks", dgates);

    Tensor one = r.input({n.rows, n.width}, 4), sum = r.zeros({n.rows, n.width}, n.width + 1);
    Tensor into = r.input({n.rows, all}, 5), of_sum = r.zeros({n.rows, n.experts});
    GRAFT_EXPECT_OK(graft_mixture_combine_forward(r, x, gates, sum));
    GRAFT_EXPECT_OK(graft_mixture_combine_backward(r, one, x, gates, 1, into, nullptr));
    GRAFT_EXPECT_OK(graft_mixture_combine_backward(r, one, x, nullptr, 0, nullptr, of_sum));
    r.keep("combined", sum), r.keep("dx of combined", into), r.keep("dgates of combined", of_sum);

    Tensor v = r.master({n.experts, n.width}, 6), from = r.input({n.rows, n.width}, 7);
    Tensor to = r.input({n.rows, n.width}, 8), back = r.input({n.rows, n.width}, 9);
    Tensor dv = r.gradient({n.experts, n.width}, 10, n.width + 2), of_vectors = r.zeros({n.rows, n.experts});
    GRAFT_EXPECT_OK(graft_mixture_vectors_forward(r, from, gates, v, 1, to));
    GRAFT_EXPECT_OK(graft_mixture_vectors_backward(r, back, from, gates, v, back, of_vectors, dv));
    r.keep("vectors", to), r.keep("dx of vectors", back), r.keep("dgates of vectors", of_vectors), r.keep_sum("dv", dv);
    GRAFT_EXPECT_OK(graft_mixture_vectors_forward(r, from, gates, v, 0, from));
    r.keep("vectors in place", from);
  });
}

TEST(CudaMixture, Weighs) {
  for (graft_dtype dtype : {kF32, kBf16, kF16}) weigh({dtype, 5, 3, 41}, 1);
  weigh({kF32, 300, 2, 3}, 1);
  weigh({kBf16, 2, 40, 1}, 1);
  weigh({kBf16, 3, 1, 4}, 1);
  weigh({kF32, 0, 2, 3}, 1);
}

TEST(CudaMixture, ManySchedules) {
  weigh({kBf16, 3, 3, 10}, 2);
  route({kBf16, 4, 5, 0}, 2, false, 0.25, true, 3);
}

}  // namespace
}  // namespace graft::test
