/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_condition.c - Condition of mpx/sync.h. What CPython's _TestCondition checks:
 * test_notify, test_notify_all, test_notify_n (processes and threads wait; each notice
 * wakes one, the rest sleep on), test_timeout, test_waitfor, test_waitfor_timeout,
 * test_wait_result (notified or not; a signal does not end it). And:
 *
 *   - each errno; EPERM for all who do not hold the lock; pointers that are none; freed
 *   - the lock: its own, a given one, a Value's; as deep afterwards as before
 *   - who has waited longest goes first; never early, NaN, storms of signals
 *   - fifty waiters, half of them killed: notify(n) wakes n of the living
 *   - a notice to a waiter that is killed just then goes to one that was waiting, and
 *     not to a later one
 *   - a holder of the lock that dies while others wait: EOWNERDEAD, and the lock
 *   - no memory for a waiter; stopped waiters; made after the fork; random kills
 */
#define _POSIX_C_SOURCE 200809L
#define _XOPEN_SOURCE 700
#include "waiters.h"

#include <float.h>
#include <limits.h>

struct shared {
	mpx_condition *c;
	atomic_int sleeping, woken, order, go;
	atomic_int served[64];
	double timeout;
	int value;
	_Atomic(mpx_condition *) mailbox;
};

struct member {
	struct shared *w;
	int i;
};

static struct shared *share(void)
{
	struct shared *w = mpx_calloc(1, sizeof *w);
	assert_non_null(w);
	assert_non_null(w->c = mpx_condition_new(NULL));
	w->timeout = 2 * SOON;
	return w;
}

static void done_with(struct shared *w)
{
	assert_ok(mpx_condition_acquire(w->c, SOON));
	assert_ok(mpx_condition_notify_all(w->c));
	assert_ok(mpx_condition_release(w->c));
	assert_fails(mpx_condition_release(w->c), EOVERFLOW);
	mpx_condition_free(w->c);
	mpx_free(w);
}

/* Whoever holds the lock and sees it counted knows that it waits. */
static int wait_once(void *arg)
{
	const struct member *m = arg;
	struct shared *w = m->w;
	child_check(mpx_condition_acquire(w->c, SOON) == 0);
	w->sleeping++;
	child_check(mpx_condition_wait(w->c, w->timeout) == 0);
	w->served[m->i] = ++w->order;
	w->woken++;
	child_check(mpx_condition_release(w->c) == 0);
	return 0;
}

static void *thread_waits(void *arg)
{
	wait_once(arg);
	return NULL;
}

static void await_sleepers(struct shared *w, int n)
{
	bool all = false;
	double end = now() + SOON;
	while (!all && now() < end) {
		assert_ok(mpx_condition_acquire(w->c, SOON));
		all = w->sleeping == n;
		assert_ok(mpx_condition_release(w->c));
		if (!all)
			nap();
	}
	assert_int_equal(w->sleeping, n);
}

static pid_t start_waiter(struct shared *w, int i)
{
	struct member m = {w, i};
	int sleeping = w->sleeping;
	pid_t pid = fork_child(wait_once, &m);
	await_sleepers(w, sleeping + 1);
	return pid;
}

static void notify(struct shared *w, unsigned n)
{
	assert_ok(mpx_condition_acquire(w->c, SOON));
	assert_ok(mpx_condition_notify(w->c, n));
	assert_ok(mpx_condition_release(w->c));
}

static void notify_all(struct shared *w)
{
	assert_ok(mpx_condition_acquire(w->c, SOON));
	assert_ok(mpx_condition_notify_all(w->c));
	assert_ok(mpx_condition_release(w->c));
}

/* So many have been woken, and no more are. */
static void check_woken(struct shared *w, int n)
{
	assert_soon(w->woken >= n);
	linger();
	assert_int_equal(w->woken, n);
}

/* ---- Python's ---------------------------------------------------------- */

static void test_notify(void **state)
{
	(void)state;
	struct shared *w = share();
	struct member m = {w, 1};
	pid_t pid = start_waiter(w, 0);
	pthread_t t = start_thread(thread_waits, &m);
	await_sleepers(w, 2);
	check_woken(w, 0);
	notify(w, 1);
	check_woken(w, 1);
	assert_int_equal(w->served[0], 1); /* it waited longer */
	notify(w, 1);
	check_woken(w, 2);
	assert_int_equal(wait_child(pid), 0);
	end_thread(t);
	notify(w, 1); /* to nobody */
	assert_ok(mpx_condition_acquire(w->c, 0));
	assert_times_out(mpx_condition_wait(w->c, 0.1), 0.1);
	assert_ok(mpx_condition_release(w->c));
	done_with(w);
}

