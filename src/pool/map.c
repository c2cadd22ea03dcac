/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * Submitting work. A job is one block: its description, a word for each chunk, and
 * copies of the inputs and outputs that are not in the family's heap already.
 */
#include "base/deadline.h"
#include "base/options.h"
#include "pool/pool.h"
#include "shm/family.h"
#include "sync/eventcount.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

/* Of the pools that this thread has last seen a map or apply fail on. */
struct last_failure {
	uint64_t pool;	/* serial number of its block: addresses come again */
	uint32_t owner; /* peer id: a fork copies this */
	mpx_failure failure;
};

enum { LAST_FAILURES = 8 };
static _Thread_local struct last_failure last[LAST_FAILURES];
static _Thread_local unsigned last_oldest;

static struct last_failure *find_last(mpx_pool *pool)
{
	for (int i = 0; i < LAST_FAILURES; i++)
		if (last[i].pool == mpx__heap_serial(pool) && last[i].owner == mpx__self())
			return &last[i];
	return NULL;
}

static void set_last(mpx_pool *pool, const mpx_failure *failure)
{
	struct last_failure *l = find_last(pool);

	if (!l)
		l = &last[last_oldest++ % LAST_FAILURES];
	l->pool = mpx__heap_serial(pool);
	l->owner = mpx__self();
	l->failure = *failure;
}

static size_t round_64(size_t size)
{
	return (size + 63) / 64 * 64;
}

/* Many small chunks keep the workers busy to the end, few large ones cost less:
 * 32 for each worker (Python: 4). */
static size_t choose_chunksize(mpx_pool *pool, size_t n, size_t wish)
{
	if (!wish)
		wish = n / (32 * (size_t)pool->workers);
	if (wish > MPX__CHUNKSIZE_MAX)
		wish = MPX__CHUNKSIZE_MAX;
	if (pool->max_tasks && wish > pool->max_tasks)
		wish = pool->max_tasks;
	return wish < 1 ? 1 : wish;
}

static bool is_signal(int number)
{
	sigset_t set;

	return sigemptyset(&set) == 0 && sigaddset(&set, number) == 0;
}

int mpx__check_options(mpx_pool *pool, const mpx_task_options *given, mpx_task_options *o)
{
	memset(o, 0, sizeof *o);
	if (given && !mpx__options(o, sizeof *o, given))
		return EINVAL;
	if (!(o->timeout >= 0) || o->retries < -1 || o->retries > MPX__RETRIES_MAX ||
	    !(o->backoff >= 0) || !(o->stop_at >= 0 && o->stop_at <= 1) || !(o->grace >= 0) ||
	    (o->soft_signal && !is_signal(o->soft_signal)))
		return EINVAL;
	if (o->retries == 0)
		o->retries = pool->retries;
	if (o->timeout == 0)
		o->timeout = pool->timeout;
	return 0;
}

/* Of n items so many make a share: at least one. */
static size_t share_of(size_t n, double share)
{
	double items = share * (double)n;
	size_t whole = (size_t)items;

	return whole < 1 ? 1 : (double)whole < items ? whole + 1 : whole;
}

/* What a job's block has behind its chunk words. */
struct layout {
	size_t head, errors, in, out, total;
};

static bool lay_out(struct layout *l, size_t chunks, size_t errors, size_t in_copied,
		    size_t out_copied)
{
	size_t words;

	if (errors > SIZE_MAX / 64 || __builtin_mul_overflow(chunks, sizeof(uint64_t), &words) ||
	    words > SIZE_MAX / 8 || in_copied > SIZE_MAX / 8 || out_copied > SIZE_MAX / 8)
		return false;
	l->errors = sizeof(struct mpx_result) + words;
	l->head = l->errors + errors * sizeof(int);
	l->in = round_64(l->head);
	l->out = l->in + round_64(in_copied);
	l->total = l->out + out_copied;
	return true;
}

static struct mpx_result *new_job(mpx_pool *pool, const struct mpx__request *r)
{
	size_t chunksize, chunks, in_bytes, out_bytes;
	bool in_place, out_place;
	struct layout l;
	struct mpx_result *job;
	mpx_task_options o;

	if (mpx__check_options(pool, r->options, &o) != 0 ||
	    __builtin_mul_overflow(r->n, r->in_size, &in_bytes) ||
	    __builtin_mul_overflow(r->n, r->out_size, &out_bytes)) {
		errno = EINVAL;
		return NULL;
	}
	chunksize = r->one_by_one ? r->n : choose_chunksize(pool, r->n, o.chunksize);
	chunks = r->n / chunksize + (r->n % chunksize != 0);
	in_place = in_bytes == 0 || mpx__heap_contains(r->in, in_bytes);
	out_place = out_bytes == 0 || mpx__heap_contains(r->out, out_bytes);
	if (!lay_out(&l, chunks, r->one_by_one ? r->n : 0, in_place ? 0 : in_bytes,
		     out_place ? 0 : out_bytes)) {
		errno = EINVAL;
		return NULL;
	}
	job = mpx__heap_alloc_to_fill(l.total, mpx__self());
	if (!job)
		return NULL;
	memset(job, 0, l.head);
	job->pool = pool;
	job->fn = r->fn;
	job->in = r->in;
	if (!in_place)
		job->in = memcpy((char *)job + l.in, r->in, in_bytes);
	job->in_size = r->in_size;
	job->out = out_bytes == 0 ? NULL : out_place ? r->out : (char *)job + l.out;
	job->out_size = r->out_size;
	job->n = r->n;
	job->chunksize = chunksize;
	job->chunks = chunks;
	job->waiter = r->waiter;
	if (o.timeout > 0 && pool->backend == MPX_BACKEND_PROCESSES)
		job->timeout = mpx__nanoseconds(o.timeout);
	job->soft_signal = o.soft_signal;
	job->grace = mpx__nanoseconds(o.grace > 0 ? o.grace : 1);
	job->retries = o.retries > 0 ? (uint32_t)o.retries : 0;
	job->backoff = o.backoff > 0 ? mpx__nanoseconds(o.backoff) : 0;
	job->priority = o.priority;
	job->failures_max = o.stop_at > 0 ? share_of(r->n, o.stop_at) : 0;
	job->context = o.context;
	job->base = r->base;
	job->seed = o.seed;
	job->errors = r->one_by_one ? (int *)(void *)((char *)job + l.errors) : NULL;
	if (!r->waiter && !r->one_by_one) {
		job->callback = o.callback;
		job->error_callback = o.error_callback;
		job->user = o.user;
	}
	if (!r->one_by_one)
		mpx__meter_begin(&job->meter, &o);
	if (pool->trace)
		mpx__trace_submit(pool, job, o.name);
	atomic_store(&job->object.type, MPX__RESULT);
	return job;
}

