/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * waiters.h - on top of family.h, for the tests of semaphore, condition, event and
 * barrier: processes that wait, are killed, stopped and disturbed while they do.
 */
#ifndef WAITERS_H
#define WAITERS_H

#include "family.h"

#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>

/* A few hundredths of a second in which others probably fall asleep. */
static inline void linger(void)
{
	for (int i = 0; i < 30; i++)
		nap();
}

static inline void kill_child(pid_t pid)
{
	kill(pid, SIGKILL);
	assert_int_equal(wait_child(pid), -SIGKILL);
}

/* Killed, and not reaped. */
static inline void make_zombie(pid_t pid)
{
	siginfo_t info;
	kill(pid, SIGKILL);
	while (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) < 0)
		assert_int_equal(errno, EINTR);
}

static inline void stop_child(pid_t pid)
{
	int status;
	assert_ok(kill(pid, SIGSTOP));
	while (waitpid(pid, &status, WUNTRACED) < 0)
		assert_int_equal(errno, EINTR);
	assert_true(WIFSTOPPED(status));
}

static inline void continue_child(pid_t pid)
{
	assert_ok(kill(pid, SIGCONT));
}

/* Leaves with 0, and joins: fn(arg) as a thread of this process. */
static inline pthread_t start_thread(void *(*fn)(void *), void *arg)
{
	pthread_t t;
	assert_int_equal(pthread_create(&t, NULL, fn, arg), 0);
	return t;
}

static inline void end_thread(pthread_t t)
{
	assert_int_equal(pthread_join(t, NULL), 0);
}

/* Signals every two milliseconds, without SA_RESTART, from now on; until stopped. */
static volatile sig_atomic_t disturbances;

static inline void on_disturbance(int sig)
{
	(void)sig;
	disturbances = disturbances + 1;
}

static inline void disturb(bool on)
{
	struct sigaction sa = {.sa_handler = on_disturbance};
	struct itimerval every = {{0, on ? 2000 : 0}, {0, on ? 2000 : 0}};
	sigemptyset(&sa.sa_mask);
	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, &every, NULL);
}

/* For children: the call fails with ETIMEDOUT, not before its time. */
#define child_times_out(call, seconds)                                                             \
	do {                                                                                       \
		double begin_ = now();                                                             \
		child_fails(call, ETIMEDOUT);                                                      \
		double took_ = now() - begin_;                                                     \
		child_check(took_ >= (seconds)-1e-6 && took_ < (seconds) + 15);                    \
	} while (0)

/*
 * Everything that is no object of type `self`: other objects, freed ones, bad pointers.
 * After strangers_done the others have been found to be what they were.
 */
struct strangers {
	struct bad_pointers bad;
	void *p[32];
	size_t n;
	mpx_lock *lock;
	mpx_rlock *rlock;
	mpx_semaphore *semaphore;
	mpx_condition *condition;
	mpx_event *event;
	mpx_barrier *barrier;
	mpx_value *value;
	mpx_queue *queue;
};

static inline void strangers_make(struct strangers *s, const char *self, void *good)
{
	memset(s, 0, sizeof *s);
	bad_pointers_make(&s->bad, good);
	for (size_t i = 0; i < s->bad.n; i++)
		s->p[s->n++] = s->bad.p[i];
	s->lock = mpx_lock_new();
	s->rlock = mpx_rlock_new();
	s->semaphore = mpx_semaphore_new(1);
	s->condition = mpx_condition_new(NULL);
	s->event = mpx_event_new();
	s->barrier = mpx_barrier_new(.parties = 1);
	s->value = mpx_value_new('i', 0);
	s->queue = mpx_queue_new();
	struct {
		const char *name;
		void *p;
	} others[] = {
		{"lock", s->lock},
		{"rlock", s->rlock},
		{"semaphore", s->semaphore},
		{"condition", s->condition},
		{"event", s->event},
		{"barrier", s->barrier},
		{"value", s->value},
		{"queue", s->queue},
		{"process", mpx_current_process()},
	};
	for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
		assert_non_null(others[i].p);
		if (strcmp(others[i].name, self) != 0)
			s->p[s->n++] = others[i].p;
	}
}

static inline void strangers_done(struct strangers *s)
{
	assert_ok(mpx_lock_acquire(s->lock, 0));
	assert_ok(mpx_rlock_acquire(s->rlock, 0));
	assert_int_equal(mpx_semaphore_value(s->semaphore), 1);
	assert_ok(mpx_condition_acquire(s->condition, 0));
	assert_ok(mpx_event_set(s->event));
	assert_int_equal(mpx_barrier_wait(s->barrier, 0), 0);
	assert_int_equal(mpx_value_add(s->value, 1), 0);
	assert_int_equal(mpx_queue_qsize(s->queue), 0);
	mpx_lock_free(s->lock);
	mpx_rlock_free(s->rlock);
	mpx_semaphore_free(s->semaphore);
	mpx_condition_free(s->condition);
	mpx_event_free(s->event);
	mpx_barrier_free(s->barrier);
	mpx_value_free(s->value);
	mpx_queue_free(s->queue);
	bad_pointers_done(&s->bad);
}

#endif
