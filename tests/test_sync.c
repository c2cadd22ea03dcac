/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_sync.c - mpx/sync.h:
 *
 *   - lock and rlock: acquire, release, locked, consistent, free; each errno;
 *     timeouts (zero, negative, NaN, small, enormous; never early)
 *   - pointers that are no lock, and locks that were freed
 *   - who holds it: the process (lock), the thread (rlock); never a child
 *   - contention of processes, of threads, of both
 *   - holders that die: fresh acquires, sleepers, polls; zombies; depth; sticky
 *     until consistent; the child of a dead holder
 *   - waiters that die, processes that die anywhere in a loop of acquire/release
 *   - locks made after the fork, reached through a queue and through memory
 *   - stopped holders, storms of signals
 */
#define _POSIX_C_SOURCE 200809L
#define _XOPEN_SOURCE 700

#include "harness.h"

#include <float.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/time.h>
#include <sys/wait.h>

#define WORKERS 4
#define ROUNDS 20000

/* Both kinds of lock behind one set of calls, for what they have in common. */
struct kind {
	const char *name;
	void *(*make)(void);
	int (*acquire)(void *, double);
	int (*release)(void *);
	int (*consistent)(void *);
	bool (*locked)(void *);
	void (*free)(void *);
};

#define KIND(k)                                                                                    \
	static void *k##_make(void)                                                                \
	{                                                                                          \
		return mpx_##k##_new();                                                            \
	}                                                                                          \
	static int k##_acquire(void *l, double timeout)                                            \
	{                                                                                          \
		return mpx_##k##_acquire(l, timeout);                                              \
	}                                                                                          \
	static int k##_release(void *l)                                                            \
	{                                                                                          \
		return mpx_##k##_release(l);                                                       \
	}                                                                                          \
	static int k##_consistent(void *l)                                                         \
	{                                                                                          \
		return mpx_##k##_consistent(l);                                                    \
	}                                                                                          \
	static bool k##_locked(void *l)                                                            \
	{                                                                                          \
		return mpx_##k##_locked(l);                                                        \
	}                                                                                          \
	static void k##_free(void *l)                                                              \
	{                                                                                          \
		mpx_##k##_free(l);                                                                 \
	}                                                                                          \
	static const struct kind k##_kind = {                                                      \
		#k, k##_make, k##_acquire, k##_release, k##_consistent, k##_locked, k##_free}

KIND(lock);
KIND(rlock);

/* What the processes of one test share; in the family's heap. */
struct shared {
	const struct kind *kind;
	void *lock;
	long counter; /* guarded by the lock */
	long first, second;
	_Atomic int inside;  /* the pid that is inside; 0 if none */
	_Atomic int ready;   /* how many have reached the point in question */
	_Atomic int go;	     /* set by the test */
	_Atomic int dead;    /* how many were told of a dead holder */
	_Atomic int served;  /* how many got the lock */
	_Atomic int signals; /* how many signals came */
	_Atomic(void *) mailbox;
	mpx_queue *queue;
	double timeout;
};

static struct shared *share(const struct kind *kind)
{
	struct shared *s = mpx_calloc(1, sizeof *s);
	assert_non_null(s);
	s->kind = kind;
	s->lock = kind->make();
	assert_non_null(s->lock);
	return s;
}

static void done_with(struct shared *s)
{
	s->kind->free(s->lock);
	mpx_free(s);
}

static int acquire(struct shared *s, double timeout)
{
	return s->kind->acquire(s->lock, timeout);
}

static int release(struct shared *s)
{
	return s->kind->release(s->lock);
}

static void on_thread(void *(*fn)(void *), void *arg)
{
	pthread_t t;
	assert_int_equal(pthread_create(&t, NULL, fn, arg), 0);
	assert_int_equal(pthread_join(t, NULL), 0);
}

/* Waits for a child's end without reaping it. */
static void await_zombie(pid_t pid)
{
	siginfo_t info;
	while (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) < 0)
		assert_int_equal(errno, EINTR);
}

static void kill_child(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(wait_child(pid), -SIGKILL);
}

/* A few hundredths of a second in which others probably fall asleep. */
static void linger(void)
{
	for (int i = 0; i < 30; i++)
		nap();
}

/* ---- one process ------------------------------------------------------- */

static void check_basics(const struct kind *kind)
{
	void *l = kind->make();
	assert_non_null(l);
	assert_false(kind->locked(l));
	for (int i = 0; i < 100; i++) {
		double timeouts[] = {0, -1, -INFINITY, 0.001, 1e300, DBL_MAX, MPX_FOREVER};
		double timeout = timeouts[(size_t)i % (sizeof timeouts / sizeof *timeouts)];
		assert_ok(kind->acquire(l, timeout));
		assert_true(kind->locked(l));
		assert_ok(kind->consistent(l));
		assert_true(kind->locked(l));
		assert_ok(kind->release(l));
		assert_false(kind->locked(l));
	}
	assert_fails(kind->release(l), EOVERFLOW);
	assert_fails(kind->consistent(l), EPERM);
	assert_false(kind->locked(l));
	assert_ok(kind->acquire(l, 0));
	assert_ok(kind->release(l));
	assert_fails(kind->release(l), EOVERFLOW);
	kind->free(l);
	kind->free(NULL);
}

static void test_basics(void **state)
{
	(void)state;
	check_basics(&lock_kind);
	check_basics(&rlock_kind);
}

