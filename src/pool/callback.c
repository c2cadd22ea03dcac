/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * callback= and error_callback=, and those of futures. A process keeps a list of the
 * callbacks that are to come, and one thread, from the first of them on, that waits until
 * a result of any is ready. While the list is empty it sleeps where no result wakes it.
 *
 * Those that are due stand in front, in the order in which their results got ready, the others
 * behind them as they were submitted. Only the thread moves what was submitted, or takes it
 * out, and frees its result: so between two looks at the list it may use what it has found
 * there without the lock.
 */
#include "base/private.h"
#include "pool/pool.h"
#include "shm/family.h"
#include "sync/eventcount.h"

#include <errno.h>
#include <mpx/executor.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

struct expected {
	struct expected *next;
	struct mpx_result *job;
	mpx_future_callback *fn; /* NULL: those that it was submitted with */
	void *user;
	bool submitted;
	bool due;   /* its result is ready */
	bool keeps; /* this process has the job kept: mpx__job_keep */
	bool freed; /* or, the user does not want it any more */
};

/* Under mpx__private_lock: */
static struct expected *first, **end = &first;
static _Atomic bool has_thread; /* changes under it */
static _Atomic uint32_t added;	/* eventcount: the list has grown */

/* A child has submitted nothing. The memory of the list is let go. */
static void forget_all(void)
{
	first = NULL;
	end = &first;
	atomic_store(&has_thread, false);
	atomic_store(&added, 0);
}

/* Under the lock: the first of that job. */
static struct expected *find(struct mpx_result *job)
{
	struct expected *e = first;

	while (e && e->job != job)
		e = e->next;
	return e;
}

static void append(struct expected *e)
{
	*end = e;
	end = &e->next;
}

static void take_out(struct expected *e)
{
	struct expected **place = &first;

	while (*place != e)
		place = &(*place)->next;
	*place = e->next;
	if (end == &e->next)
		end = place;
}

static void tell_thread(void)
{
	mpx__event_post(&added, true);
	mpx__event_post(&mpx__family_base->done, true);
}

/* --- the thread -------------------------------------------------------------------- */

static void call(const struct expected *e)
{
	struct mpx_result *job = e->job;
	const mpx_failure *failure = mpx__result_failure(job);

	if (e->fn)
		e->fn(job, e->user);
	else if (failure && job->error_callback)
		job->error_callback(job->user, failure);
	else if (!failure && job->callback)
		job->callback(job->user, job->out, job->n);
}

static void let_go(struct mpx_result *job)
{
	mpx_pool *pool = job->pool;

	if (mpx__pool_lock(pool) == 0) {
		mpx__job_let_go(pool, job);
		mpx__pool_unlock(pool);
	}
}

/* The result may have been freed before: then it goes with the last of its callbacks. */
static void done_with(struct expected *e)
{
	bool last;

	mpx__private_lock();
	take_out(e);
	last = !find(e->job);
	mpx__private_unlock();
	if (last && e->keeps)
		let_go(e->job);
	else if (last && e->freed)
		mpx__result_free(e->job);
	free(e);
}

/* A part of the list, in the order in which the results got ready. */
struct part {
	struct expected *first, *last;
};

/* Behind those that got ready before, or at the same time. */
static void sort_in(struct part *part, struct expected *e)
{
	struct expected **place = &part->first;

	if (part->last && part->last->job->ready_at <= e->job->ready_at)
		place = &part->last->next;
	while (*place && (*place)->job->ready_at <= e->job->ready_at)
		place = &(*place)->next;
	e->next = *place;
	*place = e;
	if (!e->next)
		part->last = e;
}

/* Under the lock: those whose results are ready go from the list to the part. */
static void move_ready(struct part *part)
{
	struct expected **place = &first, *e;

	while ((e = *place)) {
		if (!e->submitted || !atomic_load_explicit(&e->job->ready, memory_order_acquire)) {
			place = &e->next;
			continue;
		}
		*place = e->next;
		if (!e->next)
			end = place;
		e->due = true;
		sort_in(part, e);
	}
}

/* Under the lock, if none was due. What got ready while it was looked for is missed, unless
 * something was found that got so later: then another look finds both. */
static void find_due(void)
{
	struct part part = {NULL, NULL};

	move_ready(&part);
	if (!part.first)
		return;
	move_ready(&part);
	part.last->next = first;
	if (!first)
		end = &part.last->next;
	first = part.first;
}

/* The one whose result got ready first; NULL: none is. */
static struct expected *find_ready(void)
{
	struct expected *e;

	mpx__private_lock();
	if (first && !first->due)
		find_due();
	e = first && first->due ? first : NULL;
	mpx__private_unlock();
	return e;
}

