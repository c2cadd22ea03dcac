/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_queue_wait.c - who waits at a queue, and wakes:
 *
 *   getters, those who ask for the next size, and putters, processes and threads,
 *   at close (also by another process), by a get, by a put.
 *
 * A child_check() in a thread ends the whole program, which is a failure too.
 */
#define _POSIX_C_SOURCE 200809L

#include "family.h"

#include <pthread.h>
#include <stdatomic.h>

/* What a process that is to wait shares with the one that is to wake it. */
struct waiter {
	mpx_queue *q;
	atomic_int ready;
	atomic_int woken;
};

static void sleeps(mpx_process *p, struct waiter *w, int how_many)
{
	assert_soon(atomic_load(&w->ready) >= how_many);
	assert_soon(asleep(mpx_process_pid(p)));
}

static int get_until_closed(void *arg)
{
	struct waiter *w = arg;
	char m[64];
	atomic_fetch_add(&w->ready, 1);
	child_fails(mpx_queue_get(w->q, m, sizeof m, SOON), EPIPE);
	atomic_fetch_add(&w->woken, 1);
	return 0;
}

static int next_size_until_closed(void *arg)
{
	struct waiter *w = arg;
	atomic_fetch_add(&w->ready, 1);
	child_fails(mpx_queue_next_size(w->q, SOON), EPIPE);
	atomic_fetch_add(&w->woken, 1);
	return 0;
}

static int put_until_closed(void *arg)
{
	struct waiter *w = arg;
	atomic_fetch_add(&w->ready, 1);
	child_fails(mpx_queue_put(w->q, "x", 1, SOON), EPIPE);
	atomic_fetch_add(&w->woken, 1);
	return 0;
}

static void *get_in_thread(void *arg)
{
	get_until_closed(arg);
	return NULL;
}

static void *put_in_thread(void *arg)
{
	put_until_closed(arg);
	return NULL;
}

static void close_wakes(mpx_target *target, void *(*thread)(void *), size_t maxsize)
{
	mpx_process *p[4];
	pthread_t t[2];
	struct waiter *w = mpx_calloc(1, sizeof *w);
	assert_non_null(w);
	assert_non_null(w->q = mpx_queue_new(.maxsize = maxsize));
	if (maxsize)
		assert_ok(mpx_queue_put(w->q, "x", 1, 0));
	for (int i = 0; i < 4; i++) {
		p[i] = start(target, w);
		sleeps(p[i], w, i + 1);
	}
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&t[i], NULL, thread, w), 0);
	assert_soon(atomic_load(&w->ready) == 6);
	assert_int_equal(atomic_load(&w->woken), 0);
	double begin = now();
	assert_ok(mpx_queue_close(w->q));
	assert_soon(atomic_load(&w->woken) == 6);
	assert_true(now() - begin < 10);
	for (int i = 0; i < 4; i++)
		ends_well(p[i]);
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_join(t[i], NULL), 0);
	mpx_queue_free(w->q);
	mpx_free(w);
}

static void test_close_wakes_getters(void **state)
{
	(void)state;
	close_wakes(get_until_closed, get_in_thread, 0);
	close_wakes(next_size_until_closed, get_in_thread, 0);
}

static void test_close_wakes_putters(void **state)
{
	(void)state;
	close_wakes(put_until_closed, put_in_thread, 1);
}

static int close_it(void *arg)
{
	child_check(mpx_queue_close(arg) == 0);
	return 0;
}

static void test_close_by_another(void **state)
{
	(void)state;
	char c;
	mpx_queue *q = mpx_queue_new();
	assert_non_null(q);
	assert_ok(mpx_queue_put(q, "x", 1, 0));
	mpx_process *p = start(close_it, q);
	assert_int_equal(mpx_queue_get(q, &c, 1, SOON), 1);
	assert_fails(mpx_queue_get(q, &c, 1, SOON), EPIPE);
	ends_well(p);
	assert_fails(mpx_queue_put(q, "x", 1, 0), EPIPE);
	mpx_queue_free(q);
}

static int put_five_hundred(void *arg)
{
	struct waiter *w = arg;
	char m[500] = "five hundred";
	atomic_fetch_add(&w->ready, 1);
	child_check(mpx_queue_put(w->q, m, sizeof m, SOON) == 0);
	atomic_fetch_add(&w->woken, 1);
	return 0;
}

static void test_get_wakes_putter(void **state)
{
	(void)state;
	char m[500];
	struct waiter *w = mpx_calloc(1, sizeof *w);
	assert_non_null(w);
	assert_non_null(w->q = mpx_queue_new(.maxsize = 1));
	assert_ok(mpx_queue_put(w->q, "x", 1, 0));
	mpx_process *p = start(put_five_hundred, w);
	sleeps(p, w, 1);
	assert_int_equal(atomic_load(&w->woken), 0);
	assert_int_equal(mpx_queue_get(w->q, m, sizeof m, 0), 1);
	assert_int_equal(mpx_queue_get(w->q, m, sizeof m, SOON), sizeof m);
	assert_string_equal(m, "five hundred");
	ends_well(p);
	mpx_queue_free(w->q);

	/* By bytes: the first three gets do not make enough room, the fourth does. */
	assert_non_null(w->q = mpx_queue_new(.bytes = 1000));
	for (int i = 0; i < 9; i++)
		assert_ok(mpx_queue_put(w->q, m, 100, 0));
	p = start(put_five_hundred, w);
	sleeps(p, w, 2);
	for (int i = 0; i < 3; i++)
		assert_int_equal(mpx_queue_get(w->q, m, sizeof m, 0), 100);
	assert_int_equal(mpx_queue_qsize(w->q), 6);
	assert_int_equal(atomic_load(&w->woken), 1);
	assert_int_equal(mpx_queue_get(w->q, m, sizeof m, 0), 100);
	ends_well(p);
	assert_int_equal(mpx_queue_qsize(w->q), 6);
	assert_true(mpx_queue_full(w->q));
	mpx_queue_free(w->q);
	mpx_free(w);
}

static int get_one(void *arg)
{
	struct waiter *w = arg;
	char m[8];
	atomic_fetch_add(&w->ready, 1);
	child_check(mpx_queue_get(w->q, m, sizeof m, SOON) == 3);
	child_check(memcmp(m, "abc", 3) == 0);
	atomic_fetch_add(&w->woken, 1);
	return 0;
}

static void test_put_wakes_getters(void **state)
{
	(void)state;
	mpx_process *p[5];
	struct waiter *w = mpx_calloc(1, sizeof *w);
	assert_non_null(w);
	assert_non_null(w->q = mpx_queue_new());
	for (int i = 0; i < 5; i++) {
		p[i] = start(get_one, w);
		sleeps(p[i], w, i + 1);
	}
	/* One message, one of them; nobody needs a second push. */
	for (int i = 0; i < 5; i++) {
		assert_ok(mpx_queue_put(w->q, "abc", 3, 0));
		assert_soon(atomic_load(&w->woken) == i + 1);
	}
	for (int i = 0; i < 5; i++)
		ends_well(p[i]);
	mpx_queue_free(w->q);
	mpx_free(w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_close_wakes_getters), mpx_test(test_close_wakes_putters),
		mpx_test(test_close_by_another),    mpx_test(test_get_wakes_putter),
		mpx_test(test_put_wakes_getters),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