static void test_lock_is_not_recursive(void **state)
{
	(void)state;
	mpx_lock *l = mpx_lock_new();
	assert_non_null(l);
	assert_ok(mpx_lock_acquire(l, MPX_FOREVER));
	assert_fails(mpx_lock_acquire(l, 0), ETIMEDOUT);
	assert_fails(mpx_lock_acquire(l, -5), ETIMEDOUT);
	assert_fails(mpx_lock_acquire(l, -INFINITY), ETIMEDOUT);
	assert_fails(mpx_lock_acquire(l, 0.01), ETIMEDOUT);
	assert_ok(mpx_lock_release(l));
	assert_fails(mpx_lock_release(l), EOVERFLOW);
	mpx_lock_free(l);
}

static void *acquire_and_end(void *arg)
{
	struct shared *s = arg;
	if (acquire(s, MPX_FOREVER) == 0)
		s->served++;
	return NULL;
}

static int fails_to_acquire(void *arg)
{
	struct shared *s = arg;
	child_fails(acquire(s, 0), ETIMEDOUT);
	child_fails(acquire(s, 0.5), ETIMEDOUT);
	child_check(s->kind->locked(s->lock));
	return 0;
}

/* The lock stays with the process when the thread that acquired it has ended. */
static void test_lock_any_thread_may_release(void **state)
{
	(void)state;
	struct shared *s = share(&lock_kind);
	on_thread(acquire_and_end, s);
	assert_int_equal(s->served, 1);
	assert_true(mpx_lock_locked(s->lock));
	assert_fails(acquire(s, 0), ETIMEDOUT);
	assert_fails(acquire(s, 0.3), ETIMEDOUT);
	assert_int_equal(run_child(fails_to_acquire, s), 0);
	assert_ok(mpx_lock_consistent(s->lock));
	assert_ok(release(s));
	assert_fails(release(s), EOVERFLOW);
	assert_ok(acquire(s, 0));
	assert_ok(release(s));
	done_with(s);
}

static void test_timeouts_are_not_early(void **state)
{
	(void)state;
	mpx_lock *l = mpx_lock_new();
	assert_ok(mpx_lock_acquire(l, 0));
	double timeouts[] = {0.0001, 0.001, 0.0123, 0.1, 0.25};
	for (size_t i = 0; i < sizeof timeouts / sizeof *timeouts; i++) {
		double start = now();
		assert_fails(mpx_lock_acquire(l, timeouts[i]), ETIMEDOUT);
		double took = now() - start;
		assert_true(took >= timeouts[i] - 1e-6);
		assert_true(took < timeouts[i] + 20);
	}
	assert_ok(mpx_lock_release(l));
	mpx_lock_free(l);
}

static void check_nan(const struct kind *kind)
{
	void *l = kind->make();
	assert_fails(kind->acquire(l, NAN), EINVAL);
	assert_fails(kind->acquire(l, -NAN), EINVAL);
	assert_false(kind->locked(l));
	assert_ok(kind->acquire(l, 0));
	assert_fails(kind->acquire(l, NAN), EINVAL);
	assert_ok(kind->release(l));
	assert_fails(kind->release(l), EOVERFLOW);
	kind->free(l);
}

static void test_nan(void **state)
{
	(void)state;
	check_nan(&lock_kind);
	check_nan(&rlock_kind);
}

static void check_is_no_lock(const struct kind *kind, void *p)
{
	assert_fails(kind->acquire(p, 0), EINVAL);
	assert_fails(kind->acquire(p, MPX_FOREVER), EINVAL);
	assert_fails(kind->release(p), EINVAL);
	assert_fails(kind->consistent(p), EINVAL);
	assert_nothing(kind->locked(p), EINVAL);
}

static void check_bad_pointers(const struct kind *kind, void *other)
{
	void *l = kind->make();
	assert_non_null(l);
	struct bad_pointers bad;
	bad_pointers_make(&bad, l);
	mpx_value *v = mpx_value_new('i', 0);
	mpx_array *a = mpx_array_new('i', 100, NULL);
	mpx_queue *q = mpx_queue_new();
	void *others[] = {other, v, a, mpx_array_ptr(a, int), q, mpx_current_process()};
	size_t blocks = heap_blocks();
	for (size_t i = 0; i < bad.n; i++) {
		check_is_no_lock(kind, bad.p[i]);
		kind->free(bad.p[i]);
	}
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		check_is_no_lock(kind, others[i]);
		kind->free(others[i]);
	}
	assert_int_equal(heap_blocks(), blocks);
	/* All are still what they were. */
	assert_int_equal(mpx_value_add(v, 1), 0);
	assert_int_equal(mpx_array_len(a), 100);
	assert_int_equal(mpx_queue_qsize(q), 0);
	assert_ok(kind->acquire(l, 0));
	assert_ok(kind->release(l));
	mpx_value_free(v);
	mpx_array_free(a);
	mpx_queue_free(q);
	bad_pointers_done(&bad);
	kind->free(l);
	check_is_no_lock(kind, l);
}

static void test_bad_pointers(void **state)
{
	(void)state;
	mpx_lock *l = mpx_lock_new();
	mpx_rlock *r = mpx_rlock_new();
	check_bad_pointers(&lock_kind, r);
	check_bad_pointers(&rlock_kind, l);
	assert_ok(mpx_lock_acquire(l, 0));
	assert_ok(mpx_lock_release(l));
	assert_ok(mpx_rlock_acquire(r, 0));
	assert_ok(mpx_rlock_release(r));
	mpx_lock_free(l);
	mpx_rlock_free(r);
}

static void check_free(const struct kind *kind)
{
	size_t blocks = heap_blocks();
	void *l = kind->make();
	void *held = kind->make();
	assert_ok(kind->acquire(held, 0));
	kind->free(l);
	kind->free(held); /* nobody is inside a call: fine */
	assert_int_equal(heap_blocks(), blocks);
	kind->free(l);
	kind->free(held);
	assert_int_equal(heap_blocks(), blocks);
	check_is_no_lock(kind, l);
	check_is_no_lock(kind, held);
	/* A new one, perhaps in the same place, is free. */
	l = kind->make();
	assert_false(kind->locked(l));
	assert_ok(kind->acquire(l, 0));
	assert_ok(kind->release(l));
	kind->free(l);
}

