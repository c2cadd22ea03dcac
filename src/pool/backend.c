/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * Which back end a pool has; and the serial one, which is nearly nothing: who submits
 * a job runs it at once (mpx__worker_run).
 */
#include "base/log.h"
#include "platform/platform.h"
#include "pool/pool.h"
#include "shm/peers.h"

#include <errno.h>
#include <string.h>

int mpx__backend_choose(mpx_backend asked)
{
	static const char *const names[] = {"processes", "threads", "serial"};
	const char *wish;

	if (asked > MPX_BACKEND_SERIAL)
		return -1;
	if (asked != MPX_BACKEND_DEFAULT)
		return (int)asked;
	wish = mpx__os_getenv("MPX_BACKEND");
	if (!wish || !*wish)
		return MPX_BACKEND_PROCESSES;
	for (int i = 0; i < 3; i++)
		if (strcmp(wish, names[i]) == 0)
			return MPX_BACKEND_PROCESSES + i;
	mpx_log(MPX_LOG_WARNING, "MPX_BACKEND: there is no back end \"%s\"", wish);
	return -1;
}

bool mpx__backend_here(const mpx_pool *pool)
{
	return pool->backend == MPX_BACKEND_PROCESSES || pool->creator == mpx__self();
}

int mpx__serial_start(mpx_pool *pool)
{
	struct mpx__task around = mpx__task;
	void *state = mpx__worker_state;
	int error = 0;

	mpx__task.worker = 0;
	mpx__worker_state = NULL;
	for (int i = 0; i < pool->budget && pool->initializer; i++) {
		error = pool->initializer(pool->initargs);
		if (!error)
			break;
	}
	mpx__task = around;
	atomic_store(&pool->worker[0].id, pool->creator);
	atomic_store(&pool->worker[0].initialized, 1);
	atomic_store(&pool->used, 1);
	pool->kept = mpx__worker_state;
	mpx__worker_state = state;
	if (error)
		mpx__pool_terminate(pool, error > 0 ? error : EINVAL,
				    "the pool's initializer failed again and again");
	return 0;
}

/* At join: once, as a worker's hook is run, whoever else joins it at the same time. */
void mpx__serial_end(mpx_pool *pool)
{
	struct mpx__task around = mpx__task;
	void *state = mpx__worker_state;

	if (atomic_exchange(&pool->ended, true))
		return;
	mpx__task.worker = 0;
	mpx__worker_state = pool->kept;
	mpx__worker_end(pool);
	mpx__worker_state = state;
	mpx__task = around;
}
