/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * The queue's layout in shared memory, for queue.c (its life), queue_put.c,
 * queue_get.c, queue_join.c (task_done), queue_poll.c (descriptors) and
 * queue_recover.c (deaths).
 *
 * A chain of rings. Producers write to the last one under their guard, consumers
 * read the first one under theirs; one producer and one consumer never meet.
 * When the last ring is full, a producer links another behind it; rings that
 * consumers have left are freed by whoever holds the producers' guard.
 *
 * Each side notes under its guard what it is about to do, so that the next holder
 * can finish or undo it when this one dies: see queue_recover.c. A block that holds
 * a large message is tagged with its producer's id, then with the queue's address
 * (before it is committed), then with its consumer's id.
 *
 * Messages beyond the ring's inline size, and those that were reserved, stand in a
 * block behind a head of 16 bytes.
 */
#ifndef MPX_IPC_QUEUE_H
#define MPX_IPC_QUEUE_H

#include "base/deadline.h"
#include "ipc/ring.h"
#include "shm/guard.h"
#include "shm/note.h"
#include "shm/object.h"
#include "shm/peers.h"

#include <errno.h>
#include <mpx/queue.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { MPX__QUEUE_WATCHERS = 64 };

/* A process that polls this queue. */
struct mpx__watcher {
	_Atomic uint32_t peer;	  /* its id; 0: free. Taken by compare-exchange */
	_Atomic uint32_t armed;	  /* not 0: the next post shall ring; a new number each time */
	_Atomic uint64_t address; /* of its doorbell; by the watcher */
};

/* Of a block: what mpx_queue_commit and _release need to know of it. */
struct mpx__queue_block {
	_Alignas(16) mpx_queue *queue;
	size_t size; /* of the message, which follows; MPX__QUEUE_LENT: it was taken */
};

#define MPX__QUEUE_LENT SIZE_MAX

/* What a process took and has done; each by one process, its entry (queue_join.c). */
struct mpx__queue_taken {
	_Atomic uint64_t taken; /* its id << 32 | how many messages; under the guard */
	_Atomic uint32_t done;	/* of them; modulo 2^32 both */
};

struct mpx__queue_producers {
	_Alignas(64) struct mpx__word guard;
	_Atomic uint32_t count;	  /* of messages ever put, modulo 2^32 */
	_Atomic uint64_t bytes;	  /* of messages ever put */
	struct mpx__ring *ring;	  /* the last */
	struct mpx__ring *oldest; /* the first that has not been freed */
	_Atomic uint32_t pause;	  /* hint: eventcount.h */
	uint32_t seen_count;	  /* the consumers' count and bytes of before */
	uint64_t seen_bytes;
	uint64_t tail_before;	     /* notes: before the put in progress */
	uint64_t tail_after;	     /* notes: after it */
	uint64_t bytes_before;	     /* notes */
	struct mpx__note message;    /* notes: its block */
	struct mpx__note fresh_ring; /* notes: to be linked */
	struct mpx__note left_ring;  /* notes: being freed */
};

struct mpx__queue_consumers {
	_Alignas(64) struct mpx__word guard;
	_Atomic uint32_t count; /* of messages ever taken, modulo 2^32 */
	_Atomic uint64_t bytes; /* of messages ever taken */
	_Atomic(struct mpx__ring *) ring;
	_Atomic(_Atomic uint64_t *) header; /* of the oldest message, in the ring; a hint */
	uint64_t head_before;		    /* notes: before the get in progress */
	uint64_t bytes_after;		    /* notes: after it */
	uint64_t taken_before;		    /* notes: the consumer's entry before it */
	uint32_t lost_before;		    /* notes */
	struct mpx__queue_taken *entry;	    /* notes: that is this one */
	struct mpx__note message;	    /* notes: its block */
	_Atomic uint32_t pause;		    /* hint: eventcount.h */
	_Atomic uint32_t lost;		    /* messages taken by processes whose entries are gone */
};

struct mpx_queue {
	struct mpx__object object;
	uint32_t maxsize;	   /* constant; 0: none */
	size_t limit;		   /* of bytes; constant; 0: none */
	uint64_t serial;	   /* of the queue's own block; constant */
	_Atomic uint32_t closed;   /* by a producer's guard holder */
	_Atomic uint32_t watchers; /* how many entries of watcher have been used */
	struct mpx__queue_producers p;
	struct mpx__queue_consumers c;
	_Alignas(64) _Atomic uint32_t items; /* eventcount: a message came, or close */
	_Alignas(64) _Atomic uint32_t space; /* eventcount: room came, or close */
	_Atomic uint32_t finished;	     /* eventcount: a process has done all that it took */
	_Alignas(64) struct mpx__watcher watcher[MPX__QUEUE_WATCHERS];
	struct mpx__queue_taken taken[MPX__PEER_SLOTS];
};

/* Who is quick has taken a message before its producer has counted it: that is none. */
static inline uint32_t mpx__queue_count(mpx_queue *q)
{
	uint32_t n = atomic_load(&q->p.count) - atomic_load(&q->c.count);

	return n <= INT32_MAX ? n : 0;
}

/* Otherwise false, with EINVAL. */
static inline bool mpx__is_queue(const mpx_queue *q)
{
	return mpx__object_is(q, sizeof *q, MPX__QUEUE);
}

