/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_pool_timeout.c - mpx/pool.h, .soft_signal: the first rung of a timeout's ladder.
 *
 *   A task that cleans up and returns keeps its worker, with the handler its own or the
 *   initializer's, and has failed with ETIMEDOUT and its own words; .grace; retries; who goes
 *   on all the same gets SIGTERM, then SIGKILL; without a handler, or when the handler dies,
 *   the worker is replaced, and that breaks no pool; cancel in between; items that end just
 *   when their time is over: the signal comes once, and to no other; back ends without it.
 *
 * Seen to fail with these lines changed: was_late() that does not wait for MPX__WARNED;
 * reason_of() without the look at expires; end_late() sending it again instead of condemning;
 * run_item() returning what the task did; send_soft_signal() without the look at grace.
 */
#define _POSIX_C_SOURCE 200809L
#include "family.h"

#include <signal.h>

enum { TOLD = 8 };

/* Where nothing but the soft signal is to come, however busy the machine. */
#define GRACE (2 * SOON)

/* What a task shall do, and has done; in the family's heap. */
struct plan {
	enum {
		RETURNS,
		SPEAKS,
		FAILS,
		TAKES_TIME,
		GOES_ON,
		GOES_ON_HARD,
		NO_HANDLER,
		DIES,
		ONCE
	} action;
	atomic_int begun;
	atomic_int signals;
	int signal[TOLD]; /* in the order in which they came */
};

static struct plan *volatile current;

static void on_signal(int number)
{
	struct plan *p = current;
	int n = atomic_fetch_add(&p->signals, 1);
	if (n < TOLD)
		p->signal[n] = number;
	if (p->action == DIES)
		raise(SIGKILL);
}

static int handle_usr1(void *args)
{
	struct sigaction action;
	memset(&action, 0, sizeof action);
	action.sa_handler = args ? SIG_DFL : on_signal;
	return sigaction(SIGUSR1, &action, NULL);
}

static int run_late(const void *in, void *out)
{
	struct plan *p = *(struct plan *const *)in;
	int attempt = atomic_fetch_add(&p->begun, 1);
	double end = now() + 2 * SOON;
	current = p;
	*(pid_t *)out = getpid();
	handle_usr1(p->action == NO_HANDLER ? p : NULL);
	if (p->action == GOES_ON_HARD)
		signal(SIGTERM, on_signal);
	while (p->action != ONCE || attempt == 0) {
		if (now() > end)
			return EIO;
		if (atomic_load(&p->signals) && p->action != GOES_ON && p->action != GOES_ON_HARD)
			break;
		nap();
	}
	end = now() + 1.3;
	while (p->action == TAKES_TIME && now() < end)
		nap();
	if (p->action == SPEAKS)
		return mpx_fail(EINTR, "was at row 7");
	return p->action == FAILS ? EDOM : 0;
}

static struct plan *plan_new(int action)
{
	struct plan *p = mpx_calloc(1, sizeof *p);
	assert_non_null(p);
	p->action = action;
	return p;
}

static mpx_failure late(mpx_pool *pool, struct plan *p, double grace)
{
	mpx_failure f;
	pid_t pid = 0;
	assert_fails(mpx_pool_map_sized(
			     pool, run_late, &p, sizeof p, &pid, sizeof pid, 1,
			     MPX_TASK(.timeout = 1, .soft_signal = SIGUSR1, .grace = grace)),
		     ETIMEDOUT);
	assert_ok(mpx_pool_last_failure(pool, &f));
	assert_int_equal(f.error, ETIMEDOUT);
	assert_int_equal(f.index, 0);
	assert_int_equal(atomic_load(&p->begun), 1);
	return f;
}

static pid_t worker_of(mpx_pool *pool)
{
	pid_t pid = 0;
	struct plan *p = plan_new(ONCE);
	atomic_store(&p->begun, 1); /* returns at once */
	assert_ok(mpx_pool_apply(pool, run_late, &p, &pid));
	mpx_free(p);
	return pid;
}

static unsigned long long died(mpx_pool *pool)
{
	mpx_pool_statistics s;
	assert_ok(mpx_pool_stats(pool, &s));
	return s.died;
}

static void test_worker_goes_on(void **state)
{
	(void)state;
	static const char *const said[] = {[RETURNS] = "ran longer than its timeout",
					   [SPEAKS] = "was at row 7",
					   [FAILS] = "ran longer than its timeout",
					   [TAKES_TIME] = "ran longer than its timeout"};
	mpx_pool *pool = pool_of(1);
	pid_t pid = worker_of(pool);
	for (int action = RETURNS; action <= TAKES_TIME; action++) {
		struct plan *p = plan_new(action);
		mpx_failure f = late(pool, p, GRACE);
		assert_int_equal(f.pid, pid);
		assert_int_equal(f.signal, 0);
		assert_int_equal(f.exit_status, -1);
		assert_string_equal(f.message, said[action]);
		assert_int_equal(atomic_load(&p->signals), 1);
		assert_int_equal(p->signal[0], SIGUSR1);
		assert_int_equal(worker_of(pool), pid);
		mpx_free(p);
	}
	assert_int_equal(died(pool), 0);
	mpx_pool_free(pool);
}

