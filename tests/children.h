/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * children.h - on top of harness.h, for the tests of processes: what a test shares
 * with its children, how it starts and ends them, and what they do.
 */
#ifndef CHILDREN_H
#define CHILDREN_H

#include "harness.h"

#include <poll.h>
#include <sys/stat.h>

/* What a test shares with its processes; in the family's heap. */
struct shared {
	_Atomic int ready, go, count, result;
	_Atomic int pids[16];
	mpx_value *value;
	mpx_lock *lock;
	char text[256];
};

static inline struct shared *share(void)
{
	struct shared *s = mpx_calloc(1, sizeof *s);
	assert_non_null(s);
	return s;
}

static inline mpx_process *started(mpx_target *target, void *args)
{
	mpx_process *p = mpx_process_new(.target = target, .args = args);
	assert_non_null(p);
	assert_ok(mpx_process_start(p));
	return p;
}

/* Joins, frees, and says how it ended. */
static inline int ended(mpx_process *p)
{
	int code = -1000;
	assert_ok(mpx_process_join(p, MPX_FOREVER));
	assert_false(mpx_process_is_alive(p));
	assert_ok(mpx_process_exitcode(p, &code));
	assert_ok(mpx_process_free(p));
	return code;
}

/* The same for programs in children, which must not use assertions. */
static inline int child_run(mpx_target *target, void *args)
{
	int code = -1000;
	mpx_process *p = mpx_process_new(.target = target, .args = args);
	child_check(p != NULL);
	child_check(mpx_process_start(p) == 0);
	child_check(mpx_process_join(p, 60) == 0);
	child_check(mpx_process_exitcode(p, &code) == 0);
	child_check(mpx_process_free(p) == 0);
	return code;
}

static inline int return_args(void *args)
{
	return (int)(intptr_t)args;
}

static inline int nothing(void *args)
{
	(void)args;
	return 0;
}

static inline int sleep_for_ever(void *args)
{
	struct shared *s = args;
	if (s)
		s->ready++;
	while (pause() < 0)
		continue;
	return 1;
}

static inline int until_go(void *args)
{
	struct shared *s = args;
	s->ready++;
	child_soon(s->go);
	return 7;
}

static inline bool readable(int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int rc;
	while ((rc = poll(&p, 1, ms)) < 0 && errno == EINTR)
		continue;
	return rc == 1 && (p.revents & POLLIN);
}

/*
 * Where the system cannot watch a process, a sentinel is the end of a connection
 * to it: which lasts as long as any fork of the child, and ends at exec.
 */
static inline bool exact(mpx_process *p)
{
	struct stat st;
	return fstat(mpx_process_sentinel(p), &st) == 0 && !S_ISSOCK(st.st_mode) &&
	       !S_ISFIFO(st.st_mode);
}

/* What a thread starts or joins, and what came of it. */
struct joiner {
	mpx_process *p;
	double timeout;
	int rc, error, code;
};

static inline void *start_it(void *arg)
{
	struct joiner *j = arg;
	j->rc = mpx_process_start(j->p);
	return NULL;
}

#endif
