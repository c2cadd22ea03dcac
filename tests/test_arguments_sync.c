/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_arguments_sync.c - bad arguments for mpx/sync.h (see arguments.h).
 */
#define _POSIX_C_SOURCE 200809L

#include "arguments.h"

#include <limits.h>
#include <pthread.h>

static bool yes(void *arg)
{
	(void)arg;
	return true;
}

static bool no(void *arg)
{
	(void)arg;
	return false;
}

/* ---- no object ------------------------------------------------------------- */

static void rows_of_lock(void *x)
{
	FAILS(mpx_lock_acquire, (x, 0));
	FAILS(mpx_lock_acquire, (x, MPX_FOREVER));
	FAILS(mpx_lock_release, (x));
	FAILS(mpx_lock_consistent, (x));
	NOTHING(mpx_lock_locked, (x));
	ROW_VOID(mpx_lock_free, (x), x ? EINVAL : 0);
}

static void rows_of_rlock(void *x)
{
	FAILS(mpx_rlock_acquire, (x, 0));
	FAILS(mpx_rlock_acquire, (x, MPX_FOREVER));
	FAILS(mpx_rlock_release, (x));
	FAILS(mpx_rlock_consistent, (x));
	NOTHING(mpx_rlock_locked, (x));
	if (x)
		NO_POINTER(mpx_condition_new, (x), EINVAL);
	ROW_VOID(mpx_rlock_free, (x), x ? EINVAL : 0);
}

static void rows_of_semaphore(void *x)
{
	FAILS(mpx_semaphore_acquire, (x, 0));
	FAILS(mpx_semaphore_acquire, (x, MPX_FOREVER));
	FAILS(mpx_semaphore_release, (x));
	FAILS(mpx_semaphore_value, (x));
	NOTHING(mpx_semaphore_locked, (x));
	ROW_VOID(mpx_semaphore_free, (x), x ? EINVAL : 0);
}

static void rows_of_condition(void *x)
{
	FAILS(mpx_condition_acquire, (x, 0));
	FAILS(mpx_condition_acquire, (x, MPX_FOREVER));
	FAILS(mpx_condition_release, (x));
	FAILS(mpx_condition_consistent, (x));
	FAILS(mpx_condition_wait, (x, 0));
	FAILS(mpx_condition_wait, (x, MPX_FOREVER));
	FAILS(mpx_condition_wait_for, (x, yes, NULL, 0));
	FAILS(mpx_condition_wait_for, (x, no, NULL, MPX_FOREVER));
	FAILS(mpx_condition_wait_for, (x, NULL, NULL, MPX_FOREVER));
	FAILS(mpx_condition_notify, (x, 1));
	FAILS(mpx_condition_notify, (x, 0));
	FAILS(mpx_condition_notify_all, (x));
	ROW_VOID(mpx_condition_free, (x), x ? EINVAL : 0);
}

static void rows_of_event(void *x)
{
	FAILS(mpx_event_set, (x));
	FAILS(mpx_event_clear, (x));
	NOTHING(mpx_event_is_set, (x));
	FAILS(mpx_event_wait, (x, 0));
	FAILS(mpx_event_wait, (x, MPX_FOREVER));
	ROW_VOID(mpx_event_free, (x), x ? EINVAL : 0);
}

static void rows_of_barrier(void *x)
{
	FAILS(mpx_barrier_wait, (x, 0));
	FAILS(mpx_barrier_wait, (x, MPX_FOREVER));
	FAILS(mpx_barrier_abort, (x));
	FAILS(mpx_barrier_reset, (x));
	FAILS(mpx_barrier_parties, (x));
	FAILS(mpx_barrier_n_waiting, (x));
	NOTHING(mpx_barrier_broken, (x));
	ROW_VOID(mpx_barrier_free, (x), x ? EINVAL : 0);
}

static const struct arguments_kind kinds[] = {
	{"mpx_lock", rows_of_lock},
	{"mpx_rlock", rows_of_rlock},
	{"mpx_semaphore", rows_of_semaphore},
	{"mpx_condition", rows_of_condition},
	{"mpx_event", rows_of_event},
	{"mpx_barrier", rows_of_barrier},
	{0},
};

/* ---- out of range ------------------------------------------------------------ */

