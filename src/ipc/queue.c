/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * multiprocessing.Queue: its life, and how full it is. See queue.h for who writes what.
 */
#include "ipc/queue.h"

#include "base/deadline.h"
#include "base/options.h"
#include "shm/guard.h"
#include "sync/eventcount.h"

#include <errno.h>

/* Units of the first ring. */
enum { FIRST_UNITS = 8192 };

static int fail(int error)
{
	errno = error;
	return -1;
}

ssize_t mpx_queue_qsize(mpx_queue *q)
{
	if (!mpx__is_queue(q))
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
	return mpx_queue_qsize(q) >= 0 && !mpx__queue_room(q, 1, 1);
}

int mpx_queue_close(mpx_queue *q)
{
	int error;

	if (!mpx__is_queue(q))
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
	ring = mpx__queue_new_ring(FIRST_UNITS, 0);
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
	mpx__queue_look_here(q);
	return q;
}

void mpx_queue_free(mpx_queue *q)
{
	struct mpx__record record;
	struct mpx__ring *ring, *next;

	if (!q || !mpx__is_queue(q))
		return;
	mpx__queue_unwatch(q);
	/* If somebody died inside, this puts things right first. */
	mpx__queue_guard_producers(q, MPX__SOON);
	mpx__queue_guard_consumers(q, MPX__SOON);
	while (mpx__queue_oldest_ring(q, &record)) {
		mpx__queue_take(q, record.after, 1, record.size, record.block);
		if (record.block)
			mpx__heap_free(record.block, mpx__self());
	}
	/* Nothing is left but one ring, unless somebody is stopped inside. From here on all
	 * is this process's own, and goes with it if it dies. */
	mpx__queue_free_left_rings(q);
	atomic_store(&q->object.type, 0);
	for (ring = q->p.oldest; ring; ring = next) {
		next = atomic_load(&ring->next);
		mpx__heap_retag(ring, mpx__queue_tag(q), mpx__self());
		mpx__heap_free(ring, mpx__self());
	}
	mpx__object_free(q);
}
