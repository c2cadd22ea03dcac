/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 */
#include "ipc/ring.h"

#include <string.h>

/* Header of a record: size << 2 | kind. SKIP: nothing more before the ring's end. */
enum { SKIP = 2 };

static uint64_t make_position(uint32_t count, uint32_t offset)
{
	return (uint64_t)count << 32 | offset;
}

static uint32_t units_of(size_t size)
{
	return 1 + (uint32_t)((size + 7) / 8);
}

void mpx__ring_init(struct mpx__ring *ring, uint32_t units, uint32_t count)
{
	ring->units = units;
	ring->seen_head = ring->seen_tail = make_position(count, 0);
	atomic_store_explicit(&ring->head, ring->seen_head, memory_order_relaxed);
	atomic_store_explicit(&ring->tail, ring->seen_tail, memory_order_relaxed);
}

static bool has_room(struct mpx__ring *ring, uint32_t end)
{
	if (end - (uint32_t)ring->seen_head <= ring->units)
		return true;
	ring->seen_head = atomic_load_explicit(&ring->head, memory_order_acquire); /* R4 */
	return end - (uint32_t)ring->seen_head <= ring->units;
}

bool mpx__ring_write(struct mpx__ring *ring, const void *msg, size_t size, void *block,
		     uint64_t *position)
{
	uint32_t need = units_of(block ? sizeof block : size);
	uint32_t offset = (uint32_t)*position, at = offset & (ring->units - 1);
	uint32_t skip = ring->units - at < need ? ring->units - at : 0;

	if (!has_room(ring, offset + skip + need))
		return false;
	if (skip) {
		ring->data[at] = SKIP;
		at = 0;
	}
	ring->data[at] = (uint64_t)size << 2 | (block ? MPX__RECORD_BLOCK : MPX__RECORD_INLINE);
	if (block)
		memcpy(&ring->data[at + 1], &block, sizeof block);
	else if (size)
		memcpy(&ring->data[at + 1], msg, size);
	*position = make_position(mpx__position_count(*position) + 1, offset + skip + need);
	return true;
}

bool mpx__ring_read(struct mpx__ring *ring, uint64_t position, struct mpx__record *record)
{
	uint64_t header;
	uint32_t offset = (uint32_t)position, at = offset & (ring->units - 1);

	if (position == ring->seen_tail) {
		ring->seen_tail = atomic_load_explicit(&ring->tail, memory_order_acquire); /* R2 */
		if (position == ring->seen_tail)
			return false;
	}
	if (ring->data[at] == SKIP) {
		offset += ring->units - at;
		at = 0;
	}
	header = ring->data[at];
	record->kind = header & 3;
	record->size = (size_t)(header >> 2);
	record->bytes = &ring->data[at + 1];
	record->block = NULL;
	if (record->kind == MPX__RECORD_BLOCK)
		memcpy(&record->block, record->bytes, sizeof record->block);
	offset += units_of(record->kind == MPX__RECORD_BLOCK ? sizeof record->block : record->size);
	record->after = make_position(mpx__position_count(position) + 1, offset);
	return true;
}
