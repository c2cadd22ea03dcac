/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * multiprocessing.Queue: put, get and the rest. See queue.h for who writes what, and
 * queue_recover.c for what the notes are good for.
 */
#include "ipc/queue.h"

#include "base/deadline.h"
#include "base/options.h"
#include "shm/family.h"
#include "shm/guard.h"
#include "sync/eventcount.h"

#include <errno.h>
#include <string.h>

/* Units of the first ring and of those that follow when it has become too small. */
enum { FIRST_UNITS = 8192, NEXT_UNITS = 131072 };

static bool is_queue(const mpx_queue *q)
{
	return mpx__object_is(q, sizeof *q, MPX__QUEUE);
}

/* Can a call go on with these? If so, its deadline; otherwise false, with EINVAL. */
static bool usable(const mpx_queue *q, const void *buf, size_t size, double timeout,
		   int64_t *deadline)
{
	if (!is_queue(q))
		return false;
	if (mpx__deadline(timeout, deadline) == 0 && (buf || !size))
		return true;
	errno = EINVAL;
	return false;
}

static int fail(int error)
{
	errno = error;
	return -1;
}

/* --- rings ------------------------------------------------------------------------- */

static struct mpx__ring *new_ring(uint32_t units, uint32_t count)
{
	struct mpx__ring *ring = mpx__heap_alloc(sizeof *ring + (size_t)units * 8, mpx__self());

	if (!ring)
		return NULL;
	memset(ring, 0, sizeof *ring);
	mpx__ring_init(ring, units, count);
	return ring;
}

/* Frees the rings that consumers have left. By the producers' guard's holder. */
static void free_left_rings(mpx_queue *q)
{
	while (q->p.oldest != atomic_load(&q->c.ring)) {
		struct mpx__ring *ring = q->p.oldest;

		mpx__note(&q->p.left_ring, ring);
		q->p.oldest = atomic_load(&ring->next);
		MPX__THEN;
		mpx__free_noted(&q->p.left_ring, mpx__queue_tag(q));
	}
}

/* --- waiting -------------------------------------------------------------------------- */

static bool full_for(mpx_queue *q, size_t size)
{
	if (q->maxsize && mpx__queue_count(q) >= q->maxsize)
		return true;
	return q->limit && atomic_load(&q->p.bytes) - atomic_load(&q->c.bytes) + size > q->limit;
}

/* What who waits waits for. */
struct waiter {
	mpx_queue *queue;
	size_t size; /* of the message to put */
};

static bool may_put(void *arg)
{
	struct waiter *w = arg;

	return !full_for(w->queue, w->size) || atomic_load(&w->queue->closed);
}

static bool may_get(void *arg)
{
	mpx_queue *q = arg;

	return mpx__queue_count(q) || atomic_load(&q->closed);
}

/* --- put -------------------------------------------------------------------------------- */

/* Under the guard: links a ring that begins with the message. */
static int append_to_fresh_ring(mpx_queue *q, const void *msg, size_t size, void *block)
{
	struct mpx__ring *last = q->p.ring;
	uint32_t count = mpx__position_count(atomic_load(&last->tail));
	struct mpx__ring *ring = new_ring(NEXT_UNITS, count);
	uint64_t tail;

	if (!ring)
		return errno;
	ring->serial = mpx__heap_serial(ring);
	mpx__ring_write(ring, msg, size, block, &tail);
	mpx__ring_commit(ring, tail);
	mpx__note(&q->p.fresh_ring, ring);
	mpx__heap_retag(ring, mpx__self(), mpx__queue_tag(q));
	atomic_store_explicit(&last->next, ring, memory_order_release); /* commits */
	MPX__THEN;
	q->p.ring = ring;
	mpx__forget(&q->p.fresh_ring);
	free_left_rings(q);
	return 0;
}

/* Under the guard: everything or nothing, by one store. */
static int append(mpx_queue *q, const void *msg, size_t size, void *block)
{
	struct mpx__queue_producers *p = &q->p;
	uint64_t tail;
	int error = 0;

	if (atomic_load_explicit(&q->watchers, memory_order_relaxed))
		error = mpx__queue_ring(q);
	if (error)
		return error;
	p->bytes_before = atomic_load_explicit(&p->bytes, memory_order_relaxed);
	MPX__THEN;
	p->tail_before = atomic_load_explicit(&p->ring->tail, memory_order_relaxed);
	if (block) {
		mpx__note(&p->message, block);
		mpx__heap_retag(block, mpx__self(), mpx__queue_tag(q));
	}
	MPX__THEN;
	atomic_store_explicit(&p->bytes, p->bytes_before + size, memory_order_relaxed);
	if (mpx__ring_write(p->ring, msg, size, block, &tail))
		mpx__ring_commit(p->ring, tail);
	else
		error = append_to_fresh_ring(q, msg, size, block);
	if (error) {
		atomic_store_explicit(&p->bytes, p->bytes_before, memory_order_relaxed);
		if (block)
			mpx__heap_retag(block, mpx__queue_tag(q), mpx__self());
	} else {
		atomic_store_explicit(&p->count, mpx__position_count(p->tail_before) + 1,
				      memory_order_release);
	}
	if (block)
		mpx__forget(&p->message);
	return error;
}

