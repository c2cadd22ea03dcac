/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_pool_task.c - mpx/pool.h, what a task can ask about itself, and the options of a
 * map that came with it:
 *
 *   context, index (over chunks, retries, deaths, imap), attempt, worker number; seed: the
 *   same results with 1 and 4 workers; priority; back-off before retries; stop_at: at
 *   the first error, at a share, never; who waits to try again when his map is stopped,
 *   cancelled, dropped or terminated.
 *
 * Seen to fail with these lines changed: back_off() that looks at job->ready alone;
 * run_items() without the look at is_futile() after it.
 */
#define _POSIX_C_SOURCE 200809L

#include "family.h"

#include <signal.h>

/* --- what it asks --------------------------------------------------------------------------- */

struct asked {
	const void *context;
	size_t index;
	unsigned attempt;
	int worker;
	unsigned long long seed;
};

static int ask(const void *in, void *out)
{
	(void)in;
	*(struct asked *)out =
		(struct asked){mpx_task_context(), mpx_task_index(), mpx_task_attempt(),
			       mpx_worker_number(), mpx_task_seed()};
	return 0;
}

static void test_outside(void **state)
{
	(void)state;
	assert_null(mpx_task_context());
	assert_int_equal(mpx_task_index(), 0);
	assert_int_equal(mpx_task_attempt(), 0);
	assert_int_equal(mpx_worker_number(), -1);
}

static void test_inside(void **state)
{
	(void)state;
	enum { N = 1000 };
	static struct asked out[N];
	static const size_t chunks[] = {0, 1, 7, 5000};
	mpx_pool *pool = pool_of(3);
	int *context = mpx_calloc(1, sizeof *context);
	for (int k = 0; k < 4; k++) {
		memset(out, 0xff, sizeof out);
		assert_ok(mpx_pool_map_sized(
			pool, ask, NULL, 0, out, sizeof *out, N,
			MPX_TASK(.chunksize = chunks[k], .context = k % 2 ? context : NULL)));
		for (size_t i = 0; i < N; i++) {
			assert_ptr_equal(out[i].context, k % 2 ? context : NULL);
			assert_int_equal(out[i].index, i);
			assert_int_equal(out[i].attempt, 0);
			assert_in_range(out[i].worker, 0, 2);
		}
		/* imap counts through. */
		mpx_imap *it = mpx_pool_imap(pool, ask, NULL, 0, N, sizeof *out,
					     MPX_TASK(.chunksize = chunks[k], .context = context));
		for (size_t i = 0; i < N; i++) {
			assert_int_equal(mpx_imap_next(it, out, SOON), 1);
			assert_int_equal(out->index, i);
			assert_ptr_equal(out->context, context);
		}
		mpx_imap_free(it);
	}
	mpx_pool_free(pool);
	mpx_free(context);
}

/* --- attempts, back-off --------------------------------------------------------------------------
 */

/* Fails, or dies, until the third attempt; tells when each began. */
struct tries {
	atomic_int n;
	double at[4];
	unsigned attempt[4];
};

static int third_time(const void *in, void *out)
{
	struct tries *t = *(struct tries *const *)in;
	int i = atomic_fetch_add(&t->n, 1);
	if (i < 4) {
		t->at[i] = now();
		t->attempt[i] = mpx_task_attempt();
	}
	*(size_t *)out = mpx_task_index();
	if (mpx_task_context() && i < 2)
		raise(SIGKILL);
	return i < 2 ? EAGAIN : 0;
}

