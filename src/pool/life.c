/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * A worker's beginning and end, and when it is to be replaced. It looks itself whether
 * it is due, when it has nothing in its hands: so nothing is lost by that.
 */
#include "base/deadline.h"
#include "base/log.h"
#include "pool/pool.h"
#include "sync/eventcount.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

_Thread_local void *mpx__worker_state;

void mpx_worker_set_state(void *worker_state)
{
	mpx__worker_state = worker_state;
}

void *mpx_worker_state(void)
{
	return mpx__worker_state;
}

int mpx__life_options(mpx_pool *pool, const mpx_pool_options *o)
{
	bool processes = pool->backend == MPX_BACKEND_PROCESSES;

	if (!(o->max_age >= 0) || !(o->idle_timeout >= 0) || o->nice < -20 || o->nice > 20)
		return EINVAL;
	if (processes && (o->memory_limit || o->max_growth) && mpx__os_private_memory(0) < 0)
		return ENOTSUP;
	pool->exit_hook = o->exit_hook;
	pool->exit_args = o->exit_args;
	if (pool->backend == MPX_BACKEND_SERIAL)
		return 0;
	pool->pin = o->pin;
	pool->max_age = o->max_age > 0 ? mpx__nanoseconds(o->max_age) : 0;
	if (!processes)
		return 0;
	pool->nice = o->nice;
	pool->idle_timeout = o->idle_timeout > 0 ? mpx__nanoseconds(o->idle_timeout) : 0;
	pool->memory_limit = o->memory_limit < INT64_MAX ? (int64_t)o->memory_limit : 0;
	pool->max_growth = o->max_growth < INT64_MAX ? (int64_t)o->max_growth : 0;
	return 0;
}

int mpx__worker_begin(mpx_pool *pool, struct mpx__worker *w, int number)
{
	int error;

	mpx__worker_state = NULL;
	atomic_store(&w->before, atomic_load(&w->done) + atomic_load(&w->bad));
	w->born = mpx__os_now();
	if (pool->pin)
		mpx__os_pin(number);
	errno = 0;
	if (pool->nice && nice(pool->nice) == -1 && errno)
		mpx_log(MPX_LOG_WARNING, "nice(%d): %s", pool->nice, strerror(errno));
	if (pool->memory_limit || pool->max_growth)
		atomic_store(&w->memory, mpx__os_private_memory(0));
	error = pool->initializer ? pool->initializer(pool->initargs) : 0;
	if (error < 0)
		error = EINVAL;
	atomic_store(error ? &w->init_error : &w->initialized, error ? (uint32_t)error : 1);
	return error;
}

void mpx__worker_end(mpx_pool *pool)
{
	int error = 0;

	if (pool->exit_hook && atomic_load(&pool->state) != MPX__POOL_TERMINATED)
		error = pool->exit_hook(pool->exit_args);
	if (error)
		mpx_log(MPX_LOG_WARNING, "the exit hook of PoolWorker-%d failed with error %d",
			mpx__task.worker + 1, error);
	if (atomic_load(&pool->pending)) /* which it may have been woken for */
		mpx__event_post(&pool->work, false);
}

/* Bytes of the worker's own; 0 if nobody knows. */
static int64_t growth(struct mpx__worker *w, pid_t pid)
{
	int64_t before = atomic_load(&w->memory), memory;

	if (before < 0)
		return 0;
	memory = mpx__os_private_memory(pid);
	return memory > before ? memory - before : 0;
}

bool mpx__worker_is_due(mpx_pool *pool, struct mpx__worker *w, int number)
{
	return number >= atomic_load_explicit(&pool->workers, memory_order_relaxed) ||
	       (pool->max_tasks && mpx__worker_tasks(w) >= pool->max_tasks) ||
	       (pool->max_age && mpx__os_now() - w->born >= pool->max_age) ||
	       (pool->max_growth && growth(w, 0) > pool->max_growth);
}

/* Who submits adds the work first, then looks whether workers are missing, both after
 * this or before it. */
bool mpx__worker_retire(mpx_pool *pool, struct mpx__worker *w)
{
	bool retires;

	if (mpx__pool_lock(pool) != 0)
		return false;
	retires = !mpx__job_first(pool) && atomic_load(&pool->state) == MPX__POOL_OPEN;
	if (retires) {
		atomic_store(&w->retired, 1);
		atomic_store(&pool->missing, 1);
	}
	mpx__pool_unlock(pool);
	return retires;
}

bool mpx__worker_is_too_big(mpx_pool *pool, struct mpx__worker *w, pid_t pid)
{
	return pool->memory_limit && growth(w, pid) > pool->memory_limit;
}
