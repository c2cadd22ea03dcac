/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_queue_memory.c - mpx/queue.h and the memory it takes:
 *
 *   200000 messages and one of 64 MiB before anybody reads, all of it given back;
 *   2000 queues; a heap of 16 MiB filled to the brim with large, small and mixed
 *   messages (ENOMEM, nothing lost, all usable afterwards, also for a process that
 *   waits); ENOMEM for a new queue; a small address space (ulimit -v).
 *
 * The programs at the end run in this executable started anew, since the heap is
 * reserved when the library is first used.
 */
#define _POSIX_C_SOURCE 200809L

#include "family.h"

static const char *self;

/* ---- in the heap as it is ---------------------------------------------- */

static void test_large_backlog(void **state)
{
	(void)state;
	const int small = 200000;
	const size_t large = 64 << 20;
	mpx_memory_stats before, after;
	unsigned char *m = malloc(large);
	mpx_queue *q = mpx_queue_new();
	assert_non_null(m);
	assert_non_null(q);
	assert_ok(mpx_memory_stats_now(&before));
	for (int i = 0; i < small; i++)
		assert_ok(mpx_queue_put(q, &i, sizeof i, 0));
	fill(m, large, 3);
	assert_ok(mpx_queue_put(q, m, large, 0));
	assert_int_equal(mpx_queue_qsize(q), small + 1);
	for (int i = 0; i < small; i++) {
		int x = -1;
		assert_int_equal(mpx_queue_get(q, &x, sizeof x, 0), sizeof x);
		assert_int_equal(x, i);
	}
	memset(m, 0, large);
	assert_int_equal(mpx_queue_get(q, m, large, 0), large);
	assert_true(filled(m, large, 3));
	assert_true(mpx_queue_empty(q));
	mpx_queue_free(q);
	assert_ok(mpx_memory_stats_now(&after));
	assert_true(after.used <= before.used + (1 << 20));
	assert_true(after.blocks < before.blocks); /* before, there was the queue */
	free(m);
}

static void test_many_queues(void **state)
{
	(void)state;
	enum { N = 2000 };
	static mpx_queue *q[N];
	size_t fds = open_fds();
	for (int i = 0; i < N; i++) {
		assert_non_null(q[i] = mpx_queue_new());
		assert_ok(mpx_queue_put(q[i], &i, sizeof i, 0));
	}
	assert_int_equal(open_fds(), fds); /* a queue costs none until it is polled */
	for (int i = 0; i < N; i++) {
		int x = -1;
		assert_int_equal(mpx_queue_get(q[i], &x, sizeof x, 0), sizeof x);
		assert_int_equal(x, i);
		mpx_queue_free(q[i]);
	}
}

static int drain_backlog(void *arg)
{
	int x, n = 0;
	while (mpx_queue_get(arg, &x, sizeof x, 0) == sizeof x)
		child_check(x == n++);
	child_check(errno == ETIMEDOUT && n == 50000);
	return 0;
}

static void test_backlog_drained_by_another(void **state)
{
	(void)state;
	mpx_queue *q = mpx_queue_new();
	assert_non_null(q);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 50000; i++)
			assert_ok(mpx_queue_put(q, &i, sizeof i, 0));
		ends_well(start(drain_backlog, q));
		assert_true(mpx_queue_empty(q));
	}
	mpx_queue_free(q);
}

/* Work that passes through for long must not take more and more. */
static void test_steady_traffic(void **state)
{
	(void)state;
	static unsigned char m[100000];
	mpx_memory_stats early, late;
	uint64_t seed = 5;
	mpx_queue *q = mpx_queue_new();
	assert_non_null(q);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 30000; i++) {
			size_t n = (size_t)(next_random(&seed) % (i % 16 ? 300 : sizeof m));
			assert_ok(mpx_queue_put(q, m, n, 0));
			if (mpx_queue_qsize(q) > 20)
				assert_true(mpx_queue_get(q, m, sizeof m, 0) >= 0);
		}
		while (mpx_queue_get(q, m, sizeof m, 0) >= 0)
			continue;
		assert_int_equal(errno, ETIMEDOUT);
		assert_ok(mpx_memory_stats_now(round ? &late : &early));
	}
	assert_true(late.blocks <= early.blocks + 16);
	assert_true(late.used <= early.used + (1 << 20));
	mpx_queue_free(q);
}

