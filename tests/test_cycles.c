/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_cycles.c - many cycles of processes and pools, with flat resources; a
 * queue's large backlog, a large map.
 *
 * MPX_LONG=1 in the environment: more and larger cycles, with what they cost.
 */
#define _POSIX_C_SOURCE 200809L

#include "everything.h"

static bool is_long(void)
{
	const char *text = getenv("MPX_LONG");
	return text && *text && strcmp(text, "0") != 0;
}

struct cost {
	size_t fds, blocks, rss, heap;
};

static struct cost cost_now(void)
{
	struct cost c = {open_fds(), heap_blocks(), 0, 0};
	unsigned long size, resident;
	FILE *f = fopen("/proc/self/statm", "r");
	if (f) {
		if (fscanf(f, "%lu %lu", &size, &resident) == 2)
			c.rss = resident * (size_t)sysconf(_SC_PAGESIZE) / 1024;
		fclose(f);
	}
	mpx_memory_stats stats;
	if (mpx_memory_stats_now(&stats) == 0)
		c.heap = (stats.used + stats.kept) / 1024;
	return c;
}

/* Descriptors and blocks as before; of memory, slack KiB more. */
static void assert_flat(const char *what, double begin, struct cost a, size_t slack)
{
	struct cost b = cost_now();
	if (is_long())
		print_message("%s: %.1f s; fds %zu, %zu; blocks %zu, %zu; RSS %zu, %zu KiB; "
			      "heap %zu, %zu KiB\n",
			      what, now() - begin, a.fds, b.fds, a.blocks, b.blocks, a.rss, b.rss,
			      a.heap, b.heap);
	assert_int_equal(a.fds, b.fds);
	assert_int_equal(a.blocks, b.blocks);
	assert_true(b.heap <= a.heap + 32768);
	if (!SANITIZED && b.rss > a.rss + slack)
		fail_msg("%s: RSS %zu KiB, was %zu", what, b.rss, a.rss);
}

static int process_cycles(int n)
{
	int seven = 7, bad = 0;
	for (int i = 0; i < n; i++) {
		int code = -1;
		mpx_process *p = mpx_process_new(.target = return_args, .args = &seven);
		bad += !p || mpx_process_start(p) != 0 || mpx_process_join(p, SOON) != 0 ||
		       mpx_process_exitcode(p, &code) != 0 || code != 7 || mpx_process_free(p) != 0;
	}
	return bad;
}

static int pool_cycles(int n)
{
	int bad = 0;
	for (int i = 0; i < n; i++) {
		unsigned in[8] = {0, 1, 2, 3, 4, 5, 6, 7}, out[8];
		mpx_pool *pool = mpx_pool_new(.processes = 2);
		bad += !pool || mpx_pool_map(pool, square, in, out, 8) != 0 || out[7] != 49;
		if (i % 2)
			bad += mpx_pool_close(pool) != 0 || mpx_pool_join(pool, SOON) != 0;
		mpx_pool_free(pool);
	}
	return bad;
}

static void test_process_cycles(void **state)
{
	(void)state;
	alarm(900);
	assert_int_equal(process_cycles(50), 0);
	struct cost before = cost_now();
	double begin = now();
	int n = is_long() ? 10000 : 1000;
	assert_int_equal(process_cycles(n), 0);
	assert_flat("processes", begin, before, 2048);
}

static void test_pool_cycles(void **state)
{
	(void)state;
	alarm(900);
	assert_int_equal(pool_cycles(5), 0);
	struct cost before = cost_now();
	double begin = now();
	assert_int_equal(pool_cycles(is_long() ? 1000 : 50), 0);
	assert_flat("pools", begin, before, 2048);
}

static void test_queue_backlog(void **state)
{
	(void)state;
	size_t n = is_long() ? 200000 : 20000, size = (size_t)(is_long() ? 64 : 4) << 20;
	alarm(900);
	unsigned char *large = malloc(size);
	assert_non_null(large);
	fill(large, size, 3);
	struct cost before = cost_now();
	double begin = now();
	mpx_queue *q = mpx_queue_new();
	for (size_t i = 0; i < n; i++) {
		assert_ok(mpx_queue_put(q, &i, sizeof i, 0));
		if (i == n / 2)
			assert_ok(mpx_queue_put(q, large, size, 0));
	}
	assert_int_equal(mpx_queue_qsize(q), n + 1);
	memset(large, 0, size);
	for (size_t i = 0, got_one; i < n; i++) {
		assert_int_equal(mpx_queue_get(q, &got_one, sizeof got_one, 0), sizeof i);
		assert_int_equal(got_one, i);
		if (i == n / 2) {
			assert_fails(mpx_queue_get(q, &got_one, sizeof got_one, 0), EMSGSIZE);
			assert_int_equal(mpx_queue_get(q, large, size, 0), size);
			assert_true(filled(large, size, 3));
		}
	}
	assert_true(mpx_queue_empty(q));
	mpx_queue_free(q);
	/* Pages of the heap that this process has touched count as its own. */
	assert_flat("backlog", begin, before, 65536);
	free(large);
}

static void test_large_map(void **state)
{
	(void)state;
	size_t n = is_long() ? 10000000 : 500000;
	alarm(900);
	unsigned *in = malloc(n * sizeof *in), *out = calloc(n, sizeof *out);
	assert_non_null(in);
	assert_non_null(out);
	for (size_t i = 0; i < n; i++)
		in[i] = (unsigned)i;
	memset(out, 1, n * sizeof *out);
	struct cost before = cost_now();
	double begin = now();
	mpx_pool *pool = pool_of(2);
	assert_ok(mpx_pool_map(pool, square, in, out, n));
	for (size_t i = 0; i < n; i++)
		if (out[i] != (unsigned)i * (unsigned)i)
			fail_msg("item %zu", i);
	mpx_pool_free(pool);
	assert_flat("map", begin, before, 65536);
	free(in);
	free(out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_process_cycles),
		mpx_test(test_pool_cycles),
		mpx_test(test_queue_backlog),
		mpx_test(test_large_map),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
