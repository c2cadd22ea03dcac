/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 */
#include "pool/pool.h"

#include "base/log.h"
#include "shm/family.h"
#include "shm/word.h"
#include "sync/eventcount.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define THEN atomic_signal_fence(memory_order_seq_cst)

bool mpx__is_pool(const mpx_pool *pool)
{
	return mpx__object_is(pool, sizeof *pool, MPX__POOL);
}

/* --- the lock and its recovery ---------------------------------------------------- */

static void free_all_forgotten(mpx_pool *pool);
static void remove_and_free(mpx_pool *pool, struct mpx_result *job);
static void finish_failing(mpx_pool *pool);
static void finish_stopping(mpx_pool *pool);
static void finish_aborting(mpx_pool *pool);

/* The holder died: what is not truth is made from it, and the job that was being added
 * or removed is freed (nobody else knows of it), and so are those that the holder was about
 * to free. */
static void recover(mpx_pool *pool)
{
	struct mpx_result *noted = atomic_load(&pool->noted), *before = NULL;
	bool in_all = false;

	for (struct mpx_result *job = pool->all; job; before = job, job = job->all_next) {
		job->all_prev = before;
		job->listed = false;
		in_all = in_all || job == noted;
	}
	pool->pending_last = NULL;
	for (struct mpx_result *job = pool->pending; job; job = job->next) {
		job->listed = true;
		job->prev = pool->pending_last;
		pool->pending_last = job;
	}
	if (noted && in_all)
		remove_and_free(pool, noted);
	else if (noted)
		mpx__heap_free_noted(noted, MPX__TAG_OBJECT, pool->noted_serial);
	atomic_store(&pool->noted, NULL);
	finish_failing(pool);
	finish_stopping(pool);
	finish_aborting(pool);
	free_all_forgotten(pool);
	mpx__word_consistent(&pool->lock);
}

int mpx__pool_lock(mpx_pool *pool)
{
	int error = mpx__word_acquire(&pool->lock, INT64_MAX);

	if (error != EOWNERDEAD)
		return error;
	recover(pool);
	mpx__log_note(MPX__LOG_POOL, pool);
	return 0;
}

/* It has been freed: only who has one of its jobs still knows of it. */
static bool is_ended(mpx_pool *pool)
{
	return atomic_load_explicit(&pool->object.type, memory_order_relaxed) != MPX__POOL;
}

void mpx__pool_unlock(mpx_pool *pool)
{
	if (is_ended(pool) && !pool->all) {
		mpx__heap_retag(pool, MPX__TAG_OBJECT, mpx__self());
		mpx__object_free_own(pool);
	} else {
		mpx__word_release(&pool->lock);
	}
	mpx__log_tell();
}

/* --- lists -------------------------------------------------------------------------- */

static void note(mpx_pool *pool, struct mpx_result *job)
{
	pool->noted_serial = mpx__heap_serial(job);
	THEN;
	atomic_store(&pool->noted, job);
	THEN;
}

/* Whoever is behind this job, or the end of the list, has that one before it. */
static void set_prev_of_next(mpx_pool *pool, struct mpx_result *job, struct mpx_result *before)
{
	if (job->next)
		job->next->prev = before;
	else
		pool->pending_last = before;
}

/* Behind all of its priority. */
static void append_pending(mpx_pool *pool, struct mpx_result *job)
{
	struct mpx_result *before = pool->pending_last;

	if (before && before->priority < job->priority) {
		before = NULL;
		for (struct mpx_result *j = atomic_load(&pool->pending);
		     j->priority >= job->priority; j = j->next)
			before = j;
	}
	job->prev = before;
	job->next = before ? before->next : atomic_load(&pool->pending);
	job->listed = true;
	THEN;
	if (before)
		before->next = job;
	else
		atomic_store(&pool->pending, job);
	THEN;
	set_prev_of_next(pool, job, job);
}

