/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_memory.c - mpx/memory.h, call by call:
 *
 *   - malloc and calloc of every size: alignment, no overlap, zeros also in memory
 *     that was used before, malloc(0)
 *   - sizes that are too large; a heap that is full (MPX_HEAP_SIZE)
 *   - free: NULL, errno, twice, inside of a block, what is no block
 *   - memory is given back, and kept if it is wanted again and again
 *
 * test_memory_family.c: several processes, and processes that are killed.
 */
#define _POSIX_C_SOURCE 200809L

#include "blocks.h"

#include <stdlib.h>
#include <sys/resource.h>

#define MIB ((size_t)1 << 20)
#define GIB ((size_t)1 << 30)

static char *program;

/* ---- sizes ------------------------------------------------------------- */

static void test_every_size(void **state)
{
	(void)state;
	for (size_t size = 0; size <= 300000; size += size < 70000 ? 1 : 37) {
		char *p = mpx_malloc(size);
		if (!p || !aligned(p, size))
			fail_msg("malloc(%zu): %p, %s", size, (void *)p, strerror(errno));
		if (size) {
			p[0] = 1;
			p[size / 2] = 2;
			p[size - 1] = 3;
		}
		errno = 4711;
		mpx_free(p);
		assert_int_equal(errno, 4711);
	}
}

static void check_no_overlap(size_t from, size_t to, size_t step, bool up)
{
	static void *blocks[4200];
	size_t n = 0;
	for (size_t size = from; size <= to; size += step, n++) {
		blocks[n] = n % 3 ? mpx_malloc(size) : mpx_calloc(1, size);
		assert_non_null(blocks[n]);
		assert_true(aligned(blocks[n], size));
		if (n % 3 == 0)
			assert_true(zero(blocks[n], size));
		fill(blocks[n], size, n);
	}
	for (size_t i = 0; i < n; i++) {
		size_t k = up ? i : n - 1 - i;
		if (!intact(blocks[k], from + k * step, k))
			fail_msg("block of %zu bytes was overwritten", from + k * step);
		mpx_free(blocks[k]);
	}
}

static void test_blocks_do_not_overlap(void **state)
{
	(void)state;
	for (int up = 0; up < 2; up++) {
		check_no_overlap(0, 4099, 1, up);
		check_no_overlap(0, 300000, 1499, up);
		check_no_overlap(4096 - 64, 4096 * 5, 16, up);
	}
	/* many of the same size */
	static const size_t sizes[] = {0,   1,	  8,	16,   17,   63,	  64,	65,  128,
				       200, 1000, 1024, 2048, 4095, 4096, 4097, 5000};
	for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
		enum { N = 1500 };
		static void *blocks[N];
		for (size_t i = 0; i < N; i++) {
			assert_non_null(blocks[i] = mpx_malloc(sizes[s]));
			fill(blocks[i], sizes[s], i);
		}
		for (size_t i = 0; i < N; i += 2) {
			assert_true(intact(blocks[i], sizes[s], i));
			mpx_free(blocks[i]);
		}
		for (size_t i = 0; i < N; i += 2) {
			assert_non_null(blocks[i] = mpx_malloc(sizes[s]));
			fill(blocks[i], sizes[s], i + N);
		}
		for (size_t i = 0; i < N; i++) {
			assert_true(intact(blocks[i], sizes[s], i % 2 ? i : i + N));
			mpx_free(blocks[i]);
		}
	}
}

static void test_blocks_of_nothing(void **state)
{
	(void)state;
	void *p[] = {mpx_malloc(0),    mpx_malloc(0),	 mpx_calloc(0, 0),
		     mpx_calloc(0, 9), mpx_calloc(9, 0), mpx_calloc(SIZE_MAX, 0)};
	for (size_t i = 0; i < 6; i++) {
		assert_non_null(p[i]);
		for (size_t k = 0; k < i; k++)
			assert_ptr_not_equal(p[i], p[k]);
	}
	for (size_t i = 0; i < 6; i++) {
		errno = 4711;
		mpx_free(p[i]);
		assert_int_equal(errno, 4711);
		errno = 0;
		mpx_free(p[i]);
		assert_int_equal(errno, EINVAL);
	}
}

