/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_pool_end.c - mpx/pool.h, close, join, terminate, free:
 *
 *   close: EBUSY afterwards, what was submitted runs, twice; join: EBUSY before,
 *   ETIMEDOUT, repeated; terminate: ECANCELED at once, also for a map under way and
 *   for tasks that ignore SIGTERM; SIGTERM first; 10000 slow tasks queued (as
 *   CPython's own test); close, terminate and free in every order; results that outlive the
 *   pool, and others that are freed by another process while the pool is.
 *
 * Seen to fail with, in src/pool/job.c: the pool's block freed in mpx__job_orphan_all(); never
 * freed in mpx__pool_unlock().
 *
 * CPython's _TestPool: test_terminate, test_enter, test_context, test_async_timeout (its
 * end); _TestPoolWorkerLifetime: test_pool_worker_lifetime_early_close.
 */
#define _POSIX_C_SOURCE 200809L

#include "family.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

static void refuses_work(mpx_pool *pool)
{
	unsigned x = 2, y;
	assert_fails(mpx_pool_map(pool, square, &x, &y, 1), EBUSY);
	assert_fails(mpx_pool_apply(pool, square, &x, &y), EBUSY);
	assert_nothing(mpx_pool_apply_async(pool, square, &x, sizeof x, sizeof y, NULL), EBUSY);
	assert_nothing(mpx_pool_map_async(pool, square, &x, sizeof x, 1, sizeof y, NULL), EBUSY);
}

static void test_close(void **state)
{
	(void)state;
	enum { N = 200 };
	struct gate *g = gate_new(), *in[N];
	for (int i = 0; i < N; i++)
		in[i] = g;
	mpx_pool *pool = pool_of(2);
	mpx_result *r = mpx_pool_map_async(pool, pass_gate, in, sizeof *in, N, 0, NULL);
	mpx_result *last = mpx_pool_apply_async(pool, square, &(unsigned){5}, 4, 4, NULL);
	assert_non_null(r);
	assert_non_null(last);
	assert_soon(atomic_load(&g->entered) == 2);
	assert_fails(mpx_pool_join(pool, 0), EBUSY); /* not closed yet */
	assert_fails(mpx_pool_join(pool, MPX_FOREVER), EBUSY);
	assert_ok(mpx_pool_close(pool));
	refuses_work(pool);
	assert_ok(mpx_pool_close(pool));
	assert_fails(mpx_pool_join(pool, NOT_A_NUMBER), EINVAL);
	assert_times_out(mpx_pool_join(pool, 0), 0);
	assert_times_out(mpx_pool_join(pool, -1), 0);
	assert_times_out(mpx_pool_join(pool, 0.2), 0.2);
	assert_false(mpx_result_ready(r));
	atomic_store(&g->open, true);
	assert_ok(mpx_pool_join(pool, SOON)); /* after all of it has run */
	assert_int_equal(atomic_load(&g->left), N);
	unsigned y = 0;
	assert_ok(mpx_result_get(last, &y, 0));
	assert_int_equal(y, 25);
	assert_ok(mpx_result_get(r, NULL, 0));
	assert_ok(mpx_pool_join(pool, 0));
	assert_ok(mpx_pool_join(pool, MPX_FOREVER));
	refuses_work(pool);
	assert_int_equal(mpx_pool_processes(pool), 2);
	mpx_result_free(r);
	mpx_result_free(last);
	mpx_pool_free(pool);
	mpx_free(g);
}

static void test_close_at_once(void **state)
{
	(void)state;
	for (int i = 0; i < 30; i++) {
		unsigned x = 5, y = 0;
		mpx_pool *pool = pool_of(3);
		mpx_result *r = NULL;
		if (i % 2)
			assert_non_null(r = mpx_pool_apply_async(pool, square, &x, 4, 4, NULL));
		assert_ok(mpx_pool_close(pool));
		if (i % 3)
			assert_ok(mpx_pool_join(pool, SOON));
		if (r && i % 3) {
			assert_ok(mpx_result_get(r, &y, 0));
			assert_int_equal(y, 25);
		}
		mpx_pool_free(pool);
		if (r)
			assert_true(mpx_result_ready(r));
		mpx_result_free(r);
	}
}

