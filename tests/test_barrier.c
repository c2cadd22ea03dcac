/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_barrier.c - Barrier of mpx/sync.h. What CPython's _TestBarrier checks:
 * test_barrier, test_barrier_10, test_wait_return, test_action, test_abort, test_reset,
 * test_abort_and_reset, test_timeout, test_default_timeout, test_single_thread,
 * test_thousand (all with 5 processes). And:
 *
 *   - each errno; parties 0 to 4096; pointers that are none; freed; NaN, never early
 *   - the index is the order of arrival; threads as parties; made after the fork
 *   - the action: once, by the last, before anybody goes on; its failure; what it may
 *     call; a process that dies inside it; deadlines that pass while it runs
 *   - a party that dies breaks it, for those who wait; one that is stopped does not
 *   - a timeout, an abort, a death break it for all; reset mends it, whoever died
 *   - storms of signals; random kills
 */
#define _POSIX_C_SOURCE 200809L
#define _XOPEN_SOURCE 700
#include "waiters.h"

#include <float.h>
#include <limits.h>

enum { N = 5 };

struct shared {
	mpx_barrier *b, *other;
	double timeout;
	int wanted; /* the errno that a party expects; 0: none */
	int passes;
	atomic_int ready, go, actions, here, sum, broken;
	atomic_int arrived[1000], seen[N];
	_Atomic(pid_t) actor;
	_Atomic(mpx_barrier *) mailbox;
};

static struct shared *share(void)
{
	struct shared *w = mpx_calloc(1, sizeof *w);
	assert_non_null(w);
	w->timeout = 2 * SOON;
	return w;
}

static struct shared *share_barrier(unsigned parties)
{
	struct shared *w = share();
	assert_non_null(w->b = mpx_barrier_new(.parties = parties));
	return w;
}

/* As good as new, and empty. */
static void check_whole(mpx_barrier *b)
{
	assert_false(mpx_barrier_broken(b));
	assert_int_equal(mpx_barrier_n_waiting(b), 0);
}

static void done_with(struct shared *w)
{
	mpx_barrier_free(w->b);
	mpx_barrier_free(w->other);
	mpx_free(w);
}

static void run_parties(struct shared *w, mpx_target *target, int n)
{
	mpx_process *p[N];
	for (int i = 0; i < n; i++)
		p[i] = start(target, w);
	for (int i = 0; i < n; i++)
		ends_well(p[i]);
}

/* ---- Python's ---------------------------------------------------------- */

/* Nobody is in phase i + 1 before all are in phase i; each index once. */
static int pass_phases(void *arg)
{
	struct shared *w = arg;
	for (int i = 0; i < w->passes; i++) {
		atomic_fetch_add(&w->arrived[i], 1);
		int index = mpx_barrier_wait(w->b, w->timeout);
		child_check(index >= 0 && index < N);
		child_check(w->arrived[i] == N);
		atomic_fetch_add(&w->seen[index], 1);
		atomic_fetch_add(&w->sum, index);
	}
	return 0;
}

static void check_phases(int passes)
{
	struct shared *w = share_barrier(N);
	w->passes = passes;
	run_parties(w, pass_phases, N);
	for (int i = 0; i < N; i++)
		assert_int_equal(w->seen[i], passes);
	assert_int_equal(w->sum, passes * (N * (N - 1) / 2));
	check_whole(w->b);
	done_with(w);
}

static void test_barrier(void **state)
{
	(void)state;
	check_phases(1);
}

static void test_barrier_10(void **state)
{
	(void)state;
	check_phases(10);
}

static void test_thousand(void **state)
{
	(void)state;
	check_phases(1000);
}

static int wait_once(void *arg)
{
	struct shared *w = arg;
	int index = mpx_barrier_wait(w->b, w->timeout), error = errno;
	if (index < 0) {
		child_check(error == w->wanted);
		atomic_fetch_add(&w->broken, 1);
		return 0;
	}
	child_check(w->wanted == 0);
	atomic_fetch_add(&w->seen[index], 1);
	atomic_fetch_add(&w->sum, index);
	return index;
}

static void *thread_waits(void *arg)
{
	wait_once(arg);
	return NULL;
}

/* Forks one, and waits until it has arrived, and sleeps: who is stopped a moment before that is
 * inside, and holds up the others. */