static void without_objects(void)
{
	const mpx_barrier_options no_parties = {.size = sizeof no_parties};
	const mpx_barrier_options many = {.size = sizeof many, .parties = 4096};
	const mpx_barrier_options most = {.size = sizeof most, .parties = UINT_MAX};
	const mpx_barrier_options nan = {.size = sizeof nan, .parties = 1, .timeout = NAN};
	const mpx_barrier_options no_size = {.parties = 2};
	const mpx_barrier_options one = {.size = sizeof one, .parties = 1};

	NO_POINTER(mpx_semaphore_new, ((unsigned)INT_MAX + 1), EINVAL);
	NO_POINTER(mpx_semaphore_new, (UINT_MAX), EINVAL);
	NO_POINTER(mpx_bounded_semaphore_new, ((unsigned)INT_MAX + 1), EINVAL);
	NO_POINTER(mpx_barrier_create, (NULL), EINVAL);
	NO_POINTER(mpx_barrier_create, (&no_parties), EINVAL);
	NO_POINTER(mpx_barrier_create, (&many), EINVAL);
	NO_POINTER(mpx_barrier_create, (&most), EINVAL);
	NO_POINTER(mpx_barrier_create, (&nan), EINVAL);
	NO_POINTER(mpx_barrier_create, (&no_size), EINVAL);
	MAKES(mpx_lock_new, (), mpx_lock_free);
	MAKES(mpx_rlock_new, (), mpx_rlock_free);
	MAKES(mpx_semaphore_new, (INT_MAX), mpx_semaphore_free);
	MAKES(mpx_bounded_semaphore_new, (0), mpx_semaphore_free);
	MAKES(mpx_condition_new, (NULL), mpx_condition_free);
	MAKES(mpx_event_new, (), mpx_event_free);
	MAKES(mpx_barrier_create, (&one), mpx_barrier_free);
}

/* ---- the wrong moment ---------------------------------------------------------- */

static void rows_of_good_locks(void)
{
	mpx_lock *l = mpx_lock_new();
	mpx_rlock *r = mpx_rlock_new();
	child_check(l && r);

	ROW(mpx_lock_release, (l), -1, EOVERFLOW);
	ROW(mpx_lock_consistent, (l), -1, EPERM);
	FAILS(mpx_lock_acquire, (l, NAN));
	ROW(mpx_lock_locked, (l), 0, 0);
	ROW(mpx_rlock_release, (r), -1, EOVERFLOW);
	ROW(mpx_rlock_consistent, (r), -1, EPERM);
	FAILS(mpx_rlock_acquire, (r, NAN));
	ROW(mpx_rlock_locked, (r), 0, 0);
	/* A value's lock is an RLock, but freed with the value only. */
	mpx_value *v = mpx_value_new('i', 1);
	child_check(v != NULL);
	ROW_VOID(mpx_rlock_free, (mpx_value_lock(v)), 0);
	ROW(mpx_rlock_acquire, (mpx_value_lock(v), 0), 0, 0);
	ROW(mpx_rlock_release, (mpx_value_lock(v)), 0, 0);
	mpx_value_free(v);
	mpx_lock_free(l);
	mpx_rlock_free(r);
}

static void rows_of_good_semaphores(void)
{
	mpx_semaphore *s = mpx_semaphore_new(INT_MAX), *bounded = mpx_bounded_semaphore_new(1);
	child_check(s && bounded);

	ROW(mpx_semaphore_release, (s), -1, EOVERFLOW);
	ROW(mpx_semaphore_value, (s), INT_MAX, 0);
	ROW(mpx_semaphore_release, (bounded), -1, EOVERFLOW);
	FAILS(mpx_semaphore_acquire, (bounded, NAN));
	ROW(mpx_semaphore_value, (bounded), 1, 0);
	mpx_semaphore_free(s);
	mpx_semaphore_free(bounded);
}

static void rows_of_good_conditions(void)
{
	mpx_condition *c = mpx_condition_new(NULL);
	child_check(c != NULL);

	ROW(mpx_condition_release, (c), -1, EOVERFLOW);
	ROW(mpx_condition_consistent, (c), -1, EPERM);
	ROW(mpx_condition_wait, (c, 0), -1, EPERM);
	ROW(mpx_condition_wait, (c, MPX_FOREVER), -1, EPERM);
	ROW(mpx_condition_wait_for, (c, no, NULL, MPX_FOREVER), -1, EPERM);
	ROW(mpx_condition_notify, (c, 1), -1, EPERM);
	ROW(mpx_condition_notify_all, (c), -1, EPERM);
	child_check(mpx_condition_acquire(c, 0) == 0);
	FAILS(mpx_condition_wait_for, (c, NULL, NULL, 0));
	FAILS(mpx_condition_wait_for, (c, NULL, NULL, MPX_FOREVER));
	ROW(mpx_condition_notify, (c, 0), 0, 0);
	ROW(mpx_condition_notify, (c, UINT_MAX), 0, 0);
	/* It was acquired once, and by nothing of this. */
	ROW(mpx_condition_release, (c), 0, 0);
	ROW(mpx_condition_release, (c), -1, EOVERFLOW);
	mpx_condition_free(c);
}

static void rows_of_good_barriers(void)
{
	mpx_barrier *b = mpx_barrier_new(.parties = 2);
	child_check(b != NULL);

	FAILS(mpx_barrier_wait, (b, NAN));
	ROW(mpx_barrier_broken, (b), 0, 0);
	ROW(mpx_barrier_n_waiting, (b), 0, 0);
	ROW(mpx_barrier_parties, (b), 2, 0);
	ROW(mpx_barrier_abort, (b), 0, 0);
	ROW(mpx_barrier_abort, (b), 0, 0);
	ROW(mpx_barrier_wait, (b, MPX_FOREVER), -1, ECANCELED);
	FAILS(mpx_barrier_wait, (b, NAN));
	ROW(mpx_barrier_reset, (b), 0, 0);
	ROW(mpx_barrier_broken, (b), 0, 0);
	mpx_barrier_free(b);
}

