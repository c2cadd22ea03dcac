/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * mpx/pool.h, what becomes of tasks that misbehave: timeout of one task (of the
 * pool, of the call, a task that ignores SIGTERM), cancel (waiting, running, ready),
 * retries (of an error, of a death, of a timeout; a task that kills each of its
 * workers), max_tasks_per_child (CPython's _TestPoolWorkerLifetime.
 * test_pool_worker_lifetime), restart_budget, bad options.
 *
 * Seen to fail with these lines broken: late_at() returning INT64_MAX always;
 * word_after_death() without the comparison with job->retries; is_worn_out()
 * returning false; the wait_to_die() of next_job() removed.
 */
#define _POSIX_C_SOURCE 200809L
#include "family.h"

#include <signal.h>

/* Seconds: more than the machine ever keeps from running what does nothing. */
#define AWHILE 1.0

/* What a task is to do, and what it has done; in the family's heap. */
struct plan {
	int action;
	int limit; /* it succeeds from this attempt on */
	atomic_int begun, ended;
	_Atomic(pid_t) pid;
};

enum { WELL, HANG, HANG_HARD, ERROR, DIE, EXIT };

static struct plan *plans_new(int n)
{
	struct plan *p = mpx_calloc((size_t)n, sizeof *p);
	assert_non_null(p);
	return p;
}

/* The output is which attempt it was. */
static int act(const void *in, void *out)
{
	struct plan *p = *(struct plan *const *)in;
	int attempt = atomic_fetch_add(&p->begun, 1) + 1;
	atomic_store(&p->pid, getpid());
	if (!p->limit || attempt < p->limit) {
		switch (p->action) {
		case HANG_HARD:
			signal(SIGTERM, SIG_IGN);
			/* fall through */
		case HANG:
			for (;;)
				pause();
		case ERROR:
			return mpx_fail(EDOM, "attempt %d", attempt);
		case DIE:
			raise(SIGKILL);
			break;
		case EXIT:
			_exit(7);
		default:
			break;
		}
	}
	*(int *)out = attempt;
	atomic_fetch_add(&p->ended, 1);
	return 0;
}

/* Ten plans of which [3] misbehaves; their addresses as input. */
static struct plan *one_in_ten(struct plan **in, int action, int limit)
{
	struct plan *p = plans_new(10);
	for (int i = 0; i < 10; i++)
		in[i] = &p[i];
	p[3].action = action;
	p[3].limit = limit;
	return p;
}

static void others_ran_once(struct plan *p, const int *out)
{
	for (int i = 0; i < 10; i++) {
		if (i == 3)
			continue;
		assert_int_equal(atomic_load(&p[i].begun), 1);
		assert_int_equal(atomic_load(&p[i].ended), 1);
		assert_int_equal(out[i], 1);
	}
}

static void timed(int action, size_t chunksize)
{
	struct plan *in[10], *p = one_in_ten(in, action, 0);
	int out[10];
	mpx_failure f;
	mpx_pool *pool = pool_of(2);
	double begin = now();
	assert_fails(mpx_pool_map_sized(pool, act, in, sizeof *in, out, sizeof *out, 10,
					MPX_TASK(.timeout = AWHILE, .chunksize = chunksize)),
		     ETIMEDOUT);
	assert_true(now() - begin >= AWHILE);
	assert_ok(mpx_pool_last_failure(pool, &f));
	assert_int_equal(f.index, 3);
	assert_int_equal(f.error, ETIMEDOUT);
	assert_int_equal(f.pid, atomic_load(&p[3].pid));
	assert_int_equal(f.signal, action == HANG_HARD ? SIGKILL : SIGTERM);
	assert_int_equal(atomic_load(&p[3].begun), 1);
	others_ran_once(p, out);
	assert_false(pid_running(f.pid));
	unsigned x = 6, y = 0;
	assert_ok(mpx_pool_apply(pool, square, &x, &y));
	assert_int_equal(y, 36);
	mpx_pool_free(pool);
	mpx_free(p);
}

static void test_timeout(void **state)
{
	(void)state;
	timed(HANG, 1);
	timed(HANG, 5);
	timed(HANG, 100);
}

