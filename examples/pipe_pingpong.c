/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * pipe_pingpong.c - two processes and a pipe. In Python:
 *
 *     def player(ball):
 *         try:
 *             while True:
 *                 ball.send(ball.recv() + 1)
 *         except EOFError:
 *             pass
 *
 *     here, there = Pipe()
 *     p = Process(target=player, args=(there,))
 *     p.start()
 *     there.close()
 *     here.send(0)
 *     for _ in range(10000):
 *         hits = here.recv()
 *         here.send(hits)
 *     here.close()
 *     p.join()
 *
 * Each process closes the end that it does not use: so each sees when the other is
 * gone, also if it was killed.
 *
 * Run it without arguments: ./pipe_pingpong. It prints (with other times):
 *
 *     10000 hits, 9 us there and back
 *     a message of 3 MB came back whole
 *     nothing within 0.05 s: Connection timed out
 *     the player was killed: Broken pipe
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <mpx.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { HITS = 10000, LARGE = 3000000 };

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Plays back whatever comes; numbers with one more hit. */
static int player(void *args)
{
	mpx_connection **end = args, *ball = end[1];
	char *message = malloc(LARGE);
	ssize_t size;
	int hits;

	mpx_connection_close(end[0]);
	while ((size = mpx_connection_recv(ball, message, LARGE, MPX_FOREVER)) >= 0) {
		if (size == sizeof hits) {
			memcpy(&hits, message, sizeof hits);
			hits++;
			memcpy(message, &hits, sizeof hits);
		}
		if (mpx_connection_send(ball, message, (size_t)size, MPX_FOREVER) != 0)
			break;
	}
	free(message);
	return errno != EPIPE; /* EPIPE is the end of the game */
}

static int play(mpx_connection *ball)
{
	int hits = 0;
	double begin = seconds();

	while (hits < HITS)
		if (mpx_connection_send(ball, &hits, sizeof hits, 5.0) != 0 ||
		    mpx_connection_recv(ball, &hits, sizeof hits, 5.0) != sizeof hits)
			die("play");
	printf("%d hits, %.0f us there and back\n", hits, (seconds() - begin) / HITS * 1e6);
	return hits;
}

static int play_large(mpx_connection *ball)
{
	char *there = malloc(LARGE), *back = malloc(LARGE);
	int same;

	if (there == NULL || back == NULL)
		die("malloc");
	for (int i = 0; i < LARGE; i++)
		there[i] = (char)(i * 7);
	if (mpx_connection_send(ball, there, LARGE, 5.0) != 0)
		die("mpx_connection_send");
	if (mpx_connection_recv(ball, back, LARGE, 5.0) != LARGE)
		die("mpx_connection_recv");
	same = memcmp(there, back, LARGE) == 0;
	printf("a message of %d MB came back %s\n", LARGE / 1000000, same ? "whole" : "changed");
	free(there);
	free(back);
	return same;
}

int main(void)
{
	mpx_connection *end[2];
	int hits, wrong;

	if (mpx_pipe(end, true) != 0)
		die("mpx_pipe");
	mpx_process *p = mpx_process_new(.target = player, .args = end);
	if (p == NULL || mpx_process_start(p) != 0)
		die("start");
	mpx_connection_close(end[1]); /* the player's */

	wrong = play(end[0]) != HITS;
	wrong |= !play_large(end[0]);

	if (mpx_connection_recv(end[0], &hits, sizeof hits, 0.05) >= 0 || errno != ETIMEDOUT)
		die("mpx_connection_recv");
	printf("nothing within 0.05 s: %s\n", strerror(errno));

	if (mpx_process_kill(p) != 0)
		die("mpx_process_kill");
	if (mpx_connection_recv(end[0], &hits, sizeof hits, MPX_FOREVER) >= 0 || errno != EPIPE)
		die("mpx_connection_recv");
	printf("the player was killed: %s\n", strerror(errno));

	if (mpx_process_join(p, MPX_FOREVER) != 0 || mpx_process_free(p) != 0)
		die("join");
	mpx_connection_close(end[0]);
	return wrong;
}
