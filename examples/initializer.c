/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * initializer.c - workers that prepare themselves before their first task. In
 * Python:
 *
 *     def prepare(limit):
 *         global primes                # one table in each worker
 *         primes = count_primes(limit)
 *
 *     def primes_up_to(x):
 *         return primes[x]
 *
 *     with Pool(initializer=prepare, initargs=(1000000,)) as pool:
 *         xs = [10, 100, 1000, 10000, 100000, 1000000]
 *         print(pool.map(primes_up_to, xs))
 *
 * Run it without arguments: ./initializer. It prints:
 *
 *     primes up to 10: 4
 *     primes up to 100: 25
 *     primes up to 1000: 168
 *     primes up to 10000: 1229
 *     primes up to 100000: 9592
 *     primes up to 1000000: 78498
 */
#include <errno.h>
#include <mpx.h>
#include <stdio.h>
#include <stdlib.h>

/* Each worker has its own; in the parent it stays NULL. */
static int *primes; /* primes[x]: how many primes there are up to x */

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

/* Runs first in each worker: the sieve of Eratosthenes, then the running sum. */
static int prepare(void *args)
{
	const size_t limit = *(const size_t *)args;

	primes = malloc((limit + 1) * sizeof *primes); /* the worker's, until it ends */
	if (primes == NULL)
		return ENOMEM;
	for (size_t i = 0; i <= limit; i++)
		primes[i] = i >= 2;
	for (size_t i = 2; i * i <= limit; i++)
		for (size_t k = i * i; primes[i] && k <= limit; k += i)
			primes[k] = 0;
	for (size_t i = 1; i <= limit; i++)
		primes[i] += primes[i - 1];
	return 0;
}

static int primes_up_to(const void *in, void *out)
{
	*(int *)out = primes[*(const int *)in];
	return 0;
}

int main(void)
{
	const int xs[6] = {10, 100, 1000, 10000, 100000, 1000000};
	const int right[6] = {4, 25, 168, 1229, 9592, 78498};
	size_t limit = 1000000;
	int found[6], wrong = 0;

	mpx_pool *pool = mpx_pool_new(.initializer = prepare, .initargs = &limit);
	if (pool == NULL)
		die("mpx_pool_new");
	if (mpx_pool_map(pool, primes_up_to, xs, found, 6) != 0)
		die("mpx_pool_map");
	mpx_pool_free(pool);

	for (int i = 0; i < 6; i++) {
		printf("primes up to %d: %d\n", xs[i], found[i]);
		wrong |= found[i] != right[i];
	}
	return wrong;
}
