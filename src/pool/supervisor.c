/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * The supervisor: a process with one thread and nothing to do but to look after the
 * workers. It forks them, learns of their deaths by SIGCHLD, says what a death
 * means for the job, replaces the dead, ends everything when told to or when the
 * pool's creator has died. It never runs the user's code, but for a sink of the log.
 *
 * If it dies itself, its workers die with it (child.h), and whoever waits for the
 * pool notices: mpx__pool_supervisor_died.
 */
#include "base/deadline.h"
#include "base/log.h"
#include "pool/pool.h"
#include "process/process.h"
#include "shm/family.h"
#include "sync/eventcount.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Nanoseconds from terminate: idle workers have ended by TERM_AFTER, busy ones get
 * SIGTERM then, and SIGKILL at KILL_AFTER. */
#define TERM_AFTER INT64_C(50000000)
#define KILL_AFTER INT64_C(1050000000)
/* Nothing depends on it but what cannot be told otherwise: without a descriptor that
 * tells of the creator's death, that it is alive. */
#define TICK INT64_C(250000000)
#define SLOW_TICK INT64_C(1000000000)
/* From SIGTERM to SIGKILL, for one worker. */
#define GRACE INT64_C(1000000000)
/* How often the memory of workers is looked at while they work. */
#define MEMORY_TICK INT64_C(20000000)

struct supervisor {
	mpx_pool *pool;
	pid_t creator;
	sigset_t creators_mask;
	struct mpx__child **child; /* [room]; NULL: none at the moment */
	int64_t *kill_at;	   /* [room]; 0, or it got SIGTERM and gets SIGKILL then */
	int failed_initializers;   /* in a row */
	int alive;
	bool filled;	  /* once */
	int64_t spawn_at; /* after a failed fork: not before */
	int64_t look_at;  /* the next look at the workers' memory: not before */
	int64_t guests_look_at;
	int64_t terminated_at;
	int signalled; /* of the ladder's signals */
	int creator_watch;
};

static int wake_pipe[2]; /* a byte for each SIGCHLD, by the kernel or mpx__pool_wake */

static void on_sigchld(int signal)
{
	int saved = errno;

	(void)signal;
	if (write(wake_pipe[1], "", 1) < 0)
		errno = saved; /* full: that wakes as well */
	errno = saved;
}

/* --- workers --------------------------------------------------------------------------- */

struct order {
	struct supervisor *s;
	int number;
};

static int run_worker(void *arg)
{
	struct order *order = arg;
	struct supervisor *s = order->s;
	int number = order->number;

	close(wake_pipe[0]);
	close(wake_pipe[1]);
	if (s->creator_watch >= 0)
		close(s->creator_watch);
	pthread_sigmask(SIG_SETMASK, &s->creators_mask, NULL);
	atomic_store(&s->pool->worker[number].id, mpx__self()); /* if the supervisor cannot any more */
	return mpx__worker_main(s->pool, number);
}

static int spawn(struct supervisor *s, int i)
{
	struct order order = {s, i};
	struct mpx__worker *w = &s->pool->worker[i];
	struct mpx__child *c = mpx__child_new();
	int error;

	if (!c)
		return ENOMEM;
	atomic_store(&w->initialized, 0);
	atomic_store(&w->init_error, 0);
	atomic_store(&w->condemned, 0);
	atomic_store(&w->expires, 0);
	atomic_store(&w->memory, -1);
	atomic_store(&w->retired, 0);
	if (i >= atomic_load(&s->pool->used))
		atomic_store(&s->pool->used, i + 1);
	s->kill_at[i] = 0;
	error = mpx__child_start(c, run_worker, &order, false);
	if (error) {
		mpx__child_free(c);
		return error;
	}
	s->child[i] = c;
	atomic_store(&w->id, c->id);
	s->alive++;
	if (s->pool->trace && s->filled)
		mpx__trace_moment(s->pool, MPX__TRACE_START, w, c->pid, "worker began");
	mpx_log(MPX_LOG_DEBUG, "added worker PoolWorker-%d, pid %d", i + 1, (int)c->pid);
	return 0;
}