static void prepend_pending(mpx_pool *pool, struct mpx_result *job)
{
	job->prev = NULL;
	job->next = atomic_load(&pool->pending);
	job->listed = true;
	THEN;
	atomic_store(&pool->pending, job);
	THEN;
	set_prev_of_next(pool, job, job);
}

static void remove_pending(mpx_pool *pool, struct mpx_result *job)
{
	if (!job->listed)
		return;
	if (job->prev)
		job->prev->next = job->next;
	else
		atomic_store(&pool->pending, job->next);
	THEN;
	set_prev_of_next(pool, job, job->prev);
	job->listed = false;
}

/* Of a job, by its peer id, if there is one. */
static void note_guest(mpx_pool *pool, uint32_t id)
{
	if (id && id != pool->creator)
		atomic_store_explicit(&pool->guests, 1, memory_order_relaxed);
}

void mpx__job_add(mpx_pool *pool, struct mpx_result *job)
{
	note(pool, job);
	mpx__heap_retag(job, mpx__self(), MPX__TAG_OBJECT);
	job->all_prev = NULL;
	job->all_next = pool->all;
	THEN;
	pool->all = job;
	THEN;
	if (job->all_next)
		job->all_next->all_prev = job;
	note_guest(pool, job->waiter);
	note_guest(pool, atomic_load(&job->caller));
	append_pending(pool, job);
	THEN;
	atomic_store(&pool->noted, NULL);
}

/* With the last job of a pool that has been freed goes the pool, see mpx__pool_unlock: nobody
 * comes then who would finish what a dead one began, so both go with the process. */
static void remove_last(mpx_pool *pool, struct mpx_result *job)
{
	atomic_store(&job->object.type, 0);
	THEN;
	mpx__heap_retag(pool, MPX__TAG_OBJECT, mpx__self());
	mpx__heap_retag(job, MPX__TAG_OBJECT, mpx__self());
	pool->all = NULL;
	mpx__object_free_own(job);
}

static void remove_and_free(mpx_pool *pool, struct mpx_result *job)
{
	remove_pending(pool, job);
	mpx__bytes_free_all(job);
	if (is_ended(pool) && pool->all == job && !job->all_next) {
		remove_last(pool, job);
		return;
	}
	note(pool, job);
	if (job->all_prev)
		job->all_prev->all_next = job->all_next;
	else
		pool->all = job->all_next;
	THEN;
	if (job->all_next)
		job->all_next->all_prev = job->all_prev;
	mpx__object_free(job);
	THEN;
	atomic_store(&pool->noted, NULL);
}

/* --- claiming and completion ----------------------------------------------------------- */

struct mpx_result *mpx__job_first(mpx_pool *pool)
{
	struct mpx_result *job;

	while ((job = pool->pending) &&
	       (atomic_load(&job->cursor) >= job->chunks || atomic_load(&job->ready)))
		remove_pending(pool, job);
	return job;
}

static void make_ready(mpx_pool *pool, struct mpx_result *job)
{
	job->ready_at = mpx__os_now();
	if (pool->trace)
		mpx__trace_ready(pool, job);
	atomic_store_explicit(&job->ready, 1, memory_order_release);
	remove_pending(pool, job); /* not before: dying in between would lose it */
	mpx__event_post(&job->event, true);
	mpx__event_post(&mpx__family_base->done, true);
}

static void make_ready_if_done(mpx_pool *pool, struct mpx_result *job)
{
	if (atomic_load(&job->ready))
		return;
	while (job->scanned < job->chunks &&
	       mpx__chunk_owner(atomic_load_explicit(&job->chunk[job->scanned],
						     memory_order_acquire)) == MPX__CHUNK_DONE)
		job->scanned++;
	if (job->scanned == job->chunks)
		make_ready(pool, job);
}