struct crowd {
	pid_t pid[3];
	pthread_t t[3];
	struct member m[3];
};

static void crowd_start(struct crowd *crowd, struct shared *w)
{
	for (int i = 0; i < 3; i++) {
		crowd->pid[i] = start_waiter(w, i);
		crowd->m[i] = (struct member){w, 3 + i};
		crowd->t[i] = start_thread(thread_waits, &crowd->m[i]);
		await_sleepers(w, 2 * (i + 1));
	}
	check_woken(w, 0);
}

static void crowd_end(struct crowd *crowd)
{
	for (int i = 0; i < 3; i++) {
		assert_int_equal(wait_child(crowd->pid[i]), 0);
		end_thread(crowd->t[i]);
	}
}

static void test_notify_all(void **state)
{
	(void)state;
	struct shared *w = share();
	struct crowd crowd;
	crowd_start(&crowd, w);
	notify_all(w);
	crowd_end(&crowd);
	assert_int_equal(w->woken, 6);
	done_with(w);
}

static void test_notify_n(void **state)
{
	(void)state;
	struct shared *w = share();
	struct crowd crowd;
	crowd_start(&crowd, w);
	notify(w, 0);
	check_woken(w, 0);
	notify(w, 1);
	check_woken(w, 1);
	notify(w, 4);
	check_woken(w, 5);
	notify(w, 3);
	check_woken(w, 6);
	notify(w, UINT_MAX);
	crowd_end(&crowd);
	check_woken(w, 6);
	done_with(w);
}

static void test_timeout(void **state)
{
	(void)state;
	struct shared *w = share();
	double none[] = {0, -1, -INFINITY, -DBL_MAX};
	double some[] = {0.0001, 0.001, 0.0123, 0.1, 0.25};
	assert_ok(mpx_condition_acquire(w->c, 0));
	for (size_t i = 0; i < sizeof none / sizeof *none; i++)
		assert_times_out(mpx_condition_wait(w->c, none[i]), 0);
	for (size_t i = 0; i < sizeof some / sizeof *some; i++)
		assert_times_out(mpx_condition_wait(w->c, some[i]), some[i]);
	assert_fails(mpx_condition_wait(w->c, NAN), EINVAL);
	assert_ok(mpx_condition_release(w->c));
	assert_fails(mpx_condition_release(w->c), EOVERFLOW);
	/* Those that gave up are not there to be notified. */
	struct member m = {w, 0};
	pid_t pid = fork_child(wait_once, &m);
	await_sleepers(w, 1);
	notify(w, 1);
	assert_int_equal(wait_child(pid), 0);
	done_with(w);
}

static bool is_four(void *arg)
{
	const struct shared *w = arg;
	return w->value == 4;
}

static int wait_for_four(void *arg)
{
	struct shared *w = arg;
	child_check(mpx_condition_acquire(w->c, SOON) == 0);
	w->value = 0;
	w->sleeping = 1;
	child_check(mpx_condition_notify(w->c, 1) == 0);
	double begin = now();
	int r = mpx_condition_wait_for(w->c, is_four, w, w->timeout), error = errno;
	bool late = now() - begin >= w->timeout - 1e-6;
	child_check(r == 0 ? is_four(w) : error == ETIMEDOUT && late && !is_four(w));
	child_check(mpx_condition_release(w->c) == 0);
	return r == 0 ? 4 : 3;
}

static void check_waitfor(int upto, double timeout)
{
	struct shared *w = share();
	w->timeout = timeout;
	w->value = -1;
	mpx_process *p = start(wait_for_four, w);
	await_sleepers(w, 1);
	for (int i = 0; i < upto; i++) {
		nap();
		assert_ok(mpx_condition_acquire(w->c, SOON));
		w->value++;
		assert_ok(mpx_condition_notify(w->c, 1));
		assert_ok(mpx_condition_release(w->c));
	}
	assert_int_equal(ends(p), upto);
	done_with(w);
}

