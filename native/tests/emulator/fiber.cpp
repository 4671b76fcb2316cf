// The switch itself: fifteen lines of assembly on x86-64, ucontext (10 to 20 times slower) elsewhere. This file is
// compiled without sanitizers and speaks to them where GRAFT_ASAN or GRAFT_TSAN say that they watch the kernels.
#include "emulator/fiber.h"

#include <cstdint>
#include <cstring>
#if defined(GRAFT_ASAN)
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(GRAFT_TSAN)
#include <sanitizer/tsan_interface.h>
#endif

#if defined(__x86_64__)
extern "C" void graft_emulator_switch(void** save, void* load);
asm(R"(
.text
.globl graft_emulator_switch
.hidden graft_emulator_switch
.type graft_emulator_switch,@function
graft_emulator_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp,(%rdi)
  movq %rsi,%rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size graft_emulator_switch,.-graft_emulator_switch
)");
#endif

namespace graft::emulator {
namespace {

thread_local Fiber* entering = nullptr;
constexpr unsigned char kCanary = 0xa5;
constexpr std::size_t kCanaryBytes = 64;

}  // namespace

Fiber::Fiber() : stack_(new char[kStackBytes]) {
  std::memset(stack_.get(), kCanary, kCanaryBytes);
#if defined(GRAFT_TSAN)
  own_thread_ = __tsan_create_fiber(0);
#endif
}

Fiber::~Fiber() {
#if defined(GRAFT_TSAN)
  __tsan_destroy_fiber(own_thread_);
#endif
}

void Fiber::start(void (*entry)(void*), void* argument) {
  entry_ = entry;
  argument_ = argument;
#if defined(__x86_64__)
  // Six registers, the address that `ret` takes, and a zero where enter()'s own return address would be.
  auto* top =
      reinterpret_cast<void**>((reinterpret_cast<std::uintptr_t>(stack_.get()) + kStackBytes) & ~std::uintptr_t{15});
  *--top = nullptr;
  *--top = reinterpret_cast<void*>(&Fiber::enter);
  for (int i = 0; i < 6; ++i) *--top = nullptr;
  stack_pointer_ = top;
#else
  getcontext(&context_);
  context_.uc_stack.ss_sp = stack_.get();
  context_.uc_stack.ss_size = kStackBytes;
  context_.uc_link = nullptr;
  makecontext(&context_, &Fiber::enter, 0);
#endif
}

void Fiber::enter() {
  Fiber* self = entering;
#if defined(GRAFT_ASAN)
  __sanitizer_finish_switch_fiber(nullptr, &self->caller_bottom_, &self->caller_bytes_);
#endif
  self->entry_(self->argument_);
  __builtin_trap();  // entry has not called finish()
}

void Fiber::resume() {
  entering = this;
#if defined(GRAFT_ASAN)
  __sanitizer_start_switch_fiber(&caller_fake_stack_, stack_.get(), kStackBytes);
#endif
#if defined(GRAFT_TSAN)
  caller_thread_ = __tsan_get_current_fiber();
  __tsan_switch_to_fiber(own_thread_, __tsan_switch_to_fiber_no_sync);
#endif
#if defined(__x86_64__)
  graft_emulator_switch(&caller_, stack_pointer_);
#else
  swapcontext(&caller_, &context_);
#endif
#if defined(GRAFT_ASAN)
  __sanitizer_finish_switch_fiber(caller_fake_stack_, nullptr, nullptr);
#endif
}

void Fiber::leave([[maybe_unused]] bool for_good) {
#if defined(GRAFT_ASAN)
  __sanitizer_start_switch_fiber(for_good ? nullptr : &own_fake_stack_, caller_bottom_, caller_bytes_);
#endif
#if defined(GRAFT_TSAN)
  __tsan_switch_to_fiber(caller_thread_, __tsan_switch_to_fiber_no_sync);
#endif
#if defined(__x86_64__)
  graft_emulator_switch(&stack_pointer_, caller_);
#else
  swapcontext(&context_, &caller_);
#endif
#if defined(GRAFT_ASAN)
  __sanitizer_finish_switch_fiber(own_fake_stack_, &caller_bottom_, &caller_bytes_);
#endif
}

bool Fiber::overflowed() const {
  for (std::size_t i = 0; i < kCanaryBytes; ++i)
    if (static_cast<unsigned char>(stack_[i]) != kCanary) return true;
  return false;
}

void release([[maybe_unused]] void* p) {
#if defined(GRAFT_TSAN)
  __tsan_release(p);
#endif
}

void acquire([[maybe_unused]] void* p) {
#if defined(GRAFT_TSAN)
  __tsan_acquire(p);
#endif
}

void as_another_thread(void (*body)(void*), void* argument) {
#if defined(GRAFT_TSAN)
  void* const caller = __tsan_get_current_fiber();
  void* const other = __tsan_create_fiber(0);
  __tsan_switch_to_fiber(other, __tsan_switch_to_fiber_no_sync);
  body(argument);
  __tsan_switch_to_fiber(caller, __tsan_switch_to_fiber_no_sync);
  __tsan_destroy_fiber(other);
#else
  body(argument);
#endif
}

}  // namespace graft::emulator