static void give_up(struct supervisor *s, int error)
{
	mpx__pool_terminate(s->pool, error, "the pool's initializer failed again and again");
}

/* Why it had to end; 0: it did not. The soft signal may have been enough. */
static uint32_t reason_of(struct mpx__worker *w)
{
	uint32_t condemned = atomic_load(&w->condemned);

	if (!condemned && atomic_load(&w->expires) & MPX__EXPIRED)
		return ETIMEDOUT;
	return condemned;
}

static mpx_failure describe(const struct mpx__child *c, uint32_t reason)
{
	mpx_failure how = {.pid = c->pid, .error = EOWNERDEAD, .exit_status = -1};

	if (c->known && c->status >= 0)
		how.exit_status = c->status;
	else if (c->known)
		how.signal = -c->status;
	if (reason == ETIMEDOUT) {
		how.error = ETIMEDOUT;
		snprintf(how.message, sizeof how.message, "ran longer than its timeout");
	} else if (reason == ENOMEM) {
		how.error = ENOMEM;
		snprintf(how.message, sizeof how.message, "worker was over its memory limit");
	} else {
		snprintf(how.message, sizeof how.message,
			 how.signal ? "worker was killed by signal %d"
				    : "worker ended with exit status %d",
			 how.signal ? how.signal : how.exit_status);
	}
	return how;
}

/* A worker whose end is no news is one that has exited with 0. */
static void tell_end(int i, const mpx_failure *how, bool again)
{
	mpx_log(how->exit_status == 0 ? MPX_LOG_DEBUG : MPX_LOG_INFO,
		"PoolWorker-%d (pid %d): %s%s", i + 1, (int)how->pid, how->message,
		again ? "; its item is tried again" : "");
}

/* Does it take the pool with it? */
static bool breaks(const mpx_pool *pool, struct mpx__worker *w, const mpx_failure *how)
{
	return pool->break_on_death && atomic_load(&w->initialized) && !reason_of(w) &&
	       (atomic_load(&w->job) || how->exit_status != 0) &&
	       atomic_load(&pool->state) != MPX__POOL_TERMINATED;
}

static void bury(struct supervisor *s, int i)
{
	struct mpx__worker *w = &s->pool->worker[i];
	struct mpx__child *c = s->child[i];
	mpx_failure how = describe(c, reason_of(w));
	int init_error = (int)atomic_load(&w->init_error);
	bool again = false, break_it = breaks(s->pool, w, &how);

	if (mpx__pool_lock(s->pool) == 0) {
		if (s->pool->trace)
			mpx__trace_death(s->pool, w, &how);
		again = mpx__job_worker_died(s->pool, w, c->id, &how);
		mpx__pool_unlock(s->pool);
	}
	if (break_it)
		mpx__pool_terminate(s->pool, EOWNERDEAD, "a worker died, which breaks this pool");
	tell_end(i, &how, again);
	atomic_store(&w->id, 0);
	mpx__child_free(c);
	s->child[i] = NULL;
	s->alive--;
	if (atomic_load(&w->initialized))
		s->failed_initializers = 0;
	else if (++s->failed_initializers >= s->pool->budget)
		give_up(s, init_error ? init_error : EOWNERDEAD);
}

static void reap(struct supervisor *s)
{
	for (int i = 0; i < s->pool->used; i++)
		if (s->child[i] && mpx__child_poll(s->child[i]))
			bury(s, i);
}

static bool needs_workers(struct supervisor *s)
{
	uint32_t state = atomic_load(&s->pool->state);
	bool pending;

	if (state != MPX__POOL_CLOSED)
		return state == MPX__POOL_OPEN;
	if (mpx__pool_lock(s->pool) != 0)
		return false;
	pending = mpx__job_first(s->pool) != NULL;
	mpx__pool_unlock(s->pool);
	return pending;
}

/* Of those that have retired, so many are needed: for chunks that wait, and that no idle
 * worker is about to take. */
