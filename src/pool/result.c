/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * multiprocessing.pool.AsyncResult.
 */
#include "base/deadline.h"
#include "ipc/wait.h"
#include "pool/pool.h"
#include "shm/family.h"
#include "sync/eventcount.h"

#include <errno.h>
#include <string.h>

static bool is_result(const mpx_result *r)
{
	return mpx__object_is(r, sizeof *r, MPX__RESULT);
}

static bool is_ready(struct mpx_result *job)
{
	return atomic_load_explicit(&job->ready, memory_order_acquire);
}

/* Nobody will make it ready; now it is. */
static bool is_lost(struct mpx_result *job)
{
	return mpx__pool_supervisor_died(job->pool);
}

static bool has_result(void *arg)
{
	return is_ready(arg);
}

static int wait_until_ready(struct mpx_result *job, int64_t deadline)
{
	struct mpx__slice slice = {0};

	while (!is_ready(job)) {
		if (slice.length >= MPX__SLICE_MAX && is_lost(job))
			continue;
		if (!mpx__event_wait_until(&job->event, has_result, job, &slice, deadline) &&
		    !is_lost(job))
			return ETIMEDOUT;
		mpx__progress(job, false);
	}
	return 0;
}

int mpx__result_wait(struct mpx_result *job, int64_t deadline)
{
	int error = wait_until_ready(job, deadline);

	mpx__progress(job, !error);
	return error;
}

const mpx_failure *mpx__result_failure(struct mpx_result *job)
{
	uint32_t failed = atomic_load_explicit(&job->failed, memory_order_acquire);

	return failed ? &job->failure[failed - 1] : NULL;
}

int mpx__result_error(struct mpx_result *job)
{
	const mpx_failure *failure = mpx__result_failure(job);

	return failure ? failure->error : 0;
}

/* 0, or -1 with errno. */
static int wait_for(mpx_result *r, double timeout)
{
	int64_t deadline;
	int error;

	if (!is_result(r))
		return -1;
	error = mpx__deadline(timeout, &deadline);
	if (!error)
		error = mpx__result_wait(r, deadline);
	if (!error)
		return 0;
	errno = error;
	return -1;
}

int mpx_result_wait(mpx_result *r, double timeout)
{
	return wait_for(r, timeout);
}

int mpx_result_get(mpx_result *r, void *out, double timeout)
{
	int error;

	if (wait_for(r, timeout) != 0)
		return -1;
	if (out && r->out)
		memcpy(out, r->out, r->n * r->out_size);
	error = mpx__result_error(r);
	if (!error)
		return 0;
	errno = error;
	return -1;
}

bool mpx__result_ready_or_lost(struct mpx_result *job)
{
	return is_ready(job) || is_lost(job);
}

bool mpx_result_ready(mpx_result *r)
{
	return is_result(r) && mpx__result_ready_or_lost(r);
}

bool mpx_result_successful(mpx_result *r)
{
	if (!is_result(r))
		return false;
	if (!is_ready(r)) {
		errno = EAGAIN;
		return false;
	}
	return mpx__result_error(r) == 0;
}

int mpx_result_get_failure(mpx_result *r, mpx_failure *failure, size_t size)
{
	const mpx_failure *f;
	bool ready;

	if (!is_result(r))
		return -1;
	ready = is_ready(r); /* first: while it is not, there may be another one soon */
	f = mpx__result_failure(r);
	if (!failure || !ready || !f) {
		errno = !failure ? EINVAL : !ready ? EAGAIN : ENOENT;
		return -1;
	}
	memset(failure, 0, size);
	memcpy(failure, f, size < sizeof *f ? size : sizeof *f);
	return 0;
}

int mpx_result_cancel(mpx_result *r)
{
	bool cancelled = false;
	int error;

	if (!is_result(r))
		return -1;
	error = mpx__pool_lock(r->pool);
	if (!error) {
		cancelled = mpx__job_cancel(r->pool, r);
		mpx__pool_unlock(r->pool);
		if (!cancelled)
			error = EBUSY;
	}
	if (cancelled)
		mpx__pool_wake(r->pool);
	if (!error)
		return 0;
	errno = error;
	return -1;
}

static int check_waitable(const void *p)
{
	return is_result(p) ? 0 : EINVAL;
}

static bool result_ready(void *p, bool thorough)
{
	return is_ready(p) || (thorough && is_lost(p));
}

static const struct mpx__wait_kind wait_kind = {
	.check = check_waitable,
	.ready = result_ready,
};

__attribute__((constructor)) static void make_known(void)
{
	mpx__wait_know(&wait_kind);
}

void mpx__result_drop(struct mpx_result *r)
{
	if (mpx__pool_lock(r->pool) == 0) {
		mpx__job_stop(r->pool, r);
		mpx__pool_unlock(r->pool);
	}
}

void mpx__result_free(struct mpx_result *r)
{
	mpx_pool *pool = r->pool;

	if (mpx__pool_lock(pool) == 0) {
		if (is_result(r)) /* who freed it and died over that may have left it until now */
			mpx__job_detach(pool, r);
		mpx__pool_unlock(pool);
	}
}

void mpx_result_free(mpx_result *r)
{
	if (r && is_result(r) && !mpx__callback_keeps(r))
		mpx__result_free(r);
}
