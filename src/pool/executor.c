/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * concurrent.futures.ProcessPoolExecutor: a pool, with other verbs.
 */
#include "base/deadline.h"
#include "base/options.h"
#include "pool/pool.h"
#include "shm/family.h"

#include <errno.h>
#include <mpx/executor.h>

mpx_executor *mpx_executor_create(const mpx_executor_options *options)
{
	mpx_executor_options o = {0};
	mpx_pool_options p = {0};

	if (!mpx__options(&o, sizeof o, options) ||
	    (o.pool && !mpx__options(&p, sizeof p, o.pool))) {
		errno = EINVAL;
		return NULL;
	}
	p.size = sizeof p;
	if (o.max_workers)
		p.processes = o.max_workers;
	if (o.initializer) {
		p.initializer = o.initializer;
		p.initargs = o.initargs;
	}
	if (o.max_tasks_per_child)
		p.max_tasks_per_child = o.max_tasks_per_child;
	if (o.break_on_death) {
		p.break_on_death = true;
		p.restart_budget = 1;
	}
	return mpx_pool_create(&p);
}

/* Is it one, and not broken? Otherwise false with errno. */
static bool is_usable(mpx_executor *e)
{
	int error;

	if (!mpx__is_pool(e))
		return false;
	if (atomic_load(&e->state) == MPX__POOL_OPEN) /* otherwise it may have ended well */
		mpx__pool_supervisor_died(e);
	error = mpx__pool_lock(e);
	if (!error) {
		error = (int)e->broken;
		mpx__pool_unlock(e);
	}
	if (!error)
		return true;
	errno = error;
	return false;
}

mpx_future *mpx_executor_submit(mpx_executor *e, mpx_task *fn, const void *in, size_t in_size,
				size_t out_size, const mpx_task_options *options_or_null)
{
	if (!is_usable(e))
		return NULL;
	return mpx_pool_apply_async(e, fn, in, in_size, out_size, options_or_null);
}

mpx_imap *mpx_executor_map(mpx_executor *e, mpx_task *fn, const void *in, size_t in_size, size_t n,
			   size_t out_size, const mpx_task_options *options_or_null)
{
	mpx_task_options o = {0};

	if (!is_usable(e))
		return NULL;
	if (options_or_null && !mpx__options(&o, sizeof o, options_or_null)) {
		errno = EINVAL;
		return NULL;
	}
	o.size = sizeof o;
	if (!o.window) /* a chunk more: the last one may be short */
		o.window = n + o.chunksize < n ? n : n + o.chunksize;
	return mpx_pool_imap(e, fn, in, in_size, n, out_size, &o);
}

int mpx_executor_shutdown(mpx_executor *e, bool cancel_futures, double timeout)
{
	int64_t deadline;
	int error;

	if (!mpx__is_pool(e))
		return -1;
	error = mpx__deadline(timeout, &deadline);
	if (!error && e->creator != mpx__self())
		error = EPERM;
	if (error) {
		errno = error;
		return -1;
	}
	if (mpx_pool_close(e) != 0)
		return -1;
	if (cancel_futures && mpx__pool_lock(e) == 0) {
		mpx__job_cancel_waiting(e);
		mpx__pool_unlock(e);
		mpx__pool_wake(e);
	}
	return mpx_pool_join(e, timeout);
}

void mpx_executor_free(mpx_executor *e)
{
	mpx_pool_free(e);
}
