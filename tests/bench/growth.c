/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * Does what is cheap a thousand times stay so ten million times? Nanoseconds each; x is how
 * many. "stream": messages of 8 bytes through a queue; "backlog": put before any is got;
 * "map": items in place.
 */
#include "bench.h"
#include "channel.h"

#include <mpx.h>
#include <sys/mman.h>

enum { SIZE = 8, WORKERS = 2, TEN_THOUSAND = 10000 };

static mpx_pool *pool;
static unsigned *items;
static size_t most;

static int add(const void *in, void *out)
{
	*(unsigned *)out = *(const unsigned *)in + 1;
	return 0;
}

static double stream(size_t n, void *arg)
{
	(void)arg;
	return channel_flow(&channel_mpx, 1, 1, n, SIZE);
}

static double backlog(size_t n, void *arg)
{
	mpx_queue *q = mpx_queue_new();
	double begin = bench_now();
	uint64_t sum = 0, i;

	(void)arg;
	for (i = 0; i < n; i++)
		bench_check(mpx_queue_put(q, &i, SIZE, 0) == 0);
	while (mpx_queue_get(q, &i, SIZE, 0) == SIZE)
		sum += i;
	bench_check(sum == (uint64_t)n * (n - 1) / 2);
	mpx_queue_free(q);
	return bench_now() - begin;
}

static double map(size_t n, void *arg)
{
	unsigned *from = arg, first = from[0] + 1;
	double seconds = -bench_now();

	bench_check(mpx_pool_map(pool, add, from, from, n) == 0);
	seconds += bench_now();
	for (size_t i = 0; i < n; i++)
		bench_check(from[i]-- == first + (unsigned)i);
	return seconds;
}

/* What memory takes that is written for the first time, as much as a backlog is: a message
 * and its head, 16 bytes. */
static double first_touch(size_t n, void *arg)
{
	size_t size = n * 2 * SIZE;
	double begin = bench_now();
	uint64_t *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	(void)arg;
	bench_check(p != MAP_FAILED);
	for (size_t i = 0; i < size / sizeof *p; i++)
		p[i] = i;
	bench_check(p[size / sizeof *p - 1] == size / sizeof *p - 1);
	munmap(p, size);
	return bench_now() - begin;
}

/* As many, ten thousand at a time: for the same rounds. */
struct often {
	double (*run)(size_t n, void *arg);
	unsigned *arg; /* items, or NULL */
};

static double often(size_t n, void *arg)
{
	const struct often *o = arg;
	double seconds = 0;

	for (size_t i = 0; i < n; i += TEN_THOUSAND)
		seconds += o->run(TEN_THOUSAND, o->arg ? (unsigned *)o->arg + i : NULL);
	return seconds;
}

/* In each worker: pages come when it first looks at them, which is another question. */
static int touch(void *unused)
{
	(void)unused;
	for (volatile unsigned *p = items; p < items + most; p += 1024)
		*p = *p;
	return 0;
}

int main(int argc, char **argv)
{

	bench_open(argc, argv, "growth");
	most = bench_hasty() ? 10000 : 10000000;
	items = mpx_malloc(most * sizeof *items);
	bench_check(items);
	for (size_t i = 0; i < most; i++)
		items[i] = (unsigned)i;
	pool = mpx_pool_new(.processes = WORKERS, .initializer = touch);
	bench_check(pool);
	for (size_t n = 1000; n <= most; n *= 10) {
		struct often streams = {stream, NULL}, backlogs = {backlog, NULL},
			     maps = {map, items};
		double (*last)(size_t, void *) = n == most && n > TEN_THOUSAND ? often : NULL;
		const struct contender all[] = {
			{"libmpx stream", stream, NULL, n},
			{"libmpx backlog", backlog, NULL, n},
			{"libmpx map", map, items, n},
			{"limit: first touch", first_touch, NULL, n},
			{"libmpx stream, 10^4", last, &streams, n},
			{"libmpx backlog, 10^4", last, &backlogs, n},
			{"libmpx map, 10^4", last, &maps, n},
		};

		bench_compare("each", (double)n, all, sizeof all / sizeof *all);
	}
	mpx_free(items);
	mpx_pool_free(pool);
	return bench_close();
}
