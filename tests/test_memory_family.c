/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * test_memory_family.c - a heap and its processes:
 *
 *   - blocks made here and freed there; processes older than the block
 *   - random malloc and free, in one process and in four at a time
 *   - what the statistics say, to all processes alike
 *   - processes killed anywhere in malloc and free: the others go on, and each
 *     kill costs one block at most
 */
#define _POSIX_C_SOURCE 200809L

#include "blocks.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>

#define WORKERS 4

/* ---- several processes ------------------------------------------------- */

struct shared {
	mpx_queue *there, *back;
	_Atomic int ready, go;
	_Atomic(void *) slots[64];
	mpx_memory_stats stats;
};

static struct shared *share(void)
{
	struct shared *s = mpx_calloc(1, sizeof *s);
	assert_non_null(s);
	return s;
}

struct parcel {
	void *block;
	size_t size;
	uint64_t id;
};

/* Checks and frees what comes, and sends one of its own back. */
static int exchanger(void *arg)
{
	struct shared *s = arg;
	uint64_t seed = 3;
	struct parcel m;
	s->ready = 1;
	for (;;) {
		child_check(mpx_queue_get(s->there, &m, sizeof m, 60) == sizeof m);
		if (!m.block)
			return 0;
		child_check(intact(m.block, m.size, m.id));
		errno = 0;
		mpx_free(m.block);
		child_check(errno == 0);
		m.size = random_size(&seed);
		m.block = mpx_malloc(m.size);
		child_check(m.block && aligned(m.block, m.size));
		fill(m.block, m.size, ++m.id);
		child_check(mpx_queue_put(s->back, &m, sizeof m, 60) == 0);
	}
}

static void test_free_in_another_process(void **state)
{
	(void)state;
	struct shared *s = share();
	s->there = mpx_queue_new();
	s->back = mpx_queue_new();
	pid_t pid = fork_child(exchanger, s);
	assert_soon(s->ready); /* older than the blocks */
	uint64_t seed = 4;
	struct parcel m;
	for (uint64_t i = 0; i < 3000; i++) {
		m.size = random_size(&seed);
		m.id = i;
		assert_non_null(m.block = mpx_malloc(m.size));
		fill(m.block, m.size, m.id);
		void *mine = m.block;
		assert_ok(mpx_queue_put(s->there, &m, sizeof m, 60));
		assert_int_equal(mpx_queue_get(s->back, &m, sizeof m, 60), sizeof m);
		assert_true(intact(m.block, m.size, i + 1));
		if (m.block != mine)
			refuses(mine);
		mpx_free(m.block);
		refuses(m.block);
	}
	m.block = NULL;
	assert_ok(mpx_queue_put(s->there, &m, sizeof m, 60));
	assert_int_equal(wait_child(pid), 0);
	mpx_queue_free(s->there);
	mpx_queue_free(s->back);
	mpx_free(s);
}

/* Random malloc, calloc and free; every block is checked before it is freed. */
static bool fuzz(uint64_t seed, int steps)
{
	enum { N = 300 };
	struct parcel *live = calloc(N, sizeof *live);
	bool fine = live != NULL;
	for (int i = 0; fine && i < steps; i++) {
		struct parcel *m = &live[next_random(&seed) % N];
		if (m->block) {
			fine = intact(m->block, m->size, m->id);
			errno = 0;
			mpx_free(m->block);
			fine = fine && errno == 0;
			m->block = NULL;
		} else {
			bool zeroed = next_random(&seed) % 2;
			m->size = random_size(&seed);
			m->id = next_random(&seed);
			m->block = zeroed ? mpx_calloc(1, m->size) : mpx_malloc(m->size);
			fine = m->block && aligned(m->block, m->size) &&
			       (!zeroed || zero(m->block, m->size));
			if (fine)
				fill(m->block, m->size, m->id);
		}
	}
	for (int i = 0; fine && i < N; i++) {
		fine = !live[i].block || intact(live[i].block, live[i].size, live[i].id);
		mpx_free(live[i].block);
	}
	free(live);
	return fine;
}