/* Can a call go on with these? Otherwise false, with EINVAL. What time it is nobody has
 * asked so far. */
static inline bool mpx__queue_takes(const mpx_queue *q, const void *buf, size_t size,
				    double timeout)
{
	if (!mpx__is_queue(q))
		return false;
	if (timeout == timeout && (buf || !size))
		return true;
	errno = EINVAL;
	return false;
}

/* The same, and the deadline. */
static inline bool mpx__queue_usable(const mpx_queue *q, const void *buf, size_t size,
				     double timeout, int64_t *deadline)
{
	return mpx__queue_takes(q, buf, size, timeout) && mpx__deadline(timeout, deadline) == 0;
}

static inline void *mpx__queue_bytes(struct mpx__queue_block *block)
{
	return block + 1;
}

/* How many messages of that size shall gather before who waits goes on. */
size_t mpx__queue_gather(const mpx_queue *q, size_t size);
/* How many of n messages of that size there is room for. */
size_t mpx__queue_room(mpx_queue *q, size_t size, size_t n);

/* A block of the calling process for a message; NULL with errno. */
struct mpx__queue_block *mpx__queue_new_block(mpx_queue *q, size_t size);
/* The one before these bytes, if it is of this queue and in the calling process's
 * hands; otherwise NULL with EINVAL. */
struct mpx__queue_block *mpx__queue_block_of(mpx_queue *q, const void *bytes);

/* An empty ring in a block of the calling process; NULL with errno. */
struct mpx__ring *mpx__queue_new_ring(uint32_t units, uint32_t count);
/* Frees the rings that consumers have left. Under the producers' guard. */
void mpx__queue_free_left_rings(mpx_queue *q);

/* Under the consumers' guard: takes all messages before that position, n of them with
 * that many bytes. Afterwards block, if not NULL, is the calling process's. */
void mpx__queue_take(mpx_queue *q, uint64_t position, uint32_t n, size_t bytes, void *block);
/* Under the guard: who waits shall look at the head of the ring. */
void mpx__queue_look_here(mpx_queue *q);
/* Under the guard: the ring that has the oldest message, if there is one. */
struct mpx__ring *mpx__queue_oldest_ring(mpx_queue *q, struct mpx__record *record);

/* Of the process with that number. Neighbours in the table of peers do not share a cache
 * line here. */
static inline struct mpx__queue_taken *mpx__queue_entry(mpx_queue *q, uint32_t slot)
{
	enum { STRIDE = 64 };

	slot %= MPX__PEER_SLOTS;
	return &q->taken[slot % STRIDE * (MPX__PEER_SLOTS / STRIDE) + slot / STRIDE];
}

/* The caller's entry is that of one that died: how much of it has been done. */
uint32_t mpx__queue_replace_dead(mpx_queue *q, struct mpx__queue_taken *entry);

/* Under the consumers' guard: what the entry's process has taken since then was not committed.
 * If another of its threads has called task_done meanwhile, that was for somebody else's. */
void mpx__queue_untake(mpx_queue *q, struct mpx__queue_taken *entry, uint64_t taken);

/* Under the consumers' guard, before they are taken: the caller will have taken n more. */
static inline void mpx__queue_count_taken(mpx_queue *q, uint32_t n)
{
	uint32_t me = mpx__self();
	struct mpx__queue_taken *e = mpx__queue_entry(q, me);
	uint64_t taken = atomic_load_explicit(&e->taken, memory_order_relaxed);
	uint32_t count = (uint32_t)taken;

	q->c.taken_before = taken;
	q->c.lost_before = atomic_load_explicit(&q->c.lost, memory_order_relaxed);
	MPX__THEN;
	q->c.entry = e;
	MPX__THEN;
	if (taken >> 32 != me)
		count = mpx__queue_replace_dead(q, e);
	atomic_store_explicit(&e->taken, (uint64_t)me << 32 | (uint32_t)(count + n),
			      memory_order_release);
}

/* The tag of blocks that the queue keeps. */
static inline uint64_t mpx__queue_tag(mpx_queue *q)
{
	return (uint64_t)(uintptr_t)q;
}

void mpx__queue_recover_producers(void *queue);
void mpx__queue_recover_consumers(void *queue);

/* The guard, put right if its holder died; 0 or an errno value. */
static inline int mpx__queue_guard_producers(mpx_queue *q, int64_t deadline)
{
	return mpx__guard(&q->p.guard, deadline, mpx__queue_recover_producers, q);
}

static inline int mpx__queue_guard_consumers(mpx_queue *q, int64_t deadline)
{
	return mpx__guard(&q->c.guard, deadline, mpx__queue_recover_consumers, q);
}

/* Who was killed between a commit and its count has left the count behind. */
void mpx__queue_catch_up(mpx_queue *q);

/* Under the producers' guard, before a put or close is committed: rings the
 * doorbells of those who poll. 0, or why not all could be rung. */
int mpx__queue_ring(mpx_queue *q);

/* After a get that left, or found, the queue empty: the caller's descriptor, if
 * it has one, is not readable any more. */
void mpx__queue_settle(mpx_queue *q);

/* As mpx_queue_fileno, for the time of a wait; ended by leave. */
int mpx__queue_watch(mpx_queue *q);
void mpx__queue_leave(mpx_queue *q);

/* The queue is about to be freed: closes the caller's descriptor. */
void mpx__queue_unwatch(mpx_queue *q);

#endif
