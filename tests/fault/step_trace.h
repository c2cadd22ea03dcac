/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * step_trace.h - a process under ptrace, instruction by instruction: between
 * step.c, who says what for, and step_trace.c.
 */
#ifndef STEP_TRACE_H
#define STEP_TRACE_H

#include "step.h"

#include <sys/user.h>

enum { STEP_MAX_PATH = 20000, STEP_STACK_WORDS = 256 };

struct step_victim {
	pid_t pid;
	pid_t parent;  /* it is the child of this one, which is not stepped */
	pid_t waiting; /* its child, before its first instruction; or itself, see step_kin */
	bool forked;   /* just now */
	struct user_regs_struct regs;
	bool ended; /* its operation, or itself */
	int signal; /* to be delivered with the next step */
	int nudges;
	double nudged_at;
	uint64_t stack[STEP_STACK_WORDS];
};

/* What a victim does: before, not stepped, then victim. */
struct step_order {
	void (*before)(struct world *w);
	void (*victim)(struct world *w);
	struct world *w;
};

extern struct world *step_world;

/* Where the last victim whose path was taken has been, and when its state
 * changed. */
extern uint64_t step_path[STEP_MAX_PATH];
extern long step_path_length, step_first_change;

/* Copies of more bytes than that are one step. */
extern uint64_t step_long_copy;

/* Nobody needs it. (The heap may just be held by somebody dead.) */
extern mpx_lock *step_throw_away;

/* May we trace at all? (A container may forbid it.) */
bool step_may_trace(void);

/* In a child: it does not outlive the driver. */
void step_become_child(void);

/* A new victim, at the beginning of its operation; or a process that is there.
 */
void step_start_victim(struct step_victim *v, struct step_order *o);
void step_seize(struct step_victim *v, pid_t pid);

/* Through all of it, at most STEP_MAX_PATH instructions, taking down where it
 * was. */
void step_take_path(struct step_victim *v, bool until_asleep);
/* n instructions, fewer if it ends; how many. */
long step_many(struct step_victim *v, long n);
/* To instruction n of the path, sooner. */
void step_to(struct step_victim *v, long n);

void step_kill_victim(struct step_victim *v);

/* The child that waits goes on; its pid or 0. Or is killed. */
pid_t step_release_child(struct step_victim *v);
void step_kill_child(struct step_victim *v);

/* Where it was, as addr2line sees it. */
void step_print_where(const struct step_victim *v);

#endif