static void test_timeout_ignores_sigterm(void **state)
{
	(void)state;
	timed(HANG_HARD, 1);
}

static void test_timeout_of_the_pool(void **state)
{
	(void)state;
	struct plan *in[10], *p = one_in_ten(in, HANG, 0);
	int out[10];
	mpx_pool *pool = mpx_pool_new(.processes = 2, .task_timeout = AWHILE);
	assert_non_null(pool);
	assert_fails(mpx_pool_map(pool, act, in, out, 10), ETIMEDOUT);
	others_ran_once(p, out);
	/* the call's own goes before: for ever */
	mpx_result *r = mpx_pool_apply_async(pool, act, &in[3], sizeof *in, sizeof *out,
					     MPX_TASK(.timeout = MPX_FOREVER));
	assert_non_null(r);
	assert_times_out(mpx_result_wait(r, 1.5 * AWHILE), 1.5 * AWHILE);
	assert_ok(mpx_result_cancel(r));
	mpx_result_free(r);
	mpx_pool_free(pool);
	mpx_free(p);
}

/* Tasks that end just in time, again and again: none is taken for late, and who is
 * late is not mistaken for the next. */
static int nap_briefly(const void *in, void *out)
{
	double end = now() + *(const double *)in;
	while (now() < end)
		nap();
	*(double *)out = 1;
	return 0;
}

static void test_timeouts_in_a_row(void **state)
{
	(void)state;
	enum { N = 36 };
	double in[N], out[N];
	mpx_pool *pool = pool_of(2);
	for (int i = 0; i < N; i++) {
		in[i] = i % 6 == 5 ? 60 : 0;
		out[i] = 0;
	}
	assert_fails(mpx_pool_map_sized(pool, nap_briefly, in, sizeof *in, out, sizeof *out, N,
					MPX_TASK(.timeout = AWHILE, .chunksize = 12)),
		     ETIMEDOUT);
	for (int i = 0; i < N; i++)
		if (i % 6 != 5 && out[i] != 1)
			fail_msg("item %d did not run", i);
	mpx_pool_free(pool);
}

static void test_cancel_running(void **state)
{
	(void)state;
	struct plan *p = plans_new(1);
	int out;
	mpx_failure f;
	mpx_pool *pool = pool_of(2);
	p->action = HANG;
	for (int round = 0; round < 5; round++) {
		mpx_result *r = mpx_pool_apply_async(pool, act, &p, sizeof p, sizeof out, NULL);
		assert_non_null(r);
		assert_soon(atomic_load(&p->begun) == round + 1);
		assert_ok(mpx_result_cancel(r));
		assert_true(mpx_result_ready(r));
		assert_false(mpx_result_successful(r));
		assert_fails(mpx_result_get(r, &out, 0), ECANCELED);
		assert_ok(mpx_result_failure(r, &f));
		assert_int_equal(f.error, ECANCELED);
		assert_fails(mpx_result_cancel(r), EBUSY);
		mpx_result_free(r);
		assert_soon(!pid_running(atomic_load(&p->pid)));
		unsigned x = 3, y = 0;
		assert_ok(mpx_pool_apply(pool, square, &x, &y));
		assert_int_equal(y, 9);
	}
	mpx_pool_free(pool);
	mpx_free(p);
}