/* ---- in a heap of 16 MiB ----------------------------------------------- */

/* Puts messages of size(i) until the heap is full, and returns how many. */
static size_t fill_up(mpx_queue *q, size_t (*size)(size_t i))
{
	static unsigned char m[300000];
	for (size_t i = 0;; i++) {
		child_check(i < 32 << 20);
		fill(m, size(i), i);
		if (mpx_queue_put(q, m, size(i), 0) != 0) {
			child_check(errno == ENOMEM);
			child_check(mpx_queue_qsize(q) == (ssize_t)i);
			/* Memory is not waited for. */
			double begin = now();
			child_check(mpx_queue_put(q, m, sizeof m, SOON) == -1 && errno == ENOMEM);
			child_check(now() - begin < 15);
			child_check(mpx_queue_qsize(q) == (ssize_t)i);
			return i;
		}
	}
}

static void drain_all(mpx_queue *q, size_t (*size)(size_t i), size_t n)
{
	static unsigned char m[300000];
	for (size_t i = 0; i < n; i++) {
		child_check(mpx_queue_get(q, m, sizeof m, 0) == (ssize_t)size(i));
		child_check(filled(m, size(i), i));
	}
	child_check(mpx_queue_empty(q));
	child_fails(mpx_queue_get(q, m, sizeof m, 0), ETIMEDOUT);
}

static size_t large(size_t i)
{
	(void)i;
	return 60000;
}

static size_t small(size_t i)
{
	(void)i;
	return 1;
}

static size_t mixed(size_t i)
{
	return i % 50 == 7 ? 250000 : (i * 7919) % 600;
}

static int program_full_heap(void)
{
	size_t (*const sizes[])(size_t) = {large, small, mixed};
	mpx_memory_stats stats;
	child_check(mpx_memory_stats_now(&stats) == 0);
	child_check(stats.reserved <= 17 << 20);
	/* So that the first-time costs of a process do not count. */
	mpx_queue_free(mpx_queue_new());
	size_t blocks = heap_blocks();
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		mpx_queue *q = mpx_queue_new();
		child_check(q != NULL);
		for (int round = 0; round < 3; round++) {
			size_t n = fill_up(q, sizes[i]);
			child_check(n >= (sizes[i] == large ? 50 : 200));
			drain_all(q, sizes[i], n);
			child_check(mpx_queue_put(q, "usable", 6, 0) == 0);
			char m[6];
			child_check(mpx_queue_get(q, m, 6, 0) == 6 && memcmp(m, "usable", 6) == 0);
		}
		/* Freed when full, closed when full. */
		fill_up(q, sizes[i]);
		child_check(mpx_queue_close(q) == 0);
		mpx_queue_free(q);
		child_check(heap_blocks() == blocks);
	}
	return 0;
}

static int echo_lengths(void *arg)
{
	mpx_queue **q = arg;
	static unsigned char m[300000];
	ssize_t n;
	while ((n = mpx_queue_get(q[0], m, sizeof m, SOON)) >= 0)
		child_check(mpx_queue_put(q[1], &n, sizeof n, SOON) == 0);
	child_check(errno == EPIPE);
	return 0;
}

/* A producer that meets ENOMEM tries again: a consumer in another process makes room. */
static int program_full_heap_retry(void)
{
	static unsigned char m[300000];
	mpx_queue *q[2] = {mpx_queue_new(), mpx_queue_new()};
	child_check(q[0] && q[1]);
	mpx_process *p = mpx_process_new(.target = echo_lengths, .args = q);
	child_check(p != NULL);
	child_check(mpx_process_start(p) == 0);
	double end = now() + 2 * SOON;
	for (size_t i = 0; i < 2000; i++) {
		size_t n = 100000 + i * 50;
		while (mpx_queue_put(q[0], m, n, SOON) != 0) {
			child_check(errno == ENOMEM);
			child_check(now() < end);
			nap();
		}
	}
	child_check(mpx_queue_close(q[0]) == 0);
	for (size_t i = 0; i < 2000; i++) {
		ssize_t n = 0;
		child_check(mpx_queue_get(q[1], &n, sizeof n, SOON) == sizeof n);
		child_check(n == (ssize_t)(100000 + i * 50));
	}
	child_check(mpx_process_join(p, SOON) == 0);
	int code = -1;
	child_check(mpx_process_exitcode(p, &code) == 0 && code == 0);
	child_check(mpx_process_free(p) == 0);
	mpx_queue_free(q[0]);
	mpx_queue_free(q[1]);
	return 0;
}

