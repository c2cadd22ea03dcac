/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * The consumers' side of the queue. Messages are copied out of the ring, or their block
 * changes hands, and all that was taken is taken by one store, of the ring's head.
 */
#include "ipc/queue.h"

#include "base/deadline.h"
#include "shm/guard.h"
#include "sync/eventcount.h"

#include <errno.h>
#include <string.h>

static int fail(int error)
{
	errno = error;
	return -1;
}

/* --- take ------------------------------------------------------------------------------ */

void mpx__queue_look_here(mpx_queue *q)
{
	struct mpx__ring *ring = atomic_load_explicit(&q->c.ring, memory_order_relaxed);

	atomic_store_explicit(&q->c.header, mpx__ring_word(ring, (uint32_t)mpx__ring_head(ring)),
			      memory_order_relaxed);
}

struct mpx__ring *mpx__queue_oldest_ring(mpx_queue *q, struct mpx__record *record)
{
	for (;;) {
		struct mpx__ring *ring = atomic_load_explicit(&q->c.ring, memory_order_relaxed);
		struct mpx__ring *next = atomic_load_explicit(&ring->next, memory_order_acquire);

		if (mpx__ring_read(ring, mpx__ring_head(ring), record))
			return ring;
		if (!next)
			return NULL;
		q->c.head_before = mpx__ring_head(next);
		MPX__THEN;
		atomic_store(&q->c.ring, next);
		mpx__queue_look_here(q);
	}
}

void mpx__queue_take(mpx_queue *q, uint64_t position, uint32_t n, size_t bytes, void *block)
{
	struct mpx__queue_consumers *c = &q->c;
	struct mpx__ring *ring = atomic_load_explicit(&c->ring, memory_order_relaxed);

	c->head_before = mpx__ring_head(ring);
	MPX__THEN;
	c->bytes_after = atomic_load_explicit(&c->bytes, memory_order_relaxed) + bytes;
	if (block)
		mpx__note(&c->message, block);
	mpx__queue_count_taken(q, n);
	MPX__THEN;
	mpx__ring_take(ring, position); /* commits */
	MPX__THEN;
	mpx__queue_look_here(q);
	c->entry = NULL;
	atomic_store_explicit(&c->bytes, c->bytes_after, memory_order_relaxed);
	atomic_store_explicit(&c->count, mpx__position_count(position), memory_order_release);
	if (block) {
		mpx__heap_retag(block, mpx__queue_tag(q), mpx__self());
		mpx__forget(&c->message);
	}
}

/* --- what becomes of messages ------------------------------------------------------------ */

struct receiver {
	/* Under the guard: takes messages, the first of which is record. 0, or why it did
	 * not. */
	int (*receive)(struct receiver *r, mpx_queue *q, struct mpx__ring *ring,
		       const struct mpx__record *record);
	char *buf;			/* room for */
	size_t most;			/* that many messages */
	size_t cap;			/* of that size */
	size_t *sizes;			/* what they had; or NULL */
	bool waited;			/* so that this is of interest: */
	size_t more;			/* so many more were seen */
	size_t taken;			/* how many there were */
	size_t size;			/* of the last */
	struct mpx__queue_block *block; /* in which it is now; or NULL */
};

/* Only looks at it. */
static int peek(struct receiver *r, mpx_queue *q, struct mpx__ring *ring,
		const struct mpx__record *record)
{
	(void)q;
	(void)ring;
	r->size = record->size;
	return 0;
}

/* Copies messages that stand in the ring, or takes one that has a block. */
static int copy(struct receiver *r, mpx_queue *q, struct mpx__ring *ring,
		const struct mpx__record *record)
{
	struct mpx__record next = *record;
	uint64_t position = mpx__ring_head(ring);
	size_t bytes = 0;

	if (record->size > r->cap)
		return EMSGSIZE;
	do {
		if (next.size > r->cap || (next.block && r->taken))
			break;
		if (next.block)
			r->block = next.block;
		else if (next.size)
			memcpy(r->buf + r->taken * r->cap, next.bytes, next.size);
		if (r->sizes)
			r->sizes[r->taken] = next.size;
		r->size = next.size;
		bytes += next.size;
		position = next.after;
		r->taken++;
	} while (!r->block && r->taken < r->most && mpx__ring_read(ring, position, &next));
	mpx__queue_take(q, position, (uint32_t)r->taken, bytes, r->block);
	return 0;
}

