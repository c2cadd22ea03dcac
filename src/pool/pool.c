/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * Making and ending a pool.
 */
#include "pool/pool.h"

#include "base/deadline.h"
#include "base/log.h"
#include "base/options.h"
#include "shm/family.h"
#include "sync/eventcount.h"

#include <errno.h>
#include <mpx/process.h>
#include <signal.h>

enum { WORKERS_MAX = 1024, ROOM = 64, SPARE_INITIALIZERS = 3 };

static int fail(int error)
{
	errno = error;
	return -1;
}

/* --- making --------------------------------------------------------------------------- */

/* Until the supervisor has forked the workers; 0 or why it could not. */
static int wait_for_start(mpx_pool *pool)
{
	struct mpx__slice slice = {0};
	uint32_t started;

	while (!(started = atomic_load(&pool->started))) {
		uint32_t ticket = mpx__event_prepare(&pool->start_event);

		if (mpx__child_poll(pool->supervisor))
			return EAGAIN;
		if (!atomic_load(&pool->started))
			mpx__event_wait(&pool->start_event, ticket,
					mpx__slice_end(&slice, INT64_MAX));
	}
	return started == 1 ? 0 : (int)started - 2;
}

static int start_supervisor(mpx_pool *pool)
{
	int error;

	pool->supervisor = mpx__child_new();
	if (!pool->supervisor)
		return ENOMEM;
	error = mpx__child_start(pool->supervisor, mpx__supervisor_main, pool, false);
	if (!error) {
		error = wait_for_start(pool);
		if (error)
			mpx__child_wait(pool->supervisor, INT64_MAX);
	}
	if (error)
		mpx__child_free(pool->supervisor);
	return error;
}

static int start(mpx_pool *pool)
{
	if (pool->backend == MPX_BACKEND_PROCESSES)
		return start_supervisor(pool);
	/* Whoever waits for a result waits as long as the creator lives. */
	atomic_store(&pool->supervisor_id, pool->creator);
	return pool->backend == MPX_BACKEND_THREADS ? mpx__crew_start(pool)
						    : mpx__serial_start(pool);
}

mpx_pool *mpx_pool_create(const mpx_pool_options *options)
{
	mpx_pool_options o = {0};
	mpx_pool *pool;
	size_t size, trace;
	int error, backend;

	if (!mpx__options(&o, sizeof o, options)) {
		errno = EINVAL;
		return NULL;
	}
	backend = mpx__backend_choose(o.backend);
	if (o.processes == 0) {
		o.processes = mpx_cpu_count();
		if (o.processes > WORKERS_MAX)
			o.processes = WORKERS_MAX;
		if (o.processes_max > 0 && o.processes > o.processes_max)
			o.processes = o.processes_max;
	}
	if (o.processes < 0 || o.processes > WORKERS_MAX || o.task_timeout < 0 ||
	    o.task_timeout != o.task_timeout || o.retries < 0 || o.retries > MPX__RETRIES_MAX ||
	    o.restart_budget < 0 || backend < 0 || o.processes_max > WORKERS_MAX ||
	    (o.processes_max && o.processes_max < o.processes)) {
		errno = EINVAL;
		return NULL;
	}
	if (!o.processes_max)
		o.processes_max = o.processes > ROOM ? o.processes : ROOM;
	size = sizeof *pool + (size_t)o.processes_max * sizeof pool->worker[0];
	trace = backend == MPX_BACKEND_SERIAL ? 0 : mpx__trace_size(o.processes_max);
	pool = mpx__object_new(size + trace, MPX__POOL);
	if (!pool)
		return NULL;
	pool->room = o.processes_max;
	if (trace)
		mpx__trace_begin(pool, (char *)pool + size);
	pool->creator = mpx__self();
	pool->backend = (mpx_backend)backend;
	pool->workers = pool->backend == MPX_BACKEND_SERIAL ? 1 : o.processes;
	pool->initializer = o.initializer;
	pool->initargs = o.initargs;
	if (pool->backend != MPX_BACKEND_SERIAL)
		pool->max_tasks = o.max_tasks_per_child;
	pool->timeout = o.task_timeout;
	pool->retries = o.retries;
	pool->budget = o.restart_budget ? o.restart_budget : o.processes + SPARE_INITIALIZERS;
	pool->break_on_death = o.break_on_death;
	error = mpx__life_options(pool, &o);
	if (!error)
		error = start(pool);
	if (error) {
		mpx__object_free(pool);
		errno = error;
		return NULL;
	}
	return pool;
}

int mpx_pool_processes(mpx_pool *pool)
{
	return mpx__is_pool(pool) ? pool->workers : -1;
}

int mpx_pool_resize(mpx_pool *pool, int processes)
{
	int error;

	if (!mpx__is_pool(pool))
		return -1;
	if (processes < 1 || processes > pool->room)
		return fail(EINVAL);
	if (pool->backend == MPX_BACKEND_SERIAL)
		return 0;
	if (!mpx__backend_here(pool))
		return fail(EPERM);
	error = mpx__pool_lock(pool);
	if (error)
		return fail(error);
	if (atomic_load(&pool->state) == MPX__POOL_OPEN)
		atomic_store(&pool->workers, processes);
	else
		error = EBUSY;
	mpx__pool_unlock(pool);
	if (error)
		return fail(error);
	mpx_log(MPX_LOG_DEBUG, "resizing pool to %d workers", processes);
	mpx__event_post(&pool->work, true);
	mpx__pool_wake(pool);
	if (pool->backend == MPX_BACKEND_THREADS)
		error = mpx__crew_fill(pool);
	return error ? fail(error) : 0;
}