static void test_zeros_in_used_memory(void **state)
{
	(void)state;
	static const size_t sizes[] = {1,    8,	   24,	  64,	 100,	500,	1000,	4096,
				       5000, 8192, 16384, 40000, 65536, 100000, 300000, 3000000};
	for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
		void *p[20];
		for (int round = 0; round < 4; round++) {
			for (int i = 0; i < 20; i++) {
				p[i] = i % 2 ? mpx_calloc(1, sizes[s]) : mpx_calloc(sizes[s], 1);
				assert_non_null(p[i]);
				assert_true(aligned(p[i], sizes[s]));
				assert_true(zero(p[i], sizes[s]));
				memset(p[i], 0xff, sizes[s]);
			}
			for (int i = 0; i < 20; i++)
				mpx_free(p[i]);
		}
	}
	/* a few bytes out of what was large, and the reverse */
	uint64_t seed = 7;
	void *p[64] = {0};
	for (int i = 0; i < 3000; i++) {
		size_t k = next_random(&seed) % 64, size = random_size(&seed);
		mpx_free(p[k]);
		assert_non_null(p[k] = mpx_calloc(1, size));
		assert_true(zero(p[k], size));
		memset(p[k], 0xff, size);
	}
	for (int i = 0; i < 64; i++)
		mpx_free(p[i]);
}

static void test_too_large(void **state)
{
	(void)state;
	mpx_memory_stats before = stats_now();
	size_t sizes[] = {SIZE_MAX,	   SIZE_MAX - 1,	SIZE_MAX - 15,
			  SIZE_MAX - 63,   SIZE_MAX - 4095,	SIZE_MAX - 65535,
			  SIZE_MAX / 2,	   SIZE_MAX / 2 + 1,	(size_t)1 << 60,
			  (size_t)1 << 48, before.reserved * 2, before.reserved + 1,
			  before.reserved};
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		assert_nothing(mpx_malloc(sizes[i]), ENOMEM);
		assert_nothing(mpx_calloc(1, sizes[i]), ENOMEM);
		assert_nothing(mpx_calloc(sizes[i], 1), ENOMEM);
	}
	assert_nothing(mpx_calloc(SIZE_MAX, 2), ENOMEM);
	assert_nothing(mpx_calloc(2, SIZE_MAX), ENOMEM);
	assert_nothing(mpx_calloc(SIZE_MAX, SIZE_MAX), ENOMEM);
	assert_nothing(mpx_calloc(SIZE_MAX / 2 + 1, 2), ENOMEM);
	assert_nothing(mpx_calloc(SIZE_MAX / 8 + 2, 8), ENOMEM);
	assert_nothing(mpx_calloc((size_t)1 << 33, (size_t)1 << 33), ENOMEM);
#ifdef _SC_PHYS_PAGES
	/* more than the machine has (and swap, most likely) */
	size_t memory = (size_t)sysconf(_SC_PHYS_PAGES) * (size_t)sysconf(_SC_PAGESIZE);
	assert_nothing(mpx_malloc(2 * memory + 8 * GIB), ENOMEM);
	if (memory < 16 * GIB)
		assert_nothing(mpx_malloc(40 * GIB), ENOMEM);
#endif
	mpx_memory_stats after = stats_now();
	assert_int_equal(after.blocks, before.blocks);
	assert_int_equal(after.used, before.used);
	void *p = mpx_malloc(100);
	assert_non_null(p);
	mpx_free(p);
}

/* ---- free -------------------------------------------------------------- */