static pid_t arrive(struct shared *w)
{
	int waiting = mpx_barrier_n_waiting(w->b);
	pid_t pid = fork_child(wait_once, w);
	assert_soon(mpx_barrier_n_waiting(w->b) == waiting + 1);
	assert_soon(asleep(pid) || !pid_running(pid));
	return pid;
}

static void arrive_all(struct shared *w, pid_t *pid, int n)
{
	for (int i = 0; i < n; i++)
		pid[i] = arrive(w);
}

static void test_wait_return(void **state)
{
	(void)state;
	struct shared *w = share_barrier(N);
	pid_t pid[N];
	assert_int_equal(mpx_barrier_parties(w->b), N);
	for (int round = 0; round < 3; round++) {
		arrive_all(w, pid, N - 1);
		assert_int_equal(mpx_barrier_n_waiting(w->b), N - 1);
		assert_int_equal(mpx_barrier_wait(w->b, 0), N - 1); /* the last need not wait */
		for (int i = 0; i < N - 1; i++)
			assert_int_equal(wait_child(pid[i]), i);
		check_whole(w->b);
	}
	done_with(w);
}

static int count_action(void *arg)
{
	struct shared *w = arg;
	atomic_fetch_add(&w->actions, 1);
	w->actor = getpid();
	return 0;
}

/* After each pass the action has been run, and not yet again. */
static int pass_actions(void *arg)
{
	struct shared *w = arg;
	for (int i = 0; i < 100; i++) {
		int index = mpx_barrier_wait(w->b, w->timeout);
		child_check(index >= 0);
		child_check(w->actions == 2 * i + 1);
		child_check((index == N - 1) == (w->actor == getpid()));
		child_check(mpx_barrier_wait(w->b, w->timeout) >= 0);
	}
	return 0;
}

static void test_action(void **state)
{
	(void)state;
	struct shared *w = share();
	w->b = mpx_barrier_new(.parties = N, .action = count_action, .arg = w);
	assert_non_null(w->b);
	run_parties(w, pass_actions, N);
	assert_int_equal(w->actions, 200);
	done_with(w);
}

static void end_all(pid_t *pid, int n)
{
	for (int i = 0; i < n; i++)
		assert_int_equal(wait_child(pid[i]), 0);
}

static void check_broken(struct shared *w)
{
	assert_true(mpx_barrier_broken(w->b));
	assert_int_equal(mpx_barrier_n_waiting(w->b), 0);
	assert_fails(mpx_barrier_wait(w->b, 0), ECANCELED);
	assert_fails(mpx_barrier_wait(w->b, MPX_FOREVER), ECANCELED);
	assert_fails(mpx_barrier_wait(w->b, NAN), EINVAL);
	assert_true(mpx_barrier_broken(w->b));
}

static void check_mended(struct shared *w)
{
	pid_t pid[N];
	assert_ok(mpx_barrier_reset(w->b));
	check_whole(w->b);
	w->wanted = 0;
	w->timeout = 2 * SOON;
	for (int round = 0; round < 2; round++) {
		arrive_all(w, pid, mpx_barrier_parties(w->b) - 1);
		int last = mpx_barrier_parties(w->b) - 1;
		assert_int_equal(mpx_barrier_wait(w->b, SOON), last);
		for (int i = 0; i < last; i++)
			assert_int_equal(wait_child(pid[i]), i);
	}
	check_whole(w->b);
}

static void test_abort(void **state)
{
	(void)state;
	struct shared *w = share_barrier(N);
	pid_t pid[N];
	w->wanted = ECANCELED;
	arrive_all(w, pid, N - 1);
	assert_ok(mpx_barrier_abort(w->b));
	end_all(pid, N - 1);
	assert_int_equal(w->broken, N - 1);
	check_broken(w);
	assert_ok(mpx_barrier_abort(w->b));
	check_mended(w);
	assert_ok(mpx_barrier_abort(w->b)); /* nobody is there */
	check_broken(w);
	done_with(w);
}

static void test_reset(void **state)
{
	(void)state;
	struct shared *w = share_barrier(N);
	pid_t pid[N];
	assert_ok(mpx_barrier_reset(w->b)); /* empty and whole: nothing */
	check_whole(w->b);
	w->wanted = ECANCELED;
	arrive_all(w, pid, N - 1);
	assert_ok(mpx_barrier_reset(w->b));
	assert_false(mpx_barrier_broken(w->b));
	end_all(pid, N - 1);
	assert_int_equal(w->broken, N - 1);
	check_whole(w->b);
	check_mended(w);
	done_with(w);
}

