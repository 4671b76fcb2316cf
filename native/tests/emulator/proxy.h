// The async proxy of one block (asynchronous.h): its barriers, and what is under way. Everything has its place from the
// beginning: memory that one fiber allocates and another frees would be a race in ThreadSanitizer's eyes.
#pragma once

#include <array>
#include <vector>

#include "emulator/asynchronous.h"
#include "emulator/emulator.h"

namespace graft::emulator {

class Block;

constexpr int kMostProducts = 64;  // of a warp, under way
constexpr int kMostSums = 128, kMostChains = 4;

/** Sums in a thread's registers that products add to: their true values while the registers hold NaN. */
struct Chain {
  float* registers = nullptr;
  int count = 0, under_way = 0;
  bool fenced = false;
  std::array<float, kMostSums> values;
};

/** A thread's products: numbered from 0, retired when a wait is behind them. */
struct ThreadProducts {
  std::uint64_t issued = 0, retired = 0, groups = 0;
  std::array<std::uint64_t, kMostProducts> group_ends;
  std::array<std::uint8_t, kMostProducts> chain_of;
  std::array<Chain, kMostChains> chains;
};

struct ProductSlot {
  WarpProduct product;
  void (*land)(const WarpProduct&) = nullptr;
  std::uint64_t number = 0;
  unsigned joined = 0;
  int count = 0;
};

/** A warp's products, in the order in which they land. */
struct WarpProducts {
  std::uint64_t begun = 0, landed = 0;
  std::array<ProductSlot, kMostProducts> slots;
};

// why loops: ThreadSanitizer would take memset, memcpy and memcmp for accesses of the kernel's.
inline void fill_with_nan(void* to, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; ++i) static_cast<volatile unsigned char*>(to)[i] = 0xff;
}

inline void copy_bytes(const void* from, std::size_t bytes, void* to) {
  for (std::size_t i = 0; i < bytes; ++i)
    static_cast<volatile unsigned char*>(to)[i] = static_cast<const volatile unsigned char*>(from)[i];
}

inline bool same_bytes(const void* a, const void* b, std::size_t bytes) {
  unsigned different = 0;
  for (std::size_t i = 0; i < bytes; ++i)
    different |=
        static_cast<unsigned>(static_cast<const unsigned char*>(a)[i] ^ static_cast<const unsigned char*>(b)[i]);
  return different == 0;
}

class Proxy {
 public:
  Proxy(Block& block, char* window, char* shared, std::size_t bytes, int threads);

  void start();
  /** Of a block whose threads are done: nothing may be under way. */
  void finish() const;
  bool idle() const;
  /** Lands one of those that are under way; false when there is none. */
  bool land_one();
  /** Says what each barrier waits for. */
  void report() const;

  std::uint64_t barrier_init(void* barrier, unsigned arrivals, std::source_location where);
  void fence_barriers();
  void barrier_arrive(void* barrier, std::uint64_t word, std::int64_t bytes, std::source_location where);
  bool barrier_try_wait(void* barrier, std::uint64_t word, unsigned parity, std::source_location where);
  void fence();
  void sync_some(int id, int threads, std::source_location where);
  void set_registers(int count, bool more);
  void start_copy(Land land, const void* what, std::size_t what_bytes, void* shared, std::int64_t bytes, void* barrier,
                  std::uint64_t word, std::source_location where);
  void start_product(const ProductIssue& issue, float* sums, int count, std::source_location where);
  void wait_products(int open, std::source_location where);

  std::uintptr_t view() const;
  std::uintptr_t window() const { return reinterpret_cast<std::uintptr_t>(window_); }
  void require_inside(std::uintptr_t address, std::size_t bytes) const;

 private:
  struct PhaseBarrier {
    void* address;
    const void* initialised_by;
    bool fenced;
    std::int64_t arrivals, missing, bytes;
    std::uint64_t phase;
    char sync[2];  // what the arrivals of even and odd phases release
  };
  struct Copy {
    Land land;  // NULL: the place is free
    alignas(16) unsigned char what[kMostWhat];
    std::int64_t bytes;
    PhaseBarrier* barrier;
    const Place* place;
  };
  struct SomeThreads {
    int arrived, threads;
    std::uint64_t phase;
  };
  /** What all four warps of a warpgroup must say alike. */
  struct Alike {
    std::uint64_t number, a, b;
  };

  PhaseBarrier& find(void* barrier, std::uint64_t word, const char* what, std::source_location where);
  void settle(PhaseBarrier& b);
  void land(Copy& c);
  bool product_is_ready(const WarpProducts& w) const;
  void land_product(int warp);
  void check_alike(int warp, const ProductSlot& slot, std::source_location where);

  Block& block_;
  char* const window_;
  char* const shared_;
  const std::size_t bytes_;
  const int warps_;
  std::vector<unsigned char> view_;
  std::vector<PhaseBarrier> barriers_;
  std::vector<Copy> copies_;
  int under_way_ = 0;  // of them
  std::array<SomeThreads, 16> some_;
  std::vector<int> registers_;
  std::vector<std::array<Alike, kMostProducts>> alike_;
};

}  // namespace graft::emulator