static void test_bad_frees(void **state)
{
	(void)state;
	errno = 4711;
	mpx_free(NULL);
	assert_int_equal(errno, 4711);
	static const size_t sizes[] = {0,    1,	   16,	  64,	 100,	 1000,	 4096,
				       5000, 9000, 32768, 65536, 100000, 300000, 2000000};
	for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
		size_t size = sizes[s];
		char *p = mpx_malloc(size), *q = mpx_malloc(size);
		assert_non_null(p);
		assert_non_null(q);
		fill(p, size, 1);
		fill(q, size, 2);
		size_t blocks = heap_blocks();
		static const size_t inside[] = {1,  2,	 4,    8,    16,   24,	  32,	48,
						64, 128, 1024, 4096, 8192, 16384, 65536};
		for (size_t i = 0; i < sizeof inside / sizeof *inside; i++)
			if (inside[i] < size)
				refuses(p + inside[i]);
		if (size > 1) {
			refuses(p + size / 2);
			refuses(p + size - 1);
		}
		refuses(p + 1);
		refuses(p - 1);
		assert_int_equal(heap_blocks(), blocks);
		assert_true(intact(p, size, 1));
		assert_true(intact(q, size, 2));
		errno = 4711;
		mpx_free(p);
		assert_int_equal(errno, 4711);
		refuses(p);
		refuses(p);
		assert_int_equal(heap_blocks(), blocks - 1);
		assert_true(intact(q, size, 2));
		mpx_free(q);
		refuses(q);
		refuses(p);
		assert_int_equal(heap_blocks(), blocks - 2);
	}
}

static void test_free_of_what_is_no_block(void **state)
{
	(void)state;
	mpx_lock *l = mpx_lock_new();
	mpx_rlock *r = mpx_rlock_new();
	mpx_value *v = mpx_value_new('i', 3);
	mpx_array *a = mpx_array_new('i', 3000, NULL);
	mpx_queue *q = mpx_queue_new();
	assert_ok(mpx_queue_put(q, "hello", 5, 0));
	void *block = mpx_malloc(100000);
	struct bad_pointers bad;
	bad_pointers_make(&bad, block);
	size_t blocks = heap_blocks();
	for (size_t i = 0; i < bad.n; i++)
		if (bad.p[i] && bad.p[i] != bad.block)
			refuses(bad.p[i]);
	void *others[] = {l,
			  r,
			  v,
			  a,
			  q,
			  mpx_value_ptr(v, int),
			  mpx_array_ptr(a, int),
			  mpx_value_lock(v),
			  mpx_current_process()};
	for (size_t i = 0; i < sizeof others / sizeof *others; i++)
		refuses(others[i]);
	assert_int_equal(heap_blocks(), blocks);
	assert_ok(mpx_lock_acquire(l, 0));
	assert_ok(mpx_rlock_acquire(r, 0));
	assert_int_equal(mpx_value_add(v, 1), 3);
	assert_int_equal(mpx_array_len(a), 3000);
	assert_int_equal(mpx_queue_qsize(q), 1);
	mpx_lock_free(l);
	mpx_rlock_free(r);
	mpx_value_free(v);
	mpx_array_free(a);
	mpx_queue_free(q);
	bad_pointers_done(&bad);
	mpx_free(block);
}

static long faults(void)
{
	struct rusage usage;
	assert_ok(getrusage(RUSAGE_SELF, &usage));
	return usage.ru_minflt;
}

/* More than what is kept at first: but it need not be provided anew each time. */
static void test_wanted_again_is_kept(void **state)
{
	(void)state;
	enum { ROUNDS = 12 };
	const size_t size = 24 * MIB;
	long first = 0, last = 0;
	for (int round = 0; round < ROUNDS; round++) {
		long before = faults();
		char *p = mpx_malloc(size);
		assert_non_null(p);
		memset(p, round, size);
		mpx_free(p);
		last = faults() - before;
		if (round == 0)
			first = last;
	}
	if (last >= 100)
		fail_msg("%ld page faults in the first round, %ld in the last", first, last);
	assert_true(stats_now().kept >= size);
}

static void test_memory_is_given_back(void **state)
{
	(void)state;
	mpx_memory_stats before = stats_now();
	size_t kept = 0;
	for (int round = 0; round < 7; round++) {
		/* one block, blocks of a megabyte, small blocks: 64 MiB each time */
		size_t size = round % 3 == 0 ? 64 * MIB : round % 3 == 1 ? MIB : 200;
		size_t n = 64 * MIB / size;
		void **p = malloc(n * sizeof *p);
		assert_non_null(p);
		for (size_t i = 0; i < n; i++) {
			assert_non_null(p[i] = mpx_malloc(size));
			memset(p[i], 1, size);
		}
		assert_true(stats_now().used >= before.used + 60 * MIB);
		for (size_t i = 0; i < n; i++)
			mpx_free(p[i]);
		free(p);
		mpx_memory_stats after = stats_now();
		assert_int_equal(after.blocks, before.blocks);
		if (after.used > before.used + MIB)
			fail_msg("round %d: %zu bytes used before, %zu after", round, before.used,
				 after.used);
		if (round == 2)
			kept = after.kept;
		if (round > 2 && after.kept > kept + 4 * MIB)
			fail_msg("round %d: %zu bytes kept, %zu before", round, after.kept, kept);
		assert_true(after.kept < 80 * MIB + before.kept);
	}
}

