/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * Workers that are threads of the pool's creator. Nobody supervises them: they die only
 * with the process. One that is to be replaced begins its life anew, in the same thread.
 *
 * A thread cannot be ended from outside. So that to free a pool takes a bounded time
 * all the same, the threads that are still in a task then are let go, and the last of
 * them frees the pool.
 */
#include "base/deadline.h"
#include "base/log.h"
#include "base/private.h"
#include "pool/pool.h"
#include "sync/eventcount.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

/* In a chunk word: no peer id has this bit. */
#define THREAD UINT32_C(0x80000000)

struct member {
	mpx_pool *pool;
	int number;
	bool made;  /* to be joined */
	bool ended; /* it takes no time then */
	pthread_t thread;
};

/* Private memory. Under mpx__private_lock, but for what is atomic: */
struct mpx__crew {
	_Atomic int alive;
	_Atomic uint32_t ended;		 /* eventcount: alive shrank */
	_Atomic int failed_initializers; /* in a row */
	bool abandoned;			 /* the last one frees the pool */
	struct member member[];
};

/* --- a thread -------------------------------------------------------------------------- */

static bool is_needed(mpx_pool *pool, int number)
{
	uint32_t state = atomic_load(&pool->state);

	return number < atomic_load(&pool->workers) &&
	       (state == MPX__POOL_OPEN ||
		(state == MPX__POOL_CLOSED && atomic_load(&pool->pending)));
}

static void free_all(mpx_pool *pool)
{
	free(pool->crew);
	mpx__pool_destroy(pool);
}

/* False: it has just become needed again. */
static bool leave(mpx_pool *pool, struct member *m)
{
	struct mpx__crew *crew = pool->crew;
	bool last;

	mpx__private_lock();
	if (is_needed(pool, m->number)) {
		mpx__private_unlock();
		return false;
	}
	m->ended = true;
	atomic_store(&pool->worker[m->number].id, 0);
	last = atomic_fetch_sub(&crew->alive, 1) == 1 && crew->abandoned;
	mpx__event_post(&crew->ended, true);
	mpx__private_unlock();
	if (last)
		free_all(pool);
	return true;
}

static void live(mpx_pool *pool, int number)
{
	struct mpx__crew *crew = pool->crew;
	struct mpx__worker *w = &pool->worker[number];
	int error;

	atomic_store(&w->initialized, 0);
	error = mpx__worker_live(pool, number, THREAD | (uint32_t)number, 0);
	if (!error)
		atomic_store(&crew->failed_initializers, 0);
	else if (atomic_fetch_add(&crew->failed_initializers, 1) + 1 >= pool->budget)
		mpx__pool_terminate(pool, error, "the pool's initializer failed again and again");
}

static void *run(void *arg)
{
	struct member *m = arg;
	mpx_pool *pool = m->pool;

	do
		live(pool, m->number);
	while (is_needed(pool, m->number) || !leave(pool, m));
	return NULL;
}

/* --- for its creator --------------------------------------------------------------------- */

/* Under the lock. 0 or an errno value. */
static int add(struct mpx__crew *crew, mpx_pool *pool, int number)
{
	struct member *m = &crew->member[number];
	int error;

	if (m->made && !m->ended)
		return 0;
	if (m->made)
		pthread_join(m->thread, NULL);
	m->pool = pool;
	m->number = number;
	m->ended = false;
	if (number >= atomic_load(&pool->used))
		atomic_store(&pool->used, number + 1);
	atomic_store(&pool->worker[number].id, pool->creator);
	atomic_fetch_add(&crew->alive, 1);
	error = pthread_create(&m->thread, NULL, run, m);
	if (error) {
		atomic_fetch_sub(&crew->alive, 1);
		atomic_store(&pool->worker[number].id, 0);
	}
	m->made = !error;
	return error;
}

int mpx__crew_fill(mpx_pool *pool)
{
	int error = 0;

	mpx__private_lock();
	for (int i = 0; i < pool->workers && !error; i++)
		error = add(pool->crew, pool, i);
	mpx__private_unlock();
	return error;
}

int mpx__crew_start(mpx_pool *pool)
{
	size_t size = sizeof(struct mpx__crew) + (size_t)pool->room * sizeof(struct member);
	int error;

	pool->crew = calloc(1, size);
	if (!pool->crew)
		return ENOMEM;
	if (pool->trace)
		mpx__trace_rows(pool);
	error = mpx__crew_fill(pool);
	if (!error)
		return 0;
	mpx__pool_terminate(pool, ECANCELED, "the pool could not be started");
	mpx__crew_join(pool, INT64_MAX); /* they are idle, or in the initializer */
	free(pool->crew);
	return error;
}

static bool all_ended(void *arg)
{
	struct mpx__crew *crew = arg;

	return atomic_load(&crew->alive) == 0;
}

/* Threads that have ended, or that nobody will wait for. */
static void reap(mpx_pool *pool, bool wait)
{
	mpx__private_lock();
	for (int i = 0; i < pool->used; i++) {
		struct member *m = &pool->crew->member[i];

		if (m->made && wait)
			pthread_join(m->thread, NULL);
		else if (m->made)
			pthread_detach(m->thread);
		m->made = false;
	}
	mpx__private_unlock();
}

int mpx__crew_join(mpx_pool *pool, int64_t deadline)
{
	struct mpx__slice slice = {0};

	if (!pool->crew) {
		mpx__serial_end(pool);
		return 0;
	}
	while (!all_ended(pool->crew)) {
		if (mpx__passed(deadline))
			return ETIMEDOUT;
		mpx__event_wait_until(&pool->crew->ended, all_ended, pool->crew, &slice, deadline);
	}
	reap(pool, true);
	return 0;
}

void mpx__crew_free(mpx_pool *pool)
{
	struct mpx__crew *crew = pool->crew;
	bool busy;

	if (!crew) {
		mpx__pool_destroy(pool);
		return;
	}
	mpx__private_lock();
	busy = atomic_load(&crew->alive) > 0;
	crew->abandoned = busy;
	if (busy)
		reap(pool, false);
	mpx__private_unlock();
	if (busy)
		mpx_log(MPX_LOG_WARNING, "a pool's threads are still in a task: they are let go");
	else
		free_all(pool);
}
