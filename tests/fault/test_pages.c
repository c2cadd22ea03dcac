/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * Who holds the heap's lock dies between finding pages and taking them, with anything
 * written there; and who repairs finds runs that were kept whole.
 *
 * Seen to fail with, in src/shm/pages.c: raise_top() called by mpx__run_begin, not by
 * mpx__run_find; in mpx__pages_rebuild, kept_n left as it is, or kept runs left whole.
 */
#define _POSIX_C_SOURCE 200809L
#include "blocks.h"

#include "shm/pages.h"

#include <signal.h>
#include <unistd.h>

enum { SOME = 70000, PAGES = 18 };

/* What of the heap a child does while it holds its lock, and then dies. */
static void die_inside(void (*fn)(void))
{
	pid_t pid = fork();
	if (pid == 0) {
		if (mpx__word_acquire(&heap()->lock, 0) == 0)
			fn();
		raise(SIGKILL);
	}
	assert_true(pid > 0);
	assert_int_equal(wait_child(pid), -SIGKILL);
}

/* As if a slab were to be there. */
static void write_at_the_top(void)
{
	uint32_t page = mpx__run_find(16, 16);
	if (page != MPX__NO_PAGE)
		memset(page_address(page), 0xee, 1000);
}

static void test_written_and_not_taken(void **state)
{
	(void)state;
	enum { BLOCKS = 40 };
	void *block[BLOCKS];
	int above = 0;
	/* The next slab's place is some pages further on, each time others. */
	for (int i = 0; i < BLOCKS; i++) {
		uint32_t top = heap()->top;
		die_inside(write_at_the_top);
		block[i] = mpx_calloc(PAGES, 4000);
		assert_non_null(block[i]);
		if (!zero(block[i], (size_t)PAGES * 4000))
			fail_msg("block %d, at page %u of %u, is not zero", i, page_of(block[i]), top);
		above += page_of(block[i]) + PAGES > top;
	}
	assert_true(above >= BLOCKS / 2);
	for (int i = 0; i < BLOCKS; i++)
		mpx_free(block[i]);
}

static void nothing(void)
{
}

static void test_kept_runs(void **state)
{
	(void)state;
	enum { N = 5 };
	void *block[2 * N];
	mpx_memory_stats before = stats_now();
	die_inside(nothing); /* nothing is kept from here on */
	for (int i = 0; i < N; i++)
		assert_non_null(block[i] = mpx_malloc(SOME));
	for (int i = 0; i < N; i++)
		mpx_free(block[i]);
	assert_int_equal(heap()->kept_n, heap()->keeps ? 0 : N);
	die_inside(nothing);
	assert_int_equal(stats_now().used, before.used);
	assert_int_equal(heap()->kept_n, 0);
	for (size_t i = 0; i < 2 * N; i++) {
		assert_non_null(block[i] = mpx_malloc(SOME));
		fill(block[i], SOME, i);
	}
	for (size_t i = 0; i < 2 * N; i++)
		assert_true(intact(block[i], SOME, i));
	for (int i = 0; i < 2 * N; i++)
		mpx_free(block[i]);
	assert_int_equal(stats_now().used, before.used);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_written_and_not_taken),
		mpx_test(test_kept_runs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
