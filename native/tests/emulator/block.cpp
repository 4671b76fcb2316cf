// The life of one block: start its threads, run them in an order drawn from the seed until all are done, and say why
// when they cannot be. Compiled without sanitizers: what it does is no part of the kernels.
#include "emulator/block.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#if defined(GRAFT_ASAN)
#include <sanitizer/asan_interface.h>
#endif

namespace graft::emulator {

thread_local Block* current_block = nullptr;
thread_local constinit const Place* here = nullptr;

namespace {

constexpr std::size_t kMostStatic = 48 << 10, kMostDynamic = 227 << 10, kGuard = 128, kWindow = 1024;
constexpr char kPoison = '\xff';  // NaN in every float type

char* allocate(std::size_t bytes) {
  void* memory = std::aligned_alloc(kWindow, (bytes + kWindow - 1) / kWindow * kWindow);
  if (memory == nullptr) throw std::bad_alloc();
  return static_cast<char*>(memory);
}

void forbid([[maybe_unused]] char* memory, [[maybe_unused]] std::size_t bytes) {
#if defined(GRAFT_ASAN)
  __asan_poison_memory_region(memory, bytes);
#endif
}

void permit([[maybe_unused]] char* memory, [[maybe_unused]] std::size_t bytes) {
#if defined(GRAFT_ASAN)
  __asan_unpoison_memory_region(memory, bytes);
#endif
}

// why: loops over volatile words, since a call of memcpy would be seen by ThreadSanitizer as an access of the kernel's.
void copy_words(const std::uint32_t* from, int count, std::uint32_t* to) {
  for (int i = 0; i < count; ++i) static_cast<volatile std::uint32_t*>(to)[i] = from[i];
}

// Threads and warps that blocks have used, for the next ones: stacks are dear, above all to the sanitizers.
template <class T>
class Spare {
 public:
  std::unique_ptr<T> take() {
    const std::lock_guard lock(mutex_);
    if (spare_.empty()) return std::make_unique<T>();
    std::unique_ptr<T> taken = std::move(spare_.back());
    spare_.pop_back();
    return taken;
  }
  void give(std::vector<std::unique_ptr<T>>& used) {
    const std::lock_guard lock(mutex_);
    for (auto& each : used) spare_.push_back(std::move(each));
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<T>> spare_;
};

Spare<Thread> spare_threads;
Spare<Warp> spare_warps;

}  // namespace

const char* file_name(const std::source_location& where) {
  const char* slash = std::strrchr(where.file_name(), '/');
  return slash == nullptr ? where.file_name() : slash + 1;
}

void die(const char* format, ...) {
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  if (here == nullptr) {
    std::fprintf(stderr, "emulator: %s\n", text);
  } else {
    std::fprintf(stderr, "emulator: kernel %s, block (%u,%u,%u), thread (%u,%u,%u): %s\n", current_block->kernel(),
                 here->block.x, here->block.y, here->block.z, here->thread.x, here->thread.y, here->thread.z, text);
  }
  std::abort();
}

Block::Block(const char* kernel, Dim3 grid, Dim3 size, std::size_t shared_bytes, const std::function<void()>& body)
    : kernel_(kernel),
      grid_(grid),
      size_(size),
      count_(static_cast<int>(size.x * size.y * size.z)),
      body_(body),
      window_(allocate(shared_bytes + 2 * kGuard)),
      dynamic_(window_ + kGuard),  // why: no more aligned than a GPU promises
      dynamic_bytes_(shared_bytes),
      static_(allocate(kMostStatic)),
      proxy_(*this, window_, dynamic_, shared_bytes, count_) {
  if (shared_bytes > kMostDynamic) die("kernel %s asks for %zu bytes of shared memory", kernel, shared_bytes);
  for (int i = 0; i < count_; ++i) threads_.push_back(spare_threads.take());
  for (int i = 0; i < count_; i += 32) warps_.push_back(spare_warps.take());
}

Block::~Block() {
  permit(dynamic_, dynamic_bytes_ + kGuard);
  permit(static_, kMostStatic);
  std::free(window_);
  std::free(static_);
  spare_threads.give(threads_);
  spare_warps.give(warps_);
}

std::uint32_t Block::random() {
  state_ = state_ * 1664525u + 1013904223u;
  return state_ >> 8;
}

void Block::run(Dim3 index, std::uint32_t seed) {
  current_block = this;
  state_ = seed * 2654435761u + 12345u;
  start(index);
  while (live_ > 0) {
    if (!proxy_.idle() && schedule().completion == Completion::kRandom && (random() & 1) != 0) proxy_.land_one();
    if (!run_some() && !proxy_.land_one()) report_deadlock();
  }
  proxy_.finish();
  here = nullptr;
  acquire(&live_);
  check_shared();
  current_block = nullptr;
}

void Block::start(Dim3 index) {
  index_ = index;
  live_ = count_;
  arrived_ = 0;
  permit(dynamic_, dynamic_bytes_ + kGuard);
  std::memset(dynamic_, kPoison, dynamic_bytes_ + kGuard);
  forbid(dynamic_ + dynamic_bytes_, kGuard);
  permit(static_, kMostStatic);
  std::memset(static_, kPoison, kMostStatic);
  forbid(static_, kMostStatic);
  static_used_ = 0;
  static_pieces_.clear();
  proxy_.start();
  for (auto& warp : warps_) {
    warp->live = 0;
    warp->products.begun = warp->products.landed = 0;
    for (Meeting& m : warp->meetings) m.arrived = 0;
  }
  release(&index_);
  for (int i = 0; i < count_; ++i) {
    Thread& t = *threads_[static_cast<std::size_t>(i)];
    const unsigned u = static_cast<unsigned>(i);
    t.place = {{u % size_.x, u / size_.x % size_.y, u / (size_.x * size_.y)}, index, size_, grid_, i & 31};
    t.warp = i / 32;
    t.done = false;
    t.waits_for = nullptr;
    t.open.clear();
    t.groups.clear();
    t.products.issued = t.products.retired = t.products.groups = 0;
    for (Chain& chain : t.products.chains) chain.registers = nullptr, chain.under_way = 0;
    t.fiber.start(&Block::enter, this);
    warps_[static_cast<std::size_t>(t.warp)]->live |= 1u << t.place.lane;
  }
}

void Block::enter(void* block) {
  Block& b = *static_cast<Block*>(block);
  Thread& self = *b.running_;
  acquire(&b.index_);
  b.body_();
  release(&b.live_);
  self.done = true;
  --b.live_;
  b.warps_[static_cast<std::size_t>(self.warp)]->live &= ~(1u << self.place.lane);
  b.open_barrier_if_full();
  self.fiber.finish();
}

// One round: warps from a random one on, each either a few steps or as far as it can get. why: in lockstep, warps hide
// the races that one warp far ahead of the others shows.
bool Block::run_some() {
  const int warps = static_cast<int>(warps_.size());
  const int first_warp = static_cast<int>(random() % static_cast<unsigned>(warps));
  const bool greedy = random() & 1, upwards = random() & 1;
  const int steps = greedy ? 1 << 30 : 1 + static_cast<int>(random() % 3);
  const int first_lane = static_cast<int>(random() % 32);
  bool ran = false;
  for (int i = 0; i < warps; ++i)
    for (int step = 0; step < steps && run_warp((first_warp + i) % warps, first_lane, upwards); ++step) ran = true;
  return ran;
}

bool Block::run_warp(int warp, int first_lane, bool upwards) {
  bool ran = false;
  for (int k = 0; k < 32; ++k) {
    const int i = warp * 32 + ((upwards ? first_lane + k : first_lane - k) & 31);
    if (i >= count_) continue;
    Thread& t = *threads_[static_cast<std::size_t>(i)];
    if (t.done || (t.waits_for != nullptr && *t.waits_for == t.seen)) continue;
    running_ = &t;
    here = &t.place;
    t.fiber.resume();
    if (t.fiber.overflowed()) die("the thread's stack overflows: large arrays in a kernel?");
    ++switches_;
    ran = true;
  }
  return ran;
}

void Block::wait(const std::uint64_t* generation, std::uint64_t seen, const char* what, std::source_location where) {
  Thread& self = *running_;
  self.waits_for = generation;
  self.seen = seen;
  self.waits_in = what;
  self.waits_at = where;
  self.fiber.pause();
  self.waits_for = nullptr;
}

void Block::sync_block(std::source_location where) {
  if (arrived_ == 0) {
    barrier_file_ = where.file_name();
    barrier_line_ = where.line();
  } else if (barrier_line_ != where.line() || std::strcmp(barrier_file_, where.file_name()) != 0) {
    die("divergent __syncthreads: at %s:%u, while others wait in line %u of %s", file_name(where), where.line(),
        barrier_line_, barrier_file_);
  }
  release(&barrier_);
  ++arrived_;
  const std::uint64_t seen = barrier_;
  open_barrier_if_full();
  if (barrier_ == seen) wait(&barrier_, seen, "__syncthreads", where);
  acquire(&barrier_);
}

void Block::open_barrier_if_full() {
  if (arrived_ == 0 || arrived_ < live_) return;
  arrived_ = 0;
  ++barrier_;
}

Meeting& Block::meeting(Warp& warp, unsigned mask) {
  for (Meeting& m : warp.meetings) {
    if (m.arrived == 0) continue;
    if (m.mask == mask) return m;
    if ((m.mask & mask) != 0)
      die("a collective of mask %08x, while lanes of mask %08x wait in %s", mask, m.mask, m.what);
  }
  for (Meeting& m : warp.meetings)
    if (m.arrived == 0) return m.mask = mask, m;
  die("more collectives at once than lanes");
}

void Block::meet(unsigned mask, const char* what, const std::uint32_t* mine, int words, std::uint32_t* all, bool orders,
                 std::source_location where) {
  Warp& warp = *warps_[static_cast<std::size_t>(running_->warp)];
  const int lane = running_->place.lane;
  if ((mask >> lane & 1) == 0)
    die("%s at %s:%u: lane %d is not in its own mask %08x", what, file_name(where), where.line(), lane, mask);
  if ((mask & ~warp.live) != 0)
    die("%s at %s:%u: mask %08x names lanes %08x, which have exited or never were", what, file_name(where),
        where.line(), mask, mask & ~warp.live);
  Meeting& m = meeting(warp, mask);
  if (m.arrived == 0) {
    m.what = what;
    m.words = words;
  }
  if (m.what != what || m.words != words)
    die("lanes of one warp meet in different collectives: %s at %s:%u and %s", what, file_name(where), where.line(),
        m.what);
  copy_words(mine, words, m.given.data() + lane * words);
  m.wanted[static_cast<std::size_t>(lane)] = all;
  m.arrived |= 1u << lane;
  if (orders) release(&m);
  const std::uint64_t seen = m.generation;
  if (m.arrived == mask) {
    for (int to = 0; to < 32; ++to)
      if (mask >> to & 1) copy_words(m.given.data(), 32 * words, m.wanted[static_cast<std::size_t>(to)]);
    m.arrived = 0;
    ++m.generation;
  } else {
    wait(&m.generation, seen, what, where);
  }
  if (orders) acquire(&m);
}

void* Block::static_shared(const void* key, std::size_t bytes) {
  for (const auto& [known, memory] : static_pieces_)
    if (known == key) return memory;
  if (static_used_ + bytes + kGuard > kMostStatic) die("more than %zu bytes of static shared memory", kMostStatic);
  char* memory = static_ + static_used_;
  permit(memory, bytes);
  static_used_ = (static_used_ + bytes + 2 * kGuard - 1) / kGuard * kGuard;
  static_pieces_.emplace_back(key, memory);
  return memory;
}

// Without AddressSanitizer a write behind the dynamic shared memory shows here.
void Block::check_shared() const {
#if !defined(GRAFT_ASAN)
  for (std::size_t i = 0; i < kGuard; ++i)
    if (dynamic_[dynamic_bytes_ + i] != kPoison)
      die("kernel %s, block (%u,%u,%u) wrote byte %zu behind its %zu bytes of shared memory", kernel_, index_.x,
          index_.y, index_.z, i, dynamic_bytes_);
#endif
}

void Block::report_deadlock() const {
  std::fprintf(stderr, "emulator: deadlock in kernel %s, block (%u,%u,%u):\n", kernel_, index_.x, index_.y, index_.z);
  int shown = 0;
  for (const auto& t : threads_) {
    if (t->done || ++shown > 8) continue;
    std::fprintf(stderr, "  thread (%u,%u,%u) waits in %s at %s:%u\n", t->place.thread.x, t->place.thread.y,
                 t->place.thread.z, t->waits_in, file_name(t->waits_at), t->waits_at.line());
  }
  std::fprintf(stderr, "  %d of %d threads wait\n", live_, count_);
  proxy_.report();
  std::abort();
}

}  // namespace graft::emulator
