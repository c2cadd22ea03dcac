/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * The producers' side of the queue. Whatever is put, one message or many, is put by one
 * store, of a record's header or of the link to a fresh ring; what precedes it is noted
 * for queue_recover.c.
 */
#include "ipc/queue.h"

#include "base/deadline.h"
#include "shm/guard.h"
#include "sync/eventcount.h"

#include <errno.h>
#include <string.h>

/* Units of the rings that follow when the first has become too small. */
enum { NEXT_UNITS = 131072 };

static int fail(int error)
{
	errno = error;
	return -1;
}

/* --- blocks ------------------------------------------------------------------------ */

struct mpx__queue_block *mpx__queue_new_block(mpx_queue *q, size_t size)
{
	struct mpx__queue_block *block = NULL;

	if (size <= SIZE_MAX / 2)
		block = mpx__heap_alloc(sizeof *block + size, mpx__self());
	else
		errno = ENOMEM;
	if (block) {
		block->queue = q;
		block->size = size;
	}
	return block;
}

struct mpx__queue_block *mpx__queue_block_of(mpx_queue *q, const void *bytes)
{
	uintptr_t at = (uintptr_t)bytes - sizeof(struct mpx__queue_block);
	struct mpx__queue_block *block = (struct mpx__queue_block *)at;

	if (mpx__is_queue(q) && mpx__heap_has_tag(block, mpx__self()) && block->queue == q)
		return block;
	errno = EINVAL;
	return NULL;
}

/* --- rings ------------------------------------------------------------------------- */

struct mpx__ring *mpx__queue_new_ring(uint32_t units, uint32_t count)
{
	size_t size = sizeof(struct mpx__ring) + (size_t)units * 8;
	struct mpx__ring *ring = units < NEXT_UNITS ? mpx__heap_alloc(size, mpx__self())
						    : mpx__heap_alloc_to_fill(size, mpx__self());

	if (!ring)
		return NULL;
	memset(ring, 0, sizeof *ring);
	mpx__ring_init(ring, units, count);
	return ring;
}

void mpx__queue_free_left_rings(mpx_queue *q)
{
	while (q->p.oldest != atomic_load(&q->c.ring)) {
		struct mpx__ring *ring = q->p.oldest;

		mpx__note(&q->p.left_ring, ring);
		q->p.oldest = atomic_load(&ring->next);
		MPX__THEN;
		mpx__free_noted(&q->p.left_ring, mpx__queue_tag(q));
	}
}

/* --- append ------------------------------------------------------------------------ */

/* n messages of one size, end to end; or one in a block. */
struct batch {
	const char *bytes;
	size_t size;
	size_t n;
	void *block;
};

/* Half of what fits, so that both sides can be at work. */
size_t mpx__queue_gather(const mpx_queue *q, size_t size)
{
	size_t n = MPX__GATHER;

	if (q->maxsize && q->maxsize / 2 < n)
		n = q->maxsize / 2;
	if (q->limit && size && q->limit / size / 2 < n)
		n = q->limit / size / 2;
	return n;
}

size_t mpx__queue_room(mpx_queue *q, size_t size, size_t n)
{
	size_t count, bytes;

	if (q->maxsize) {
		count = mpx__queue_count(q);
		if (count >= q->maxsize)
			return 0;
		n = n < q->maxsize - count ? n : q->maxsize - count;
	}
	if (q->limit && size) {
		bytes = atomic_load(&q->p.bytes) - atomic_load(&q->c.bytes);
		if (bytes + size > q->limit)
			return 0;
		n = n < (q->limit - bytes) / size ? n : (q->limit - bytes) / size;
	}
	return n;
}

/* Under the guard: the same, without a look at what consumers write while there
 * certainly is room for all. */
static inline size_t room_now(mpx_queue *q, size_t size, size_t n)
{
	struct mpx__queue_producers *p = &q->p;
	uint32_t count = atomic_load_explicit(&p->count, memory_order_relaxed) - p->seen_count;
	uint64_t bytes = atomic_load_explicit(&p->bytes, memory_order_relaxed) - p->seen_bytes;
	bool enough = !q->maxsize || (count < q->maxsize && n <= q->maxsize - count);

	if (q->limit && size)
		enough = enough && bytes < q->limit && n <= (q->limit - bytes) / size;
	if (enough)
		return n;
	p->seen_count = atomic_load(&q->c.count);
	p->seen_bytes = atomic_load(&q->c.bytes);
	return mpx__queue_room(q, size, n);
}

/* The i-th message. (Nothing may be added to NULL, not even nothing.) */
static const char *message(const struct batch *b, size_t i)
{
	return b->size ? b->bytes + i * b->size : NULL;
}

/* Writes as many as there is room for; how many. */
static size_t write_batch(struct mpx__ring *ring, const struct batch *b, struct mpx__draft *draft)
{
	size_t i = 0;

	mpx__ring_begin(ring, draft);
	while (i < b->n && mpx__ring_write(ring, message(b, i), b->size, b->block, draft))
		i++;
	return i;
}

