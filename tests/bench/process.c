/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * What does it cost to start a process that does nothing, and to join it? Nanoseconds; x is
 * how many MiB of shared memory the program has touched (of private memory in the series
 * "private", which is what programs pay that fork with their data on malloc's heap).
 */
#include "bench.h"

#include <mpx.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TIMES = 40, PYTHON_TIMES = 20, LARGE = 1024, HASTY = 16 };

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

static double ours(size_t n, void *arg)
{
	double begin = bench_now();

	(void)arg;
	for (size_t i = 0; i < n; i++) {
		mpx_process *p = mpx_process_new(.target = nothing);
		int code = -1;

		bench_check(p && mpx_process_start(p) == 0);
		bench_check(mpx_process_join(p, MPX_FOREVER) == 0);
		bench_check(mpx_process_exitcode(p, &code) == 0 && code == 0);
		bench_check(mpx_process_free(p) == 0);
	}
	return bench_now() - begin;
}

static double forked(size_t n, void *arg)
{
	double begin = bench_now();

	(void)arg;
	for (size_t i = 0; i < n; i++) {
		int status;
		pid_t pid = fork();

		if (pid == 0)
			_exit(0);
		bench_check(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0);
	}
	return bench_now() - begin;
}

static void *thread(void *arg)
{
	return arg;
}

static double threads(size_t n, void *arg)
{
	double begin = bench_now();

	for (size_t i = 0; i < n; i++) {
		pthread_t t;

		bench_check(pthread_create(&t, NULL, thread, arg) == 0);
		bench_check(pthread_join(t, NULL) == 0);
	}
	return bench_now() - begin;
}

static double python(size_t n, void *arg)
{
	(void)arg;
	return bench_python("process", n, 0);
}

static void measure(const char *series, double mib)
{
	const struct contender all[] = {
		{"libmpx", ours, NULL, TIMES},
		{"limit: fork", forked, NULL, TIMES},
		{"pthread", threads, NULL, TIMES},
		{"Python Process", bench_hasty() || mib > 0 ? NULL : python, NULL, PYTHON_TIMES},
	};

	bench_compare(series, mib, all, sizeof all / sizeof *all);
}

int main(int argc, char **argv)
{
	size_t mib;
	void *p;

	bench_open(argc, argv, "process");
	mib = bench_hasty() ? HASTY : LARGE;
	measure("shared", 0);
	p = mpx_malloc(mib << 20);
	bench_check(p);
	memset(p, 1, mib << 20);
	measure("shared", (double)mib);
	mpx_free(p);

	p = mmap(NULL, mib << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	bench_check(p != MAP_FAILED);
	madvise(p, mib << 20, MADV_NOHUGEPAGE);
	memset(p, 1, mib << 20);
	measure("private", (double)mib);
	return bench_close();
}