static void test_freeing(void **state)
{
	(void)state;
	check_free(&lock_kind);
	check_free(&rlock_kind);
}

static int free_it(void *arg)
{
	struct shared *s = arg;
	s->kind->free(s->lock);
	return 0;
}

static void test_free_by_another_process(void **state)
{
	(void)state;
	const struct kind *kinds[] = {&lock_kind, &rlock_kind};
	for (size_t i = 0; i < 2; i++) {
		struct shared *s = share(kinds[i]);
		assert_int_equal(run_child(free_it, s), 0);
		check_is_no_lock(kinds[i], s->lock);
		done_with(s);
	}
}

static void check_many(const struct kind *kind)
{
	enum { N = 2000 };
	static void *locks[N];
	for (int i = 0; i < N; i++) {
		assert_non_null(locks[i] = kind->make());
		if (i % 3 == 0)
			assert_ok(kind->acquire(locks[i], 0));
	}
	for (int i = 0; i < N; i++) {
		assert_int_equal(kind->locked(locks[i]), i % 3 == 0);
		if (i % 3 == 0)
			assert_ok(kind->release(locks[i]));
		assert_fails(kind->release(locks[i]), EOVERFLOW);
	}
	for (int i = 0; i < N; i++)
		kind->free(locks[i]);
}

static void test_many_locks(void **state)
{
	(void)state;
	check_many(&lock_kind);
	check_many(&rlock_kind);
}

/* ---- rlock: depth and threads ------------------------------------------ */

static void *other_thread(void *arg)
{
	struct shared *s = arg;
	bool fine = s->kind->locked(s->lock);
	errno = 0;
	fine = fine && acquire(s, 0) == -1 && errno == ETIMEDOUT;
	errno = 0;
	fine = fine && acquire(s, 0.05) == -1 && errno == ETIMEDOUT;
	errno = 0;
	fine = fine && release(s) == -1 && errno == EPERM;
	errno = 0;
	fine = fine && s->kind->consistent(s->lock) == -1 && errno == EPERM;
	if (fine)
		s->served++;
	return NULL;
}

static void test_rlock_depth(void **state)
{
	(void)state;
	enum { DEPTH = 100000 };
	struct shared *s = share(&rlock_kind);
	for (int i = 0; i < DEPTH; i++)
		assert_ok(acquire(s, i % 2 ? 0 : MPX_FOREVER));
	on_thread(other_thread, s);
	assert_int_equal(s->served, 1);
	for (int i = 0; i < DEPTH; i++) {
		assert_true(mpx_rlock_locked(s->lock));
		assert_ok(release(s));
	}
	assert_false(mpx_rlock_locked(s->lock));
	assert_fails(release(s), EOVERFLOW);
	on_thread(acquire_and_end, s); /* free for others now */
	assert_int_equal(s->served, 2);
	done_with(s);
}

/* Held by a thread that has ended: whatever it is, it is not free, and not ours. */
static void test_rlock_of_an_ended_thread(void **state)
{
	(void)state;
	struct shared *s = share(&rlock_kind);
	on_thread(acquire_and_end, s);
	assert_int_equal(s->served, 1);
	errno = 0;
	int rc = acquire(s, 0.5);
	int error = errno;
	assert_int_equal(rc, -1);
	assert_true(error == ETIMEDOUT || error == EOWNERDEAD);
	if (error == EOWNERDEAD) {
		assert_ok(mpx_rlock_consistent(s->lock));
		assert_ok(release(s));
		assert_fails(release(s), EOVERFLOW);
	} else {
		assert_fails(release(s), EPERM);
	}
	done_with(s);
}

/* ---- children hold nothing --------------------------------------------- */

static int holds_nothing(void *arg)
{
	struct shared *s = arg;
	child_check(s->kind->locked(s->lock));
	child_fails(release(s), EPERM);
	child_fails(s->kind->consistent(s->lock), EPERM);
	child_fails(acquire(s, 0), ETIMEDOUT);
	child_fails(acquire(s, 0.02), ETIMEDOUT);
	child_check(s->kind->locked(s->lock));
	return 0;
}

static void check_child_holds_nothing(const struct kind *kind)
{
	struct shared *s = share(kind);
	assert_ok(acquire(s, MPX_FOREVER));
	assert_int_equal(run_child(holds_nothing, s), 0);
	mpx_process *p = mpx_process_new(.target = holds_nothing, .args = s);
	assert_ok(mpx_process_start(p));
	assert_ok(mpx_process_join(p, MPX_FOREVER));
	int code = -1;
	assert_ok(mpx_process_exitcode(p, &code));
	assert_int_equal(code, 0);
	assert_ok(mpx_process_free(p));
	/* The end of a child that held nothing is nobody's death. */
	assert_true(kind->locked(s->lock));
	assert_ok(release(s));
	assert_ok(acquire(s, 0));
	assert_ok(release(s));
	done_with(s);
}

static void test_child_holds_nothing(void **state)
{
	(void)state;
	check_child_holds_nothing(&lock_kind);
	check_child_holds_nothing(&rlock_kind);
}

/* ---- contention -------------------------------------------------------- */

static void count(struct shared *s, int rounds)
{
	for (int i = 0; i < rounds; i++) {
		child_check(acquire(s, MPX_FOREVER) == 0);
		int nested = s->kind == &rlock_kind && i % 4 == 0;
		if (nested)
			child_check(acquire(s, 0) == 0);
		s->counter++;
		if (nested)
			child_check(release(s) == 0);
		child_check(release(s) == 0);
	}
}

