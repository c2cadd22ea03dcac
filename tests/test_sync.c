/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_sync.c - mpx/sync.h, call by call:
 *
 *   - lock and rlock: acquire, release, locked, consistent, free; each errno;
 *     timeouts (zero, negative, NaN, small; never early)
 *   - pointers that are no lock, and locks that were freed
 *   - who holds it: the process (lock), the thread (rlock); never a child
 *   - locks made after the fork, reached through a queue and through memory
 *
 * test_sync_contention.c: many at once. test_sync_death.c: holders that die.
 * test_sync_kill.c: waiters that die, and anybody at any moment.
 */
#define _POSIX_C_SOURCE 200809L

#include "locks.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

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
		mpx_test(test_lock_made_after_fork),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
