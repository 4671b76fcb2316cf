// Products of warpgroups that are under way (asynchronous.h): each warp's land in order, and a thread's sums are NaN
// from the first one's issue to the wait behind the last one. Compiled without sanitizers, as proxy.cpp.
#include <algorithm>
#include <bit>

#include "emulator/block.h"

namespace graft::emulator {
namespace {

constexpr std::uint32_t kPoisonWord = 0xffffffffu;

bool is_poison(const float* sums, int count) {
  for (int i = 0; i < count; ++i)
    if (std::bit_cast<std::uint32_t>(sums[i]) != kPoisonWord) return false;
  return true;
}

std::size_t slot_of(std::uint64_t number) { return static_cast<std::size_t>(number % kMostProducts); }

}  // namespace

void Proxy::check_alike(int warp, const ProductSlot& slot, std::source_location where) {
  const auto group = static_cast<std::size_t>(warp / 4);
  if (group >= alike_.size())
    die("wgmma at %s:%u by a warp outside of a whole warpgroup", file_name(where), where.line());
  Alike& alike = alike_[group][slot_of(slot.number)];
  if (alike.number != slot.number) alike = {slot.number, slot.product.a, slot.product.b};
  if (alike.a != slot.product.a || alike.b != slot.product.b)
    die("wgmma at %s:%u: warps of one warpgroup multiply different operands", file_name(where), where.line());
}

void Proxy::start_product(const ProductIssue& issue, float* sums, int count, std::source_location where) {
  Thread& self = block_.running();
  ThreadProducts& mine = self.products;
  WarpProducts& warp = block_.warp(self.warp).products;
  auto chain = std::find_if(mine.chains.begin(), mine.chains.end(),
                            [&](const Chain& c) { return c.registers == sums && (c.fenced || c.under_way > 0); });
  if (chain == mine.chains.end())
    die("wgmma at %s:%u: no wgmma_fence since its sums were touched", file_name(where), where.line());
  if (chain->count != count) die("wgmma at %s:%u: sums of another size", file_name(where), where.line());
  if (chain->under_way == 0 && !same_bytes(chain->values.data(), sums, 4 * static_cast<std::size_t>(count)))
    die("wgmma at %s:%u: its sums were touched behind the wgmma_fence", file_name(where), where.line());
  if (mine.issued - warp.landed >= kMostProducts) die("more than %d products under way", kMostProducts);
  ++chain->under_way;
  for (int i = 0; i < count; ++i) sums[i] = std::bit_cast<float>(kPoisonWord);

  const std::uint64_t number = mine.issued++;
  mine.chain_of[slot_of(number)] = static_cast<std::uint8_t>(chain - mine.chains.begin());
  ProductSlot& slot = warp.slots[slot_of(number)];
  if (number == warp.begun) {
    ++warp.begun;
    slot.product = {issue.a, issue.b, issue.keep, issue.a_in_registers, self.warp % 4, {}, {}};
    slot.land = issue.land, slot.number = number, slot.joined = 0, slot.count = count;
    check_alike(self.warp, slot, where);
  }
  if (slot.land != issue.land || slot.product.a != issue.a || slot.product.b != issue.b ||
      slot.product.keep != issue.keep)
    die("wgmma at %s:%u: lanes of one warp multiply different operands", file_name(where), where.line());
  const int lane = self.place.lane;
  slot.product.sums[lane] = chain->values.data();
  slot.product.a_registers[lane] = issue.a_registers;
  slot.joined |= 1u << lane;
  release(&slot);
  if (slot.joined == ~0u && warp.landed == number && lands_at_once()) land_product(self.warp);
}

bool Proxy::product_is_ready(const WarpProducts& w) const {
  return w.landed < w.begun && w.slots[slot_of(w.landed)].joined == ~0u;
}

void Proxy::land_product(int warp) {
  WarpProducts& products = block_.warp(warp).products;
  const Place* const before = here;
  here = &block_.thread(32 * warp).place;
  as_another_thread(
      [](void* argument) {
        auto& its = *static_cast<WarpProducts*>(argument);
        ProductSlot& s = its.slots[slot_of(its.landed)];
        acquire(&s);
        if (its.landed > 0) acquire(&its.slots[slot_of(its.landed - 1)]);
        s.land(s.product);
        release(&s);
      },
      &products);
  here = before;
  ++products.landed;
}

void Proxy::wait_products(int open, std::source_location where) {
  Thread& self = block_.running();
  ThreadProducts& mine = self.products;
  WarpProducts& warp = block_.warp(self.warp).products;
  if (mine.groups <= static_cast<std::uint64_t>(open)) return;
  const std::uint64_t end = mine.group_ends[slot_of(mine.groups - 1 - static_cast<std::uint64_t>(open))];
  while (warp.landed < end) block_.wait(&warp.landed, warp.landed, "wgmma_wait", where);
  for (; mine.retired < end; ++mine.retired) {
    acquire(&warp.slots[slot_of(mine.retired)]);
    Chain& chain = mine.chains[mine.chain_of[slot_of(mine.retired)]];
    if (--chain.under_way > 0) continue;
    if (!is_poison(chain.registers, chain.count))
      die("wgmma_wait at %s:%u: sums were touched while a product was under way", file_name(where), where.line());
    copy_bytes(chain.values.data(), static_cast<std::size_t>(chain.count) * 4, chain.registers);
    chain.fenced = false;
    chain.registers = nullptr;
  }
}

void fence_sums(float* sums, int count) {
  ThreadProducts& mine = current_block->running().products;
  if (count > kMostSums) die("wgmma_fence of %d sums", count);
  Chain* free = nullptr;
  for (Chain& chain : mine.chains) {
    if (chain.registers == sums && chain.under_way > 0) return;
    if (chain.under_way == 0 && (free == nullptr || chain.registers == sums || chain.registers == nullptr)) {
      if (free == nullptr || free->registers != sums) free = &chain;
    }
  }
  if (free == nullptr) die("wgmma_fence: products on more than %d sums are under way", kMostChains);
  free->registers = sums, free->count = count, free->fenced = true;
  copy_bytes(sums, static_cast<std::size_t>(count) * 4, free->values.data());
}

void start_product(const ProductIssue& issue, float* sums, int count, std::source_location where) {
  current_block->proxy().start_product(issue, sums, count, where);
}

void commit_products() {
  ThreadProducts& mine = current_block->running().products;
  mine.group_ends[slot_of(mine.groups++)] = mine.issued;
}

void wait_products(int open, std::source_location where) { current_block->proxy().wait_products(open, where); }

}  // namespace graft::emulator