static int counter(void *arg)
{
	count(arg, ROUNDS);
	return 0;
}

static void *counter_thread(void *arg)
{
	count(arg, ROUNDS);
	return NULL;
}

static int counter_threads(void *arg)
{
	pthread_t t[2];
	for (int i = 0; i < 2; i++)
		child_check(pthread_create(&t[i], NULL, counter_thread, arg) == 0);
	for (int i = 0; i < 2; i++)
		child_check(pthread_join(t[i], NULL) == 0);
	return 0;
}

static void check_processes(const struct kind *kind, int (*fn)(void *), int workers, long total)
{
	struct shared *s = share(kind);
	mpx_process *p[WORKERS];
	for (int i = 0; i < workers; i++) {
		assert_non_null(p[i] = mpx_process_new(.target = fn, .args = s));
		assert_ok(mpx_process_start(p[i]));
	}
	for (int i = 0; i < workers; i++) {
		int code = -1;
		assert_ok(mpx_process_join(p[i], MPX_FOREVER));
		assert_ok(mpx_process_exitcode(p[i], &code));
		assert_int_equal(code, 0);
		assert_ok(mpx_process_free(p[i]));
	}
	assert_int_equal(s->counter, total);
	assert_false(kind->locked(s->lock));
	done_with(s);
}

static void test_contention_of_processes(void **state)
{
	(void)state;
	check_processes(&lock_kind, counter, WORKERS, (long)WORKERS * ROUNDS);
	check_processes(&rlock_kind, counter, WORKERS, (long)WORKERS * ROUNDS);
}

static void test_contention_of_threads(void **state)
{
	(void)state;
	const struct kind *kinds[] = {&lock_kind, &rlock_kind};
	for (size_t k = 0; k < 2; k++) {
		struct shared *s = share(kinds[k]);
		pthread_t t[WORKERS];
		for (int i = 0; i < WORKERS; i++)
			assert_int_equal(pthread_create(&t[i], NULL, counter_thread, s), 0);
		for (int i = 0; i < WORKERS; i++)
			pthread_join(t[i], NULL);
		assert_int_equal(s->counter, (long)WORKERS * ROUNDS);
		done_with(s);
	}
}

static void test_contention_of_both(void **state)
{
	(void)state;
	check_processes(&lock_kind, counter_threads, 2, 4L * ROUNDS);
	check_processes(&rlock_kind, counter_threads, 2, 4L * ROUNDS);
}

/* Most acquires time out here; none may be both. */
static int impatient(void *arg)
{
	struct shared *s = arg;
	for (int i = 0; i < 2000; i++) {
		double timeouts[] = {0, 1e-6, 1e-4, 1e-3};
		errno = 0;
		if (acquire(s, timeouts[i % 4]) == 0) {
			s->counter++;
			child_check(atomic_exchange(&s->inside, (int)getpid()) == 0);
			if (i % 64 == 0)
				nap();
			child_check(atomic_exchange(&s->inside, 0) == getpid());
			s->served++;
			child_check(release(s) == 0);
		} else {
			child_check(errno == ETIMEDOUT);
		}
	}
	return 0;
}

static void test_contention_with_timeouts(void **state)
{
	(void)state;
	const struct kind *kinds[] = {&lock_kind, &rlock_kind};
	for (size_t k = 0; k < 2; k++) {
		struct shared *s = share(kinds[k]);
		pid_t pids[WORKERS];
		for (int i = 0; i < WORKERS; i++)
			pids[i] = fork_child(impatient, s);
		for (int i = 0; i < WORKERS; i++)
			assert_int_equal(wait_child(pids[i]), 0);
		assert_int_equal(s->counter, s->served);
		assert_ok(acquire(s, 0));
		assert_ok(release(s));
		done_with(s);
	}
}

/* Enormous timeouts must not wrap into small ones. */
static int hold_a_moment(void *arg)
{
	struct shared *s = arg;
	child_check(acquire(s, 0) == 0);
	s->ready = 1;
	linger();
	child_check(release(s) == 0);
	return 0;
}

static void test_enormous_timeouts(void **state)
{
	(void)state;
	double timeouts[] = {1e9, 4.3e9, 1e10, 9.3e18, 1e19, 1e300, DBL_MAX, MPX_FOREVER};
	for (size_t i = 0; i < sizeof timeouts / sizeof *timeouts; i++) {
		struct shared *s = share(i % 2 ? &lock_kind : &rlock_kind);
		pid_t pid = fork_child(hold_a_moment, s);
		assert_soon(s->ready);
		assert_ok(acquire(s, timeouts[i]));
		assert_ok(release(s));
		assert_int_equal(wait_child(pid), 0);
		done_with(s);
	}
}

/* ---- holders that die -------------------------------------------------- */

static int hold_for_ever(void *arg)
{
	struct shared *s = arg;
	int depth = s->kind == &rlock_kind ? 5 : 1;
	for (int i = 0; i < depth; i++)
		child_check(acquire(s, MPX_FOREVER) == 0);
	s->ready++;
	for (;;)
		pause();
}

static int hold_and_return(void *arg)
{
	struct shared *s = arg;
	child_check(acquire(s, MPX_FOREVER) == 0);
	return 0;
}

static pid_t start_holder(struct shared *s)
{
	int ready = s->ready;
	pid_t pid = fork_child(hold_for_ever, s);
	assert_soon(s->ready > ready);
	return pid;
}

static int sees_it_held(void *arg)
{
	struct shared *s = arg;
	child_fails(acquire(s, 0), ETIMEDOUT);
	child_fails(release(s), EPERM);
	child_fails(s->kind->consistent(s->lock), EPERM);
	return 0;
}

