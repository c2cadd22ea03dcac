/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * Soak: ordinary work, errors, deaths, timeouts, retries and cancels mixed, in pools
 * that are made and freed, with processes and a queue beside them, for MPX_SOAK
 * seconds (10 if it is not set):
 *
 *     MPX_SOAK=86400 MPX_TEST_SECONDS=90000 ./test_soak
 *
 * Whatever a task does, its item ends as it must, and the others are right. After
 * each round memory of the heap, blocks, descriptors, children and the resident size
 * of this process are what they were after the first rounds.
 *
 * Seen to fail without the object's free in mpx_process_free() (blocks), without
 * the watch's close in mpx__child_free() (descriptors), and with item++ left out of
 * word_after_death() (a task that kills its workers for ever).
 */
#define _POSIX_C_SOURCE 200809L
#include "family.h"

#include <dirent.h>
#include <signal.h>

enum { ITEMS = 200, WARM = 5, WORD = 64 };
enum { WELL, ERROR, DIE, HANG, FLAKY, KINDS };

struct item {
	int kind;
	uint64_t value;
	atomic_int attempts;
};

static uint64_t next(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return *seed >> 33;
}

static int work(const void *in, void *out)
{
	struct item *i = *(struct item *const *)in;
	int attempt = atomic_fetch_add(&i->attempts, 1) + 1;

	switch (i->kind) {
	case ERROR:
		return mpx_fail(EDOM, "item of kind %d", i->kind);
	case DIE:
		raise(SIGKILL);
		break;
	case HANG:
		for (;;)
			pause();
	case FLAKY:
		if (attempt == 1)
			raise(SIGKILL);
		if (attempt == 2)
			return EIO;
		break;
	default:
		break;
	}
	*(uint64_t *)out = i->value * i->value;
	return 0;
}

/* One kind of trouble at a time, so that the error of the map is known. */
static void one_map(mpx_pool *pool, struct item *items, int trouble, uint64_t *seed)
{
	static const int expected[KINDS] = {0, EDOM, EOWNERDEAD, ETIMEDOUT, 0};
	struct item *in[ITEMS];
	uint64_t out[ITEMS];
	size_t chunksize = next(seed) % 50;
	int rc, bad = 0;

	for (int i = 0; i < ITEMS; i++) {
		bool troubled = i == ITEMS / 2 || (trouble != HANG && next(seed) % 40 == 0);

		in[i] = &items[i];
		items[i].kind = troubled ? trouble : WELL;
		items[i].value = next(seed);
		items[i].attempts = 0;
		out[i] = 0;
		bad += troubled;
	}
	rc = mpx_pool_map_sized(pool, work, in, sizeof *in, out, sizeof *out, ITEMS,
				MPX_TASK(.chunksize = chunksize, .timeout = 1,
					 .retries = trouble == FLAKY ? 2 : 0));
	if (expected[trouble] == 0)
		assert_int_equal(rc, 0);
	else
		assert_true(rc == -1 && errno == expected[trouble]);
	for (int i = 0; i < ITEMS; i++)
		if (items[i].kind == WELL || items[i].kind == FLAKY)
			assert_int_equal(out[i], items[i].value * items[i].value);
	assert_true(bad > 0);
}

static void cancel_one(mpx_pool *pool, struct item *item)
{
	mpx_result *r;

	item->kind = HANG;
	item->attempts = 0;
	r = mpx_pool_apply_async(pool, work, &item, sizeof item, sizeof(uint64_t), NULL);
	assert_non_null(r);
	assert_soon(atomic_load(&item->attempts) == 1);
	assert_ok(mpx_result_cancel(r));
	assert_fails(mpx_result_get(r, NULL, 0), ECANCELED);
	mpx_result_free(r);
}

static int producer(void *arg)
{
	unsigned char word[70000];

	for (unsigned i = 0;; i++) {
		size_t size = i % 50 == 0 ? sizeof word : WORD;

		fill(word, size, i);
		if (mpx_queue_put(arg, word, size, MPX_FOREVER) != 0 && errno != EPIPE)
			return 1;
	}
}

/* What a producer that is killed has put is whole and in order. */
static void drain_killed(mpx_queue *q)
{
	static unsigned char word[70000];
	mpx_process *p = start(producer, q);
	unsigned i = 0;

	for (; i < 300; i++) {
		size_t size = i % 50 == 0 ? sizeof word : WORD;

		assert_int_equal(mpx_queue_get(q, word, sizeof word, SOON), size);
		assert_true(filled(word, size, i));
	}
	assert_ok(mpx_process_kill(p));
	assert_int_equal(ends(p), -SIGKILL);
	for (ssize_t n; (n = mpx_queue_get(q, word, sizeof word, 0)) > 0; i++)
		assert_true(filled(word, (size_t)n, i));
}

static long resident(void)
{
	long size = 0, pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	if (f && fscanf(f, "%ld %ld", &size, &pages) != 2)
		pages = 0;
	if (f)
		fclose(f);
	return pages * 4;
}

static int descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

static void test_soak(void **state)
{
	const char *wish = getenv("MPX_SOAK");
	double end = now() + (wish ? atof(wish) : 10);
	uint64_t seed = 20251123;
	struct item *items = mpx_calloc(ITEMS, sizeof *items);
	mpx_queue *q = mpx_queue_new(.maxsize = 100);
	mpx_memory_stats before = {0}, after;
	long resident_before = 0;
	int fds_before = 0, rounds = 0;

	(void)state;
	assert_true(items && q);
	for (; rounds <= WARM || now() < end; rounds++) {
		mpx_pool *pool = mpx_pool_new(.processes = 1 + (int)(next(&seed) % 4),
					      .max_tasks_per_child = 500);

		assert_non_null(pool);
		for (int i = 0; i < 6; i++)
			one_map(pool, items, (int)(next(&seed) % KINDS), &seed);
		cancel_one(pool, &items[0]);
		mpx_pool_free(pool);
		drain_killed(q);
		if (rounds < WARM)
			continue;
		assert_ok(mpx_memory_stats_now(&after));
		if (rounds == WARM) {
			before = after;
			resident_before = resident();
			fds_before = descriptors();
		}
		assert_int_equal(after.blocks, before.blocks);
		assert_true(after.used <= before.used + (2u << 20));
		assert_int_equal(descriptors(), fds_before);
		assert_int_equal(mpx_active_children(NULL, 0), 0);
		assert_true(resident() <= resident_before + 8192);
	}
	print_message("soak: %d rounds; resident %ld KiB then, %ld KiB now\n", rounds,
		      resident_before, resident());
	mpx_queue_free(q);
	mpx_free(items);
}

int main(void)
{
	const struct CMUnitTest tests[] = {mpx_test(test_soak)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
