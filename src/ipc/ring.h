/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * A ring of records in shared memory, for one producer and one consumer at a time
 * (the queue's two guards see to that). A record is a word of header and either the
 * message itself or the address of a block that holds it.
 *
 * Behind the last record stands a header of 0: nothing yet. The next record, or many of
 * them, is written around it, with another 0 behind it; then the header takes the place
 * of the 0, by one store, which commits. So a consumer looks only at the line that it is
 * about to read, and not at an index of the producer's, which would be another line to
 * fetch from there for every message that is waited for (after FastForward: Giacomoni,
 * Moseley, Vachharajani, PPoPP 2008, who clear what was consumed instead).
 *
 * A position is a count of records (high half) and an offset in units of 8 bytes
 * (low half), both modulo 2^32, in one word.
 *
 *   R1 producer: records written, then the first one's header stored (release)
 *   R2 consumer: header loaded (acquire), then the record read     pairs with R1
 *   R3 consumer: record read, then head stored (release)
 *   R4 producer: head loaded (acquire), then that room written    pairs with R3
 *
 * A ring that is full is followed by another: the producer links it, the consumer
 * goes on there once it has drained this one. See queue.c.
 */
#ifndef MPX_IPC_RING_H
#define MPX_IPC_RING_H

#include "base/processor.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct mpx__ring {
	/* The producer's line. */
	_Alignas(64) _Atomic uint64_t tail; /* behind the last record; a moment late */
	uint64_t seen_head;		    /* a head of before */
	/* A line that nobody writes: neighbours are fetched in pairs. */
	_Alignas(64) uint32_t units;	  /* of data, a power of two; constant */
	_Atomic(struct mpx__ring *) next; /* by the producer, once */
	uint64_t serial;		  /* of the ring's own block; constant */
	/* The consumer's line. */
	_Alignas(64) _Atomic uint64_t head;
	_Alignas(64) _Atomic uint64_t data[];
};

/* Messages up to this size stand in the ring itself. */
enum { MPX__RING_INLINE = 4096 };

/* So many units ahead lines are fetched for writing. Consumers have read them, so they
 * are in another processor's cache; and whoever gives back a guard waits for what it has
 * written to get there. */
enum { MPX__RING_AHEAD = 32 };

/* Header of a record: size << 2 | kind. NONE: no record yet. SKIP: nothing more before the
 * ring's end. */
enum { MPX__RECORD_NONE, MPX__RECORD_INLINE, MPX__RECORD_BLOCK, MPX__RECORD_SKIP };

struct mpx__record {
	int kind;
	size_t size;	   /* of the message */
	const void *bytes; /* INLINE: in the ring */
	void *block;	   /* BLOCK */
	uint64_t after;	   /* the position behind it */
};

/* Records that have been written, and not committed. */
struct mpx__draft {
	uint64_t after;		 /* the position behind them */
	_Atomic uint64_t *place; /* of the header that commits them; NULL: there are none */
	uint64_t header;
};

static inline uint64_t mpx__position(uint32_t count, uint32_t offset)
{
	return (uint64_t)count << 32 | offset;
}

static inline uint32_t mpx__position_count(uint64_t position)
{
	return (uint32_t)(position >> 32);
}

/* Over a zeroed head: an empty ring that goes on counting at count. */
void mpx__ring_init(struct mpx__ring *ring, uint32_t units, uint32_t count);

/* Where the next record goes. */
static inline uint64_t mpx__ring_tail(struct mpx__ring *ring)
{
	return atomic_load_explicit(&ring->tail, memory_order_relaxed);
}

static inline uint32_t mpx__units_of(size_t size)
{
	return 1 + (uint32_t)((size + 7) / 8);
}

/* The word at an offset. */
static inline _Atomic uint64_t *mpx__ring_word(struct mpx__ring *ring, uint32_t offset)
{
	return &ring->data[offset & (ring->units - 1)];
}

/* Are records up to that offset, and the 0 behind them, in nobody's way? */
static inline bool mpx__ring_has_room(struct mpx__ring *ring, uint32_t end)
{
	if (end - (uint32_t)ring->seen_head < ring->units)
		return true;
	ring->seen_head = atomic_load_explicit(&ring->head, memory_order_acquire); /* R4 */
	return end - (uint32_t)ring->seen_head < ring->units;
}