static int count_recalled(struct supervisor *s)
{
	int wanted = atomic_load(&s->pool->workers), n, retired = 0;

	if (!atomic_load(&s->pool->missing) || mpx__pool_lock(s->pool) != 0)
		return 0;
	n = (int)mpx__job_waiting(s->pool, (size_t)wanted);
	for (int i = 0; i < wanted; i++) {
		struct mpx__worker *w = &s->pool->worker[i];

		if (atomic_load(&w->retired))
			retired++;
		else if (s->child[i] && !atomic_load(&w->job) && n > 0)
			n--;
	}
	if (!retired)
		atomic_store(&s->pool->missing, 0);
	mpx__pool_unlock(s->pool);
	return n;
}

static bool is_full(struct supervisor *s)
{
	int wanted = atomic_load(&s->pool->workers);

	for (int i = 0; i < wanted; i++)
		if (!s->child[i])
			return false;
	return true;
}

/* 0, or why not all that are needed could be forked. */
static int fill_up(struct supervisor *s)
{
	int wanted = atomic_load(&s->pool->workers), recalled, error = 0;

	if (is_full(s) || !needs_workers(s))
		return 0;
	recalled = count_recalled(s);
	for (int i = 0; i < wanted && !error; i++)
		if (!s->child[i] && (!atomic_load(&s->pool->worker[i].retired) || recalled-- > 0))
			error = spawn(s, i);
	s->spawn_at = error ? mpx__os_now() + 100000000 : 0;
	return error;
}

static void signal_all(struct supervisor *s, int signal)
{
	for (int i = 0; i < s->pool->used; i++)
		if (s->child[i])
			mpx__child_signal(s->child[i], signal);
}

/* --- ending single workers ---------------------------------------------------------------- */

/* When the item has run too long, or longer than the soft signal was given time for. */
static int64_t late_at(uint64_t expires)
{
	if (!expires || (expires & (MPX__EXPIRED | MPX__WARNED)) == MPX__EXPIRED)
		return INT64_MAX;
	return (int64_t)(expires & ~(MPX__EXPIRED | MPX__WARNED));
}

/* The worker is in its item, or waits, until we say that the signal has been sent: so no
 * other item gets it. */
static void send_soft_signal(struct supervisor *s, int i, const struct mpx_result *job)
{
	struct mpx__worker *w = &s->pool->worker[i];
	int64_t end;

	if (s->pool->trace)
		mpx__trace_moment(s->pool, MPX__TRACE_LATE, w, s->child[i]->pid, "soft signal");
	mpx_log(MPX_LOG_INFO, "PoolWorker-%d gets signal %d: its task ran longer than its timeout",
		i + 1, job->soft_signal);
	mpx__child_signal(s->child[i], job->soft_signal);
	end = job->grace ? mpx__os_now() + job->grace : INT64_MAX;
	atomic_store(&w->expires, (uint64_t)end | MPX__EXPIRED | MPX__WARNED);
}

/* An item that has run too long: the soft signal, if its job has one. Otherwise, and if that
 * did not help, the worker is condemned. */
static void end_late(struct supervisor *s, int i, int64_t now)
{
	struct mpx__worker *w = &s->pool->worker[i];
	uint64_t expires = atomic_load(&w->expires);
	const struct mpx_result *job;
	uint32_t none = 0;

	if (now < late_at(expires) ||
	    !atomic_compare_exchange_strong(&w->expires, &expires,
					    (expires & ~MPX__WARNED) | MPX__EXPIRED))
		return;
	job = atomic_load(&w->job);
	if (job->soft_signal && !(expires & MPX__EXPIRED) && !atomic_load(&w->condemned))
		send_soft_signal(s, i, job);
	else
		atomic_compare_exchange_strong(&w->condemned, &none, ETIMEDOUT);
}