static int fuzzer(void *arg)
{
	child_check(fuzz(*(uint64_t *)arg, 15000));
	return 0;
}

static void test_fuzz_in_one_process(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 3; seed++)
		assert_true(fuzz(seed, 20000));
}

static void test_fuzz_in_four_processes(void **state)
{
	(void)state;
	size_t blocks = heap_blocks();
	pid_t pids[WORKERS];
	for (uint64_t i = 0; i < WORKERS; i++) {
		uint64_t seed = 100 + i;
		pids[i] = fork_child(fuzzer, &seed);
	}
	for (int i = 0; i < WORKERS; i++)
		assert_int_equal(wait_child(pids[i]), 0);
	assert_int_equal(heap_blocks(), blocks);
}

/* Everybody frees what anybody made: blocks change hands through shared slots. */
struct header {
	size_t size;
	uint64_t id;
};

static int passer(void *arg)
{
	struct shared *s = arg;
	uint64_t seed = (uint64_t)++s->ready;
	for (int i = 0; i < 12000; i++) {
		size_t size = random_size(&seed) + sizeof(struct header);
		struct header *mine = mpx_malloc(size), *theirs;
		child_check(mine && aligned(mine, size));
		mine->size = size - sizeof *mine;
		mine->id = next_random(&seed);
		fill(mine + 1, mine->size, mine->id);
		theirs = atomic_exchange(&s->slots[next_random(&seed) % 64], mine);
		if (theirs) {
			child_check(intact(theirs + 1, theirs->size, theirs->id));
			errno = 0;
			mpx_free(theirs);
			child_check(errno == 0);
		}
	}
	return 0;
}

static void test_blocks_that_change_hands(void **state)
{
	(void)state;
	struct shared *s = share();
	pid_t pids[WORKERS];
	for (int i = 0; i < WORKERS; i++)
		pids[i] = fork_child(passer, s);
	for (int i = 0; i < WORKERS; i++)
		assert_int_equal(wait_child(pids[i]), 0);
	for (int i = 0; i < 64; i++) {
		struct header *h = s->slots[i];
		assert_true(!h || intact(h + 1, h->size, h->id));
		mpx_free(h);
	}
	mpx_free(s);
}

static int reports_stats(void *arg)
{
	struct shared *s = arg;
	mpx_memory_stats stats;
	child_check(mpx_memory_stats_now(&stats) == 0);
	s->stats = stats;
	return 0;
}

static void test_stats(void **state)
{
	(void)state;
	assert_fails(mpx_memory_get_stats(NULL, sizeof(mpx_memory_stats)), EINVAL);
	struct shared *s = share();
	mpx_memory_stats before = stats_now();
	assert_true(before.reserved > 0);
	assert_true(before.used > 0 && before.used <= before.reserved);
	assert_true(before.blocks > 0);
	void *p[50];
	for (size_t i = 0; i < 50; i++) {
		assert_non_null(p[i] = mpx_malloc(100000));
		mpx_memory_stats stats = stats_now();
		assert_int_equal(stats.blocks, before.blocks + i + 1);
		assert_int_equal(stats.reserved, before.reserved);
		assert_true(stats.used >= before.used + (i + 1) * 100000);
		assert_true(stats.used + stats.kept <= stats.reserved);
	}
	assert_int_equal(run_child(reports_stats, s), 0);
	mpx_memory_stats mine = stats_now();
	assert_int_equal(s->stats.reserved, mine.reserved);
	assert_int_equal(s->stats.used, mine.used);
	assert_int_equal(s->stats.blocks, mine.blocks);
	for (size_t i = 0; i < 50; i++) {
		mpx_free(p[i]);
		assert_int_equal(stats_now().blocks, before.blocks + 49 - i);
	}
	for (size_t i = 0; i < 50; i++) { /* small ones count as well */
		assert_non_null(p[i] = mpx_malloc(24 + i));
		assert_int_equal(stats_now().blocks, before.blocks + i + 1);
	}
	for (size_t i = 0; i < 50; i++)
		mpx_free(p[i]);
	assert_int_equal(stats_now().blocks, before.blocks);
	mpx_free(s);
}

