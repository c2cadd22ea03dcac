/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * mpx/sync.h - multiprocessing.Lock and RLock.
 *
 *     mpx_lock *l = mpx_lock_new();
 *
 *     if (mpx_lock_acquire(l, MPX_FOREVER) == 0) {
 *             ... one process at a time ...
 *             mpx_lock_release(l);
 *     }
 *     mpx_lock_free(l);
 *
 * A lock lives in the family's heap: give its address to processes made before
 * or after it. Uncontended, acquire and release make no system call.
 *
 * If a holder dies, the next acquire does not hang (Python's does). It returns
 * -1 with errno EOWNERDEAD, and *you hold the lock*: what it guards may be half
 * changed. Every acquire says so until a holder, having put things right, calls
 * mpx_lock_consistent. A program that need not care writes
 *
 *     if (mpx_lock_acquire(l, t) != 0 && errno != EOWNERDEAD)
 *             return -1;
 *
 * A holder's death is noticed within 100 ms. A holder that is stopped
 * (SIGSTOP, a debugger) is alive: only timeouts help against it.
 *
 * Free a lock when nobody else is inside a call on it.
 *
 * https://docs.python.org/3/library/multiprocessing.html#synchronization-primitives
 */
#ifndef MPX_SYNC_H
#define MPX_SYNC_H

#include <mpx/version.h>
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mpx_lock mpx_lock;
typedef struct mpx_rlock mpx_rlock;

/**
 * Lock(). Free with mpx_lock_free. Fails with ENOMEM.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: not async-signal-safe.
 * Blocks: briefly, for the heap's own lock.
 */
MPX_API mpx_lock *mpx_lock_new(void);

/**
 * Lock.acquire(timeout). Not recursive: acquiring it twice waits for oneself.
 * Fails with ETIMEDOUT, EINVAL; EOWNERDEAD means that you do hold it (above).
 *
 * Threads: safe; the holder is the process, any of its threads may release.
 * Fork: usable in every process of the family; a child does not hold what its
 *       parent holds.
 * Signals: not async-signal-safe.
 * Blocks: at most timeout.
 */
MPX_API int mpx_lock_acquire(mpx_lock *l, double timeout);

/**
 * Lock.release(). Fails with EOVERFLOW if it is free (Python: ValueError), and
 * with EPERM if another process holds it (Python lets that pass).
 *
 * Threads: safe.
 * Fork: only in the process that acquired it.
 * Signals: not async-signal-safe.
 * Blocks: never.
 */
MPX_API int mpx_lock_release(mpx_lock *l);

/**
 * What the lock guards is whole again: ends EOWNERDEAD. Fails with EPERM if you
 * do not hold it. Stands for pthread_mutex_consistent; Python has no such thing.
 *
 * Threads: safe.
 * Fork: only in the process that holds it.
 * Signals: async-signal-safe.
 * Blocks: never.
 */
MPX_API int mpx_lock_consistent(mpx_lock *l);

/**
 * Lock.locked(), Python 3.14: does anybody hold it? A dead holder counts until
 * the next acquire.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: async-signal-safe.
 * Blocks: never.
 */
MPX_API bool mpx_lock_locked(mpx_lock *l);

/**
 * Frees it; NULL is fine, and what is no lock is left alone.
 *
 * Threads: nobody else may be using l.
 * Fork: any process of the family may free it, once.
 * Signals: not async-signal-safe.
 * Blocks: briefly, for the heap's own lock.
 */
MPX_API void mpx_lock_free(mpx_lock *l);

/**
 * RLock(): its holder, one thread of one process, may acquire it again and must
 * release it as often. Free with mpx_rlock_free. Fails with ENOMEM.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: not async-signal-safe.
 * Blocks: briefly, for the heap's own lock.
 */
MPX_API mpx_rlock *mpx_rlock_new(void);

/**
 * RLock.acquire(timeout). As for Lock; EOWNERDEAD: you hold it, once. When it is
 * already yours only the depth grows (EAGAIN past 2^31 - 1).
 *
 * Threads: safe; the holder is the thread.
 * Fork: as for Lock.
 * Signals: not async-signal-safe.
 * Blocks: at most timeout.
 */
MPX_API int mpx_rlock_acquire(mpx_rlock *l, double timeout);

/**
 * RLock.release(). Fails with EOVERFLOW if it is free, EPERM if another thread
 * or process holds it (Python: AssertionError).
 *
 * Threads: only the thread that holds it.
 * Fork: only in the process that holds it.
 * Signals: not async-signal-safe.
 * Blocks: never.
 */
MPX_API int mpx_rlock_release(mpx_rlock *l);

/** As mpx_lock_consistent.
 *
 * Threads: only the thread that holds it.
 * Fork: only in the process that holds it.
 * Signals: async-signal-safe.
 * Blocks: never.
 */
MPX_API int mpx_rlock_consistent(mpx_rlock *l);

/** As mpx_lock_locked.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: async-signal-safe.
 * Blocks: never.
 */
MPX_API bool mpx_rlock_locked(mpx_rlock *l);

/** As mpx_lock_free. The lock of a Value or Array is freed with it, not by this.
 *
 * Threads: nobody else may be using l.
 * Fork: any process of the family may free it, once.
 * Signals: not async-signal-safe.
 * Blocks: briefly, for the heap's own lock.
 */
MPX_API void mpx_rlock_free(mpx_rlock *l);

#ifdef __cplusplus
}
#endif

#endif