static int put(mpx_queue *q, const void *msg, size_t size, void *block, int64_t deadline)
{
	struct waiter w = {q, size};
	struct mpx__slice slice = {0};

	for (;;) {
		int error = mpx__queue_guard_producers(q, deadline);

		if (error)
			return error;
		if (atomic_load_explicit(&q->closed, memory_order_relaxed))
			error = EPIPE;
		else if (full_for(q, size))
			error = ETIMEDOUT;
		else
			error = append(q, msg, size, block);
		mpx__guard_release(&q->p.guard);
		if (error != ETIMEDOUT)
			return error;
		mpx__queue_catch_up(q);
		if (!mpx__event_wait_until(&q->space, may_put, &w, &slice, deadline))
			return ETIMEDOUT;
	}
}

int mpx_queue_put(mpx_queue *q, const void *msg, size_t size, double timeout)
{
	int64_t deadline;
	void *block = NULL;
	int error;

	if (!usable(q, msg, size, timeout, &deadline))
		return -1;
	if (q->limit && size > q->limit)
		return fail(EMSGSIZE);
	if (size > MPX__RING_INLINE) {
		block = mpx__heap_alloc(size, mpx__self());
		if (!block)
			return -1;
		memcpy(block, msg, size);
	}
	error = put(q, msg, size, block, deadline);
	if (error) {
		if (block)
			mpx__heap_free(block, mpx__self());
		return fail(error);
	}
	mpx__event_post(&q->items, false);
	return 0;
}

/* --- get -------------------------------------------------------------------------------- */

/* Under the guard: the oldest message, going on to the next ring if need be. */
static bool find_oldest(mpx_queue *q, struct mpx__record *record)
{
	for (;;) {
		struct mpx__ring *ring = atomic_load_explicit(&q->c.ring, memory_order_relaxed);
		struct mpx__ring *next = atomic_load_explicit(&ring->next, memory_order_acquire);

		if (mpx__ring_read(ring, record))
			return true;
		if (!next)
			return false;
		q->c.head_before = atomic_load(&next->head);
		MPX__THEN;
		atomic_store(&q->c.ring, next);
	}
}

/* Under the guard: the message is the caller's. Afterwards, if it is in a block,
 * the block is tagged with the caller's id. */
static void take(mpx_queue *q, const struct mpx__record *record)
{
	struct mpx__queue_consumers *c = &q->c;
	struct mpx__ring *ring = atomic_load_explicit(&c->ring, memory_order_relaxed);

	c->head_before = atomic_load_explicit(&ring->head, memory_order_relaxed);
	MPX__THEN;
	c->bytes_after = atomic_load_explicit(&c->bytes, memory_order_relaxed) + record->size;
	if (record->block)
		mpx__note(&c->message, record->block);
	MPX__THEN;
	mpx__ring_take(ring, record); /* commits */
	MPX__THEN;
	atomic_store_explicit(&c->bytes, c->bytes_after, memory_order_relaxed);
	atomic_store_explicit(&c->count, mpx__position_count(record->after), memory_order_release);
	if (record->block) {
		mpx__heap_retag(record->block, mpx__queue_tag(q), mpx__self());
		mpx__forget(&c->message);
	}
}

/* Frees rings that have been left, unless a producer is at work, who will. */
static void tidy(mpx_queue *q)
{
	if (mpx__queue_guard_producers(q, 0) == 0) {
		free_left_rings(q);
		mpx__guard_release(&q->p.guard);
	}
}

