/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * locks.h - on top of harness.h, for the tests of both kinds of lock.
 */
#ifndef LOCKS_H
#define LOCKS_H

#include "harness.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

#define WORKERS 4

/* Both kinds of lock behind one set of calls, for what they have in common. */
struct kind {
	const char *name;
	void *(*make)(void);
	int (*acquire)(void *, double);
	int (*release)(void *);
	int (*consistent)(void *);
	bool (*locked)(void *);
	void (*free)(void *);
};

#define KIND(k)                                                                                    \
	static inline void *k##_make(void)                                                         \
	{                                                                                          \
		return mpx_##k##_new();                                                            \
	}                                                                                          \
	static inline int k##_acquire(void *l, double timeout)                                     \
	{                                                                                          \
		return mpx_##k##_acquire(l, timeout);                                              \
	}                                                                                          \
	static inline int k##_release(void *l)                                                     \
	{                                                                                          \
		return mpx_##k##_release(l);                                                       \
	}                                                                                          \
	static inline int k##_consistent(void *l)                                                  \
	{                                                                                          \
		return mpx_##k##_consistent(l);                                                    \
	}                                                                                          \
	static inline bool k##_locked(void *l)                                                     \
	{                                                                                          \
		return mpx_##k##_locked(l);                                                        \
	}                                                                                          \
	static inline void k##_free(void *l)                                                       \
	{                                                                                          \
		mpx_##k##_free(l);                                                                 \
	}                                                                                          \
	static const struct kind k##_kind = {                                                      \
		#k, k##_make, k##_acquire, k##_release, k##_consistent, k##_locked, k##_free}

KIND(lock);
KIND(rlock);

/* What the processes of one test share; in the family's heap. */
struct shared {
	const struct kind *kind;
	void *lock;
	long counter; /* guarded by the lock */
	long first, second;
	_Atomic int inside;  /* the pid that is inside; 0 if none */
	_Atomic int ready;   /* how many have reached the point in question */
	_Atomic int go;	     /* set by the test */
	_Atomic int dead;    /* how many were told of a dead holder */
	_Atomic int served;  /* how many got the lock */
	_Atomic int signals; /* how many signals came */
	_Atomic(void *) mailbox;
	mpx_queue *queue;
	double timeout;
};

static inline struct shared *share(const struct kind *kind)
{
	struct shared *s = mpx_calloc(1, sizeof *s);
	assert_non_null(s);
	s->kind = kind;
	s->lock = kind->make();
	assert_non_null(s->lock);
	return s;
}

static inline void done_with(struct shared *s)
{
	s->kind->free(s->lock);
	mpx_free(s);
}

static inline int acquire(struct shared *s, double timeout)
{
	return s->kind->acquire(s->lock, timeout);
}

static inline int release(struct shared *s)
{
	return s->kind->release(s->lock);
}

static inline void on_thread(void *(*fn)(void *), void *arg)
{
	pthread_t t;
	assert_int_equal(pthread_create(&t, NULL, fn, arg), 0);
	assert_int_equal(pthread_join(t, NULL), 0);
}

/* Waits for a child's end without reaping it. */
static inline void await_zombie(pid_t pid)
{
	siginfo_t info;
	while (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) < 0)
		assert_int_equal(errno, EINTR);
}

static inline void kill_child(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(wait_child(pid), -SIGKILL);
}

/* A few hundredths of a second in which others probably fall asleep. */
static inline void linger(void)
{
	for (int i = 0; i < 30; i++)
		nap();
}

#endif
