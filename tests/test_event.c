/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_event.c - Event of mpx/sync.h. What CPython's _TestEvent checks (test_event):
 * is_set and wait, with and without timeout, before and after set and clear; a set by
 * another process ends a wait. And:
 *
 *   - each errno; pointers that are none; freed
 *   - never early, NaN, enormous timeouts, storms of signals
 *   - set and clear at once lets everybody go: processes, threads, the stopped too,
 *     however often that happens meanwhile
 *   - set and clear in a signal handler, also of the one that waits
 *   - dead waiters, stopped ones; made after the fork; no wake is lost
 */
#define _POSIX_C_SOURCE 200809L
#define _XOPEN_SOURCE 700
#include "waiters.h"

#include <float.h>

enum { WAITERS = 8 };

struct shared {
	mpx_event *e, *back;
	atomic_int ready, go, served;
	_Atomic(mpx_event *) mailbox;
};

static struct shared *share(void)
{
	struct shared *w = mpx_calloc(1, sizeof *w);
	assert_non_null(w);
	assert_non_null(w->e = mpx_event_new());
	assert_non_null(w->back = mpx_event_new());
	return w;
}

static void done_with(struct shared *w)
{
	mpx_event_free(w->e);
	mpx_event_free(w->back);
	mpx_free(w);
}

/* ---- one process ------------------------------------------------------- */

static int set_soon(void *arg)
{
	linger();
	child_check(mpx_event_set(arg) == 0);
	return 0;
}

static void test_event(void **state)
{
	(void)state;
	mpx_event *e = mpx_event_new();
	assert_non_null(e);
	assert_false(mpx_event_is_set(e));
	assert_times_out(mpx_event_wait(e, 0), 0);
	assert_times_out(mpx_event_wait(e, 0.2), 0.2);
	for (int i = 0; i < 3; i++) {
		assert_ok(mpx_event_set(e));
		assert_ok(mpx_event_set(e));
		assert_true(mpx_event_is_set(e));
		assert_ok(mpx_event_wait(e, MPX_FOREVER));
		assert_ok(mpx_event_wait(e, 0));
		assert_ok(mpx_event_wait(e, -1));
		assert_true(mpx_event_is_set(e));
		assert_ok(mpx_event_clear(e));
		assert_ok(mpx_event_clear(e));
		assert_false(mpx_event_is_set(e));
		assert_fails(mpx_event_wait(e, 0), ETIMEDOUT);
	}
	mpx_process *p = start(set_soon, e);
	assert_ok(mpx_event_wait(e, MPX_FOREVER));
	assert_true(mpx_event_is_set(e));
	ends_well(p);
	mpx_event_free(e);
}

static void test_timeouts(void **state)
{
	(void)state;
	mpx_event *e = mpx_event_new();
	double none[] = {0, -1, -INFINITY, -DBL_MAX};
	double some[] = {0.0001, 0.001, 0.0123, 0.1, 0.25};
	double many[] = {1e9, 4.3e9, 1e10, 1e19, 1e300, DBL_MAX, MPX_FOREVER};
	for (size_t i = 0; i < sizeof none / sizeof *none; i++)
		assert_times_out(mpx_event_wait(e, none[i]), 0);
	for (size_t i = 0; i < sizeof some / sizeof *some; i++)
		assert_times_out(mpx_event_wait(e, some[i]), some[i]);
	for (size_t i = 0; i < sizeof many / sizeof *many; i++) {
		mpx_process *p = start(set_soon, e);
		assert_ok(mpx_event_wait(e, many[i]));
		ends_well(p);
		assert_ok(mpx_event_clear(e));
	}
	assert_fails(mpx_event_wait(e, NAN), EINVAL);
	assert_ok(mpx_event_set(e));
	assert_fails(mpx_event_wait(e, -NAN), EINVAL);
	mpx_event_free(e);
}

static void check_is_none(void *p)
{
	assert_fails(mpx_event_set(p), EINVAL);
	assert_fails(mpx_event_clear(p), EINVAL);
	assert_nothing(mpx_event_is_set(p), EINVAL);
	assert_fails(mpx_event_wait(p, 0), EINVAL);
	assert_fails(mpx_event_wait(p, MPX_FOREVER), EINVAL);
}

static int free_it(void *arg)
{
	mpx_event_free(arg);
	return 0;
}

static void test_bad_pointers(void **state)
{
	(void)state;
	mpx_event *e = mpx_event_new();
	struct strangers strangers;
	strangers_make(&strangers, "event", e);
	size_t blocks = heap_blocks();
	for (size_t i = 0; i < strangers.n; i++) {
		check_is_none(strangers.p[i]);
		mpx_event_free(strangers.p[i]);
	}
	assert_int_equal(heap_blocks(), blocks);
	strangers_done(&strangers);
	assert_false(mpx_event_is_set(e));
	assert_ok(mpx_event_set(e));
	assert_int_equal(run_child(free_it, e), 0);
	check_is_none(e);
	mpx_event_free(e);
	mpx_event_free(NULL);
	e = mpx_event_new(); /* perhaps in the same place */
	assert_false(mpx_event_is_set(e));
	mpx_event_free(e);
}