/* Takes one in a block, its own or a new one. */
static int borrow(struct receiver *r, mpx_queue *q, struct mpx__ring *ring,
		  const struct mpx__record *record)
{
	(void)ring;
	r->block = record->block;
	if (!r->block) {
		r->block = mpx__queue_new_block(q, record->size);
		if (!r->block)
			return errno;
		memcpy(mpx__queue_bytes(r->block), record->bytes, record->size);
	}
	r->taken = 1;
	r->size = record->size;
	mpx__queue_take(q, record->after, 1, record->size, record->block);
	return 0;
}

/* --- get -------------------------------------------------------------------------------- */

/* What stands there. The message may have been taken by now, and anything else be written
 * there, or the ring have been left and freed: then this is an answer to look again,
 * whatever is read; but ThreadSanitizer takes exception to it. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNSEEN __attribute__((no_sanitize("thread"), noinline))
#endif
#endif
#ifdef UNSEEN
UNSEEN static uint64_t glance(const _Atomic uint64_t *word)
{
	return *(const volatile uint64_t *)(const volatile void *)word;
}
#else
static uint64_t glance(const _Atomic uint64_t *word)
{
	return atomic_load(word);
}
#endif

/* Looks where the next message will be, and at nothing else that producers write. */
static bool may_get(void *arg)
{
	mpx_queue *q = arg;

	return glance(atomic_load(&q->c.header)) != MPX__RECORD_NONE ||
	       atomic_load(&atomic_load(&q->c.ring)->next) || atomic_load(&q->closed);
}

/* How many messages are there now. The tail may not have been moved yet. */
static size_t seen(struct mpx__ring *ring)
{
	uint64_t head = mpx__ring_head(ring);
	int32_t n;

	if (!mpx__ring_has_record(ring, head))
		return 0;
	n = (int32_t)(mpx__position_count(mpx__ring_tail(ring)) - mpx__position_count(head));
	return n > 0 ? (size_t)n : 1;
}

/* Frees rings that have been left, unless a producer is at work, who will. */
static void tidy(mpx_queue *q)
{
	if (mpx__queue_guard_producers(q, 0) == 0) {
		mpx__queue_free_left_rings(q);
		mpx__guard_release(&q->p.guard);
	}
}

/* Not an errno value: those of others would be taken for it. */
enum { NOTHING = -1 };

/* One look: 0, NOTHING is there, or an errno value. */
static int try(mpx_queue *q, struct receiver *r, int64_t deadline)
{
	bool closed = atomic_load(&q->closed);
	int error = mpx__queue_guard_consumers(q, deadline);
	struct mpx__ring *before, *ring;
	struct mpx__record record;

	if (error)
		return error;
	before = atomic_load_explicit(&q->c.ring, memory_order_relaxed);
	ring = mpx__queue_oldest_ring(q, &record);
	if (ring) {
		error = r->receive(r, q, ring, &record);
		if (r->waited)
			r->more = seen(ring);
	} else {
		error = closed ? EPIPE : NOTHING;
	}
	mpx__guard_release(&q->c.guard);
	if (before != atomic_load_explicit(&q->c.ring, memory_order_relaxed))
		tidy(q);
	return error;
}

/* Who polls was woken before the message was there. Is it there now? */
static bool settled_early(mpx_queue *q)
{
	if (!atomic_load_explicit(&q->watchers, memory_order_relaxed))
		return false;
	mpx__queue_settle(q);
	return may_get(q);
}

/* After messages were taken. */
static inline void tell_others(mpx_queue *q, size_t taken)
{
	if (q->maxsize || q->limit)
		mpx__event_post(&q->space, taken > 1 || q->limit);
	if (atomic_load_explicit(&q->watchers, memory_order_relaxed) && !mpx__queue_count(q))
		mpx__queue_settle(q);
}