/* Those of before the reset are told, also if they run only when others have come. */
static void test_reset_and_new_parties(void **state)
{
	(void)state;
	struct shared *w = share_barrier(3);
	w->wanted = ECANCELED;
	pid_t before = arrive(w), later[2];
	stop_child(before);
	assert_ok(mpx_barrier_reset(w->b));
	check_whole(w->b);
	for (int i = 0; i < 2; i++) {
		w->wanted = 0;
		later[i] = arrive(w);
	}
	assert_int_equal(mpx_barrier_wait(w->b, SOON), 2);
	for (int i = 0; i < 2; i++)
		assert_int_equal(wait_child(later[i]), i);
	w->wanted = ECANCELED;
	continue_child(before);
	assert_int_equal(wait_child(before), 0);
	assert_int_equal(w->broken, 1);
	done_with(w);
}

static int abort_and_reset(void *arg)
{
	struct shared *w = arg;
	int index = mpx_barrier_wait(w->b, SOON);
	child_check(index >= 0);
	if (index == N / 2)
		child_check(mpx_barrier_abort(w->b) == 0);
	else
		child_fails(mpx_barrier_wait(w->b, SOON), ECANCELED);
	/* Another one is there to meet until it has been mended. */
	if (mpx_barrier_wait(w->other, SOON) == N - 1)
		child_check(mpx_barrier_reset(w->b) == 0);
	child_check(mpx_barrier_wait(w->other, SOON) >= 0);
	index = mpx_barrier_wait(w->b, SOON);
	child_check(index >= 0);
	atomic_fetch_add(&w->sum, index);
	return 0;
}

static void test_abort_and_reset(void **state)
{
	(void)state;
	struct shared *w = share_barrier(N);
	assert_non_null(w->other = mpx_barrier_new(.parties = N));
	run_parties(w, abort_and_reset, N);
	assert_int_equal(w->sum, 10);
	check_whole(w->b);
	done_with(w);
}

static void test_timeout(void **state)
{
	(void)state;
	struct shared *w = share_barrier(N);
	pid_t pid[N];
	w->wanted = ECANCELED;
	arrive_all(w, pid, N - 2);
	assert_times_out(mpx_barrier_wait(w->b, 0.2), 0.2);
	end_all(pid, N - 2);
	assert_int_equal(w->broken, N - 2);
	check_broken(w);
	check_mended(w);
	double some[] = {-1, 0, 0.0001, 0.0123, 0.1};
	for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
		assert_times_out(mpx_barrier_wait(w->b, some[i]), some[i]);
		check_broken(w);
		assert_ok(mpx_barrier_reset(w->b));
	}
	assert_fails(mpx_barrier_wait(w->b, NAN), EINVAL);
	check_whole(w->b);
	done_with(w);
}

static void test_default_timeout(void **state)
{
	(void)state;
	struct shared *w = share();
	w->b = mpx_barrier_new(.parties = N, .timeout = 0.2);
	assert_non_null(w->b);
	assert_times_out(mpx_barrier_wait(w->b, MPX_FOREVER), 0.2);
	check_broken(w);
	assert_ok(mpx_barrier_reset(w->b));
	assert_times_out(mpx_barrier_wait(w->b, 0.6), 0.6); /* its own */
	assert_ok(mpx_barrier_reset(w->b));
	assert_times_out(mpx_barrier_wait(w->b, 0.01), 0.01);
	done_with(w);
}

static void test_single_thread(void **state)
{
	(void)state;
	struct shared *w = share();
	w->b = mpx_barrier_new(.parties = 1, .action = count_action, .arg = w);
	for (int i = 1; i <= 100; i++) {
		assert_int_equal(mpx_barrier_wait(w->b, i % 2 ? 0 : MPX_FOREVER), 0);
		assert_int_equal(w->actions, i);
	}
	check_whole(w->b);
	done_with(w);
}

/* ---- errors ------------------------------------------------------------ */

