/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_pool.c - mpx/pool.h, one caller:
 *
 *   map with ints, structs, different sizes, none, 0 to 1000000 items; in place
 *   in the family's heap; alignment; apply; chunksize; where tasks run, how many
 *   at a time, and what memory they see; options.
 *
 * test_pool_errors.c: errors, and arguments that are wrong. test_pool_async.c:
 * results. test_pool_end.c: close, join, terminate, free. test_pool_family.c:
 * threads, children, many pools. test_pool_initializer.c. test_pool_death.c:
 * workers that die. test_pool_host.c: signals, limits, the death of a pool's user.
 * test_pool_supervisor.c: the death of its supervisor.
 *
 * CPython's _TestPool: test_apply, test_map, test_starmap (items of several fields),
 * test_map_chunksize, test_empty_iterable, test_make_pool.
 */
#define _POSIX_C_SOURCE 200809L

#include "family.h"

#include <limits.h>
#include <stdalign.h>
#include <stdatomic.h>

/* ---- map --------------------------------------------------------------- */

static void test_map_ints(void **state)
{
	(void)state;
	static const size_t sizes[] = {0, 1, 2, 7, 1000, 1000000};
	static unsigned in[1000000], out[1000000];
	mpx_pool *pool = pool_of(2);
	for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
		size_t n = sizes[k];
		for (size_t i = 0; i < n; i++)
			in[i] = (unsigned)(i + k);
		memset(out, 0xff, sizeof out);
		assert_ok(mpx_pool_map(pool, square, in, out, n));
		for (size_t i = 0; i < n; i++)
			if (out[i] != in[i] * in[i])
				fail_msg("item %zu of %zu: %u", i, n, out[i]);
		if (n < 1000000)
			assert_int_equal(out[n], ~0u);
	}
	mpx_pool_free(pool);
}

static void test_map_of_the_manual(void **state)
{
	(void)state;
	unsigned xs[10] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, squares[10]; /* on the stack */
	mpx_pool *pool = mpx_pool_new();
	assert_non_null(pool);
	assert_int_equal(mpx_pool_processes(pool), mpx_cpu_count());
	assert_ok(mpx_pool_map(pool, square, xs, squares, 10));
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(squares[i], i * i);
	assert_ok(mpx_pool_map(pool, square, xs, xs, 10)); /* over its own input */
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(xs[i], i * i);
	mpx_pool_free(pool);
}

struct question {
	double x;
	char name[21];
	unsigned long long n;
};

struct answer {
	char text[333];
	double y;
};

static int ask(const void *in, void *out)
{
	const struct question *q = in;
	struct answer *a = out;
	snprintf(a->text, sizeof a->text, "%s %llu", q->name, q->n);
	a->y = q->x / 2;
	return 0;
}

static int three_to_five(const void *in, void *out)
{
	memcpy(out, in, 3);
	memcpy((char *)out + 3, "de", 2);
	return 0;
}

static void test_map_other_sizes(void **state)
{
	(void)state;
	static struct question in[3000];
	static struct answer out[3000];
	static char three[777][3], five[778][5];
	mpx_pool *pool = pool_of(3);
	for (size_t i = 0; i < 3000; i++) {
		in[i].x = (double)i;
		in[i].n = i << 33;
		snprintf(in[i].name, sizeof in[i].name, "number %zu", i);
	}
	assert_ok(mpx_pool_map(pool, ask, in, out, 3000));
	for (size_t i = 0; i < 3000; i++) {
		char text[64];
		snprintf(text, sizeof text, "number %zu %llu", i, (unsigned long long)i << 33);
		assert_string_equal(out[i].text, text);
		assert_true(out[i].y * 2 >= (double)i && out[i].y * 2 <= (double)i);
	}
	for (size_t i = 0; i < 777; i++)
		memcpy(three[i], (char[3]){(char)i, 'b', 'c'}, 3);
	memset(five, 0x5a, sizeof five);
	assert_ok(mpx_pool_map(pool, three_to_five, three, five, 777));
	for (size_t i = 0; i < 777; i++)
		assert_memory_equal(five[i], ((char[5]){(char)i, 'b', 'c', 'd', 'e'}), 5);
	assert_int_equal(five[777][0], 0x5a);
	mpx_pool_free(pool);
}

/* Shared with the tasks: a fresh pool sees this pointer as it is now. */
static atomic_int *counter;

static int count(const void *in, void *out)
{
	(void)in;
	(void)out;
	atomic_fetch_add(counter, 1);
	return 0;
}

static int number(const void *in, void *out)
{
	(void)in;
	*(int *)out = atomic_fetch_add(counter, 1);
	return 0;
}

static int sum_up(const void *in, void *out)
{
	(void)out;
	atomic_fetch_add(counter, *(const int *)in);
	return 0;
}