static void test_waitfor(void **state)
{
	(void)state;
	check_waitfor(4, MPX_FOREVER);
	check_waitfor(3, 0.3);
	/* It is true already; or never, and nobody comes. */
	struct shared *w = share();
	w->value = 4;
	assert_ok(mpx_condition_acquire(w->c, 0));
	assert_ok(mpx_condition_wait_for(w->c, is_four, w, 0));
	assert_ok(mpx_condition_wait_for(w->c, is_four, w, MPX_FOREVER));
	w->value = 3;
	assert_fails(mpx_condition_wait_for(w->c, is_four, w, 0), ETIMEDOUT);
	assert_times_out(mpx_condition_wait_for(w->c, is_four, w, 0.1), 0.1);
	assert_fails(mpx_condition_wait_for(w->c, NULL, w, 0.1), EINVAL);
	assert_fails(mpx_condition_wait_for(w->c, is_four, w, NAN), EINVAL);
	assert_ok(mpx_condition_release(w->c));
	assert_fails(mpx_condition_wait_for(w->c, is_four, w, 0.1), EPERM);
	done_with(w);
}

static int wait_disturbed(void *arg)
{
	struct shared *w = arg;
	disturb(true);
	child_check(mpx_condition_acquire(w->c, SOON) == 0);
	child_times_out(mpx_condition_wait(w->c, 0), 0);
	child_times_out(mpx_condition_wait(w->c, 0.4), 0.4);
	child_check(disturbances >= 2);
	w->sleeping = 1;
	child_check(mpx_condition_wait(w->c, MPX_FOREVER) == 0);
	w->woken = 1;
	child_check(mpx_condition_release(w->c) == 0);
	disturb(false);
	return 0;
}

static void test_wait_result(void **state)
{
	(void)state;
	struct shared *w = share();
	pid_t pid = fork_child(wait_disturbed, w);
	await_sleepers(w, 1);
	check_woken(w, 0);
	notify(w, 1);
	assert_int_equal(wait_child(pid), 0);
	assert_int_equal(w->woken, 1);
	done_with(w);
}

/* ---- errors, and the lock ---------------------------------------------- */

static void check_not_holder(mpx_condition *c)
{
	child_fails(mpx_condition_wait(c, 0), EPERM);
	child_fails(mpx_condition_wait(c, MPX_FOREVER), EPERM);
	child_fails(mpx_condition_notify(c, 1), EPERM);
	child_fails(mpx_condition_notify(c, 0), EPERM);
	child_fails(mpx_condition_notify_all(c), EPERM);
	child_fails(mpx_condition_consistent(c), EPERM);
}

static int is_not_holder(void *arg)
{
	struct shared *w = arg;
	check_not_holder(w->c);
	child_fails(mpx_condition_release(w->c), w->value ? EPERM : EOVERFLOW);
	child_fails(mpx_condition_acquire(w->c, 0), ETIMEDOUT);
	return 0;
}

static void *thread_is_not_holder(void *arg)
{
	is_not_holder(arg);
	return NULL;
}

static void test_only_the_holder(void **state)
{
	(void)state;
	struct shared *w = share();
	check_not_holder(w->c);
	assert_fails(mpx_condition_release(w->c), EOVERFLOW);
	assert_ok(mpx_condition_acquire(w->c, 0));
	w->value = 1;
	assert_int_equal(run_child(is_not_holder, w), 0);
	end_thread(start_thread(thread_is_not_holder, w));
	assert_ok(mpx_condition_consistent(w->c));
	assert_ok(mpx_condition_release(w->c));
	done_with(w);
}

static void check_is_none(void *p)
{
	assert_fails(mpx_condition_acquire(p, 0), EINVAL);
	assert_fails(mpx_condition_release(p), EINVAL);
	assert_fails(mpx_condition_consistent(p), EINVAL);
	assert_fails(mpx_condition_wait(p, 0), EINVAL);
	assert_fails(mpx_condition_wait_for(p, is_four, NULL, 0), EINVAL);
	assert_fails(mpx_condition_notify(p, 1), EINVAL);
	assert_fails(mpx_condition_notify_all(p), EINVAL);
}

