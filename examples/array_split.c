/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * array_split.c - one array, a slice of it for each process. In Python:
 *
 *     def double(a, first, last):
 *         for i in range(first, last):
 *             time.sleep(0.01)         # stands for slow work
 *             a[i] *= 2
 *
 *     a = Array('i', range(64))
 *     n = cpu_count()
 *     ps = [Process(target=double, args=(a, 64 * k // n, 64 * (k + 1) // n))
 *           for k in range(n)]
 *     for p in ps:
 *         p.start()
 *     for p in ps:
 *         p.join()
 *
 * The array is in shared memory: nothing is copied, neither there nor back. The
 * slices do not overlap, so no lock is needed.
 *
 * Run it without arguments: ./array_split. It prints (here with 4 processors):
 *
 *     64 numbers doubled by 4 processes in 0.16 s (one after the other: 0.64 s)
 */
#define _POSIX_C_SOURCE 200809L

#include <mpx.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { N = 64, MS_EACH = 10 };

struct slice {
	int *a;
	size_t first, last;
};

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

static int double_slice(void *args)
{
	const struct slice *s = args;
	const struct timespec work = {.tv_nsec = MS_EACH * 1000 * 1000};

	for (size_t i = s->first; i < s->last; i++) {
		if (nanosleep(&work, NULL) != 0) /* stands for slow work */
			return 1;
		s->a[i] *= 2;
	}
	return 0;
}

int main(void)
{
	size_t n = (size_t)mpx_cpu_count();
	int wrong = 0, exitcode;

	if (n > N)
		n = N;
	mpx_array *array = mpx_array_new('i', N, NULL);
	struct slice *slices = calloc(n, sizeof *slices);
	mpx_process **ps = calloc(n, sizeof *ps);
	if (array == NULL || slices == NULL || ps == NULL)
		die("no memory");
	int *a = mpx_array_ptr(array, int);
	for (int i = 0; i < N; i++)
		a[i] = i;

	double begin = now();
	for (size_t k = 0; k < n; k++) {
		slices[k] = (struct slice){.a = a, .first = N * k / n, .last = N * (k + 1) / n};
		ps[k] = mpx_process_new(.target = double_slice, .args = &slices[k]);
		if (ps[k] == NULL || mpx_process_start(ps[k]) != 0)
			die("start");
	}
	for (size_t k = 0; k < n; k++) {
		if (mpx_process_join(ps[k], MPX_FOREVER) != 0 ||
		    mpx_process_exitcode(ps[k], &exitcode) != 0 || mpx_process_free(ps[k]) != 0)
			die("join");
		wrong |= exitcode;
	}
	printf("%d numbers doubled by %zu processes in %.2f s (one after the other: %.2f s)\n", N,
	       n, now() - begin, N * MS_EACH / 1e3);

	for (int i = 0; i < N; i++)
		wrong |= a[i] != 2 * i;
	free(ps);
	free(slices);
	mpx_array_free(array);
	return wrong != 0;
}
