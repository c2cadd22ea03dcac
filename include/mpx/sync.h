/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * mpx/sync.h - multiprocessing.Lock, RLock, Semaphore, BoundedSemaphore, Condition,
 * Event and Barrier.
 *
 *     mpx_lock *l = mpx_lock_new();
 *
 *     if (mpx_lock_acquire(l, MPX_FOREVER) == 0) {
 *             ... one process at a time ...
 *             mpx_lock_release(l);
 *     }
 *     mpx_lock_free(l);
 *
 * These objects live in the family's heap: give their addresses to processes made
 * before or after them. Uncontended, acquire and release make no system call.
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
 * The others are as hard to upset. Units of a semaphore come back when their holder
 * dies; a barrier breaks when one dies that the others wait with; a notice given to a
 * waiter that is killed goes to the next; nobody ever waits for the dead to wake up.
 *
 * Calls "that block for a moment" take an object's inner lock, which its users hold for
 * some instructions. If a process is stopped just there, they fail after a second, with
 * ETIMEDOUT, and nothing has happened.
 *
 * Free an object when nobody else is inside a call on it.
 *
 * https://docs.python.org/3/library/multiprocessing.html#synchronization-primitives
 */
#ifndef MPX_SYNC_H
#define MPX_SYNC_H

#include <mpx/version.h>
#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mpx_lock mpx_lock;
typedef struct mpx_rlock mpx_rlock;
typedef struct mpx_semaphore mpx_semaphore;
typedef struct mpx_condition mpx_condition;
typedef struct mpx_event mpx_event;
typedef struct mpx_barrier mpx_barrier;

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

/* --- Semaphore ----------------------------------------------------------------- */

/**
 * Semaphore(value): so many units may be had at once. Free with mpx_semaphore_free.
 * Fails with EINVAL (value above INT_MAX), ENOMEM.
 *
 * The library remembers which process has which units: those of a process that ends
 * or dies come back within 100 ms of somebody waiting for one. (Python loses them.)
 * A release by a process that has none gives back another's. Units beyond the initial
 * value belong to nobody: where one process acquires what another releases (free
 * places of a buffer, say), make the semaphore with value 0 and release it as often
 * as needed; then nothing is taken for held.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: not async-signal-safe.
 * Blocks: briefly, for the heap's own lock.
 */
MPX_API mpx_semaphore *mpx_semaphore_new(unsigned value);

/** BoundedSemaphore(value): the same, but release never lifts it above value.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: not async-signal-safe.
 * Blocks: briefly, for the heap's own lock.
 */
MPX_API mpx_semaphore *mpx_bounded_semaphore_new(unsigned value);

/**
 * Semaphore.acquire(timeout): takes a unit. Fails with ETIMEDOUT, EINVAL.
 *
 * Threads: safe; units are the process's, any thread may release.
 * Fork: usable in every process of the family; a child has none of its parent's.
 * Signals: not async-signal-safe.
 * Blocks: at most timeout.
 */
MPX_API int mpx_semaphore_acquire(mpx_semaphore *s, double timeout);

/**
 * Semaphore.release(): gives a unit back, or adds one. Fails with EOVERFLOW if it is
 * bounded and has all its units (Python: ValueError), or has INT_MAX.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: not async-signal-safe.
 * Blocks: for a moment (see above).
 */
MPX_API int mpx_semaphore_release(mpx_semaphore *s);

/** Semaphore.get_value(): how many units are free at this moment; -1 with EINVAL.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: not async-signal-safe.
 * Blocks: for a moment (see above).
 */
MPX_API int mpx_semaphore_value(mpx_semaphore *s);

/** Semaphore.locked(), Python 3.14: no unit is free.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: not async-signal-safe.
 * Blocks: for a moment (see above).
 */
MPX_API bool mpx_semaphore_locked(mpx_semaphore *s);

/** As mpx_lock_free.
 *
 * Threads: nobody else may be using s.
 * Fork: any process of the family may free it, once.
 * Signals: not async-signal-safe.
 * Blocks: briefly, for the heap's own lock.
 */
MPX_API void mpx_semaphore_free(mpx_semaphore *s);

/* --- Condition ----------------------------------------------------------------- */