static void test_options(void **state)
{
	(void)state;
	assert_nothing(mpx_barrier_create(NULL), EINVAL);
	assert_nothing(mpx_barrier_new(.parties = 0), EINVAL);
	assert_nothing(mpx_barrier_new(.parties = 4096), EINVAL);
	assert_nothing(mpx_barrier_new(.parties = UINT_MAX), EINVAL);
	assert_nothing(mpx_barrier_new(.parties = 2, .timeout = NAN), EINVAL);
	assert_nothing(mpx_barrier_create(&(mpx_barrier_options){.parties = 2}), EINVAL);
	unsigned parties[] = {1, 2, 4095};
	for (size_t i = 0; i < 3; i++) {
		mpx_barrier *b = mpx_barrier_new(.parties = parties[i]);
		assert_non_null(b);
		assert_int_equal(mpx_barrier_parties(b), (int)parties[i]);
		check_whole(b);
		mpx_barrier_free(b);
	}
	mpx_barrier *b = mpx_barrier_new(.parties = 1, .timeout = MPX_FOREVER);
	assert_non_null(b);
	assert_int_equal(mpx_barrier_wait(b, MPX_FOREVER), 0);
	mpx_barrier_free(b);
}

static void check_is_none(void *p)
{
	assert_fails(mpx_barrier_wait(p, 0), EINVAL);
	assert_fails(mpx_barrier_wait(p, MPX_FOREVER), EINVAL);
	assert_fails(mpx_barrier_abort(p), EINVAL);
	assert_fails(mpx_barrier_reset(p), EINVAL);
	assert_fails(mpx_barrier_parties(p), EINVAL);
	assert_fails(mpx_barrier_n_waiting(p), EINVAL);
	assert_nothing(mpx_barrier_broken(p), EINVAL);
}

static int free_it(void *arg)
{
	mpx_barrier_free(arg);
	return 0;
}

static void test_bad_pointers(void **state)
{
	(void)state;
	mpx_barrier *b = mpx_barrier_new(.parties = 1);
	struct strangers strangers;
	strangers_make(&strangers, "barrier", b);
	size_t blocks = heap_blocks();
	for (size_t i = 0; i < strangers.n; i++) {
		check_is_none(strangers.p[i]);
		mpx_barrier_free(strangers.p[i]);
	}
	assert_int_equal(heap_blocks(), blocks);
	strangers_done(&strangers);
	check_whole(b);
	assert_int_equal(run_child(free_it, b), 0);
	check_is_none(b);
	mpx_barrier_free(b);
	mpx_barrier_free(NULL);
}

/* ---- parties of all kinds ---------------------------------------------- */

static void test_threads(void **state)
{
	(void)state;
	struct shared *w = share_barrier(N);
	pthread_t t[2];
	pid_t pid[2];
	for (int i = 0; i < 2; i++) {
		t[i] = start_thread(thread_waits, w);
		pid[i] = fork_child(wait_once, w);
	}
	assert_int_not_equal(mpx_barrier_wait(w->b, SOON), -1);
	for (int i = 0; i < 2; i++) {
		end_thread(t[i]);
		assert_true(wait_child(pid[i]) < N);
	}
	check_whole(w->b);
	done_with(w);
}

static void *thread_passes(void *arg)
{
	pass_phases(arg);
	return NULL;
}

static void test_thousand_threads(void **state)
{
	(void)state;
	struct shared *w = share_barrier(N);
	pthread_t t[N];
	w->passes = 1000;
	for (int i = 0; i < N; i++)
		t[i] = start_thread(thread_passes, w);
	for (int i = 0; i < N; i++)
		end_thread(t[i]);
	assert_int_equal(w->sum, 10000);
	done_with(w);
}

static int use_mailbox(void *arg)
{
	struct shared *w = arg;
	child_soon(atomic_load(&w->mailbox));
	return mpx_barrier_wait(w->mailbox, SOON);
}

static void test_made_after_fork(void **state)
{
	(void)state;
	struct shared *w = share();
	pid_t pid = fork_child(use_mailbox, w);
	mpx_barrier *b = mpx_barrier_new(.parties = 2, .action = count_action, .arg = w);
	atomic_store(&w->mailbox, b);
	assert_soon(mpx_barrier_n_waiting(b) == 1);
	assert_int_equal(mpx_barrier_wait(b, SOON), 1);
	assert_int_equal(wait_child(pid), 0);
	assert_int_equal(w->actions, 1);
	mpx_barrier_free(b);
	done_with(w);
}

static int pass_disturbed(void *arg)
{
	disturb(true);
	pass_phases(arg);
	disturb(false);
	return 0;
}