/* We were told EOWNERDEAD: we hold it, once; sticky until consistent. */
static void check_owner_dead(struct shared *s)
{
	assert_true(s->kind->locked(s->lock));
	assert_int_equal(run_child(sees_it_held, s), 0);
	assert_ok(release(s));
	assert_false(s->kind->locked(s->lock));
	assert_fails(release(s), EOVERFLOW);
	double timeouts[] = {0, 0.1, MPX_FOREVER};
	for (size_t i = 0; i < 3; i++) {
		assert_fails(acquire(s, timeouts[i]), EOWNERDEAD);
		assert_true(s->kind->locked(s->lock));
		assert_ok(release(s));
	}
	assert_fails(s->kind->consistent(s->lock), EPERM);
	assert_fails(acquire(s, 0), EOWNERDEAD);
	assert_ok(s->kind->consistent(s->lock));
	assert_true(s->kind->locked(s->lock));
	assert_ok(release(s));
	assert_fails(release(s), EOVERFLOW);
	assert_ok(acquire(s, 0));
	assert_ok(release(s));
}

static void check_dead_holder(const struct kind *kind)
{
	/* killed and reaped */
	struct shared *s = share(kind);
	kill_child(start_holder(s));
	assert_true(kind->locked(s->lock)); /* a dead holder counts */
	assert_fails(acquire(s, MPX_FOREVER), EOWNERDEAD);
	check_owner_dead(s);

	/* killed, a zombie */
	pid_t pid = start_holder(s);
	kill(pid, SIGKILL);
	await_zombie(pid);
	assert_fails(acquire(s, 30), EOWNERDEAD);
	check_owner_dead(s);
	assert_int_equal(wait_child(pid), -SIGKILL);

	/* left without releasing it */
	assert_int_equal(run_child(hold_and_return, s), 0);
	assert_fails(acquire(s, 30), EOWNERDEAD);
	check_owner_dead(s);

	/* likewise as a mpx_process */
	mpx_process *p = mpx_process_new(.target = hold_and_return, .args = s);
	assert_ok(mpx_process_start(p));
	assert_ok(mpx_process_join(p, MPX_FOREVER));
	assert_fails(acquire(s, 30), EOWNERDEAD);
	check_owner_dead(s);
	assert_ok(mpx_process_free(p));
	done_with(s);
}

static void test_dead_holder(void **state)
{
	(void)state;
	check_dead_holder(&lock_kind);
	check_dead_holder(&rlock_kind);
}

/* Polls too learn of it, within a tenth of a second or so. */
static void test_dead_holder_and_polls(void **state)
{
	(void)state;
	const struct kind *kinds[] = {&lock_kind, &rlock_kind};
	for (size_t k = 0; k < 2; k++) {
		for (int reap = 0; reap < 2; reap++) {
			struct shared *s = share(kinds[k]);
			pid_t pid = start_holder(s);
			assert_fails(acquire(s, 0), ETIMEDOUT);
			kill(pid, SIGKILL);
			if (reap)
				assert_int_equal(wait_child(pid), -SIGKILL);
			else
				await_zombie(pid);
			double end = now() + 10;
			int error;
			do {
				errno = 0;
				assert_int_equal(acquire(s, reap ? 0 : -1), -1);
				error = errno;
				nap();
			} while (error == ETIMEDOUT && now() < end);
			assert_int_equal(error, EOWNERDEAD);
			check_owner_dead(s);
			if (!reap)
				assert_int_equal(wait_child(pid), -SIGKILL);
			done_with(s);
		}
	}
}

static int sleeper(void *arg)
{
	struct shared *s = arg;
	s->ready++;
	int rc = acquire(s, s->timeout);
	if (rc != 0) {
		child_check(errno == EOWNERDEAD);
		s->dead++;
		if (s->go == 2)
			child_check(s->kind->consistent(s->lock) == 0);
	}
	s->served++;
	child_check(release(s) == 0);
	return 0;
}

static void check_sleepers(const struct kind *kind, double timeout, bool repair)
{
	struct shared *s = share(kind);
	s->timeout = timeout;
	s->go = repair ? 2 : 1;
	pid_t holder = start_holder(s);
	pid_t pids[WORKERS];
	s->ready = 0;
	for (int i = 0; i < WORKERS; i++)
		pids[i] = fork_child(sleeper, s);
	assert_soon(s->ready == WORKERS);
	linger();
	assert_int_equal(s->served, 0);
	kill(holder, SIGKILL);
	for (int i = 0; i < WORKERS; i++)
		assert_int_equal(wait_child(pids[i]), 0);
	assert_int_equal(wait_child(holder), -SIGKILL);
	assert_int_equal(s->served, WORKERS);
	assert_int_equal(s->dead, repair ? 1 : WORKERS);
	if (repair)
		assert_ok(acquire(s, 0));
	else
		assert_fails(acquire(s, 0), EOWNERDEAD);
	assert_ok(release(s));
	done_with(s);
}

static void test_dead_holder_and_sleepers(void **state)
{
	(void)state;
	const struct kind *kinds[] = {&lock_kind, &rlock_kind};
	for (size_t k = 0; k < 2; k++) {
		check_sleepers(kinds[k], MPX_FOREVER, false);
		check_sleepers(kinds[k], MPX_FOREVER, true);
		check_sleepers(kinds[k], 60, false);
		check_sleepers(kinds[k], 60, true);
	}
}

/* The one who repairs may die as well, before or after consistent. */
static int repair_and_die(void *arg)
{
	struct shared *s = arg;
	child_fails(acquire(s, MPX_FOREVER), EOWNERDEAD);
	if (s->go)
		child_check(s->kind->consistent(s->lock) == 0);
	kill(getpid(), SIGKILL);
	return 1;
}

