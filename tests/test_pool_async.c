/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_pool_async.c - mpx/pool.h, apply_async, map_async and their results:
 *
 *   get (twice, into NULL, by several threads, by another process), wait, ready,
 *   successful, failure; timeouts, and success later; the input is copied, or used
 *   in place in the family's heap; results freed before they are ready, results
 *   that outlive their pool; thousands outstanding.
 *
 * CPython's _TestPool: test_async, test_async_timeout, test_map_async, test_starmap_async,
 * test_map_chunksize (an empty map_async), test_release_task_refs.
 */
#define _POSIX_C_SOURCE 200809L

#include "family.h"

#include <pthread.h>
#include <stdatomic.h>

static void test_apply_async(void **state)
{
	(void)state;
	unsigned x = 9, y = 0;
	mpx_failure f;
	mpx_pool *pool = pool_of(2);
	mpx_result *r = mpx_pool_apply_async(pool, square, &x, sizeof x, sizeof y, NULL);
	assert_non_null(r);
	x = 1000; /* the input was copied */
	assert_ok(mpx_result_get(r, &y, SOON));
	assert_int_equal(y, 81);
	y = 0;
	assert_ok(mpx_result_get(r, &y, 0)); /* again */
	assert_int_equal(y, 81);
	assert_ok(mpx_result_get(r, NULL, MPX_FOREVER));
	assert_ok(mpx_result_wait(r, 0));
	assert_ok(mpx_result_wait(r, MPX_FOREVER));
	assert_true(mpx_result_ready(r));
	assert_true(mpx_result_successful(r));
	assert_fails(mpx_result_failure(r, &f), ENOENT);
	mpx_result_free(r);
	r = mpx_pool_apply_async(pool, square, &(unsigned){7}, sizeof x, sizeof y,
				 MPX_TASK(.chunksize = 10));
	assert_non_null(r);
	assert_ok(mpx_result_get(r, &y, SOON));
	assert_int_equal(y, 49);
	mpx_result_free(r);
	mpx_pool_free(pool);
}

static void test_map_async(void **state)
{
	(void)state;
	static const size_t sizes[] = {0, 1, 7, 1000, 100000};
	static const size_t chunks[] = {0, 1, 3, 1000000};
	static unsigned in[100000], out[100001];
	mpx_pool *pool = pool_of(2);
	for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
		for (size_t c = 0; c < sizeof chunks / sizeof *chunks; c++) {
			size_t n = sizes[k];
			for (unsigned i = 0; i < n; i++)
				in[i] = i;
			mpx_result *r =
				mpx_pool_map_async(pool, square, in, sizeof *in, n, sizeof *out,
						   MPX_TASK(.chunksize = chunks[c]));
			assert_non_null(r);
			memset(in, 0xff, sizeof in);
			memset(out, 0xff, sizeof out);
			assert_ok(mpx_result_get(r, out, SOON));
			for (unsigned i = 0; i < n; i++)
				assert_int_equal(out[i], i * i);
			assert_int_equal(out[n], ~0u);
			assert_true(mpx_result_successful(r));
			mpx_result_free(r);
		}
	}
	mpx_pool_free(pool);
}

static void test_not_ready_yet(void **state)
{
	(void)state;
	struct gate *g = gate_new();
	char none;
	mpx_failure f;
	mpx_pool *pool = pool_of(1);
	mpx_result *r = mpx_pool_apply_async(pool, pass_gate, &g, sizeof g, 0, NULL);
	assert_non_null(r);
	assert_soon(atomic_load(&g->entered) == 1);
	assert_false(mpx_result_ready(r));
	assert_nothing(mpx_result_successful(r), EAGAIN);
	assert_fails(mpx_result_failure(r, &f), EAGAIN);
	static const double polls[] = {0, -1, -1e300, 1e-9};
	for (size_t i = 0; i < sizeof polls / sizeof *polls; i++) {
		assert_times_out(mpx_result_get(r, &none, polls[i]), 0);
		assert_times_out(mpx_result_wait(r, polls[i]), 0);
	}
	assert_times_out(mpx_result_get(r, &none, 0.2), 0.2);
	assert_times_out(mpx_result_wait(r, 0.2), 0.2);
	assert_times_out(mpx_result_wait(r, -MPX_FOREVER), 0);
	assert_fails(mpx_result_get(r, &none, NOT_A_NUMBER), EINVAL);
	assert_fails(mpx_result_wait(r, NOT_A_NUMBER), EINVAL);
	/* It went on all the time. */
	atomic_store(&g->open, true);
	assert_ok(mpx_result_wait(r, SOON));
	assert_true(mpx_result_ready(r));
	assert_true(mpx_result_successful(r));
	assert_ok(mpx_result_get(r, NULL, 0));
	assert_int_equal(atomic_load(&g->left), 1);
	mpx_result_free(r);
	mpx_pool_free(pool);
	mpx_free(g);
}

