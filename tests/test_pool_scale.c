/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_pool_scale.c - mpx/pool.h, many of everything, exact, and nothing left:
 *
 *   64 workers; 100 pools at once; 1000 threads that submit to one pool; tasks that
 *   make pools, three deep, of processes and mixed with threads; a tree of tasks that
 *   submit to their own pool; 100 000 jobs that wait, and are cancelled or freed; a map of 10
 * million items (with a progress bar: test_progress.c). (gh-89240.)
 *
 * With a sanitizer there is less of it, unless MPX_FAULT_LONG=1 in the environment.
 */
#define _POSIX_C_SOURCE 200809L

#include "family.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

static void squares_on(mpx_pool *pool, unsigned n, unsigned from)
{
	unsigned *in = malloc(2 * n * sizeof *in), *out = in + n;
	child_check(in != NULL);
	for (unsigned i = 0; i < n; i++) {
		in[i] = from + i;
		out[i] = ~0u;
	}
	child_check(mpx_pool_map(pool, square, in, out, n) == 0);
	for (unsigned i = 0; i < n; i++)
		child_check(out[i] == (from + i) * (from + i));
	free(in);
}

static void test_many_workers(void **state)
{
	(void)state;
	enum { WORKERS = 64 };
	struct guest in[WORKERS];
	pid_t pids[WORKERS];
	struct meeting *m = mpx_calloc(1, sizeof *m);
	mpx_pool *pool = pool_of(WORKERS);
	for (int i = 0; i < WORKERS; i++)
		in[i] = (struct guest){m, WORKERS};
	assert_ok(mpx_pool_map_sized(pool, meet, in, sizeof *in, pids, sizeof *pids, WORKERS,
				     MPX_TASK(.chunksize = 1)));
	for (int i = 0; i < WORKERS; i++)
		for (int k = 0; k < i; k++)
			assert_int_not_equal(pids[i], pids[k]);
	for (unsigned i = 0; i < 30; i++)
		squares_on(pool, 10000, i);
	mpx_pool_statistics s;
	assert_ok(mpx_pool_stats(pool, &s));
	assert_int_equal(s.done, WORKERS + 300000);
	assert_int_equal(s.alive, WORKERS);
	assert_ok(mpx_pool_close(pool));
	assert_ok(mpx_pool_join(pool, SOON));
	mpx_pool_free(pool);
	mpx_free(m);
}

static void test_many_pools(void **state)
{
	(void)state;
	enum { POOLS = 100, N = 200 };
	static unsigned in[N], out[POOLS][N];
	static mpx_pool *pools[POOLS];
	static mpx_result *r[POOLS];
	for (int i = 0; i < POOLS; i++)
		pools[i] = pool_of(2);
	for (unsigned i = 0; i < N; i++)
		in[i] = i;
	for (int i = 0; i < POOLS; i++)
		assert_non_null(r[i] = mpx_pool_map_async(pools[i], square, in, 4, N, 4, NULL));
	for (int i = 0; i < POOLS; i++) {
		assert_ok(mpx_result_get(r[i], out[i], SOON));
		for (unsigned k = 0; k < N; k++)
			assert_int_equal(out[i][k], k * k);
		mpx_result_free(r[i]);
	}
	for (int i = 0; i < POOLS; i += 2) /* all at once */
		assert_ok(i % 4 ? mpx_pool_close(pools[i]) : mpx_pool_terminate(pools[i]));
	for (int i = 0; i < POOLS; i++)
		mpx_pool_free(pools[i]);
}

/* ---- threads ------------------------------------------------------------------------ */

struct crowd {
	mpx_pool *pool;
	atomic_int here;
	atomic_bool go;
	atomic_int done;
};

static void *submit_some(void *arg)
{
	struct crowd *c = arg;
	unsigned me = (unsigned)atomic_fetch_add(&c->here, 1), y = 0;
	double end = now() + 2 * SOON;
	while (!atomic_load(&c->go) && now() < end)
		nap();
	squares_on(c->pool, 100, me);
	mpx_result *r = mpx_pool_apply_async(c->pool, square, &me, sizeof me, sizeof y, NULL);
	child_check(r && mpx_result_get(r, &y, 2 * SOON) == 0 && y == me * me);
	mpx_result_free(r);
	atomic_fetch_add(&c->done, 1);
	return NULL;
}

