/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * cpu_bound.c - work for the processor only, in a loop and in a pool. In Python:
 *
 *     PRIME = 1000000007               # keeps the sum in 64 bits
 *
 *     def cpu_bound(number):
 *         return sum(i * i for i in range(number)) % PRIME
 *
 *     numbers = [5000000 + x for x in range(20)]
 *     sums = [cpu_bound(number) for number in numbers]
 *     with Pool() as pool:
 *         assert pool.map(cpu_bound, numbers) == sums
 *
 * Run it without arguments: ./cpu_bound. It prints (here with 4 processors):
 *
 *     loop: 0.240 s
 *     pool: 0.063 s with 4 workers, 3.8 times as fast
 */
#define _POSIX_C_SOURCE 200809L

#include <mpx.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { N = 20, PRIME = 1000000007 };

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

static double now(void)
{
	struct timespec t;

	if (clock_gettime(CLOCK_MONOTONIC, &t) != 0)
		die("clock_gettime");
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/*
 * The remainder is taken at each step, not once at the end: each step then has to
 * wait for the one before. Without it a compiler may know the formula for the sum
 * of squares and put that in place of the loop, and nothing would be left to measure.
 */
static int cpu_bound(const void *in, void *out)
{
	const uint64_t number = *(const uint64_t *)in;
	uint64_t sum = 0;

	for (uint64_t i = 0; i < number; i++)
		sum = (sum + i * i) % PRIME;
	*(uint64_t *)out = sum;
	return 0;
}

int main(void)
{
	uint64_t numbers[N], by_loop[N], by_pool[N];

	for (unsigned x = 0; x < N; x++)
		numbers[x] = 5000000 + x;

	double begin = now();
	for (int x = 0; x < N; x++)
		cpu_bound(&numbers[x], &by_loop[x]);
	double loop = now() - begin;

	begin = now();
	mpx_pool *pool = mpx_pool_new();
	if (pool == NULL)
		die("mpx_pool_new");
	if (mpx_pool_map(pool, cpu_bound, numbers, by_pool, N) != 0)
		die("mpx_pool_map");
	double parallel = now() - begin;

	printf("loop: %.3f s\n", loop);
	printf("pool: %.3f s with %d workers, %.1f times as fast\n", parallel,
	       mpx_pool_processes(pool), loop / parallel);
	mpx_pool_free(pool);

	if (memcmp(by_loop, by_pool, sizeof by_loop) != 0) {
		fprintf(stderr, "the sums differ\n");
		return 1;
	}
	return 0;
}
