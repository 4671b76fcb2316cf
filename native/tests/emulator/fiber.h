// A fiber: a stack of its own that one CPU thread switches to and from. Every CUDA thread of the emulator is one. Each
// switch is told to AddressSanitizer (which stack is it?) and to ThreadSanitizer (to which each fiber is a thread, and
// a switch orders nothing).
#pragma once

#include <cstddef>
#include <memory>
#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace graft::emulator {

class Fiber {
 public:
  Fiber();
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  /** The next resume() calls entry(argument), which must end with finish(). */
  void start(void (*entry)(void*), void* argument);
  /** Runs the fiber until it pauses or finishes. */
  void resume();
  /** From inside: back to whoever resumed. */
  void pause() { leave(false); }
  void finish() { leave(true); }
  /** The stack has been outgrown: nothing the process does from here on can be trusted. */
  bool overflowed() const;

 private:
  static constexpr std::size_t kStackBytes = 128 << 10;
  static void enter();
  void leave(bool for_good);

  std::unique_ptr<char[]> stack_;
  void (*entry_)(void*) = nullptr;
  void* argument_ = nullptr;
#if defined(__x86_64__)
  void* stack_pointer_ = nullptr;
  void* caller_ = nullptr;
#else
  ucontext_t context_, caller_;
#endif
  // The sanitizers' sides of both stacks.
  void *own_fake_stack_ = nullptr, *caller_fake_stack_ = nullptr;
  const void* caller_bottom_ = nullptr;
  std::size_t caller_bytes_ = 0;
  void *own_thread_ = nullptr, *caller_thread_ = nullptr;
};

/** What happened before release(p) is seen after acquire(p), says the emulator to ThreadSanitizer. */
void release(void* p);
void acquire(void* p);

/** Calls body(argument), which is another thread to ThreadSanitizer. */
void as_another_thread(void (*body)(void*), void* argument);

}  // namespace graft::emulator
