/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * imap: a window of small jobs, each of one chunk of items, refilled as they are
 * fetched. So however many items there are, memory and lead stay bounded, and since
 * the process that fetches takes the items as well there is no thread to do so.
 */
#include "base/deadline.h"
#include "base/handle.h"
#include "pool/pool.h"
#include "shm/family.h"
#include "sync/eventcount.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Chunks in the window for each worker, if nobody says. */
enum { CHUNKS_AHEAD = 4 };

struct mpx_imap {
	struct mpx__handle handle;
	mpx_pool *pool;
	struct mpx__request request;
	mpx_task_options options;
	mpx_generator *generate;
	void *user;
	const char *array; /* or these, */
	size_t left;	   /* so many more */
	bool unordered;
	char *chunk; /* room for what the generator gives */
	size_t chunksize;
	size_t taken;  /* items so far */
	int end;       /* 0: there may be more; 1: there are none; else -errno of the generator */
	size_t held;   /* items taken that wait for memory */
	size_t window; /* jobs */
	size_t n;      /* of them in use */
	size_t first;  /* where the oldest is */
	struct mpx_result **job;    /* [window], a ring, in the order of submission */
	struct mpx_result *current; /* whose results are being fetched; NULL */
	size_t fetched;		    /* of current */
	size_t index;		    /* of the item fetched last */
	mpx_failure failure;	    /* of that item */
	const void *bytes;	    /* that it gave; NULL: none */
	size_t size;		    /* of these */
	struct mpx_result *last;    /* where they are, if it is not current any more; NULL */
	struct mpx__meter meter;
	size_t returned; /* items, */
	size_t failures; /* and of these failed */
	size_t total;	 /* 0: there is a generator */
	bool failed;
};

static struct mpx__handles imaps = {.size = sizeof(struct mpx_imap)};

static bool is_imap(const mpx_imap *it)
{
	return mpx__handle_is(&imaps, it);
}

/* The k-th oldest. */
static struct mpx_result **job_at(mpx_imap *it, size_t k)
{
	size_t place = it->first + k;

	return &it->job[place < it->window ? place : place - it->window];
}

static struct mpx_result *take_out(mpx_imap *it, size_t k)
{
	struct mpx_result *job = *job_at(it, k);

	for (; k > 0; k--)
		*job_at(it, k) = *job_at(it, k - 1);
	it->first = it->first + 1 < it->window ? it->first + 1 : 0;
	it->n--;
	return job;
}

/* --- making ------------------------------------------------------------------------- */

static mpx_imap *new_imap(mpx_pool *pool, mpx_task *fn, size_t in_size, size_t out_size,
			  const mpx_task_options *options)
{
	mpx_imap *it = NULL;
	size_t window;

	if (!mpx__is_pool(pool))
		return NULL;
	if (fn)
		it = mpx__handle_new(&imaps);
	else
		errno = EINVAL;
	if (!it)
		return NULL;
	if (mpx__check_options(pool, options, &it->options) != 0) {
		mpx__handle_free(it);
		errno = EINVAL;
		return NULL;
	}
	it->options.size = sizeof it->options;
	it->options.stop_at = 0; /* who fetches may stop */
	mpx__meter_begin(&it->meter, &it->options);
	it->pool = pool;
	it->request.fn = fn;
	it->request.in_size = in_size;
	it->request.out_size = out_size;
	it->request.options = &it->options;
	it->request.one_by_one = true;
	it->request.waiter = mpx__self();
	it->chunksize = it->options.chunksize ? it->options.chunksize : 1;
	if (it->chunksize > MPX__CHUNKSIZE_MAX)
		it->chunksize = MPX__CHUNKSIZE_MAX;
	window = it->options.window ? it->options.window / it->chunksize
				    : CHUNKS_AHEAD * (size_t)pool->workers;
	it->window = window < 1 ? 1 : window;
	it->job = calloc(it->window, sizeof(struct mpx_result *));
	if (!it->job) {
		mpx__handle_free(it);
		return NULL;
	}
	return it;
}

/* --- filling the window ---------------------------------------------------------------- */

/* The next chunk of an array. */
static size_t take_from_array(mpx_imap *it)
{
	size_t n = it->left < it->chunksize ? it->left : it->chunksize;

	it->request.in = it->array;
	if (it->request.in_size)
		it->array += n * it->request.in_size;
	it->left -= n;
	if (it->left == 0)
		it->end = 1;
	return n;
}

/* The next chunk from the generator, which may end in the middle. */
static size_t take_from_generator(mpx_imap *it)
{
	size_t n = 0;

	it->request.in = it->chunk;
	while (n < it->chunksize && !it->end) {
		int got = it->generate(it->user, it->chunk + n * it->request.in_size);

		if (got > 0)
			n++;
		else if (got == 0)
			it->end = 1;
		else
			it->end = errno > 0 ? -errno : -EIO;
	}
	return n;
}