/**
 * Condition(lock): NULL makes an RLock of its own, as in Python; or give it one, also
 * that of a Value or Array, which must live as long. Free with mpx_condition_free.
 * Fails with EINVAL (no RLock), ENOMEM.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: not async-signal-safe.
 * Blocks: briefly, for the heap's own lock.
 */
MPX_API mpx_condition *mpx_condition_new(mpx_rlock *lock);

/** Condition.acquire(timeout): as mpx_rlock_acquire of its lock.
 *
 * Threads: safe; the holder is the thread.
 * Fork: as for Lock.
 * Signals: not async-signal-safe.
 * Blocks: at most timeout.
 */
MPX_API int mpx_condition_acquire(mpx_condition *c, double timeout);

/** Condition.release(): as mpx_rlock_release of its lock.
 *
 * Threads: only the thread that holds it.
 * Fork: only in the process that holds it.
 * Signals: not async-signal-safe.
 * Blocks: never.
 */
MPX_API int mpx_condition_release(mpx_condition *c);

/** As mpx_rlock_consistent of its lock.
 *
 * Threads: only the thread that holds it.
 * Fork: only in the process that holds it.
 * Signals: async-signal-safe.
 * Blocks: never.
 */
MPX_API int mpx_condition_consistent(mpx_condition *c);

/**
 * Condition.wait(timeout): releases the lock, however often it was acquired, sleeps
 * until notified, and acquires it as often again. 0 means notified. Fails with
 * ETIMEDOUT (Python: False), EOWNERDEAD (a holder of the lock died: as for acquire; you
 * may have been notified or not): in both cases the lock is yours again. Fails with
 * EPERM if you do not hold it, EINVAL, ENOMEM: then nothing has happened.
 *
 * Threads: only the thread that holds the lock.
 * Fork: only in the process that holds it.
 * Signals: not async-signal-safe.
 * Blocks: at most timeout, and then until it has the lock.
 */
MPX_API int mpx_condition_wait(mpx_condition *c, double timeout);

/**
 * Condition.wait_for(predicate, timeout): waits until predicate(arg), which is called
 * with the lock held, is true. Fails as mpx_condition_wait does.
 *
 * Threads: only the thread that holds the lock.
 * Fork: only in the process that holds it.
 * Signals: not async-signal-safe.
 * Blocks: at most timeout, and then until it has the lock.
 */
MPX_API int mpx_condition_wait_for(mpx_condition *c, bool (*predicate)(void *arg), void *arg,
				   double timeout);

/**
 * Condition.notify(n): of those who wait, the n that have waited longest wait no
 * longer. Returns at once, whoever has died (Python's waits for them to wake up). Fails
 * with EPERM if you do not hold the lock, EINVAL.
 *
 * Threads: only the thread that holds the lock.
 * Fork: only in the process that holds it.
 * Signals: not async-signal-safe.
 * Blocks: for a moment (see above).
 */
MPX_API int mpx_condition_notify(mpx_condition *c, unsigned n);

/** Condition.notify_all().
 *
 * Threads: only the thread that holds the lock.
 * Fork: only in the process that holds it.
 * Signals: not async-signal-safe.
 * Blocks: for a moment (see above).
 */
MPX_API int mpx_condition_notify_all(mpx_condition *c);

/** As mpx_lock_free. A lock that was given to it is not freed.
 *
 * Threads: nobody else may be using c.
 * Fork: any process of the family may free it, once.
 * Signals: not async-signal-safe.
 * Blocks: briefly, for the heap's own lock.
 */
MPX_API void mpx_condition_free(mpx_condition *c);

/* --- Event --------------------------------------------------------------------- */

/**
 * Event(): not set. Free with mpx_event_free. Fails with ENOMEM.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: not async-signal-safe.
 * Blocks: briefly, for the heap's own lock.
 */
MPX_API mpx_event *mpx_event_new(void);

/** Event.set(): everybody who waits goes on, also if it is cleared at once.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: async-signal-safe.
 * Blocks: never.
 */
MPX_API int mpx_event_set(mpx_event *e);

/** Event.clear().
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: async-signal-safe.
 * Blocks: never.
 */
