/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * futures.c - concurrent.futures: results as they come, callbacks, an error that is kept
 * until somebody asks. In Python:
 *
 *     def factor(n):                               # the smallest prime factor
 *         if n < 2:
 *             raise ValueError(f"{n} has none")
 *         return next((d for d in range(2, isqrt(n) + 1) if n % d == 0), n)
 *
 *     with ProcessPoolExecutor(max_workers=2) as e:
 *         fs = [e.submit(factor, n) for n in numbers]
 *         for f in fs:
 *             f.add_done_callback(count)
 *         wait(fs, return_when=FIRST_COMPLETED)
 *         for f in as_completed(fs):
 *             ...
 *
 * Run it without arguments: ./futures. It prints (the lines of the first five in any
 * order):
 *
 *     10403 = 101 * 103
 *     1000003 is prime
 *     1 failed: 1 has none (Numerical argument out of domain)
 *     999999000001 is prime
 *     1000036000099 = 1000003 * 1000033
 *     callbacks: 5
 *     after shutdown: Device or resource busy
 */
#include <errno.h>
#include <mpx.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 5 };

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

/* The task: the smallest prime factor. */
static int factor(const void *in, void *out)
{
	unsigned long long n = *(const unsigned long long *)in, *d = out;

	if (n < 2)
		return mpx_fail(EDOM, "%llu has none", n);
	for (*d = 2; *d * *d <= n; ++*d)
		if (n % *d == 0)
			return 0;
	*d = n;
	return 0;
}

/* In a thread of the library's, or at once. */
static void count(mpx_future *f, void *user)
{
	(void)f;
	mpx_semaphore_release(user);
}

static void show(unsigned long long n, mpx_future *f)
{
	unsigned long long d;
	mpx_failure why;

	if (mpx_future_result(f, &d, MPX_FOREVER) == 0) {
		if (d == n)
			printf("%llu is prime\n", n);
		else
			printf("%llu = %llu * %llu\n", n, d, n / d);
	} else if (mpx_future_failure(f, &why) == 0) {
		printf("%llu failed: %s (%s)\n", n, why.message, strerror(why.error));
	}
}

int main(void)
{
	const unsigned long long numbers[N] = {10403, 1000003, 1, 999999000001, 1000036000099};
	mpx_future *f[N];
	size_t i;

	mpx_semaphore *called = mpx_semaphore_new(0);
	mpx_executor *e = mpx_executor_new(.max_workers = 2);
	if (called == NULL || e == NULL)
		die("mpx_executor_new");
	for (i = 0; i < N; i++) {
		f[i] = mpx_executor_submit(e, factor, &numbers[i], sizeof numbers[i],
					   sizeof numbers[i], NULL);
		if (f[i] == NULL || mpx_future_add_done_callback(f[i], count, called) != 0)
			die("mpx_executor_submit");
	}
	if (mpx_futures_wait(f, N, MPX_FIRST_COMPLETED, NULL, 60) < 1)
		die("mpx_futures_wait");

	mpx_as_completed *it = mpx_as_completed_new(f, N);
	if (it == NULL)
		die("mpx_as_completed_new");
	while (mpx_as_completed_next(it, &i, 60) == 1)
		show(numbers[i], f[i]);
	mpx_as_completed_free(it);

	/* A callback comes a moment after its result. */
	for (i = 0; i < N; i++)
		if (mpx_semaphore_acquire(called, 60) != 0)
			die("mpx_semaphore_acquire");
	printf("callbacks: %zu\n", i);

	if (mpx_executor_shutdown(e, false, 60) != 0)
		die("mpx_executor_shutdown");
	if (mpx_executor_submit(e, factor, numbers, sizeof *numbers, sizeof *numbers, NULL))
		return 1;
	printf("after shutdown: %s\n", strerror(errno));
	for (i = 0; i < N; i++)
		mpx_future_free(f[i]);
	mpx_executor_free(e);
	mpx_semaphore_free(called);
	return 0;
}
