/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_semaphore.c - Semaphore and BoundedSemaphore of mpx/sync.h. What CPython's
 * _TestSemaphore checks: values while it is acquired and released (test_semaphore,
 * test_bounded_semaphore), timeouts (test_timeout). And:
 *
 *   - each errno; pointers that are none; freed; the largest value
 *   - never early, NaN, enormous timeouts, storms of signals
 *   - processes, threads, both; children hold nothing; made after the fork
 *   - units of holders that end, die, are zombies, come back, also to those that
 *     sleep or poll; units beyond the initial value belong to nobody
 *   - waiters that die cost nobody anything; stopped holders and waiters; a process
 *     stopped anywhere inside a call
 *   - random kills: no unit is lost and none is made
 */
#define _POSIX_C_SOURCE 200809L
#define _XOPEN_SOURCE 700
#include "waiters.h"

#include <float.h>
#include <limits.h>

#define WORKERS 4
#define ROUNDS 5000

/* What the processes of one test share; in the family's heap. */
struct shared {
	mpx_semaphore *s, *t;
	int units;
	atomic_int ready, go, inside, most, served;
	_Atomic(mpx_semaphore *) mailbox;
};

static struct shared *share(mpx_semaphore *s, int units)
{
	struct shared *w = mpx_calloc(1, sizeof *w);
	assert_non_null(w);
	assert_non_null(s);
	w->s = s;
	w->units = units;
	return w;
}

static void done_with(struct shared *w)
{
	mpx_semaphore_free(w->s);
	mpx_semaphore_free(w->t);
	mpx_free(w);
}

/* All units can be had, and not one more. Then it is as it was. */
static void check_units(mpx_semaphore *s, int units)
{
	for (int i = 0; i < units; i++)
		assert_ok(mpx_semaphore_acquire(s, SOON));
	assert_fails(mpx_semaphore_acquire(s, 0), ETIMEDOUT);
	assert_fails(mpx_semaphore_acquire(s, 0.15), ETIMEDOUT);
	assert_int_equal(mpx_semaphore_value(s), 0);
	for (int i = 0; i < units; i++)
		assert_ok(mpx_semaphore_release(s));
	assert_int_equal(mpx_semaphore_value(s), units);
}

/* ---- one process ------------------------------------------------------- */

static void check_counts(mpx_semaphore *s)
{
	assert_non_null(s);
	assert_int_equal(mpx_semaphore_value(s), 2);
	assert_false(mpx_semaphore_locked(s));
	assert_ok(mpx_semaphore_acquire(s, MPX_FOREVER));
	assert_int_equal(mpx_semaphore_value(s), 1);
	assert_false(mpx_semaphore_locked(s));
	assert_ok(mpx_semaphore_acquire(s, 0));
	assert_int_equal(mpx_semaphore_value(s), 0);
	assert_true(mpx_semaphore_locked(s));
	assert_fails(mpx_semaphore_acquire(s, 0), ETIMEDOUT);
	assert_int_equal(mpx_semaphore_value(s), 0);
	assert_ok(mpx_semaphore_release(s));
	assert_int_equal(mpx_semaphore_value(s), 1);
	assert_false(mpx_semaphore_locked(s));
	assert_ok(mpx_semaphore_release(s));
	assert_int_equal(mpx_semaphore_value(s), 2);
}

static void test_semaphore(void **state)
{
	(void)state;
	mpx_semaphore *s = mpx_semaphore_new(2);
	check_counts(s);
	assert_ok(mpx_semaphore_release(s));
	assert_int_equal(mpx_semaphore_value(s), 3);
	assert_ok(mpx_semaphore_release(s));
	assert_int_equal(mpx_semaphore_value(s), 4);
	check_units(s, 4);
	mpx_semaphore_free(s);
}

static void test_bounded_semaphore(void **state)
{
	(void)state;
	mpx_semaphore *s = mpx_bounded_semaphore_new(2);
	for (int i = 0; i < 3; i++) {
		check_counts(s);
		assert_fails(mpx_semaphore_release(s), EOVERFLOW);
		assert_int_equal(mpx_semaphore_value(s), 2);
	}
	check_units(s, 2);
	mpx_semaphore_free(s);
	s = mpx_bounded_semaphore_new(0);
	assert_non_null(s);
	assert_true(mpx_semaphore_locked(s));
	assert_fails(mpx_semaphore_release(s), EOVERFLOW);
	assert_fails(mpx_semaphore_acquire(s, 0), ETIMEDOUT);
	mpx_semaphore_free(s);
}

