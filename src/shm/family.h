/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * The family's one mapping: reserved before the first fork, so at the same
 * address in every process, and laid out as
 *
 *   struct mpx__family | heap's page heads | heap's two bitmaps | heap's pages
 *
 * Calling sequence: mpx__family() before anything else that is shared; it makes
 * the mapping the first time. A process that a plain fork() made is a member as
 * well; it gets a slot of its own when it first needs one (peers.h).
 */
#ifndef MPX_SHM_FAMILY_H
#define MPX_SHM_FAMILY_H

#include "shm/heap.h"
#include "shm/peers.h"
#include "shm/word.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mpx__family {
	size_t size;			    /* of the mapping; constant */
	_Alignas(64) _Atomic uint32_t done; /* eventcount: a result of some pool is ready */
	struct mpx__word trace_lock;	    /* the next two, and trace_path: pool/trace_file.c */
	_Atomic uint32_t trace_state;
	_Atomic uint32_t trace_pools; /* so far */
	char trace_path[1024];
	struct mpx__heap heap;
	struct mpx__peers peers;
};

/* NULL until the family exists; constant afterwards. Atomic since who sees it, in another
 * thread than the one that made it, must see what is in it. */
extern _Atomic(struct mpx__family *) mpx__family_base;

/* How often it pays to look again before sleeping; 0 on a single processor. */
extern int mpx__spins;

/* Is it inside the heap at all? */
static inline bool mpx__heap_contains(const void *p, size_t size)
{
	struct mpx__family *f = mpx__family_base;
	const struct mpx__heap *heap = f ? &f->heap : NULL;
	uintptr_t offset = heap ? (uintptr_t)p - (uintptr_t)heap->base : 0;

	return heap && offset < heap->size && size <= heap->size - offset;
}

/* The family, made if need be; NULL with ENOMEM. */
struct mpx__family *mpx__family(void);

#endif
