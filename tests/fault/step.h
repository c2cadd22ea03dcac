/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * step.h - kills a process at instruction n of an operation, for every n.
 *
 * A scenario is a victim, who performs an operation of the library, and survivors.
 * The driver first runs the victim through it one instruction at a time (ptrace) and
 * takes down its path. Then, for each instruction on it: everything anew, a new
 * victim, up to that instruction and not further, SIGKILL; now the survivors must
 * find what the library promises, in bounded time, and no block may be missing.
 *
 * A system call counts as one instruction, and so does a copy of more than 8 KiB (of a
 * double fault: 64 bytes).
 *
 *     make(w)        in the driver: the objects, in a zeroed world
 *     before(w)      in the victim, not stepped
 *                    here the waiters start, and the driver waits until they sleep
 *     victim(w)      in the victim, stepped
 *     nudge(w, i)    in the driver, when the victim has gone to sleep, i-th time
 *     killed(w)      in the driver, once the victim is dead
 *                    here the waiters have to end
 *     after(w)       in the driver: accounts, and frees
 *
 * Where the victim forks, the child can be made to wait, or be stepped in its place: see
 * enum step_kin.
 *
 * The world is shared memory. Which points are tried: all of them if
 * MPX_FAULT_LONG=1; otherwise each k-th (and few of an instruction that repeats), so that the
 * scenario is done in about MPX_FAULT_SECONDS (0.5). The first one comes from MPX_FAULT_SEED.
 * MPX_FAULT_POINT=n tries that one alone; together with MPX_TEST_FILTER that is how to debug.
 */
#ifndef STEP_H
#define STEP_H

#include "family.h"

#if defined(__linux__) && defined(__x86_64__) && !THREAD_SANITIZED
#define STEP_POSSIBLE 1
#else
/* Elsewhere: exit code 77. (On aarch64 the loads and stores of an atomic operation
 * may be separate instructions, and never succeed while stepped.) */
#define STEP_POSSIBLE 0
#endif

enum { STEP_WAITERS = 4 };

/* What has not happened by then never will. The library promises 0.1 s. */
#define STEP_HANG 5.0

/* Of a victim that forks. The child's operation ends with step_end_here(). If it waits,
 * killed() lets it go on. */
enum step_kin {
	STEP_ALONE,	    /* the victim is stepped, its child runs free */
	STEP_HOLDS_CHILD,   /* likewise, but the child waits before its first instruction */
	STEP_IN_CHILD,	    /* the child is stepped and killed, the victim runs free */
	STEP_ORPHANS_CHILD, /* the child is stepped to instruction n, the victim killed */
};

struct world; /* each test program has its own */

struct step {
	const char *name;
	void (*make)(struct world *w);
	void (*before)(struct world *w);
	void (*victim)(struct world *w);
	void (*nudge)(struct world *w, int times);
	void (*waiter)(struct world *w, int i);
	void (*killed)(struct world *w);
	void (*after)(struct world *w);
	/* Of the world, as far as any process can tell: to find where it changes. */
	long (*state)(struct world *w);
	/* Instead of a victim of the driver's own: a process that sleeps, and is stepped
	 * from when it wakes up until it sleeps again. */
	pid_t (*whom)(struct world *w);
	/* Once for the scenario. */
	void (*open)(struct world *w);
	void (*close)(struct world *w);
	/* Are the waiters where they belong? Otherwise: when they sleep, anywhere. */
	bool (*in_place)(struct world *w);
	int waiters;
	double seconds;	   /* that it takes, in the short form, as a multiple; 0: 1 */
	bool varies;	   /* each victim has a path of its own: the longest of 12 counts */
	bool fresh;	   /* the victim has not used the library before */
	bool until_asleep; /* the path ends there */
	enum step_kin kin;
	bool late;	  /* the waiters are started by nudge: step_start_waiters */
	size_t may_lose;  /* blocks */
	const void *with; /* the program's own */
};

/* The scenario that is running, also in its children. */
extern const struct step *step_now;

/* Is this kill point at most 20 instructions before the first change of state? */
extern bool step_near_change;

/* A number that the seed chooses for this kill point. */
uint64_t step_random(void);

/* Runs them all; what main returns. size is that of struct world. */
int step_main(const struct step *steps, size_t n, size_t size);

void step_start_waiters(void);
/* How many have been started; how many of them are still running. */
int step_waiters_started(void);
int step_waiters_running(void);

/* The victim's child has done what is to be stepped. */
void step_end_here(void);
/* The child that waits goes on. Its pid; 0: there is none. */
pid_t step_let_child_go(void);

/* For make: a process that performs fn(w), and is killed. */
void step_die(void (*fn)(struct world *w), struct world *w);
/* Likewise, at instruction n of it (and not in before); how many it performed. */
long step_die_at(void (*before)(struct world *w), void (*fn)(struct world *w), struct world *w,
		 long n);

/* Anywhere: the first thing that is wrong is told, with the kill point. */
void step_wrong(const char *file, int line, const char *what, int error);
#define step_check(condition)                                                                      \
	do {                                                                                       \
		if (!(condition))                                                                  \
			step_wrong(__FILE__, __LINE__, #condition, errno);                         \
	} while (0)

#endif