size_t mpx__job_waiting(mpx_pool *pool, size_t most)
{
	size_t n = 0;

	for (struct mpx_result *job = pool->pending; job && n < most; job = job->next) {
		uint64_t cursor = atomic_load(&job->cursor);

		n += cursor < job->chunks ? job->chunks - (size_t)cursor : 0;
	}
	return n < most ? n : most;
}

uint64_t mpx__job_queued(mpx_pool *pool)
{
	uint64_t n = 0;

	for (struct mpx_result *job = pool->pending; job; job = job->next) {
		uint64_t cursor = atomic_load(&job->cursor);

		n += cursor < job->chunks ? job->n - (size_t)cursor * job->chunksize : 0;
	}
	return n;
}

static bool in_use(mpx_pool *pool, struct mpx_result *job)
{
	for (int i = 0; i < pool->used; i++)
		if (atomic_load(&pool->worker[i].job) == job)
			return true;
	return false;
}

static void free_if_forgotten(mpx_pool *pool, struct mpx_result *job)
{
	if (job->detached && !atomic_load(&job->caller) && atomic_load(&job->ready) &&
	    !in_use(pool, job))
		remove_and_free(pool, job);
}

static void free_all_forgotten(mpx_pool *pool)
{
	struct mpx_result *next;

	for (struct mpx_result *job = pool->all; job; job = next) {
		next = job->all_next;
		free_if_forgotten(pool, job);
	}
}

void mpx__job_leave(mpx_pool *pool, struct mpx__worker *w)
{
	struct mpx_result *job = atomic_load(&w->job);

	if (!job)
		return;
	make_ready_if_done(pool, job);
	atomic_store(&w->job, NULL);
	free_if_forgotten(pool, job);
}

void mpx__job_detach(mpx_pool *pool, struct mpx_result *job)
{
	job->detached = true;
	free_if_forgotten(pool, job);
}

bool mpx__job_keep(mpx_pool *pool, struct mpx_result *job)
{
	uint32_t me = mpx__self();

	if (atomic_load(&job->caller))
		return atomic_load(&job->caller) == me;
	note_guest(pool, me);
	THEN;
	atomic_store(&job->caller, me);
	return true;
}

void mpx__job_let_go(mpx_pool *pool, struct mpx_result *job)
{
	atomic_store(&job->caller, 0);
	THEN;
	free_if_forgotten(pool, job);
}

void mpx__job_join(struct mpx__worker *w, struct mpx_result *job)
{
	atomic_store(&w->told, 0);
	THEN;
	atomic_store(&w->job, job);
}

/* --- failure ------------------------------------------------------------------------------ */

/* Written beside the one that counts, then made the one that counts. */
static void set_failure(struct mpx_result *job, const mpx_failure *failure)
{
	uint32_t other = atomic_load(&job->failed) == 1 ? 1 : 0;

	job->failure[other] = *failure;
	atomic_store_explicit(&job->failed, 1 + other, memory_order_release);
}

/* No more of it is begun: chunks that nobody has are done. */
static void stop(struct mpx_result *job)
{
	atomic_store(&job->stopped, 1);
	atomic_store(&job->cursor, job->chunks);
	for (size_t c = job->scanned; c < job->chunks; c++) {
		uint64_t word = atomic_load(&job->chunk[c]);

		if (mpx__chunk_owner(word) == MPX__CHUNK_PENDING)
			atomic_compare_exchange_strong(&job->chunk[c], &word,
						       mpx__chunk_word(MPX__CHUNK_DONE, 0, 0));
	}
}

/* Who stopped a job may have died on the way. */
static void finish_stopping(mpx_pool *pool)
{
	for (struct mpx_result *job = pool->all; job; job = job->all_next)
		if (atomic_load(&job->stopped) && !atomic_load(&job->ready))
			mpx__job_stop(pool, job);
}

void mpx__job_stop(mpx_pool *pool, struct mpx_result *job)
{
	stop(job);
	make_ready_if_done(pool, job);
}