static void test_timeouts(void **state)
{
	(void)state;
	mpx_semaphore *s = mpx_semaphore_new(0);
	double none[] = {0, -1, -INFINITY, -DBL_MAX};
	double some[] = {0.0001, 0.001, 0.0123, 0.1, 0.25};
	for (size_t i = 0; i < sizeof none / sizeof *none; i++)
		assert_times_out(mpx_semaphore_acquire(s, none[i]), 0);
	for (size_t i = 0; i < sizeof some / sizeof *some; i++)
		assert_times_out(mpx_semaphore_acquire(s, some[i]), some[i]);
	assert_fails(mpx_semaphore_acquire(s, NAN), EINVAL);
	assert_fails(mpx_semaphore_acquire(s, -NAN), EINVAL);
	double enough[] = {0, -1, 0.001, 1e9, 1e19, 1e300, DBL_MAX, MPX_FOREVER};
	for (size_t i = 0; i < sizeof enough / sizeof *enough; i++) {
		assert_ok(mpx_semaphore_release(s));
		assert_fails(mpx_semaphore_acquire(s, NAN), EINVAL);
		assert_int_equal(mpx_semaphore_value(s), 1);
		assert_ok(mpx_semaphore_acquire(s, enough[i]));
		assert_int_equal(mpx_semaphore_value(s), 0);
	}
	mpx_semaphore_free(s);
}

static void test_largest_value(void **state)
{
	(void)state;
	assert_nothing(mpx_semaphore_new((unsigned)INT_MAX + 1), EINVAL);
	assert_nothing(mpx_bounded_semaphore_new((unsigned)INT_MAX + 1), EINVAL);
	assert_nothing(mpx_semaphore_new(UINT_MAX), EINVAL);
	assert_nothing(mpx_bounded_semaphore_new(UINT_MAX), EINVAL);
	mpx_semaphore *all[] = {mpx_semaphore_new(INT_MAX), mpx_bounded_semaphore_new(INT_MAX)};
	for (size_t i = 0; i < 2; i++) {
		assert_non_null(all[i]);
		assert_int_equal(mpx_semaphore_value(all[i]), INT_MAX);
		assert_fails(mpx_semaphore_release(all[i]), EOVERFLOW);
		assert_int_equal(mpx_semaphore_value(all[i]), INT_MAX);
		assert_ok(mpx_semaphore_acquire(all[i], 0));
		assert_int_equal(mpx_semaphore_value(all[i]), INT_MAX - 1);
		assert_ok(mpx_semaphore_release(all[i]));
		assert_fails(mpx_semaphore_release(all[i]), EOVERFLOW);
		mpx_semaphore_free(all[i]);
	}
	mpx_semaphore *s = mpx_semaphore_new(INT_MAX - 1);
	assert_ok(mpx_semaphore_release(s));
	assert_fails(mpx_semaphore_release(s), EOVERFLOW);
	assert_int_equal(mpx_semaphore_value(s), INT_MAX);
	mpx_semaphore_free(s);
}

static void check_is_none(void *p)
{
	assert_fails(mpx_semaphore_acquire(p, 0), EINVAL);
	assert_fails(mpx_semaphore_acquire(p, MPX_FOREVER), EINVAL);
	assert_fails(mpx_semaphore_release(p), EINVAL);
	assert_fails(mpx_semaphore_value(p), EINVAL);
	assert_nothing(mpx_semaphore_locked(p), EINVAL);
}

static void test_bad_pointers(void **state)
{
	(void)state;
	mpx_semaphore *s = mpx_semaphore_new(1);
	struct strangers strangers;
	strangers_make(&strangers, "semaphore", s);
	size_t blocks = heap_blocks();
	for (size_t i = 0; i < strangers.n; i++) {
		check_is_none(strangers.p[i]);
		mpx_semaphore_free(strangers.p[i]);
	}
	assert_int_equal(heap_blocks(), blocks);
	strangers_done(&strangers);
	check_units(s, 1);
	mpx_semaphore_free(s);
	check_is_none(s);
	mpx_semaphore_free(s);
}

