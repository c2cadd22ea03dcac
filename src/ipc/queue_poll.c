/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * A queue in poll(2). Each process that asks has a doorbell of its own (a
 * descriptor that others can make readable by its address alone), and an entry in
 * the queue's table of watchers. A doorbell carries no message: it is readable if
 * the queue may not be empty.
 *
 * The watcher settles: makes it unreadable, arms the entry with a new number (P1),
 * then looks whether a producer is inside its guard (P2), waits until it is out, and
 * looks at the queue. A producer enters its guard (P3), looks for armed entries
 * (P4), rings, disarms exactly the number it saw, and only then commits. Full fences
 * between P1 and P2, P3 and P4: one of the two sees the other. And since the bell is
 * rung before the message is there, no kill can fall between message and bell.
 *
 * Producers do not even look for armed entries while there has never been a watcher. So
 * who takes an entry passes through the guard in any case: who comes later knows of it.
 */
#include "ipc/queue.h"

#include "base/private.h"
#include "platform/platform.h"
#include "shm/family.h"
#include "shm/guard.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* This process's doorbells. */
struct bell {
	struct bell *next;
	mpx_queue *queue;
	uint64_t serial; /* of the queue: its address may be another one's now */
	struct mpx__watcher *watcher;
	int fd;
	bool given;	  /* to the program, which may poll it for ever */
	unsigned waiters; /* in mpx_wait: it goes with the last of them, if not given */
};

static struct bell *bells; /* under mpx__private_lock */

/* A child has none: it asks for its own. The memory of the list is let go. */
static void drop_bells(void)
{
	for (; bells; bells = bells->next)
		close(bells->fd);
}

/* Removes a bell from the list and closes it. */
static void drop(struct bell **place)
{
	struct bell *bell = *place;

	*place = bell->next;
	close(bell->fd);
	free(bell);
}

/* The place of the queue's bell in the list; bells of queues that were freed
 * elsewhere are dropped on the way. */
static struct bell **find(mpx_queue *q)
{
	struct bell **place = &bells;

	while (*place) {
		struct bell *bell = *place;

		if (bell->queue == q && bell->serial == q->serial)
			return place;
		if (!mpx__object_is(bell->queue, sizeof *q, MPX__QUEUE) ||
		    bell->serial != bell->queue->serial)
			drop(place);
		else
			place = &bell->next;
	}
	return place;
}

static struct mpx__watcher *take_entry(mpx_queue *q, uint64_t address)
{
	for (uint32_t i = 0; i < MPX__QUEUE_WATCHERS; i++) {
		struct mpx__watcher *w = &q->watcher[i];
		uint32_t peer = atomic_load(&w->peer), used;

		if (peer && !mpx__peer_dead(peer))
			continue;
		if (!atomic_compare_exchange_strong(&w->peer, &peer, mpx__self()))
			continue;
		atomic_store(&w->armed, 0); /* a dead one's */
		atomic_store(&w->address, address);
		used = atomic_load(&q->watchers);
		while (used <= i && !atomic_compare_exchange_weak(&q->watchers, &used, i + 1))
			;
		return w;
	}
	errno = ENOSPC;
	return NULL;
}

static struct bell *new_bell(mpx_queue *q)
{
	struct bell *bell = malloc(sizeof *bell);
	uint64_t address;

	if (!bell)
		return NULL;
	bell->fd = mpx__os_bell_open(&address);
	bell->watcher = bell->fd < 0 ? NULL : take_entry(q, address);
	if (!bell->watcher) {
		int saved = errno;

		if (bell->fd >= 0)
			close(bell->fd);
		free(bell);
		errno = saved;
		return NULL;
	}
	bell->queue = q;
	bell->serial = q->serial;
	bell->given = false;
	bell->waiters = 0;
	bell->next = bells;
	bells = bell;
	return bell;
}

/* Waits for the producer that is inside its guard, dead or alive; not for long. */
static bool pass_guard(mpx_queue *q)
{
	if (mpx__queue_guard_producers(q, mpx__os_now() + 1000000000) != 0)
		return false;
	mpx__guard_release(&q->p.guard);
	return true;
}

/* What settling needs once the lock has been given back. */
struct armed {
	struct mpx__watcher *watcher; /* NULL: there is no bell */
	uint64_t address;
	uint32_t number;
	bool fresh;
};

