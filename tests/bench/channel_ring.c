/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * The limit of a channel: bare rings, without locks, that never sleep and that nobody
 * may die inside.
 *
 * The first is for one producer and one consumer. Each keeps its index in a line of its
 * own and a copy of the other's, which it reads anew only when it must; the unit is 8
 * bytes, a message is its size and its bytes. It is as quick as we could make it: the
 * producer asks for the lines ahead before it needs them, a consumer that has found nothing
 * lets some gather before it looks again, and there are 256 KiB, which stay in the caches
 * of both. (On the machine that showed most of a difference, a message of 64 bytes took 175
 * ns with 4 MiB and a look at each pause, and 29 ns like this.)
 *
 * The second is for many: cells with sequence numbers, claimed by compare-exchange
 * (after Vyukov).
 */
#include "bench.h"
#include "channel.h"

#include <stdatomic.h>

/* --- one and one ------------------------------------------------------------------- */

struct ring {
	_Alignas(128) _Atomic size_t head; /* by the consumer */
	size_t seen_tail;
	_Alignas(128) _Atomic size_t tail; /* by the producer */
	size_t seen_head;
	_Alignas(128) size_t units; /* constant; a power of 2 */
	uint64_t data[];
};

enum { RING_BYTES = 256 << 10, GATHER = 64 };

/* Lines so many units ahead are taken from the consumer's cache before they are needed. */
enum { AHEAD = 32 };

static inline void will_write(const void *p)
{
#if defined(__x86_64__)
	__asm__ __volatile__("prefetchw %0" : : "m"(*(const char *)p));
#else
	__builtin_prefetch(p, 1);
#endif
}

static size_t ring_units(size_t size)
{
	size_t units = RING_BYTES / 8;

	while (units < 4 * (size / 8 + 2))
		units *= 2;
	return units;
}

static void *ring_open(size_t size)
{
	struct ring *r = bench_share(sizeof *r + ring_units(size) * 8);

	r->units = ring_units(size);
	return r;
}

static inline void ring_put(void *c, const void *msg, size_t size)
{
	struct ring *r = c;
	size_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
	size_t need = 1 + (size + 7) / 8, at = tail & (r->units - 1);
	size_t skip = r->units - at < need ? r->units - at : 0;

	for (unsigned i = 0; tail + skip + need - r->seen_head > r->units; i++) {
		r->seen_head = atomic_load_explicit(&r->head, memory_order_acquire);
		bench_relax(i);
	}
	if (skip) {
		r->data[at] = UINT64_MAX;
		at = 0;
	}
	for (size_t i = 0; i < need && i < AHEAD; i += 8)
		will_write(&r->data[(at + AHEAD + i) & (r->units - 1)]);
	r->data[at] = size;
	memcpy(&r->data[at + 1], msg, size);
	atomic_store_explicit(&r->tail, tail + skip + need, memory_order_release);
}

static inline void ring_get(void *c, void *msg, size_t size)
{
	struct ring *r = c;
	size_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
	size_t at = head & (r->units - 1);

	for (unsigned i = 0; head == r->seen_tail; i++) {
		r->seen_tail = atomic_load_explicit(&r->tail, memory_order_acquire);
		for (int k = 0; k < GATHER && head == r->seen_tail; k++)
			bench_relax(i);
	}
	if (r->data[at] == UINT64_MAX) {
		head += r->units - at;
		at = 0;
	}
	bench_check(r->data[at] == size);
	memcpy(msg, &r->data[at + 1], size);
	atomic_store_explicit(&r->head, head + 1 + (size + 7) / 8, memory_order_release);
}

static void ring_close(void *c)
{
	struct ring *r = c;

	bench_unshare(r, sizeof *r + r->units * 8);
}

CHANNEL_LOOPS(ring);

const struct channel channel_ring = {
	.name = "limit: ring",
	.open = ring_open,
	.put = ring_put,
	.get = ring_get,
	.produce = ring_produce,
	.consume = ring_consume,
	.close = ring_close,
};

/* --- many and many ----------------------------------------------------------------- */

struct cell {
	_Atomic size_t turn;
	char bytes[];
};

struct cells {
	_Alignas(128) _Atomic size_t head;
	_Alignas(128) _Atomic size_t tail;
	_Alignas(128) size_t count; /* constant; a power of 2 */
	size_t each;		    /* bytes; constant */
	size_t all;		    /* bytes of the mapping */
	char data[];
};

static struct cell *cell_at(struct cells *r, size_t i)
{
	return (struct cell *)(void *)(r->data + (i & (r->count - 1)) * r->each);
}

static void *cells_open(size_t size)
{
	size_t each = (sizeof(struct cell) + size + 7) / 8 * 8, count = 4, all;
	struct cells *r;

	while (count < channel_capacity(size))
		count *= 2;
	all = sizeof *r + count * each;
	r = bench_share(all);
	r->count = count;
	r->each = each;
	r->all = all;
	for (size_t i = 0; i < count; i++)
		atomic_store(&cell_at(r, i)->turn, i);
	return r;
}

/* Claims the cell whose turn is so far ahead of the index. */
static inline struct cell *claim(struct cells *r, _Atomic size_t *index, size_t ahead, size_t *at)
{
	size_t i = atomic_load_explicit(index, memory_order_relaxed);
	unsigned tries = 0;

	for (;;) {
		struct cell *cell = cell_at(r, i);
		size_t turn = atomic_load_explicit(&cell->turn, memory_order_acquire);

		if (turn == i + ahead) {
			if (atomic_compare_exchange_weak_explicit(
				    index, &i, i + 1, memory_order_relaxed, memory_order_relaxed)) {
				*at = i;
				return cell;
			}
		} else {
			bench_relax(tries++);
			i = atomic_load_explicit(index, memory_order_relaxed);
		}
	}
}

static inline void cells_put(void *c, const void *msg, size_t size)
{
	struct cells *r = c;
	size_t at;
	struct cell *cell = claim(r, &r->tail, 0, &at);

	memcpy(cell->bytes, msg, size);
	atomic_store_explicit(&cell->turn, at + 1, memory_order_release);
}

static inline void cells_get(void *c, void *msg, size_t size)
{
	struct cells *r = c;
	size_t at;
	struct cell *cell = claim(r, &r->head, 1, &at);

	memcpy(msg, cell->bytes, size);
	atomic_store_explicit(&cell->turn, at + r->count, memory_order_release);
}

static void cells_close(void *c)
{
	struct cells *r = c;

	bench_unshare(r, r->all);
}

CHANNEL_LOOPS(cells);

const struct channel channel_ring_many = {
	.name = "limit: ring, many",
	.many = true,
	.open = cells_open,
	.put = cells_put,
	.get = cells_get,
	.produce = cells_produce,
	.consume = cells_consume,
	.close = cells_close,
};
