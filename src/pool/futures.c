/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * concurrent.futures.wait and as_completed: for any of several results, which may be
 * of several pools. Whoever makes a result ready posts one eventcount of the family.
 */
#include "base/deadline.h"
#include "base/handle.h"
#include "pool/pool.h"
#include "shm/family.h"
#include "sync/eventcount.h"

#include <errno.h>
#include <limits.h>
#include <mpx/executor.h>
#include <stdlib.h>

/* thorough: also if its supervisor was killed. */
static bool is_done(struct mpx_result *job, bool thorough)
{
	return thorough ? mpx__result_ready_or_lost(job)
			: atomic_load_explicit(&job->ready, memory_order_acquire);
}

static bool are_futures(mpx_future *const *fs, size_t n)
{
	bool good = n == 0 || fs;

	for (size_t i = 0; good && i < n; i++)
		good = mpx__object_is(fs[i], sizeof *fs[i], MPX__RESULT);
	return good;
}

/* 0 when satisfied(arg, ...), or ETIMEDOUT. posted(arg) is the same, not thorough. */
static int wait_until(bool (*satisfied)(void *arg, bool thorough), bool (*posted)(void *arg),
		      void *arg, int64_t deadline)
{
	struct mpx__slice slice = {0};

	while (!satisfied(arg, slice.length >= MPX__SLICE_MAX))
		if (!mpx__event_wait_until(&mpx__family_base->done, posted, arg, &slice, deadline))
			return satisfied(arg, true) ? 0 : ETIMEDOUT;
	return 0;
}

/* --- wait ---------------------------------------------------------------------------- */

struct waiting {
	mpx_future *const *fs;
	size_t n;
	mpx_wait_when when;
};

/* Is this one, which is done, what is waited for? */
static bool is_it(const struct waiting *w, struct mpx_result *job)
{
	return w->when == MPX_FIRST_COMPLETED ||
	       (mpx__result_error(job) != 0 && job->aborted != ECANCELED);
}

static bool is_satisfied(void *arg, bool thorough)
{
	const struct waiting *w = arg;
	size_t done = 0;

	for (size_t i = 0; i < w->n; i++) {
		if (!is_done(w->fs[i], thorough))
			continue;
		done++;
		if (is_it(w, w->fs[i]))
			return true;
	}
	return done == w->n;
}

static bool is_satisfied_now(void *arg)
{
	return is_satisfied(arg, false);
}

static int wait_for_all(const struct waiting *w, int64_t deadline)
{
	int error = 0;

	for (size_t i = 0; i < w->n && !error; i++)
		error = mpx__result_wait(w->fs[i], deadline);
	return error;
}

static int count_done(const struct waiting *w, bool *done)
{
	int count = 0;

	for (size_t i = 0; i < w->n; i++) {
		bool is = is_done(w->fs[i], false);

		count += is;
		if (done)
			done[i] = is;
	}
	return count;
}

int mpx_futures_wait(mpx_future *const *fs, size_t n, mpx_wait_when when, bool *done,
		     double timeout)
{
	struct waiting w = {fs, n, when};
	int64_t deadline;
	int error, count;

	if (n > INT_MAX || when < MPX_ALL_COMPLETED || when > MPX_FIRST_EXCEPTION ||
	    !are_futures(fs, n) || mpx__deadline(timeout, &deadline) != 0) {
		errno = EINVAL;
		return -1;
	}
	error = when == MPX_ALL_COMPLETED
			? wait_for_all(&w, deadline)
			: wait_until(is_satisfied, is_satisfied_now, &w, deadline);
	count = count_done(&w, done);
	if (!error)
		return count;
	errno = error;
	return -1;
}

/* --- as_completed ------------------------------------------------------------------------ */

struct outstanding {
	struct mpx_result *job;
	size_t which;
};

struct mpx_as_completed {
	struct mpx__handle handle;
	size_t n; /* not told so far */
	struct outstanding *left;
};

static struct mpx__handles handles = {.size = sizeof(struct mpx_as_completed)};

static int compare(const void *a, const void *b)
{
	const struct outstanding *x = a, *y = b;

	if (x->job != y->job)
		return (uintptr_t)x->job < (uintptr_t)y->job ? -1 : 1;
	return x->which < y->which ? -1 : 1;
}

mpx_as_completed *mpx_as_completed_new(mpx_future *const *fs, size_t n)
{
	mpx_as_completed *it = NULL;

	if (n > INT_MAX || !are_futures(fs, n))
		errno = EINVAL;
	else
		it = mpx__handle_new(&handles);
	if (!it)
		return NULL;
	it->left = malloc((n ? n : 1) * sizeof it->left[0]);
	if (!it->left) {
		mpx__handle_free(it);
		errno = ENOMEM;
		return NULL;
	}
	for (size_t i = 0; i < n; i++)
		it->left[i] = (struct outstanding){fs[i], i};
	qsort(it->left, n, sizeof it->left[0], compare);
	it->n = 0;
	for (size_t i = 0; i < n; i++)
		if (i == 0 || it->left[i].job != it->left[it->n - 1].job)
			it->left[it->n++] = it->left[i];
	return it;
}

/* Of those that are done, the one that was first; otherwise n. */
static size_t find_first(mpx_as_completed *it, bool thorough)
{
	size_t first = it->n;

	for (size_t i = 0; i < it->n; i++)
		if (is_done(it->left[i].job, thorough) &&
		    (first == it->n || it->left[i].job->ready_at < it->left[first].job->ready_at))
			first = i;
	return first;
}

static bool has_first(void *arg, bool thorough)
{
	mpx_as_completed *it = arg;

	return find_first(it, thorough) < it->n;
}

static bool has_first_now(void *arg)
{
	return has_first(arg, false);
}

int mpx_as_completed_next(mpx_as_completed *it, size_t *which, double timeout)
{
	int64_t deadline;
	size_t first;
	int error;

	if (!mpx__handle_is(&handles, it))
		return -1;
	error = mpx__deadline(timeout, &deadline);
	if (error) {
		errno = error;
		return -1;
	}
	if (it->n == 0)
		return 0;
	error = wait_until(has_first, has_first_now, it, deadline);
	if (error) {
		errno = error;
		return -1;
	}
	first = find_first(it, false);
	if (which)
		*which = it->left[first].which;
	it->left[first] = it->left[--it->n];
	return 1;
}

void mpx_as_completed_free(mpx_as_completed *it)
{
	if (!it || !mpx__handle_is(&handles, it))
		return;
	free(it->left);
	mpx__handle_free(it);
}
