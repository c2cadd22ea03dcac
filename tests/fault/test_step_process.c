/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * Every instruction between a parent's mpx_process_start and the child's target. If the
 * parent is killed there, no child is left a moment later, be it before its first
 * instruction or anywhere on its way; if the child is, the parent is told. Either way
 * the place in the table of peers comes back, and nothing is left in the heap. Likewise
 * a process of a plain fork(), on its way into the family; who buries a dead one; and
 * mpx_process_free.
 *
 * Seen to fail with, in src/shm/peers.c: a slot RESERVED by nobody while a plain fork()
 * enters (that was so); the fields written before the slot is known to be the child's
 * (that was so, too); the creator of a RESERVED slot not looked at in mpx__peer_dead; a
 * slot freed before its blocks; a RESERVED slot whose creator is dead, but that has a pid,
 * taken for dead; taken for living though that has ended. In src/process/child.c: no
 * mpx__os_die_with_parent. In src/platform/linux.c: getppid() not looked at after prctl.
 */
#define _GNU_SOURCE
#include "step.h"

#include "shm/family.h"

#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

struct world {
	mpx_process *p;
	mpx_lock *l;
	size_t places;	       /* taken before */
	_Atomic uint32_t heir; /* who has taken the place of the victim's child */
	_Atomic uint32_t dead; /* who has left blocks */
	atomic_bool enough;
};

/* --- the table of peers ------------------------------------------------------------------- */

static size_t places_taken(void)
{
	size_t n = 0;
	mpx__peers_tidy();
	for (uint32_t i = 0; i < MPX__PEER_SLOTS; i++)
		n += (atomic_load(&mpx__family_base->peers.slot[i].word) & 3) != 0;
	return n;
}

/* All that are not taken can be had. */
static void check_capacity(struct world *w)
{
	static uint32_t ids[MPX__PEER_SLOTS];
	size_t n = 0, taken = places_taken();
	while (n < MPX__PEER_SLOTS && (ids[n] = mpx__peer_reserve()))
		n++;
	step_check(n + taken == MPX__PEER_SLOTS - 1);
	for (size_t i = 0; i < n; i++)
		mpx__peer_cancel(ids[i]);
	step_check(places_taken() == taken);
	(void)w;
}

/* --- the world ---------------------------------------------------------------------------- */

static void make(struct world *w)
{
	w->l = mpx_lock_new();
	step_check(w->l);
	w->places = places_taken();
}

/* All children have ended, also those that were inherited: this process is the reaper.
 * Those that are known ended well. */
static void all_gone(pid_t known)
{
	double end = now() + STEP_HANG;
	int status = 0;
	pid_t pid;
	while ((pid = waitpid(-1, &status, WNOHANG)) >= 0 && now() < end) {
		if (pid == known && status != 0)
			step_check(!"the parent was told something else");
		if (pid == 0)
			sched_yield();
	}
	step_check(pid < 0);
	errno = 0;
}

static void after(struct world *w)
{
	/* A reaper sees the end a moment before /proc does. */
	for (double end = now() + 1; places_taken() != w->places && now() < end;)
		nap();
	step_check(places_taken() == w->places);
	step_check(mpx_lock_acquire(w->l, STEP_HANG) == 0 || errno == EOWNERDEAD);
	step_check(mpx_lock_release(w->l) == 0);
	mpx_lock_free(w->l);
}

/* --- targets and victims ------------------------------------------------------------------ */

static int enter(void *args)
{
	(void)args;
	step_end_here();
	alarm(30);
	for (;;)
		pause();
	return 0;
}

static int return_seven(void *args)
{
	(void)args;
	return 7;
}

static void make_process(struct world *w)
{
	w->p = mpx_process_new(.target = enter);
	step_check(w->p);
}

static void make_orphan(struct world *w)
{
	w->p = mpx_process_new(.target = return_seven, .orphan = true);
	step_check(w->p);
}

static void start_it(struct world *w)
{
	step_check(mpx_process_start(w->p) == 0);
}

static void join_it(mpx_process *p, int expected)
{
	int code = 0;
	step_check(mpx_process_join(p, STEP_HANG) == 0);
	step_check(mpx_process_exitcode(p, &code) == 0);
	step_check(code == expected);
	step_check(mpx_process_free(p) == 0);
}

/* The child is killed on its way; the next one is not. */
static void start_and_join(struct world *w)
{
	start_it(w);
	join_it(w->p, -SIGKILL);
	w->p = mpx_process_new(.target = return_seven);
	step_check(w->p && mpx_process_start(w->p) == 0);
	join_it(w->p, 7);
}

static void make_ended_process(struct world *w)
{
	w->p = mpx_process_new(.target = return_seven);
	step_check(w->p && mpx_process_start(w->p) == 0);
	step_check(mpx_process_join(w->p, STEP_HANG) == 0);
}

static void free_it(struct world *w)
{
	step_check(mpx_process_free(w->p) == 0);
}

/* What a plain fork() does first. */
static void enter_family(struct world *w)
{
	step_check(mpx_lock_acquire(w->l, STEP_HANG) == 0);
	step_check(mpx_lock_release(w->l) == 0);
}

