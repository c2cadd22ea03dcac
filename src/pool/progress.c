/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * Progress is what can be seen from outside: the words of a job's chunks, and for a
 * chunk that is being worked on, the item at which its worker is. So workers count
 * nothing, and a look costs those chunks that are neither done nor not begun.
 */
#include "pool/progress.h"

#include "base/deadline.h"
#include "pool/pool.h"
#include "shm/peers.h"

#define INTERVAL INT64_C(100000000)

void mpx__meter_begin(struct mpx__meter *m, const mpx_task_options *options)
{
	if (!options->progress)
		return;
	m->fn = options->progress;
	m->user = options->user;
	m->process = mpx__self();
	m->begun = mpx__os_now();
	atomic_store(&m->next, m->begun + INTERVAL);
}

bool mpx__meter_due_slowly(struct mpx__meter *m, bool finished)
{
	if ((!finished && mpx__os_now() < atomic_load(&m->next)) || m->process != mpx__self() ||
	    atomic_exchange(&m->taken, 1))
		return false;
	if (!m->told)
		return true;
	atomic_store(&m->taken, 0);
	return false;
}

void mpx__meter_tell(struct mpx__meter *m, size_t done, size_t failed, size_t total, bool finished)
{
	mpx_progress p = {.failed = failed, .total = total, .left = -1, .finished = finished};

	/* An item that is tried again after a death was seen to have begun. */
	if (done > m->done)
		m->done = done;
	m->told = finished;
	p.done = m->done;
	p.seconds = (double)(mpx__os_now() - m->begun) / 1e9;
	p.rate = p.seconds > 0 ? (double)p.done / p.seconds : 0;
	if (total && p.rate > 0)
		p.left = (double)(total - p.done) / p.rate;
	m->fn(m->user, &p);
	atomic_store(&m->next, mpx__os_now() + INTERVAL);
	atomic_store(&m->taken, 0);
}

/* --- jobs --------------------------------------------------------------------------- */

/* How many items of chunk c are done by who runs it. */
static size_t done_by(mpx_pool *pool, struct mpx_result *job, size_t c, size_t size)
{
	size_t first = c * job->chunksize, done = 0;

	for (int i = 0; i < atomic_load(&pool->used); i++) {
		struct mpx__worker *w = &pool->worker[i];
		size_t item;

		if (atomic_load_explicit(&w->job, memory_order_relaxed) != job ||
		    atomic_load_explicit(&w->chunk, memory_order_relaxed) != c)
			continue;
		item = (size_t)atomic_load_explicit(&w->item, memory_order_relaxed);
		if (item >= first + done && item - first < size)
			done = item - first;
	}
	return done;
}

static size_t done_of_chunk(mpx_pool *pool, struct mpx_result *job, size_t c)
{
	uint64_t word = atomic_load_explicit(&job->chunk[c], memory_order_relaxed);
	size_t first = c * job->chunksize, from = mpx__chunk_from(word), item;
	size_t size = job->n - first < job->chunksize ? job->n - first : job->chunksize;

	if (mpx__chunk_owner(word) == MPX__CHUNK_DONE)
		return size;
	if (mpx__chunk_owner(word) == MPX__CHUNK_PENDING)
		return from;
	item = done_by(pool, job, c, size);
	return item > from ? item : from;
}

static size_t count_done(mpx_pool *pool, struct mpx_result *job)
{
	struct mpx__meter *m = &job->meter;
	size_t cursor = (size_t)atomic_load_explicit(&job->cursor, memory_order_relaxed), done;

	/* A death sets the cursor back. */
	if (cursor > m->seen)
		m->seen = cursor < job->chunks ? cursor : job->chunks;
	while (m->scanned < m->seen &&
	       mpx__chunk_owner(atomic_load_explicit(&job->chunk[m->scanned],
						     memory_order_relaxed)) == MPX__CHUNK_DONE)
		m->scanned++;
	done = m->scanned == job->chunks ? job->n : m->scanned * job->chunksize;
	for (size_t c = m->scanned; c < m->seen; c++)
		done += done_of_chunk(pool, job, c);
	return done;
}

void mpx__progress(struct mpx_result *job, bool finished)
{
	if (mpx__meter_due(&job->meter, finished))
		mpx__meter_tell(&job->meter, finished ? job->n : count_done(job->pool, job),
				atomic_load(&job->failures), job->n, finished);
}