static void test_map_without_in_or_out(void **state)
{
	(void)state;
	static bool seen[500];
	int x[500];
	assert_non_null(counter = mpx_calloc(1, sizeof *counter));
	mpx_pool *pool = pool_of(2);
	assert_ok(mpx_pool_map_sized(pool, count, NULL, 0, NULL, 0, 500, NULL));
	assert_int_equal(atomic_load(counter), 500);
	assert_ok(mpx_pool_map_sized(pool, count, NULL, 0, NULL, 0, 0, NULL));
	assert_int_equal(atomic_load(counter), 500);
	atomic_store(counter, 0);
	assert_ok(mpx_pool_map_sized(pool, number, NULL, 0, x, sizeof *x, 500, NULL));
	for (int i = 0; i < 500; i++) {
		assert_in_range(x[i], 0, 499);
		assert_false(seen[x[i]]);
		seen[x[i]] = true;
	}
	atomic_store(counter, 0);
	for (int i = 0; i < 500; i++)
		x[i] = i;
	assert_ok(mpx_pool_map_sized(pool, sum_up, x, sizeof *x, NULL, 0, 500, NULL));
	assert_int_equal(atomic_load(counter), 500 * 499 / 2);
	mpx_pool_free(pool);
	mpx_free((void *)counter);
}

/* ---- where the items are ----------------------------------------------- */

struct place {
	const void *in;
	void *out;
	pid_t pid;
};

static int tell_place(const void *in, void *out)
{
	*(struct place *)out = (struct place){in, out, getpid()};
	return 0;
}

static void test_in_place(void **state)
{
	(void)state;
	enum { N = 300 };
	mpx_pool *pool = pool_of(2); /* older than the memory */
	struct place *shared = mpx_calloc(N, sizeof *shared), private[N];
	mpx_array *a = mpx_array_new('d', N, NULL);
	double *doubles = mpx_array_ptr(a, double), plain[N] = {0};
	assert_non_null(shared);
	assert_non_null(doubles);
	assert_ok(mpx_pool_map(pool, tell_place, doubles, shared, N));
	for (int i = 0; i < N; i++) {
		assert_ptr_equal(shared[i].in, &doubles[i]);
		assert_ptr_equal(shared[i].out, &shared[i]);
		assert_int_not_equal(shared[i].pid, getpid());
	}
	/* A part of a block; and one side only. */
	assert_ok(mpx_pool_map(pool, tell_place, doubles + 17, shared + 5, N - 100));
	for (int i = 0; i < N - 100; i++) {
		assert_ptr_equal(shared[5 + i].in, &doubles[17 + i]);
		assert_ptr_equal(shared[5 + i].out, &shared[5 + i]);
	}
	assert_ok(mpx_pool_map(pool, tell_place, doubles, private, N));
	for (int i = 0; i < N; i++)
		assert_ptr_equal(private[i].in, &doubles[i]);
	assert_ok(mpx_pool_map(pool, tell_place, plain, shared, N));
	for (int i = 0; i < N; i++)
		assert_ptr_equal(shared[i].out, &shared[i]);
	/* The same array on both sides. */
	unsigned *u = mpx_malloc(N * sizeof *u);
	assert_non_null(u);
	for (unsigned i = 0; i < N; i++)
		u[i] = i;
	assert_ok(mpx_pool_map(pool, square, u, u, N));
	for (unsigned i = 0; i < N; i++)
		assert_int_equal(u[i], i * i);
	mpx_free(u);
	mpx_free(shared);
	mpx_array_free(a);
	mpx_pool_free(pool);
}

static int check_alignment(const void *in, void *out)
{
	if ((uintptr_t)in % alignof(max_align_t) || (uintptr_t)out % alignof(max_align_t))
		return ERANGE;
	*(max_align_t *)out = *(const max_align_t *)in;
	return 0;
}

static int check_out_alignment(const void *in, void *out)
{
	(void)in;
	return (uintptr_t)out % alignof(max_align_t) ? ERANGE : 0;
}

static void test_alignment(void **state)
{
	(void)state;
	static max_align_t in[101], out[101];
	static char odd[101];
	mpx_pool *pool = pool_of(2);
	memset(in, 0, sizeof in);
	for (size_t n = 1; n <= 101; n += 10) {
		assert_ok(mpx_pool_map(pool, check_alignment, in, out, n));
		assert_ok(mpx_pool_map(pool, check_out_alignment, odd, out, n));
	}
	mpx_pool_free(pool);
}

/* ---- where and how often tasks run ------------------------------------- */

static void test_apply(void **state)
{
	(void)state;
	unsigned x = 12, y = 0;
	struct place place;
	mpx_pool *pool = pool_of(1);
	assert_ok(mpx_pool_apply(pool, square, &x, &y));
	assert_int_equal(y, 144);
	for (unsigned i = 0; i < 1000; i++) {
		assert_ok(mpx_pool_apply(pool, square, &i, &y));
		assert_int_equal(y, i * i);
	}
	assert_ok(mpx_pool_apply(pool, tell_place, &x, &place));
	assert_int_not_equal(place.pid, getpid());
	mpx_pool_free(pool);
}

static atomic_uchar *counts;