/* Hands the job to the pool; 0 or an errno value. */
static int enqueue(mpx_pool *pool, struct mpx_result *job)
{
	int error = mpx__pool_lock(pool);
	int64_t least;

	if (error)
		return error;
	if (atomic_load(&pool->state) != MPX__POOL_OPEN && !pool->broken) {
		error = EBUSY;
	} else {
		mpx__job_add(pool, job);
		pool->submitted += job->n;
		least = atomic_load(&pool->least_timeout);
		if (job->timeout && (!least || job->timeout < least))
			atomic_store(&pool->least_timeout, job->timeout);
		if (job->chunks == 0) {
			job->ready_at = mpx__os_now();
			atomic_store(&job->ready, 1);
		}
		if (pool->broken)
			mpx__job_fail_all(pool, (int)pool->broken, "the pool is broken");
	}
	mpx__pool_unlock(pool);
	if (error)
		return error;
	atomic_fetch_add(&pool->additions, 1);
	mpx__event_post(&pool->work, job->chunks > 1);
	if (job->timeout || pool->memory_limit || atomic_load(&pool->missing))
		mpx__pool_wake(pool);
	return 0;
}

struct mpx_result *mpx__pool_submit(mpx_pool *pool, const struct mpx__request *r)
{
	struct mpx_result *job;
	int error;

	if (!mpx__is_pool(pool))
		return NULL;
	if (!r->fn || (!r->in && r->in_size && r->n)) {
		errno = EINVAL;
		return NULL;
	}
	if (!mpx__backend_here(pool)) {
		errno = EPERM;
		return NULL;
	}
	job = new_job(pool, r);
	if (!job)
		return NULL;
	error = mpx__callback_prepare(job);
	if (!error) {
		error = enqueue(pool, job);
		if (error)
			mpx__callback_forget(job);
	}
	if (error) {
		mpx__object_free_own(job);
		errno = error;
		return NULL;
	}
	if (pool->backend == MPX_BACKEND_SERIAL)
		mpx__worker_run(pool, job);
	mpx__callback_expect(job);
	return job;
}

mpx_result *mpx_pool_map_async(mpx_pool *pool, mpx_task *fn, const void *in, size_t in_size,
			       size_t n, size_t out_size, const mpx_task_options *options_or_null)
{
	struct mpx__request r = {fn, in, in_size, NULL, out_size, n, options_or_null, 0, 0, false};

	return mpx__pool_submit(pool, &r);
}

mpx_result *mpx_pool_apply_async(mpx_pool *pool, mpx_task *fn, const void *in, size_t in_size,
				 size_t out_size, const mpx_task_options *options_or_null)
{
	return mpx_pool_map_async(pool, fn, in, in_size, 1, out_size, options_or_null);
}

int mpx_pool_map_sized(mpx_pool *pool, mpx_task *fn, const void *in, size_t in_size, void *out,
		       size_t out_size, size_t n, const mpx_task_options *options_or_null)
{
	struct mpx__request r = {fn,	      in, in_size, out, out_size, n, options_or_null,
				 mpx__self(), 0,  false};
	struct mpx_result *job;
	const mpx_failure *failure;
	int error;

	if (!out && out_size && n) {
		errno = EINVAL;
		return -1;
	}
	job = mpx__pool_submit(pool, &r);
	if (!job)
		return -1;
	mpx__result_wait(job, INT64_MAX);
	if (job->out && job->out != out)
		memcpy(out, job->out, n * out_size);
	error = mpx__result_error(job);
	failure = mpx__result_failure(job);
	if (failure)
		set_last(pool, failure);
	mpx_result_free(job);
	if (!error)
		return 0;
	errno = error;
	return -1;
}

int mpx_pool_get_last_failure(mpx_pool *pool, mpx_failure *failure, size_t size)
{
	struct last_failure *l;

	if (!mpx__is_pool(pool))
		return -1;
	l = find_last(pool);
	if (!failure || !l) {
		errno = failure ? ENOENT : EINVAL;
		return -1;
	}
	memset(failure, 0, size);
	memcpy(failure, &l->failure, size < sizeof l->failure ? size : sizeof l->failure);
	return 0;
}