static void test_attempts(void **state)
{
	(void)state;
	enum { N = 6 };
	mpx_pool *pool = pool_of(2);
	struct tries *t = mpx_calloc(N, sizeof *t);
	for (int dies = 0; dies < 2; dies++) {
		struct tries *in[N];
		size_t out[N];
		memset(t, 0, N * sizeof *t);
		for (size_t i = 0; i < N; i++)
			in[i] = &t[i];
		assert_ok(mpx_pool_map_sized(
			pool, third_time, in, sizeof *in, out, sizeof *out, N,
			MPX_TASK(.retries = 2, .chunksize = 3, .context = dies ? t : NULL)));
		for (size_t i = 0; i < N; i++) {
			assert_int_equal(out[i], i);
			assert_int_equal(atomic_load(&t[i].n), 3);
			for (unsigned k = 0; k < 3; k++)
				assert_int_equal(t[i].attempt[k], k);
		}
	}
	mpx_pool_free(pool);
	mpx_free(t);
}

static void test_backoff(void **state)
{
	(void)state;
	mpx_pool *pool = pool_of(2);
	struct tries *t = mpx_calloc(1, sizeof *t);
	size_t out;
	unsigned x = 4, y = 0;
	mpx_result *r = mpx_pool_apply_async(pool, third_time, &t, sizeof t, sizeof out,
					     MPX_TASK(.retries = 2, .backoff = 0.1));
	/* The other worker works meanwhile. */
	assert_ok(mpx_pool_apply(pool, square, &x, &y));
	assert_ok(mpx_result_get(r, &out, SOON));
	assert_true(t->at[1] - t->at[0] >= 0.1 - 1e-6);
	assert_true(t->at[2] - t->at[1] >= 0.2 - 1e-6);
	mpx_result_free(r);
	/* It is no task that runs: a time limit does not count it. */
	memset(t, 0, sizeof *t);
	r = mpx_pool_apply_async(pool, third_time, &t, sizeof t, sizeof out,
				 MPX_TASK(.retries = 2, .backoff = 0.8, .timeout = 1.5));
	assert_ok(mpx_result_get(r, &out, SOON));
	assert_int_equal(t->attempt[2], 2);
	mpx_result_free(r);
	/* Who waits is cancelled, and its worker free, at once. */
	memset(t, 0, sizeof *t);
	mpx_result *two[2];
	for (int i = 0; i < 2; i++)
		two[i] = mpx_pool_apply_async(pool, third_time, &t, sizeof t, sizeof out,
					      MPX_TASK(.retries = 1, .backoff = 50));
	assert_soon(atomic_load(&t->n) == 2);
	assert_ok(mpx_result_cancel(two[0]));
	assert_ok(mpx_result_cancel(two[1]));
	r = mpx_pool_apply_async(pool, square, &x, sizeof x, sizeof y, NULL);
	assert_ok(mpx_result_get(r, &y, SOON));
	mpx_result_free(r);
	mpx_result_free(two[0]);
	mpx_result_free(two[1]);
	static const double wrong[] = {-1, NOT_A_NUMBER};
	for (int i = 0; i < 2; i++)
		assert_nothing(mpx_pool_apply_async(pool, square, &x, sizeof x, sizeof y,
						    MPX_TASK(.backoff = wrong[i])),
			       EINVAL);
	mpx_pool_free(pool);
	mpx_free(t);
}

/* --- back-off, when nobody wants it any more: no time is asserted, but that of 50 seconds --------
 */

enum { WAITS = 50 };

struct failing {
	atomic_int *n; /* times that such a task has begun */
	bool dies;     /* when the other one has failed */
};

static int fail_or_die(const void *in, void *out)
{
	const struct failing *f = in;
	double end = now() + SOON;
	(void)out;
	while (f->dies && atomic_load(f->n) == 0 && now() < end)
		nap();
	if (f->dies)
		raise(SIGKILL);
	atomic_fetch_add(f->n, 1);
	return EAGAIN;
}

/* The first item fails, and waits. */
static mpx_result *begin_waiting(mpx_pool *pool, atomic_int *n, const mpx_task_options *o)
{
	const struct failing in = {n, false};
	mpx_result *r = mpx_pool_apply_async(pool, fail_or_die, &in, sizeof in, 0, o);
	assert_non_null(r);
	assert_soon(atomic_load(n) == 1);
	return r;
}