static void stop_if_enough(struct mpx_result *job)
{
	if (job->failures_max && job->failures >= job->failures_max)
		stop(job);
}

/* All that may be done twice comes first. An item is counted once also if its worker dies
 * then, and is found at it: told says so, by one store, which whoever finds the lock of the
 * dead takes for the count itself. */
void mpx__job_fail(struct mpx_result *job, struct mpx__worker *w, const mpx_failure *failure)
{
	uint32_t failed = atomic_load(&job->failed);

	if (job->errors && !job->errors[failure->index])
		job->errors[failure->index] = failure->error;
	if (!failed || job->failure[failed - 1].index > failure->index)
		set_failure(job, failure);
	atomic_store(&w->told, 0);
	THEN;
	w->told_failures = job->failures + 1;
	THEN;
	atomic_store(&w->told, failure->index + 1);
	THEN;
	job->failures = w->told_failures;
	stop_if_enough(job);
	job->pool->failed++;
}

static void finish_failing(mpx_pool *pool)
{
	for (int i = 0; i < pool->used; i++) {
		struct mpx__worker *w = &pool->worker[i];
		struct mpx_result *job = atomic_load(&w->job);

		if (!job || !atomic_load(&w->told) || atomic_load(&job->ready))
			continue;
		if (job->failures < w->told_failures)
			job->failures = w->told_failures;
		stop_if_enough(job);
	}
}

/* To the first chunk that nobody runs or has run; a worker that died, or leaves, has left
 * those behind the cursor that it had claimed. */
static void rewind_cursor(mpx_pool *pool, struct mpx_result *job)
{
	size_t c = job->scanned;

	while (c < job->chunks &&
	       mpx__chunk_owner(atomic_load(&job->chunk[c])) != MPX__CHUNK_PENDING)
		c++;
	if (c == job->chunks)
		return;
	atomic_store(&job->cursor, c);
	if (!job->listed)
		prepend_pending(pool, job);
	mpx__event_post(&pool->work, true);
}

void mpx__job_give_back(mpx_pool *pool, struct mpx_result *job)
{
	if (!atomic_load(&job->ready))
		rewind_cursor(pool, job);
}

/* The item that was running is tried again or has failed; the rest of the chunk is
 * anybody's. */
static uint64_t word_after_death(struct mpx_result *job, struct mpx__worker *w, size_t c,
				 mpx_failure *how)
{
	size_t item = (size_t)atomic_load(&w->item), first = c * job->chunksize;
	uint32_t attempts = atomic_load(&w->attempts) + 1;
	bool told = atomic_load(&w->told) == item + 1;

	how->index = item;
	if (!told && attempts > job->retries)
		mpx__job_fail(job, w, how);
	if (told || attempts > job->retries) {
		item++;
		attempts = 0;
	}
	if (item == job->n || item - first == job->chunksize || atomic_load(&job->stopped))
		return mpx__chunk_word(MPX__CHUNK_DONE, 0, 0);
	return mpx__chunk_word(MPX__CHUNK_PENDING, attempts, (uint32_t)(item - first));
}

bool mpx__job_worker_died(mpx_pool *pool, struct mpx__worker *w, uint32_t id, mpx_failure *how)
{
	struct mpx_result *job = atomic_load(&w->job);
	uint64_t c = atomic_load(&w->chunk), word;
	bool again = false;

	pool->died += job || how->exit_status != 0;
	if (!job)
		return false;
	mpx__bytes_settle(job, w);
	if (!atomic_load(&job->ready)) {
		word = c < job->chunks ? atomic_load(&job->chunk[c]) : 0;
		if (word && mpx__chunk_owner(word) == id) {
			mpx__bytes_drop(job, w, (size_t)atomic_load(&w->item));
			word = word_after_death(job, w, (size_t)c, how);
			atomic_store(&job->chunk[c], word);
			again = mpx__chunk_owner(word) == MPX__CHUNK_PENDING &&
				mpx__chunk_attempts(word) > 0;
		}
		rewind_cursor(pool, job);
	}
	mpx__job_leave(pool, w);
	pool->retried += again;
	return again;
}