/* ---- killed anywhere --------------------------------------------------- */

#define SLOTS 12
#define KILLS 200

/*
 * A worker's blocks, where we find them after its death. It stores a pointer
 * after malloc and takes it out before free, so at each moment one block at most
 * is in its hands alone.
 */
struct worker {
	_Atomic(void *) block[SLOTS];
	_Atomic unsigned long progress;
	_Atomic int stop;
	uint64_t seed;
};

static int allocate_for_ever(void *arg)
{
	struct worker *w = arg;
	uint64_t seed = w->seed;
	while (!w->stop) {
		size_t k = next_random(&seed) % SLOTS;
		struct header *h = atomic_exchange(&w->block[k], NULL);
		if (h) {
			child_check(intact(h + 1, h->size, h->id));
			errno = 0;
			mpx_free(h);
			child_check(errno == 0);
		} else {
			size_t size = random_size(&seed) / (next_random(&seed) % 8 ? 4 : 1);
			bool zeroed = next_random(&seed) % 2;
			h = zeroed ? mpx_calloc(1, size + sizeof *h) : mpx_malloc(size + sizeof *h);
			child_check(h && aligned(h, size + sizeof *h));
			child_check(!zeroed || zero(h, size + sizeof *h));
			h->size = size;
			h->id = next_random(&seed);
			fill(h + 1, size, h->id);
			w->block[k] = h;
		}
		w->progress++;
	}
	return 0;
}

static void free_blocks_of(struct worker *w)
{
	for (int i = 0; i < SLOTS; i++) {
		struct header *h = w->block[i];
		if (!h)
			continue;
		assert_true(intact(h + 1, h->size, h->id));
		errno = 0;
		mpx_free(h);
		assert_int_equal(errno, 0);
		w->block[i] = NULL;
	}
}

static void test_killed_anywhere(void **state)
{
	(void)state;
	uint64_t seed = 2026;
	struct worker *w = mpx_calloc(WORKERS, sizeof *w);
	assert_non_null(w);
	size_t before = heap_blocks();
	pid_t pids[WORKERS];
	for (int i = 0; i < WORKERS; i++) {
		w[i].seed = next_random(&seed);
		pids[i] = fork_child(allocate_for_ever, &w[i]);
	}
	for (int k = 0; k < KILLS; k++) {
		size_t victim = next_random(&seed) % WORKERS;
		unsigned long seen[WORKERS];
		for (int i = 0; i < WORKERS; i++)
			seen[i] = w[i].progress;
		for (int i = 0; i < WORKERS; i++) /* each of them goes on */
			assert_soon(w[i].progress - seen[i] > 3);
		for (uint64_t spin = next_random(&seed) % 20000; spin; spin--)
			atomic_thread_fence(memory_order_seq_cst);
		kill(pids[victim], SIGKILL);
		assert_int_equal(wait_child(pids[victim]), -SIGKILL);
		free_blocks_of(&w[victim]);
		w[victim].seed = next_random(&seed);
		pids[victim] = fork_child(allocate_for_ever, &w[victim]);
		size_t blocks = heap_blocks();
		if (blocks > before + WORKERS * (SLOTS + 1) + (size_t)k + 1)
			fail_msg("kill %d: %zu blocks, %zu before", k, blocks, before);
	}
	for (int i = 0; i < WORKERS; i++) {
		w[i].stop = 1;
		assert_int_equal(wait_child(pids[i]), 0);
		free_blocks_of(&w[i]);
	}
	size_t blocks = heap_blocks();
	if (blocks < before || blocks > before + KILLS)
		fail_msg("%zu blocks after %d kills, %zu before", blocks, KILLS, before);
	assert_true(fuzz(5, 5000));
	mpx_free(w);
	harness_rebase(); /* what was lost, may be lost */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_free_in_another_process),
		mpx_test(test_fuzz_in_one_process),
		mpx_test(test_fuzz_in_four_processes),
		mpx_test(test_blocks_that_change_hands),
		mpx_test(test_stats),
		mpx_test(test_killed_anywhere), /* last: lost blocks may come back */
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