static int time_out_disturbed(void *arg)
{
	struct shared *w = arg;
	disturb(true);
	child_times_out(mpx_barrier_wait(w->b, 0.4), 0.4);
	child_check(disturbances >= 2);
	disturb(false);
	return 0;
}

static void test_signals(void **state)
{
	(void)state;
	struct shared *w = share_barrier(N);
	assert_int_equal(run_child(time_out_disturbed, w), 0);
	assert_ok(mpx_barrier_reset(w->b));
	w->passes = 500;
	run_parties(w, pass_disturbed, N);
	assert_int_equal(w->sum, 5000);
	done_with(w);
}

/* ---- the action -------------------------------------------------------- */

static int fail_action(void *arg)
{
	struct shared *w = arg;
	w->actions++;
	return w->passes;
}

static void test_action_fails(void **state)
{
	(void)state;
	struct shared *w = share();
	pid_t pid[N];
	w->b = mpx_barrier_new(.parties = N, .action = fail_action, .arg = w);
	w->passes = EDOM;
	w->wanted = ECANCELED;
	arrive_all(w, pid, N - 1);
	assert_fails(mpx_barrier_wait(w->b, SOON), EDOM);
	end_all(pid, N - 1);
	assert_int_equal(w->broken, N - 1);
	assert_int_equal(w->actions, 1);
	check_broken(w);
	w->passes = 0;
	check_mended(w);
	done_with(w);
}

/* What it calls: 0 looks, 1 aborts, 2 resets, 3 waits, itself. */
static int busy_action(void *arg)
{
	struct shared *w = arg;
	w->actions++;
	if (mpx_barrier_parties(w->b) != 2 || mpx_barrier_n_waiting(w->b) < 0)
		return EDOM;
	if (w->passes == 0)
		return mpx_barrier_broken(w->b) ? ERANGE : 0;
	if (w->passes == 1)
		return mpx_barrier_abort(w->b) ? errno : 0;
	if (w->passes == 2)
		return mpx_barrier_reset(w->b) ? errno : 0;
	return mpx_barrier_wait(w->b, 0.1) < 0 ? 0 : ERANGE;
}

static int wait_for_any_end(void *arg)
{
	struct shared *w = arg;
	int index = mpx_barrier_wait(w->b, SOON);
	child_check(index == 0 || errno == ECANCELED || errno == ETIMEDOUT);
	return index == 0 ? 0 : 1;
}

/* Nobody hangs, and both parties are told the same. */
static void test_action_uses_barrier(void **state)
{
	(void)state;
	for (int what = 0; what < 4; what++) {
		struct shared *w = share();
		w->b = mpx_barrier_new(.parties = 2, .action = busy_action, .arg = w);
		w->passes = what;
		pid_t pid = fork_child(wait_for_any_end, w);
		assert_soon(mpx_barrier_n_waiting(w->b) == 1);
		double begin = now();
		int index = mpx_barrier_wait(w->b, SOON), error = errno;
		assert_true(index == 1 || error == ECANCELED || error == ETIMEDOUT);
		assert_true(now() - begin < 25);
		int other = wait_child(pid);
		assert_true(other == 0 || other == 1);
		assert_int_equal(w->actions, 1);
		if (what == 0)
			assert_int_equal(index, 1);
		if (what == 1 || what == 2)
			assert_true(index == -1 && error == ECANCELED);
		assert_int_equal(other, index == 1 ? 0 : 1);
		w->passes = 0;
		check_mended(w);
		done_with(w);
	}
}

static int slow_action(void *arg)
{
	struct shared *w = arg;
	double end = now() + SOON;
	w->actions++;
	while (!w->go && now() < end)
		nap();
	return 0;
}

/* Deadlines of those who wait pass while it runs. */
static void test_timeout_during_action(void **state)
{
	(void)state;
	struct shared *w = share();
	w->b = mpx_barrier_new(.parties = 2, .action = slow_action, .arg = w);
	w->timeout = 0.5;
	w->wanted = ETIMEDOUT;
	pid_t impatient = arrive(w);
	w->timeout = SOON;
	w->wanted = ECANCELED;
	pid_t runs = fork_child(wait_once, w);
	/* Which of the two was late is known: the one who had arrived. */
	assert_soon(w->actions == 1);
	w->wanted = ETIMEDOUT;
	assert_int_equal(wait_child(impatient), 0);
	w->wanted = ECANCELED;
	w->go = 1;
	assert_int_equal(wait_child(runs), 0);
	assert_int_equal(w->broken, 2);
	assert_true(mpx_barrier_broken(w->b));
	check_mended(w);
	done_with(w);
}

