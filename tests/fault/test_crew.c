/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * A pool's thread that ends when its creator has given up waiting for it and not yet let
 * it go: its stack is given back all the same.
 *
 * Seen to fail with, in src/pool/crew.c: those that have ended joined by mpx__crew_free
 * only if others have not.
 */
#define _POSIX_C_SOURCE 200809L
#include "family.h"

#include "pool/pool.h"

#include <dirent.h>

enum { POOLS = 60, MEBIBYTE = 1 << 20 };

/* Address space of this process; 0 where /proc cannot tell. */
static size_t mapped(void)
{
	size_t pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");
	if (!f)
		return 0;
	if (fscanf(f, "%zu", &pages) != 1)
		pages = 0;
	fclose(f);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static int threads(void)
{
	int n = 0;
	DIR *d = opendir("/proc/self/task");
	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

/* mpx_pool_free, step by step. */
static void free_while_it_ends(void)
{
	struct gate *g = gate_new();
	int before = threads();
	mpx_pool *pool = mpx_pool_new(.processes = 1, .backend = MPX_BACKEND_THREADS);
	assert_non_null(pool);
	mpx_result *r = mpx_pool_apply_async(pool, pass_gate, &g, sizeof g, 0, NULL);
	assert_non_null(r);
	assert_soon(atomic_load(&g->entered) == 1);
	assert_ok(mpx_pool_terminate(pool));
	assert_int_equal(mpx__crew_join(pool, 0), ETIMEDOUT);
	atomic_store(&g->open, true);
	assert_soon(threads() == before);
	mpx__crew_free(pool);
	mpx_result_free(r);
	mpx_free(g);
}

static void test_stacks_are_given_back(void **state)
{
	(void)state;
	if (SANITIZED || !mapped())
		skip();
	free_while_it_ends();
	size_t before = mapped();
	for (int i = 0; i < POOLS; i++)
		free_while_it_ends();
	assert_true(mapped() < before + POOLS / 2 * MEBIBYTE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_stacks_are_given_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