/* No queue can be made in a full heap; one that is there still works if it need not grow. */
static int program_no_room_for_a_queue(void)
{
	void **chain = NULL, **block;
	mpx_queue *q = mpx_queue_new();
	char c = 0;
	child_check(q != NULL);
	child_check(mpx_queue_put(q, "x", 1, 0) == 0);
	child_check(mpx_queue_get(q, &c, 1, 0) == 1);
	size_t blocks = heap_blocks();
	for (size_t size = 1 << 20; size >= sizeof *chain; size /= 2)
		while ((block = mpx_malloc(size))) {
			*block = chain;
			chain = block;
		}
	child_check(errno == ENOMEM);
	errno = 0;
	child_check(mpx_queue_new() == NULL && errno == ENOMEM);
	if (mpx_queue_put(q, "y", 1, 0) != 0) {
		child_check(errno == ENOMEM);
		child_check(mpx_queue_empty(q));
	} else {
		child_check(mpx_queue_get(q, &c, 1, 0) == 1 && c == 'y');
	}
	while (chain) {
		block = chain;
		chain = *block;
		mpx_free(block);
	}
	child_check(heap_blocks() == blocks);
	child_check(mpx_queue_put(q, "z", 1, 0) == 0);
	child_check(mpx_queue_get(q, &c, 1, 0) == 1 && c == 'z');
	mpx_queue_free(q);
	q = mpx_queue_new();
	child_check(q != NULL);
	mpx_queue_free(q);
	return 0;
}

static void test_full_heap(void **state)
{
	(void)state;
	assert_int_equal(run_anew(self, "full-heap", "16M", 0), 0);
}

static void test_full_heap_retry(void **state)
{
	(void)state;
	assert_int_equal(run_anew(self, "full-heap-retry", "16M", 0), 0);
}

static void test_no_room_for_a_queue(void **state)
{
	(void)state;
	assert_int_equal(run_anew(self, "no-room", "16M", 0), 0);
}

/* ---- in a small address space ------------------------------------------ */

static int program_little_space(void)
{
	mpx_queue *q = mpx_queue_new(.maxsize = 2000);
	static unsigned char m[10000];
	if (!q && errno == ENOMEM)
		return 3;
	child_check(q != NULL);
	for (size_t i = 0; i < 1000; i++) {
		fill(m, i * 10, i);
		child_check(mpx_queue_put(q, m, i * 10, 0) == 0);
	}
	for (size_t i = 0; i < 1000; i++) {
		child_check(mpx_queue_get(q, m, sizeof m, 0) == (ssize_t)i * 10);
		child_check(filled(m, i * 10, i));
	}
	mpx_queue_free(q);
	return 0;
}

static void test_little_address_space(void **state)
{
	(void)state;
	if (SANITIZED)
		skip();
	assert_int_equal(run_anew(self, "little-space", NULL, (rlim_t)2 << 30), 0);
	assert_int_equal(run_anew(self, "little-space", NULL, (rlim_t)300 << 20), 0);
	/* Where not even this can be had, it is ENOMEM and no crash. */
	int code = run_anew(self, "little-space", NULL, (rlim_t)32 << 20);
	assert_true(code == 0 || code == 3);
}

int main(int argc, char **argv)
{
	self = argv[0];
	if (argc > 1) {
		const char *what = argv[1];
		return strcmp(what, "full-heap") == 0	      ? program_full_heap()
		       : strcmp(what, "full-heap-retry") == 0 ? program_full_heap_retry()
		       : strcmp(what, "no-room") == 0	      ? program_no_room_for_a_queue()
		       : strcmp(what, "little-space") == 0    ? program_little_space()
							      : 2;
	}
	const struct CMUnitTest tests[] = {
		mpx_test(test_large_backlog),
		mpx_test(test_many_queues),
		mpx_test(test_backlog_drained_by_another),
		mpx_test(test_steady_traffic),
		mpx_test(test_full_heap),
		mpx_test(test_full_heap_retry),
		mpx_test(test_no_room_for_a_queue),
		mpx_test(test_little_address_space),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
