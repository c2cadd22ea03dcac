/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * guard WHAT N: does one thing N times, for guard.sh, which counts. `guard bytes 0` prints
 * how much of the family's heap each object takes.
 */
#define _GNU_SOURCE
#include <mpx.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAP_CHUNK = 64 };

#define MUST(truth)                                                                                \
	do {                                                                                       \
		if (!(truth)) {                                                                    \
			perror(#truth);                                                            \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

/* On one processor nobody spins, which would be chance. Before the library's first use. */
static void be_on_one_processor(void)
{
	cpu_set_t all, one;

	MUST(sched_getaffinity(0, sizeof all, &all) == 0);
	CPU_ZERO(&one);
	for (size_t cpu = 0; cpu < CPU_SETSIZE && !CPU_COUNT(&one); cpu++)
		if (CPU_ISSET(cpu, &all))
			CPU_SET(cpu, &one);
	MUST(sched_setaffinity(0, sizeof one, &one) == 0);
}

static void lock(size_t n)
{
	mpx_lock *l = mpx_lock_new();

	MUST(l);
	while (n--) {
		MUST(mpx_lock_acquire(l, MPX_FOREVER) == 0);
		MUST(mpx_lock_release(l) == 0);
	}
	mpx_lock_free(l);
}

static void rlock(size_t n)
{
	mpx_rlock *l = mpx_rlock_new();

	MUST(l);
	while (n--) {
		MUST(mpx_rlock_acquire(l, MPX_FOREVER) == 0);
		MUST(mpx_rlock_release(l) == 0);
	}
	mpx_rlock_free(l);
}

static void semaphore(size_t n)
{
	mpx_semaphore *s = mpx_semaphore_new(1);

	MUST(s);
	while (n--) {
		MUST(mpx_semaphore_acquire(s, MPX_FOREVER) == 0);
		MUST(mpx_semaphore_release(s) == 0);
	}
	mpx_semaphore_free(s);
}

static void heap(size_t n)
{
	while (n--) {
		void *p = mpx_malloc(64);

		MUST(p);
		mpx_free(p);
	}
}

static void queue(size_t n)
{
	mpx_queue *q = mpx_queue_new();

	MUST(q);
	for (uint64_t i = 0, got; i < n; i++) {
		MUST(mpx_queue_put(q, &i, sizeof i, MPX_FOREVER) == 0);
		MUST(mpx_queue_get(q, &got, sizeof got, MPX_FOREVER) == sizeof got && got == i);
	}
	mpx_queue_free(q);
}

/* Blocks, since it is larger than what a ring has in itself. */
static void loan(size_t n)
{
	mpx_queue *q = mpx_queue_new();
	size_t size;

	MUST(q);
	while (n--) {
		void *in = mpx_queue_reserve(q, 10000, MPX_FOREVER);

		MUST(in && mpx_queue_commit(q, in) == 0);
		MUST(mpx_queue_take(q, &size, MPX_FOREVER) == in && size == 10000);
		MUST(mpx_queue_release(q, in) == 0);
	}
	mpx_queue_free(q);
}

/* Put by one process, got by another. */
static struct {
	mpx_queue *q;
	size_t n;
} streaming;

static int drain(void *arg)
{
	uint64_t i, got;

	(void)arg;
	for (i = 0; i < streaming.n; i++)
		if (mpx_queue_get(streaming.q, &got, sizeof got, MPX_FOREVER) != sizeof got ||
		    got != i)
			return 1;
	return 0;
}

static void stream(size_t n)
{
	mpx_process *p = mpx_process_new(.target = drain);
	int code;

	streaming.q = mpx_queue_new();
	streaming.n = n;
	MUST(streaming.q && p && mpx_process_start(p) == 0);
	for (uint64_t i = 0; i < n; i++)
		MUST(mpx_queue_put(streaming.q, &i, sizeof i, MPX_FOREVER) == 0);
	MUST(mpx_process_join(p, MPX_FOREVER) == 0);
	MUST(mpx_process_exitcode(p, &code) == 0 && code == 0);
	mpx_process_free(p);
	mpx_queue_free(streaming.q);
}

static int add(const void *in, void *out)
{
	*(unsigned *)out = *(const unsigned *)in + 1;
	return 0;
}

static void map(size_t n)
{
	mpx_pool *pool = mpx_pool_new(.processes = 1);
	unsigned *items = mpx_calloc(n, sizeof *items);

	MUST(pool && items);
	MUST(mpx_pool_map_sized(pool, add, items, sizeof *items, items, sizeof *items, n,
				MPX_TASK(.chunksize = MAP_CHUNK)) == 0);
	for (size_t i = 0; i < n; i++)
		MUST(items[i] == 1);
	mpx_free(items);
	mpx_pool_free(pool);
}

static void apply(size_t n)
{
	mpx_pool *pool;
	unsigned out;

	be_on_one_processor();
	pool = mpx_pool_new(.processes = 1);
	MUST(pool);
	for (unsigned i = 0; i < n; i++)
		MUST(mpx_pool_apply(pool, add, &i, &out) == 0 && out == i + 1);
	mpx_pool_free(pool);
}

/* --- bytes ------------------------------------------------------------------------- */

static void *new_lock(void)
{
	return mpx_lock_new();
}

static void *new_rlock(void)
{
	return mpx_rlock_new();
}

static void *new_semaphore(void)
{
	return mpx_semaphore_new(1);
}

static void *new_condition(void)
{
	return mpx_condition_new(NULL);
}

static void *new_event(void)
{
	return mpx_event_new();
}

static void *new_barrier(void)
{
	return mpx_barrier_new(.parties = 2);
}

static void *new_queue(void)
{
	return mpx_queue_new();
}

static void *new_block(void)
{
	return mpx_malloc(8);
}

static size_t used(void)
{
	mpx_memory_stats stats;

	MUST(mpx_memory_stats_now(&stats) == 0);
	return stats.used;
}

static void bytes(size_t n)
{
	static const struct {
		const char *name;
		void *(*make)(void);
		size_t count; /* many of the small ones, since what is counted are pages */
	} objects[] = {
		{"lock", new_lock, 20000},	    {"rlock", new_rlock, 20000},
		{"semaphore", new_semaphore, 5000}, {"condition", new_condition, 5000},
		{"event", new_event, 20000},	    {"barrier", new_barrier, 5000},
		{"queue", new_queue, 50},	    {"block", new_block, 20000},
	};

	(void)n;
	for (size_t i = 0; i < sizeof objects / sizeof *objects; i++) {
		size_t before;

		before = used();
		for (size_t k = 0; k < objects[i].count; k++)
			MUST(objects[i].make());
		printf("bytes %s %zu\n", objects[i].name, (used() - before) / objects[i].count);
	}
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(size_t n);
	} things[] = {
		{"lock", lock},	  {"rlock", rlock}, {"semaphore", semaphore}, {"heap", heap},
		{"queue", queue}, {"loan", loan},   {"stream", stream},	      {"map", map},
		{"apply", apply}, {"bytes", bytes},
	};

	for (size_t i = 0; argc == 3 && i < sizeof things / sizeof *things; i++) {
		if (strcmp(argv[1], things[i].name) == 0) {
			things[i].run((size_t)atoll(argv[2]));
			return 0;
		}
	}
	fprintf(stderr, "usage: guard WHAT N\n");
	return 2;
}
