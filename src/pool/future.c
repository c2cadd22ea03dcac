/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * concurrent.futures.Future: a result, with other verbs.
 */
#include "pool/pool.h"

#include <errno.h>
#include <mpx/executor.h>

static bool is_future(const mpx_future *f)
{
	return mpx__object_is(f, sizeof *f, MPX__RESULT);
}

static bool is_done(struct mpx_result *job)
{
	return atomic_load_explicit(&job->ready, memory_order_acquire);
}

int mpx_future_result(mpx_future *f, void *out, double timeout)
{
	return mpx_result_get(f, out, timeout);
}

int mpx_future_exception(mpx_future *f, double timeout)
{
	return mpx_result_wait(f, timeout) == 0 ? mpx__result_error(f) : -1;
}

bool mpx_future_cancelled(mpx_future *f)
{
	return is_future(f) && is_done(f) && f->aborted == ECANCELED;
}

bool mpx_future_running(mpx_future *f)
{
	return is_future(f) && !is_done(f) && mpx__job_has_begun(f->pool, f);
}

bool mpx_future_done(mpx_future *f)
{
	return mpx_result_ready(f);
}

/* Under the pool's lock, so that nobody begins it meanwhile. */
static bool cancel_waiting(struct mpx_result *job)
{
	mpx_pool *pool = job->pool;
	bool cancelled = false;

	if (mpx__pool_lock(pool) != 0)
		return false;
	if (!mpx__job_has_begun(pool, job))
		cancelled = mpx__job_cancel(pool, job);
	mpx__pool_unlock(pool);
	return cancelled;
}

int mpx_future_cancel(mpx_future *f, bool running_too)
{
	if (!is_future(f))
		return -1;
	if (running_too ? mpx_result_cancel(f) == 0 : cancel_waiting(f))
		return 0;
	if (mpx_future_cancelled(f))
		return 0;
	errno = EBUSY;
	return -1;
}

int mpx_future_add_done_callback(mpx_future *f, mpx_future_callback *fn, void *user)
{
	int error;

	if (!is_future(f))
		return -1;
	error = fn ? mpx__callback_add(f, fn, user) : EINVAL;
	if (!error)
		return 0;
	errno = error;
	return -1;
}

void mpx_future_free(mpx_future *f)
{
	mpx_result_free(f);
}
