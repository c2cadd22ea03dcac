/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * Four processes that allocate blocks of 16 bytes to 300 KiB, fill them with a
 * pattern, exchange them with each other, look at them and free them; random kills.
 * Each writes down in shared memory what it has and what it is about to do, and its
 * successor goes on with that. Every pattern is intact whenever it is looked at; of
 * a process that was killed in malloc, free or an exchange the block in hand may be
 * lost, of any other nothing is.
 *
 * Seen to fail without index_take in mpx__pages_rebuild (blocks overlap); and
 * with process handles in shared memory that a new child still reads while its
 * parent frees them. Kills and the long form: storm.h.
 */
#define _POSIX_C_SOURCE 200809L
#include "storm.h"

#include <signal.h>

enum { MEMBERS = 4, SLOTS = 48, COMMON = 8, KILLS = 160 };

enum doing { NOTHING, ALLOCATING, FILLING, FREEING, EXCHANGING };

/* How a block begins; the rest of it is the pattern. */
struct block {
	uint32_t size, seed;
};

struct slots {
	atomic_int doing;
	atomic_uint at; /* which of them */
	_Atomic(struct block *) block[SLOTS];
};

struct world {
	atomic_bool stop;
	struct storm_ticks steps;
	_Atomic(struct block *) common[COMMON];
	struct slots slots[MEMBERS];
};

struct member {
	struct world *w;
	struct slots *mine;
	uint64_t seed;
	mpx_process *process;
};

static size_t random_size(uint64_t *seed)
{
	static const size_t most[] = {16, 16, 16, 100, 100, 500, 500, 3000};
	uint64_t r = next_random(seed);

	if (r % 256 == 0)
		return sizeof(struct block) + 8 + (r >> 32) % 300000;
	return sizeof(struct block) + 8 + (r >> 32) % most[r % 8];
}

static bool whole(const struct block *b)
{
	return b->size >= sizeof *b && b->size <= 300100 &&
	       filled((const unsigned char *)(b + 1), b->size - sizeof *b, b->seed);
}

static void allocate(struct slots *mine, unsigned at, uint64_t *seed)
{
	size_t size = random_size(seed);
	struct block *b;

	atomic_store(&mine->doing, ALLOCATING);
	b = mpx_malloc(size);
	child_check(b);
	atomic_store(&mine->block[at], b);
	atomic_store(&mine->doing, FILLING);
	*b = (struct block){(uint32_t)size, (uint32_t)next_random(seed)};
	fill((unsigned char *)(b + 1), size - sizeof *b, b->seed);
	atomic_store(&mine->doing, NOTHING);
}

static void release(struct slots *mine, unsigned at)
{
	struct block *b = atomic_load(&mine->block[at]);

	child_check(whole(b));
	atomic_store(&mine->doing, FREEING);
	errno = 0;
	mpx_free(b);
	child_check(errno == 0);
	atomic_store(&mine->block[at], NULL);
	atomic_store(&mine->doing, NOTHING);
}

static void exchange(struct world *w, struct slots *mine, unsigned at, uint64_t *seed)
{
	struct block *b = atomic_load(&mine->block[at]);

	child_check(whole(b));
	atomic_store(&mine->doing, EXCHANGING);
	b = atomic_exchange(&w->common[next_random(seed) % COMMON], b);
	atomic_store(&mine->block[at], b);
	atomic_store(&mine->doing, NOTHING);
	if (b)
		child_check(whole(b));
}

static int live(void *arg)
{
	struct member *m = arg;
	struct world *w = m->w;

	while (!atomic_load(&w->stop)) {
		unsigned at = (unsigned)(next_random(&m->seed) % SLOTS);

		atomic_store(&m->mine->at, at);
		if (!atomic_load(&m->mine->block[at]))
			allocate(m->mine, at, &m->seed);
		else if (next_random(&m->seed) % 3)
			release(m->mine, at);
		else
			exchange(w, m->mine, at, &m->seed);
		storm_tick(&w->steps);
	}
	return 0;
}

/* Of a process that was killed in the middle of something, the block in hand is
 * nobody's any more. True: one may be lost. */
static bool inherit(struct slots *s)
{
	unsigned at = atomic_load(&s->at);
	int doing = atomic_exchange(&s->doing, NOTHING);
	struct block *b = atomic_load(&s->block[at]);

	if (doing == NOTHING)
		return false;
	atomic_store(&s->block[at], NULL);
	if (doing == FILLING || (doing == ALLOCATING && b)) {
		mpx_free(b);
		return false;
	}
	return true;
}

static void free_slot(_Atomic(struct block *) *slot)
{
	struct block *b = atomic_exchange(slot, NULL);

	if (!b)
		return;
	assert_true(whole(b));
	errno = 0;
	mpx_free(b);
	assert_int_equal(errno, 0);
}

static void settle(struct world *w, size_t before, unsigned lost)
{
	for (int i = 0; i < COMMON; i++)
		free_slot(&w->common[i]);
	for (int i = 0; i < MEMBERS; i++)
		for (int k = 0; k < SLOTS; k++)
			free_slot(&w->slots[i].block[k]);
	storm_ticks_end(&w->steps);
	mpx_free(w);
	assert_in_range(heap_blocks(), before, before + lost);
	harness_rebase(); /* what is lost is lost */
}

static void round_kills(uint64_t *seed)
{
	size_t before = heap_blocks();
	struct world *w = mpx_calloc(1, sizeof *w);
	struct member m[MEMBERS];
	pid_t pids[MEMBERS];
	unsigned lost = 0;

	assert_non_null(w);
	for (int i = 0; i < MEMBERS; i++) {
		m[i] = (struct member){w, &w->slots[i], next_random(seed), NULL};
		m[i].process = start(live, &m[i]);
		pids[i] = mpx_process_pid(m[i].process);
	}
	for (int kills = 0; kills < KILLS && !storm_late(); kills++) {
		struct member *who;
		unsigned i;

		storm_pause(seed);
		who = &m[i = storm_victim(seed, pids, MEMBERS)];
		assert_int_equal(storm_kill(who->process), -SIGKILL);
		lost += inherit(who->mine);
		who->seed = next_random(seed);
		who->process = start(live, who);
		pids[i] = mpx_process_pid(who->process);
	}
	atomic_store(&w->stop, true);
	for (int i = 0; i < MEMBERS; i++)
		ends_well(m[i].process);
	settle(w, before, lost);
}

static void test_kills(void **state)
{
	(void)state;
	storm_run("heap", round_kills);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		mpx_test(test_kills),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