static int free_it(void *arg)
{
	struct shared *w = arg;
	mpx_semaphore_free(w->s);
	return 0;
}

static void test_freeing(void **state)
{
	(void)state;
	size_t blocks = heap_blocks();
	mpx_semaphore *s = mpx_bounded_semaphore_new(3);
	assert_ok(mpx_semaphore_acquire(s, 0));
	mpx_semaphore_free(s); /* units are still out: fine */
	assert_int_equal(heap_blocks(), blocks);
	mpx_semaphore_free(s);
	mpx_semaphore_free(NULL);
	assert_int_equal(heap_blocks(), blocks);
	s = mpx_bounded_semaphore_new(3); /* perhaps in the same place */
	check_units(s, 3);
	mpx_semaphore_free(s);

	struct shared *w = share(mpx_semaphore_new(1), 1);
	assert_int_equal(run_child(free_it, w), 0);
	check_is_none(w->s);
	done_with(w);
}

static void test_many(void **state)
{
	(void)state;
	enum { N = 500 };
	static mpx_semaphore *s[N];
	for (int i = 0; i < N; i++)
		assert_non_null(s[i] = mpx_semaphore_new((unsigned)i));
	for (int i = 1; i < N; i++)
		assert_ok(mpx_semaphore_acquire(s[i], 0));
	for (int i = 1; i < N; i++)
		assert_int_equal(mpx_semaphore_value(s[i]), i - 1);
	for (int i = 0; i < N; i++)
		mpx_semaphore_free(s[i]);
}

/* ---- several ----------------------------------------------------------- */

/* Goes in and out; never more inside than there are units. */
static int go_in_and_out(void *arg)
{
	struct shared *w = arg;
	for (int i = 0; i < ROUNDS; i++) {
		child_check(mpx_semaphore_acquire(w->s, SOON) == 0);
		int inside = atomic_fetch_add(&w->inside, 1) + 1, most = w->most;
		child_check(inside <= w->units);
		while (inside > most && !atomic_compare_exchange_weak(&w->most, &most, inside))
			;
		if (i % 512 == 0)
			nap();
		atomic_fetch_sub(&w->inside, 1);
		child_check(mpx_semaphore_release(w->s) == 0);
	}
	return 0;
}

static void *thread_in_and_out(void *arg)
{
	go_in_and_out(arg);
	return NULL;
}

static int threads_in_and_out(void *arg)
{
	pthread_t t[2];
	for (int i = 0; i < 2; i++)
		child_check(pthread_create(&t[i], NULL, thread_in_and_out, arg) == 0);
	for (int i = 0; i < 2; i++)
		child_check(pthread_join(t[i], NULL) == 0);
	return 0;
}

static void check_contention(mpx_target *target, int units)
{
	mpx_semaphore *s = units % 2 ? mpx_semaphore_new((unsigned)units)
				     : mpx_bounded_semaphore_new((unsigned)units);
	struct shared *w = share(s, units);
	mpx_process *p[WORKERS];
	for (int i = 0; i < WORKERS; i++)
		p[i] = start(target, w);
	for (int i = 0; i < WORKERS; i++)
		ends_well(p[i]);
	assert_int_equal(w->inside, 0);
	assert_true(w->most > 0);
	check_units(s, units);
	done_with(w);
}

static void test_contention(void **state)
{
	(void)state;
	for (int units = 1; units <= 3; units++)
		check_contention(go_in_and_out, units);
	check_contention(threads_in_and_out, 3);
	struct shared *w = share(mpx_bounded_semaphore_new(2), 2);
	pthread_t t[WORKERS];
	for (int i = 0; i < WORKERS; i++)
		t[i] = start_thread(thread_in_and_out, w);
	for (int i = 0; i < WORKERS; i++)
		end_thread(t[i]);
	check_units(w->s, 2);
	done_with(w);
}