static void test_bad_pointers(void **state)
{
	(void)state;
	mpx_condition *c = mpx_condition_new(NULL);
	assert_non_null(c);
	struct strangers strangers;
	strangers_make(&strangers, "condition", c);
	size_t blocks = heap_blocks();
	for (size_t i = 0; i < strangers.n; i++) {
		check_is_none(strangers.p[i]);
		if (strangers.p[i] && strangers.p[i] != strangers.rlock)
			assert_nothing(mpx_condition_new(strangers.p[i]), EINVAL);
		mpx_condition_free(strangers.p[i]);
	}
	assert_int_equal(heap_blocks(), blocks);
	strangers_done(&strangers);
	assert_ok(mpx_condition_acquire(c, 0));
	assert_fails(mpx_condition_acquire(c, NAN), EINVAL);
	assert_ok(mpx_condition_release(c));
	mpx_condition_free(c);
	check_is_none(c);
	mpx_condition_free(c);
}

static int holds_it_not(void *arg)
{
	struct shared *w = arg;
	child_check(mpx_condition_acquire(w->c, SOON) == 0);
	w->go = 1;
	child_check(mpx_condition_notify(w->c, 1) == 0);
	child_check(mpx_condition_release(w->c) == 0);
	return 0;
}

/* However often it was acquired: others have it meanwhile, then it is as deep again. */
static void test_depth(void **state)
{
	(void)state;
	struct shared *w = share();
	for (int i = 0; i < 5; i++)
		assert_ok(mpx_condition_acquire(w->c, 0));
	assert_fails(mpx_condition_wait(w->c, 0), ETIMEDOUT);
	assert_fails(mpx_condition_wait(w->c, 0.05), ETIMEDOUT);
	pid_t pid = fork_child(holds_it_not, w);
	while (!w->go)
		assert_ok(mpx_condition_wait(w->c, SOON));
	for (int i = 0; i < 5; i++)
		assert_ok(mpx_condition_release(w->c));
	assert_fails(mpx_condition_release(w->c), EOVERFLOW);
	assert_int_equal(wait_child(pid), 0);
	done_with(w);
}

static void test_given_lock(void **state)
{
	(void)state;
	mpx_value *v = mpx_value_new('i', 0);
	mpx_rlock *locks[] = {mpx_rlock_new(), mpx_value_lock(v)};
	for (size_t i = 0; i < 2; i++) {
		mpx_condition *a = mpx_condition_new(locks[i]), *b = mpx_condition_new(locks[i]);
		assert_non_null(a);
		assert_non_null(b);
		assert_ok(mpx_condition_acquire(a, 0));
		assert_true(mpx_rlock_locked(locks[i]));
		assert_ok(mpx_rlock_acquire(locks[i], 0));
		assert_fails(mpx_condition_wait(b, 0.01), ETIMEDOUT);
		assert_ok(mpx_condition_notify_all(b));
		assert_ok(mpx_condition_release(b));
		assert_ok(mpx_rlock_release(locks[i]));
		assert_fails(mpx_condition_release(a), EOVERFLOW);
		mpx_condition_free(a);
		mpx_condition_free(b);
		assert_ok(mpx_rlock_acquire(locks[i], 0)); /* it is still there */
		assert_ok(mpx_rlock_release(locks[i]));
	}
	mpx_rlock_free(locks[0]);
	mpx_value_free(v);
}

static int use_mailbox(void *arg)
{
	struct shared *w = arg;
	child_soon(atomic_load(&w->mailbox));
	mpx_condition *c = w->mailbox;
	child_check(mpx_condition_acquire(c, SOON) == 0);
	w->go = 1;
	child_check(mpx_condition_wait(c, SOON) == 0);
	child_check(mpx_condition_release(c) == 0);
	return 0;
}

static void test_made_after_fork(void **state)
{
	(void)state;
	struct shared *w = share();
	pid_t pid = fork_child(use_mailbox, w);
	mpx_condition *c = mpx_condition_new(NULL);
	atomic_store(&w->mailbox, c);
	assert_soon(w->go);
	assert_ok(mpx_condition_acquire(c, SOON));
	assert_ok(mpx_condition_notify(c, 1));
	assert_ok(mpx_condition_release(c));
	assert_int_equal(wait_child(pid), 0);
	mpx_condition_free(c);
	done_with(w);
}

/* ENOMEM: nothing has happened; otherwise it waits. */
static int wait_without_memory(void)
{
	mpx_condition *c = mpx_condition_new(NULL);
	child_check(c);
	child_check(mpx_condition_acquire(c, 0) == 0);
	child_check(mpx_condition_acquire(c, 0) == 0);
	for (size_t size = 65536; size; size /= 2)
		while (mpx_malloc(size))
			;
	for (int i = 0; i < 3; i++) {
		int r = mpx_condition_wait(c, 0.01);
		child_check(r == -1 && (errno == ENOMEM || errno == ETIMEDOUT));
		child_check(mpx_condition_notify(c, 1) == 0);
	}
	child_check(mpx_condition_release(c) == 0);
	child_check(mpx_condition_release(c) == 0);
	child_fails(mpx_condition_release(c), EOVERFLOW);
	return 0;
}

