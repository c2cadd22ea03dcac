/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_pool_errors.c - mpx/pool.h, what goes wrong without a death:
 *
 *   errors that tasks return, of the lowest index, while all others run; mpx_fail;
 *   last_failure; sizes that overflow; arguments and pointers that are wrong.
 *
 * CPython's _TestPool: test_map_no_failfast, test_traceback, test_wrapped_exception,
 * test_map_unplicklable (what cannot be submitted harms nobody); _TestPoolWorkerErrors:
 * test_unpickleable_result (an error costs no worker).
 */
#define _POSIX_C_SOURCE 200809L

#include "family.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>

static int nothing(const void *in, void *out)
{
	(void)in;
	(void)out;
	return 0;
}

static atomic_uchar *counts;

static int count_item(const void *in, void *out)
{
	size_t i = *(const size_t *)in;
	atomic_fetch_add(&counts[i], 1);
	*(size_t *)out = i + 1;
	return 0;
}

/* ---- errors ------------------------------------------------------------ */

static int fail_on_sevens(const void *in, void *out)
{
	size_t i = *(const size_t *)in;
	atomic_fetch_add(&counts[i], 1);
	if (i % 7 == 3)
		return mpx_fail(i == 3 ? EDOM : EIO, "item %zu of pid %d", i, (int)getpid());
	*(size_t *)out = i * 2;
	return 0;
}

static void test_lowest_error(void **state)
{
	(void)state;
	enum { N = 1000 };
	static size_t in[N], out[N];
	static const size_t chunks[] = {0, 1, 5, 100, N};
	assert_non_null(counts = mpx_calloc(N, 1));
	mpx_pool *pool = pool_of(3);
	for (size_t i = 0; i < N; i++)
		in[i] = i;
	for (size_t c = 0; c < sizeof chunks / sizeof *chunks; c++) {
		mpx_failure f = {0};
		char text[64];
		memset((void *)counts, 0, N);
		memset(out, 0, sizeof out);
		assert_fails(mpx_pool_map_sized(pool, fail_on_sevens, in, sizeof *in, out,
						sizeof *out, N, MPX_TASK(.chunksize = chunks[c])),
			     EDOM);
		for (size_t i = 0; i < N; i++) {
			assert_int_equal(atomic_load(&counts[i]), 1);
			if (i % 7 != 3)
				assert_int_equal(out[i], i * 2);
		}
		assert_ok(mpx_pool_last_failure(pool, &f));
		assert_int_equal(f.index, 3);
		assert_int_equal(f.error, EDOM);
		assert_true(f.pid > 0 && f.pid != getpid());
		assert_int_equal(f.exit_status, -1);
		assert_int_equal(f.signal, 0);
		snprintf(text, sizeof text, "item 3 of pid %d", (int)f.pid);
		assert_string_equal(f.message, text);
	}
	/* Works as before. */
	assert_ok(mpx_pool_map(pool, count_item, in, out, N));
	assert_int_equal(out[3], 4);
	mpx_pool_free(pool);
	mpx_free((void *)counts);
}

static int return_it(const void *in, void *out)
{
	(void)out;
	return *(const int *)in;
}

static void test_errors_travel(void **state)
{
	(void)state;
	static const int errors[] = {EPERM,  ENOENT, EINTR, EIO,    EAGAIN, ENOMEM,	EBUSY,
				     EINVAL, EPIPE,  EDOM,  ERANGE, EPROTO, EOWNERDEAD, ECANCELED};
	mpx_pool *pool = pool_of(1);
	pid_t worker = 0;
	for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
		mpx_failure f;
		char none;
		memset(&f, 0x5a, sizeof f);
		assert_fails(mpx_pool_apply(pool, return_it, &errors[i], &none), errors[i]);
		assert_ok(mpx_pool_last_failure(pool, &f));
		assert_int_equal(f.index, 0);
		assert_int_equal(f.error, errors[i]);
		assert_int_equal(f.signal, 0);
		assert_int_equal(f.exit_status, -1); /* its worker did not end */
		assert_true(f.pid > 0);
		assert_true(i == 0 || f.pid == worker); /* an error costs no worker */
		worker = f.pid;
		assert_non_null(memchr(f.message, '\0', sizeof f.message));
	}
	static const int negative[] = {-1, -EIO, INT_MIN};
	for (size_t i = 0; i < sizeof negative / sizeof *negative; i++)
		assert_fails(mpx_pool_apply(pool, return_it, &negative[i], &(char){0}), EINVAL);
	mpx_pool_free(pool);
}

