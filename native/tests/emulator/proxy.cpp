// Barriers and copies of one block; products.cpp has its products. Compiled without sanitizers: what lands is compiled
// with the kernels.
#include "emulator/proxy.h"

#include <algorithm>
#include <cstdio>

#include "emulator/block.h"

namespace graft::emulator {
namespace {

constexpr std::uint64_t kBarrierWord = 0x6261727269657200;  // and its number
constexpr std::size_t kMostBarriers = 64, kMostCopies = 64;
constexpr std::int64_t kMostArrivals = (1 << 20) - 1, kMostBytes = (1 << 20) - 1;
constexpr int kRegisters = 64 << 10, kMostRegisters = 256, kGroup = 128;

}  // namespace

Proxy::Proxy(Block& block, char* window, char* shared, std::size_t bytes, int threads)
    : block_(block),
      window_(window),
      shared_(shared),
      bytes_(bytes),
      warps_((threads + 31) / 32),
      view_(bytes),
      registers_(static_cast<std::size_t>(threads + kGroup - 1) / kGroup),
      alike_(static_cast<std::size_t>(threads) / kGroup) {
  barriers_.reserve(kMostBarriers);
  copies_.resize(kMostCopies);
}

void Proxy::start() {
  fill_with_nan(view_.data(), bytes_);
  barriers_.clear();
  for (Copy& c : copies_) c.land = nullptr;
  under_way_ = 0;
  some_ = {};
  std::fill(registers_.begin(), registers_.end(), 0);
  for (auto& group : alike_) group.fill({~std::uint64_t{0}, 0, 0});
}

void Proxy::finish() const {
  for (int i = 0; i < block_.count(); ++i) {
    const Thread& t = block_.thread(i);
    if (t.products.retired != t.products.issued) {
      here = &t.place;
      die("has ended before %llu of its products were waited for",
          static_cast<unsigned long long>(t.products.issued - t.products.retired));
    }
  }
  for (const Copy& c : copies_) {
    if (c.land == nullptr) continue;
    here = c.place;
    die("the block has ended while %d bulk copies are under way", under_way_);
  }
}

bool Proxy::idle() const {
  if (under_way_ > 0) return false;
  for (int i = 0; i < warps_; ++i)
    if (product_is_ready(block_.warp(i).products)) return false;
  return true;
}

bool Proxy::land_one() {
  int ready = under_way_;
  for (int i = 0; i < warps_; ++i) ready += product_is_ready(block_.warp(i).products);
  if (ready == 0) return false;
  int at = static_cast<int>(block_.random() % static_cast<unsigned>(ready));
  for (Copy& c : copies_)
    if (c.land != nullptr && at-- == 0) return land(c), true;
  for (int i = 0; i < warps_; ++i)
    if (product_is_ready(block_.warp(i).products) && at-- == 0) return land_product(i), true;
  return false;
}

void Proxy::report() const {
  for (const PhaseBarrier& b : barriers_)
    std::fprintf(stderr, "  barrier %p, phase %llu: waits for %lld arrivals and %lld bytes\n", b.address,
                 static_cast<unsigned long long>(b.phase), static_cast<long long>(b.missing),
                 static_cast<long long>(b.bytes));
}

Proxy::PhaseBarrier& Proxy::find(void* barrier, std::uint64_t word, const char* what, std::source_location where) {
  const std::uint64_t number = word - kBarrierWord;
  if (number >= barriers_.size() || barriers_[number].address != barrier)
    die("%s at %s:%u: there is no initialised barrier", what, file_name(where), where.line());
  return barriers_[number];
}

std::uint64_t Proxy::barrier_init(void* barrier, unsigned arrivals, std::source_location where) {
  require_aligned(barrier, 8, "barrier_init");
  if (arrivals == 0 || arrivals > kMostArrivals)
    die("barrier_init at %s:%u of %u arrivals", file_name(where), where.line(), arrivals);
  if (barriers_.size() == kMostBarriers) die("more than %zu barriers", kMostBarriers);
  for (const PhaseBarrier& b : barriers_)
    if (b.address == barrier) die("barrier_init at %s:%u: again", file_name(where), where.line());
  barriers_.push_back({barrier, &block_.running(), false, arrivals, arrivals, 0, 0, {}});
  return kBarrierWord + barriers_.size() - 1;
}

void Proxy::fence_barriers() {
  for (PhaseBarrier& b : barriers_) b.fenced |= b.initialised_by == &block_.running();
}

void Proxy::settle(PhaseBarrier& b) {
  if (b.missing > 0) return;
  if (b.bytes < 0)
    die("%lld bytes more have landed than phase %llu of barrier %p expects", static_cast<long long>(-b.bytes),
        static_cast<unsigned long long>(b.phase), b.address);
  if (b.bytes > 0) return;
  b.missing = b.arrivals;
  ++b.phase;
}

void Proxy::barrier_arrive(void* barrier, std::uint64_t word, std::int64_t bytes, std::source_location where) {
  PhaseBarrier& b = find(barrier, word, "barrier_arrive", where);
  if (b.missing == 0)
    die("barrier_arrive at %s:%u: all %lld arrivals of the phase are there", file_name(where), where.line(),
        static_cast<long long>(b.arrivals));
  release(&b.sync[b.phase & 1]);
  b.bytes += bytes;
  if (b.bytes > kMostBytes) die("barrier_arrive at %s:%u expects too many bytes", file_name(where), where.line());
  --b.missing;
  settle(b);
}

bool Proxy::barrier_try_wait(void* barrier, std::uint64_t word, unsigned parity, std::source_location where) {
  PhaseBarrier& b = find(barrier, word, "barrier_try_wait", where);
  if (parity > 1) die("barrier_try_wait at %s:%u for parity %u", file_name(where), where.line(), parity);
  if ((b.phase & 1) == parity) block_.wait(&b.phase, b.phase, "barrier_try_wait", where);
  if ((b.phase & 1) == parity) return false;
  acquire(&b.sync[parity]);
  return true;
}

// What differs is what threads have stored since the last fence; which of them did so cannot be told.
void Proxy::fence() {
  fence_barriers();
  if (!same_bytes(shared_, view_.data(), bytes_)) copy_bytes(shared_, bytes_, view_.data());
}

void Proxy::sync_some(int id, int threads, std::source_location where) {
  if (id < 1 || id > 15 || threads < 32 || threads % 32 != 0)
    die("sync_some at %s:%u of barrier %d and %d threads", file_name(where), where.line(), id, threads);
  SomeThreads& some = some_[static_cast<std::size_t>(id)];
  if (some.arrived > 0 && some.threads != threads)
    die("sync_some at %s:%u of %d threads, while others wait for %d", file_name(where), where.line(), threads,
        some.threads);
  some.threads = threads;
  release(&some);
  const std::uint64_t seen = some.phase;
  if (++some.arrived == threads) {
    some.arrived = 0;
    ++some.phase;
  } else {
    block_.wait(&some.phase, seen, "sync_some", where);
  }
  acquire(&some);
}

void Proxy::set_registers(int count, bool more) {
  const int begun = std::min(kRegisters / (kGroup * static_cast<int>(registers_.size())) / 8 * 8, kMostRegisters);
  if (more ? count < begun : count > begun)
    die("%s registers of %d, the kernel begins with %d", more ? "takes" : "gives", count, begun);
  int& of_group = registers_[static_cast<std::size_t>(block_.running().warp * 32 / kGroup)];
  if (of_group != 0 && of_group != count) die("a warpgroup sets %d registers and %d", of_group, count);
  of_group = count;
  int sum = 0;
  for (const int each : registers_) sum += each * kGroup;
  if (sum > kRegisters) die("warpgroups set %d registers together, there are %d", sum, kRegisters);
}

void Proxy::start_copy(Land land, const void* what, std::size_t what_bytes, void* shared, std::int64_t bytes,
                       void* barrier, std::uint64_t word, std::source_location where) {
  PhaseBarrier& b = find(barrier, word, "a bulk copy", where);
  if (!b.fenced)
    die("a bulk copy at %s:%u: its barrier was not fenced behind its init", file_name(where), where.line());
  require_inside(reinterpret_cast<std::uintptr_t>(shared), static_cast<std::size_t>(bytes));
  const auto free = std::find_if(copies_.begin(), copies_.end(), [](const Copy& c) { return c.land == nullptr; });
  if (free == copies_.end() || what_bytes > kMostWhat) die("more than %zu bulk copies", kMostCopies);
  fill_with_nan(shared, static_cast<std::size_t>(bytes));
  fill_with_nan(reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(shared) + view()),
                static_cast<std::size_t>(bytes));
  free->land = land, free->bytes = bytes, free->place = &block_.running().place;
  free->barrier = &b;
  copy_bytes(what, what_bytes, free->what);
  release(&*free);
  ++under_way_;
  if (lands_at_once()) this->land(*free);
}