MPX_API int mpx_event_clear(mpx_event *e);

/** Event.is_set(); false with EINVAL if it is none.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: async-signal-safe.
 * Blocks: never.
 */
MPX_API bool mpx_event_is_set(mpx_event *e);

/**
 * Event.wait(timeout): 0 once it is, or was, set. Fails with ETIMEDOUT, EINVAL.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: not async-signal-safe.
 * Blocks: at most timeout.
 */
MPX_API int mpx_event_wait(mpx_event *e, double timeout);

/** As mpx_lock_free.
 *
 * Threads: nobody else may be using e.
 * Fork: any process of the family may free it, once.
 * Signals: not async-signal-safe.
 * Blocks: briefly, for the heap's own lock.
 */
MPX_API void mpx_event_free(mpx_event *e);

/* --- Barrier ------------------------------------------------------------------- */

typedef struct mpx_barrier_options {
	size_t size;		  /**< sizeof of this struct; filled in by mpx_barrier_new */
	unsigned parties;	  /**< how many wait for each other; 1 to 4095 */
	int (*action)(void *arg); /**< the last to arrive calls it; 0, or an errno value */
	void *arg;		  /**< of action */
	double timeout;		  /**< seconds, for who waits with MPX_FOREVER; 0: none */
} mpx_barrier_options;

/**
 * Barrier(parties, action, timeout). Free with mpx_barrier_free. Fails with EINVAL (no
 * parties, or too many), ENOMEM.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: not async-signal-safe.
 * Blocks: briefly, for the heap's own lock.
 */
MPX_API mpx_barrier *mpx_barrier_create(const mpx_barrier_options *options);
#ifndef __cplusplus
#define mpx_barrier_new(...)                                                                       \
	mpx_barrier_create(&(mpx_barrier_options){.size = sizeof(mpx_barrier_options), __VA_ARGS__})
#endif

/**
 * Barrier.wait(timeout): until all parties are here. Returns which one you are, from 0
 * to parties - 1, in the order of arrival; the last runs the action before anybody goes
 * on. The barrier can then be used again at once.
 *
 * Fails with ETIMEDOUT if that takes too long: the barrier is then broken, for all.
 * Fails with ECANCELED (Python: BrokenBarrierError) if it is or becomes broken: by a
 * timeout, by abort, by reset while you wait, by an action that failed (who ran it
 * gets its errno), or because a process that had arrived died, which is noticed within
 * 100 ms. Of a process that dies before it arrives nothing is known: give a timeout.
 *
 * Threads: safe; several threads of a process may be parties.
 * Fork: usable in every process of the family.
 * Signals: not async-signal-safe.
 * Blocks: at most timeout, and as long as the action takes if you are the last.
 */
MPX_API int mpx_barrier_wait(mpx_barrier *b, double timeout);

/** Barrier.abort(): it is broken, until reset.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: not async-signal-safe.
 * Blocks: for a moment (see above).
 */
MPX_API int mpx_barrier_abort(mpx_barrier *b);

/** Barrier.reset(): empty and whole again; who waits gets ECANCELED.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: not async-signal-safe.
 * Blocks: for a moment (see above).
 */
MPX_API int mpx_barrier_reset(mpx_barrier *b);

/** Barrier.parties; -1 with EINVAL.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: async-signal-safe.
 * Blocks: never.
 */
MPX_API int mpx_barrier_parties(const mpx_barrier *b);

/** Barrier.n_waiting: how many have arrived; -1 with EINVAL.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: async-signal-safe.
 * Blocks: never.
 */
MPX_API int mpx_barrier_n_waiting(mpx_barrier *b);

/** Barrier.broken.
 *
 * Threads: safe.
 * Fork: usable in every process of the family.
 * Signals: async-signal-safe.
 * Blocks: never.
 */
MPX_API bool mpx_barrier_broken(mpx_barrier *b);

/** As mpx_lock_free.
 *
 * Threads: nobody else may be using b.
 * Fork: any process of the family may free it, once.
 * Signals: not async-signal-safe.
 * Blocks: briefly, for the heap's own lock.
 */
MPX_API void mpx_barrier_free(mpx_barrier *b);

#ifdef __cplusplus
}
#endif

#endif