static int count_item(const void *in, void *out)
{
	size_t i = *(const size_t *)in;
	atomic_fetch_add(&counts[i], 1);
	*(size_t *)out = i + 1;
	return 0;
}

static void test_chunksize(void **state)
{
	(void)state;
	static const size_t items[] = {1, 2, 10, 1000, 5000};
	static size_t in[5000], out[5000];
	assert_non_null(counts = mpx_calloc(5000, 1));
	mpx_pool *pool = pool_of(3);
	for (size_t i = 0; i < 5000; i++)
		in[i] = i;
	for (size_t k = 0; k < sizeof items / sizeof *items; k++) {
		size_t n = items[k];
		size_t chunks[] = {0, 1, 3, n - 1, n, n + 1, 100, 10 * n, SIZE_MAX / 2, SIZE_MAX};
		for (size_t c = 0; c < sizeof chunks / sizeof *chunks; c++) {
			memset((void *)counts, 0, n);
			memset(out, 0, sizeof out);
			assert_ok(mpx_pool_map_sized(pool, count_item, in, sizeof *in, out,
						     sizeof *out, n,
						     MPX_TASK(.chunksize = chunks[c])));
			for (size_t i = 0; i < n; i++) {
				assert_int_equal(atomic_load(&counts[i]), 1);
				assert_int_equal(out[i], i + 1);
			}
		}
	}
	mpx_pool_free(pool);
	mpx_free((void *)counts);
}

static void test_workers(void **state)
{
	(void)state;
	enum { N = 4 };
	pid_t pids[N];
	static struct place places[1000];
	static char items[1000];
	struct meeting *m = mpx_calloc(1, sizeof *m);
	assert_non_null(m);
	mpx_pool *pool = pool_of(N);
	assert_true(workers_of(pool, m, N, pids)); /* all at the same time */
	for (int i = 0; i < N; i++) {
		assert_int_not_equal(pids[i], getpid());
		for (int k = 0; k < i; k++)
			assert_int_not_equal(pids[i], pids[k]);
	}
	/* They are the only ones. */
	assert_ok(mpx_pool_map(pool, tell_place, items, places, 1000));
	for (int i = 0; i < 1000; i++) {
		bool known = false;
		for (int k = 0; k < N; k++)
			known = known || places[i].pid == pids[k];
		assert_true(known);
	}
	mpx_pool_free(pool);
	for (int k = 0; k < N; k++)
		assert_soon(!pid_running(pids[k]));
	mpx_free(m);
}

static int program_variable = 1;

static int tell_variable(const void *in, void *out)
{
	(void)in;
	*(int *)out = program_variable;
	return 0;
}

/* "A worker sees the memory of the program as it was then." */
static void test_memory_of_then(void **state)
{
	(void)state;
	int seen = 0;
	program_variable = 42;
	mpx_pool *pool = pool_of(1);
	program_variable = 43;
	assert_ok(mpx_pool_map_sized(pool, tell_variable, NULL, 0, &seen, sizeof seen, 1, NULL));
	assert_int_equal(seen, 42);
	mpx_pool_free(pool);
}

/* ---- options ----------------------------------------------------------- */

static void test_options(void **state)
{
	(void)state;
	static const int wrong[] = {-1, -1000, INT_MIN, 1025, 4096, INT_MAX};
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		assert_nothing(mpx_pool_new(.processes = wrong[i]), EINVAL);
	mpx_pool *pool = mpx_pool_new(.processes = 0);
	assert_non_null(pool);
	assert_int_equal(mpx_pool_processes(pool), mpx_cpu_count());
	mpx_pool_free(pool);
	assert_int_equal(setenv("MPX_CPU_COUNT", "3", 1), 0);
	pool = mpx_pool_new();
	assert_int_equal(unsetenv("MPX_CPU_COUNT"), 0);
	assert_int_equal(mpx_pool_processes(pool), 3);
	mpx_pool_free(pool);
	mpx_pool_free(NULL);
	mpx_pool_free(mpx_pool_create(NULL)); /* defaults or EINVAL, but no crash */
}

static void test_many_workers(void **state)
{
	(void)state;
	static const int sizes[] = {64, 200}; /* gh-89240: Pool(200) */
	static unsigned in[10000], out[10000];
	for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
		mpx_pool *pool = pool_of(sizes[k]);
		for (unsigned i = 0; i < 10000; i++)
			in[i] = i;
		assert_ok(mpx_pool_map(pool, square, in, out, 10000));
		for (unsigned i = 0; i < 10000; i++)
			assert_int_equal(out[i], i * i);
		mpx_pool_free(pool);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_map_ints),	mpx_test(test_map_of_the_manual),
		mpx_test(test_map_other_sizes), mpx_test(test_map_without_in_or_out),
		mpx_test(test_in_place),	mpx_test(test_alignment),
		mpx_test(test_apply),		mpx_test(test_chunksize),
		mpx_test(test_workers),		mpx_test(test_memory_of_then),
		mpx_test(test_options),		mpx_test(test_many_workers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
