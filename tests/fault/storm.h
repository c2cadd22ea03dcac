/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * storm.h - what the storms (test_storm_*.c) share. A storm kills processes at
 * random moments, starts others in their place, and settles accounts at the end.
 * A round is a storm in small; the short form runs one round of each test, about
 * 1000 kills in all programs together, the long form a hundred rounds:
 *
 *     MPX_FAULT_LONG=1 ./test_storm_queue         (and the others: 100 000 kills)
 *     MPX_SEED=1234 ./test_storm_queue            the same choices once more
 *
 * Each test prints its seed, its kills and its longest stall. The seed replays who
 * is killed and after which pause; not, of course, where the scheduler was then.
 */
#ifndef STORM_H
#define STORM_H

#include "family.h"

/* Runs the rounds; each gets a seed of its own. */
void storm_run(const char *what, void (*round)(uint64_t *seed));

/* Until 0.002 seconds: the random moment of a kill, not a wait for anything. */
void storm_pause(uint64_t *seed);

/* Who shall die: any of the n, or (three times of four) one that is not asleep, if one
 * is found: it is more likely to be in the middle of something. */
unsigned storm_victim(uint64_t *seed, const pid_t *pids, unsigned n);

/* Has this round taken too long? A slow machine kills less. */
bool storm_late(void);

/* Kills the process: its exit code, -SIGKILL unless it was quicker. Frees p. */
int storm_kill(mpx_process *p);
/* Others that were killed. */
void storm_count_kills(unsigned n);

/* A time in which nothing was done: must be below a second, plus what the machine
 * alone has been seen to delay a process. The longest is printed. */
void storm_stall(double seconds);

/* The heap has so many blocks in use, at once or when the dead have been buried. */
void storm_heap_has(size_t blocks);

/* In shared memory: the longest time between two calls of storm_tick. */
struct storm_ticks {
	_Atomic uint64_t last, longest; /* nanoseconds */
};
void storm_tick(struct storm_ticks *t);
/* Only the time. */
void storm_tick_took(struct storm_ticks *t, double seconds);
/* No more calls: the longest goes to storm_stall. */
void storm_ticks_end(struct storm_ticks *t);

#endif
