/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * parallel_grep.c - counts the lines that match a pattern, in real files: first one file
 * after the other, then by a pool. In Python:
 *
 *     pattern = re.compile(sys.argv[1].encode(), re.IGNORECASE)
 *
 *     def count(path):
 *         with open(path, 'rb') as f:
 *             return sum(pattern.search(line) is not None for line in f)
 *
 *     with Pool() as pool:
 *         for path, lines in zip(paths, pool.imap(count, paths)):
 *             ...
 *
 * Run it with a pattern, as of grep -Ei, and files: ./parallel_grep 'map|pool' README.md.
 * Without arguments it writes 32 files of its own to the temporary folder, some 60 MB,
 * and removes them at the end. It prints (the middle
 * of 9 runs on 2 virtual processors; they were 1.8 to 2.0 times as fast):
 *
 *     32 files, 63.4 MB, 16609 lines match
 *     one by one: 0.400 s
 *     pool:       0.205 s with 2 workers, 2.0 times as fast
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <mpx.h>
#include <regex.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { FILES = 32, LINES = 40000, PATH = 256 };

struct counts {
	size_t lines, bytes;
};

/* Compiled once: workers have the memory of the program as it was when the pool was made. */
static regex_t pattern;

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
 * It counts in variables of its own and stores the result once: results lie side by side,
 * and processors that keep writing into the same cache line wait for each other. This
 * program was only 1.2 times as fast when it did.
 */
static int count(const void *in, void *out)
{
	const char *path = *(const char *const *)in;
	struct counts counts = {0, 0};
	size_t size = 0;
	char *line = NULL;
	ssize_t length;

	FILE *f = fopen(path, "r");
	if (f == NULL)
		return mpx_fail(errno, "cannot open %s", path);
	while ((length = getline(&line, &size, f)) > 0) {
		counts.bytes += (size_t)length;
		counts.lines += regexec(&pattern, line, 0, NULL, 0) == 0;
	}
	bool failed = ferror(f) != 0;
	free(line);
	fclose(f);
	*(struct counts *)out = counts;
	return failed ? mpx_fail(EIO, "cannot read %s", path) : 0;
}

static struct counts sum(const struct counts *counts, size_t n)
{
	struct counts all = {0, 0};

	for (size_t i = 0; i < n; i++) {
		all.lines += counts[i].lines;
		all.bytes += counts[i].bytes;
	}
	return all;
}

/* The same result by a loop and by a pool; prints how long each took. */
static void compare(char **paths, size_t n)
{
	struct counts *by_loop = calloc(n, sizeof *by_loop), *by_pool = calloc(n, sizeof *by_pool);
	mpx_failure why;

	if (by_loop == NULL || by_pool == NULL)
		die("calloc");
	double begin = now();
	for (size_t i = 0; i < n; i++) {
		if ((errno = count(&paths[i], &by_loop[i])) != 0)
			die(paths[i]);
	}
	double loop = now() - begin;

	begin = now();
	mpx_pool *pool = mpx_pool_new();
	if (pool == NULL)
		die("mpx_pool_new");
	/* A file at a time: they may be of very different size. */
	if (mpx_pool_map_sized(pool, count, paths, sizeof paths[0], by_pool, sizeof by_pool[0], n,
			       MPX_TASK(.chunksize = 1, .progress = mpx_progress_bar)) != 0)
		die(mpx_pool_last_failure(pool, &why) == 0 ? why.message : "mpx_pool_map");
	double parallel = now() - begin;

	if (memcmp(by_loop, by_pool, n * sizeof *by_loop) != 0) {
		fprintf(stderr, "wrong: the pool has counted something else\n");
		exit(1);
	}
	struct counts all = sum(by_pool, n);
	printf("%zu files, %.1f MB, %zu lines match\n", n, (double)all.bytes / 1e6, all.lines);
	printf("one by one: %.3f s\n", loop);
	printf("pool:       %.3f s with %d workers, %.1f times as fast\n", parallel,
	       mpx_pool_processes(pool), loop / parallel);
	mpx_pool_free(pool);
	free(by_loop);
	free(by_pool);
}

/* Lines of words from a small dictionary, the same at each run. */
static void write_file(const char *path, uint32_t seed)
{
	static const char *const words[] = {"hay",  "straw", "grass", "Needle", "chaff",
					    "barn", "field", "stack", "clover", "oats"};
	FILE *f = fopen(path, "w");

	if (f == NULL)
		die(path);
	for (int line = 0; line < LINES; line++) {
		for (int i = 0; i < 9; i++) {
			seed = seed * 1664525 + 1013904223;
			/* The needle is rare. */
			unsigned w = seed >> 24 == 0 ? 3 : (seed >> 16) % 10;
			fputs(words[w == 3 && seed >> 24 != 0 ? 0 : w], f);
			putc(i < 8 ? ' ' : '\n', f);
		}
	}
	if (fclose(f) != 0)
		die(path);
}

static char own[FILES][PATH];

static void remove_own(void)
{
	for (int i = 0; i < FILES; i++)
		remove(own[i]);
}

static void with_files_of_our_own(void)
{
	const char *folder = getenv("TMPDIR");
	char *paths[FILES];

	for (int i = 0; i < FILES; i++) {
		snprintf(own[i], PATH, "%s/parallel_grep_%ld_%d.txt", folder ? folder : "/tmp",
			 (long)getpid(), i);
		paths[i] = own[i];
	}
	atexit(remove_own);
	for (int i = 0; i < FILES; i++)
		write_file(paths[i], (uint32_t)i);
	compare(paths, FILES);
}

static void compile(const char *text)
{
	char why[128];
	int error = regcomp(&pattern, text, REG_EXTENDED | REG_ICASE | REG_NOSUB);

	if (error == 0)
		return;
	regerror(error, &pattern, why, sizeof why);
	fprintf(stderr, "%s: %s\n", text, why);
	exit(1);
}

int main(int argc, char **argv)
{
	compile(argc > 2 ? argv[1] : "(needle|clover).*stack.*(hay|straw) chaff");
	if (argc > 2)
		compare(argv + 2, (size_t)argc - 2);
	else
		with_files_of_our_own();
	regfree(&pattern);
	return 0;
}
