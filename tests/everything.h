/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * everything.h - on top of family.h: one round of everything in the library, for
 * tests that make the world around it hostile. For children (child_check): each
 * call goes well, or fails with an errno that is tolerated and leaves nothing behind.
 * Nothing is tolerated to begin with.
 */
#ifndef EVERYTHING_H
#define EVERYTHING_H

#include "family.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

/* A list that ends with 0; NULL: no call may fail. */
static const int *tolerated;
static unsigned refusals;

/* The call before has failed; was that all right? */
static inline bool refused(const char *what)
{
	int error = errno;
	for (const int *e = tolerated; e && *e; e++) {
		if (*e == error) {
			refusals++;
			return true;
		}
	}
	dprintf(2, "child %d: %s: errno %d (%s)\n", (int)getpid(), what, error, strerror(error));
	_exit(98);
}

/* True if the call went well (0 or more). */
#define went_well(call) (errno = 0, (call) >= 0 || !refused(#call))
#define got(pointer, call) (errno = 0, ((pointer) = (call)) != NULL || !refused(#call))

static inline int return_args(void *args)
{
	return *(int *)args;
}

static inline int die_with_lock(void *args)
{
	/* Where it is said that a holder died before, it is held nevertheless. */
	if (mpx_lock_acquire(args, SOON) == 0 || errno == EOWNERDEAD)
		raise(SIGKILL);
	return 1;
}

static inline int kill_myself(const void *in, void *out)
{
	(void)in;
	(void)out;
	raise(SIGKILL);
	return 0;
}

static inline void try_memory(void)
{
	void *small, *large;
	if (got(small, mpx_malloc(100)))
		memset(small, 1, 100);
	if (got(large, mpx_calloc(30000, 10)))
		child_check(((char *)large)[299999] == 0);
	mpx_free(small);
	mpx_free(large);
}

static inline void try_locks(void)
{
	mpx_lock *l;
	mpx_rlock *r;
	if (got(l, mpx_lock_new())) {
		child_check(mpx_lock_acquire(l, SOON) == 0);
		child_fails(mpx_lock_acquire(l, 0.001), ETIMEDOUT);
		child_check(mpx_lock_release(l) == 0);
	}
	if (got(r, mpx_rlock_new())) {
		child_check(mpx_rlock_acquire(r, 0) == 0);
		child_check(mpx_rlock_acquire(r, 0) == 0);
		child_check(mpx_rlock_release(r) == 0);
		child_check(mpx_rlock_release(r) == 0);
	}
	mpx_lock_free(l);
	mpx_rlock_free(r);
}

static inline void try_values(void)
{
	mpx_value *v;
	mpx_array *a;
	if (got(v, mpx_value_new('i', 40)))
		child_check(mpx_value_add(v, 2) == 40 && *mpx_value_ptr(v, int) == 42);
	if (got(a, mpx_array_new('d', 1000, NULL)))
		child_check(mpx_array_ptr(a, double)[999] == 0);
	mpx_value_free(v);
	mpx_array_free(a);
}

/* Signals may come thick and fast, and interrupt it. */
static inline int poll_one(struct pollfd *p, int milliseconds)
{
	int r;
	do
		r = poll(p, 1, milliseconds);
	while (r < 0 && errno == EINTR);
	return r;
}

static inline void try_queue(void)
{
	static unsigned char large[300000], back[300000];
	struct pollfd p = {.events = POLLIN};
	mpx_queue *q;
	int x = 17, y = 0;
	if (!got(q, mpx_queue_new()))
		return;
	if (went_well(p.fd = mpx_queue_fileno(q)))
		child_check(poll_one(&p, 0) == 0);
	if (went_well(mpx_queue_put(q, &x, sizeof x, SOON))) {
		child_check(p.fd < 0 || poll_one(&p, 3000) == 1);
		child_check(mpx_queue_get(q, &y, sizeof y, SOON) == sizeof y && y == 17);
	}
	fill(large, sizeof large, 5);
	if (went_well(mpx_queue_put(q, large, sizeof large, SOON))) {
		child_check(mpx_queue_next_size(q, 0) == sizeof large);
		child_check(mpx_queue_get(q, back, sizeof back, SOON) == sizeof large);
		child_check(filled(back, sizeof back, 5));
	}
	child_fails(mpx_queue_get(q, &y, sizeof y, 0.001), ETIMEDOUT);
	went_well(mpx_queue_put(q, large, sizeof large, SOON)); /* goes with the queue */
	went_well(mpx_queue_close(q));
	mpx_queue_free(q);
}

static inline void try_process(void)
{
	int seven = 7, code = -1, fd;
	mpx_process *p;
	if (!got(p, mpx_process_new(.target = return_args, .args = &seven)))
		return;
	if (went_well(mpx_process_start(p))) {
		struct pollfd sentinel = {.events = POLLIN};
		went_well(fd = mpx_process_sentinel(p));
		child_check(mpx_process_join(p, SOON) == 0);
		sentinel.fd = fd;
		child_check(fd < 0 || poll_one(&sentinel, 0) == 1);
		child_check(mpx_process_exitcode(p, &code) == 0 && code == 7);
		child_check(!mpx_process_is_alive(p));
		child_check(mpx_process_terminate(p) == 0);
	} else {
		child_fails(mpx_process_join(p, 0), ECHILD);
	}
	child_check(mpx_process_free(p) == 0);
}