/* What a thread maps: one item that fails at once, and one behind a gate. */
struct slow_map {
	mpx_pool *pool;
	struct gate *in[2];
	int error;
	atomic_bool back;
};

static int fail_or_pass(const void *in, void *out)
{
	return *(struct gate *const *)in ? pass_gate(in, out) : mpx_fail(EDOM, "no gate");
}

static void *map_slowly(void *arg)
{
	struct slow_map *m = arg;
	if (mpx_pool_map_sized(m->pool, fail_or_pass, m->in, sizeof *m->in, NULL, 0, 2,
			       MPX_TASK(.chunksize = 1)) != 0)
		m->error = errno;
	atomic_store(&m->back, true);
	return NULL;
}

/* A map that has failed waits for the rest; afterwards the pool ends as usual. */
static void test_no_failfast(void **state)
{
	(void)state;
	struct slow_map m = {.pool = pool_of(2)};
	mpx_pool_statistics s;
	pthread_t thread;
	m.in[1] = gate_new();
	assert_int_equal(pthread_create(&thread, NULL, map_slowly, &m), 0);
	assert_soon(mpx_pool_stats(m.pool, &s) == 0 && s.failed == 1);
	assert_soon(atomic_load(&m.in[1]->entered) == 1);
	for (int i = 0; i < 20; i++) {
		nap();
		assert_false(atomic_load(&m.back));
	}
	atomic_store(&m.in[1]->open, true);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(m.error, EDOM);
	assert_int_equal(atomic_load(&m.in[1]->left), 1);
	assert_ok(mpx_pool_close(m.pool));
	assert_ok(mpx_pool_join(m.pool, SOON));
	mpx_pool_free(m.pool);
	mpx_free(m.in[1]);
}

static int fail_in_words(const void *in, void *out)
{
	static char words[1000];
	int length = *(const int *)in;
	(void)out;
	if (length < 0)
		return ENOENT; /* without words */
	memset(words, 'w', (size_t)length);
	words[length] = '\0';
	return mpx_fail(EIO, "%s", words);
}

static void test_messages(void **state)
{
	(void)state;
	static const int lengths[] = {0, 1, 126, 127, 128, 129, 500, 999};
	char none;
	mpx_failure f;
	mpx_pool *pool = pool_of(1);
	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		size_t expected = lengths[i] < 127 ? (size_t)lengths[i] : 127;
		memset(&f, 0x5a, sizeof f);
		assert_fails(mpx_pool_apply(pool, fail_in_words, &lengths[i], &none), EIO);
		assert_ok(mpx_pool_last_failure(pool, &f));
		assert_non_null(memchr(f.message, '\0', sizeof f.message));
		if (expected)
			assert_int_equal(strlen(f.message), expected);
		assert_int_equal(strspn(f.message, "w"), expected);
	}
	/* The words of one task are not those of the next. */
	assert_fails(mpx_pool_apply(pool, fail_in_words, &(int){-1}, &none), ENOENT);
	assert_ok(mpx_pool_last_failure(pool, &f));
	assert_null(strstr(f.message, "www"));
	/* Outside of a task it has nobody to tell. */
	assert_int_equal(mpx_fail(EDOM, "%d", 1), EDOM);
	mpx_pool_free(pool);
}

/* Even if a task says something and then succeeds, or says two things. */
static int speak_twice(const void *in, void *out)
{
	(void)out;
	mpx_fail(EIO, "first");
	mpx_fail(EIO, "second");
	return *(const int *)in;
}