/* Handles are blocks of who makes them. */
static void leave_blocks(struct world *w)
{
	w->p = mpx_process_new(.target = enter);
	step_check(w->p && mpx_process_new(.target = enter));
	atomic_store(&w->dead, mpx__self());
}

static void make_dead(struct world *w)
{
	make(w);
	step_die(leave_blocks, w);
}

static void bury(struct world *w)
{
	if (mpx__peer_dead(w->dead))
		mpx__peer_bury(w->dead);
}

/* --- survivors ---------------------------------------------------------------------------- */

static void killed(struct world *w)
{
	(void)w;
	step_let_child_go();
	all_gone(0);
}

/* The child that has not begun, if its parent told its pid; or 0. */
static pid_t known_child(void)
{
	struct mpx__peers *peers = &mpx__family_base->peers;
	for (uint32_t i = 1; i < MPX__PEER_SLOTS; i++) {
		uint64_t word = atomic_load(&peers->slot[i].word);
		if ((word & 3) == 1) /* reserved */
			return mpx__peer_pid((uint32_t)word >> 2 << 12 | i);
	}
	return 0;
}

/* An orphan whose pid was told comes to its target, unless it is killed before; another may
 * be too late. */
static void killed_with_orphan(struct world *w)
{
	pid_t known = known_child();
	bool kills = known && step_random() % 2;
	(void)w;
	places_taken(); /* buries */
	if (kills)
		kill(known, SIGKILL);
	pid_t child = step_let_child_go();
	int status = 0;
	if (child) {
		double end = now() + STEP_HANG;
		pid_t r;
		while ((r = waitpid(child, &status, WNOHANG)) == 0 && now() < end)
			sched_yield();
		step_check(r == child && (!known || r == known));
	}
	if (kills)
		step_check(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	else if (child)
		step_check(WIFEXITED(status) &&
			   (WEXITSTATUS(status) == 7 || (WEXITSTATUS(status) == 127 && !known)));
	all_gone(0);
}

static int be_heir(void *arg)
{
	struct world *w = arg;
	step_check(mpx_lock_acquire(w->l, STEP_HANG) == 0);
	atomic_store(&w->heir, mpx__self());
	for (double end = now() + STEP_HANG; !atomic_load(&w->enough) && now() < end;)
		nap();
	step_check(mpx_lock_release(w->l) == 0);
	return 0;
}

/* Before the child goes on, its place is buried, and taken by a process that holds a
 * lock. The child ends, and that process is alive all the same. */
static void killed_with_heir(struct world *w)
{
	struct mpx__peers *peers = &mpx__family_base->peers;
	uint32_t place = 1;
	while (place < MPX__PEER_SLOTS && (atomic_load(&peers->slot[place].word) & 3) != 1)
		place++; /* 1: reserved */
	places_taken();	 /* buries */
	if (place < MPX__PEER_SLOTS)
		atomic_store(&peers->cursor, place);
	pid_t heir = fork_child(be_heir, w);
	for (double end = now() + STEP_HANG; !atomic_load(&w->heir) && now() < end;)
		sched_yield();
	pid_t child = step_let_child_go();
	if (child) {
		double end = now() + STEP_HANG;
		pid_t r;
		while ((r = waitpid(child, NULL, WNOHANG)) == 0 && now() < end)
			sched_yield();
		step_check(r == child);
	}
	step_check(!mpx__peer_dead(atomic_load(&w->heir)));
	step_check(mpx__peer_pid(atomic_load(&w->heir)) == heir);
	step_check(mpx_lock_acquire(w->l, 0) == -1 && errno == ETIMEDOUT);
	atomic_store(&w->enough, true);
	all_gone(heir);
}

#define CHECKS .after = after, .close = check_capacity

static const struct step steps[] = {
	{"start: the parent", make, make_process, start_it, .killed = killed, CHECKS, .seconds = 3},
	{"start: the parent, before the child's first step", make, make_process, start_it,
	 .killed = killed, CHECKS, .seconds = 3, .kin = STEP_HOLDS_CHILD},
	{"start: the parent, whose child comes too late", make, make_process, start_it,
	 .killed = killed_with_heir, CHECKS, .seconds = 3, .kin = STEP_HOLDS_CHILD},
	{"start: the parent of an orphan, before its first step", make, make_orphan, start_it,
	 .killed = killed_with_orphan, CHECKS, .seconds = 3, .kin = STEP_HOLDS_CHILD},
	{"start: the child", make, make_process, start_and_join, .killed = killed, CHECKS,
	 .seconds = 3, .kin = STEP_IN_CHILD},
	{"start: the parent, when the child is on its way", make, make_process, start_it,
	 .killed = killed, CHECKS, .seconds = 3, .kin = STEP_ORPHANS_CHILD},
	{"fork: into the family", make, NULL, enter_family, .killed = killed, CHECKS, .fresh = true,
	 .seconds = 3},
	{"burial of one who left blocks", make_dead, NULL, bury, .killed = killed, CHECKS,
	 .seconds = 3},
	{"free", make, make_ended_process, free_it, .killed = killed, CHECKS},
};

int main(void)
{
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	return step_main(steps, sizeof steps / sizeof *steps, sizeof(struct world));
}