static int fail_on_odd(const void *in, void *out)
{
	unsigned x = *(const unsigned *)in;
	if (x % 2)
		return mpx_fail(EDOM, "%u is odd", x);
	*(unsigned *)out = x + 1;
	return 0;
}

static void test_failed(void **state)
{
	(void)state;
	unsigned in[100], out[100];
	mpx_failure f;
	mpx_pool *pool = pool_of(2);
	for (unsigned i = 0; i < 100; i++)
		in[i] = i < 50 ? 2 * i : i;
	mpx_result *r =
		mpx_pool_map_async(pool, fail_on_odd, in, sizeof *in, 100, sizeof *out, NULL);
	assert_non_null(r);
	for (int again = 0; again < 3; again++) {
		memset(out, 0, sizeof out);
		assert_fails(mpx_result_get(r, out, SOON), EDOM);
		for (unsigned i = 0; i < 100; i++)
			if (in[i] % 2 == 0)
				assert_int_equal(out[i], in[i] + 1);
		assert_fails(mpx_result_get(r, NULL, 0), EDOM);
		assert_ok(mpx_result_wait(r, 0)); /* ready, well or not */
		assert_true(mpx_result_ready(r));
		assert_false(mpx_result_successful(r));
		memset(&f, 0x5a, sizeof f);
		assert_ok(mpx_result_failure(r, &f));
		assert_int_equal(f.index, 51);
		assert_int_equal(f.error, EDOM);
		assert_true(f.pid > 0);
		assert_int_equal(f.exit_status, -1);
		assert_int_equal(f.signal, 0);
		assert_string_equal(f.message, "51 is odd");
	}
	/* That of this thread's last map or apply is another matter. */
	assert_fails(mpx_pool_last_failure(pool, &f), ENOENT);
	mpx_result_free(r);
	mpx_pool_free(pool);
}

static int add_in_place(const void *in, void *out)
{
	(void)out;
	atomic_fetch_add((atomic_int *)(uintptr_t)in, 1);
	return 0;
}

static void test_in_place(void **state)
{
	(void)state;
	enum { N = 1000 };
	atomic_int *a = mpx_calloc(N, sizeof *a);
	assert_non_null(a);
	mpx_pool *pool = pool_of(2);
	mpx_result *r[3];
	for (int i = 0; i < 3; i++)
		assert_non_null(r[i] = mpx_pool_map_async(pool, add_in_place, (void *)a, sizeof *a,
							  N, 0, NULL));
	for (int i = 0; i < 3; i++) {
		assert_ok(mpx_result_get(r[i], NULL, SOON));
		mpx_result_free(r[i]);
	}
	for (int i = 0; i < N; i++)
		assert_int_equal(atomic_load(&a[i]), 3);
	mpx_pool_free(pool);
	mpx_free((void *)a);
}

/* ---- free -------------------------------------------------------------- */

static void test_freed_before_ready(void **state)
{
	(void)state;
	struct gate *g = gate_new();
	unsigned x = 3, y = 0;
	mpx_pool *pool = pool_of(2);
	size_t blocks = heap_blocks();
	for (int i = 0; i < 100; i++) {
		mpx_result *r = mpx_pool_apply_async(pool, pass_gate, &g, sizeof g, 1000, NULL);
		assert_non_null(r);
		if (i == 0) /* one that runs already */
			assert_soon(atomic_load(&g->entered) == 1);
		mpx_result_free(r);
	}
	atomic_store(&g->open, true);
	assert_soon(atomic_load(&g->left) == 100); /* goes on */
	assert_ok(mpx_pool_apply(pool, square, &x, &y));
	assert_int_equal(y, 9);
	assert_soon(heap_blocks() <= blocks + 4); /* and is thrown away when done */
	mpx_pool_free(pool);
	mpx_free(g);
}