static void test_cancel_waiting(void **state)
{
	(void)state;
	struct plan *p = plans_new(12), *in[12];
	int out[12];
	mpx_pool *pool = pool_of(1);
	struct gate *g = gate_new();
	mpx_result *first = mpx_pool_apply_async(pool, pass_gate, &g, sizeof g, 0, NULL);
	assert_non_null(first);
	for (int i = 0; i < 12; i++)
		in[i] = &p[i];
	mpx_result *many = mpx_pool_map_async(pool, act, in, sizeof *in, 10, sizeof *out, NULL);
	mpx_result *last = mpx_pool_apply_async(pool, act, &in[11], sizeof *in, sizeof *out, NULL);
	assert_non_null(many);
	assert_non_null(last);
	assert_ok(mpx_result_cancel(many));
	assert_fails(mpx_result_get(many, out, 0), ECANCELED);
	atomic_store(&g->open, true);
	assert_ok(mpx_result_get(first, NULL, SOON));
	assert_ok(mpx_result_get(last, out, SOON));
	for (int i = 0; i < 10; i++)
		assert_int_equal(atomic_load(&p[i].begun), 0);
	assert_fails(mpx_result_cancel(last), EBUSY);
	assert_ok(mpx_result_get(last, out, 0));
	assert_fails(mpx_result_cancel(NULL), EINVAL);
	mpx_result_free(first);
	mpx_result_free(many);
	mpx_result_free(last);
	mpx_pool_free(pool);
	assert_fails(mpx_result_cancel(many), EINVAL);
	mpx_free(p);
	mpx_free(g);
}

/* It fails twice, then goes well. */
static void retried(int action, int expected_errno)
{
	struct plan *in[10], *p = one_in_ten(in, action, 3);
	int out[10];
	double timeout = action == HANG ? AWHILE : SOON;
	mpx_failure f;
	mpx_pool *pool = pool_of(2);
	for (size_t chunksize = 1; chunksize <= 10; chunksize += action == HANG ? 9 : 3) {
		for (int i = 0; i < 10; i++)
			p[i].begun = p[i].ended = 0;
		assert_ok(mpx_pool_map_sized(
			pool, act, in, sizeof *in, out, sizeof *out, 10,
			MPX_TASK(.retries = 2, .timeout = timeout, .chunksize = chunksize)));
		assert_int_equal(out[3], 3);
		others_ran_once(p, out);
	}
	/* One attempt too few, then a task that never goes well. */
	for (int limit = 3; limit >= 0; limit -= 3) {
		for (int i = 0; i < 10; i++)
			p[i].begun = p[i].ended = 0;
		p[3].limit = limit;
		assert_fails(mpx_pool_map_sized(pool, act, in, sizeof *in, out, sizeof *out, 10,
						MPX_TASK(.retries = 1, .timeout = timeout)),
			     expected_errno);
		assert_ok(mpx_pool_last_failure(pool, &f));
		assert_int_equal(f.index, 3);
		assert_int_equal(atomic_load(&p[3].begun), 2);
		others_ran_once(p, out);
	}
	mpx_pool_free(pool);
	mpx_free(p);
}

static void test_retries_of_an_error(void **state)
{
	(void)state;
	retried(ERROR, EDOM);
}

static void test_retries_of_a_death(void **state)
{
	(void)state;
	retried(DIE, EOWNERDEAD);
	retried(EXIT, EOWNERDEAD);
}

static void test_retries_of_a_timeout(void **state)
{
	(void)state;
	retried(HANG, ETIMEDOUT);
}

static void test_retries_of_the_pool(void **state)
{
	(void)state;
	struct plan *p = plans_new(1);
	int out = 0;
	mpx_pool *pool = mpx_pool_new(.processes = 1, .retries = 4);
	assert_non_null(pool);
	p->action = DIE;
	p->limit = 5;
	assert_ok(mpx_pool_apply(pool, act, &p, &out));
	assert_int_equal(out, 5);
	p->begun = 0;
	assert_fails(mpx_pool_map_sized(pool, act, &p, sizeof p, &out, sizeof out, 1,
					MPX_TASK(.retries = -1)),
		     EOWNERDEAD);
	assert_int_equal(atomic_load(&p->begun), 1);
	mpx_pool_free(pool);
	mpx_free(p);
}

static int whose(const void *in, void *out)
{
	(void)in;
	*(pid_t *)out = getpid();
	return 0;
}

