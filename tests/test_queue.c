/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_queue.c - mpx/queue.h, call by call:
 *
 *   order, sizes from 0 to 64 MiB, qsize, empty, full; EMSGSIZE and next_size;
 *   timeouts, also under a storm of signals; arguments and pointers that are
 *   wrong; maxsize and bytes; close.
 *
 * test_queue_wait.c: who waits is woken. test_queue_family.c: many processes and
 * threads. test_queue_memory.c: large backlogs, and what happens when memory ends.
 * test_queue_poll.c: fileno. test_queue_kill.c: processes that are killed.
 */
#define _POSIX_C_SOURCE 200809L

#include "family.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

static void test_order(void **state)
{
	(void)state;
	mpx_queue *q = mpx_queue_new();
	assert_non_null(q);
	assert_true(mpx_queue_empty(q));
	assert_false(mpx_queue_full(q));
	assert_int_equal(mpx_queue_qsize(q), 0);
	for (int i = 0; i < 5000; i++) {
		assert_ok(mpx_queue_put(q, &i, sizeof i, 0));
		assert_int_equal(mpx_queue_qsize(q), i + 1);
		assert_false(mpx_queue_empty(q));
		assert_false(mpx_queue_full(q));
	}
	for (int i = 0; i < 5000; i++) {
		int x = -1;
		assert_int_equal(mpx_queue_get(q, &x, sizeof x, 0), sizeof x);
		assert_int_equal(x, i);
		assert_int_equal(mpx_queue_qsize(q), 5000 - i - 1);
	}
	assert_true(mpx_queue_empty(q));
	mpx_queue_free(q);
}

/* Short backlogs that wander through whatever ring there is. */
static void test_order_wandering(void **state)
{
	(void)state;
	mpx_queue *q = mpx_queue_new();
	uint64_t seed = 1;
	unsigned in = 0, out = 0;
	static unsigned char buf[5000];
	assert_non_null(q);
	for (int round = 0; round < 20000; round++) {
		size_t n = (size_t)(next_random(&seed) % 5000);
		if (in - out < 40 && next_random(&seed) % 2) {
			fill(buf, n, in);
			assert_ok(mpx_queue_put(q, buf, n, 0));
			in++;
		} else if (in != out) {
			ssize_t got = mpx_queue_get(q, buf, sizeof buf, 0);
			assert_true(got >= 0);
			assert_true(filled(buf, (size_t)got, out));
			out++;
		}
		assert_int_equal(mpx_queue_qsize(q), in - out);
	}
	mpx_queue_free(q); /* with what is still in it */
}

static void test_sizes(void **state)
{
	(void)state;
	static const size_t sizes[] = {
		0,	 1,	  7,	 8,	9,     63,	64,
		65,	 100,	  255,	 256,	1000,  4095,	4096,
		4097,	 65535,	  65536, 65537, 99999, 1 << 20, (1 << 20) + 1,
		5 << 20, 64 << 20};
	const size_t max = (64 << 20) + 64;
	unsigned char *in = malloc(max), *out = malloc(max);
	mpx_queue *q = mpx_queue_new();
	assert_non_null(q);
	assert_non_null(in);
	assert_non_null(out);
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		size_t n = sizes[i];
		fill(in, n, i);
		assert_ok(mpx_queue_put(q, in, n, SOON));
		memset(in, 0, n); /* it was copied */
		memset(out + n, 0x5a, 64);
		assert_int_equal(mpx_queue_next_size(q, 0), n);
		assert_int_equal(mpx_queue_get(q, out, n + 64, 0), n);
		assert_true(filled(out, n, i));
		for (size_t k = 0; k < 64; k++)
			assert_int_equal(out[n + k], 0x5a);
		assert_true(mpx_queue_empty(q));
	}
	/* All of them at once. */
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		fill(in, sizes[i], i + 100);
		assert_ok(mpx_queue_put(q, in, sizes[i], SOON));
	}
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		assert_int_equal(mpx_queue_get(q, out, sizes[i], 0), sizes[i]);
		assert_true(filled(out, sizes[i], i + 100));
	}
	mpx_queue_free(q);
	free(in);
	free(out);
}