static void test_outlives_its_pool(void **state)
{
	(void)state;
	struct gate *g = gate_new();
	unsigned in[100], out[100], y = 0;
	mpx_failure f;
	mpx_pool *pool = pool_of(2);
	for (unsigned i = 0; i < 100; i++)
		in[i] = i;
	mpx_result *good = mpx_pool_map_async(pool, square, in, sizeof *in, 100, sizeof *out, NULL);
	mpx_result *bad = mpx_pool_apply_async(pool, fail_on_odd, &in[3], sizeof *in, 4, NULL);
	assert_ok(mpx_result_wait(good, SOON));
	assert_ok(mpx_result_wait(bad, SOON));
	mpx_result *busy = mpx_pool_apply_async(pool, pass_gate, &g, sizeof g, 0, NULL);
	assert_soon(atomic_load(&g->entered) == 1);
	mpx_result *given_up = mpx_pool_apply_async(pool, pass_gate, &g, sizeof g, 0, NULL);
	mpx_result_free(given_up);
	mpx_pool_free(pool);
	assert_ok(mpx_result_get(good, out, 0));
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(out[i], i * i);
	assert_true(mpx_result_successful(good));
	assert_fails(mpx_result_get(bad, &y, 0), EDOM);
	assert_ok(mpx_result_failure(bad, &f));
	assert_string_equal(f.message, "3 is odd");
	assert_true(mpx_result_ready(busy));
	assert_fails(mpx_result_get(busy, NULL, SOON), ECANCELED);
	assert_ok(mpx_result_failure(busy, &f));
	assert_int_equal(f.error, ECANCELED);
	mpx_result_free(good);
	mpx_result_free(bad);
	mpx_result_free(busy);
	mpx_free(g);
}

/* test_release_task_refs: nothing of items and results is kept, while the pool lives. */
static void test_nothing_is_kept(void **state)
{
	(void)state;
	static unsigned in[5000], out[5000];
	mpx_pool *pool = pool_of(2);
	mpx_memory_stats before, after;
	assert_ok(mpx_pool_map(pool, square, in, out, 5000));
	idle_blocks(pool);
	assert_ok(mpx_memory_stats_now(&before));
	for (int i = 0; i < 100; i++) {
		char none;
		mpx_result *r =
			mpx_pool_map_async(pool, square, in, sizeof *in, 5000, sizeof *out, NULL);
		assert_ok(mpx_pool_map(pool, square, in, out, 5000));
		assert_ok(mpx_pool_apply(pool, square, in, out));
		in[17] = 1;
		assert_fails(mpx_pool_apply(pool, fail_on_odd, &in[17], &none), EDOM);
		assert_ok(mpx_result_get(r, out, SOON));
		mpx_result_free(r);
		mpx_result_free(mpx_pool_apply_async(pool, square, in, sizeof *in, 1000, NULL));
	}
	assert_soon(mpx_memory_stats_now(&after) == 0 && after.used == before.used);
	mpx_pool_free(pool);
}

/* ---- many -------------------------------------------------------------- */

struct shared_result {
	mpx_result *r;
	struct gate *g;
};

static int get_elsewhere(void *arg)
{
	const struct shared_result *s = arg;
	unsigned y[10] = {0};
	atomic_fetch_add(&s->g->entered, 1);
	child_check(mpx_result_get(s->r, y, SOON) == 0);
	for (unsigned i = 0; i < 10; i++)
		child_check(y[i] == i * i);
	child_check(mpx_result_ready(s->r) && mpx_result_successful(s->r));
	return 0;
}

static void *get_in_thread(void *arg)
{
	get_elsewhere(arg);
	return NULL;
}

static int square_behind_gate(const void *in, void *out)
{
	struct {
		struct gate *g;
		unsigned x;
	} item;
	memcpy(&item, in, sizeof item);
	pass_gate(&item.g, NULL);
	return square(&item.x, out);
}