/* ---- a small heap: programs of their own, for it is reserved once ------- */

#define FULL 120000

/* Fills the heap with blocks of one size; all must be freed and come again. */
static int fills_the_heap(void)
{
	static void *blocks[FULL];
	mpx_memory_stats stats;
	child_check(mpx_memory_stats_now(&stats) == 0);
	child_check(stats.reserved >= 32 * MIB && stats.reserved <= 65 * MIB);
	size_t sizes[] = {MIB, 1000, 100000, 16 * MIB}, first[4] = {0};
	for (int round = 0; round < 8; round++) {
		size_t size = sizes[round % 4], n = 0;
		errno = 0;
		while (n < FULL && (blocks[n] = mpx_malloc(size))) {
			memset(blocks[n], 0xff, size < 64 ? size : 64);
			n++;
		}
		child_check(n < FULL && errno == ENOMEM);
		child_check(n * size >= stats.reserved / 2);
		child_check(n * size <= stats.reserved);
		child_check(!mpx_array_new('d', 4 * MIB, NULL) && errno == ENOMEM);
		if (round < 4)
			first[round] = n;
		else
			child_check(n + 2 >= first[round % 4]);
		for (size_t i = 0; i < n; i++)
			mpx_free(blocks[i]);
		mpx_lock *l = mpx_lock_new();
		child_check(l != NULL);
		mpx_lock_free(l);
	}
	mpx_memory_stats after;
	child_check(mpx_memory_stats_now(&after) == 0);
	child_check(after.blocks == stats.blocks && after.used <= stats.used + MIB);
	return 0;
}

static int works_at_all(void)
{
	mpx_memory_stats stats;
	void *p = mpx_malloc(100000);
	mpx_lock *l = mpx_lock_new();
	child_check(p && l);
	child_check(mpx_memory_stats_now(&stats) == 0);
	child_check(stats.reserved >= 16 * MIB);
	mpx_free(p);
	mpx_lock_free(l);
	return 0;
}

struct subprogram {
	const char *name, *heap_size;
};

static int exec_subprogram(void *arg)
{
	const struct subprogram *sub = arg;
	char *argv[] = {program, (char *)(uintptr_t)sub->name, NULL};
	setenv("MPX_HEAP_SIZE", sub->heap_size, 1);
	execv("/proc/self/exe", argv);
	execv(program, argv);
	return 98;
}

static void test_full_heap(void **state)
{
	(void)state;
	struct subprogram sub = {"fills_the_heap", "64M"};
	assert_int_equal(run_child(exec_subprogram, &sub), 0);
}

static void test_odd_heap_sizes(void **state)
{
	(void)state;
	static const char *const sizes[] = {"256M", "1G", "", "banana", "9999999999999G", "-5"};
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		struct subprogram sub = {"works_at_all", sizes[i]};
		if (run_child(exec_subprogram, &sub) != 0)
			fail_msg("MPX_HEAP_SIZE=%s", sizes[i]);
	}
}

int main(int argc, char **argv)
{
	program = argv[0];
	if (argc > 1 && strcmp(argv[1], "fills_the_heap") == 0)
		return fills_the_heap();
	if (argc > 1 && strcmp(argv[1], "works_at_all") == 0)
		return works_at_all();
	const struct CMUnitTest tests[] = {
		mpx_test(test_every_size),
		mpx_test(test_blocks_do_not_overlap),
		mpx_test(test_blocks_of_nothing),
		mpx_test(test_zeros_in_used_memory),
		mpx_test(test_too_large),
		mpx_test(test_bad_frees),
		mpx_test(test_free_of_what_is_no_block),
		mpx_test(test_wanted_again_is_kept),
		mpx_test(test_memory_is_given_back),
		mpx_test(test_full_heap),
		mpx_test(test_odd_heap_sizes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