static size_t take(mpx_imap *it)
{
	size_t n = it->held;

	it->held = 0;
	if (n || it->end)
		return n;
	return it->generate ? take_from_generator(it) : take_from_array(it);
}

/* If no job can be submitted its items are lost, and it ends. But if there is no memory
 * while others are under way, they wait for these. */
static void fill_window(mpx_imap *it)
{
	size_t n;

	while (it->n < it->window && (n = take(it)) > 0) {
		struct mpx_result *job;

		it->request.n = n;
		it->request.base = it->taken;
		job = mpx__pool_submit(it->pool, &it->request);
		if (!job && errno == ENOMEM && (it->n > 0 || it->current)) {
			it->held = n;
			return;
		}
		if (!job) {
			it->end = -errno;
			return;
		}
		it->taken += n;
		*job_at(it, it->n++) = job;
	}
}

static mpx_imap *begin(mpx_imap *it)
{
	if (it)
		fill_window(it);
	if (it && it->end < 0 && it->n == 0) {
		int error = -it->end;

		mpx_imap_free(it);
		errno = error;
		return NULL;
	}
	return it;
}

static mpx_imap *over_array(mpx_pool *pool, mpx_task *fn, const void *in, size_t in_size, size_t n,
			    size_t out_size, const mpx_task_options *options, bool unordered)
{
	size_t bytes;
	mpx_imap *it;

	if ((!in && in_size && n) || __builtin_mul_overflow(n, in_size, &bytes)) {
		errno = EINVAL;
		return NULL;
	}
	it = new_imap(pool, fn, in_size, out_size, options);
	if (!it)
		return NULL;
	it->unordered = unordered;
	it->array = in;
	it->left = it->total = n;
	it->end = n == 0;
	return begin(it);
}

static mpx_imap *over_generator(mpx_pool *pool, mpx_task *fn, mpx_generator *next, void *user,
				size_t in_size, size_t out_size, const mpx_task_options *options,
				bool unordered)
{
	mpx_imap *it = NULL;
	size_t bytes;

	if (next)
		it = new_imap(pool, fn, in_size, out_size, options);
	else
		errno = EINVAL;
	if (!it)
		return NULL;
	if (!__builtin_mul_overflow(it->chunksize, in_size ? in_size : 1, &bytes))
		it->chunk = malloc(bytes);
	if (!it->chunk) {
		mpx_imap_free(it);
		errno = ENOMEM;
		return NULL;
	}
	it->unordered = unordered;
	it->generate = next;
	it->user = user;
	return begin(it);
}

mpx_imap *mpx_pool_imap(mpx_pool *pool, mpx_task *fn, const void *in, size_t in_size, size_t n,
			size_t out_size, const mpx_task_options *options_or_null)
{
	return over_array(pool, fn, in, in_size, n, out_size, options_or_null, false);
}

mpx_imap *mpx_pool_imap_unordered(mpx_pool *pool, mpx_task *fn, const void *in, size_t in_size,
				  size_t n, size_t out_size,
				  const mpx_task_options *options_or_null)
{
	return over_array(pool, fn, in, in_size, n, out_size, options_or_null, true);
}

mpx_imap *mpx_pool_imap_from(mpx_pool *pool, mpx_task *fn, mpx_generator *next, void *user,
			     size_t in_size, size_t out_size,
			     const mpx_task_options *options_or_null)
{
	return over_generator(pool, fn, next, user, in_size, out_size, options_or_null, false);
}

mpx_imap *mpx_pool_imap_unordered_from(mpx_pool *pool, mpx_task *fn, mpx_generator *next,
				       void *user, size_t in_size, size_t out_size,
				       const mpx_task_options *options_or_null)
{
	return over_generator(pool, fn, next, user, in_size, out_size, options_or_null, true);
}

/* --- fetching --------------------------------------------------------------------------- */

/* Which job's results come next, if it is ready; otherwise n. */
static size_t find_ready(mpx_imap *it, bool thorough)
{
	size_t candidates = it->unordered ? it->n : it->n ? 1 : 0;

	for (size_t i = 0; i < candidates; i++) {
		struct mpx_result *job = *job_at(it, i);

		if (thorough ? mpx__result_ready_or_lost(job)
			     : atomic_load_explicit(&job->ready, memory_order_acquire))
			return i;
	}
	return it->n;
}

static bool has_ready(void *arg)
{
	mpx_imap *it = arg;

	return find_ready(it, false) < it->n;
}

static void progress(mpx_imap *it, bool finished)
{
	if (mpx__meter_due(&it->meter, finished))
		mpx__meter_tell(&it->meter, it->returned, it->failures, it->total, finished);
}