static void test_dead_repairer(void **state)
{
	(void)state;
	const struct kind *kinds[] = {&lock_kind, &rlock_kind};
	for (size_t k = 0; k < 2; k++) {
		struct shared *s = share(kinds[k]);
		kill_child(start_holder(s));
		assert_int_equal(run_child(repair_and_die, s), -SIGKILL);
		s->go = 1;
		assert_int_equal(run_child(repair_and_die, s), -SIGKILL);
		assert_fails(acquire(s, MPX_FOREVER), EOWNERDEAD);
		check_owner_dead(s);
		done_with(s);
	}
}

/* A dead holder's depth is gone; ours starts at one and grows. */
static void test_dead_holder_depth(void **state)
{
	(void)state;
	struct shared *s = share(&rlock_kind);
	kill_child(start_holder(s));
	assert_fails(acquire(s, MPX_FOREVER), EOWNERDEAD);
	errno = 0;
	int rc = acquire(s, 0);
	assert_true(rc == 0 || errno == EOWNERDEAD);
	assert_ok(mpx_rlock_consistent(s->lock));
	assert_ok(acquire(s, 0));
	for (int i = 0; i < 3; i++) {
		assert_true(mpx_rlock_locked(s->lock));
		assert_ok(release(s));
	}
	assert_fails(release(s), EOVERFLOW);
	assert_false(mpx_rlock_locked(s->lock));
	done_with(s);
}

struct family_of_holder {
	struct shared *s;
	int stay[2]; /* the grandchild lives until this is closed */
};

static int outlive(void *arg)
{
	struct family_of_holder *f = arg;
	close(f->stay[1]);
	recv_byte(f->stay[0]);
	return 0;
}

static int hold_with_child(void *arg)
{
	struct family_of_holder *f = arg;
	child_check(acquire(f->s, 0) == 0);
	pid_t pid = fork();
	child_check(pid >= 0);
	if (pid == 0) {
		signal(SIGALRM, SIG_DFL);
		alarm(60);
		_exit(outlive(f));
	}
	kill(getpid(), SIGKILL);
	return 1;
}

/* The child of a dead holder is no holder, though it lives. */
static void test_dead_holder_with_child(void **state)
{
	(void)state;
	const struct kind *kinds[] = {&lock_kind, &rlock_kind};
	for (size_t k = 0; k < 2; k++) {
		struct family_of_holder f = {.s = share(kinds[k])};
		assert_int_equal(pipe(f.stay), 0);
		assert_int_equal(run_child(hold_with_child, &f), -SIGKILL);
		assert_fails(acquire(f.s, MPX_FOREVER), EOWNERDEAD);
		check_owner_dead(f.s);
		close(f.stay[0]);
		close(f.stay[1]);
		done_with(f.s);
	}
}

/* ---- waiters that die -------------------------------------------------- */

static int wait_for_lock(void *arg)
{
	struct shared *s = arg;
	s->ready++;
	if (acquire(s, MPX_FOREVER) != 0)
		child_check(errno == EOWNERDEAD && s->kind->consistent(s->lock) == 0);
	s->served++;
	child_check(release(s) == 0);
	return 0;
}

static void check_dead_waiters(const struct kind *kind, bool while_held)
{
	struct shared *s = share(kind);
	uint64_t seed = 42;
	for (int round = 0; round < 15; round++) {
		pid_t pids[WORKERS];
		s->ready = s->served = 0;
		assert_ok(acquire(s, MPX_FOREVER));
		for (int i = 0; i < WORKERS; i++)
			pids[i] = fork_child(wait_for_lock, s);
		assert_soon(s->ready == WORKERS);
		for (uint64_t n = next_random(&seed) % 8; n; n--)
			nap();
		if (!while_held)
			assert_ok(release(s));
		for (int i = 0; i + 1 < WORKERS; i++)
			kill(pids[i], SIGKILL);
		for (int i = 0; i + 1 < WORKERS; i++) {
			int code = wait_child(pids[i]);
			assert_true(code == -SIGKILL || (!while_held && code == 0));
		}
		if (while_held)
			assert_ok(release(s));
		/* The one that lives gets it. */
		assert_int_equal(wait_child(pids[WORKERS - 1]), 0);
		assert_true(s->served >= 1);
		errno = 0;
		if (acquire(s, MPX_FOREVER) != 0) {
			assert_int_equal(errno, EOWNERDEAD);
			assert_false(while_held); /* then no killed one can have held it */
			assert_ok(kind->consistent(s->lock));
		}
		assert_ok(release(s));
	}
	done_with(s);
}

static void test_dead_waiters(void **state)
{
	(void)state;
	check_dead_waiters(&lock_kind, true);
	check_dead_waiters(&lock_kind, false);
	check_dead_waiters(&rlock_kind, true);
	check_dead_waiters(&rlock_kind, false);
}

/* Kill whom you like, where you like: one inside at a time, and no standstill. */
static int run_about(void *arg)
{
	struct shared *s = arg;
	while (!s->go) {
		int depth = s->kind == &rlock_kind ? 2 : 1;
		if (acquire(s, MPX_FOREVER) != 0) {
			child_check(errno == EOWNERDEAD);
			s->second = s->first;
			s->inside = 0;
			s->dead++;
			child_check(s->kind->consistent(s->lock) == 0);
		}
		if (depth == 2)
			child_check(acquire(s, 0) == 0);
		child_check(atomic_exchange(&s->inside, (int)getpid()) == 0);
		child_check(s->first == s->second);
		s->first++;
		s->second++;
		child_check(atomic_exchange(&s->inside, 0) == getpid());
		for (int i = 0; i < depth; i++)
			child_check(release(s) == 0);
		s->served++;
	}
	return 0;
}