static void test_size_zero(void **state)
{
	(void)state;
	mpx_queue *q = mpx_queue_new();
	char c = 'c';
	assert_non_null(q);
	assert_ok(mpx_queue_put(q, NULL, 0, 0));
	assert_ok(mpx_queue_put(q, &c, 0, 0));
	assert_int_equal(mpx_queue_qsize(q), 2);
	assert_false(mpx_queue_empty(q));
	assert_int_equal(mpx_queue_next_size(q, 0), 0);
	assert_int_equal(mpx_queue_get(q, &c, 0, 0), 0);
	assert_int_equal(mpx_queue_get(q, &c, 1, 0), 0);
	assert_int_equal(c, 'c');
	assert_fails(mpx_queue_get(q, &c, 1, 0), ETIMEDOUT);
	mpx_queue_free(q);
}

static void test_buffer_too_small(void **state)
{
	(void)state;
	static const size_t sizes[] = {1, 100, 4096, 70000, 3 << 20};
	static unsigned char buf[4 << 20];
	mpx_queue *q = mpx_queue_new();
	assert_non_null(q);
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		size_t n = sizes[i];
		fill(buf, n, i);
		assert_ok(mpx_queue_put(q, buf, n, 0));
		assert_ok(mpx_queue_put(q, "next", 4, 0));
		memset(buf, 0x5a, n);
		for (int again = 0; again < 3; again++) {
			assert_fails(mpx_queue_get(q, buf, n - 1, SOON), EMSGSIZE);
			assert_fails(mpx_queue_get(q, buf, 0, 0), EMSGSIZE);
			assert_int_equal(buf[n - 1], 0x5a);
			assert_int_equal(mpx_queue_next_size(q, SOON), n);
			assert_int_equal(mpx_queue_qsize(q), 2);
		}
		assert_int_equal(mpx_queue_get(q, buf, n, 0), n);
		assert_true(filled(buf, n, i));
		assert_int_equal(mpx_queue_get(q, buf, n < 4 ? 4 : n, 0), 4);
		assert_memory_equal(buf, "next", 4);
	}
	mpx_queue_free(q);
}

static void test_timeouts(void **state)
{
	(void)state;
	static const double polls[] = {0, -0.0, -1e-300, -1, -1e300};
	mpx_queue *q = mpx_queue_new(.maxsize = 1);
	int x = 1;
	assert_non_null(q);
	for (size_t i = 0; i < sizeof polls / sizeof *polls; i++) {
		assert_times_out(mpx_queue_get(q, &x, sizeof x, polls[i]), 0);
		assert_times_out(mpx_queue_next_size(q, polls[i]), 0);
	}
	assert_times_out(mpx_queue_get(q, &x, sizeof x, -MPX_FOREVER), 0);
	assert_times_out(mpx_queue_get(q, &x, sizeof x, 1e-9), 1e-9);
	assert_times_out(mpx_queue_get(q, &x, sizeof x, 0.001), 0.001);
	assert_times_out(mpx_queue_get(q, &x, sizeof x, 0.3), 0.3);
	assert_times_out(mpx_queue_next_size(q, 0.25), 0.25);
	assert_fails(mpx_queue_get(q, &x, sizeof x, NOT_A_NUMBER), EINVAL);
	assert_fails(mpx_queue_next_size(q, NOT_A_NUMBER), EINVAL);

	assert_ok(mpx_queue_put(q, &x, sizeof x, -1)); /* there is room: polling succeeds */
	for (size_t i = 0; i < sizeof polls / sizeof *polls; i++)
		assert_times_out(mpx_queue_put(q, &x, sizeof x, polls[i]), 0);
	assert_times_out(mpx_queue_put(q, &x, sizeof x, -MPX_FOREVER), 0);
	assert_times_out(mpx_queue_put(q, &x, sizeof x, 0.3), 0.3);
	assert_fails(mpx_queue_put(q, &x, sizeof x, NOT_A_NUMBER), EINVAL);
	assert_int_equal(mpx_queue_qsize(q), 1);
	assert_int_equal(mpx_queue_next_size(q, -1), sizeof x);
	/* Longer than any clock counts. */
	assert_int_equal(mpx_queue_get(q, &x, sizeof x, 1e300), sizeof x);
	assert_ok(mpx_queue_put(q, &x, sizeof x, 1e18));
	mpx_queue_free(q);
}

