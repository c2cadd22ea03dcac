/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * Every instruction of mpx_malloc and mpx_free: a kill loses the block in hand at
 * most, all other blocks stay what they are, and the heap goes on.
 *
 * Seen to fail with, in src/shm/heap.c: no rebuild() in lock().
 */
#define _POSIX_C_SOURCE 200809L
#include "step.h"

enum { MINE = 24 };

struct heap_case {
	size_t size;	 /* of the victim's block */
	size_t around;	 /* of the others; 0: the same */
	int n;		 /* of the others */
	bool many;	 /* the victim frees the others */
	int leave;	 /* so many of them, when the victim comes */
	long dead_until; /* the first victim of two dies at an instruction before */
};

#define CASE ((const struct heap_case *)step_now->with)

struct world {
	unsigned char *mine[MINE];
	size_t size;
	void *victims, *dead_ones;
	mpx_lock *lock;
	mpx_value *value;
};

static void take_mine(struct world *w, int i)
{
	w->mine[i] = mpx_malloc(w->size);
	step_check(w->mine[i]);
	if (w->mine[i])
		fill(w->mine[i], w->size < 5000 ? w->size : 5000, (size_t)i * 3 + 1);
}

static void give_mine(struct world *w, int i)
{
	if (!w->mine[i])
		return;
	step_check(filled(w->mine[i], w->size < 5000 ? w->size : 5000, (size_t)i * 3 + 1));
	errno = 0;
	mpx_free(w->mine[i]);
	step_check(errno == 0);
	w->mine[i] = NULL;
}

static void make(struct world *w)
{
	w->size = CASE->around ? CASE->around : CASE->size;
	for (int i = 0; i < CASE->n; i++)
		take_mine(w, i);
}

static void make_and_take(struct world *w)
{
	make(w);
	w->victims = mpx_malloc(CASE->size);
	step_check(w->victims);
	for (int i = CASE->leave; i < CASE->n; i++)
		give_mine(w, i);
}

/* --- victims -------------------------------------------------------------------------- */

static void allocate(struct world *w)
{
	w->victims = mpx_malloc(CASE->size);
}

static void allocate_zeroed(struct world *w)
{
	w->victims = mpx_calloc(1, CASE->size);
}

static void give_back(struct world *w)
{
	mpx_free(w->victims);
}

static void give_many(struct world *w)
{
	for (int i = 0; i < CASE->n; i++)
		mpx_free(w->mine[i]);
}

static void allocate_and_free(struct world *w)
{
	w->victims = mpx_malloc(CASE->size);
	mpx_free(w->victims);
}

/* More than there is a hole for: the heap grows. */
static void allocate_more(struct world *w)
{
	w->dead_ones = mpx_malloc(CASE->size * 2);
}

static void make_lock(struct world *w)
{
	w->lock = mpx_lock_new();
}

static void make_value(struct world *w)
{
	w->value = mpx_value_new('d', 1.5);
}

static void make_dead_allocation(struct world *w)
{
	make(w);
	step_die_at(NULL, allocate, w, (long)(step_random() % (uint64_t)CASE->dead_until));
	w->dead_ones = w->victims;
	w->victims = NULL;
}

static void make_dead_free(struct world *w)
{
	make(w);
	w->dead_ones = mpx_malloc(CASE->size);
	w->victims = w->dead_ones;
	step_die_at(NULL, give_back, w, (long)(step_random() % (uint64_t)CASE->dead_until));
	w->victims = NULL;
}

/* --- survivors ------------------------------------------------------------------------- */

/* Sizes of all kinds: blocks that do not overlap with each other or with mine. */
static void use_heap(void)
{
	static const size_t sizes[] = {1, 16, 100, 1000, 4000, 8000, 16000, 17000, 70000};
	enum { N = sizeof sizes / sizeof *sizes };
	unsigned char *p[2 * N];
	for (size_t i = 0; i < 2 * N; i++) {
		p[i] = mpx_malloc(sizes[i % N]);
		step_check(p[i]);
		if (p[i])
			fill(p[i], sizes[i % N], i * 5);
	}
	for (size_t i = 0; i < 2 * N; i++) {
		step_check(!p[i] || filled(p[i], sizes[i % N], i * 5));
		errno = 0;
		mpx_free(p[i]);
		step_check(errno == 0);
	}
}