static int free_result(void *arg)
{
	mpx_result_free(arg);
	return 0;
}

static void test_got_by_many(void **state)
{
	(void)state;
	struct gate *g = gate_new();
	struct {
		struct gate *g;
		unsigned x;
	} in[10];
	memset(in, 0, sizeof in);
	for (unsigned i = 0; i < 10; i++) {
		in[i].g = g;
		in[i].x = i;
	}
	mpx_pool *pool = pool_of(2);
	mpx_result *r = mpx_pool_map_async(pool, square_behind_gate, in, sizeof *in, 10,
					   sizeof(unsigned), NULL);
	assert_non_null(r);
	assert_soon(atomic_load(&g->entered) == 2);
	struct shared_result s = {r, gate_new()};
	pthread_t t[3];
	mpx_process *p[3];
	for (int i = 0; i < 3; i++) {
		p[i] = start(get_elsewhere, &s);
		assert_int_equal(pthread_create(&t[i], NULL, get_in_thread, &s), 0);
	}
	assert_soon(atomic_load(&s.g->entered) == 6);
	atomic_store(&g->open, true);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(pthread_join(t[i], NULL), 0);
		ends_well(p[i]);
	}
	ends_well(start(free_result, r)); /* by any process, once */
	assert_fails(mpx_result_wait(r, 0), EINVAL);
	mpx_pool_free(pool);
	mpx_free(s.g);
	mpx_free(g);
}

struct submitter {
	mpx_pool *pool;
	unsigned id;
};

static void *submit_many(void *arg)
{
	enum { N = 1000 };
	const struct submitter *s = arg;
	mpx_result **r = malloc(N * sizeof *r);
	child_check(r != NULL);
	for (unsigned i = 0; i < N; i++) {
		unsigned x = s->id * N + i;
		r[i] = mpx_pool_apply_async(s->pool, square, &x, sizeof x, sizeof x, NULL);
		child_check(r[i] != NULL);
	}
	for (unsigned i = 0; i < N; i++) {
		unsigned x = s->id * N + i, y = 0;
		child_check(mpx_result_get(r[i], &y, SOON) == 0);
		child_check(y == x * x);
		mpx_result_free(r[i]);
	}
	free(r);
	return NULL;
}

static int submit_many_in_child(void *arg)
{
	submit_many(arg);
	return 0;
}

static void test_thousands(void **state)
{
	(void)state;
	mpx_pool *pool = pool_of(2);
	pthread_t t[3];
	mpx_process *p[2];
	struct submitter s[5];
	for (unsigned i = 0; i < 5; i++)
		s[i] = (struct submitter){pool, i};
	for (unsigned i = 0; i < 2; i++)
		p[i] = start(submit_many_in_child, &s[i]);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&t[i], NULL, submit_many, &s[2 + i]), 0);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(pthread_join(t[i], NULL), 0);
	for (unsigned i = 0; i < 2; i++)
		ends_well(p[i]);
	mpx_pool_free(pool);
}

/* Short work submitted later need not wait for a long map to end (two workers). */
static void test_order_of_completion(void **state)
{
	(void)state;
	struct gate *g = gate_new();
	unsigned x = 8, y = 0;
	mpx_pool *pool = pool_of(2);
	mpx_result *slow = mpx_pool_apply_async(pool, pass_gate, &g, sizeof g, 0, NULL);
	assert_soon(atomic_load(&g->entered) == 1);
	for (int i = 0; i < 50; i++) {
		assert_ok(mpx_pool_apply(pool, square, &x, &y));
		assert_int_equal(y, 64);
	}
	assert_false(mpx_result_ready(slow));
	atomic_store(&g->open, true);
	assert_ok(mpx_result_get(slow, NULL, SOON));
	mpx_result_free(slow);
	mpx_pool_free(pool);
	mpx_free(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_apply_async),
		mpx_test(test_map_async),
		mpx_test(test_not_ready_yet),
		mpx_test(test_failed),
		mpx_test(test_in_place),
		mpx_test(test_freed_before_ready),
		mpx_test(test_nothing_is_kept),
		mpx_test(test_outlives_its_pool),
		mpx_test(test_got_by_many),
		mpx_test(test_thousands),
		mpx_test(test_order_of_completion),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
