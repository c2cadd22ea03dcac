/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_pool_initializer.c - mpx/pool.h, .initializer and .initargs:
 *
 *   once per worker and before its first task; its argument as it was when the
 *   pool was made; one that fails or dies: every task fails, and the number of
 *   forks is bounded; one that succeeds late; one that hangs.
 *
 * CPython's InitializerMixin and FailingInitializerMixin, of pools.
 */
#define _POSIX_C_SOURCE 200809L

#include "family.h"

#include <stdatomic.h>

/* What initializers share; in the family's heap. */
struct starts {
	atomic_int begun;     /* by how many processes */
	atomic_int good_from; /* those before this one fail */
	int fail_with;	      /* 0: die */
	pid_t pids[64];
};

static struct starts *mine; /* of a worker: what its initializer was given */

static int initialize(void *args)
{
	struct starts *s = args;
	int n = atomic_fetch_add(&s->begun, 1);
	if (n < 64)
		s->pids[n] = getpid();
	if (n < atomic_load(&s->good_from)) {
		if (!s->fail_with)
			_exit(1);
		return s->fail_with;
	}
	mine = s;
	return 0;
}

static int tell_mine(const void *in, void *out)
{
	(void)in;
	*(struct starts **)out = mine;
	return 0;
}

static void test_initializer(void **state)
{
	(void)state;
	struct starts *s = mpx_calloc(1, sizeof *s), *seen[1000];
	assert_non_null(s);
	mpx_pool *pool = mpx_pool_new(.processes = 4, .initializer = initialize, .initargs = s);
	assert_non_null(pool);
	for (int round = 0; round < 10; round++) {
		assert_ok(mpx_pool_map_sized(pool, tell_mine, NULL, 0, seen, sizeof *seen, 1000,
					     NULL));
		for (int i = 0; i < 1000; i++)
			assert_ptr_equal(seen[i], s); /* before the first task */
	}
	assert_ok(mpx_pool_close(pool));
	assert_ok(mpx_pool_join(pool, SOON));
	assert_in_range(atomic_load(&s->begun), 1, 4); /* once per worker */
	for (int i = 0; i < atomic_load(&s->begun); i++) {
		assert_int_not_equal(s->pids[i], getpid());
		for (int k = 0; k < i; k++)
			assert_int_not_equal(s->pids[i], s->pids[k]);
	}
	mpx_pool_free(pool);
	assert_null(mine); /* not in this process */
	mpx_free(s);
}

static int number_seen;

static int keep_number(void *args)
{
	number_seen = *(const int *)args;
	return 0;
}

static int tell_number(const void *in, void *out)
{
	(void)in;
	*(int *)out = number_seen;
	return 0;
}

static void test_initargs_of_then(void **state)
{
	(void)state;
	int number = 42, seen = 0;
	mpx_pool *pool = mpx_pool_new(.processes = 1, .initializer = keep_number,
				      .initargs = &number); /* on the stack */
	assert_non_null(pool);
	number = 43;
	assert_ok(mpx_pool_map_sized(pool, tell_number, NULL, 0, &seen, sizeof seen, 1, NULL));
	assert_int_equal(seen, 42);
	mpx_pool_free(pool);
}

/* Python forks for ever (96 workers in two seconds were seen), and map hangs. */
static void broken_initializer(int fail_with, int error)
{
	enum { WORKERS = 2, MANY = 100 };
	unsigned in[10] = {0}, out[10];
	struct starts *s = mpx_calloc(1, sizeof *s);
	assert_non_null(s);
	atomic_store(&s->good_from, 1000000);
	s->fail_with = fail_with;
	mpx_pool *pool =
		mpx_pool_new(.processes = WORKERS, .initializer = initialize, .initargs = s);
	assert_non_null(pool);
	for (int round = 0; round < 5; round++) {
		mpx_failure f;
		assert_fails(mpx_pool_map(pool, square, in, out, 10), error);
		assert_ok(mpx_pool_last_failure(pool, &f));
		assert_int_equal(f.error, error);
		assert_int_equal(f.index, 0);
		errno = 0;
		mpx_result *r = mpx_pool_apply_async(pool, square, in, 4, 4, NULL);
		if (!r) { /* refused at once, with the same error */
			assert_int_equal(errno, error);
			continue;
		}
		assert_fails(mpx_result_get(r, out, SOON), error);
		assert_true(mpx_result_ready(r));
		assert_false(mpx_result_successful(r));
		mpx_result_free(r);
	}
	int begun = atomic_load(&s->begun);
	assert_in_range(begun, 1, MANY);
	double end = now() + 1; /* none but those that were on their way */
	while (now() < end)
		nap();
	assert_in_range(atomic_load(&s->begun), begun, begun + WORKERS);
	assert_ok(mpx_pool_close(pool));
	assert_ok(mpx_pool_join(pool, SOON));
	mpx_pool_free(pool);
	mpx_free(s);
}

static void test_initializer_fails(void **state)
{
	(void)state;
	broken_initializer(EIO, EIO);
	broken_initializer(EDOM, EDOM);
}

static void test_initializer_dies(void **state)
{
	(void)state;
	broken_initializer(0, EOWNERDEAD);
}

/* "Tried again in a new worker a few times." */
static void test_initializer_succeeds_late(void **state)
{
	(void)state;
	for (int fail_with = 0; fail_with <= EIO; fail_with += EIO) {
		struct starts *s = mpx_calloc(1, sizeof *s), *seen[100];
		assert_non_null(s);
		atomic_store(&s->good_from, 1);
		s->fail_with = fail_with;
		mpx_pool *pool =
			mpx_pool_new(.processes = 2, .initializer = initialize, .initargs = s);
		assert_non_null(pool);
		assert_ok(mpx_pool_map_sized(pool, tell_mine, NULL, 0, seen, sizeof *seen, 100,
					     NULL));
		for (int i = 0; i < 100; i++)
			assert_ptr_equal(seen[i], s);
		mpx_pool_free(pool);
		mpx_free(s);
	}
}

static int hang(void *args)
{
	double end = now() + 2 * SOON;
	atomic_fetch_add((atomic_int *)args, 1);
	while (now() < end)
		nap();
	return 0;
}

static void test_initializer_hangs(void **state)
{
	(void)state;
	unsigned x = 1, y;
	atomic_int *begun = mpx_calloc(1, sizeof *begun);
	assert_non_null(begun);
	mpx_pool *pool = mpx_pool_new(.processes = 2, .initializer = hang,
				      .initargs = (void *)begun); /* does not wait for it */
	assert_non_null(pool);
	mpx_result *r = mpx_pool_apply_async(pool, square, &x, sizeof x, sizeof y, NULL);
	assert_non_null(r);
	assert_soon(atomic_load(begun) == 2);
	assert_times_out(mpx_result_get(r, &y, 0.1), 0.1);
	double begin = now();
	mpx_pool_free(pool);
	assert_true(now() - begin < 15);
	assert_fails(mpx_result_get(r, &y, SOON), ECANCELED);
	mpx_result_free(r);
	mpx_free((void *)begun);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_initializer),
		mpx_test(test_initargs_of_then),
		mpx_test(test_initializer_fails),
		mpx_test(test_initializer_dies),
		mpx_test(test_initializer_succeeds_late),
		mpx_test(test_initializer_hangs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
