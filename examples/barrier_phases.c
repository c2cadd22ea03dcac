/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * barrier_phases.c - heat spreads over a plate, row by row in several processes. In
 * Python:
 *
 *     def diffuse(plate, barrier, first, last):
 *         for step in range(STEPS):
 *             compute(plate[step % 2], plate[1 - step % 2], first, last)
 *             barrier.wait()           # nobody begins before all have finished
 *
 *     barrier = Barrier(n, action=count)
 *     ps = [Process(target=diffuse, args=(plate, barrier, ROWS * k // n, ...))
 *           for k in range(n)]
 *
 * Each process computes its rows of the next moment from all rows around them of this
 * one; so all must have finished a moment before anybody begins the next. The barrier
 * sees to that, and its action, run by the last to arrive while the others still wait,
 * counts the moments.
 *
 * Run it without arguments: ./barrier_phases. It prints (the time is yours):
 *
 *     4 processes, 200 moments of 120 x 160 points in 0.05 s: 200 phases
 *     the same as by one process: yes
 *     one party is killed: the others are told (Operation canceled)
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <mpx.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROWS = 120, COLUMNS = 160, MOMENTS = 200, PROCESSES = 4 };

typedef double plate[ROWS][COLUMNS];

/* In the family's heap. */
struct heat {
	plate now[2]; /* this moment and the next, in turn */
	mpx_barrier *barrier;
	int phases;
};

struct part {
	struct heat *heat;
	int first, last; /* rows */
};

static _Noreturn void die(const char *what)
{
	perror(what);
	exit(1);
}

static double seconds(void)
{
	struct timespec t;

	if (clock_gettime(CLOCK_MONOTONIC, &t) != 0)
		die("clock_gettime");
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Cold, with one hot edge, which stays hot. */
static void warm_up(plate *p)
{
	memset(p, 0, 2 * sizeof *p);
	for (int column = 0; column < COLUMNS; column++)
		p[0][0][column] = p[1][0][column] = 100;
}

/* The inner rows from first to last - 1. */
static void compute(plate from, plate to, int first, int last)
{
	for (int row = first > 0 ? first : 1; row < last && row < ROWS - 1; row++)
		for (int column = 1; column < COLUMNS - 1; column++)
			to[row][column] = (from[row - 1][column] + from[row + 1][column] +
					   from[row][column - 1] + from[row][column + 1]) /
					  4;
}

static int diffuse(void *args)
{
	const struct part *p = args;
	struct heat *h = p->heat;

	for (int moment = 0; moment < MOMENTS; moment++) {
		compute(h->now[moment % 2], h->now[1 - moment % 2], p->first, p->last);
		if (mpx_barrier_wait(h->barrier, MPX_FOREVER) < 0)
			return 1;
	}
	return 0;
}

/* The barrier's action. */
static int count_phase(void *arg)
{
	struct heat *h = arg;

	h->phases++;
	return 0;
}

static void in_processes(struct heat *h)
{
	struct part parts[PROCESSES];
	mpx_process *ps[PROCESSES];
	int exitcode;

	for (int k = 0; k < PROCESSES; k++) {
		parts[k] = (struct part){h, ROWS * k / PROCESSES, ROWS * (k + 1) / PROCESSES};
		ps[k] = mpx_process_new(.target = diffuse, .args = &parts[k]);
		if (ps[k] == NULL || mpx_process_start(ps[k]) != 0)
			die("start");
	}
	for (int k = 0; k < PROCESSES; k++) {
		if (mpx_process_join(ps[k], MPX_FOREVER) != 0 ||
		    mpx_process_exitcode(ps[k], &exitcode) != 0 || mpx_process_free(ps[k]) != 0)
			die("join");
		if (exitcode != 0) {
			fprintf(stderr, "process %d failed: %d\n", k, exitcode);
			exit(1);
		}
	}
}

static bool same_as_alone(plate result)
{
	static plate alone[2];

	warm_up(alone);
	for (int moment = 0; moment < MOMENTS; moment++)
		compute(alone[moment % 2], alone[1 - moment % 2], 0, ROWS);
	return memcmp(alone[MOMENTS % 2], result, sizeof(plate)) == 0;
}

static int wait_there(void *barrier)
{
	return mpx_barrier_wait(barrier, MPX_FOREVER) < 0;
}

/* In Python, the others now wait for ever. */
static bool survives_a_death(void)
{
	mpx_barrier *b = mpx_barrier_new(.parties = 3);
	mpx_process *p = mpx_process_new(.target = wait_there, .args = b);
	const struct timespec moment = {.tv_nsec = 1000 * 1000};

	if (b == NULL || p == NULL || mpx_process_start(p) != 0)
		die("start");
	while (mpx_barrier_n_waiting(b) == 0)
		nanosleep(&moment, NULL);
	if (mpx_process_kill(p) != 0)
		die("kill");
	bool told = mpx_barrier_wait(b, MPX_FOREVER) < 0 && errno == ECANCELED;
	printf("one party is killed: the others are told (%s)\n", strerror(errno));
	if (mpx_process_join(p, MPX_FOREVER) != 0 || mpx_process_free(p) != 0)
		die("join");
	mpx_barrier_free(b);
	return told;
}

int main(void)
{
	struct heat *h = mpx_calloc(1, sizeof *h);
	if (h == NULL)
		die("mpx_calloc");
	h->barrier = mpx_barrier_new(.parties = PROCESSES, .action = count_phase, .arg = h);
	if (h->barrier == NULL)
		die("mpx_barrier_new");
	warm_up(h->now);

	double begin = seconds();
	in_processes(h);
	printf("%d processes, %d moments of %d x %d points in %.2f s: %d phases\n", PROCESSES,
	       MOMENTS, ROWS, COLUMNS, seconds() - begin, h->phases);
	bool same = same_as_alone(h->now[MOMENTS % 2]) && h->phases == MOMENTS;
	printf("the same as by one process: %s\n", same ? "yes" : "no");
	bool told = survives_a_death();

	mpx_barrier_free(h->barrier);
	mpx_free(h);
	return same && told ? 0 : 1;
}