/* Under the lock. */
static struct armed arm(struct bell *bell, bool fresh)
{
	static uint32_t number; /* new for each arming by this process */
	struct armed a = {.fresh = fresh};

	if (!bell)
		return a;
	mpx__os_bell_drain(bell->fd);
	if (++number == 0)
		number = 1;
	atomic_store(&bell->watcher->armed, number); /* P1 */
	atomic_thread_fence(memory_order_seq_cst);
	a.watcher = bell->watcher;
	a.number = number;
	a.address = atomic_load(&bell->watcher->address);
	return a;
}

/* Through a doorbell of our own, if we have one: that needs no other descriptor. */
static int ring(uint64_t address)
{
	int error;

	mpx__private_lock();
	error = mpx__os_bell_ring(address, bells ? bells->fd : -1);
	mpx__private_unlock();
	return error;
}

/* Without the lock: a producer inside its guard may be waiting for that. (Meanwhile another
 * thread may have closed the bell: who has its address now looks in vain. And a producer that
 * saw what stood in the entry before may have disarmed it and rung another bell.) */
static void look_again(mpx_queue *q, struct armed a)
{
	bool inside = false;

	if (!a.watcher)
		return;
	if (a.fresh || mpx__word_owner(&q->p.guard)) /* P2 */
		inside = !pass_guard(q);
	if (inside || atomic_load(&a.watcher->armed) != a.number || mpx__queue_count(q) ||
	    atomic_load(&q->closed))
		ring(a.address);
}

/* The descriptor of the queue's bell, for the program or for one more in mpx_wait. */
static int bell_for(mpx_queue *q, bool program)
{
	struct armed a = {0};
	struct bell *bell;
	int fd = -1;

	mpx__private_at_fork(drop_bells);
	mpx__private_lock();
	bell = *find(q);
	if (!bell) {
		bell = new_bell(q);
		a = arm(bell, true);
	}
	if (bell) {
		fd = bell->fd;
		bell->given = bell->given || program;
		bell->waiters += !program;
	}
	mpx__private_unlock();
	look_again(q, a);
	return fd;
}

int mpx_queue_fileno(mpx_queue *q)
{
	return mpx__object_is(q, sizeof *q, MPX__QUEUE) ? bell_for(q, true) : -1;
}

int mpx__queue_watch(mpx_queue *q)
{
	return bell_for(q, false);
}

/* One that is refused has been closed: by a dead process, whose entry is free then; or by one
 * that is about to give its entry up, or to arm it anew with another bell (P2). 0 or an errno
 * value. */
static int ring_watcher(struct mpx__watcher *w)
{
	uint32_t armed = atomic_load(&w->armed); /* P4 */
	uint32_t peer = atomic_load(&w->peer);
	int error;

	if (!armed || !peer)
		return 0;
	error = ring(atomic_load(&w->address));
	if (error && mpx__peer_dead(peer))
		atomic_compare_exchange_strong(&w->peer, &peer, 0);
	else if (error && error != ECONNREFUSED)
		return error;
	else
		atomic_compare_exchange_strong(&w->armed, &armed, 0);
	return 0;
}

int mpx__queue_ring(mpx_queue *q)
{
	int failed = 0;
	uint32_t n;

	atomic_thread_fence(memory_order_seq_cst); /* P3: the guard has been taken */
	n = atomic_load_explicit(&q->watchers, memory_order_relaxed);
	for (uint32_t i = 0; i < n; i++) {
		int error = ring_watcher(&q->watcher[i]);

		failed = error ? error : failed;
	}
	return failed;
}

void mpx__queue_settle(mpx_queue *q)
{
	int saved = errno;
	struct armed a;

	mpx__private_lock();
	a = arm(*find(q), false);
	mpx__private_unlock();
	look_again(q, a);
	errno = saved;
}

/* Its entry in the queue is free again. Under the lock. */
static void give_up(struct bell **place)
{
	atomic_store(&(*place)->watcher->armed, 0);
	atomic_store(&(*place)->watcher->peer, 0);
	drop(place);
}

void mpx__queue_leave(mpx_queue *q)
{
	struct bell **place;

	mpx__private_lock();
	place = find(q);
	if (*place && --(*place)->waiters == 0 && !(*place)->given)
		give_up(place);
	mpx__private_unlock();
}

void mpx__queue_unwatch(mpx_queue *q)
{
	struct bell **place;

	mpx__private_lock();
	place = find(q);
	if (*place)
		give_up(place);
	mpx__private_unlock();
}