static void ignore_signal(int sig)
{
	(void)sig;
}

struct pester {
	pthread_t victim;
	atomic_bool stop;
};

static void *pester(void *arg)
{
	struct pester *p = arg;
	while (!atomic_load(&p->stop)) {
		pthread_kill(p->victim, SIGUSR1);
		nap();
	}
	return NULL;
}

/* "A signal never stretches a wait nor ends it early." */
static void test_signals_while_waiting(void **state)
{
	(void)state;
	struct sigaction sa = {.sa_handler = ignore_signal}, old;
	struct pester p = {.victim = pthread_self()};
	pthread_t t;
	int x = 0;
	mpx_queue *q = mpx_queue_new(.maxsize = 1);
	assert_non_null(q);
	sigemptyset(&sa.sa_mask);
	assert_int_equal(sigaction(SIGUSR1, &sa, &old), 0);
	assert_int_equal(pthread_create(&t, NULL, pester, &p), 0);
	assert_times_out(mpx_queue_get(q, &x, sizeof x, 0.5), 0.5);
	assert_times_out(mpx_queue_next_size(q, 0.3), 0.3);
	assert_ok(mpx_queue_put(q, &x, sizeof x, 0.5));
	assert_times_out(mpx_queue_put(q, &x, sizeof x, 0.5), 0.5);
	atomic_store(&p.stop, true);
	assert_int_equal(pthread_join(t, NULL), 0);
	assert_int_equal(sigaction(SIGUSR1, &old, NULL), 0);
	mpx_queue_free(q);
}

static void test_wrong_arguments(void **state)
{
	(void)state;
	mpx_queue *q = mpx_queue_new();
	char c = 0;
	assert_non_null(q);
	assert_fails(mpx_queue_put(q, NULL, 1, 0), EINVAL);
	assert_true(mpx_queue_empty(q));
	assert_ok(mpx_queue_put(q, "x", 1, 0));
	assert_fails(mpx_queue_get(q, NULL, 1, 0), EINVAL);
	assert_int_equal(mpx_queue_get(q, &c, 1, 0), 1);
	assert_int_equal(c, 'x');
	/* Sizes that overflow, or are larger than any memory. */
	static const size_t sizes[] = {SIZE_MAX,	 SIZE_MAX - 7, SIZE_MAX - 63,
				       SIZE_MAX / 2 + 1, SIZE_MAX / 2, SIZE_MAX / 4};
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		errno = 0;
		assert_int_equal(mpx_queue_put(q, &c, sizes[i], 0), -1);
		assert_true(errno == EINVAL || errno == ENOMEM);
		assert_int_equal(mpx_queue_qsize(q), 0);
	}
	assert_ok(mpx_queue_put(q, "y", 1, 0));
	assert_int_equal(mpx_queue_get(q, &c, SIZE_MAX, 0), 1); /* room for any */
	mpx_queue_free(q);
}

static void all_calls_refuse(mpx_queue *q)
{
	char c = 0;
	assert_fails(mpx_queue_put(q, &c, 1, 0), EINVAL);
	assert_fails(mpx_queue_put(q, &c, 1, MPX_FOREVER), EINVAL);
	assert_fails(mpx_queue_get(q, &c, 1, 0), EINVAL);
	assert_fails(mpx_queue_get(q, &c, 1, MPX_FOREVER), EINVAL);
	assert_fails(mpx_queue_next_size(q, 0), EINVAL);
	assert_fails(mpx_queue_next_size(q, MPX_FOREVER), EINVAL);
	assert_fails(mpx_queue_qsize(q), EINVAL);
	assert_fails(mpx_queue_close(q), EINVAL);
	assert_fails(mpx_queue_fileno(q), EINVAL);
	mpx_queue_empty(q); /* no crash */
	mpx_queue_full(q);
	mpx_queue_free(q);
}