/* Under the guard: links a ring that begins with the batch. How many went in; 0 with
 * errno. */
static size_t append_to_fresh_ring(mpx_queue *q, const struct batch *b)
{
	struct mpx__queue_producers *p = &q->p;
	struct mpx__ring *last = p->ring;
	uint32_t count = mpx__position_count(mpx__ring_tail(last));
	struct mpx__ring *ring = mpx__queue_new_ring(NEXT_UNITS, count);
	struct mpx__draft draft;
	size_t n;

	if (!ring)
		return 0;
	ring->serial = mpx__heap_serial(ring);
	n = write_batch(ring, b, &draft);
	mpx__ring_commit(&draft);
	mpx__ring_set_tail(ring, draft.after);
	atomic_store_explicit(&p->bytes, p->bytes_before + n * b->size, memory_order_relaxed);
	mpx__note(&p->fresh_ring, ring);
	mpx__heap_retag(ring, mpx__self(), mpx__queue_tag(q));
	atomic_store_explicit(&last->next, ring, memory_order_release); /* commits */
	MPX__THEN;
	p->ring = ring;
	mpx__forget(&p->fresh_ring);
	mpx__queue_free_left_rings(q);
	return n;
}

/* Under the guard: the draft is put, by one store. */
static inline void commit(struct mpx__queue_producers *p, const struct mpx__draft *draft,
			  size_t bytes)
{
	p->tail_after = draft->after;
	atomic_store_explicit(&p->bytes, p->bytes_before + bytes, memory_order_relaxed);
	MPX__THEN;
	mpx__ring_commit(draft);
	MPX__THEN;
	mpx__ring_set_tail(p->ring, draft->after);
}

/* Under the guard: everything that went in, at once. How many; 0 with errno. */
static size_t append_to_ring(mpx_queue *q, const struct batch *b)
{
	struct mpx__queue_producers *p = &q->p;
	struct mpx__draft draft;
	size_t n = write_batch(p->ring, b, &draft);

	if (!n)
		return append_to_fresh_ring(q, b);
	commit(p, &draft, n * b->size);
	return n;
}

/* Under the guard. *n: how many went in, at least one. 0 or an errno value. */
static int append(mpx_queue *q, const struct batch *b, size_t *n)
{
	struct mpx__queue_producers *p = &q->p;
	int error = 0;

	if (atomic_load_explicit(&q->watchers, memory_order_relaxed))
		error = mpx__queue_ring(q);
	if (error)
		return error;
	p->bytes_before = atomic_load_explicit(&p->bytes, memory_order_relaxed);
	MPX__THEN;
	p->tail_before = mpx__ring_tail(p->ring);
	if (b->block) {
		mpx__note(&p->message, b->block);
		mpx__heap_retag(b->block, mpx__self(), mpx__queue_tag(q));
	}
	MPX__THEN;
	*n = append_to_ring(q, b);
	if (*n) {
		atomic_store_explicit(&p->count, mpx__position_count(p->tail_before) + (uint32_t)*n,
				      memory_order_release);
	} else {
		error = errno;
		if (b->block)
			mpx__heap_retag(b->block, mpx__queue_tag(q), mpx__self());
	}
	if (b->block)
		mpx__forget(&p->message);
	return error;
}

/* --- put ---------------------------------------------------------------------------- */

/* What who waits waits for. */
struct waiter {
	mpx_queue *queue;
	size_t size; /* of the message to put */
};

static bool may_put(void *arg)
{
	struct waiter *w = arg;

	return mpx__queue_room(w->queue, w->size, 1) || atomic_load(&w->queue->closed);
}

/* As much of the batch as there is room for, once there is any. */
static int put(mpx_queue *q, const struct batch *b, int64_t deadline, size_t *n)
{
	struct waiter w = {q, b->size};
	struct mpx__slice slice = {0};

	for (;;) {
		struct batch fits = *b;
		int error = mpx__queue_guard_producers(q, deadline);

		if (error)
			return error;
		fits.n = room_now(q, b->size, b->n);
		if (atomic_load_explicit(&q->closed, memory_order_relaxed))
			error = EPIPE;
		else if (!fits.n)
			error = ETIMEDOUT;
		else
			error = append(q, &fits, n);
		mpx__guard_release(&q->p.guard);
		if (!error)
			mpx__event_post(&q->items, *n > 1);
		if (error != ETIMEDOUT)
			return error;
		mpx__queue_catch_up(q);
		if (!mpx__event_wait_patiently(&q->space, may_put, &w, &slice, deadline,
					       mpx__pause(&q->p.pause)))
			return ETIMEDOUT;
		mpx__pause_adapt(&q->p.pause, mpx__queue_room(q, b->size, MPX__GATHER + 1),
				 mpx__queue_gather(q, b->size));
	}
}

