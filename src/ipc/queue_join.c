/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * JoinableQueue's task_done and join. What is unfinished is counted where it is, so
 * that nothing is lost with those who die: messages in the queue by the queue, messages
 * taken by an entry for each process, chosen by its number in the table of peers. Who
 * joins waits until the queue is empty and all entries are even. An entry whose process
 * died never will be: that is what join reports.
 */
#include "ipc/queue.h"

#include "base/deadline.h"
#include "shm/family.h"
#include "shm/guard.h"
#include "sync/eventcount.h"

#include <errno.h>

static uint32_t holder_of(uint64_t taken)
{
	return (uint32_t)(taken >> 32);
}

/* How many were taken and are not done. */
static uint32_t open_of(struct mpx__queue_taken *e)
{
	uint32_t done = atomic_load(&e->done);

	return (uint32_t)atomic_load(&e->taken) - done;
}

uint32_t mpx__queue_replace_dead(mpx_queue *q, struct mpx__queue_taken *e)
{
	if (open_of(e))
		atomic_fetch_add(&q->c.lost, open_of(e));
	return atomic_load(&e->done);
}

/* One of the entry's messages is done, if it has any. Of the caller's own entry, or under
 * the guard. */
static bool finish_one(mpx_queue *q, struct mpx__queue_taken *e)
{
	uint32_t done = atomic_load(&e->done);

	do {
		if ((uint32_t)atomic_load(&e->taken) == done)
			return false;
	} while (!atomic_compare_exchange_weak(&e->done, &done, done + 1));
	if ((uint32_t)atomic_load(&e->taken) == done + 1)
		mpx__event_post(&q->finished, true);
	return true;
}

/* Under the guard: one that was taken by a process whose entry is gone. */
static bool finish_a_lost_one(mpx_queue *q)
{
	uint32_t lost = atomic_load(&q->c.lost);

	if (!lost)
		return false;
	atomic_store(&q->c.lost, lost - 1);
	return true;
}

/* Under the guard: nobody takes a dead one's entry over. */
static bool finish_any(mpx_queue *q)
{
	uint32_t used = atomic_load(&mpx__family_base->peers.used);
	bool found = false;

	for (uint32_t slot = 1; slot < used && !found; slot++)
		found = finish_one(q, mpx__queue_entry(q, slot));
	return found || finish_a_lost_one(q);
}

/* Somebody else took it, then. */
static int finish_for_another(mpx_queue *q)
{
	int error = mpx__queue_guard_consumers(q, MPX__SOON);
	bool found;

	if (error)
		return error;
	found = finish_any(q);
	mpx__guard_release(&q->c.guard);
	return found ? 0 : EOVERFLOW;
}

void mpx__queue_untake(mpx_queue *q, struct mpx__queue_taken *e, uint64_t taken)
{
	uint32_t n = (uint32_t)atomic_load(&e->taken) - (uint32_t)taken;
	uint32_t too_many = atomic_load(&e->done) - (uint32_t)taken;

	atomic_store(&e->taken, taken);
	if (too_many > n)
		return;
	atomic_store(&e->done, (uint32_t)taken);
	while (too_many-- > 0)
		finish_any(q);
}

/* Is the entry the caller's, and not that of one before it? */
static bool is_mine(mpx_queue *q)
{
	uint32_t me = mpx__self();

	return holder_of(atomic_load(&mpx__queue_entry(q, me)->taken)) == me;
}

int mpx_queue_task_done(mpx_queue *q)
{
	int error;

	if (!mpx__is_queue(q))
		return -1;
	error = is_mine(q) && finish_one(q, mpx__queue_entry(q, mpx__self()))
			? 0
			: finish_for_another(q);
	if (!error)
		return 0;
	errno = error;
	return -1;
}

/* Has everything been done that the living have taken? *dead: did the dead leave any? */
static bool all_even(mpx_queue *q, bool look_who_died, bool *dead)
{
	uint32_t used = atomic_load(&mpx__family_base->peers.used);
	bool even = true;

	*dead = atomic_load(&q->c.lost) != 0;
	for (uint32_t slot = 1; slot < used && even; slot++) {
		struct mpx__queue_taken *e = mpx__queue_entry(q, slot);
		uint64_t taken = atomic_load(&e->taken);

		if (!open_of(e))
			continue;
		if (!look_who_died || !mpx__peer_dead(holder_of(taken)))
			even = false;
		else if (atomic_load(&e->taken) != taken)
			even = false; /* somebody else's by now: look again */
		else if (open_of(e))  /* not one that finished, and then ended */
			*dead = true;
	}
	return even;
}

/* Nothing in the queue, then nothing in anybody's hands, and nothing was put meanwhile. */
static bool is_finished(mpx_queue *q, bool look_who_died, bool *dead)
{
	uint32_t put = atomic_load(&q->p.count);

	return put == atomic_load(&q->c.count) && all_even(q, look_who_died, dead) &&
	       put == atomic_load(&q->p.count) && put == atomic_load(&q->c.count);
}

/* What the dead left has been reported. */
static void forget_the_dead(mpx_queue *q)
{
	uint32_t used = atomic_load(&mpx__family_base->peers.used);

	if (mpx__queue_guard_consumers(q, MPX__SOON) != 0)
		return;
	atomic_store(&q->c.lost, 0);
	for (uint32_t slot = 1; slot < used; slot++) {
		struct mpx__queue_taken *e = mpx__queue_entry(q, slot);
		uint64_t taken = atomic_load(&e->taken);

		if (open_of(e) && mpx__peer_dead(holder_of(taken)))
			atomic_store(&e->done, (uint32_t)taken);
	}
	mpx__guard_release(&q->c.guard);
}

struct joiner {
	mpx_queue *queue;
	bool dead;
};

static bool may_join(void *arg)
{
	struct joiner *j = arg;

	return is_finished(j->queue, false, &j->dead);
}

static int join(mpx_queue *q, int64_t deadline)
{
	struct joiner j = {q, false};
	struct mpx__slice slice = {0};

	while (!may_join(&j)) {
		mpx__queue_catch_up(q);
		if (is_finished(q, true, &j.dead))
			break;
		if (!mpx__event_wait_until(&q->finished, may_join, &j, &slice, deadline))
			return ETIMEDOUT;
	}
	if (!j.dead)
		return 0;
	forget_the_dead(q);
	return EOWNERDEAD;
}

int mpx_queue_join(mpx_queue *q, double timeout)
{
	int64_t deadline;
	int error;

	if (!mpx__queue_usable(q, NULL, 0, timeout, &deadline))
		return -1;
	error = join(q, deadline);
	if (!error)
		return 0;
	errno = error;
	return -1;
}
