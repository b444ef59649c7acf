// Tells the thread sanitizer what it cannot see: that Swift's Mutex orders accesses when two
// threads meet at it. The way without contention is atomics, which are inlined and instrumented;
// the other one, with the kernel's FUTEX_LOCK_PI, is in libswiftSynchronization, which is not.
// Preloaded, this takes the place of those two functions, and calls them.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>

extern void __tsan_acquire(void *address) __attribute__((weak));
extern void __tsan_release(void *address) __attribute__((weak));

#define SELF __attribute__((swift_context)) void *self
#define SWIFT __attribute__((swiftcall))

typedef SWIFT void (*lock_function)(uint32_t thread, SELF);
typedef SWIFT void (*unlock_function)(SELF);

// Synchronization._MutexHandle._lockSlow(UInt32) and ._unlockSlow(), of Swift 6.3 on Linux.
SWIFT void lock_slow(uint32_t thread, SELF) __asm__(
    "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF");
SWIFT void unlock_slow(SELF) __asm__("$s15Synchronization12_MutexHandleV11_unlockSlowyyF");

SWIFT void lock_slow(uint32_t thread, SELF) {
    static lock_function real;
    if (!real) {
        real = (lock_function)dlsym(
            RTLD_NEXT, "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF");
    }
    real(thread, self);
    if (__tsan_acquire) {
        __tsan_acquire(self);
    }
}

SWIFT void unlock_slow(SELF) {
    static unlock_function real;
    if (!real) {
        real = (unlock_function)dlsym(
            RTLD_NEXT, "$s15Synchronization12_MutexHandleV11_unlockSlowyyF");
    }
    if (__tsan_release) {
        __tsan_release(self);
    }
    real(self);
}