/* Takes the oldest message into buf, or only its size if peek. */
static int get(mpx_queue *q, void *buf, size_t cap, bool peek, int64_t deadline, size_t *size)
{
	struct mpx__slice slice = {0};
	struct mpx__record record;
	struct mpx__ring *ring;

	for (;;) {
		bool closed = atomic_load(&q->closed), found;
		int error = mpx__queue_guard_consumers(q, deadline);

		if (error)
			return error;
		ring = atomic_load_explicit(&q->c.ring, memory_order_relaxed);
		found = find_oldest(q, &record);
		if (found && !peek && record.size > cap) {
			error = EMSGSIZE;
		} else if (found && !peek) {
			if (!record.block && record.size)
				memcpy(buf, record.bytes, record.size);
			take(q, &record);
		}
		mpx__guard_release(&q->c.guard);
		if (ring != atomic_load_explicit(&q->c.ring, memory_order_relaxed))
			tidy(q);
		if (found) {
			*size = record.size;
			break;
		}
		if (closed)
			return EPIPE;
		/* Who polls was woken before the message was there. */
		if (atomic_load_explicit(&q->watchers, memory_order_relaxed)) {
			mpx__queue_settle(q);
			if (mpx__queue_count(q) || atomic_load(&q->closed) != closed)
				continue;
		}
		if (!mpx__event_wait_until(&q->items, may_get, q, &slice, deadline))
			return ETIMEDOUT;
	}
	if (peek)
		return 0;
	if (record.size > cap)
		return EMSGSIZE;
	if (record.block) {
		memcpy(buf, record.block, record.size);
		mpx__heap_free(record.block, mpx__self());
	}
	if (q->maxsize || q->limit)
		mpx__event_post(&q->space, q->limit != 0);
	if (atomic_load_explicit(&q->watchers, memory_order_relaxed) && !mpx__queue_count(q))
		mpx__queue_settle(q);
	return 0;
}

ssize_t mpx_queue_get(mpx_queue *q, void *buf, size_t cap, double timeout)
{
	int64_t deadline;
	size_t size;
	int error;

	if (!usable(q, buf, cap, timeout, &deadline))
		return -1;
	error = get(q, buf, cap, false, deadline, &size);
	return error ? fail(error) : (ssize_t)size;
}

ssize_t mpx_queue_next_size(mpx_queue *q, double timeout)
{
	int64_t deadline;
	size_t size;
	int error;

	if (!usable(q, NULL, 0, timeout, &deadline))
		return -1;
	error = get(q, NULL, 0, true, deadline, &size);
	return error ? fail(error) : (ssize_t)size;
}

/* --- the rest --------------------------------------------------------------------------- */

ssize_t mpx_queue_qsize(mpx_queue *q)
{
	if (!is_queue(q))
		return -1;
	mpx__queue_catch_up(q);
	return (ssize_t)mpx__queue_count(q);
}

bool mpx_queue_empty(mpx_queue *q)
{
	return mpx_queue_qsize(q) == 0;
}

bool mpx_queue_full(mpx_queue *q)
{
	return mpx_queue_qsize(q) >= 0 && full_for(q, 1);
}

int mpx_queue_close(mpx_queue *q)
{
	int error;

	if (!is_queue(q))
		return -1;
	error = mpx__queue_guard_producers(q, MPX__SOON);
	if (error)
		return fail(error);
	error = mpx__queue_ring(q);
	if (!error)
		atomic_store(&q->closed, 1);
	mpx__guard_release(&q->p.guard);
	mpx__event_post(&q->items, true);
	mpx__event_post(&q->space, true);
	return error ? fail(error) : 0;
}

mpx_queue *mpx_queue_create(const mpx_queue_options *options)
{
	mpx_queue_options o = {0};
	struct mpx__ring *ring;
	mpx_queue *q;

	if (!mpx__options(&o, sizeof o, options) || o.maxsize > INT32_MAX) {
		errno = EINVAL;
		return NULL;
	}
	q = mpx__object_new(sizeof *q, MPX__QUEUE);
	if (!q)
		return NULL;
	ring = new_ring(FIRST_UNITS, 0);
	if (!ring) {
		mpx__object_free(q);
		return NULL;
	}
	mpx__heap_retag(ring, mpx__self(), mpx__queue_tag(q));
	q->maxsize = (uint32_t)o.maxsize;
	q->limit = o.bytes;
	q->serial = mpx__heap_serial(q);
	q->p.ring = q->p.oldest = ring;
	atomic_store(&q->c.ring, ring);
	return q;
}

void mpx_queue_free(mpx_queue *q)
{
	struct mpx__record record;
	struct mpx__ring *ring, *next;

	if (!q || !is_queue(q))
		return;
	mpx__queue_unwatch(q);
	/* If somebody died inside, this puts things right first. */
	mpx__queue_guard_producers(q, MPX__SOON);
	mpx__queue_guard_consumers(q, MPX__SOON);
	while (find_oldest(q, &record)) {
		take(q, &record);
		if (record.block)
			mpx__heap_free(record.block, mpx__self());
	}
	for (ring = q->p.oldest; ring; ring = next) {
		next = atomic_load(&ring->next);
		mpx__heap_free(ring, mpx__queue_tag(q));
	}
	mpx__object_free(q);
}