static int wait_for_signal(const void *in, void *out)
{
	double end = now() + SOON;
	current = *(struct plan *const *)in;
	*(pid_t *)out = getpid();
	while (!atomic_load(&current->signals) && now() < end)
		nap();
	return 0;
}

/* The others of its chunk run after it, in the same worker. */
static void test_handler_of_the_initializer(void **state)
{
	(void)state;
	enum { N = 9 };
	struct plan *p[N];
	pid_t pids[N];
	mpx_failure f;
	mpx_pool *pool = mpx_pool_new(.processes = 1, .initializer = handle_usr1);
	assert_non_null(pool);
	for (int i = 0; i < N; i++) {
		p[i] = plan_new(RETURNS);
		atomic_store(&p[i]->signals, i != 4);
	}
	assert_fails(mpx_pool_map_sized(pool, wait_for_signal, p, sizeof *p, pids, sizeof *pids, N,
					MPX_TASK(.timeout = 1, .soft_signal = SIGUSR1,
						 .grace = GRACE, .chunksize = N)),
		     ETIMEDOUT);
	assert_ok(mpx_pool_last_failure(pool, &f));
	assert_int_equal(f.index, 4);
	for (int i = 0; i < N; i++) {
		assert_int_equal(pids[i], pids[0]);
		mpx_free(p[i]);
	}
	mpx_pool_free(pool);
}

/* The second and the third rung. */
static void test_goes_on_all_the_same(void **state)
{
	(void)state;
	for (int action = GOES_ON; action <= GOES_ON_HARD; action++) {
		bool hard = action == GOES_ON_HARD;
		struct plan *p = plan_new(action);
		mpx_pool *pool = pool_of(1);
		pid_t pid = worker_of(pool);
		double begin = now();
		mpx_failure f = late(pool, p, hard ? 0 : 0.2);
		assert_true(now() - begin >= (hard ? 3 : 1.2));
		assert_int_equal(f.pid, pid);
		assert_int_equal(f.signal, hard ? SIGKILL : SIGTERM);
		assert_int_equal(p->signal[0], SIGUSR1);
		assert_int_equal(atomic_load(&p->signals), hard ? 2 : 1);
		if (hard)
			assert_int_equal(p->signal[1], SIGTERM);
		assert_int_not_equal(worker_of(pool), pid);
		mpx_pool_free(pool);
		mpx_free(p);
	}
}

static void test_signal_that_kills(void **state)
{
	(void)state;
	for (int action = NO_HANDLER; action <= DIES; action++) {
		struct plan *p = plan_new(action);
		mpx_pool *pool = mpx_pool_new(.processes = 1, .break_on_death = true);
		assert_non_null(pool);
		pid_t pid = worker_of(pool);
		mpx_failure f = late(pool, p, GRACE);
		assert_int_equal(f.pid, pid);
		assert_int_equal(f.signal, action == DIES ? SIGKILL : SIGUSR1);
		assert_string_equal(f.message, "ran longer than its timeout");
		assert_int_not_equal(worker_of(pool), pid);
		assert_int_equal(died(pool), 1);
		mpx_pool_free(pool);
		mpx_free(p);
	}
}

static void test_retries(void **state)
{
	(void)state;
	mpx_pool *pool = pool_of(1);
	mpx_pool_statistics s;
	pid_t pid = worker_of(pool), got = 0;
	struct plan *p = plan_new(ONCE);
	assert_ok(mpx_pool_map_sized(
		pool, run_late, &p, sizeof p, &got, sizeof got, 1,
		MPX_TASK(.timeout = 1, .soft_signal = SIGUSR1, .grace = GRACE, .retries = 1)));
	assert_int_equal(got, pid);
	assert_int_equal(atomic_load(&p->begun), 2);
	assert_int_equal(atomic_load(&p->signals), 1);
	assert_ok(mpx_pool_stats(pool, &s));
	assert_int_equal(s.retried, 1);
	assert_int_equal(s.died, 0);
	assert_int_equal(s.failed, 0);
	/* Likewise if that costs the worker. */
	p->action = NO_HANDLER;
	atomic_store(&p->begun, 0);
	atomic_store(&p->signals, 0);
	assert_fails(mpx_pool_map_sized(pool, run_late, &p, sizeof p, &got, sizeof got, 1,
					MPX_TASK(.timeout = 1, .soft_signal = SIGUSR1,
						 .grace = GRACE, .retries = 2)),
		     ETIMEDOUT);
	assert_int_equal(atomic_load(&p->begun), 3);
	assert_int_equal(died(pool), 3);
	mpx_pool_free(pool);
	mpx_free(p);
}