static void condemn_the_big(struct supervisor *s)
{
	int64_t now = mpx__os_now();

	if (!s->pool->memory_limit || now < s->look_at)
		return;
	s->look_at = now + MEMORY_TICK;
	for (int i = 0; i < s->pool->used; i++) {
		struct mpx__worker *w = &s->pool->worker[i];

		if (!s->child[i] || !mpx__worker_is_too_big(s->pool, w, s->child[i]->pid) ||
		    mpx__pool_lock(s->pool) != 0)
			continue;
		if (!atomic_load(&w->condemned))
			atomic_store(&w->condemned, ENOMEM);
		mpx__pool_unlock(s->pool);
	}
}

static const char *tell_why(uint32_t condemned)
{
	return condemned == ETIMEDOUT ? "its task ran longer than its timeout"
	       : condemned == ENOMEM  ? "it is over its memory limit"
				      : "its task was cancelled";
}

/* Who is over its memory limit gets no time to take more. */
static int64_t grace_of(uint32_t condemned)
{
	return condemned == ENOMEM ? 0 : GRACE;
}

static void trace_end(struct supervisor *s, int i)
{
	bool late = atomic_load(&s->pool->worker[i].condemned) == ETIMEDOUT;

	if (s->pool->trace)
		mpx__trace_moment(s->pool, late ? MPX__TRACE_LATE : MPX__TRACE_CANCELLED,
				  &s->pool->worker[i], s->child[i]->pid, "SIGTERM");
}

static void end_condemned(struct supervisor *s)
{
	int64_t now = mpx__os_now();

	condemn_the_big(s);
	for (int i = 0; i < s->pool->used; i++) {
		struct mpx__worker *w = &s->pool->worker[i];
		uint32_t condemned;

		if (!s->child[i])
			continue;
		end_late(s, i, now);
		condemned = atomic_load(&w->condemned);
		if (!condemned)
			continue;
		if (!s->kill_at[i] && grace_of(condemned)) {
			mpx__child_signal(s->child[i], SIGTERM);
			s->kill_at[i] = now + GRACE;
			trace_end(s, i);
			mpx_log(MPX_LOG_INFO, "PoolWorker-%d gets SIGTERM: %s", i + 1,
				tell_why(condemned));
		} else if (now >= s->kill_at[i]) {
			mpx__child_signal(s->child[i], SIGKILL);
			s->kill_at[i] = INT64_MAX;
			mpx_log(MPX_LOG_INFO, "PoolWorker-%d gets SIGKILL: %s", i + 1,
				tell_why(condemned));
		}
	}
}

/* When the next worker has to be looked at. While there is work, an item with the
 * least timeout may begin at any moment: first look at what is pending, then at who
 * has taken it. */
static int64_t next_end(struct supervisor *s)
{
	int64_t next = INT64_MAX, least = atomic_load(&s->pool->least_timeout);
	bool work = atomic_load(&s->pool->pending) != NULL;

	for (int i = 0; i < s->pool->used; i++) {
		struct mpx__worker *w = &s->pool->worker[i];
		int64_t late;

		if (!s->child[i])
			continue;
		if (s->kill_at[i] && s->kill_at[i] < next)
			next = s->kill_at[i];
		late = late_at(atomic_load(&w->expires));
		if (late < next)
			next = late;
		work = work || atomic_load(&w->job);
	}
	if (least && work && mpx__os_now() + least < next)
		next = mpx__os_now() + least;
	if (s->pool->memory_limit && work && s->look_at < next)
		next = s->look_at;
	return next;
}

/* --- waiting ------------------------------------------------------------------------------ */

/* The next thing that has to be done at a time of its own. */
static int64_t next_deadline(struct supervisor *s)
{
	int64_t next = mpx__os_now() + (s->creator_watch < 0 ? TICK : SLOW_TICK);

	if (s->spawn_at && s->spawn_at < next)
		next = s->spawn_at;
	if (next_end(s) < next)
		next = next_end(s);
	if (s->terminated_at && s->signalled < 2) {
		int64_t rung = s->terminated_at + (s->signalled ? KILL_AFTER : TERM_AFTER);

		next = rung < next ? rung : next;
	}
	return next;
}