/* The pool's only worker is free again. */
static void assert_works(mpx_pool *pool)
{
	unsigned x = 5, y = 0;
	mpx_result *r = mpx_pool_apply_async(pool, square, &x, sizeof x, sizeof y, NULL);
	assert_non_null(r);
	assert_ok(mpx_result_get(r, &y, WAITS - 20));
	assert_int_equal(y, 25);
	mpx_result_free(r);
}

static void test_backoff_in_vain(void **state)
{
	(void)state;
	static const mpx_backend backends[] = {MPX_BACKEND_PROCESSES, MPX_BACKEND_THREADS};
	const mpx_task_options *o = MPX_TASK(.retries = 9, .backoff = WAITS);
	atomic_int *n = mpx_calloc(1, sizeof *n);
	for (int k = 0; k < 2; k++) {
		mpx_pool *pool = mpx_pool_new(.processes = 1, .backend = backends[k]);
		assert_non_null(pool);
		/* Cancelled: and it is not tried again. */
		atomic_store(n, 0);
		mpx_result *r = begin_waiting(pool, n, o);
		assert_ok(mpx_result_cancel(r));
		assert_fails(mpx_result_get(r, NULL, 0), ECANCELED);
		mpx_result_free(r);
		assert_works(pool);
		assert_int_equal(atomic_load(n), 1);
		/* Dropped. */
		atomic_store(n, 0);
		const struct failing in = {n, false};
		mpx_imap *it = mpx_pool_imap(pool, fail_or_die, &in, sizeof in, 1, 0, o);
		assert_non_null(it);
		assert_soon(atomic_load(n) == 1);
		mpx_imap_free(it);
		assert_works(pool);
		assert_int_equal(atomic_load(n), 1);
		mpx_pool_free(pool);
		/* Terminated. */
		pool = mpx_pool_new(.processes = 1, .backend = backends[k]);
		assert_non_null(pool);
		atomic_store(n, 0);
		r = begin_waiting(pool, n, o);
		assert_ok(mpx_pool_terminate(pool));
		assert_ok(mpx_pool_join(pool, WAITS - 20));
		mpx_result_free(r);
		mpx_pool_free(pool);
		assert_int_equal(atomic_load(n), 1);
	}
	mpx_free(n);
}

/* By the other item, whose deaths are tried again at once. */
static void test_backoff_stopped(void **state)
{
	(void)state;
	mpx_failure f;
	mpx_pool_statistics s;
	atomic_int *n = mpx_calloc(1, sizeof *n);
	const struct failing in[2] = {{n, false}, {n, true}};
	mpx_pool *pool = pool_of(2);
	mpx_result *r = mpx_pool_map_async(pool, fail_or_die, in, sizeof *in, 2, 0,
					   MPX_TASK(.retries = 1, .backoff = WAITS, .chunksize = 1,
						    .stop_at = MPX_FIRST_ERROR));
	assert_non_null(r);
	assert_fails(mpx_result_get(r, NULL, WAITS - 20), EAGAIN);
	assert_ok(mpx_result_failure(r, &f));
	assert_int_equal(f.index, 0); /* it had failed, and was not tried again */
	assert_int_equal(atomic_load(n), 1);
	assert_ok(mpx_pool_stats(pool, &s));
	assert_int_equal(s.failed, 2);
	assert_int_equal(s.retried, 1);
	mpx_result_free(r);
	mpx_pool_free(pool);
	mpx_free(n);
}

/* --- seeds ---------------------------------------------------------------------------------------
 */

/* A sum of random numbers of its own. */
static int simulate(const void *in, void *out)
{
	uint64_t seed = mpx_task_seed(), sum = 0;
	(void)in;
	for (int i = 0; i < 50; i++)
		sum += next_random(&seed) >> 8;
	*(uint64_t *)out = sum;
	return 0;
}