static void with_objects(void)
{
	rows_of_good_locks();
	rows_of_good_semaphores();
	rows_of_good_conditions();
	rows_of_good_barriers();
}

/* ---- timeouts ------------------------------------------------------------------ */

/* The first of each pair makes its users wait, the second does not. */
static mpx_lock *lock[2];
static mpx_rlock *rlock[2];
static mpx_semaphore *semaphore[2];
static mpx_condition *condition[2], *quiet;
static mpx_event *event[2];
static mpx_barrier *barrier[2];

static int lock_acquire(bool ready, double timeout)
{
	int rc = mpx_lock_acquire(lock[ready], timeout);
	return rc == 0 && ready ? mpx_lock_release(lock[ready]) : rc;
}

static int rlock_acquire(bool ready, double timeout)
{
	int rc = mpx_rlock_acquire(rlock[ready], timeout);
	return rc == 0 && ready ? mpx_rlock_release(rlock[ready]) : rc;
}

static int semaphore_acquire(bool ready, double timeout)
{
	int rc = mpx_semaphore_acquire(semaphore[ready], timeout);
	return rc == 0 && ready ? mpx_semaphore_release(semaphore[ready]) : rc;
}

static int condition_acquire(bool ready, double timeout)
{
	int rc = mpx_condition_acquire(condition[ready], timeout);
	return rc == 0 && ready ? mpx_condition_release(condition[ready]) : rc;
}

static int condition_wait(bool ready, double timeout)
{
	(void)ready;
	return mpx_condition_wait(quiet, timeout);
}

static int condition_wait_for(bool ready, double timeout)
{
	return mpx_condition_wait_for(quiet, ready ? yes : no, NULL, timeout);
}

static int event_wait(bool ready, double timeout)
{
	return mpx_event_wait(event[ready], timeout);
}

static int barrier_wait(bool ready, double timeout)
{
	int rc = mpx_barrier_wait(barrier[ready], timeout), error = errno;
	if (!ready && rc == -1 && error == ETIMEDOUT)
		rc = mpx_barrier_broken(barrier[0]) && mpx_barrier_reset(barrier[0]) == 0 ? -1 : 1;
	return errno = error, rc;
}

static const struct arguments_timed timed[] = {
	{"mpx_lock_acquire", lock_acquire, false},
	{"mpx_rlock_acquire", rlock_acquire, false},
	{"mpx_semaphore_acquire", semaphore_acquire, false},
	{"mpx_condition_acquire", condition_acquire, false},
	{"mpx_condition_wait", condition_wait, true},
	{"mpx_condition_wait_for", condition_wait_for, false},
	{"mpx_event_wait", event_wait, false},
	{"mpx_barrier_wait", barrier_wait, false},
	{0},
};

/* Another thread, which has gone: its RLocks are held, and stay so. */
static void *hold(void *arg)
{
	(void)arg;
	assert_ok(mpx_rlock_acquire(rlock[0], 0));
	assert_ok(mpx_condition_acquire(condition[0], 0));
	return NULL;
}

static void timed_begin(void)
{
	pthread_t t;
	for (unsigned i = 0; i < 2; i++) {
		assert_non_null(lock[i] = mpx_lock_new());
		assert_non_null(rlock[i] = mpx_rlock_new());
		assert_non_null(semaphore[i] = mpx_semaphore_new(i));
		assert_non_null(condition[i] = mpx_condition_new(NULL));
		assert_non_null(event[i] = mpx_event_new());
		assert_non_null(barrier[i] = mpx_barrier_new(.parties = 2 - i));
	}
	assert_ok(mpx_lock_acquire(lock[0], 0));
	assert_int_equal(pthread_create(&t, NULL, hold, NULL), 0);
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_ok(mpx_event_set(event[1]));
	assert_non_null(quiet = mpx_condition_new(NULL));
	assert_ok(mpx_condition_acquire(quiet, 0));
}

static void timed_end(void)
{
	assert_ok(mpx_condition_release(quiet));
	assert_fails(mpx_condition_release(quiet), EOVERFLOW);
	mpx_condition_free(quiet);
	for (int i = 0; i < 2; i++) {
		mpx_lock_free(lock[i]);
		mpx_rlock_free(rlock[i]);
		mpx_semaphore_free(semaphore[i]);
		mpx_condition_free(condition[i]);
		mpx_event_free(event[i]);
		mpx_barrier_free(barrier[i]);
	}
}

int main(int argc, char **argv)
{
	static const struct arguments part = {
		.header = "sync",
		.kinds = kinds,
		.without_objects = without_objects,
		.with_objects = with_objects,
		.timed = timed,
		.timed_begin = timed_begin,
		.timed_end = timed_end,
	};
	return arguments_main(&part, argc, argv);
}