static const char *program;

static void test_no_memory(void **state)
{
	(void)state;
	assert_int_equal(run_anew(program, "wait_without_memory", "256K", 0), 0);
}

/* ---- deaths ------------------------------------------------------------ */

/* In the order in which they came. */
static void test_order(void **state)
{
	(void)state;
	enum { N = 10 };
	struct shared *w = share();
	pid_t pid[N];
	for (int i = 0; i < N; i++)
		pid[i] = start_waiter(w, i);
	for (int i = 0; i < N; i++) {
		notify(w, 1);
		assert_int_equal(wait_child(pid[i]), 0);
		assert_int_equal(w->served[i], i + 1);
	}
	done_with(w);
}

static void check_half_killed(unsigned n, bool spared)
{
	enum { N = 50 };
	struct shared *w = share();
	pid_t pid[N];
	for (int i = 0; i < N; i++)
		pid[i] = start_waiter(w, i);
	for (int i = 0; i < N; i += 2) {
		if (spared)
			kill_child(pid[i]);
		else
			make_zombie(pid[i]);
	}
	double begin = now();
	notify(w, n);
	assert_true(now() - begin < 15);
	check_woken(w, n < N / 2 ? (int)n : N / 2);
	for (int i = 1; i < N; i += 2) /* the longest waiting, of the living */
		assert_int_equal(w->served[i] != 0, i / 2 < (int)n);
	notify_all(w);
	for (int i = 1; i < N; i += 2)
		assert_int_equal(wait_child(pid[i]), 0);
	for (int i = 0; i < N && !spared; i += 2)
		assert_int_equal(wait_child(pid[i]), -SIGKILL);
	assert_int_equal(w->woken, N / 2);
	done_with(w);
}

static void test_half_of_fifty_killed(void **state)
{
	(void)state;
	check_half_killed(1, true);
	check_half_killed(10, true);
	check_half_killed(25, false);
	check_half_killed(40, true);
}

/* The first is stopped, so that it cannot go on; notified; killed. The second waited
 * then, and gets it; the third came later. */
static void test_notice_is_handed_on(void **state)
{
	(void)state;
	for (int unreaped = 0; unreaped < 2; unreaped++) {
		struct shared *w = share();
		pid_t first = start_waiter(w, 0), second = start_waiter(w, 1);
		stop_child(first);
		notify(w, 1);
		pid_t third = start_waiter(w, 2);
		check_woken(w, 0);
		if (unreaped)
			make_zombie(first);
		else
			kill_child(first);
		check_woken(w, 1);
		assert_int_equal(w->served[1], 1);
		assert_int_equal(wait_child(second), 0);
		notify(w, 1);
		assert_int_equal(wait_child(third), 0);
		if (unreaped)
			assert_int_equal(wait_child(first), -SIGKILL);
		done_with(w);
	}
}

/* Two notices, two dead: each is handed on once. */
static void test_notices_are_handed_on_once(void **state)
{
	(void)state;
	struct shared *w = share();
	pid_t pid[6];
	for (int i = 0; i < 6; i++)
		pid[i] = start_waiter(w, i);
	stop_child(pid[0]);
	stop_child(pid[1]);
	notify(w, 2);
	kill_child(pid[0]);
	kill_child(pid[1]);
	check_woken(w, 2);
	assert_true(w->served[2] && w->served[3]);
	/* Nobody was waiting then: a notice that dies with its waiter is gone. */
	notify_all(w);
	for (int i = 2; i < 6; i++)
		assert_int_equal(wait_child(pid[i]), 0);
	pid_t alone = start_waiter(w, 6);
	stop_child(alone);
	notify(w, 1);
	kill_child(alone);
	pid_t later = start_waiter(w, 7);
	check_woken(w, 4);
	notify(w, 1);
	assert_int_equal(wait_child(later), 0);
	done_with(w);
}

