/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_pool_claims.c - mpx/pool.h, many quick tasks. Workers claim several chunks of them at
 * once; nobody notices:
 *
 *   one that takes long keeps nobody from the chunks behind it; one that ends its worker costs
 *   only itself; a worker that is replaced leaves the rest to others, to the task; nothing is
 *   begun after terminate.
 */
#define _POSIX_C_SOURCE 200809L

#include "family.h"

#include <signal.h>
#include <stdatomic.h>

enum { N = 20000, WORKERS = 2 };

/* In the family's heap. */
struct table {
	atomic_uint done;
	atomic_int entered;
	atomic_bool open;
	unsigned special;
	atomic_uchar runs[N];
};

struct item {
	struct table *t;
	unsigned i;
};

static struct item *items_of(struct table *t, unsigned special)
{
	struct item *items = mpx_calloc(N, sizeof *items);
	assert_non_null(items);
	for (unsigned i = 0; i < N; i++)
		items[i] = (struct item){t, i};
	t->special = special;
	return items;
}

static void run(struct table *t, unsigned i)
{
	atomic_fetch_add(&t->runs[i], 1);
	atomic_fetch_add(&t->done, 1);
}

/* Each has run, and once; the special one if it is so. */
static void assert_all_ran(struct table *t, bool special_too)
{
	for (unsigned i = 0; i < N; i++)
		if (atomic_load(&t->runs[i]) != (i != t->special || special_too))
			fail_msg("item %u ran %d times", i, (int)atomic_load(&t->runs[i]));
}

static int quick(const void *in, void *out)
{
	const struct item *item = in;
	(void)out;
	run(item->t, item->i);
	return 0;
}

/* The special one ends when all others have. */
static int wait_for_all_others(const void *in, void *out)
{
	const struct item *item = in;
	double end = now() + SOON;
	(void)out;
	if (item->i == item->t->special)
		while (atomic_load(&item->t->done) != N - 1 && now() < end)
			nap();
	run(item->t, item->i);
	return now() < end ? 0 : ETIMEDOUT;
}

static void test_a_slow_one_holds_up_nobody(void **state)
{
	(void)state;
	for (int backend = 0; backend < 2; backend++) {
		mpx_pool *pool = mpx_pool_new(.processes = WORKERS,
					      .backend = backend ? MPX_BACKEND_THREADS
								 : MPX_BACKEND_PROCESSES);
		assert_non_null(pool);
		for (unsigned i = 0; i < 8; i++) {
			struct table *t = mpx_calloc(1, sizeof *t);
			struct item *items = items_of(t, N / 2 + 101 * i);
			assert_ok(mpx_pool_map_sized(pool, wait_for_all_others, items,
						     sizeof *items, NULL, 0, N,
						     MPX_TASK(.chunksize = 1)));
			assert_all_ran(t, true);
			mpx_free(items);
			mpx_free(t);
		}
		mpx_pool_free(pool);
	}
}

static int die_at_the_special(const void *in, void *out)
{
	const struct item *item = in;
	if (item->i == item->t->special)
		raise(SIGKILL);
	return quick(in, out);
}

static void test_a_crash_costs_one(void **state)
{
	(void)state;
	mpx_pool *pool = pool_of(WORKERS);
	for (unsigned i = 0; i < 8; i++) {
		struct table *t = mpx_calloc(1, sizeof *t);
		struct item *items = items_of(t, N / 2 + 101 * i);
		assert_fails(mpx_pool_map_sized(pool, die_at_the_special, items, sizeof *items,
						NULL, 0, N, MPX_TASK(.chunksize = 1)),
			     EOWNERDEAD);
		assert_all_ran(t, false);
		mpx_free(items);
		mpx_free(t);
	}
	mpx_pool_free(pool);
}

/* In the midst of what they have claimed; and they run not one more than they may. */
static void test_workers_wear_out(void **state)
{
	(void)state;
	enum { MOST = 1777 };
	mpx_pool *pool = mpx_pool_new(.processes = WORKERS, .max_tasks_per_child = MOST);
	struct table *t = mpx_calloc(1, sizeof *t);
	struct item *items = items_of(t, 0);
	assert_non_null(pool);
	assert_ok(mpx_pool_map_sized(pool, quick, items, sizeof *items, NULL, 0, N,
				     MPX_TASK(.chunksize = 1)));
	assert_all_ran(t, true);
	mpx_pool_free(pool);
	mpx_free(items);
	mpx_free(t);
}

static int enter_from_the_special_on(const void *in, void *out)
{
	const struct item *item = in;
	double end = now() + SOON;
	if (item->i < item->t->special)
		return quick(in, out);
	atomic_fetch_add(&item->t->entered, 1);
	while (!atomic_load(&item->t->open) && now() < end)
		nap();
	return 0;
}

/* Threads cannot be ended: each is at an item whose neighbours were quick. It begins no
 * other. */
static void test_terminate_begins_no_more(void **state)
{
	(void)state;
	mpx_pool *pool = mpx_pool_new(.processes = WORKERS, .backend = MPX_BACKEND_THREADS);
	struct table *t = mpx_calloc(1, sizeof *t);
	struct item *items = items_of(t, N / 2);
	mpx_result *r;
	assert_non_null(pool);
	r = mpx_pool_map_async(pool, enter_from_the_special_on, items, sizeof *items, N, 0,
			       MPX_TASK(.chunksize = N / 8 + 100));
	assert_non_null(r);
	assert_soon(atomic_load(&t->entered) == WORKERS);
	assert_ok(mpx_pool_terminate(pool));
	atomic_store(&t->open, true);
	assert_ok(mpx_pool_join(pool, SOON));
	assert_fails(mpx_result_get(r, NULL, 0), ECANCELED);
	assert_int_equal(atomic_load(&t->entered), WORKERS);
	mpx_result_free(r);
	mpx_pool_free(pool);
	mpx_free(items);
	mpx_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_a_slow_one_holds_up_nobody),
		mpx_test(test_a_crash_costs_one),
		mpx_test(test_workers_wear_out),
		mpx_test(test_terminate_begins_no_more),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