static void crowd_on(mpx_backend b, int wanted)
{
	struct crowd c = {0};
	pthread_t *t = calloc((size_t)wanted, sizeof *t);
	pthread_attr_t small;
	int n = 0, error = 0;
	assert_non_null(t);
	c.pool = mpx_pool_new(.processes = 4, .backend = b);
	assert_non_null(c.pool);
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 256 << 10);
	while (n < wanted && !(error = pthread_create(&t[n], &small, submit_some, &c)))
		n++;
	if (n < wanted)
		print_message("only %d threads, not %d: %s\n", n, wanted, strerror(error));
	atomic_store(&c.go, true);
	for (int i = 0; i < n; i++)
		assert_int_equal(pthread_join(t[i], NULL), 0);
	assert_int_equal(atomic_load(&c.done), n);
	mpx_pool_statistics s;
	assert_ok(mpx_pool_stats(c.pool, &s));
	assert_int_equal(s.submitted, 101 * n);
	assert_int_equal(s.done, 101 * n);
	mpx_pool_free(c.pool);
	pthread_attr_destroy(&small);
	free(t);
}

static void test_many_threads(void **state)
{
	(void)state;
#ifdef MPX_TEST_PLATFORM_POSIX /* all who wait look again and again: so many keep a machine busy */
	crowd_on(MPX_BACKEND_PROCESSES, 150);
#else
	crowd_on(MPX_BACKEND_PROCESSES, (int)full_or(1000, 200));
#endif
}

static void test_many_threads_and_threads(void **state)
{
	(void)state;
	crowd_on(MPX_BACKEND_THREADS, (int)full_or(200, 50));
}

/* ---- trees ------------------------------------------------------------------------------ */

struct node {
	int depth;
	unsigned first, leaves; /* the squares of first ... are to be summed */
	bool mixed;		/* threads at every other level */
};

static int sum_squares(const void *in, void *out)
{
	const struct node *node = in;
	unsigned long long sums[4] = {0}, *sum = out;
	struct node below[4];
	*sum = 0;
	if (node->depth == 0) {
		for (unsigned i = 0; i < node->leaves; i++)
			*sum += (unsigned long long)(node->first + i) * (node->first + i);
		return 0;
	}
	mpx_pool *pool = mpx_pool_new(.processes = 2, .backend = node->mixed && node->depth % 2
									 ? MPX_BACKEND_THREADS
									 : MPX_BACKEND_PROCESSES);
	if (!pool)
		return errno;
	for (unsigned i = 0; i < 4; i++)
		below[i] = (struct node){node->depth - 1, node->first + i * (node->leaves / 4),
					 node->leaves / 4, node->mixed};
	int error = mpx_pool_map(pool, sum_squares, below, sums, 4) == 0 ? 0 : errno;
	mpx_pool_free(pool);
	for (int i = 0; i < 4; i++)
		*sum += sums[i];
	return error;
}

static void test_pools_in_tasks(void **state)
{
	(void)state;
	enum { LEAVES = 64 * 10 };
	unsigned long long want = 0, sum;
	for (unsigned i = 0; i < LEAVES; i++)
		want += (unsigned long long)i * i;
	for (int mixed = 0; mixed < 2; mixed++) {
		struct node top = {3, 0, LEAVES, mixed};
		assert_int_equal(sum_squares(&top, &sum), 0);
		assert_int_equal(sum, want);
	}
}

/* Each task hands its halves to its own pool, and does not wait for them. */
struct tree {
	mpx_pool *pool;
	atomic_uint leaves, errors;
};

struct twig {
	struct tree *tree;
	unsigned depth;
};

static int grow(const void *in, void *out)
{
	const struct twig *twig = in;
	struct tree *tree = twig->tree;
	(void)out;
	if (twig->depth == 0) {
		atomic_fetch_add(&tree->leaves, 1);
		return 0;
	}
	for (int i = 0; i < 2; i++) {
		struct twig next = {tree, twig->depth - 1};
		mpx_result *r = mpx_pool_apply_async(tree->pool, grow, &next, sizeof next, 0, NULL);
		if (!r)
			atomic_fetch_add(&tree->errors, 1);
		mpx_result_free(r);
	}
	return 0;
}