static void test_bad_pointers(void **state)
{
	(void)state;
	struct bad_pointers bad;
	mpx_queue *q = mpx_queue_new(), *freed = mpx_queue_new();
	mpx_lock *l = mpx_lock_new();
	mpx_value *v = mpx_value_new('i', 0);
	mpx_array *a = mpx_array_new('d', 1000, NULL);
	assert_non_null(q);
	assert_non_null(freed);
	bad_pointers_make(&bad, q);
	mpx_queue_free(freed);
	for (size_t i = 0; i < bad.n; i++)
		all_calls_refuse(bad.p[i]);
	all_calls_refuse((mpx_queue *)(void *)l);
	all_calls_refuse((mpx_queue *)(void *)v);
	all_calls_refuse((mpx_queue *)(void *)a);
	all_calls_refuse((mpx_queue *)(void *)mpx_current_process());
	all_calls_refuse(freed);
	/* The good ones were left alone. */
	assert_ok(mpx_queue_put(q, &v, sizeof v, 0));
	assert_ok(mpx_lock_acquire(l, 0));
	assert_ok(mpx_lock_release(l));
	assert_int_equal(mpx_array_len(a), 1000);
	bad_pointers_done(&bad);
	mpx_array_free(a);
	mpx_value_free(v);
	mpx_lock_free(l);
	mpx_queue_free(q);
}

static void test_options(void **state)
{
	(void)state;
	static const size_t too_many[] = {(size_t)1 << 31, ((size_t)1 << 31) + 1, (size_t)1 << 40,
					  SIZE_MAX / 2, SIZE_MAX};
	for (size_t i = 0; i < sizeof too_many / sizeof *too_many; i++)
		assert_nothing(mpx_queue_new(.maxsize = too_many[i]), EINVAL);
	mpx_queue *q = mpx_queue_new(.maxsize = ((size_t)1 << 31) - 1, .bytes = SIZE_MAX);
	assert_non_null(q);
	assert_ok(mpx_queue_put(q, "x", 1, 0));
	assert_false(mpx_queue_full(q));
	mpx_queue_free(q);
	mpx_queue_free(NULL);
	mpx_queue_free(mpx_queue_create(NULL)); /* defaults or EINVAL, but no crash */
}

static void test_maxsize(void **state)
{
	(void)state;
	for (size_t max = 1; max <= 300; max = max * 2 + 1) {
		mpx_queue *q = mpx_queue_new(.maxsize = max);
		assert_non_null(q);
		for (int round = 0; round < 3; round++) {
			for (size_t i = 0; i < max; i++) {
				assert_false(mpx_queue_full(q));
				assert_ok(mpx_queue_put(q, &i, sizeof i, 0));
			}
			assert_true(mpx_queue_full(q));
			assert_int_equal(mpx_queue_qsize(q), max);
			assert_fails(mpx_queue_put(q, &max, sizeof max, 0), ETIMEDOUT);
			assert_fails(mpx_queue_put(q, NULL, 0, 0), ETIMEDOUT);
			for (size_t i = 0; i < max; i++) {
				size_t x = SIZE_MAX;
				assert_int_equal(mpx_queue_get(q, &x, sizeof x, 0), sizeof x);
				assert_int_equal(x, i);
				assert_false(mpx_queue_full(q));
			}
		}
		mpx_queue_free(q);
	}
}

