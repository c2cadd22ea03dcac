/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * What can be read about a pool while it runs. What tasks count stands in their workers'
 * own lines, where nobody else writes; the rest is counted where the pool is locked anyway.
 */
#include "platform/platform.h"
#include "pool/pool.h"
#include "shm/peers.h"

#include <errno.h>
#include <string.h>

/* As much of it as the program knows of. */
static int give(void *to, size_t size, const void *from, size_t ours)
{
	memset(to, 0, size);
	memcpy(to, from, size < ours ? size : ours);
	return 0;
}

static int lock(mpx_pool *pool, const void *to)
{
	int error;

	if (!mpx__is_pool(pool))
		return -1;
	error = to ? mpx__pool_lock(pool) : EINVAL;
	if (!error)
		return 0;
	errno = error;
	return -1;
}

int mpx_pool_get_stats(mpx_pool *pool, mpx_pool_statistics *statistics, size_t size)
{
	mpx_pool_statistics s;

	if (lock(pool, statistics) != 0)
		return -1;
	memset(&s, 0, sizeof s);
	s.submitted = pool->submitted;
	s.failed = pool->failed;
	s.retried = pool->retried;
	s.died = pool->died;
	s.queued = mpx__job_queued(pool);
	s.workers = pool->workers;
	for (int i = 0; i < pool->used; i++) {
		struct mpx__worker *w = &pool->worker[i];

		s.done += atomic_load_explicit(&w->done, memory_order_relaxed);
		s.retried += atomic_load_explicit(&w->retried, memory_order_relaxed);
		s.alive += atomic_load(&w->id) != 0;
		s.busy += atomic_load(&w->id) && atomic_load(&w->job);
	}
	mpx__pool_unlock(pool);
	return give(statistics, size, &s, sizeof s);
}

static mpx_worker_activity activity_of(struct mpx__worker *w)
{
	return !atomic_load(&w->id)	       ? MPX_WORKER_NONE
	       : !atomic_load(&w->initialized) ? MPX_WORKER_STARTING
	       : !atomic_load(&w->job)	       ? MPX_WORKER_IDLE
					       : MPX_WORKER_BUSY;
}

/* Under the lock: so its job stays its job. */
static void look(struct mpx__worker *w, mpx_worker_statistics *s)
{
	struct mpx_result *job = atomic_load(&w->job);
	int64_t age;

	s->activity = activity_of(w);
	if (s->activity == MPX_WORKER_NONE)
		return;
	s->pid = mpx__peer_pid(atomic_load(&w->id));
	s->tasks = s->activity == MPX_WORKER_STARTING ? 0 : mpx__worker_tasks(w);
	if (s->activity != MPX_WORKER_BUSY)
		return;
	age = mpx__os_now() - atomic_load(&w->began);
	s->index = job->base + (size_t)atomic_load(&w->item);
	s->age = age > 0 ? (double)age * 1e-9 : 0;
}

int mpx_pool_get_worker_stats(mpx_pool *pool, int number, mpx_worker_statistics *statistics,
			      size_t size)
{
	mpx_worker_statistics s;

	if (lock(pool, statistics) != 0)
		return -1;
	if (number < 0 || number >= pool->room) {
		mpx__pool_unlock(pool);
		errno = EINVAL;
		return -1;
	}
	memset(&s, 0, sizeof s);
	look(&pool->worker[number], &s);
	mpx__pool_unlock(pool);
	s.cpu = -1;
	s.memory = -1;
	if (s.pid && pool->backend == MPX_BACKEND_PROCESSES) {
		int64_t cpu = mpx__os_cpu_time(s.pid);

		s.cpu = cpu < 0 ? -1 : (double)cpu * 1e-9;
		s.memory = mpx__os_private_memory(s.pid);
	}
	return give(statistics, size, &s, sizeof s);
}
