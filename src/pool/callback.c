/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * callback= and error_callback=. The process that submits keeps a list of the results
 * whose callbacks are to come, and one thread, from the first of them on, that waits
 * until any is ready. While the list is empty it sleeps where no result wakes it.
 */
#include "base/private.h"
#include "pool/pool.h"
#include "shm/family.h"
#include "sync/eventcount.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

struct expected {
	struct expected *next;
	struct mpx_result *job;
	bool submitted;
	bool freed; /* the user does not want it any more */
};

/* Under mpx__private_lock: */
static struct expected *first;
static bool has_thread;
static _Atomic uint32_t added; /* eventcount: the list has grown */

/* A child has submitted nothing. The memory of the list is let go. */
static void forget_all(void)
{
	first = NULL;
	has_thread = false;
	atomic_store(&added, 0);
}

static struct expected **find(struct mpx_result *job)
{
	struct expected **place = &first;

	while (*place && (*place)->job != job)
		place = &(*place)->next;
	return place;
}

/* --- the thread -------------------------------------------------------------------- */

static void call(struct mpx_result *job)
{
	const mpx_failure *failure = mpx__result_failure(job);

	if (failure && job->error_callback)
		job->error_callback(job->user, failure);
	else if (!failure && job->callback)
		job->callback(job->user, job->out, job->n);
}

/* The user may have freed it before, or does so from now on. */
static void done_with(struct mpx_result *job)
{
	struct expected **place, *e;
	bool freed;

	mpx__private_lock();
	place = find(job);
	e = *place;
	*place = e->next;
	freed = e->freed;
	mpx__private_unlock();
	free(e);
	if (freed)
		mpx__result_free(job);
}

/* The first that is ready; NULL: none is. */
static struct mpx_result *find_ready(void)
{
	struct mpx_result *job = NULL;

	mpx__private_lock();
	for (struct expected *e = first; e && !job; e = e->next)
		if (e->submitted && mpx__result_ready_or_lost(e->job))
			job = e->job;
	mpx__private_unlock();
	return job;
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
		struct mpx_result *job;

		while (!expects_any(unused))
			mpx__event_wait_until(&added, expects_any, NULL, &slice, INT64_MAX);
		while (!(job = find_ready()))
			mpx__event_wait_until(&mpx__family_base->done, any_is_ready, NULL, &slice,
					      INT64_MAX);
		call(job);
		done_with(job);
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

	if (has_thread)
		return 0;
	sigfillset(&all);
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&thread, &attributes, run, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attributes);
	has_thread = error == 0;
	return error;
}

/* --- for those who submit ------------------------------------------------------------ */

static bool has_callback(const struct mpx_result *job)
{
	return job->callback || job->error_callback;
}

int mpx__callback_prepare(struct mpx_result *job)
{
	struct expected *e;
	int error;

	if (!has_callback(job))
		return 0;
	e = calloc(1, sizeof *e);
	if (!e)
		return ENOMEM;
	e->job = job;
	mpx__private_at_fork(forget_all);
	mpx__private_lock();
	error = start_thread();
	if (!error)
		*find(NULL) = e;
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
	(*find(job))->submitted = true;
	mpx__private_unlock();
	mpx__event_post(&added, true);
	mpx__event_post(&mpx__family_base->done, true);
}

void mpx__callback_forget(struct mpx_result *job)
{
	struct expected **place, *e;

	if (!has_callback(job))
		return;
	mpx__private_lock();
	place = find(job);
	e = *place;
	*place = e->next;
	mpx__private_unlock();
	free(e);
}

bool mpx__callback_keeps(struct mpx_result *job)
{
	struct expected *e;

	if (!has_callback(job))
		return false;
	mpx__private_lock();
	e = *find(job);
	if (e)
		e->freed = true;
	mpx__private_unlock();
	return e != NULL;
}