static int tell_pid(const void *in, void *out)
{
	(void)in;
	*(pid_t *)out = getpid();
	return 0;
}

/* A worker that has just found nothing to do, and then that the pool is closed, looks again
 * for what came in between. (Otherwise another one had to be started for it.) */
static void test_close_right_after_submit(void **state)
{
	(void)state;
	for (int i = 0; i < 100; i++) {
		mpx_pool *pool = pool_of(1);
		pid_t first = 0, second = 0;
		mpx_result *r = mpx_pool_apply_async(pool, tell_pid, NULL, 0, sizeof first, NULL);
		assert_ok(mpx_result_get(r, &first, SOON));
		mpx_result_free(r);
		r = mpx_pool_apply_async(pool, tell_pid, NULL, 0, sizeof second, NULL);
		assert_non_null(r);
		assert_ok(mpx_pool_close(pool));
		assert_ok(mpx_result_get(r, &second, SOON));
		assert_int_equal(first, second);
		mpx_result_free(r);
		mpx_pool_free(pool);
	}
}

/* test_pool_worker_lifetime_early_close: workers are replaced after close, too. */
static void test_close_before_workers_wear_out(void **state)
{
	(void)state;
	enum { N = 12 };
	struct gate *g = gate_new();
	mpx_result *r[N], *last[N];
	mpx_pool *pool = mpx_pool_new(.processes = 3, .max_tasks_per_child = 1);
	assert_non_null(pool);
	for (int i = 0; i < N; i++)
		r[i] = mpx_pool_apply_async(pool, pass_gate, &g, sizeof g, 0, NULL);
	for (unsigned i = 0; i < N; i++)
		last[i] = mpx_pool_apply_async(pool, square, &i, sizeof i, sizeof i, NULL);
	assert_soon(atomic_load(&g->entered) == 3);
	assert_ok(mpx_pool_close(pool));
	assert_times_out(mpx_pool_join(pool, 0), 0);
	atomic_store(&g->open, true);
	assert_ok(mpx_pool_join(pool, SOON));
	assert_int_equal(atomic_load(&g->left), N);
	for (unsigned i = 0; i < N; i++) {
		unsigned y = 0;
		assert_ok(mpx_result_get(r[i], NULL, 0));
		assert_ok(mpx_result_get(last[i], &y, 0));
		assert_int_equal(y, i * i);
		mpx_result_free(r[i]);
		mpx_result_free(last[i]);
	}
	mpx_pool_free(pool);
	mpx_free(g);
}

static pid_t *worker_pids; /* in the family's heap; set before the pool is made */
static struct gate *steps;

/* Cannot be ended by SIGTERM; tells when one came. */
static void count_term(int sig)
{
	static volatile sig_atomic_t told;
	(void)sig;
	if (!told)
		atomic_fetch_add(&steps->left, 1);
	told = 1;
}

static int stubborn(const void *in, void *out)
{
	struct sigaction sa = {.sa_handler = count_term};
	double end = now() + 2 * SOON;
	(void)out;
	sigemptyset(&sa.sa_mask);
	sigaction(SIGTERM, &sa, NULL);
	worker_pids[*(const int *)in] = getpid();
	atomic_fetch_add(&steps->entered, 1);
	while (now() < end)
		nap();
	return 0;
}