/* Between the soft signal and SIGTERM. */
static void test_cancel_in_between(void **state)
{
	(void)state;
	mpx_pool *pool = pool_of(1);
	struct plan *p = plan_new(GOES_ON);
	pid_t pid = worker_of(pool);
	mpx_result *r = mpx_pool_apply_async(
		pool, run_late, &p, sizeof p, sizeof pid,
		MPX_TASK(.timeout = 1, .soft_signal = SIGUSR1, .grace = MPX_FOREVER));
	assert_non_null(r);
	assert_soon(atomic_load(&p->signals) == 1);
	assert_ok(mpx_result_cancel(r));
	assert_fails(mpx_result_get(r, NULL, 0), ECANCELED);
	mpx_result_free(r);
	assert_int_not_equal(worker_of(pool), pid);
	assert_int_equal(died(pool), 1);
	mpx_pool_free(pool);
	mpx_free(p);
}

/* --- just in time, or just not ----------------------------------------------------------- */

static atomic_int *got; /* of each item, in the family's heap */

static void count_signal(int number)
{
	(void)number;
	atomic_fetch_add(&got[mpx_task_index()], 1);
}

static int count_usr1(void *args)
{
	struct sigaction action;
	(void)args;
	memset(&action, 0, sizeof action);
	action.sa_handler = count_signal;
	return sigaction(SIGUSR1, &action, NULL);
}

static int take_about(const void *in, void *out)
{
	double end = now() + *(const double *)in;
	(void)out;
	while (now() < end)
		;
	return 0;
}

static void test_no_other_item_gets_it(void **state)
{
	(void)state;
	enum { N = 800 };
	static const double timeout = 0.004;
	static double in[N];
	uint64_t seed = 5;
	mpx_failure f;
	int late = 0;
	assert_non_null(got = mpx_calloc(N, sizeof *got));
	for (int i = 0; i < N; i++)
		in[i] = timeout - 0.0002 + (double)(next_random(&seed) % 400) * 1e-6;
	mpx_pool *pool = mpx_pool_new(.processes = 3, .initializer = count_usr1);
	assert_non_null(pool);
	mpx_imap *it = mpx_pool_imap(pool, take_about, in, sizeof *in, N, 0,
				     MPX_TASK(.timeout = timeout, .soft_signal = SIGUSR1,
					      .grace = GRACE, .chunksize = 20));
	assert_non_null(it);
	for (int i = 0; i < N; i++) {
		bool failed = mpx_imap_next(it, NULL, SOON) != 1;
		if (failed) {
			assert_ok(mpx_imap_failure(it, &f));
			assert_int_equal(f.error, ETIMEDOUT);
		}
		if (atomic_load(&got[i]) != failed)
			fail_msg("item %d %s, signals: %d", i, failed ? "failed" : "went well",
				 (int)got[i]);
		late += failed;
	}
	assert_int_equal(mpx_imap_next(it, NULL, SOON), 0);
	assert_true(late > 0);
	mpx_imap_free(it);
	mpx_pool_free(pool);
	mpx_free(got);
}

/* --- options ----------------------------------------------------------------------------- */

static void test_other_back_ends(void **state)
{
	(void)state;
	static const mpx_backend backends[] = {MPX_BACKEND_THREADS, MPX_BACKEND_SERIAL};
	double in = 0.05;
	for (int i = 0; i < 2; i++) {
		mpx_pool *pool = mpx_pool_new(.processes = 1, .backend = backends[i]);
		assert_non_null(pool);
		assert_ok(mpx_pool_map_sized(pool, take_about, &in, sizeof in, NULL, 0, 1,
					     MPX_TASK(.timeout = 0.001, .soft_signal = SIGUSR1)));
		mpx_pool_free(pool);
	}
}

static void test_bad_signals(void **state)
{
	(void)state;
	static const int wrong[] = {-1, -SIGTERM, 1000, INT32_MAX, INT32_MIN};
	double in = 0;
	mpx_pool *pool = pool_of(1);
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		assert_nothing(mpx_pool_apply_async(pool, take_about, &in, sizeof in, 0,
						    MPX_TASK(.soft_signal = wrong[i])),
			       EINVAL);
	/* Without a timeout it is never sent. */
	assert_ok(mpx_pool_map_sized(pool, take_about, &in, sizeof in, NULL, 0, 1,
				     MPX_TASK(.soft_signal = SIGKILL)));
	mpx_pool_free(pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_worker_goes_on),
		mpx_test(test_handler_of_the_initializer),
		mpx_test(test_goes_on_all_the_same),
		mpx_test(test_signal_that_kills),
		mpx_test(test_retries),
		mpx_test(test_cancel_in_between),
		mpx_test(test_no_other_item_gets_it),
		mpx_test(test_other_back_ends),
		mpx_test(test_bad_signals),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