/* A stopped waiter has its notice when it goes on; notify does not wait for it. */
static void test_stopped_waiter(void **state)
{
	(void)state;
	struct shared *w = share();
	pid_t first = start_waiter(w, 0), second = start_waiter(w, 1);
	stop_child(first);
	notify(w, 2);
	assert_int_equal(wait_child(second), 0);
	check_woken(w, 1);
	continue_child(first);
	assert_int_equal(wait_child(first), 0);
	done_with(w);
}

static int notify_and_die(void *arg)
{
	struct shared *w = arg;
	child_check(mpx_condition_acquire(w->c, SOON) == 0);
	if (w->go)
		child_check(mpx_condition_notify(w->c, 1) == 0);
	raise(SIGKILL);
	return 1;
}

static int wait_and_be_told(void *arg)
{
	struct shared *w = arg;
	child_check(mpx_condition_acquire(w->c, SOON) == 0);
	w->sleeping++;
	int r = mpx_condition_wait(w->c, w->timeout);
	child_check(r == -1 && errno == EOWNERDEAD);
	child_check(mpx_condition_acquire(w->c, 0) == 0); /* it is mine */
	child_check(mpx_condition_release(w->c) == 0);
	child_check(mpx_condition_consistent(w->c) == 0);
	child_check(mpx_condition_release(w->c) == 0);
	return 0;
}

static void test_dead_holder(void **state)
{
	(void)state;
	struct shared *w = share();
	/* Dies after it has notified. */
	pid_t pid = fork_child(wait_and_be_told, w);
	await_sleepers(w, 1);
	w->go = 1;
	assert_int_equal(run_child(notify_and_die, w), -SIGKILL);
	assert_int_equal(wait_child(pid), 0);
	/* Dies, and the waiter's time passes. */
	w->sleeping = 0;
	w->timeout = 0.5;
	pid = fork_child(wait_and_be_told, w);
	assert_soon(w->sleeping == 1);
	w->go = 0;
	assert_int_equal(run_child(notify_and_die, w), -SIGKILL);
	assert_int_equal(wait_child(pid), 0);
	/* Until somebody says that it is consistent, waits say so. */
	assert_int_equal(run_child(notify_and_die, w), -SIGKILL);
	assert_fails(mpx_condition_acquire(w->c, SOON), EOWNERDEAD);
	assert_fails(mpx_condition_wait(w->c, 0.05), EOWNERDEAD);
	assert_ok(mpx_condition_notify_all(w->c));
	assert_ok(mpx_condition_consistent(w->c));
	assert_fails(mpx_condition_wait(w->c, 0.05), ETIMEDOUT);
	assert_ok(mpx_condition_release(w->c));
	done_with(w);
}

/* Deep in it, and told of a death when it comes back: it is as deep as before. */
static void test_dead_holder_and_depth(void **state)
{
	(void)state;
	struct shared *w = share();
	for (int i = 0; i < 3; i++)
		assert_ok(mpx_condition_acquire(w->c, 0));
	w->go = 1;
	pid_t pid = fork_child(notify_and_die, w);
	assert_fails(mpx_condition_wait(w->c, SOON), EOWNERDEAD);
	assert_ok(mpx_condition_consistent(w->c));
	for (int i = 0; i < 3; i++)
		assert_ok(mpx_condition_release(w->c));
	assert_fails(mpx_condition_release(w->c), EOVERFLOW);
	assert_int_equal(wait_child(pid), -SIGKILL);
	done_with(w);
}

/* ---- all together ------------------------------------------------------ */

/* A box for one number: put waits until it is empty, get until it is full. */
static int put_numbers(void *arg)
{
	struct shared *w = arg;
	for (int i = 1; i <= 2000; i++) {
		child_check(mpx_condition_acquire(w->c, SOON) == 0);
		while (w->value)
			child_check(mpx_condition_wait(w->c, SOON) == 0);
		w->value = i;
		child_check(mpx_condition_notify_all(w->c) == 0);
		child_check(mpx_condition_release(w->c) == 0);
	}
	return 0;
}

static int get_numbers(void *arg)
{
	struct shared *w = arg;
	for (int i = 1; i <= 2000; i++) {
		child_check(mpx_condition_acquire(w->c, SOON) == 0);
		while (!w->value)
			child_check(mpx_condition_wait(w->c, SOON) == 0);
		w->order += w->value;
		w->value = 0;
		child_check(mpx_condition_notify_all(w->c) == 0);
		child_check(mpx_condition_release(w->c) == 0);
	}
	return 0;
}