/* ---- several ----------------------------------------------------------- */

static int wait_for_it(void *arg)
{
	struct shared *w = arg;
	w->ready++;
	child_check(mpx_event_wait(w->e, 2 * SOON) == 0);
	w->served++;
	return 0;
}

static void *thread_waits(void *arg)
{
	wait_for_it(arg);
	return NULL;
}

/* Has it gone to sleep? What the scheduler does after "ready" is not seen otherwise. */
static void start_waiters(struct shared *w, pid_t *pid, int n)
{
	int ready = w->ready;
	for (int i = 0; i < n; i++)
		pid[i] = fork_child(wait_for_it, w);
	assert_soon(w->ready == ready + n);
	for (int i = 0; i < n; i++)
		assert_soon(asleep(pid[i]));
	linger();
	assert_int_equal(w->served, 0);
}

static void test_all_go(void **state)
{
	(void)state;
	for (int cleared = 0; cleared < 2; cleared++) {
		struct shared *w = share();
		pid_t pid[WAITERS];
		pthread_t t[WAITERS];
		for (int i = 0; i < WAITERS; i++)
			t[i] = start_thread(thread_waits, w);
		assert_soon(w->ready == WAITERS);
		start_waiters(w, pid, WAITERS);
		assert_ok(mpx_event_set(w->e));
		if (cleared)
			assert_ok(mpx_event_clear(w->e));
		for (int i = 0; i < WAITERS; i++) {
			assert_int_equal(wait_child(pid[i]), 0);
			end_thread(t[i]);
		}
		assert_int_equal(w->served, 2 * WAITERS);
		assert_int_equal(mpx_event_is_set(w->e), !cleared);
		done_with(w);
	}
}

/* Who was stopped all the time learns that it was set, often or once. */
static void test_stopped_waiter(void **state)
{
	(void)state;
	static const int often[] = {1, 2, 3, 1024, 65536, 1000003};
	for (size_t i = 0; i < sizeof often / sizeof *often; i++) {
		struct shared *w = share();
		pid_t pid;
		start_waiters(w, &pid, 1);
		stop_child(pid);
		for (int k = 0; k < often[i]; k++) {
			assert_ok(mpx_event_set(w->e));
			assert_ok(mpx_event_clear(w->e));
		}
		assert_fails(mpx_event_wait(w->e, 0), ETIMEDOUT);
		continue_child(pid);
		assert_int_equal(wait_child(pid), 0);
		done_with(w);
	}
}

/* It was not set while anybody waited: clear alone lets nobody go. */
static void test_clear_wakes_nobody(void **state)
{
	(void)state;
	struct shared *w = share();
	pid_t pid;
	assert_ok(mpx_event_set(w->e));
	assert_ok(mpx_event_clear(w->e));
	assert_times_out(mpx_event_wait(w->e, 0.2), 0.2);
	start_waiters(w, &pid, 1);
	for (int i = 0; i < 1000; i++)
		assert_ok(mpx_event_clear(w->e));
	linger();
	assert_int_equal(w->served, 0);
	assert_ok(mpx_event_set(w->e));
	assert_int_equal(wait_child(pid), 0);
	done_with(w);
}

static void test_dead_waiters(void **state)
{
	(void)state;
	struct shared *w = share();
	pid_t pid[WAITERS];
	start_waiters(w, pid, WAITERS);
	for (int i = 0; i < WAITERS; i += 2)
		kill_child(pid[i]);
	assert_ok(mpx_event_set(w->e));
	assert_ok(mpx_event_clear(w->e));
	for (int i = 1; i < WAITERS; i += 2)
		assert_int_equal(wait_child(pid[i]), 0);
	assert_int_equal(w->served, WAITERS / 2);
	done_with(w);
}

/* Two events in turn: no wake is ever lost. */
static int answer(void *arg)
{
	struct shared *w = arg;
	for (int i = 0; i < 5000; i++) {
		child_check(mpx_event_wait(w->e, SOON) == 0);
		child_check(mpx_event_clear(w->e) == 0);
		child_check(w->served == i);
		w->served = i + 1;
		child_check(mpx_event_set(w->back) == 0);
	}
	return 0;
}

static void test_ping_pong(void **state)
{
	(void)state;
	struct shared *w = share();
	mpx_process *p = start(answer, w);
	for (int i = 0; i < 5000; i++) {
		assert_ok(mpx_event_set(w->e));
		assert_ok(mpx_event_wait(w->back, SOON));
		assert_ok(mpx_event_clear(w->back));
		assert_int_equal(w->served, i + 1);
	}
	ends_well(p);
	done_with(w);
}