static void test_seeds(void **state)
{
	(void)state;
	enum { N = 400 };
	static uint64_t out[6][N];
	mpx_pool *pool[2] = {pool_of(1), pool_of(4)};
	for (unsigned k = 0; k < 5; k++)
		assert_ok(mpx_pool_map_sized(
			pool[k % 2], simulate, NULL, 0, out[k], sizeof out[0][0], N,
			MPX_TASK(.seed = k < 4 ? 42 : 43, .chunksize = k / 2 ? 3 : 0)));
	mpx_imap *it = mpx_pool_imap(pool[1], simulate, NULL, 0, N, sizeof out[0][0],
				     MPX_TASK(.seed = 42, .chunksize = 11));
	for (size_t i = 0; i < N; i++)
		assert_int_equal(mpx_imap_next(it, &out[5][i], SOON), 1);
	mpx_imap_free(it);
	for (unsigned k = 1; k < 4; k++)
		assert_memory_equal(out[0], out[k], sizeof out[0]);
	assert_memory_equal(out[0], out[5], sizeof out[0]);
	/* Items differ, and so do seeds. */
	for (size_t i = 0; i < N; i++) {
		assert_true(out[0][i] != out[4][i]);
		for (size_t j = 0; j < i; j++)
			assert_true(out[0][i] != out[0][j]);
	}
	mpx_pool_free(pool[0]);
	mpx_pool_free(pool[1]);
}

/* --- priority ------------------------------------------------------------------------------------
 */

struct order {
	atomic_int n;
	int who[32];
};

struct place {
	struct order *o;
	int who;
};

static int sign_in(const void *in, void *out)
{
	const struct place *p = in;
	(void)out;
	p->o->who[atomic_fetch_add(&p->o->n, 1)] = p->who;
	return 0;
}

static void test_priority(void **state)
{
	(void)state;
	static const int priority[] = {0, -3, 5, 0, 1, 5, -3, 0, 100, 1};
	static const int right[] = {8, 2, 5, 4, 9, 0, 3, 7, 1, 6};
	enum { N = sizeof priority / sizeof *priority };
	struct gate *g = gate_new();
	struct order *o = mpx_calloc(1, sizeof *o);
	mpx_pool *pool = pool_of(1);
	mpx_result *r[N], *first = mpx_pool_apply_async(pool, pass_gate, &g, sizeof g, 0, NULL);
	assert_soon(atomic_load(&g->entered) == 1);
	for (int i = 0; i < N; i++) {
		struct place p[2] = {{o, i}, {o, i}};
		r[i] = mpx_pool_map_async(pool, sign_in, p, sizeof *p, 2, 0,
					  MPX_TASK(.priority = priority[i]));
		assert_non_null(r[i]);
	}
	atomic_store(&g->open, true);
	for (int i = 0; i < N; i++)
		assert_ok(mpx_result_wait(r[i], SOON));
	for (int i = 0; i < 2 * N; i++)
		assert_int_equal(o->who[i], right[i / 2]);
	for (int i = 0; i < N; i++)
		mpx_result_free(r[i]);
	mpx_result_free(first);
	mpx_pool_free(pool);
	mpx_free(o);
	mpx_free(g);
}

/* --- stop_at
 * -------------------------------------------------------------------------------------- */

struct counted {
	atomic_int *begun;
	enum { GOES, FAILS, DIES } how;
};

static int go_or_fail(const void *in, void *out)
{
	const struct counted *c = in;
	(void)out;
	atomic_fetch_add(c->begun, 1);
	if (c->how == DIES)
		raise(SIGKILL);
	return c->how == FAILS ? EDOM : 0;
}