/* Each acquires what the other releases: made with value 0, as the manual says. */
static int answer(void *arg)
{
	struct shared *w = arg;
	for (int i = 0; i < ROUNDS; i++) {
		child_check(mpx_semaphore_acquire(w->s, SOON) == 0);
		child_check(w->served == i);
		w->served++;
		child_check(mpx_semaphore_release(w->t) == 0);
	}
	return 0;
}

static void test_ping_pong(void **state)
{
	(void)state;
	struct shared *w = share(mpx_semaphore_new(0), 0);
	assert_non_null(w->t = mpx_semaphore_new(0));
	mpx_process *p = start(answer, w);
	for (int i = 0; i < ROUNDS; i++) {
		assert_ok(mpx_semaphore_release(w->s));
		assert_ok(mpx_semaphore_acquire(w->t, SOON));
		assert_int_equal(w->served, i + 1);
	}
	ends_well(p);
	assert_int_equal(mpx_semaphore_value(w->s), 0);
	assert_int_equal(mpx_semaphore_value(w->t), 0);
	done_with(w);
}

static void *release_it(void *arg)
{
	struct shared *w = arg;
	if (mpx_semaphore_release(w->s) == 0)
		w->served++;
	return NULL;
}

static void *acquire_it(void *arg)
{
	struct shared *w = arg;
	if (mpx_semaphore_acquire(w->s, SOON) == 0)
		w->served++;
	return NULL;
}

/* Units are the process's: a thread that ends keeps them, another may release. */
static void test_units_of_threads(void **state)
{
	(void)state;
	struct shared *w = share(mpx_bounded_semaphore_new(1), 1);
	end_thread(start_thread(acquire_it, w));
	assert_int_equal(w->served, 1);
	assert_fails(mpx_semaphore_acquire(w->s, 0.3), ETIMEDOUT);
	end_thread(start_thread(release_it, w));
	assert_int_equal(w->served, 2);
	assert_fails(mpx_semaphore_release(w->s), EOVERFLOW);
	assert_ok(mpx_semaphore_acquire(w->s, 0));
	assert_ok(mpx_semaphore_release(w->s));
	done_with(w);
}

static int leave_at_once(void *arg)
{
	(void)arg;
	return 0;
}

static int acquire_and_leave(void *arg)
{
	struct shared *w = arg;
	child_check(mpx_semaphore_acquire(w->s, SOON) == 0);
	return 0;
}

static int release_and_leave(void *arg)
{
	struct shared *w = arg;
	child_check(mpx_semaphore_release(w->s) == 0);
	return 0;
}

static int acquire_and_release(void *arg)
{
	struct shared *w = arg;
	child_check(mpx_semaphore_acquire(w->s, SOON) == 0);
	child_check(mpx_semaphore_release(w->s) == 0);
	return 0;
}

/* Who has a unit gives back its own, whatever others have. */
static void test_release_is_of_ones_own(void **state)
{
	(void)state;
	struct shared *w = share(mpx_bounded_semaphore_new(2), 2);
	assert_ok(mpx_semaphore_acquire(w->s, 0));
	for (int i = 0; i < 4; i++)
		assert_int_equal(run_child(acquire_and_release, w), 0);
	assert_ok(mpx_semaphore_acquire(w->s, 0));
	assert_fails(mpx_semaphore_acquire(w->s, 0.2), ETIMEDOUT);
	assert_ok(mpx_semaphore_release(w->s));
	assert_ok(mpx_semaphore_release(w->s));
	check_units(w->s, 2);
	done_with(w);
}

/* A child that ends gives back none of its parent's; one that has none may release. */
static void test_child_has_nothing(void **state)
{
	(void)state;
	struct shared *w = share(mpx_bounded_semaphore_new(2), 2);
	assert_ok(mpx_semaphore_acquire(w->s, 0));
	assert_int_equal(run_child(leave_at_once, w), 0);
	ends_well(start(leave_at_once, w));
	assert_int_equal(run_child(acquire_and_leave, w), 0);
	/* One is ours, one the dead child's. */
	assert_ok(mpx_semaphore_acquire(w->s, SOON));
	assert_fails(mpx_semaphore_acquire(w->s, 0.3), ETIMEDOUT);
	assert_int_equal(run_child(release_and_leave, w), 0);
	assert_int_equal(mpx_semaphore_value(w->s), 1);
	assert_int_equal(run_child(release_and_leave, w), 0);
	assert_int_equal(mpx_semaphore_value(w->s), 2);
	assert_fails(mpx_semaphore_release(w->s), EOVERFLOW);
	check_units(w->s, 2);
	done_with(w);
}