static void test_bytes(void **state)
{
	(void)state;
	char m[1001] = "";
	mpx_queue *q = mpx_queue_new(.bytes = 1000);
	assert_non_null(q);
	assert_fails(mpx_queue_put(q, m, 1001, 0), EMSGSIZE);
	assert_fails(mpx_queue_put(q, m, 1001, MPX_FOREVER), EMSGSIZE);
	assert_ok(mpx_queue_put(q, m, 1000, 0));
	assert_true(mpx_queue_full(q));
	assert_fails(mpx_queue_put(q, m, 1, 0), ETIMEDOUT);
	assert_fails(mpx_queue_put(q, m, 1001, 0), EMSGSIZE);
	assert_int_equal(mpx_queue_get(q, m, sizeof m, 0), 1000);
	assert_ok(mpx_queue_put(q, m, 600, 0));
	assert_false(mpx_queue_full(q));
	assert_times_out(mpx_queue_put(q, m, 401, 0.05), 0.05);
	assert_ok(mpx_queue_put(q, m, 400, 0));
	assert_true(mpx_queue_full(q));
	assert_int_equal(mpx_queue_get(q, m, sizeof m, 0), 600);
	assert_int_equal(mpx_queue_get(q, m, sizeof m, 0), 400);
	for (int i = 0; i < 10; i++)
		assert_ok(mpx_queue_put(q, m, 100, 0));
	assert_fails(mpx_queue_put(q, m, 100, 0), ETIMEDOUT);
	for (int i = 0; i < 10; i++)
		assert_int_equal(mpx_queue_get(q, m, sizeof m, 0), 100);
	assert_ok(mpx_queue_put(q, m, 1000, 0));
	mpx_queue_free(q);

	q = mpx_queue_new(.bytes = 1000, .maxsize = 2); /* whichever comes first */
	assert_non_null(q);
	assert_ok(mpx_queue_put(q, m, 1, 0));
	assert_fails(mpx_queue_put(q, m, 1000, 0), ETIMEDOUT);
	assert_ok(mpx_queue_put(q, m, 1, 0));
	assert_fails(mpx_queue_put(q, m, 1, 0), ETIMEDOUT);
	assert_true(mpx_queue_full(q));
	mpx_queue_free(q);
}

static void test_close(void **state)
{
	(void)state;
	char m[8];
	mpx_queue *q = mpx_queue_new(.maxsize = 2);
	assert_non_null(q);
	assert_ok(mpx_queue_put(q, "one", 3, 0));
	assert_ok(mpx_queue_put(q, "second", 6, 0));
	assert_ok(mpx_queue_close(q));
	assert_fails(mpx_queue_put(q, "x", 1, 0), EPIPE);
	assert_fails(mpx_queue_put(q, "x", 1, MPX_FOREVER), EPIPE);
	assert_ok(mpx_queue_close(q));
	assert_int_equal(mpx_queue_qsize(q), 2);
	assert_int_equal(mpx_queue_next_size(q, MPX_FOREVER), 3);
	assert_fails(mpx_queue_get(q, m, 2, MPX_FOREVER), EMSGSIZE);
	assert_int_equal(mpx_queue_get(q, m, sizeof m, MPX_FOREVER), 3);
	assert_int_equal(mpx_queue_get(q, m, sizeof m, 0), 6);
	assert_fails(mpx_queue_get(q, m, sizeof m, MPX_FOREVER), EPIPE);
	assert_fails(mpx_queue_get(q, m, sizeof m, 0), EPIPE);
	assert_fails(mpx_queue_next_size(q, MPX_FOREVER), EPIPE);
	assert_fails(mpx_queue_put(q, "x", 1, 0), EPIPE);
	assert_ok(mpx_queue_close(q));
	assert_true(mpx_queue_empty(q));
	assert_int_equal(mpx_queue_qsize(q), 0);
	mpx_queue_free(q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_order),
		mpx_test(test_order_wandering),
		mpx_test(test_sizes),
		mpx_test(test_size_zero),
		mpx_test(test_buffer_too_small),
		mpx_test(test_timeouts),
		mpx_test(test_signals_while_waiting),
		mpx_test(test_wrong_arguments),
		mpx_test(test_bad_pointers),
		mpx_test(test_options),
		mpx_test(test_maxsize),
		mpx_test(test_bytes),
		mpx_test(test_close),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