/* --- ending ---------------------------------------------------------------------------- */

/* By the signal that it waits for anyway: needs no descriptor, and should the pid
 * belong to somebody else by now, means nothing to him. */
void mpx__pool_wake(mpx_pool *pool)
{
	pid_t pid = mpx__peer_pid(atomic_load(&pool->supervisor_id));

	if (pid > 0 && pool->backend == MPX_BACKEND_PROCESSES)
		kill(pid, SIGCHLD);
}

int mpx_pool_close(mpx_pool *pool)
{
	int error;

	if (!mpx__is_pool(pool))
		return -1;
	error = mpx__pool_lock(pool);
	if (error)
		return fail(error);
	if (atomic_load(&pool->state) == MPX__POOL_OPEN)
		atomic_store(&pool->state, MPX__POOL_CLOSED);
	mpx__pool_unlock(pool);
	mpx__event_post(&pool->work, true);
	mpx__pool_wake(pool);
	mpx_log(MPX_LOG_DEBUG, "closing pool");
	return 0;
}

int mpx__pool_terminate(mpx_pool *pool, int error, const char *message)
{
	int failed = mpx__pool_lock(pool);
	bool breaks;

	if (failed)
		return failed;
	breaks = error != ECANCELED && !pool->broken;
	if (breaks && pool->trace)
		mpx__trace_broken(pool, message);
	if (breaks)
		pool->broken = (uint32_t)error;
	atomic_store(&pool->state, MPX__POOL_TERMINATED);
	mpx__job_fail_all(pool, error, message);
	mpx__pool_unlock(pool);
	mpx__event_post(&pool->work, true);
	mpx__pool_wake(pool);
	if (breaks)
		mpx_log(MPX_LOG_WARNING, "pool is broken: %s", message);
	return 0;
}

int mpx_pool_terminate(mpx_pool *pool)
{
	int error;

	if (!mpx__is_pool(pool))
		return -1;
	mpx_log(MPX_LOG_DEBUG, "terminating pool");
	error = mpx__pool_terminate(pool, ECANCELED, "the pool was terminated");
	return error ? fail(error) : 0;
}

bool mpx__pool_supervisor_died(mpx_pool *pool)
{
	uint32_t id = atomic_load(&pool->supervisor_id);

	/* Its regular end completes all jobs before. */
	if (!id || !mpx__peer_dead(id))
		return false;
	mpx__pool_terminate(pool, EOWNERDEAD, "the pool's supervisor was killed");
	return true;
}

/* The supervisor has ended. If it was killed its workers are being killed: wait. */
static int wait_for_workers(mpx_pool *pool, int64_t deadline)
{
	for (int i = 0; i < pool->used; i++) {
		struct mpx__slice slice = {0};
		uint32_t id = atomic_load(&pool->worker[i].id);

		while (id && !mpx__peer_dead(id)) {
			if (mpx__passed(deadline))
				return ETIMEDOUT;
			mpx__os_sleep(mpx__slice_end(&slice, deadline) - mpx__os_now());
		}
		if (id)
			mpx__peer_bury(id);
		atomic_store(&pool->worker[i].id, 0);
	}
	return 0;
}

static int join(mpx_pool *pool, int64_t deadline)
{
	int error;

	mpx_log(MPX_LOG_DEBUG, "joining pool");
	if (pool->backend != MPX_BACKEND_PROCESSES)
		return mpx__crew_join(pool, deadline);
	error = mpx__child_wait(pool->supervisor, deadline);
	if (!error)
		error = wait_for_workers(pool, deadline);
	if (!error) /* for those that a supervisor which was killed has left */
		error = mpx__pool_terminate(pool, ECANCELED, "the pool's supervisor was killed");
	return error;
}

int mpx_pool_join(mpx_pool *pool, double timeout)
{
	int64_t deadline;
	int error;

	if (!mpx__is_pool(pool))
		return -1;
	error = mpx__deadline(timeout, &deadline);
	if (!error && pool->creator != mpx__self())
		error = EPERM;
	if (!error && atomic_load(&pool->state) == MPX__POOL_OPEN)
		error = EBUSY;
	if (!error)
		error = join(pool, deadline);
	return error ? fail(error) : 0;
}

void mpx__pool_destroy(mpx_pool *pool)
{
	if (mpx__pool_lock(pool) != 0)
		return;
	if (pool->trace)
		mpx__trace_end(pool);
	mpx__job_orphan_all(pool);
	mpx__pool_unlock(pool);
}

void mpx_pool_free(mpx_pool *pool)
{
	if (!pool || !mpx__is_pool(pool))
		return;
	if (pool->creator != mpx__self()) {
		errno = EPERM;
		return;
	}
	mpx_pool_terminate(pool);
	if (pool->backend != MPX_BACKEND_PROCESSES) {
		join(pool, mpx__os_now() + INT64_C(3000000000));
		mpx__crew_free(pool);
		return;
	}
	if (join(pool, mpx__os_now() + INT64_C(3000000000)) != 0) {
		/* Stopped, perhaps: its workers go with it. */
		mpx__child_signal(pool->supervisor, SIGKILL);
		join(pool, mpx__os_now() + INT64_C(3000000000));
	}
	mpx__child_free(pool->supervisor);
	mpx__pool_destroy(pool);
}
