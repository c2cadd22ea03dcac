/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * The heap's pages: runs of them are taken and given back under the heap's lock. A
 * run's head is truth, which pages are used or dirty is index; see heap.h.
 */
#ifndef MPX_SHM_PAGES_H
#define MPX_SHM_PAGES_H

#include "shm/family.h"
#include "shm/heap.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MPX__NO_PAGE (~UINT32_C(0))

static inline struct mpx__heap *heap(void)
{
	return &mpx__family_base->heap;
}

static inline void *page_address(uint32_t page)
{
	return heap()->base + (size_t)page * MPX__PAGE;
}

static inline uint32_t page_of(const void *p)
{
	return (uint32_t)((size_t)((const char *)p - heap()->base) / MPX__PAGE);
}

static inline uint32_t head_kind(uint64_t head)
{
	return (uint32_t)(head >> 32);
}

static inline uint32_t head_length(uint64_t head)
{
	return (uint32_t)head;
}

/* Kinds of runs; 0 is none. */
enum { MPX__RUN_LARGE = 1, MPX__RUN_SLAB, MPX__RUN_KEPT };

/* The first free run of n pages that starts at a multiple of align, or MPX__NO_PAGE.
 * It may be written to, and is nobody's until mpx__run_begin. */
uint32_t mpx__run_find(uint32_t n, uint32_t align);

/* May these pages be other than zero? */
bool mpx__run_dirty(uint32_t page, uint32_t n);

/* What stands in the run is ready: from now on it is in use. */
void mpx__run_begin(uint32_t page, uint32_t kind, uint32_t n);

void mpx__run_end(uint32_t page);

/* The same, but the run stays whole, where pages can be given back to the system; until somebody
 * takes it again, by reuse, which gives MPX__NO_PAGE if there is none of n pages, and then by
 * begin_again. Its pages are dirty. */
void mpx__run_keep(uint32_t page);
uint32_t mpx__run_reuse(uint32_t n);
void mpx__run_begin_again(uint32_t page, uint32_t kind, uint32_t n);

/* Gives all free pages back to the system, as far as they are pages of its own. */
void mpx__pages_purge(void);

/* What is kept for the next who asks: a quarter of what is in use, and at least 16 MiB; up
 * to 64 MiB if pages that were given back keep being wanted again. */
enum { MPX__SPARE_LEAST = 4096, MPX__SPARE_MOST = 16384 };

static inline void purge_if_much(void)
{
	struct mpx__heap *h = heap();
	uint64_t quarter = h->used_pages / 4;

	if (!h->keeps && h->dirty_pages > h->edges + (quarter > h->spare ? quarter : h->spare))
		mpx__pages_purge();
}

/* Makes the index of pages from the heads. */
void mpx__pages_rebuild(void);

#endif