static int use_mailbox(void *arg)
{
	struct shared *w = arg;
	child_soon(atomic_load(&w->mailbox));
	w->ready = 1;
	child_check(mpx_event_wait(w->mailbox, SOON) == 0);
	child_check(mpx_event_clear(w->mailbox) == 0);
	return 0;
}

static void test_made_after_fork(void **state)
{
	(void)state;
	struct shared *w = share();
	pid_t pid = fork_child(use_mailbox, w);
	mpx_event *e = mpx_event_new();
	atomic_store(&w->mailbox, e);
	assert_soon(w->ready);
	assert_ok(mpx_event_set(e));
	assert_int_equal(wait_child(pid), 0);
	assert_false(mpx_event_is_set(e));
	mpx_event_free(e);
	done_with(w);
}

/* ---- signals ----------------------------------------------------------- */

static int wait_disturbed(void *arg)
{
	struct shared *w = arg;
	disturb(true);
	child_times_out(mpx_event_wait(w->e, 0.4), 0.4);
	child_check(disturbances >= 2);
	w->ready = 1;
	child_check(mpx_event_wait(w->e, MPX_FOREVER) == 0);
	w->served = 1;
	disturb(false);
	return 0;
}

static void test_signals(void **state)
{
	(void)state;
	struct shared *w = share();
	pid_t pid = fork_child(wait_disturbed, w);
	assert_soon(w->ready || !pid_running(pid));
	linger();
	linger();
	assert_int_equal(w->served, 0);
	assert_ok(mpx_event_set(w->e));
	assert_ok(mpx_event_clear(w->e));
	assert_int_equal(wait_child(pid), 0);
	assert_int_equal(w->served, 1);
	done_with(w);
}

static mpx_event *volatile of_handler;

static void set_and_clear(int sig)
{
	int error = errno;
	(void)sig;
	if (mpx_event_set(of_handler) != 0 || !mpx_event_is_set(of_handler) ||
	    mpx_event_clear(of_handler) != 0)
		_exit(97);
	errno = error;
}

/* The handler interrupts waits and sets of the same event. */
static int set_by_handler(void *arg)
{
	struct shared *w = arg;
	struct sigaction sa = {.sa_handler = set_and_clear};
	struct itimerval every = {{0, 1000}, {0, 1000}}, none = {{0, 0}, {0, 0}};
	of_handler = w->e;
	sigemptyset(&sa.sa_mask);
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &every, NULL);
	for (int i = 0; i < 50; i++)
		child_check(mpx_event_wait(w->e, SOON) == 0);
	for (int i = 0; i < 100000; i++) {
		child_check(mpx_event_set(w->back) == 0);
		child_check(mpx_event_clear(w->back) == 0);
	}
	of_handler = w->back;
	for (int i = 0; i < 100000; i++) {
		child_check(mpx_event_set(w->back) == 0);
		child_check(mpx_event_clear(w->back) == 0);
	}
	setitimer(ITIMER_REAL, &none, NULL);
	child_check(!mpx_event_is_set(w->back) && !mpx_event_is_set(w->e));
	return 0;
}

static void test_set_by_handler(void **state)
{
	(void)state;
	struct shared *w = share();
	assert_int_equal(run_child(set_by_handler, w), 0);
	done_with(w);
}

/* Many set and clear at the same time; all who wait go on. */
static int set_and_clear_often(void *arg)
{
	struct shared *w = arg;
	while (!w->go) {
		child_check(mpx_event_set(w->e) == 0);
		child_check(mpx_event_clear(w->e) == 0);
	}
	return 0;
}

static int wait_often(void *arg)
{
	struct shared *w = arg;
	for (int i = 0; i < 2000; i++)
		child_check(mpx_event_wait(w->e, SOON) == 0);
	return 0;
}

static void test_contention(void **state)
{
	(void)state;
	struct shared *w = share();
	mpx_process *setter[2], *waiter[3];
	for (int i = 0; i < 2; i++)
		setter[i] = start(set_and_clear_often, w);
	for (int i = 0; i < 3; i++)
		waiter[i] = start(wait_often, w);
	for (int i = 0; i < 3; i++)
		ends_well(waiter[i]);
	w->go = 1;
	for (int i = 0; i < 2; i++)
		ends_well(setter[i]);
	assert_false(mpx_event_is_set(w->e));
	assert_fails(mpx_event_wait(w->e, 0.1), ETIMEDOUT);
	done_with(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_event),		mpx_test(test_timeouts),
		mpx_test(test_bad_pointers),	mpx_test(test_all_go),
		mpx_test(test_stopped_waiter),	mpx_test(test_clear_wakes_nobody),
		mpx_test(test_dead_waiters),	mpx_test(test_ping_pong),
		mpx_test(test_made_after_fork), mpx_test(test_signals),
		mpx_test(test_set_by_handler),	mpx_test(test_contention),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
