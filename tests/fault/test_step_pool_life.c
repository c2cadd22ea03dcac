/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * Every instruction of who makes or frees a pool, and of the supervisor from its first
 * one until it sleeps. When the creator is killed, no process of the pool is left a
 * moment later; when the supervisor is, the creator hears of it: no pool, or one whose
 * tasks fail.
 *
 * Seen to fail with, in src/process/child.c: no mpx__os_die_with_parent. In
 * src/pool/pool.c: nobody polls the supervisor in wait_for_start.
 */
#define _GNU_SOURCE
#include "step.h"

#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

struct world {
	mpx_pool *pool;
};

static void make(struct world *w)
{
	(void)w;
}

static void make_pool(struct world *w)
{
	w->pool = mpx_pool_new(.processes = 1);
	step_check(w->pool);
}

static void new_pool(struct world *w)
{
	w->pool = mpx_pool_new(.processes = 1);
}

static void free_pool(struct world *w)
{
	mpx_pool_free(w->pool);
}

static void new_pool_and_use(struct world *w)
{
	unsigned in = 3, out = 0;
	w->pool = mpx_pool_new(.processes = 1);
	if (!w->pool) {
		step_check(errno == EAGAIN);
		return;
	}
	int r = mpx_pool_apply(w->pool, square, &in, &out);
	step_check(r == 0 ? out == 9 : errno == EOWNERDEAD);
	mpx_pool_free(w->pool);
}

/* All children have ended, also those that were inherited: this process is the reaper. */
static void killed(struct world *w)
{
	double end = now() + STEP_HANG;
	int status;
	pid_t pid;
	step_let_child_go();
	while ((pid = waitpid(-1, &status, WNOHANG)) >= 0 && now() < end)
		if (pid == 0)
			sched_yield();
	step_check(pid < 0);
	errno = 0;
	(void)w;
}

/* And others have pools, as ever. */
static void after(struct world *w)
{
	unsigned in[3] = {1, 2, 3}, out[3] = {0, 0, 0};
	(void)w;
	if (step_random() % 8)
		return;
	mpx_pool *pool = mpx_pool_new(.processes = 1);
	step_check(pool && mpx_pool_map(pool, square, in, out, 3) == 0);
	step_check(out[0] == 1 && out[1] == 4 && out[2] == 9);
	mpx_pool_free(pool);
}

static const struct step steps[] = {
	{"pool_new: the creator", make, NULL, new_pool, .killed = killed, .after = after,
	 .may_lose = 1, .seconds = 4},
	{"pool_free: the creator", make, make_pool, free_pool, .killed = killed, .after = after,
	 .may_lose = 1, .seconds = 4},
	{"pool_new: the supervisor, until it sleeps", make, NULL, new_pool_and_use,
	 .killed = killed, .after = after, .varies = true, .seconds = 6, .kin = STEP_IN_CHILD,
	 .until_asleep = true},
};

int main(void)
{
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	return step_main(steps, sizeof steps / sizeof *steps, sizeof(struct world));
}