static int get(mpx_queue *q, struct receiver *r, int64_t deadline)
{
	struct mpx__slice slice = {0};
	int error;

	for (; (error = try(q, r, deadline)) == NOTHING; r->waited = true) {
		if (settled_early(q))
			continue;
		if (!mpx__event_wait_patiently(&q->items, may_get, q, &slice, deadline,
					       mpx__pause(&q->c.pause)))
			return ETIMEDOUT;
	}
	if (r->waited)
		mpx__pause_adapt(&q->c.pause, r->taken + r->more, mpx__queue_gather(q, r->size));
	if (!error && r->taken)
		tell_others(q, r->taken);
	return error;
}

/* Into r's buf. */
static int get_copies(mpx_queue *q, struct receiver *r, int64_t deadline)
{
	int error = get(q, r, deadline);

	if (r->block) {
		memcpy(r->buf, mpx__queue_bytes(r->block), r->size);
		mpx__heap_free(r->block, mpx__self());
	}
	return error;
}

/* What nearly all gets are: of a message that is there, stands in the ring and fits, with
 * nobody at the guard. False, and nothing has been done, if it is not so. */
static inline bool get_simply(mpx_queue *q, void *buf, size_t cap, size_t *size)
{
	struct mpx__record record;
	struct mpx__ring *ring;
	bool done;

	if (mpx__word_try(&q->c.guard) != 0)
		return false;
	ring = atomic_load_explicit(&q->c.ring, memory_order_relaxed);
	done = mpx__ring_read(ring, mpx__ring_head(ring), &record) && !record.block &&
	       record.size <= cap;
	if (done) {
		if (record.size)
			memcpy(buf, record.bytes, record.size);
		mpx__queue_take(q, record.after, 1, record.size, NULL);
	}
	mpx__guard_release(&q->c.guard);
	if (done) {
		*size = record.size;
		tell_others(q, 1);
	}
	return done;
}

ssize_t mpx_queue_get(mpx_queue *q, void *buf, size_t cap, double timeout)
{
	struct receiver r;
	int64_t deadline;
	size_t size;
	int error;

	if (!mpx__queue_takes(q, buf, cap, timeout))
		return -1;
	if (get_simply(q, buf, cap, &size))
		return (ssize_t)size;
	mpx__deadline(timeout, &deadline);
	r = (struct receiver){.receive = copy, .buf = buf, .most = 1, .cap = cap};
	error = get_copies(q, &r, deadline);
	return error ? fail(error) : (ssize_t)r.size;
}

ssize_t mpx_queue_get_many(mpx_queue *q, void *buf, size_t cap, size_t n, size_t *sizes,
			   double timeout)
{
	struct receiver r = {.receive = copy, .buf = buf, .most = n, .cap = cap, .sizes = sizes};
	int64_t deadline;
	int error;

	if (!mpx__queue_usable(q, buf, n ? cap : 0, timeout, &deadline))
		return -1;
	if (cap && n > PTRDIFF_MAX / cap)
		return fail(EINVAL);
	if (n == 0)
		return 0;
	if (n > INT32_MAX)
		r.most = INT32_MAX;
	error = get_copies(q, &r, deadline);
	return error ? fail(error) : (ssize_t)r.taken;
}

ssize_t mpx_queue_next_size(mpx_queue *q, double timeout)
{
	struct receiver r = {.receive = peek};
	int64_t deadline;
	int error;

	if (!mpx__queue_usable(q, NULL, 0, timeout, &deadline))
		return -1;
	error = get(q, &r, deadline);
	return error ? fail(error) : (ssize_t)r.size;
}

/* --- without copying ------------------------------------------------------------------ */

const void *mpx_queue_take(mpx_queue *q, size_t *size, double timeout)
{
	struct receiver r = {.receive = borrow};
	int64_t deadline;
	int error;

	if (!mpx__queue_usable(q, size, 1, timeout, &deadline))
		return NULL;
	error = get(q, &r, deadline);
	if (error) {
		errno = error;
		return NULL;
	}
	*size = r.size;
	r.block->size = MPX__QUEUE_LENT;
	return mpx__queue_bytes(r.block);
}

int mpx_queue_release(mpx_queue *q, const void *msg)
{
	return mpx_queue_cancel(q, (void *)(uintptr_t)msg);
}