static int use_mailbox(void *arg)
{
	struct shared *w = arg;
	child_soon(atomic_load(&w->mailbox));
	child_check(mpx_semaphore_acquire(w->mailbox, SOON) == 0);
	child_check(mpx_semaphore_value(w->mailbox) == 0);
	w->ready = 1;
	child_soon(w->go);
	child_check(mpx_semaphore_release(w->mailbox) == 0);
	return 0;
}

static void test_made_after_fork(void **state)
{
	(void)state;
	for (int plain = 0; plain < 2; plain++) {
		struct shared *w = share(mpx_semaphore_new(0), 0);
		pid_t pid = plain ? fork_child(use_mailbox, w) : 0;
		mpx_process *p = plain ? NULL : start(use_mailbox, w);
		mpx_semaphore *s = mpx_bounded_semaphore_new(1);
		atomic_store(&w->mailbox, s);
		assert_soon(w->ready);
		assert_fails(mpx_semaphore_acquire(s, 0.2), ETIMEDOUT);
		w->go = 1;
		assert_ok(mpx_semaphore_acquire(s, SOON));
		if (plain)
			assert_int_equal(wait_child(pid), 0);
		else
			ends_well(p);
		assert_ok(mpx_semaphore_release(s));
		mpx_semaphore_free(s);
		done_with(w);
	}
}

/* ---- holders that die -------------------------------------------------- */

static int hold_units(void *arg)
{
	struct shared *w = arg;
	for (int i = 0; i < w->units; i++)
		child_check(mpx_semaphore_acquire(w->s, SOON) == 0);
	w->ready++;
	for (;;)
		pause();
}

static int take_units_and_leave(void *arg)
{
	struct shared *w = arg;
	for (int i = 0; i < w->units; i++)
		child_check(mpx_semaphore_acquire(w->s, SOON) == 0);
	return 0;
}

static pid_t start_holder(struct shared *w)
{
	int ready = w->ready;
	pid_t pid = fork_child(hold_units, w);
	assert_soon(w->ready > ready);
	return pid;
}

static void check_dead_holder(struct shared *w)
{
	pid_t pid = start_holder(w);
	assert_int_equal(mpx_semaphore_value(w->s), 0);
	assert_fails(mpx_semaphore_acquire(w->s, 0.3), ETIMEDOUT); /* it is alive */
	kill_child(pid);
	check_units(w->s, w->units);

	pid = start_holder(w);
	make_zombie(pid);
	check_units(w->s, w->units);
	assert_int_equal(wait_child(pid), -SIGKILL);

	assert_int_equal(run_child(take_units_and_leave, w), 0);
	check_units(w->s, w->units);
	ends_well(start(take_units_and_leave, w));
	check_units(w->s, w->units);

	/* Nobody waits, they only ask. */
	kill_child(start_holder(w));
	for (int i = 0; i < w->units; i++)
		assert_soon(mpx_semaphore_acquire(w->s, 0) == 0);
	assert_fails(mpx_semaphore_acquire(w->s, 0), ETIMEDOUT);
	for (int i = 0; i < w->units; i++)
		assert_ok(mpx_semaphore_release(w->s));
}

static void test_dead_holder(void **state)
{
	(void)state;
	for (int units = 1; units <= 4; units += 3) {
		struct shared *w = share(mpx_semaphore_new((unsigned)units), units);
		check_dead_holder(w);
		done_with(w);
		w = share(mpx_bounded_semaphore_new((unsigned)units), units);
		check_dead_holder(w);
		assert_fails(mpx_semaphore_release(w->s), EOVERFLOW);
		done_with(w);
	}
}