/* The first behind e, or of all, that was submitted. */
static struct expected *next_submitted(struct expected *e)
{
	mpx__private_lock();
	e = e ? e->next : first;
	while (e && !e->submitted)
		e = e->next;
	mpx__private_unlock();
	return e;
}

/* Results whose supervisor was killed get ready. Without the lock: the log hears of that. */
static void find_lost(void)
{
	for (struct expected *e = next_submitted(NULL); e; e = next_submitted(e))
		mpx__result_ready_or_lost(e->job);
}

static bool expects_any(void *unused)
{
	bool any;

	(void)unused;
	mpx__private_lock();
	any = first != NULL;
	mpx__private_unlock();
	return any;
}

static bool any_is_ready(void *unused)
{
	(void)unused;
	return find_ready() != NULL;
}

static void *run(void *unused)
{
	for (;;) {
		struct mpx__slice slice = {0};
		struct expected *e;

		while (!expects_any(unused))
			mpx__event_wait_until(&added, expects_any, NULL, &slice, INT64_MAX);
		slice.length = 0;
		while (!(e = find_ready())) {
			if (slice.length >= MPX__SLICE_MAX)
				find_lost();
			mpx__event_wait_until(&mpx__family_base->done, any_is_ready, NULL, &slice,
					      INT64_MAX);
		}
		call(e);
		done_with(e);
	}
	return NULL;
}

/* Under the lock. Signals are the other threads' business. */
static int start_thread(void)
{
	pthread_attr_t attributes;
	sigset_t all, before;
	pthread_t thread;
	int error;

	if (atomic_load(&has_thread))
		return 0;
	sigfillset(&all);
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&thread, &attributes, run, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	atomic_store(&has_thread, error == 0);
	return error;
}

/* --- for those who submit ------------------------------------------------------------ */

static bool has_callback(const struct mpx_result *job)
{
	return job->callback || job->error_callback;
}

static struct expected *new_expected(struct mpx_result *job)
{
	struct expected *e = calloc(1, sizeof *e);

	if (e)
		e->job = job;
	mpx__private_at_fork(forget_all);
	return e;
}

int mpx__callback_prepare(struct mpx_result *job)
{
	struct expected *e;
	int error;

	if (!has_callback(job))
		return 0;
	e = new_expected(job);
	if (!e)
		return ENOMEM;
	e->keeps = true;
	atomic_store(&job->caller, mpx__self());
	mpx__private_lock();
	error = start_thread();
	if (!error)
		append(e);
	mpx__private_unlock();
	if (error)
		free(e);
	return error;
}

void mpx__callback_expect(struct mpx_result *job)
{
	if (!has_callback(job))
		return;
	mpx__private_lock();
	find(job)->submitted = true;
	mpx__private_unlock();
	tell_thread();
}

void mpx__callback_forget(struct mpx_result *job)
{
	struct expected *e;

	if (!has_callback(job))
		return;
	mpx__private_lock();
	e = find(job);
	take_out(e);
	mpx__private_unlock();
	free(e);
}

static bool keep(struct mpx_result *job)
{
	bool keeps = false;

	if (mpx__pool_lock(job->pool) == 0) {
		keeps = mpx__job_keep(job->pool, job);
		mpx__pool_unlock(job->pool);
	}
	return keeps;
}

/* It is in the list: now the thread may see it. */
static void expect(struct expected *e)
{
	bool keeps = keep(e->job);

	mpx__private_lock();
	e->keeps = keeps;
	e->submitted = true;
	mpx__private_unlock();
	tell_thread();
}

/* Not before those that were added earlier. */
int mpx__callback_add(struct mpx_result *job, mpx_future_callback *fn, void *user)
{
	struct expected *e = new_expected(job);
	bool at_once;
	int error = 0;

	if (!e)
		return ENOMEM;
	e->fn = fn;
	e->user = user;
	mpx__private_lock();
	at_once = atomic_load(&job->ready) && !find(job);
	if (!at_once)
		error = start_thread();
	if (!at_once && !error)
		append(e);
	mpx__private_unlock();
	if (at_once || error)
		free(e);
	if (at_once)
		fn(job, user);
	else if (!error)
		expect(e);
	return error;
}

bool mpx__callback_keeps(struct mpx_result *job)
{
	struct expected *e;
	bool keeps = false;

	if (!atomic_load_explicit(&has_thread, memory_order_relaxed) ||
	    atomic_load(&job->caller) == mpx__self())
		return false;
	mpx__private_lock();
	for (e = first; e; e = e->next)
		if (e->job == job)
			e->freed = keeps = true;
	mpx__private_unlock();
	return keeps;
}