static void test_words_without_failure(void **state)
{
	(void)state;
	char none;
	mpx_failure f;
	mpx_pool *pool = pool_of(1);
	assert_ok(mpx_pool_apply(pool, speak_twice, &(int){0}, &none));
	assert_fails(mpx_pool_last_failure(pool, &f), ENOENT);
	assert_fails(mpx_pool_apply(pool, return_it, &(int){EIO}, &none), EIO);
	assert_ok(mpx_pool_last_failure(pool, &f));
	assert_null(strstr(f.message, "second"));
	assert_fails(mpx_pool_apply(pool, speak_twice, &(int){EDOM}, &none), EDOM);
	assert_ok(mpx_pool_last_failure(pool, &f));
	assert_string_equal(f.message, "second");
	mpx_pool_free(pool);
}

static void test_last_failure(void **state)
{
	(void)state;
	char none;
	unsigned x = 1, y;
	mpx_failure f;
	mpx_pool *pool = pool_of(1), *other = pool_of(1);
	assert_fails(mpx_pool_last_failure(pool, &f), ENOENT);
	assert_ok(mpx_pool_apply(pool, square, &x, &y));
	assert_fails(mpx_pool_last_failure(pool, &f), ENOENT);
	assert_fails(mpx_pool_apply(pool, return_it, &(int){EIO}, &none), EIO);
	assert_fails(mpx_pool_last_failure(other, &f), ENOENT);
	assert_ok(mpx_pool_apply(pool, square, &x, &y)); /* of the last that failed */
	assert_ok(mpx_pool_last_failure(pool, &f));
	assert_int_equal(f.error, EIO);
	assert_fails(mpx_pool_apply(other, return_it, &(int){EDOM}, &none), EDOM);
	assert_ok(mpx_pool_last_failure(other, &f));
	assert_int_equal(f.error, EDOM);
	assert_ok(mpx_pool_last_failure(pool, &f));
	assert_int_equal(f.error, EIO);
	assert_fails(mpx_pool_get_last_failure(pool, NULL, sizeof f), EINVAL);
	mpx_pool_free(pool);
	mpx_pool_free(other);
}

/* ---- wrong arguments --------------------------------------------------- */

static void test_wrong_arguments(void **state)
{
	(void)state;
	static char small[64];
	unsigned x = 3, y = 0;
	mpx_pool *pool = pool_of(1);
	assert_fails(mpx_pool_map_sized(pool, NULL, &x, 4, &y, 4, 1, NULL), EINVAL);
	assert_fails(mpx_pool_map_sized(pool, square, NULL, 4, &y, 4, 1, NULL), EINVAL);
	assert_fails(mpx_pool_map_sized(pool, square, &x, 4, NULL, 4, 1, NULL), EINVAL);
	/* n times the size overflows. */
	static const struct {
		size_t size, n;
	} wrong[] = {{SIZE_MAX, 2},	    {2, SIZE_MAX},
		     {SIZE_MAX, SIZE_MAX},  {SIZE_MAX / 2 + 1, 2},
		     {SIZE_MAX / 4 + 1, 4}, {(size_t)1 << 33, (size_t)1 << 33}};
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		size_t size = wrong[i].size, n = wrong[i].n;
		assert_fails(mpx_pool_map_sized(pool, nothing, small, size, NULL, 0, n, NULL),
			     EINVAL);
		assert_fails(mpx_pool_map_sized(pool, nothing, NULL, 0, small, size, n, NULL),
			     EINVAL);
		assert_nothing(mpx_pool_map_async(pool, nothing, small, size, n, 0, NULL), EINVAL);
		assert_nothing(mpx_pool_map_async(pool, nothing, NULL, 0, n, size, NULL), EINVAL);
	}
	/* It does not overflow, but there is no such memory. */
	errno = 0;
	assert_int_equal(mpx_pool_map_sized(pool, nothing, small, (size_t)1 << 25, NULL, 0,
					    (size_t)1 << 25, NULL),
			 -1);
	assert_true(errno == ENOMEM || errno == EINVAL);
	assert_nothing(mpx_pool_apply_async(pool, NULL, &x, 4, 4, NULL), EINVAL);
	assert_nothing(mpx_pool_apply_async(pool, square, NULL, 4, 4, NULL), EINVAL);
	assert_nothing(mpx_pool_map_async(pool, square, NULL, 4, 1, 4, NULL), EINVAL);
	/* All that did the pool no harm. */
	assert_ok(mpx_pool_apply(pool, square, &x, &y));
	assert_int_equal(y, 9);
	mpx_pool_free(pool);
}