/* All that its dead holders had is there once, whoever releases meanwhile. */
static void test_dead_holders_and_release(void **state)
{
	(void)state;
	struct shared *w = share(mpx_bounded_semaphore_new(3), 1);
	for (int i = 0; i < 3; i++)
		kill_child(start_holder(w));
	assert_ok(mpx_semaphore_release(w->s)); /* a dead one's */
	check_units(w->s, 3);
	assert_fails(mpx_semaphore_release(w->s), EOVERFLOW);
	/* One dead, one alive, one ours. */
	pid_t dead = start_holder(w), alive = start_holder(w);
	kill_child(dead);
	assert_ok(mpx_semaphore_acquire(w->s, SOON));
	assert_ok(mpx_semaphore_acquire(w->s, SOON));
	assert_fails(mpx_semaphore_acquire(w->s, 0.3), ETIMEDOUT);
	assert_ok(mpx_semaphore_release(w->s)); /* ours: the living keeps its own */
	assert_ok(mpx_semaphore_release(w->s));
	kill_child(alive);
	check_units(w->s, 3);
	done_with(w);
}

/* More processes have died with a unit than there can be processes: the next finds one. */
static void test_very_many_dead_holders(void **state)
{
	(void)state;
	skip_thousands_of_processes();
	enum { PLACES = 4095, UNITS = 2 * PLACES };
	struct shared *w = share(mpx_semaphore_new(UNITS), UNITS);
	double begin = now();
	for (int i = 0; i < PLACES + 5; i++) {
		assert_int_equal(run_child(acquire_and_leave, w), 0);
		if (now() < begin + 30)
			continue;
		done_with(w); /* too slow for that, under valgrind for example */
		skip();
	}
	assert_ok(mpx_semaphore_acquire(w->s, 0));
	assert_ok(mpx_semaphore_release(w->s));
	assert_int_equal(mpx_semaphore_value(w->s), UNITS);
	done_with(w);
}

static int get_one(void *arg)
{
	struct shared *w = arg;
	w->ready++;
	child_check(mpx_semaphore_acquire(w->s, 2 * SOON) == 0);
	int inside = atomic_fetch_add(&w->inside, 1) + 1;
	child_check(inside <= w->units);
	w->served++;
	nap();
	atomic_fetch_sub(&w->inside, 1);
	child_check(mpx_semaphore_release(w->s) == 0);
	return 0;
}

static void test_dead_holder_and_sleepers(void **state)
{
	(void)state;
	for (int units = 1; units <= 2; units++) {
		struct shared *w = share(mpx_semaphore_new((unsigned)units), units);
		pid_t holder = start_holder(w), pid[WORKERS];
		w->ready = 0;
		for (int i = 0; i < WORKERS; i++)
			pid[i] = fork_child(get_one, w);
		assert_soon(w->ready == WORKERS);
		linger();
		assert_int_equal(w->served, 0);
		kill_child(holder);
		for (int i = 0; i < WORKERS; i++)
			assert_int_equal(wait_child(pid[i]), 0);
		assert_int_equal(w->served, WORKERS);
		check_units(w->s, units);
		done_with(w);
	}
}

