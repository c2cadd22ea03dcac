/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 */
#include "ipc/ring.h"

void mpx__ring_init(struct mpx__ring *ring, uint32_t units, uint32_t count)
{
	ring->units = units;
	ring->seen_head = mpx__position(count, 0);
	atomic_store_explicit(&ring->head, ring->seen_head, memory_order_relaxed);
	atomic_store_explicit(&ring->tail, ring->seen_head, memory_order_relaxed);
	atomic_store_explicit(&ring->data[0], MPX__RECORD_NONE, memory_order_relaxed);
}