static void test_box(void **state)
{
	(void)state;
	struct shared *w = share();
	mpx_process *p[4];
	for (int i = 0; i < 4; i++)
		p[i] = start(i % 2 ? get_numbers : put_numbers, w);
	for (int i = 0; i < 4; i++)
		ends_well(p[i]);
	assert_int_equal(w->order, 2 * (2000 * 2001 / 2));
	done_with(w);
}

/* Notices meet timeouts: as many waits succeed as notices were given, at most. */
static int wait_impatiently(void *arg)
{
	struct shared *w = arg;
	child_check(mpx_condition_acquire(w->c, SOON) == 0);
	while (!w->go) {
		int r = mpx_condition_wait(w->c, 0.001);
		child_check(r == 0 || errno == ETIMEDOUT);
		w->woken += r == 0;
	}
	child_check(mpx_condition_release(w->c) == 0);
	return 0;
}

static void test_notices_and_timeouts(void **state)
{
	(void)state;
	struct shared *w = share();
	mpx_process *p[3];
	for (int i = 0; i < 3; i++)
		p[i] = start(wait_impatiently, w);
	double end = now() + 2;
	int given = 0;
	for (; given < 1000 && now() < end; given++)
		notify(w, 1);
	w->go = 1;
	for (int i = 0; i < 3; i++)
		ends_well(p[i]);
	assert_true(w->woken <= given);
	done_with(w);
}

/* Killed anywhere; who is left is notified, and nothing leaks. */
static int wait_for_ever(void *arg)
{
	struct shared *w = arg;
	for (;;) {
		int r = mpx_condition_acquire(w->c, SOON);
		child_check(r == 0 || errno == EOWNERDEAD);
		if (r != 0)
			child_check(mpx_condition_consistent(w->c) == 0);
		r = mpx_condition_wait(w->c, SOON);
		child_check(r == 0 || errno == EOWNERDEAD);
		if (r != 0)
			child_check(mpx_condition_consistent(w->c) == 0);
		child_check(mpx_condition_notify(w->c, 1) == 0);
		child_check(mpx_condition_release(w->c) == 0);
	}
}

static void test_kill_storm(void **state)
{
	(void)state;
	enum { N = 4 };
	struct shared *w = share();
	uint64_t seed = 3;
	pid_t pid[N];
	for (int i = 0; i < N; i++)
		pid[i] = fork_child(wait_for_ever, w);
	for (int round = 0; round < 100; round++) {
		struct timespec t = {0, (long)(next_random(&seed) % 1000000)};
		int i = (int)(next_random(&seed) % N);
		int r = mpx_condition_acquire(w->c, SOON);
		assert_true(r == 0 || errno == EOWNERDEAD);
		assert_ok(mpx_condition_consistent(w->c));
		assert_ok(mpx_condition_notify(w->c, 1 + (unsigned)round % 3));
		assert_ok(mpx_condition_release(w->c));
		nanosleep(&t, NULL);
		kill_child(pid[i]);
		pid[i] = fork_child(wait_for_ever, w);
	}
	for (int i = 0; i < N; i++)
		kill_child(pid[i]);
	int r = mpx_condition_acquire(w->c, SOON);
	assert_true(r == 0 || errno == EOWNERDEAD);
	assert_ok(mpx_condition_consistent(w->c));
	assert_ok(mpx_condition_release(w->c));
	done_with(w);
}

int main(int argc, char **argv)
{
	program = argv[0];
	if (argc > 1)
		return wait_without_memory();
	const struct CMUnitTest tests[] = {
		mpx_test(test_notify),
		mpx_test(test_notify_all),
		mpx_test(test_notify_n),
		mpx_test(test_timeout),
		mpx_test(test_waitfor),
		mpx_test(test_wait_result),
		mpx_test(test_only_the_holder),
		mpx_test(test_bad_pointers),
		mpx_test(test_depth),
		mpx_test(test_given_lock),
		mpx_test(test_made_after_fork),
		mpx_test(test_no_memory),
		mpx_test(test_order),
		mpx_test(test_half_of_fifty_killed),
		mpx_test(test_notice_is_handed_on),
		mpx_test(test_notices_are_handed_on_once),
		mpx_test(test_stopped_waiter),
		mpx_test(test_dead_holder),
		mpx_test(test_dead_holder_and_depth),
		mpx_test(test_box),
		mpx_test(test_notices_and_timeouts),
		mpx_test(test_kill_storm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
