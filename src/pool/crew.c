/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * Workers that are threads of the pool's creator. Nobody supervises them: they die only
 * with the process. One that is to be replaced begins its life anew, in the same thread.
 *
 * A thread cannot be ended from outside. So that to free a pool takes a bounded time
 * all the same, the threads that are still in a task then are let go, and the last of
 * them frees the pool.
 *
 * A thread has ended when the destructors of what the program keeps in it have run: they
 * may take as long as a task, and call anything. What is left then takes no time; so only
 * those that have ended are joined.
 */
#include "base/deadline.h"
#include "base/log.h"
#include "base/private.h"
#include "pool/pool.h"
#include "sync/eventcount.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>

/* In a chunk word: no peer id has this bit. */
#define THREAD UINT32_C(0x80000000)

struct member {
	struct member *next; /* of those that have ended */
	mpx_pool *pool;
	int number;
	int rounds; /* of destructors, so far */
	pthread_t thread;
};

/* Private memory. Under mpx__private_lock, but for what is atomic: */
struct mpx__crew {
	_Atomic int alive;		 /* members that have not ended */
	_Atomic uint32_t ended;		 /* eventcount: alive shrank */
	_Atomic int failed_initializers; /* in a row */
	bool abandoned;			 /* nobody joins them, the last one frees the pool */
	struct member *to_join;		 /* have ended */
	struct member *member[];	 /* by number; NULL: none, or it has left */
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

/* False: it has just become needed again. From now on another may have its number. */
static bool leave(mpx_pool *pool, struct member *m)
{
	bool needed;

	mpx__private_lock();
	needed = is_needed(pool, m->number);
	if (!needed) {
		pool->crew->member[m->number] = NULL;
		atomic_store(&pool->worker[m->number].id, 0);
	}
	mpx__private_unlock();
	return !needed;
}

static void end(struct member *m)
{
	mpx_pool *pool = m->pool;
	struct mpx__crew *crew = pool->crew;
	bool abandoned, last;

	mpx__private_lock();
	abandoned = crew->abandoned;
	if (!abandoned) {
		m->next = crew->to_join;
		crew->to_join = m;
	}
	last = atomic_fetch_sub(&crew->alive, 1) == 1;
	mpx__event_post(&crew->ended, true);
	mpx__private_unlock();
	if (!abandoned)
		return;
	pthread_detach(pthread_self());
	free(m);
	if (last)
		free_all(pool);
}

static pthread_key_t key;
static int key_error;

/* By the thread when it has nothing more to do, then as the key's destructor: the program's
 * come before. Not in their last round: there the sanitizers' let go of the thread, and none
 * of ours may run after them. */
static void end_late(void *arg)
{
	struct member *m = arg;

	if (m->rounds++ == PTHREAD_DESTRUCTOR_ITERATIONS - 1 || pthread_setspecific(key, m) != 0)
		end(m);
}

static void make_key(void)
{
	key_error = pthread_key_create(&key, end_late);
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
	end_late(m);
	return NULL;
}

/* --- for its creator --------------------------------------------------------------------- */

/* Under the lock. 0 or an errno value. */
static int add(struct mpx__crew *crew, mpx_pool *pool, int number)
{
	struct member *m;
	int error;

	if (crew->member[number])
		return 0;
	m = calloc(1, sizeof *m);
	if (!m)
		return EAGAIN;
	m->pool = pool;
	m->number = number;
	if (number >= atomic_load(&pool->used))
		atomic_store(&pool->used, number + 1);
	atomic_store(&pool->worker[number].id, pool->creator);
	atomic_fetch_add(&crew->alive, 1);
	error = pthread_create(&m->thread, NULL, run, m);
	if (error) {
		atomic_fetch_sub(&crew->alive, 1);
		atomic_store(&pool->worker[number].id, 0);
		free(m);
		return error;
	}
	crew->member[number] = m;
	return 0;
}

/* Under the lock. */
static struct member *take_ended(struct mpx__crew *crew)
{
	struct member *first = crew->to_join;

	crew->to_join = NULL;
	return first;
}

static void join_all(struct member *m)
{
	while (m) {
		struct member *next = m->next;

		pthread_join(m->thread, NULL);
		free(m);
		m = next;
	}
}

static void reap(struct mpx__crew *crew)
{
	struct member *ended;

	mpx__private_lock();
	ended = take_ended(crew);
	mpx__private_unlock();
	join_all(ended);
}

int mpx__crew_fill(mpx_pool *pool)
{
	int error = 0;

	reap(pool->crew);
	mpx__private_lock();
	for (int i = 0; i < pool->workers && !error; i++)
		error = add(pool->crew, pool, i);
	mpx__private_unlock();
	return error;
}

int mpx__crew_start(mpx_pool *pool)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	size_t size = sizeof(struct mpx__crew) + (size_t)pool->room * sizeof(struct member *);
	int error;

	pthread_once(&once, make_key);
	if (key_error)
		return key_error;
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
	reap(pool->crew);
	return 0;
}

void mpx__crew_free(mpx_pool *pool)
{
	struct mpx__crew *crew = pool->crew;
	struct member *ended;
	bool busy;

	if (!crew) {
		mpx__pool_destroy(pool);
		return;
	}
	mpx__private_lock();
	busy = atomic_load(&crew->alive) > 0;
	crew->abandoned = busy;
	ended = take_ended(crew);
	mpx__private_unlock();
	join_all(ended);
	if (busy)
		mpx_log(MPX_LOG_WARNING, "a pool's threads are still in a task: they are let go");
	else
		free_all(pool);
}
