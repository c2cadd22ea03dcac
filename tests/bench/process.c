/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * What does it cost to start a process that does nothing, and to join it? Nanoseconds. Who
 * has "1 GiB" in his name has touched so much shared memory before. In the series "private"
 * the program has touched x MiB of private memory, which is what programs pay that fork with
 * their data on malloc's heap.
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

/* Shared memory of so many MiB; arg may be NULL. */
static void *touch(void *arg)
{
	const size_t *mib = arg;
	void *p;

	if (!mib)
		return NULL;
	p = mpx_malloc(*mib << 20);
	bench_check(p);
	memset(p, 1, *mib << 20);
	return p;
}

static int nothing(void *arg)
{
	(void)arg;
	return 0;
}

static double ours(size_t n, void *arg)
{
	void *p = touch(arg);
	double seconds = -bench_now();

	for (size_t i = 0; i < n; i++) {
		mpx_process *process = mpx_process_new(.target = nothing);
		int code = -1;

		bench_check(process && mpx_process_start(process) == 0);
		bench_check(mpx_process_join(process, MPX_FOREVER) == 0);
		bench_check(mpx_process_exitcode(process, &code) == 0 && code == 0);
		bench_check(mpx_process_free(process) == 0);
	}
	seconds += bench_now();
	mpx_free(p);
	return seconds;
}

static double forked(size_t n, void *arg)
{
	void *p = touch(arg);
	double seconds = -bench_now();

	for (size_t i = 0; i < n; i++) {
		int status;
		pid_t pid = fork();

		if (pid == 0)
			_exit(0);
		bench_check(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0);
	}
	seconds += bench_now();
	mpx_free(p);
	return seconds;
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

static void measure_shared(size_t mib)
{
	const struct contender all[] = {
		{"libmpx", ours, NULL, TIMES},
		{"libmpx, 1 GiB", ours, &mib, TIMES},
		{"limit: fork", forked, NULL, TIMES},
		{"limit: fork, 1 GiB", forked, &mib, TIMES},
		{"pthread", threads, NULL, TIMES},
		{"Python Process", bench_hasty() ? NULL : python, NULL, PYTHON_TIMES},
	};

	bench_compare("shared", 0, all, sizeof all / sizeof *all);
}

static void measure_private(size_t mib)
{
	const struct contender all[] = {
		{"libmpx", ours, NULL, TIMES},
		{"limit: fork", forked, NULL, TIMES},
		{"pthread", threads, NULL, TIMES},
	};
	void *p = mmap(NULL, mib << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	bench_check(p != MAP_FAILED);
	madvise(p, mib << 20, MADV_NOHUGEPAGE);
	memset(p, 1, mib << 20);
	bench_compare("private", (double)mib, all, sizeof all / sizeof *all);
	munmap(p, mib << 20);
}

int main(int argc, char **argv)
{
	bench_open(argc, argv, "process");
	measure_shared(bench_hasty() ? HASTY : LARGE);
	measure_private(bench_hasty() ? HASTY : LARGE);
	return bench_close();
}