static void check_kill_storm(const struct kind *kind, uint64_t seed)
{
	enum { KILLS = 60 };
	struct shared *s = share(kind);
	pid_t pids[WORKERS];
	for (int i = 0; i < WORKERS; i++)
		pids[i] = fork_child(run_about, s);
	for (int k = 0; k < KILLS; k++) {
		int seen = s->served;
		assert_soon(s->served - seen > 20); /* it goes on */
		size_t victim = next_random(&seed) % WORKERS;
		for (uint64_t spin = next_random(&seed) % 4; spin; spin--)
			nap();
		kill_child(pids[victim]);
		pids[victim] = fork_child(run_about, s);
	}
	int seen = s->served;
	assert_soon(s->served - seen > 20);
	s->go = 1;
	for (int i = 0; i < WORKERS; i++)
		assert_int_equal(wait_child(pids[i]), 0);
	if (acquire(s, MPX_FOREVER) == 0)
		assert_int_equal(s->first, s->second);
	else
		assert_int_equal(errno, EOWNERDEAD);
	assert_ok(release(s));
	done_with(s);
}

static void test_kill_storm(void **state)
{
	(void)state;
	check_kill_storm(&lock_kind, 1);
	check_kill_storm(&rlock_kind, 2);
}

/* ---- locks made after the fork ----------------------------------------- */

struct message {
	const struct kind *kind;
	void *lock;
};

static int use_what_comes(void *arg)
{
	struct shared *s = arg;
	struct message m;
	s->ready = 1;
	for (int i = 0; i < 2; i++) {
		child_check(mpx_queue_get(s->queue, &m, sizeof m, 60) == sizeof m);
		child_fails(m.kind->acquire(m.lock, 0), ETIMEDOUT); /* the parent has it */
		child_fails(m.kind->release(m.lock), EPERM);
		s->served++;
		child_check(m.kind->acquire(m.lock, 60) == 0);
		child_check(m.kind->release(m.lock) == 0);
	}
	child_soon(s->mailbox);
	child_check(mpx_lock_acquire(s->mailbox, 60) == 0);
	return 0; /* holding it */
}

static void test_lock_made_after_fork(void **state)
{
	(void)state;
	struct shared *s = share(&lock_kind);
	s->queue = mpx_queue_new();
	assert_non_null(s->queue);
	mpx_process *p = mpx_process_new(.target = use_what_comes, .args = s);
	assert_ok(mpx_process_start(p));
	assert_soon(s->ready);
	struct message m[2] = {{&lock_kind, NULL}, {&rlock_kind, NULL}};
	for (int i = 0; i < 2; i++) {
		assert_non_null(m[i].lock = m[i].kind->make());
		assert_ok(m[i].kind->acquire(m[i].lock, 0));
		assert_ok(mpx_queue_put(s->queue, &m[i], sizeof m[i], 60));
		assert_soon(s->served == i + 1);
		assert_ok(m[i].kind->release(m[i].lock));
	}
	mpx_lock *last = mpx_lock_new();
	s->mailbox = last;
	assert_ok(mpx_process_join(p, 60));
	assert_fails(mpx_lock_acquire(last, 30), EOWNERDEAD);
	int code = -1;
	assert_ok(mpx_process_exitcode(p, &code));
	assert_int_equal(code, 0);
	assert_ok(mpx_process_free(p));
	for (int i = 0; i < 2; i++) {
		assert_false(m[i].kind->locked(m[i].lock));
		m[i].kind->free(m[i].lock);
	}
	mpx_lock_free(last);
	mpx_queue_free(s->queue);
	done_with(s);
}

/* ---- stopped holders, storms of signals -------------------------------- */

static int hold_until_told(void *arg)
{
	struct shared *s = arg;
	child_check(acquire(s, 0) == 0);
	s->ready = 1;
	child_soon(s->go);
	child_check(release(s) == 0);
	return 0;
}

static void test_stopped_holder(void **state)
{
	(void)state;
	const struct kind *kinds[] = {&lock_kind, &rlock_kind};
	for (size_t k = 0; k < 2; k++) {
		struct shared *s = share(kinds[k]);
		pid_t pid = fork_child(hold_until_told, s);
		int status;
		assert_soon(s->ready);
		kill(pid, SIGSTOP);
		assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
		assert_true(WIFSTOPPED(status));
		double start = now();
		assert_fails(acquire(s, 0.7), ETIMEDOUT);
		assert_true(now() - start >= 0.7 - 1e-6);
		assert_fails(acquire(s, 0), ETIMEDOUT);
		s->go = 1;
		kill(pid, SIGCONT);
		assert_ok(acquire(s, MPX_FOREVER)); /* alive all the time */
		assert_ok(release(s));
		assert_int_equal(wait_child(pid), 0);
		done_with(s);
	}
}

static struct shared *volatile storm_shared;

static void on_storm(int sig)
{
	(void)sig;
	storm_shared->signals++;
}

/* Signals every two milliseconds, from a timer, without SA_RESTART. */
static int wait_in_storm(void *arg)
{
	struct shared *s = arg;
	struct sigaction sa = {.sa_handler = on_storm};
	struct itimerval every = {{0, 2000}, {0, 2000}};
	storm_shared = s;
	sigemptyset(&sa.sa_mask);
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &every, NULL);
	double start = now();
	child_fails(acquire(s, 0.4), ETIMEDOUT);
	double took = now() - start;
	child_check(took >= 0.4 - 1e-6 && took < 20);
	child_check(s->signals >= 2);
	s->ready = 1;
	child_check(acquire(s, MPX_FOREVER) == 0);
	s->served = 1;
	child_check(release(s) == 0);
	memset(&every, 0, sizeof every);
	setitimer(ITIMER_REAL, &every, NULL);
	return 0;
}