static void wait_for_news(struct supervisor *s)
{
	struct pollfd fds[2] = {{.fd = wake_pipe[0], .events = POLLIN},
				{.fd = s->creator_watch, .events = POLLIN}};
	int64_t left = next_deadline(s) - mpx__os_now();
	char bytes[64];

	poll(fds, 2, left <= 0 ? 0 : (int)(left / 1000000 + 1));
	while (read(wake_pipe[0], bytes, sizeof bytes) == sizeof bytes)
		;
}

static void climb_ladder(struct supervisor *s)
{
	int64_t now = mpx__os_now();

	if (!s->terminated_at)
		s->terminated_at = now;
	if (s->signalled == 0 && now >= s->terminated_at + TERM_AFTER) {
		signal_all(s, SIGTERM);
		s->signalled = 1;
	}
	if (s->signalled == 1 && now >= s->terminated_at + KILL_AFTER) {
		signal_all(s, SIGKILL);
		s->signalled = 2;
	}
}

static void supervise(struct supervisor *s)
{
	for (;;) {
		reap(s);
		if (getppid() != s->creator) {
			signal_all(s, SIGKILL);
			_exit(0);
		}
		if (!s->spawn_at || mpx__os_now() >= s->spawn_at)
			fill_up(s);
		if (atomic_load(&s->pool->state) == MPX__POOL_TERMINATED)
			climb_ladder(s);
		end_condemned(s);
		mpx__guests_look(s->pool, &s->guests_look_at);
		if (s->pool->trace)
			mpx__trace_tick(s->pool);
		if (s->alive == 0 && atomic_load(&s->pool->state) != MPX__POOL_OPEN &&
		    !needs_workers(s))
			return;
		wait_for_news(s);
	}
}

/* --- beginning and end ------------------------------------------------------------------------ */

/* Nothing reaches the supervisor but SIGCHLD, and what cannot be kept out. */
static void set_up_signals(struct supervisor *s)
{
	struct sigaction action;
	sigset_t mask;

	memset(&action, 0, sizeof action);
	action.sa_handler = on_sigchld;
	action.sa_flags = SA_RESTART | SA_NOCLDSTOP;
	sigaction(SIGCHLD, &action, NULL);
	sigfillset(&mask);
	sigdelset(&mask, SIGCHLD);
	sigdelset(&mask, SIGIO); /* the parent's death, on some systems */
	pthread_sigmask(SIG_SETMASK, &mask, &s->creators_mask);
}

static int set_up(struct supervisor *s, mpx_pool *pool)
{
	int error;

	s->pool = pool;
	s->creator = getppid();
	s->creator_watch = mpx__os_watch(s->creator);
	s->child = calloc((size_t)pool->room, sizeof *s->child);
	s->kill_at = calloc((size_t)pool->room, sizeof *s->kill_at);
	if (!s->child || !s->kill_at || mpx__os_socketpair(wake_pipe) != 0)
		return errno;
	fcntl(wake_pipe[0], F_SETFL, O_NONBLOCK);
	fcntl(wake_pipe[1], F_SETFL, O_NONBLOCK);
	set_up_signals(s);
	if (pool->trace)
		mpx__trace_rows(pool);
	error = fill_up(s);
	s->filled = true;
	return error;
}

int mpx__supervisor_main(void *arg)
{
	mpx_pool *pool = arg;
	struct supervisor s = {0};
	int error;

	mpx__process_become("PoolSupervisor", 1, pool->creator);
	atomic_store(&pool->supervisor_id, mpx__self());
	error = set_up(&s, pool);
	if (error)
		mpx__pool_terminate(pool, ECANCELED, "the pool could not be started");
	atomic_store(&pool->started, error ? 2 + (uint32_t)error : 1);
	mpx__event_post(&pool->start_event, true);
	if (error)
		signal_all(&s, SIGKILL);
	if (s.child && s.kill_at)
		supervise(&s);
	free(s.kill_at);
	free(s.child);
	return 0;
}
