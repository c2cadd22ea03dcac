/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * imap_progress.c - results one by one while the work goes on, over a generator that
 * never ends, with a running count. In Python:
 *
 *     def steps(n):                                # until the Collatz sequence is at 1
 *         ...
 *
 *     with Pool() as pool:
 *         for i, s in enumerate(pool.imap(steps, itertools.count(1), chunksize=1000)):
 *             ...                                  # takes numbers for ever: out of memory
 *
 * Here no more than the window is taken ahead. Run it without arguments: ./imap_progress.
 * It prints, the count in one line if that is a terminal:
 *
 *     500000 numbers, 2.31 s
 *     record: 410011 takes 448 steps
 */
#define _POSIX_C_SOURCE 200809L

#include <mpx.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { NUMBERS = 500000, STEP = 25000 };

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* The generator: 1, 2, 3, ... */
static int next_number(void *user, void *in)
{
	*(unsigned long *)in = ++*(unsigned long *)user;
	return 1;
}

/* The task. */
static int steps(const void *in, void *out)
{
	unsigned long long n = *(const unsigned long *)in;
	int count = 0;

	for (; n != 1; count++)
		n = n % 2 ? 3 * n + 1 : n / 2;
	*(int *)out = count;
	return 0;
}

int main(void)
{
	unsigned long last = 0, record = 0;
	double begin = now();
	int most = -1, s;

	mpx_pool *pool = mpx_pool_new();
	if (pool == NULL)
		die("mpx_pool_new");
	mpx_imap *it = mpx_pool_imap_from(pool, steps, next_number, &last, sizeof last, sizeof s,
					  MPX_TASK(.chunksize = 1000));
	if (it == NULL)
		die("mpx_pool_imap_from");
	for (unsigned long i = 1; i <= NUMBERS; i++) {
		if (mpx_imap_next(it, &s, 60) != 1)
			die("mpx_imap_next");
		if (s > most) {
			most = s;
			record = i;
		}
		if (i % STEP == 0 && isatty(1)) {
			printf("\r%lu numbers, %.2f s", i, now() - begin);
			fflush(stdout);
		}
	}
	printf("%s%d numbers, %.2f s\n", isatty(1) ? "\r" : "", NUMBERS, now() - begin);
	printf("record: %lu takes %d steps\n", record, most);
	mpx_imap_free(it);
	mpx_pool_free(pool);
	return record == 410011 ? 0 : 1;
}