/* Made with 0, or lifted above what it was made with: that belongs to nobody. */
static void test_units_of_nobody(void **state)
{
	(void)state;
	struct shared *w = share(mpx_semaphore_new(0), 2);
	for (int i = 0; i < 3; i++)
		assert_ok(mpx_semaphore_release(w->s));
	kill_child(start_holder(w));
	assert_int_equal(mpx_semaphore_value(w->s), 1);
	assert_ok(mpx_semaphore_acquire(w->s, 0));
	assert_fails(mpx_semaphore_acquire(w->s, 0.4), ETIMEDOUT);
	done_with(w);

	/* Whoever produced them may have died as well. */
	w = share(mpx_semaphore_new(0), 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(run_child(release_and_leave, w), 0);
	assert_int_equal(mpx_semaphore_value(w->s), 3);
	for (int i = 0; i < 3; i++)
		assert_ok(mpx_semaphore_acquire(w->s, 0.2));
	assert_fails(mpx_semaphore_acquire(w->s, 0.4), ETIMEDOUT);
	assert_int_equal(mpx_semaphore_value(w->s), 0);
	done_with(w);
}

/* ---- waiters ----------------------------------------------------------- */

static void test_dead_waiters(void **state)
{
	(void)state;
	struct shared *w = share(mpx_semaphore_new(0), WORKERS);
	pid_t pid[2 * WORKERS];
	for (int i = 0; i < 2 * WORKERS; i++)
		pid[i] = fork_child(acquire_and_leave, w);
	for (int i = 0; i < 2 * WORKERS; i++)
		assert_soon(asleep(pid[i]));
	linger();
	for (int i = 0; i < 2 * WORKERS; i += 2)
		kill_child(pid[i]);
	for (int i = 0; i < WORKERS; i++)
		assert_ok(mpx_semaphore_release(w->s));
	for (int i = 1; i < 2 * WORKERS; i += 2)
		assert_int_equal(wait_child(pid[i]), 0);
	assert_int_equal(mpx_semaphore_value(w->s), 0);
	assert_fails(mpx_semaphore_acquire(w->s, 0.2), ETIMEDOUT);
	done_with(w);
}

static int pass(void *arg)
{
	struct shared *w = arg;
	w->ready++;
	child_check(mpx_semaphore_acquire(w->s, 2 * SOON) == 0);
	child_check(mpx_semaphore_release(w->s) == 0);
	return 0;
}

/* A waiter that is killed as it is woken leaves the unit to the next. */
static void test_waiter_killed_as_it_wakes(void **state)
{
	(void)state;
	for (int round = 0; round < 10; round++) {
		struct shared *w = share(mpx_bounded_semaphore_new(1), 1);
		assert_ok(mpx_semaphore_acquire(w->s, 0));
		pid_t first = fork_child(pass, w);
		assert_soon(w->ready == 1 && asleep(first));
		pid_t second = fork_child(pass, w);
		assert_soon(w->ready == 2 && asleep(second));
		assert_ok(mpx_semaphore_release(w->s));
		kill(first, SIGKILL);
		wait_child(first);
		assert_int_equal(wait_child(second), 0);
		check_units(w->s, 1);
		done_with(w);
	}
}

static int wait_disturbed(void *arg)
{
	struct shared *w = arg;
	disturb(true);
	child_times_out(mpx_semaphore_acquire(w->s, 0.4), 0.4);
	child_check(disturbances >= 2);
	w->ready = 1;
	child_check(mpx_semaphore_acquire(w->s, MPX_FOREVER) == 0);
	w->served = 1;
	for (int i = 0; i < 20000; i++) {
		child_check(mpx_semaphore_release(w->s) == 0);
		child_check(mpx_semaphore_acquire(w->s, SOON) == 0);
	}
	disturb(false);
	return 0;
}

static void test_signals(void **state)
{
	(void)state;
	struct shared *w = share(mpx_semaphore_new(0), 0);
	pid_t pid = fork_child(wait_disturbed, w);
	assert_soon(w->ready || !pid_running(pid));
	linger();
	linger();
	assert_int_equal(w->served, 0);
	assert_ok(mpx_semaphore_release(w->s));
	assert_int_equal(wait_child(pid), 0);
	assert_int_equal(w->served, 1);
	done_with(w);
}

/* A stopped holder is alive; deadlines pass all the same. */
static void test_stopped_holder(void **state)
{
	(void)state;
	struct shared *w = share(mpx_bounded_semaphore_new(1), 1);
	pid_t pid = start_holder(w);
	stop_child(pid);
	assert_times_out(mpx_semaphore_acquire(w->s, 0), 0);
	assert_times_out(mpx_semaphore_acquire(w->s, 0.5), 0.5);
	assert_int_equal(mpx_semaphore_value(w->s), 0);
	kill_child(pid);
	check_units(w->s, 1);
	done_with(w);
}

/* A stopped waiter keeps nobody else from what there is. */
static void test_stopped_waiter(void **state)
{
	(void)state;
	struct shared *w = share(mpx_semaphore_new(0), 0);
	pid_t pid = fork_child(acquire_and_leave, w);
	assert_soon(asleep(pid));
	linger();
	stop_child(pid);
	pid_t other = fork_child(acquire_and_leave, w);
	assert_soon(asleep(other));
	assert_ok(mpx_semaphore_release(w->s));
	assert_int_equal(wait_child(other), 0);
	assert_fails(mpx_semaphore_acquire(w->s, 0.1), ETIMEDOUT);
	assert_ok(mpx_semaphore_release(w->s));
	continue_child(pid);
	assert_int_equal(wait_child(pid), 0);
	done_with(w);
}

static int acquire_and_release_for_ever(void *arg)
{
	struct shared *w = arg;
	w->ready = 1;
	for (;;) {
		child_check(mpx_semaphore_acquire(w->s, SOON) == 0);
		child_check(mpx_semaphore_release(w->s) == 0);
	}
}

/* Stopped anywhere inside: calls succeed, or fail with ETIMEDOUT and nothing happened. */
static void test_stopped_anywhere(void **state)
{
	(void)state;
	struct shared *w = share(mpx_bounded_semaphore_new(3), 3);
	pid_t pid = fork_child(acquire_and_release_for_ever, w);
	uint64_t seed = 5;
	assert_soon(w->ready);
	for (int i = 0; i < 20; i++) {
		struct timespec t = {0, (long)(next_random(&seed) % 2000000)};
		nanosleep(&t, NULL);
		stop_child(pid);
		double begin = now();
		int mine = mpx_semaphore_acquire(w->s, 0.2), error = errno;
		assert_true(mine == 0 || error == ETIMEDOUT);
		int value = mpx_semaphore_value(w->s);
		error = errno;
		assert_true(value >= 0 || error == ETIMEDOUT);
		if (mine == 0) {
			assert_true(value < 0 || value == 1 || value == 2);
			mine = mpx_semaphore_release(w->s);
			error = errno;
			assert_true(mine == 0 || error == ETIMEDOUT);
		} else {
			mine = 0;
		}
		assert_true(now() - begin < 20);
		continue_child(pid);
		if (mine != 0) /* not released then: so it is ours still */
			assert_ok(mpx_semaphore_release(w->s));
	}
	kill_child(pid);
	check_units(w->s, 3);
	done_with(w);
}

/* Killed anywhere, again and again: no unit is lost, none is made. */
static void test_kill_storm(void **state)
{
	(void)state;
	struct shared *w = share(mpx_bounded_semaphore_new(2), 2);
	uint64_t seed = 11;
	pid_t pid[WORKERS];
	for (int i = 0; i < WORKERS; i++)
		pid[i] = fork_child(acquire_and_release_for_ever, w);
	for (int round = 0; round < 100; round++) {
		struct timespec t = {0, (long)(next_random(&seed) % 1000000)};
		int i = (int)(next_random(&seed) % WORKERS);
		nanosleep(&t, NULL);
		kill_child(pid[i]);
		pid[i] = fork_child(acquire_and_release_for_ever, w);
	}
	for (int i = 0; i < WORKERS; i++)
		kill_child(pid[i]);
	check_units(w->s, 2);
	assert_fails(mpx_semaphore_release(w->s), EOVERFLOW);
	done_with(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_semaphore),
		mpx_test(test_bounded_semaphore),
		mpx_test(test_timeouts),
		mpx_test(test_largest_value),
		mpx_test(test_bad_pointers),
		mpx_test(test_freeing),
		mpx_test(test_many),
		mpx_test(test_contention),
		mpx_test(test_ping_pong),
		mpx_test(test_units_of_threads),
		mpx_test(test_child_has_nothing),
		mpx_test(test_release_is_of_ones_own),
		mpx_test(test_made_after_fork),
		mpx_test(test_dead_holder),
		mpx_test(test_dead_holders_and_release),
		mpx_test(test_very_many_dead_holders),
		mpx_test(test_dead_holder_and_sleepers),
		mpx_test(test_units_of_nobody),
		mpx_test(test_dead_waiters),
		mpx_test(test_waiter_killed_as_it_wakes),
		mpx_test(test_signals),
		mpx_test(test_stopped_holder),
		mpx_test(test_stopped_waiter),
		mpx_test(test_stopped_anywhere),
		mpx_test(test_kill_storm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