static inline int wait_to_be_killed(void *args)
{
	(void)args;
	for (double end = now() + SOON; now() < end;)
		nap();
	return 0;
}

static inline bool children_ignored(void)
{
	struct sigaction sa;
	return sigaction(SIGCHLD, NULL, &sa) == 0 && sa.sa_handler == SIG_IGN;
}

/* One that runs: what can be asked of it is not said too early. */
static inline void try_running_process(void)
{
	int code = -1, fd;
	mpx_process *p;
	if (!got(p, mpx_process_new(.target = wait_to_be_killed)))
		return;
	if (went_well(mpx_process_start(p))) {
		struct pollfd sentinel = {.events = POLLIN};
		went_well(fd = mpx_process_sentinel(p));
		sentinel.fd = fd;
		child_check(fd < 0 || poll_one(&sentinel, 0) == 0);
		child_check(mpx_process_is_alive(p));
		child_fails(mpx_process_join(p, 0.002), ETIMEDOUT);
		child_fails(mpx_process_exitcode(p, &code), EAGAIN);
		child_fails(mpx_process_free(p), EBUSY);
		child_check(mpx_process_kill(p) == 0);
		child_check(mpx_process_join(p, SOON) == 0);
		/* The system keeps no reason of children that are ignored. */
		bool known = mpx_process_exitcode(p, &code) == 0;
		child_check(known ? code == -SIGKILL : errno == ECHILD && children_ignored());
	}
	child_check(mpx_process_free(p) == 0);
}

static inline void try_pool(int processes)
{
	unsigned in[100], out[100];
	mpx_pool *pool;
	mpx_result *r;
	if (!got(pool, mpx_pool_new(.processes = processes)))
		return;
	for (unsigned i = 0; i < 100; i++)
		in[i] = i;
	if (went_well(mpx_pool_map(pool, square, in, out, 100)))
		for (unsigned i = 0; i < 100; i++)
			child_check(out[i] == i * i);
	if (got(r, mpx_pool_apply_async(pool, square, &in[9], 4, 4, NULL))) {
		child_check(mpx_result_get(r, out, SOON) == 0 && out[0] == 81);
		mpx_result_free(r);
	}
	child_check(mpx_pool_close(pool) == 0);
	child_check(mpx_pool_join(pool, SOON) == 0);
	mpx_pool_free(pool);
}

/* A killed holder of a lock, a killed worker. */
static inline void try_deaths(void)
{
	mpx_lock *l;
	mpx_process *p;
	mpx_pool *pool;
	unsigned x = 3, y = 0;
	if (got(l, mpx_lock_new()) && got(p, mpx_process_new(.target = die_with_lock, .args = l))) {
		if (went_well(mpx_process_start(p))) {
			child_check(mpx_process_join(p, SOON) == 0);
			double begin = now();
			child_fails(mpx_lock_acquire(l, SOON), EOWNERDEAD);
			child_check(now() - begin < 5); /* a tenth of a second, it is said */
			child_check(mpx_lock_consistent(l) == 0 && mpx_lock_release(l) == 0);
		}
		child_check(mpx_process_free(p) == 0);
	}
	mpx_lock_free(l);
	if (!got(pool, mpx_pool_new(.processes = 2)))
		return;
	errno = 0;
	child_check(mpx_pool_map_sized(pool, kill_myself, NULL, 0, NULL, 0, 1, NULL) == -1);
	child_check(errno == EOWNERDEAD || refused("a killed worker"));
	if (went_well(mpx_pool_apply(pool, square, &x, &y)))
		child_check(y == 9);
	mpx_pool_free(pool);
}

/* Descriptors, children and blocks of a process that does nothing else. */
struct belongings {
	size_t fds, blocks;
};

static inline struct belongings belongings_now(void)
{
	return (struct belongings){open_fds(), heap_blocks()};
}

static inline void child_left_nothing(struct belongings before)
{
	double end = now() + 5;
	struct belongings after = belongings_now();
	while ((after.fds != before.fds || after.blocks != before.blocks) && now() < end) {
		nap();
		after = belongings_now();
	}
	if (after.fds != before.fds || after.blocks != before.blocks) {
		dprintf(2, "child %d: descriptors %zu, were %zu; blocks %zu, were %zu\n",
			(int)getpid(), after.fds, before.fds, after.blocks, before.blocks);
		_exit(97);
	}
	child_check(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
}

static inline void try_everything(void)
{
	child_check(mpx_current_process() != NULL);
	try_memory();
	try_locks();
	try_values();
	try_queue();
	try_process();
	try_running_process();
	try_pool(2);
	try_deaths();
}

/* Everything works, and nothing is left. */
static inline void child_works(void)
{
	const int *saved = tolerated;
	tolerated = NULL;
	struct belongings before = belongings_now();
	try_everything();
	child_left_nothing(before);
	tolerated = saved;
}

/* What a call may fail with when there are no more processes, memory or descriptors. */
static const int errors_of_limits[] = {EAGAIN, ENOMEM, EMFILE, 0};

/* The soft limit; the one before. */
static inline rlim_t set_limit(int resource, rlim_t n)
{
	struct rlimit limit;
	child_check(getrlimit(resource, &limit) == 0);
	rlim_t old = limit.rlim_cur;
	limit.rlim_cur = n > limit.rlim_max ? limit.rlim_max : n;
	child_check(setrlimit(resource, &limit) == 0);
	return old;
}

#endif