static int deadly_action(void *arg)
{
	struct shared *w = arg;
	w->actions++;
	if (w->passes)
		raise(SIGKILL);
	return 0;
}

static void test_death_in_action(void **state)
{
	(void)state;
	for (int unreaped = 0; unreaped < 2; unreaped++) {
		struct shared *w = share();
		pid_t pid[N];
		w->b = mpx_barrier_new(.parties = N, .action = deadly_action, .arg = w);
		w->passes = 1;
		w->wanted = ECANCELED;
		w->timeout = MPX_FOREVER;
		arrive_all(w, pid, N - 1);
		pid_t last = fork_child(wait_once, w);
		if (!unreaped)
			assert_int_equal(wait_child(last), -SIGKILL);
		end_all(pid, N - 1);
		assert_int_equal(w->broken, N - 1);
		assert_int_equal(w->actions, 1);
		if (unreaped)
			assert_int_equal(wait_child(last), -SIGKILL);
		check_broken(w);
		w->passes = 0;
		check_mended(w);
		done_with(w);
	}
}

/* ---- deaths ------------------------------------------------------------ */

static void check_dead_party(int which, bool unreaped)
{
	struct shared *w = share_barrier(N);
	pid_t pid[N];
	w->wanted = ECANCELED;
	w->timeout = MPX_FOREVER;
	arrive_all(w, pid, N - 1);
	if (unreaped)
		make_zombie(pid[which]);
	else
		kill_child(pid[which]);
	for (int i = 0; i < N - 1; i++)
		if (i != which)
			assert_int_equal(wait_child(pid[i]), 0);
	assert_int_equal(w->broken, N - 2);
	check_broken(w);
	if (unreaped)
		assert_int_equal(wait_child(pid[which]), -SIGKILL);
	check_mended(w);
	done_with(w);
}

static void test_dead_party(void **state)
{
	(void)state;
	check_dead_party(0, false);
	check_dead_party(2, true);
	check_dead_party(3, false);
}

static void kill_unnoticed(struct shared *w)
{
	kill_child(arrive(w));
	for (int i = 0; i < 4; i++)
		linger();
}

/* Nobody else was there when it died: the next to come is told, and waits not. */
static void test_dead_party_alone(void **state)
{
	(void)state;
	for (int parties = 2; parties <= 3; parties++) {
		struct shared *w = share_barrier((unsigned)parties);
		kill_unnoticed(w);
		assert_fails(mpx_barrier_wait(w->b, MPX_FOREVER), ECANCELED);
		check_broken(w);
		check_mended(w);
		/* Or it was reset meanwhile. */
		kill_unnoticed(w);
		check_mended(w);
		done_with(w);
	}
}

static int reset_for_ever(void *arg)
{
	struct shared *w = arg;
	w->ready = 1;
	for (;;) {
		child_check(mpx_barrier_abort(w->other) == 0);
		child_check(mpx_barrier_reset(w->other) == 0);
		int index = mpx_barrier_wait(w->other, 0);
		child_check(index == 0 || errno == ETIMEDOUT || errno == ECANCELED);
	}
}

/* Stopped anywhere inside a call: nobody hangs once it goes on, and till then deadlines
 * pass. */
static void test_stopped_anywhere(void **state)
{
	(void)state;
	struct shared *w = share();
	w->other = mpx_barrier_new(.parties = 2);
	pid_t pid = fork_child(reset_for_ever, w);
	uint64_t seed = 23;
	assert_soon(w->ready);
	for (int i = 0; i < 20; i++) {
		struct timespec t = {0, (long)(next_random(&seed) % 2000000)};
		nanosleep(&t, NULL);
		stop_child(pid);
		double begin = now();
		int index = mpx_barrier_wait(w->other, 0.05), error = errno;
		assert_true(index == 1 ||
			    (index < 0 && (error == ETIMEDOUT || error == ECANCELED)));
		assert_ok(mpx_barrier_abort(w->other));
		assert_true(mpx_barrier_broken(w->other));
		assert_ok(mpx_barrier_reset(w->other));
		assert_false(mpx_barrier_broken(w->other));
		assert_true(now() - begin < 20);
		continue_child(pid);
	}
	kill_child(pid);
	w->b = w->other;
	w->other = NULL;
	check_mended(w);
	done_with(w);
}

