/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * A queue whose user was killed inside. put and get note what they are about to do
 * (queue.h); here is what the next holder of the guard makes of the notes. Whether
 * the dead one's put or get was committed is told by one word, the ring's tail or
 * head or next, and so is what became of the block named in the notes.
 */
#include "ipc/queue.h"

#include "platform/platform.h"
#include "shm/family.h"
#include "shm/word.h"
#include "sync/eventcount.h"

#include <errno.h>

void mpx__queue_free_noted(mpx_queue *q, struct mpx__note *n)
{
	void *block = atomic_load_explicit(&n->block, memory_order_relaxed);

	if (block)
		mpx__heap_free_noted(block, mpx__queue_tag(q), n->serial);
	mpx__queue_forget(n);
}

/* The holder of the producers' guard died. A put is committed once the ring's tail
 * has moved or the fresh ring is linked; before that it never was. */
static void recover_producers(mpx_queue *q)
{
	struct mpx__queue_producers *p = &q->p;
	struct mpx__ring *fresh = atomic_load(&p->fresh_ring.block);

	if (atomic_load(&p->left_ring.block) == p->oldest)
		mpx__queue_forget(&p->left_ring);
	else
		mpx__queue_free_noted(q, &p->left_ring);
	if (fresh && p->ring != fresh && atomic_load(&p->ring->next) == fresh)
		p->ring = fresh;
	if (fresh && p->ring == fresh) {
		mpx__queue_forget(&p->fresh_ring);
		mpx__queue_forget(&p->message);
	} else if (atomic_load(&p->ring->tail) != p->tail_before) {
		mpx__queue_forget(&p->message);
	} else {
		atomic_store(&p->bytes, p->bytes_before);
		mpx__queue_free_noted(q, &p->message);
		mpx__queue_free_noted(q, &p->fresh_ring);
	}
	atomic_store(&p->count, mpx__position_count(atomic_load(&p->ring->tail)));
	mpx__word_consistent(&p->guard);
	mpx__event_post(&q->items, true);
}

/* The holder of the consumers' guard died. A get is committed once head has moved;
 * then its block is the queue's to free, unless it was the dead one's already. */
static void recover_consumers(mpx_queue *q)
{
	struct mpx__queue_consumers *c = &q->c;
	uint64_t head = atomic_load(&atomic_load(&c->ring)->head);

	if (head == c->head_before) {
		mpx__queue_forget(&c->message);
	} else {
		mpx__queue_free_noted(q, &c->message);
		atomic_store(&c->bytes, c->bytes_after);
	}
	atomic_store(&c->count, mpx__position_count(head));
	mpx__word_consistent(&c->guard);
	mpx__event_post(&q->space, true);
}

/* A guard is held for moments: even who does not want to wait waits for that. */
static int take_guard(_Atomic uint32_t *guard, int64_t deadline)
{
	int error = mpx__word_acquire(guard, deadline);

	if (error == ETIMEDOUT && deadline == 0)
		error = mpx__word_acquire(guard, mpx__os_now() + 20000000);
	return error;
}

int mpx__queue_guard_producers(mpx_queue *q, int64_t deadline)
{
	int error = take_guard(&q->p.guard, deadline);

	if (error != EOWNERDEAD)
		return error;
	recover_producers(q);
	return 0;
}

int mpx__queue_guard_consumers(mpx_queue *q, int64_t deadline)
{
	int error = take_guard(&q->c.guard, deadline);

	if (error != EOWNERDEAD)
		return error;
	recover_consumers(q);
	return 0;
}

static bool holder_is_dead(_Atomic uint32_t *guard)
{
	uint32_t holder = atomic_load(guard) & MPX__OWNER;

	return holder && holder != mpx__self() && mpx__peer_dead(holder);
}

void mpx__queue_catch_up(mpx_queue *q)
{
	if (holder_is_dead(&q->p.guard) && mpx__queue_guard_producers(q, 0) == 0)
		mpx__word_release(&q->p.guard);
	if (holder_is_dead(&q->c.guard) && mpx__queue_guard_consumers(q, 0) == 0)
		mpx__word_release(&q->c.guard);
}