static void pool_calls_refuse(mpx_pool *pool)
{
	unsigned x = 3, y = 0;
	mpx_failure f;
	assert_fails(mpx_pool_map(pool, square, &x, &y, 1), EINVAL);
	assert_fails(mpx_pool_map(pool, square, &x, &y, 0), EINVAL);
	assert_fails(mpx_pool_apply(pool, square, &x, &y), EINVAL);
	assert_nothing(mpx_pool_apply_async(pool, square, &x, 4, 4, NULL), EINVAL);
	assert_nothing(mpx_pool_map_async(pool, square, &x, 4, 1, 4, NULL), EINVAL);
	assert_fails(mpx_pool_last_failure(pool, &f), EINVAL);
	assert_fails(mpx_pool_processes(pool), EINVAL);
	assert_fails(mpx_pool_close(pool), EINVAL);
	assert_fails(mpx_pool_terminate(pool), EINVAL);
	assert_fails(mpx_pool_join(pool, 0), EINVAL);
	assert_fails(mpx_pool_join(pool, MPX_FOREVER), EINVAL);
	mpx_pool_free(pool);
}

static void result_calls_refuse(mpx_result *r)
{
	unsigned y;
	mpx_failure f;
	assert_fails(mpx_result_get(r, &y, 0), EINVAL);
	assert_fails(mpx_result_get(r, NULL, MPX_FOREVER), EINVAL);
	assert_fails(mpx_result_wait(r, 0), EINVAL);
	assert_fails(mpx_result_wait(r, MPX_FOREVER), EINVAL);
	assert_false(mpx_result_ready(r));
	assert_false(mpx_result_successful(r));
	assert_fails(mpx_result_failure(r, &f), EINVAL);
	mpx_result_free(r);
}

static void test_bad_pointers(void **state)
{
	(void)state;
	struct bad_pointers bad;
	unsigned x = 5, y = 0;
	mpx_queue *q = mpx_queue_new();
	mpx_lock *l = mpx_lock_new();
	mpx_pool *freed = pool_of(1), *pool = pool_of(1);
	mpx_result *r = mpx_pool_apply_async(pool, square, &x, sizeof x, sizeof y, NULL);
	mpx_result *r_freed = mpx_pool_apply_async(pool, square, &x, sizeof x, sizeof y, NULL);
	assert_non_null(r);
	assert_ok(mpx_result_wait(r_freed, SOON));
	bad_pointers_make(&bad, pool);
	for (size_t i = 0; i < bad.n; i++) {
		pool_calls_refuse(bad.p[i]);
		result_calls_refuse(bad.p[i]);
	}
	bad_pointers_done(&bad);
	bad_pointers_make(&bad, r);
	for (size_t i = 0; i < bad.n; i++) {
		pool_calls_refuse(bad.p[i]);
		result_calls_refuse(bad.p[i]);
	}
	bad_pointers_done(&bad);
	pool_calls_refuse((mpx_pool *)(void *)q);
	pool_calls_refuse((mpx_pool *)(void *)l);
	pool_calls_refuse((mpx_pool *)(void *)r);
	result_calls_refuse((mpx_result *)(void *)q);
	result_calls_refuse((mpx_result *)(void *)l);
	result_calls_refuse((mpx_result *)(void *)pool);
	mpx_pool_free(freed);
	pool_calls_refuse(freed);
	mpx_result_free(r_freed);
	result_calls_refuse(r_freed);
	/* The good ones were left alone. */
	assert_fails(mpx_result_get_failure(r, NULL, sizeof(mpx_failure)), EINVAL);
	assert_ok(mpx_result_get(r, &y, SOON));
	assert_int_equal(y, 25);
	mpx_result_free(r);
	mpx_result_free(NULL);
	mpx_pool_free(pool);
	mpx_lock_free(l);
	mpx_queue_free(q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_lowest_error),	      mpx_test(test_errors_travel),
		mpx_test(test_no_failfast),	      mpx_test(test_messages),
		mpx_test(test_words_without_failure), mpx_test(test_last_failure),
		mpx_test(test_wrong_arguments),	      mpx_test(test_bad_pointers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