static inline void mpx__ring_begin(struct mpx__ring *ring, struct mpx__draft *draft)
{
	draft->after = mpx__ring_tail(ring);
	draft->place = NULL;
}

/* Adds a record to the draft; false: no room. block is NULL for a message inside the
 * ring. */
static inline bool mpx__ring_write(struct mpx__ring *ring, const void *msg, size_t size,
				   void *block, struct mpx__draft *draft)
{
	uint32_t need = mpx__units_of(block ? sizeof block : size);
	uint32_t offset = (uint32_t)draft->after, at = offset & (ring->units - 1);
	uint32_t skip = ring->units - at < need ? ring->units - at : 0;
	_Atomic uint64_t *place = &ring->data[at];
	uint64_t header = (uint64_t)size << 2 | (block ? MPX__RECORD_BLOCK : MPX__RECORD_INLINE);

	if (!mpx__ring_has_room(ring, offset + skip + need))
		return false;
	if (skip) {
		at = 0;
		atomic_store_explicit(&ring->data[0], header, memory_order_relaxed);
		header = MPX__RECORD_SKIP;
	}
	for (uint32_t i = 0; i < need && i < MPX__RING_AHEAD; i += 8)
		mpx__will_write(mpx__ring_word(ring, at + MPX__RING_AHEAD + i));
	if (block)
		memcpy((void *)&ring->data[at + 1], &block, sizeof block);
	else if (size)
		memcpy((void *)&ring->data[at + 1], msg, size);
	atomic_store_explicit(mpx__ring_word(ring, at + need), MPX__RECORD_NONE,
			      memory_order_relaxed);
	if (draft->place) {
		atomic_store_explicit(place, header, memory_order_relaxed);
	} else {
		draft->place = place;
		draft->header = header;
	}
	draft->after = mpx__position(mpx__position_count(draft->after) + 1, offset + skip + need);
	return true;
}

/* R1. The tail has to be set then. */
static inline void mpx__ring_commit(const struct mpx__draft *draft)
{
	atomic_store_explicit(draft->place, draft->header, memory_order_release);
}

static inline void mpx__ring_set_tail(struct mpx__ring *ring, uint64_t position)
{
	atomic_store_explicit(&ring->tail, position, memory_order_relaxed);
}

/* Is there a record at this position, which is the tail or the head? */
static inline bool mpx__ring_has_record(struct mpx__ring *ring, uint64_t position)
{
	return atomic_load_explicit(mpx__ring_word(ring, (uint32_t)position),
				    memory_order_relaxed) != MPX__RECORD_NONE;
}

/* Where the oldest record is, or will be. */
static inline uint64_t mpx__ring_head(struct mpx__ring *ring)
{
	return atomic_load_explicit(&ring->head, memory_order_relaxed);
}

/* The record at position, which is the head or behind a record from there on; false if
 * there is none. */
static inline bool mpx__ring_read(struct mpx__ring *ring, uint64_t position,
				  struct mpx__record *record)
{
	uint32_t offset = (uint32_t)position, at = offset & (ring->units - 1);
	uint64_t header = atomic_load_explicit(&ring->data[at], memory_order_acquire); /* R2 */

	if (header == MPX__RECORD_NONE)
		return false;
	if (header == MPX__RECORD_SKIP) {
		offset += ring->units - at;
		at = 0;
		header = atomic_load_explicit(&ring->data[0], memory_order_relaxed);
	}
	record->kind = header & 3;
	record->size = (size_t)(header >> 2);
	record->bytes = (const void *)&ring->data[at + 1];
	record->block = NULL;
	if (record->kind == MPX__RECORD_BLOCK)
		memcpy(&record->block, record->bytes, sizeof record->block);
	offset += mpx__units_of(record->kind == MPX__RECORD_BLOCK ? sizeof record->block
								  : record->size);
	record->after = mpx__position(mpx__position_count(position) + 1, offset);
	return true;
}

/* R3: all records before that position are taken. */
static inline void mpx__ring_take(struct mpx__ring *ring, uint64_t position)
{
	atomic_store_explicit(&ring->head, position, memory_order_release);
}

#endif