static void test_signal_storm(void **state)
{
	(void)state;
	const struct kind *kinds[] = {&lock_kind, &rlock_kind};
	for (size_t k = 0; k < 2; k++) {
		struct shared *s = share(kinds[k]);
		assert_ok(acquire(s, 0));
		pid_t pid = fork_child(wait_in_storm, s);
		assert_soon(s->ready || !pid_running(pid));
		linger();
		linger();
		assert_int_equal(s->served, 0);
		assert_ok(release(s));
		assert_int_equal(wait_child(pid), 0);
		assert_int_equal(s->served, 1);
		done_with(s);
	}
}

/* The dead holder's place in the family is given to a living process: the table has
 * 4095, handed out in turn. Its lock is no less a dead one's. */
static int return_at_once(void *arg)
{
	(void)arg;
	return 0;
}

static int wait_for_go(void *arg)
{
	atomic_int *go = arg;
	while (!atomic_load(go))
		nap();
	return 0;
}

static int die_with_it(void *arg)
{
	if (mpx_lock_acquire(arg, 10) == 0)
		raise(SIGKILL);
	return 1;
}

static void run_through(mpx_target *target, void *arg)
{
	mpx_process *p = mpx_process_new(.target = target, .args = arg);
	assert_non_null(p);
	assert_ok(mpx_process_start(p));
	assert_ok(mpx_process_join(p, 60));
	assert_ok(mpx_process_free(p));
}

static void test_place_of_the_dead_taken(void **state)
{
	(void)state;
	enum { PLACES = 4095, LIVING = 12 };
	mpx_lock *l = mpx_lock_new();
	atomic_int *go = mpx_calloc(1, sizeof *go);
	mpx_process *p[LIVING];
	assert_true(l && go);
	run_through(die_with_it, l);
	double begin = now();
	for (int i = 0; i < PLACES - LIVING / 2; i++) {
		run_through(return_at_once, NULL);
		if (now() < begin + 30)
			continue;
		mpx_lock_free(l); /* too slow for that, under valgrind for example */
		mpx_free((void *)go);
		skip();
	}
	for (int i = 0; i < LIVING; i++) {
		p[i] = mpx_process_new(.target = wait_for_go, .args = (void *)go);
		assert_non_null(p[i]);
		assert_ok(mpx_process_start(p[i]));
	}
	assert_fails(mpx_lock_acquire(l, 5), EOWNERDEAD);
	assert_ok(mpx_lock_release(l));
	atomic_store(go, 1);
	for (int i = 0; i < LIVING; i++) {
		assert_ok(mpx_process_join(p[i], 60));
		assert_ok(mpx_process_free(p[i]));
	}
	mpx_lock_free(l);
	mpx_free((void *)go);
}

/* A plain fork() that dies with the lock, and a living process that gets its pid
 * (where we may choose pids: as root, on Linux). The pid alone would say it lives. */
static int hold_and_die(void *arg)
{
	if (mpx_lock_acquire(arg, 10) == 0 || errno == EOWNERDEAD)
		raise(SIGKILL);
	return 1;
}

static int pause_for_ever(void *arg)
{
	(void)arg;
	for (;;)
		pause();
	return 0;
}

static bool next_pid_will_be(pid_t pid)
{
	FILE *f = fopen("/proc/sys/kernel/ns_last_pid", "w");
	bool done = f && fprintf(f, "%d", (int)pid - 1) > 0;
	return (!f || fclose(f) == 0) && done;
}

static void test_pid_reused(void **state)
{
	(void)state;
	mpx_lock *l = mpx_lock_new();
	pid_t dead = fork_child(hold_and_die, l), stranger = 0;
	double born = now();
	assert_int_equal(wait_child(dead), -SIGKILL);
	while (now() < born + 0.05) /* times of birth are told in hundredths */
		nap();
	for (int i = 0; i < 50 && stranger != dead && next_pid_will_be(dead); i++) {
		stranger = fork_child(pause_for_ever, NULL);
		if (stranger != dead) {
			kill(stranger, SIGKILL);
			wait_child(stranger);
		}
	}
	int rc = mpx_lock_acquire(l, 5), error = errno;
	mpx_lock_release(l);
	mpx_lock_free(l);
	if (stranger == dead) {
		kill(stranger, SIGKILL);
		wait_child(stranger);
	}
	assert_true(rc == -1 && error == EOWNERDEAD);
	if (stranger != dead)
		skip();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_basics),
		mpx_test(test_lock_is_not_recursive),
		mpx_test(test_lock_any_thread_may_release),
		mpx_test(test_timeouts_are_not_early),
		mpx_test(test_nan),
		mpx_test(test_bad_pointers),
		mpx_test(test_freeing),
		mpx_test(test_free_by_another_process),
		mpx_test(test_many_locks),
		mpx_test(test_rlock_depth),
		mpx_test(test_rlock_of_an_ended_thread),
		mpx_test(test_child_holds_nothing),
		mpx_test(test_contention_of_processes),
		mpx_test(test_contention_of_threads),
		mpx_test(test_contention_of_both),
		mpx_test(test_contention_with_timeouts),
		mpx_test(test_enormous_timeouts),
		mpx_test(test_dead_holder),
		mpx_test(test_dead_holder_and_polls),
		mpx_test(test_dead_holder_and_sleepers),
		mpx_test(test_dead_repairer),
		mpx_test(test_dead_holder_depth),
		mpx_test(test_dead_holder_with_child),
		mpx_test(test_dead_waiters),
		mpx_test(test_kill_storm),
		mpx_test(test_lock_made_after_fork),
		mpx_test(test_stopped_holder),
		mpx_test(test_signal_storm),
		mpx_test(test_pid_reused),
		mpx_test(test_place_of_the_dead_taken),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