static void killed(struct world *w)
{
	double begin = now();
	/* It may be free already, or was never allocated; nobody else has it yet. */
	mpx_free(w->victims);
	step_check(!w->victims || errno == 0 || errno == EINVAL);
	mpx_free(w->dead_ones);
	for (int i = 0; CASE->many && i < CASE->n; i++) {
		mpx_free(w->mine[i]);
		w->mine[i] = NULL;
	}
	errno = 0;
	mpx_lock_free(w->lock);
	mpx_value_free(w->value);
	step_check(errno == 0);
	use_heap();
	step_check(now() - begin < STEP_HANG);
}

static void use(struct world *w, int i)
{
	(void)w;
	(void)i;
	use_heap();
}

static void after(struct world *w)
{
	for (int i = 0; i < MINE; i++)
		give_mine(w, i);
}

#define ON(...)                                                                                    \
	.with = &(const struct heap_case)                                                          \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}
#define CHECKS .killed = killed, .after = after
#define MIB ((size_t)1 << 20)

static const struct step steps[] = {
	/* First, while no block has been lost: so slabs can become empty. */
	{"free 8 bytes", make_and_take, NULL, give_back, CHECKS, ON(8, .n = 3, .leave = 3)},
	{"free 100 bytes", make_and_take, NULL, give_back, CHECKS, ON(100, .n = 3, .leave = 3)},
	{"free 16000 bytes, of a full slab", make_and_take, NULL, give_back, CHECKS,
	 ON(16000, .n = 5, .leave = 5)},
	{"free 16000 bytes, a slab goes", make_and_take, NULL, give_back, CHECKS,
	 ON(16000, .n = 6, .leave = 2)},
	{"free 70000 bytes", make_and_take, NULL, give_back, CHECKS, ON(70000, .n = 3, .leave = 2)},
	{"free 9 times 70000 bytes, too many to be kept", make, NULL, give_many, CHECKS,
	 ON(70000, .n = 9, .many = true)},
	{"double fault: malloc after malloc of 100 bytes", make_dead_allocation, NULL, allocate,
	 CHECKS, .may_lose = 2, .varies = true, .seconds = 2, ON(100, .n = 3, .dead_until = 200)},
	{"double fault: malloc after malloc, another slab", make_dead_allocation, NULL, allocate,
	 CHECKS, .may_lose = 2, .varies = true, .seconds = 2, ON(16000, .n = 6, .dead_until = 800)},
	{"double fault: malloc after free of 100 bytes", make_dead_free, NULL, allocate, CHECKS,
	 .may_lose = 1, .varies = true, .seconds = 2, ON(100, .n = 3, .dead_until = 200)},
	{"double fault: malloc after free of 70000 bytes", make_dead_free, NULL, allocate, CHECKS,
	 .may_lose = 1, .varies = true, .seconds = 2, ON(70000, .n = 3, .dead_until = 300)},
	{"malloc 8 bytes", make, NULL, allocate, CHECKS, .may_lose = 1, ON(8, .n = 3)},
	{"malloc 100 bytes", make, NULL, allocate, CHECKS, .may_lose = 1, ON(100, .n = 3)},
	{"malloc 100 bytes, somebody else too", make, NULL, allocate, CHECKS, .may_lose = 1,
	 .waiter = use, .waiters = 1, ON(100, .n = 3)},
	{"malloc 16000 bytes, another slab", make, NULL, allocate, CHECKS, .may_lose = 1,
	 ON(16000, .n = 6)},
	{"malloc 70000 bytes", make, NULL, allocate, CHECKS, .may_lose = 1, ON(70000, .n = 3)},
	{"calloc 70000 bytes", make, NULL, allocate_zeroed, CHECKS, .may_lose = 1,
	 ON(70000, .n = 3)},
	{"malloc and free 100 bytes", make, NULL, allocate_and_free, CHECKS, .may_lose = 1,
	 ON(100, .n = 1)},
	{"malloc and free 70000 bytes", make, NULL, allocate_and_free, CHECKS, .may_lose = 1,
	 ON(70000, .n = 1)},
	{"malloc 3 MiB, what is kept goes", make_and_take, NULL, allocate_more, CHECKS,
	 .may_lose = 1, ON(3 * MIB, .n = 3, .leave = 0, .around = 70000)},
	{"lock_new", make, NULL, make_lock, CHECKS, .may_lose = 1, ON(100, .n = 1)},
	{"value_new", make, NULL, make_value, CHECKS, .may_lose = 1, ON(100, .n = 1)},
	{"malloc 20 MiB", make, NULL, allocate, CHECKS, .may_lose = 1, ON(20 * MIB, .n = 0)},
	{"free 20 MiB, given back to the system", make_and_take, NULL, give_back, CHECKS,
	 ON(20 * MIB, .n = 0)},
};

int main(void)
{
	return step_main(steps, sizeof steps / sizeof *steps, sizeof(struct world));
}