void Proxy::land(Copy& c) {
  const Place* const before = here;
  here = c.place;
  as_another_thread(
      [](void* argument) {
        const Copy& its = *static_cast<Copy*>(argument);
        acquire(argument);
        its.land(its.what);
        release(&its.barrier->sync[its.barrier->phase & 1]);
      },
      &c);
  c.land = nullptr;
  --under_way_;
  c.barrier->bytes -= c.bytes;
  settle(*c.barrier);
  here = before;
}

std::uintptr_t Proxy::view() const {
  return reinterpret_cast<std::uintptr_t>(view_.data()) - reinterpret_cast<std::uintptr_t>(shared_);
}

void Proxy::require_inside(std::uintptr_t address, std::size_t bytes) const {
  const auto first = reinterpret_cast<std::uintptr_t>(shared_);
  if (address < first || address + bytes > first + bytes_)
    die("the async proxy reaches %zu bytes from byte %td of %zu bytes of shared memory on", bytes,
        static_cast<std::ptrdiff_t>(address - first), bytes_);
}

std::uint64_t barrier_init(void* barrier, unsigned arrivals, std::source_location where) {
  return current_block->proxy().barrier_init(barrier, arrivals, where);
}

void fence_barriers() { current_block->proxy().fence_barriers(); }

void barrier_arrive(void* barrier, std::uint64_t word, std::int64_t bytes, std::source_location where) {
  current_block->proxy().barrier_arrive(barrier, word, bytes, where);
}

bool barrier_try_wait(void* barrier, std::uint64_t word, unsigned parity, std::source_location where) {
  return current_block->proxy().barrier_try_wait(barrier, word, parity, where);
}

void fence_proxy() { current_block->proxy().fence(); }

void sync_some(int id, int threads, std::source_location where) {
  current_block->proxy().sync_some(id, threads, where);
}

void set_registers(int count, bool more) { current_block->proxy().set_registers(count, more); }

void start_copy(Land land, const void* what, std::size_t what_bytes, void* shared, std::int64_t bytes, void* barrier,
                std::uint64_t word, std::source_location where) {
  current_block->proxy().start_copy(land, what, what_bytes, shared, bytes, barrier, word, where);
}

std::uintptr_t async_view() { return current_block->proxy().view(); }
std::uintptr_t window() { return current_block->proxy().window(); }

unsigned window_offset(const void* p) {
  return static_cast<unsigned>(reinterpret_cast<std::uintptr_t>(p) - current_block->proxy().window());
}

void require_in_window(std::uintptr_t address, std::size_t bytes) {
  current_block->proxy().require_inside(address, bytes);
}

}  // namespace graft::emulator