static int put_one(mpx_queue *q, const void *msg, size_t size, int64_t deadline)
{
	struct batch b = {msg, size, 1, NULL};
	struct mpx__queue_block *block = NULL;
	size_t n;
	int error;

	if (q->limit && size > q->limit)
		return EMSGSIZE;
	if (size > MPX__RING_INLINE) {
		b.block = block = mpx__queue_new_block(q, size);
		if (!block)
			return errno;
		memcpy(mpx__queue_bytes(block), msg, size);
	}
	error = put(q, &b, deadline, &n);
	if (error && block)
		mpx__heap_free(block, mpx__self());
	return error;
}

/* What nearly all puts are: of a small message, with nobody at the guard and room in the
 * ring, while nobody polls. False, and nothing has been done, if it is not so. */
static inline bool put_simply(mpx_queue *q, const void *msg, size_t size)
{
	struct mpx__queue_producers *p = &q->p;
	struct mpx__draft draft;
	bool done;

	if (size > MPX__RING_INLINE || mpx__word_try(&p->guard) != 0)
		return false;
	mpx__ring_begin(p->ring, &draft);
	done = !atomic_load_explicit(&q->watchers, memory_order_relaxed) &&
	       !atomic_load_explicit(&q->closed, memory_order_relaxed) && room_now(q, size, 1) &&
	       mpx__ring_write(p->ring, msg, size, NULL, &draft);
	if (done) {
		p->bytes_before = atomic_load_explicit(&p->bytes, memory_order_relaxed);
		MPX__THEN;
		p->tail_before = mpx__ring_tail(p->ring);
		MPX__THEN;
		commit(p, &draft, size);
		atomic_store_explicit(&p->count, mpx__position_count(draft.after),
				      memory_order_release);
	}
	mpx__guard_release(&p->guard);
	if (done)
		mpx__event_post(&q->items, false);
	return done;
}

int mpx_queue_put(mpx_queue *q, const void *msg, size_t size, double timeout)
{
	int64_t deadline;
	int error;

	if (!mpx__queue_takes(q, msg, size, timeout))
		return -1;
	if (put_simply(q, msg, size))
		return 0;
	mpx__deadline(timeout, &deadline);
	error = put_one(q, msg, size, deadline);
	return error ? fail(error) : 0;
}

ssize_t mpx_queue_put_many(mpx_queue *q, const void *msgs, size_t size, size_t n, double timeout)
{
	struct batch b = {msgs, size, n, NULL};
	size_t went_in = 1;
	int64_t deadline;
	int error = 0;

	if (!mpx__queue_usable(q, msgs, n ? size : 0, timeout, &deadline))
		return -1;
	if (size && n > PTRDIFF_MAX / size)
		return fail(EINVAL);
	if (q->limit && size > q->limit)
		return fail(EMSGSIZE);
	while (b.n && !error) {
		if (size > MPX__RING_INLINE)
			error = put_one(q, b.bytes, size, deadline);
		else
			error = put(q, &b, deadline, &went_in);
		if (!error) {
			b.bytes = message(&b, went_in);
			b.n -= went_in;
		}
	}
	return b.n < n || !n ? (ssize_t)(n - b.n) : fail(error);
}

/* --- without copying ------------------------------------------------------------------ */

/* Until there is room for a message of that size. */
static int wait_for_room(mpx_queue *q, size_t size, int64_t deadline)
{
	struct waiter w = {q, size};
	struct mpx__slice slice = {0};

	while (!may_put(&w)) {
		mpx__queue_catch_up(q);
		if (!mpx__event_wait_until(&q->space, may_put, &w, &slice, deadline))
			return ETIMEDOUT;
	}
	return atomic_load(&q->closed) ? EPIPE : 0;
}

void *mpx_queue_reserve(mpx_queue *q, size_t size, double timeout)
{
	struct mpx__queue_block *block;
	int64_t deadline;
	int error;

	if (!mpx__queue_usable(q, q, 1, timeout, &deadline))
		return NULL;
	error = q->limit && size > q->limit ? EMSGSIZE : wait_for_room(q, size, deadline);
	if (error) {
		errno = error;
		return NULL;
	}
	block = mpx__queue_new_block(q, size);
	return block ? mpx__queue_bytes(block) : NULL;
}

int mpx_queue_commit(mpx_queue *q, void *msg)
{
	struct mpx__queue_block *block = mpx__queue_block_of(q, msg);
	struct batch b = {msg, 0, 1, block};
	size_t n;
	int error;

	if (!block)
		return -1;
	if (block->size == MPX__QUEUE_LENT)
		return fail(EINVAL);
	b.size = block->size;
	error = mpx__queue_guard_producers(q, MPX__SOON);
	if (error)
		return fail(error);
	error = atomic_load(&q->closed) ? EPIPE : append(q, &b, &n);
	mpx__guard_release(&q->p.guard);
	if (error)
		return fail(error);
	mpx__event_post(&q->items, false);
	return 0;
}

int mpx_queue_cancel(mpx_queue *q, void *msg)
{
	struct mpx__queue_block *block = mpx__queue_block_of(q, msg);

	if (!block)
		return -1;
	block->queue = NULL;
	mpx__heap_free(block, mpx__self());
	return 0;
}
