/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * mpx/memory.h on a system whose pages are larger than the heap's (16 KiB, as on some ARM
 * machines; this program says so to the library): what is given back to the system is never
 * a part of a page whose rest is in use.
 *
 * Seen to fail with, in src/shm/pages.c: give_back() discarding all n pages; only those that
 * begin at a page of the system's.
 */
#define _GNU_SOURCE
#include "blocks.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SYSTEM_PAGE = 16384 };
#define MIB ((size_t)1 << 20)

static int discards, refused;

long sysconf(int name)
{
	static long (*real)(int);
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "sysconf");
	return name == _SC_PAGESIZE ? SYSTEM_PAGE : real(name);
}

/* As Linux does it: the begin must be a page's, the size is rounded up. */
int madvise(void *addr, size_t size, int advice)
{
	static int (*real)(void *, size_t, int);
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "madvise");
	discards += advice == MADV_REMOVE;
	if ((uintptr_t)addr % SYSTEM_PAGE != 0) {
		refused += advice == MADV_REMOVE;
		errno = EINVAL;
		return -1;
	}
	return real(addr, (size + SYSTEM_PAGE - 1) / SYSTEM_PAGE * SYSTEM_PAGE, advice);
}

enum { N = 4000, ROUNDS = 6 };

static struct {
	void *at;
	size_t size;
} block[N];

static void take(size_t i, uint64_t *seed)
{
	bool zeroed = i % 3 == 0;
	block[i].size = 16400 + (size_t)(next_random(seed) % 30000);
	block[i].at = zeroed ? mpx_calloc(1, block[i].size) : mpx_malloc(block[i].size);
	assert_non_null(block[i].at);
	assert_true(!zeroed || zero(block[i].at, block[i].size));
	fill(block[i].at, block[i].size, i);
}

static void give(size_t i)
{
	if (!intact(block[i].at, block[i].size, i))
		fail_msg("block %zu was overwritten", i);
	mpx_free(block[i].at);
	block[i].at = NULL;
}

static void test_neighbours_of_what_is_given_back(void **state)
{
	(void)state;
	mpx_memory_stats before = stats_now(), after;
	uint64_t seed = 7;
	for (int round = 0; round < ROUNDS; round++) {
		for (size_t i = 0; i < N; i++)
			if (!block[i].at)
				take(i, &seed);
		for (size_t i = 0; i < N; i++)
			if (next_random(&seed) % 2)
				give(i);
		for (size_t i = 0; i < N; i++)
			if (block[i].at && !intact(block[i].at, block[i].size, i))
				fail_msg("round %d: block %zu was overwritten", round, i);
	}
	for (size_t i = 0; i < N; i++)
		if (block[i].at)
			give(i);
	after = stats_now();
	assert_int_equal(after.blocks, before.blocks);
#ifdef MPX_TEST_PLATFORM_LINUX
	assert_int_not_equal(discards, 0);
	assert_int_equal(refused, 0);
	assert_true(after.kept < before.kept + 80 * MIB);
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_neighbours_of_what_is_given_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