static void test_terminate_stubborn_tasks(void **state)
{
	(void)state;
	enum { N = 3, M = 50 };
	int in[M];
	mpx_failure f;
	steps = gate_new();
	assert_non_null(worker_pids = mpx_calloc(M, sizeof *worker_pids));
	for (int i = 0; i < M; i++)
		in[i] = i;
	mpx_pool *pool = pool_of(N);
	mpx_result *r =
		mpx_pool_map_async(pool, stubborn, in, sizeof *in, M, 0, MPX_TASK(.chunksize = 1));
	mpx_result *queued = mpx_pool_apply_async(pool, stubborn, in, sizeof *in, 0, NULL);
	assert_non_null(r);
	assert_non_null(queued);
	assert_soon(atomic_load(&steps->entered) == N);
	double begin = now();
	assert_ok(mpx_pool_terminate(pool));
	assert_fails(mpx_result_get(r, NULL, SOON), ECANCELED);
	assert_fails(mpx_result_get(queued, NULL, SOON), ECANCELED);
	assert_true(now() - begin < 5); /* at once: not when the workers are gone */
	assert_false(mpx_result_successful(r));
	assert_ok(mpx_result_failure(queued, &f));
	assert_int_equal(f.error, ECANCELED);
	assert_int_equal(f.index, 0);
	assert_int_equal(f.pid, 0); /* no worker had it */
	assert_ok(mpx_result_failure(r, &f));
	assert_int_equal(f.error, ECANCELED);
	refuses_work(pool);
	assert_ok(mpx_pool_terminate(pool));
	assert_ok(mpx_pool_close(pool));
	assert_ok(mpx_pool_join(pool, SOON));
	assert_true(now() - begin < 15);
	for (int i = 0; i < M; i++)
		if (worker_pids[i])
			assert_false(pid_running(worker_pids[i]));
	assert_int_equal(atomic_load(&steps->left), N);	   /* SIGTERM came before SIGKILL */
	assert_int_equal(atomic_load(&steps->entered), N); /* no other item was begun */
	mpx_result_free(r);
	mpx_result_free(queued);
	mpx_pool_free(pool);
	mpx_free(worker_pids);
	mpx_free(steps);
}

/* Without a handler, SIGTERM ends the task at once: no need for the second of grace. */
static void test_terminate_while_busy(void **state)
{
	(void)state;
	struct gate *g = gate_new(), *in[4] = {g, g, g, g};
	mpx_pool *pool = pool_of(2);
	mpx_result *r = mpx_pool_map_async(pool, pass_gate, in, sizeof *in, 4, 0, NULL);
	assert_soon(atomic_load(&g->entered) == 2);
	assert_ok(mpx_pool_terminate(pool));
	assert_ok(mpx_pool_join(pool, SOON));
	assert_fails(mpx_result_get(r, NULL, 0), ECANCELED);
	assert_int_equal(atomic_load(&g->left), 0);
	mpx_result_free(r);
	mpx_pool_free(pool);
	mpx_free(g);
}

struct mapper {
	mpx_pool *pool;
	struct gate *g;
	int error;
	mpx_failure f;
};

static void *map_gates(void *arg)
{
	struct mapper *m = arg;
	struct gate *in[100];
	for (int i = 0; i < 100; i++)
		in[i] = m->g;
	if (mpx_pool_map_sized(m->pool, pass_gate, in, sizeof *in, NULL, 0, 100, NULL) != 0)
		m->error = errno;
	if (m->error == ECANCELED)
		child_check(mpx_pool_last_failure(m->pool, &m->f) == 0);
	return NULL;
}

static void test_terminate_wakes_a_map(void **state)
{
	(void)state;
	pthread_t t[2];
	struct mapper m[2];
	struct gate *g = gate_new();
	mpx_pool *pool = pool_of(2);
	for (int i = 0; i < 2; i++) {
		m[i] = (struct mapper){.pool = pool, .g = g};
		assert_int_equal(pthread_create(&t[i], NULL, map_gates, &m[i]), 0);
	}
	assert_soon(atomic_load(&g->entered) == 2);
	assert_ok(mpx_pool_terminate(pool));
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pthread_join(t[i], NULL), 0);
		/* Too late for one that had not begun, which is then refused. */
		assert_true(m[i].error == ECANCELED || m[i].error == EBUSY);
	}
	assert_true(m[0].error == ECANCELED || m[1].error == ECANCELED);
	mpx_pool_free(pool);
	mpx_free(g);
}

static int slow(const void *in, void *out)
{
	double end = now() + *(const double *)in;
	(void)out;
	while (now() < end)
		nap();
	return 0;
}

