/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * timeline.c - what each worker of a pool was doing, as a picture. Any program draws
 * it: MPX_TRACE=trace.json ./program writes a trace for https://ui.perfetto.dev or
 * chrome://tracing, MPX_TRACE=trace.html ./program a web page. This one sets the
 * variable itself and has something to show: tasks of different length, one that dies
 * with its worker and one that succeeds only when it is tried again.
 *
 * Run it with the name of the file to write: ./timeline timeline.html. It prints:
 *
 *     resize: 24 pictures
 *     checksum: 96 blocks
 *     upload: file 5 is lost: worker was killed by signal 9
 *     upload: file 8 took 2 attempts
 *     the timeline is in timeline.html
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <mpx.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { PICTURES = 24, BLOCKS = 96, FILES = 12, LOST = 5, FLAKY = 8 };

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

static void check(bool right, const char *what)
{
	if (!right) {
		fprintf(stderr, "wrong: %s\n", what);
		exit(1);
	}
}

/* The sleep stands for work that takes so long. */
static void work(int milliseconds)
{
	nanosleep(&(struct timespec){.tv_nsec = milliseconds * 1000000L}, NULL);
}

static int resize(const void *in, void *out)
{
	int picture = *(const int *)in;

	work(8 + picture * 7 % 23);
	*(int *)out = picture;
	return 0;
}

static int checksum(const void *in, void *out)
{
	uint32_t sum = *(const uint32_t *)in;

	for (int i = 0; i < 2000000; i++)
		sum = sum * 1664525 + 1013904223;
	*(uint32_t *)out = sum;
	return 0;
}

static int upload(const void *in, void *out)
{
	int file = *(const int *)in;

	work(12 + file * 5 % 17);
	if (file == LOST)
		raise(SIGKILL);
	if (file == FLAKY && mpx_task_attempt() == 0)
		return mpx_fail(ECONNRESET, "the connection was lost");
	*(int *)out = (int)mpx_task_attempt() + 1;
	return 0;
}

static void resize_all(mpx_pool *pool)
{
	int in[PICTURES], out[PICTURES];

	for (int i = 0; i < PICTURES; i++)
		in[i] = i;
	if (mpx_pool_map(pool, resize, in, out, PICTURES) != 0)
		die("resize");
	printf("resize: %d pictures\n", PICTURES);
}

static void checksum_all(mpx_pool *pool)
{
	uint32_t in[BLOCKS], out[BLOCKS], expected;

	for (uint32_t i = 0; i < BLOCKS; i++)
		in[i] = i;
	if (mpx_pool_map(pool, checksum, in, out, BLOCKS) != 0)
		die("checksum");
	checksum(&in[BLOCKS - 1], &expected);
	check(out[BLOCKS - 1] == expected, "checksum");
	printf("checksum: %d blocks\n", BLOCKS);
}

static void upload_all(mpx_pool *pool)
{
	int in[FILES], attempts[FILES];
	mpx_failure why;

	for (int i = 0; i < FILES; i++)
		in[i] = i;
	/* Errors are tried again once; a task that kills its worker is lost the second time. */
	check(mpx_pool_map_sized(pool, upload, in, sizeof in[0], attempts, sizeof attempts[0],
				 FILES, MPX_TASK(.retries = 1, .backoff = 0.01)) != 0,
	      "no file was lost");
	if (mpx_pool_last_failure(pool, &why) != 0)
		die("upload");
	printf("upload: file %zu is lost: %s\n", why.index, why.message);
	printf("upload: file %d took %d attempts\n", FLAKY, attempts[FLAKY]);
	check(why.index == LOST && why.signal == SIGKILL, "the file that is lost");
	check(attempts[FLAKY] == 2 && attempts[0] == 1, "attempts");
}

int main(int argc, char **argv)
{
	const char *file = argc > 1 ? argv[1] : "timeline.html";

	/* Before the first call of the library: later it has no effect. */
	if (setenv("MPX_TRACE", file, 1) != 0)
		die("setenv");
	mpx_pool *pool = mpx_pool_new(.processes = 4);
	if (pool == NULL)
		die("mpx_pool_new");
	resize_all(pool);
	checksum_all(pool);
	upload_all(pool);
	mpx_pool_free(pool);
	printf("the timeline is in %s\n", file);
	return 0;
}