static void test_tasks_that_submit(void **state)
{
	(void)state;
	for (mpx_backend b = MPX_BACKEND_PROCESSES; b <= MPX_BACKEND_SERIAL; b++) {
		struct tree *tree = mpx_calloc(1, sizeof *tree);
		tree->pool = mpx_pool_new(.processes = 3, .backend = b);
		struct twig root = {tree, 11};
		assert_ok(
			mpx_pool_map_sized(tree->pool, grow, &root, sizeof root, NULL, 0, 1, NULL));
		assert_soon(atomic_load(&tree->leaves) == 1u << 11);
		mpx_pool_statistics s;
		assert_soon(mpx_pool_stats(tree->pool, &s) == 0 && s.done == (2u << 11) - 1);
		assert_int_equal(s.submitted, (2u << 11) - 1);
		assert_int_equal(atomic_load(&tree->errors), 0);
		assert_ok(mpx_pool_close(tree->pool));
		assert_ok(mpx_pool_join(tree->pool, SOON));
		assert_int_equal(atomic_load(&tree->leaves), 1u << 11);
		mpx_pool_free(tree->pool);
		mpx_free(tree);
	}
}

/* ---- jobs -------------------------------------------------------------------------------- */

enum way_out { SHUT_DOWN, TERMINATE, FREE_EACH, CANCEL_EACH, WAYS };

/* So many wait: each way out of it is linear, or this would take for ever. */
static void test_many_jobs_that_wait(void **state)
{
	(void)state;
	unsigned n = full_or(100000, 10000);
	mpx_result **r = malloc(n * sizeof *r);
	assert_non_null(r);
	for (int way = 0; way < WAYS; way++) {
		struct gate *g = gate_new();
		mpx_pool *pool = pool_of(1);
		mpx_result *first = mpx_pool_apply_async(pool, pass_gate, &g, sizeof g, 0, NULL);
		assert_soon(atomic_load(&g->entered) == 1);
		size_t blocks = heap_blocks();
		for (unsigned i = 0; i < n; i++)
			r[i] = mpx_pool_apply_async(pool, square, &i, sizeof i, sizeof i, NULL);
		assert_non_null(r[n - 1]);
		if (way == SHUT_DOWN)
			assert_times_out(mpx_executor_shutdown(pool, true, 0), 0);
		if (way == TERMINATE)
			assert_ok(mpx_pool_terminate(pool));
		if (way == CANCEL_EACH) /* the last ones first */
			for (unsigned i = n; i-- > 0;)
				assert_ok(mpx_future_cancel(r[i], false));
		for (unsigned i = 0; i < n; i++) {
			assert_true(way == FREE_EACH || mpx_future_cancelled(r[i]));
			mpx_result_free(r[i]);
		}
		atomic_store(&g->open, true);
		assert_soon(heap_blocks() <= blocks);
		assert_ok(mpx_pool_close(pool));
		assert_ok(mpx_pool_join(pool, SOON));
		mpx_result_free(first);
		mpx_pool_free(pool);
		mpx_free(g);
	}
	free(r);
}

/* ---- items ------------------------------------------------------------------------------- */

static void test_ten_million_items(void **state)
{
	(void)state;
	size_t n = full_or(10000000, 1000000);
	unsigned *in = mpx_malloc(n * sizeof *in), *out = malloc(n * sizeof *out);
	assert_non_null(in);
	assert_non_null(out);
	for (size_t i = 0; i < n; i++)
		in[i] = (unsigned)i;
	for (mpx_backend b = MPX_BACKEND_PROCESSES; b <= MPX_BACKEND_SERIAL; b++) {
		mpx_pool *pool = mpx_pool_new(.processes = 4, .backend = b);
		memset(out, 0xff, n * sizeof *out);
		assert_ok(mpx_pool_map(pool, square, in, out, n));
		for (size_t i = 0; i < n; i++)
			if (out[i] != (unsigned)i * (unsigned)i)
				fail_msg("item %zu: %u", i, out[i]);
		mpx_pool_statistics s;
		assert_ok(mpx_pool_stats(pool, &s));
		assert_int_equal(s.done, n);
		mpx_pool_free(pool);
	}
	free(out);
	mpx_free(in);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_many_workers),	    mpx_test(test_many_pools),
		mpx_test(test_many_threads),	    mpx_test(test_many_threads_and_threads),
		mpx_test(test_pools_in_tasks),	    mpx_test(test_tasks_that_submit),
		mpx_test(test_many_jobs_that_wait), mpx_test(test_ten_million_items),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