/* _TestPool.test_terminate of CPython. */
static void test_terminate_ten_thousand(void **state)
{
	(void)state;
	static double in[10000];
	for (int i = 0; i < 10000; i++)
		in[i] = 5;
	mpx_pool *pool = pool_of(3);
	mpx_result *r =
		mpx_pool_map_async(pool, slow, in, sizeof *in, 10000, 0, MPX_TASK(.chunksize = 1));
	assert_non_null(r);
	double begin = now();
	assert_ok(mpx_pool_terminate(pool));
	assert_ok(mpx_pool_join(pool, SOON));
	assert_true(now() - begin < 15);
	assert_fails(mpx_result_get(r, NULL, 0), ECANCELED);
	mpx_result_free(r);
	mpx_pool_free(pool);
}

static void test_terminate_ten_thousand_applies(void **state)
{
	(void)state;
	enum { N = 10000 };
	static mpx_result *r[N];
	double long_time = 5;
	mpx_pool *pool = pool_of(2);
	for (int i = 0; i < N; i++)
		assert_non_null(r[i] = mpx_pool_apply_async(pool, slow, &long_time,
							    sizeof long_time, 0, NULL));
	for (int i = 0; i < N; i += 2) /* given up, but still queued */
		mpx_result_free(r[i]);
	double begin = now();
	assert_ok(mpx_pool_terminate(pool));
	assert_ok(mpx_pool_join(pool, SOON));
	assert_true(now() - begin < 15);
	for (int i = 1; i < N; i += 2) {
		assert_true(mpx_result_ready(r[i]));
		assert_fails(mpx_result_get(r[i], NULL, 0), ECANCELED);
		mpx_result_free(r[i]);
	}
	mpx_pool_free(pool);
}

static void test_terminate_after_close(void **state)
{
	(void)state;
	struct gate *g = gate_new();
	for (int i = 0; i < 3; i++) {
		mpx_pool *pool = pool_of(1);
		int before = atomic_load(&g->entered);
		mpx_result *r = mpx_pool_apply_async(pool, pass_gate, &g, sizeof g, 0, NULL);
		assert_soon(atomic_load(&g->entered) == before + 1);
		assert_ok(mpx_pool_close(pool));
		assert_times_out(mpx_pool_join(pool, 0.05), 0.05);
		if (i > 0)
			assert_ok(mpx_pool_terminate(pool));
		if (i > 1)
			assert_ok(mpx_pool_join(pool, SOON));
		mpx_pool_free(pool); /* also without any of it */
		assert_fails(mpx_result_get(r, NULL, 0), ECANCELED);
		mpx_result_free(r);
	}
	mpx_free(g);
}

static void test_free_while_busy(void **state)
{
	(void)state;
	enum { N = 2 };
	int in[20];
	steps = gate_new();
	assert_non_null(worker_pids = mpx_calloc(20, sizeof *worker_pids));
	for (int i = 0; i < 20; i++)
		in[i] = i;
	mpx_pool *pool = pool_of(N);
	mpx_result *r =
		mpx_pool_map_async(pool, stubborn, in, sizeof *in, 20, 0, MPX_TASK(.chunksize = 1));
	mpx_result *forgotten = mpx_pool_apply_async(pool, stubborn, in, sizeof *in, 0, NULL);
	assert_soon(atomic_load(&steps->entered) == N);
	mpx_result_free(forgotten);
	double begin = now();
	mpx_pool_free(pool);
	assert_true(now() - begin < 15); /* "about two seconds at most" */
	for (int i = 0; i < 20; i++)
		if (worker_pids[i])
			assert_false(pid_running(worker_pids[i]));
	assert_fails(mpx_result_get(r, NULL, 0), ECANCELED);
	mpx_result_free(r);
	mpx_free(worker_pids);
	mpx_free(steps);
}

static int end_it(void *arg)
{
	child_check(mpx_pool_terminate(arg) == 0);
	return 0;
}

