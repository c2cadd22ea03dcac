/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * A queue whose user was killed inside. put and get note what they are about to do
 * (queue.h); here is what the next holder of the guard makes of the notes. Whether
 * the dead one's put or get was committed is told by one word, the header at the ring's
 * tail or the ring's head or next, and so is what became of the block named in the notes.
 */
#include "ipc/queue.h"

#include "shm/guard.h"
#include "sync/eventcount.h"

/* The holder of the producers' guard died. A put is committed once there is a record at
 * the ring's tail, which moves then, or the fresh ring is linked; before that it never was. */
void mpx__queue_recover_producers(void *arg)
{
	mpx_queue *q = arg;
	struct mpx__queue_producers *p = &q->p;
	struct mpx__ring *fresh = atomic_load(&p->fresh_ring.block);

	if (atomic_load(&p->left_ring.block) == p->oldest)
		mpx__forget(&p->left_ring);
	else
		mpx__free_noted(&p->left_ring, mpx__queue_tag(q));
	if (fresh && p->ring != fresh && atomic_load(&p->ring->next) == fresh)
		p->ring = fresh;
	if (mpx__ring_tail(p->ring) == p->tail_before &&
	    mpx__ring_has_record(p->ring, p->tail_before))
		mpx__ring_set_tail(p->ring, p->tail_after);
	if (fresh && p->ring == fresh) {
		mpx__forget(&p->fresh_ring);
		mpx__forget(&p->message);
	} else if (mpx__ring_tail(p->ring) != p->tail_before) {
		mpx__forget(&p->message);
	} else {
		atomic_store(&p->bytes, p->bytes_before);
		mpx__free_noted(&p->message, mpx__queue_tag(q));
		mpx__free_noted(&p->fresh_ring, mpx__queue_tag(q));
	}
	atomic_store(&p->count, mpx__position_count(mpx__ring_tail(p->ring)));
	mpx__event_post(&q->items, true);
}

/* The holder of the consumers' guard died. A get is committed once head has moved;
 * then its block is the queue's to free, unless it was the dead one's already. */
void mpx__queue_recover_consumers(void *arg)
{
	mpx_queue *q = arg;
	struct mpx__queue_consumers *c = &q->c;
	uint64_t head = atomic_load(&atomic_load(&c->ring)->head);

	if (head == c->head_before) {
		if (c->entry) {
			atomic_store(&c->lost, c->lost_before);
			mpx__queue_untake(q, c->entry, c->taken_before);
		}
		mpx__forget(&c->message);
	} else {
		mpx__free_noted(&c->message, mpx__queue_tag(q));
		atomic_store(&c->bytes, c->bytes_after);
	}
	c->entry = NULL;
	mpx__queue_look_here(q);
	atomic_store(&c->count, mpx__position_count(head));
	mpx__event_post(&q->space, true);
}

void mpx__queue_catch_up(mpx_queue *q)
{
	if (mpx__guard_is_dead(&q->p.guard) && mpx__queue_guard_producers(q, 0) == 0)
		mpx__guard_release(&q->p.guard);
	if (mpx__guard_is_dead(&q->c.guard) && mpx__queue_guard_consumers(q, 0) == 0)
		mpx__guard_release(&q->c.guard);
}