static void test_stop_at(void **state)
{
	(void)state;
	enum { N = 200 };
	static struct counted in[N];
	/* With one worker it is known how many have begun. Every third fails, from the third on. */
	static const struct {
		double at;
		int begun;
		int how;
		size_t chunk;
	} cases[] = {
		{0, N, FAILS, 0},      {MPX_FIRST_ERROR, 3, FAILS, 1},
		{0.001, 3, FAILS, 50}, {0.01, 6, FAILS, 1},
		{0.05, 30, FAILS, 7},  {0.051, 33, FAILS, 7}, /* eleven */
		{1, N, FAILS, 1},      {MPX_FIRST_ERROR, 3, DIES, 1},
		{0.02, 12, DIES, 25},  {0.5, N, FAILS, 0}, /* so many never fail */
	};
	mpx_pool *pool = pool_of(1);
	atomic_int *begun = mpx_calloc(1, sizeof *begun);
	for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
		mpx_failure why;
		unsigned x = 2, y = 0;
		atomic_store(begun, 0);
		for (int i = 0; i < N; i++) {
			in[i].begun = begun;
			in[i].how = i % 3 == 2 ? cases[k].how : GOES;
		}
		mpx_result *r = mpx_pool_map_async(
			pool, go_or_fail, in, sizeof *in, N, 0,
			MPX_TASK(.stop_at = cases[k].at, .chunksize = cases[k].chunk));
		assert_non_null(r);
		assert_fails(mpx_result_get(r, NULL, SOON),
			     cases[k].how == DIES ? EOWNERDEAD : EDOM);
		assert_ok(mpx_result_failure(r, &why));
		assert_int_equal(why.index, 2); /* the lowest */
		assert_int_equal(atomic_load(begun), cases[k].begun);
		mpx_result_free(r);
		assert_ok(mpx_pool_apply(pool, square, &x, &y));
	}
	/* Nothing fails, nothing stops. */
	atomic_store(begun, 0);
	for (int i = 0; i < N; i++)
		in[i].how = GOES;
	mpx_result *r = mpx_pool_map_async(pool, go_or_fail, in, sizeof *in, N, 0,
					   MPX_TASK(.stop_at = MPX_FIRST_ERROR));
	assert_ok(mpx_result_get(r, NULL, SOON));
	assert_int_equal(atomic_load(begun), N);
	mpx_result_free(r);
	static const double wrong[] = {-0.1, 1.1, NOT_A_NUMBER};
	for (int i = 0; i < 3; i++)
		assert_nothing(mpx_pool_map_async(pool, go_or_fail, in, sizeof *in, N, 0,
						  MPX_TASK(.stop_at = wrong[i])),
			       EINVAL);
	mpx_pool_free(pool);
	mpx_free(begun);
}

/* With several workers: those that have begun end, no others begin. */
static void test_stop_at_several(void **state)
{
	(void)state;
	enum { N = 100000 };
	static struct counted in[N];
	mpx_pool *pool = pool_of(3);
	atomic_int *begun = mpx_calloc(1, sizeof *begun);
	for (int i = 0; i < N; i++)
		in[i] = (struct counted){begun, i == 10 ? FAILS : GOES};
	for (int k = 0; k < 20; k++) {
		atomic_store(begun, 0);
		mpx_result *r =
			mpx_pool_map_async(pool, go_or_fail, in, sizeof *in, N, 0,
					   MPX_TASK(.stop_at = MPX_FIRST_ERROR, .chunksize = 1));
		assert_fails(mpx_result_get(r, NULL, SOON), EDOM);
		int at_once = atomic_load(begun);
		mpx_result_free(r);
		unsigned x = 2, y = 0;
		assert_ok(mpx_pool_apply(pool, square, &x, &y));
		assert_int_equal(atomic_load(begun), at_once); /* when it is ready, all is over */
	}
	mpx_pool_free(pool);
	mpx_free(begun);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_outside),		mpx_test(test_inside),
		mpx_test(test_attempts),	mpx_test(test_backoff),
		mpx_test(test_backoff_in_vain), mpx_test(test_backoff_stopped),
		mpx_test(test_seeds),		mpx_test(test_priority),
		mpx_test(test_stop_at),		mpx_test(test_stop_at_several),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
