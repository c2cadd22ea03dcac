/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * What memory does a pool of two cost beyond the program? KiB that the family has more of,
 * where what several share counts once ("pool"), and KiB of the family's heap that stay after x KiB
 * of it were freed ("heap").
 */
#include "bench.h"

#include <ctype.h>
#include <dirent.h>
#include <mpx.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WORKERS = 2, MAX_ROUNDS = 1000, HEAP_KIB = 256 * 1024 };

static int square(const void *in, void *out)
{
	*(int *)out = *(const int *)in * *(const int *)in;
	return 0;
}

/* --- /proc -------------------------------------------------------------------------- */

/* The sum of lines that begin so, in KiB. */
static double sum_lines(pid_t pid, const char *begin)
{
	char path[64], line[256];
	double sum = 0;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	while (fgets(line, sizeof line, f))
		if (strncmp(line, begin, strlen(begin)) == 0)
			sum += atof(strchr(line, ':') + 1);
	fclose(f);
	return sum;
}

static pid_t parent_of(pid_t pid)
{
	char path[64], text[512] = "";
	const char *tail;
	int parent = 0;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (fread(text, 1, sizeof text - 1, f) > 0 && (tail = strrchr(text, ')')))
		sscanf(tail, ") %*c %d", &parent);
	fclose(f);
	return parent;
}

static bool descends(pid_t pid, pid_t from)
{
	while (pid > 1 && pid != from)
		pid = parent_of(pid);
	return pid == from;
}

/* Of this process and all below it. */
static double family_kib(void)
{
	DIR *dir = opendir("/proc");
	const struct dirent *entry;
	double sum = 0;

	bench_check(dir);
	while ((entry = readdir(dir))) {
		pid_t pid = isdigit((unsigned char)*entry->d_name) ? atoi(entry->d_name) : 0;

		if (pid && descends(pid, getpid()))
			sum += sum_lines(pid, "Pss:");
	}
	closedir(dir);
	return sum;
}

/* --- contenders --------------------------------------------------------------------- */

static double with_pool(void)
{
	double before = family_kib(), after;
	int in[100] = {0}, out[100];
	mpx_pool *pool = mpx_pool_new(.processes = WORKERS);

	bench_check(pool && mpx_pool_map(pool, square, in, out, 100) == 0);
	after = family_kib();
	mpx_pool_free(pool);
	return after - before;
}

static double with_forks(void)
{
	double before = family_kib(), after;
	pid_t pids[WORKERS];
	int ready[2];
	char byte;

	bench_check(pipe(ready) == 0);
	for (int i = 0; i < WORKERS; i++) {
		pids[i] = fork();
		bench_check(pids[i] >= 0);
		if (pids[i] == 0) {
			bench_check(write(ready[1], "", 1) == 1);
			for (;;)
				pause();
		}
	}
	for (int i = 0; i < WORKERS; i++)
		bench_check(read(ready[0], &byte, 1) == 1);
	after = family_kib();
	for (int i = 0; i < WORKERS; i++) {
		kill(pids[i], SIGKILL);
		waitpid(pids[i], NULL, 0);
	}
	close(ready[0]);
	close(ready[1]);
	return after - before;
}

static double with_python(void)
{
	return bench_hasty() ? NAN : bench_python("memory", 1, WORKERS);
}

static double after_heap(void)
{
	double before = sum_lines(getpid(), "Rss:");
	void *p = mpx_malloc((size_t)HEAP_KIB << 10);

	bench_check(p);
	memset(p, 1, (size_t)HEAP_KIB << 10);
	bench_check(sum_lines(getpid(), "Rss:") - before >= HEAP_KIB / 2.0);
	mpx_free(p);
	return fmax(0, sum_lines(getpid(), "Rss:") - before);
}

static void measure(const char *series, double x, const char *who, double (*kib)(void))
{
	double values[MAX_ROUNDS];

	for (int i = 0; i < bench_rounds(); i++)
		values[i] = kib();
	bench_result(series, x, who, "KiB", values, (size_t)bench_rounds());
}

int main(int argc, char **argv)
{
	bench_open(argc, argv, "memory");
	mpx_free(mpx_malloc(1)); /* the library is in use */
	measure("pool", WORKERS, "libmpx", with_pool);
	measure("pool", WORKERS, "limit: fork", with_forks);
	measure("pool", WORKERS, "Python Pool", with_python);
	measure("heap", HEAP_KIB, "libmpx", after_heap);
	return bench_close();
}