/* A party that has gone through may die; those behind it go on. */
static int wait_and_die(void *arg)
{
	struct shared *w = arg;
	child_check(mpx_barrier_wait(w->b, w->timeout) >= 0);
	raise(SIGKILL);
	return 1;
}

static void test_death_after_passing(void **state)
{
	(void)state;
	struct shared *w = share_barrier(3);
	for (int round = 0; round < 20; round++) {
		pid_t stopped = arrive(w);
		stop_child(stopped);
		pid_t dies = fork_child(wait_and_die, w);
		assert_soon(mpx_barrier_n_waiting(w->b) == 2);
		assert_int_equal(mpx_barrier_wait(w->b, SOON), 2);
		assert_int_equal(wait_child(dies), -SIGKILL);
		continue_child(stopped);
		assert_int_equal(wait_child(stopped), 0);
		check_whole(w->b);
	}
	done_with(w);
}

/* A stopped party is there: it is counted, and the others go on. */
static void test_stopped_party(void **state)
{
	(void)state;
	struct shared *w = share_barrier(3);
	pid_t first = arrive(w);
	stop_child(first);
	pid_t second = arrive(w);
	linger();
	linger();
	linger();
	linger();
	assert_false(mpx_barrier_broken(w->b));
	assert_int_equal(mpx_barrier_wait(w->b, SOON), 2);
	assert_int_equal(wait_child(second), 1);
	/* It sleeps through a phase of others, and through a break. */
	w->wanted = ETIMEDOUT;
	assert_times_out(mpx_barrier_wait(w->b, 0.2), 0.2);
	w->wanted = 0;
	continue_child(first);
	assert_int_equal(wait_child(first), 0);
	assert_true(mpx_barrier_broken(w->b));
	check_mended(w);
	done_with(w);
}

static int pass_for_ever(void *arg)
{
	struct shared *w = arg;
	while (!w->go) {
		int index = mpx_barrier_wait(w->b, 1);
		child_check(index >= 0 || errno == ECANCELED || errno == ETIMEDOUT);
		if (index >= 0)
			w->ready++;
		else if (mpx_barrier_broken(w->b)) /* or all would go on resetting each other */
			child_check(mpx_barrier_reset(w->b) == 0);
	}
	return 0;
}

/* Killed anywhere, replaced, and mended by whoever is told. */
static void test_kill_storm(void **state)
{
	(void)state;
	struct shared *w = share();
	uint64_t seed = 17;
	pid_t pid[3];
	w->b = mpx_barrier_new(.parties = 3, .action = count_action, .arg = w);
	for (int i = 0; i < 3; i++)
		pid[i] = fork_child(pass_for_ever, w);
	for (int round = 0; round < 50; round++) {
		int ready = w->ready, i = (int)(next_random(&seed) % 3);
		struct timespec t = {0, (long)(next_random(&seed) % 1000000)};
		assert_soon(w->ready > ready + 10);
		nanosleep(&t, NULL);
		kill_child(pid[i]);
		pid[i] = fork_child(pass_for_ever, w);
	}
	w->go = 1;
	for (int i = 0; i < 3; i++)
		assert_int_equal(wait_child(pid[i]), 0);
	check_mended(w);
	done_with(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_barrier),
		mpx_test(test_barrier_10),
		mpx_test(test_thousand),
		mpx_test(test_wait_return),
		mpx_test(test_action),
		mpx_test(test_abort),
		mpx_test(test_reset),
		mpx_test(test_reset_and_new_parties),
		mpx_test(test_abort_and_reset),
		mpx_test(test_timeout),
		mpx_test(test_default_timeout),
		mpx_test(test_single_thread),
		mpx_test(test_options),
		mpx_test(test_bad_pointers),
		mpx_test(test_threads),
		mpx_test(test_thousand_threads),
		mpx_test(test_made_after_fork),
		mpx_test(test_signals),
		mpx_test(test_action_fails),
		mpx_test(test_action_uses_barrier),
		mpx_test(test_timeout_during_action),
		mpx_test(test_death_in_action),
		mpx_test(test_dead_party),
		mpx_test(test_dead_party_alone),
		mpx_test(test_death_after_passing),
		mpx_test(test_stopped_party),
		mpx_test(test_stopped_anywhere),
		mpx_test(test_kill_storm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
