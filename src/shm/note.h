/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * Notes: before the holder of an object's guard gives a block to the object, it
 * writes down which. If it is killed before it has committed, the next holder finds
 * the note and can take the block back; the serial number tells whether it still is
 * that block (heap.h).
 */
#ifndef MPX_SHM_NOTE_H
#define MPX_SHM_NOTE_H

#include "shm/heap.h"

#include <stdatomic.h>
#include <stdint.h>

/* What stands above has happened before what stands below, for whoever looks after
 * this process was killed in between. (To the living, the commits speak.) */
#define MPX__THEN atomic_signal_fence(memory_order_seq_cst)

struct mpx__note {
	_Atomic(void *) block;
	uint64_t serial;
};

static inline void mpx__note(struct mpx__note *n, void *block)
{
	n->serial = mpx__heap_serial(block);
	MPX__THEN;
	atomic_store_explicit(&n->block, block, memory_order_relaxed);
	MPX__THEN;
}

static inline void mpx__forget(struct mpx__note *n)
{
	MPX__THEN;
	atomic_store_explicit(&n->block, NULL, memory_order_relaxed);
}

/* Frees what is noted if it still has that tag; then forgets it. */
static inline void mpx__free_noted(struct mpx__note *n, uint64_t tag)
{
	void *block = atomic_load_explicit(&n->block, memory_order_relaxed);

	if (block)
		mpx__heap_free_noted(block, tag, n->serial);
	mpx__forget(n);
}

#endif