/* Waits for the first job, or for any. 0 or ETIMEDOUT. */
static int wait_for_one(mpx_imap *it, int64_t deadline)
{
	struct mpx__slice slice = {0};

	if (!it->unordered)
		return mpx__result_wait(*job_at(it, 0), deadline);
	while (find_ready(it, slice.length >= MPX__SLICE_MAX) == it->n)
		if (!mpx__event_wait_until(&mpx__family_base->done, has_ready, it, &slice,
					   deadline))
			return find_ready(it, true) < it->n ? 0 : ETIMEDOUT;
	return 0;
}

/* Likewise, and tells of progress now and then. */
static int wait_for_job(mpx_imap *it, int64_t deadline)
{
	for (;;) {
		int64_t next = it->meter.fn ? mpx__os_now() + MPX__SLICE_MAX : INT64_MAX;
		int error = wait_for_one(it, deadline < next ? deadline : next);

		progress(it, false);
		if (!error || deadline <= next)
			return error;
	}
}

/* The next job's results are the current ones; its place is filled again. */
static int next_current(mpx_imap *it, int64_t deadline)
{
	int error = wait_for_job(it, deadline);

	if (error)
		return error;
	it->current = take_out(it, find_ready(it, true));
	it->fetched = 0;
	fill_window(it);
	return 0;
}

/* How item i of the current job failed; 0 if it did not. */
static int error_of(mpx_imap *it, size_t i)
{
	struct mpx_result *job = it->current;
	const mpx_failure *failure = mpx__result_failure(job);
	int error = job->errors[i] ? job->errors[i] : job->aborted;

	it->failed = error != 0;
	if (!error)
		return 0;
	memset(&it->failure, 0, sizeof it->failure);
	it->failure.error = error;
	it->failure.exit_status = -1;
	if (failure && (failure->index == i || job->aborted))
		it->failure = *failure;
	it->failure.index = it->index;
	return error;
}

/* What the item fetched last gave is not asked for any more. */
static void let_go(mpx_imap *it)
{
	it->bytes = NULL;
	if (it->last)
		mpx__result_free(it->last);
	it->last = NULL;
}

/* One result of the current job. */
static int fetch(mpx_imap *it, void *out)
{
	struct mpx_result *job = it->current;
	size_t i = it->fetched++;
	int error;

	it->index = job->base + i;
	error = error_of(it, i);
	if (!error && out && job->out_size)
		memcpy(out, job->out + i * job->out_size, job->out_size);
	it->bytes = mpx__bytes_of(job, i, &it->size);
	if (it->fetched == job->n) {
		it->current = NULL;
		it->last = job;
		if (!it->bytes)
			let_go(it);
	}
	if (!error)
		return 1;
	errno = error;
	return -1;
}

static int next_result(mpx_imap *it, void *out, int64_t deadline)
{
	int error;

	if (it->current)
		return fetch(it, out);
	fill_window(it);
	if (it->n == 0 && it->end >= 0)
		return 0;
	error = it->n ? next_current(it, deadline) : -it->end;
	if (!error)
		return fetch(it, out);
	if (it->n == 0)
		it->end = 1; /* told */
	errno = error;
	return -1;
}

int mpx_imap_next(mpx_imap *it, void *out, double timeout)
{
	int64_t deadline;
	int got, error;

	if (!is_imap(it))
		return -1;
	if (mpx__deadline(timeout, &deadline) != 0) { /* nothing happens, nothing is forgotten */
		errno = EINVAL;
		return -1;
	}
	it->failed = false;
	let_go(it);
	got = next_result(it, out, deadline);
	error = errno;
	if (got > 0 || (got < 0 && it->failed))
		it->returned++;
	if (got < 0 && it->failed)
		it->failures++;
	progress(it, got == 0 || (it->total && it->returned == it->total));
	errno = error;
	return got;
}

const void *mpx_imap_bytes(const mpx_imap *it, size_t *size)
{
	if (!is_imap(it))
		return NULL;
	if (!it->bytes)
		errno = ENOENT;
	else if (size)
		*size = it->size;
	return it->bytes;
}

size_t mpx_imap_index(const mpx_imap *it)
{
	return is_imap(it) ? it->index : 0;
}

int mpx_imap_get_failure(const mpx_imap *it, mpx_failure *failure, size_t size)
{
	if (!is_imap(it))
		return -1;
	if (!failure || !it->failed) {
		errno = failure ? ENOENT : EINVAL;
		return -1;
	}
	memset(failure, 0, size);
	memcpy(failure, &it->failure, size < sizeof it->failure ? size : sizeof it->failure);
	return 0;
}

void mpx_imap_free(mpx_imap *it)
{
	if (!it || !is_imap(it))
		return;
	if (it->returned > 0)
		progress(it, true);
	let_go(it);
	for (size_t i = 0; i < it->n; i++) {
		mpx__result_drop(*job_at(it, i));
		mpx__result_free(*job_at(it, i));
	}
	if (it->current)
		mpx__result_free(it->current);
	free(it->job);
	free(it->chunk);
	mpx__handle_free(it);
}