/* It has been said that it is. */
static void finish_cancelling(mpx_pool *pool, struct mpx_result *job)
{
	mpx_failure failure = {.index = job->scanned * job->chunksize, .error = ECANCELED};

	failure.exit_status = -1;
	snprintf(failure.message, sizeof failure.message, "cancelled");
	for (int i = 0; i < pool->used && pool->backend == MPX_BACKEND_PROCESSES; i++)
		if (atomic_load(&pool->worker[i].job) == job)
			atomic_store(&pool->worker[i].condemned, ECANCELED);
	set_failure(job, &failure);
	make_ready(pool, job);
	atomic_store(&job->stopped, 1); /* for workers that nobody can end */
}

bool mpx__job_cancel(mpx_pool *pool, struct mpx_result *job)
{
	if (atomic_load(&job->ready))
		return false;
	job->aborted = ECANCELED;
	THEN;
	finish_cancelling(pool, job);
	return true;
}

/* Likewise who cancelled one, or all of them. */
static void finish_aborting(mpx_pool *pool)
{
	bool all = atomic_load(&pool->state) == MPX__POOL_TERMINATED;

	for (struct mpx_result *job = pool->all; job && !all; job = job->all_next)
		if (job->aborted && !atomic_load(&job->ready))
			finish_cancelling(pool, job);
	if (all)
		mpx__job_fail_all(pool, pool->broken ? (int)pool->broken : ECANCELED,
				  "the pool was terminated");
}

bool mpx__job_has_begun(mpx_pool *pool, struct mpx_result *job)
{
	return atomic_load(&job->cursor) != 0 || in_use(pool, job);
}

void mpx__job_cancel_waiting(mpx_pool *pool)
{
	struct mpx_result *next;

	for (struct mpx_result *job = pool->all; job; job = next) {
		next = job->all_next;
		if (!mpx__job_has_begun(pool, job) && mpx__job_cancel(pool, job))
			free_if_forgotten(pool, job);
	}
}

void mpx__job_fail_all(mpx_pool *pool, int error, const char *message)
{
	mpx_failure failure = {.error = error, .exit_status = -1};
	struct mpx_result *next;

	snprintf(failure.message, sizeof failure.message, "%s", message);
	for (struct mpx_result *job = pool->all; job; job = next) {
		next = job->all_next;
		if (atomic_load(&job->ready))
			continue;
		failure.index = job->scanned * job->chunksize;
		job->aborted = error;
		THEN;
		if (!atomic_load(&job->failed) ||
		    job->failure[job->failed - 1].index > failure.index)
			set_failure(job, &failure);
		THEN;
		make_ready(pool, job);
		atomic_store(&job->stopped, 1);
		free_if_forgotten(pool, job);
	}
}

/* Is it the user's, or has somebody callbacks of it to come? */
static bool is_wanted(struct mpx_result *job)
{
	uint32_t caller = atomic_load(&job->caller);

	if (caller && caller != mpx__self() && mpx__peer_dead(caller))
		atomic_store(&job->caller, caller = 0);
	return caller || !(job->detached || (job->waiter && mpx__peer_dead(job->waiter)));
}

void mpx__job_orphan_all(mpx_pool *pool)
{
	struct mpx_result *job, *next;

	for (int i = 0; i < pool->used; i++) {
		job = atomic_load(&pool->worker[i].job);
		if (job)
			mpx__bytes_settle(job, &pool->worker[i]);
		atomic_store(&pool->worker[i].job, NULL);
	}
	for (job = pool->all; job; job = next) {
		next = job->all_next;
		if (!is_wanted(job))
			remove_and_free(pool, job);
	}
	atomic_store(&pool->object.type, 0);
}