static void test_terminate_by_another(void **state)
{
	(void)state;
	struct gate *g = gate_new();
	mpx_pool *pool = pool_of(1);
	mpx_result *r = mpx_pool_apply_async(pool, pass_gate, &g, sizeof g, 0, NULL);
	assert_soon(atomic_load(&g->entered) == 1);
	mpx_process *p = start(end_it, pool);
	assert_fails(mpx_result_get(r, NULL, SOON), ECANCELED);
	ends_well(p);
	assert_ok(mpx_pool_join(pool, SOON));
	mpx_result_free(r);
	mpx_pool_free(pool);
	mpx_free(g);
}

/* --- results --------------------------------------------------------------------------------- */

enum { RESULTS = 100 };

struct outlived {
	mpx_result *r[RESULTS];
	atomic_bool begun;
};

static int free_half(void *arg)
{
	struct outlived *o = arg;
	for (int i = 0; i < RESULTS / 2; i++) {
		mpx_result_free(o->r[i]);
		atomic_store(&o->begun, true);
	}
	return 0;
}

static void submit_squares(mpx_pool *pool, struct outlived *o)
{
	atomic_store(&o->begun, false);
	for (unsigned i = 0; i < RESULTS; i++)
		assert_non_null(
			o->r[i] = mpx_pool_apply_async(pool, square, &i, sizeof i, sizeof i, NULL));
}

/* What they know of their pool is there as long as one of them is. */
static void test_results_outlive_it(void **state)
{
	(void)state;
	static const mpx_backend backend[] = {MPX_BACKEND_PROCESSES, MPX_BACKEND_THREADS,
					      MPX_BACKEND_SERIAL};
	struct outlived *o = mpx_calloc(1, sizeof *o);
	assert_non_null(o);
	for (int b = 0; b < 3; b++) {
		size_t blocks = heap_blocks();
		mpx_pool *pool = mpx_pool_new(.processes = 2, .backend = backend[b]);
		assert_non_null(pool);
		submit_squares(pool, o);
		for (unsigned i = 0; i < RESULTS; i++)
			assert_ok(mpx_result_wait(o->r[i], SOON));
		mpx_pool_free(pool);
		assert_int_equal(heap_blocks(), blocks + RESULTS + 1);
		assert_int_equal(mpx_pool_processes(pool), -1); /* it is none now */
		ends_well(start(free_half, o));
		assert_int_equal(heap_blocks(), blocks + RESULTS / 2 + 1);
		for (unsigned i = RESULTS / 2; i < RESULTS; i++) {
			unsigned y = 0;
			assert_true(mpx_result_ready(o->r[i]));
			assert_fails(mpx_result_cancel(o->r[i]), EBUSY);
			assert_ok(mpx_result_get(o->r[i], &y, 0));
			assert_int_equal(y, i * i);
			assert_int_equal(heap_blocks(), blocks + RESULTS - i + 1);
			mpx_result_free(o->r[i]);
		}
		assert_int_equal(heap_blocks(), blocks);
	}
	mpx_free(o);
}

static void test_results_freed_meanwhile(void **state)
{
	(void)state;
	struct outlived *o = mpx_calloc(1, sizeof *o);
	assert_non_null(o);
	for (int round = 0; round < 30; round++) {
		size_t blocks = heap_blocks();
		mpx_pool *pool = pool_of(1);
		submit_squares(pool, o);
		mpx_process *p = start(free_half, o);
		assert_soon(atomic_load(&o->begun));
		mpx_pool_free(pool);
		for (int i = RESULTS / 2; i < RESULTS; i++)
			mpx_result_free(o->r[i]);
		ends_well(p);
		assert_int_equal(heap_blocks(), blocks);
	}
	mpx_free(o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_close),
		mpx_test(test_close_at_once),
		mpx_test(test_close_right_after_submit),
		mpx_test(test_close_before_workers_wear_out),
		mpx_test(test_terminate_stubborn_tasks),
		mpx_test(test_terminate_while_busy),
		mpx_test(test_terminate_wakes_a_map),
		mpx_test(test_terminate_ten_thousand),
		mpx_test(test_terminate_ten_thousand_applies),
		mpx_test(test_terminate_after_close),
		mpx_test(test_free_while_busy),
		mpx_test(test_terminate_by_another),
		mpx_test(test_results_outlive_it),
		mpx_test(test_results_freed_meanwhile),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
