/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * A child process, as Process and Pool both need it: forked with a slot in the
 * table of peers, waited for by pid alone, told of its parent's death.
 *
 *     c = mpx__child_new();
 *     mpx__child_start(c, run, arg, orphan)    the child never returns from this
 *     mpx__child_wait(c, deadline)              or mpx__child_poll, any number of times
 *     mpx__child_free(c)                        once it has ended
 *
 * All by the parent, from any thread. These stand in private memory: a new child
 * walks through its copy of them, whatever its parent frees meanwhile.
 */
#ifndef MPX_PROCESS_CHILD_H
#define MPX_PROCESS_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct mpx__child {
	struct mpx__child *next; /* in the process's list */
	uint32_t id;		 /* in the table of peers */
	pid_t pid;
	int watch;   /* readable once it has ended; or -1 */
	int link;    /* our end of the link, closed by its end; or -1 */
	bool bound;  /* it ends with the thread that forked it, the first one */
	bool left;   /* its end of the link is closed, yet it lives */
	bool ended;  /* and reaped */
	bool known;  /* status is how */
	int status;  /* exit code, or -signal */
	void *owner; /* the caller's */
};

/* 0 or an errno value. The child runs run(arg), then what mpx__child_exit does. */
int mpx__child_start(struct mpx__child *c, int (*run)(void *arg), void *arg, bool orphan);

/* Has it ended? Reaps it then. */
bool mpx__child_poll(struct mpx__child *c);

/* 0 once it has ended, ETIMEDOUT. */
int mpx__child_wait(struct mpx__child *c, int64_t deadline);

/* 0, also if it has ended already; or an errno value. */
int mpx__child_signal(struct mpx__child *c, int signal);

/* What polls readable once it has ended; -1 with errno. */
int mpx__child_sentinel(struct mpx__child *c);

/* NULL: no memory. */
struct mpx__child *mpx__child_new(void);

/* Closes the descriptors, forgets it. NULL is fine. */
void mpx__child_free(struct mpx__child *c);

/* Calls fn for each child that has been started and not freed, under mpx__private_lock. */
void mpx__child_each(void (*fn)(struct mpx__child *c, void *arg), void *arg);

/* In a child: runs what mpx__child_at_exit has been given, flushes what it wrote
 * (a FILE that another thread is in is waited for five seconds), leaves its exit code behind, and
 * ends, without the parent's exit handlers. */
_Noreturn void mpx__child_exit(int code);
void mpx__child_at_exit(void (*fn)(void));

#endif