static void test_max_tasks_per_child(void **state)
{
	(void)state;
	enum { N = 60, MOST = 7 };
	pid_t out[N];
	mpx_pool *pool = mpx_pool_new(.processes = 2, .max_tasks_per_child = MOST);
	assert_non_null(pool);
	for (size_t chunksize = 0; chunksize <= 8; chunksize += 4) {
		assert_ok(mpx_pool_map_sized(pool, whose, NULL, 0, out, sizeof *out, N,
					     MPX_TASK(.chunksize = chunksize)));
		for (int i = 0; i < N; i++) {
			int tasks = 0;
			for (int k = 0; k < N; k++)
				tasks += out[k] == out[i];
			/* whole chunks, so less than one more */
			assert_true(tasks < MOST + (chunksize > MOST ? MOST : (int)chunksize + 1));
		}
	}
	/* through apply: exactly */
	pid_t before = 0, pid = 0;
	int run = 0;
	mpx_pool_free(pool);
	pool = mpx_pool_new(.processes = 1, .max_tasks_per_child = 3);
	assert_non_null(pool);
	for (int i = 0; i < 12; i++) {
		assert_ok(mpx_pool_map_sized(pool, whose, NULL, 0, &pid, sizeof pid, 1, NULL));
		run = pid == before ? run + 1 : 1;
		assert_int_equal(run, i % 3 + 1);
		before = pid;
	}
	mpx_pool_free(pool);
}

static int count_and_fail(void *arg)
{
	atomic_fetch_add((atomic_int *)arg, 1);
	return EIO;
}

static void test_restart_budget(void **state)
{
	(void)state;
	atomic_int *starts = mpx_calloc(1, sizeof *starts);
	unsigned x = 2, y;
	mpx_failure f;
	assert_non_null(starts);
	for (int budget = 1; budget <= 20; budget += 19) {
		atomic_store(starts, 0);
		mpx_pool *pool = mpx_pool_new(.processes = 2, .initializer = count_and_fail,
					      .initargs = (void *)starts, .restart_budget = budget);
		assert_non_null(pool);
		assert_fails(mpx_pool_apply(pool, square, &x, &y), EIO);
		assert_ok(mpx_pool_last_failure(pool, &f));
		assert_int_equal(f.error, EIO);
		assert_true(f.message[0] != '\0');
		mpx_pool_free(pool);
		assert_true(atomic_load(starts) >= budget && atomic_load(starts) <= budget + 2);
	}
	mpx_free((void *)starts);
}

static void test_bad_options(void **state)
{
	(void)state;
	unsigned x = 2, y = 0;
	mpx_pool *pool = pool_of(1);
	const mpx_task_options bad[] = {
		{.size = sizeof bad[0], .timeout = -1},
		{.size = sizeof bad[0], .timeout = NOT_A_NUMBER},
		{.size = sizeof bad[0], .retries = -2},
		{.size = sizeof bad[0], .retries = 256},
		{.size = 0},
	};
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		assert_fails(
			mpx_pool_map_sized(pool, square, &x, sizeof x, &y, sizeof y, 1, &bad[i]),
			EINVAL);
		assert_null(mpx_pool_map_async(pool, square, &x, sizeof x, 1, sizeof y, &bad[i]));
		assert_int_equal(errno, EINVAL);
	}
	assert_ok(mpx_pool_apply(pool, square, &x, &y));
	mpx_pool_free(pool);
	assert_null(mpx_pool_new(.task_timeout = -1));
	assert_int_equal(errno, EINVAL);
	assert_null(mpx_pool_new(.task_timeout = NOT_A_NUMBER));
	assert_int_equal(errno, EINVAL);
	assert_null(mpx_pool_new(.retries = -1));
	assert_int_equal(errno, EINVAL);
	assert_null(mpx_pool_new(.retries = 256));
	assert_int_equal(errno, EINVAL);
	assert_null(mpx_pool_new(.restart_budget = -1));
	assert_int_equal(errno, EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_timeout),
		mpx_test(test_timeout_ignores_sigterm),
		mpx_test(test_timeout_of_the_pool),
		mpx_test(test_timeouts_in_a_row),
		mpx_test(test_cancel_running),
		mpx_test(test_cancel_waiting),
		mpx_test(test_retries_of_an_error),
		mpx_test(test_retries_of_a_death),
		mpx_test(test_retries_of_a_timeout),
		mpx_test(test_retries_of_the_pool),
		mpx_test(test_max_tasks_per_child),
		mpx_test(test_restart_budget),
		mpx_test(test_bad_options),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
