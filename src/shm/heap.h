/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * The family heap's allocator.
 *
 * Crash-safe by one rule: there is little *truth*, each piece of it changes by a
 * single store under the heap's lock, and all else is an index that is rebuilt from
 * the truth when a holder of the lock died. The truth is
 *
 *   - the head of each page (4 KiB) that begins a run: what the run is (a block, a slab, or
 *     one that is free and kept whole) and its length;
 *   - in a slab (a run of 16 pages cut into blocks of one size), one bit per block;
 *   - in each block's header, a tag: whose it is.
 *
 * Tags: MPX__TAG_USER for blocks of mpx_malloc, MPX__TAG_OBJECT for objects (object.h); a peer's id
 * for a block in that process's hands, which comes back if it dies (peers.h); an object's address
 * for a block that the object keeps. A block changes hands by mpx__heap_retag, a compare-exchange,
 * so it has one owner at every instant.
 *
 * Each allocation has a serial number. Who repairs after a death and finds the
 * address of a block in a dead process's notes must know whether that block is
 * still the same one: it gives the serial number that was noted with it.
 */
#ifndef MPX_SHM_HEAP_H
#define MPX_SHM_HEAP_H

#include "shm/word.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MPX__PAGE = 4096, MPX__HEAP_CLASSES = 17 };
#define MPX__HEAP_LEAST ((size_t)1 << 20)

#define MPX__TAG_USER UINT64_C(1)
#define MPX__TAG_OBJECT UINT64_C(2)

/* Runs that were given back and stay whole, for the next who wants as many pages. */
enum { MPX__KEPT = 8 };
struct mpx__kept {
	uint32_t page, n;
};

struct mpx__heap {
	/* Constant, and read by every call of the library: a line that nobody writes. */
	_Alignas(128) char *base; /* of page 0 */
	size_t size;		  /* bytes from there on */
	uint32_t pages;
	uint32_t unit;		/* so many are a page of the system's */
	_Atomic uint64_t *head; /* truth: [pages]; 0, or kind << 32 | length */
	uint64_t *used;		/* index: a bit per page */
	uint64_t *dirty;	/* index: free pages that may not be zero */
	/* Guards those arrays, and all that follows; word.h. */
	_Alignas(128) struct mpx__word lock;
	uint32_t top;	      /* truth: pages from here on were never used */
	uint32_t lowest;      /* index: no free page below */
	uint64_t used_pages;  /* index */
	uint64_t dirty_pages; /* index */
	uint64_t edges;	      /* index: of them, those that were no whole pages of the system's */
	uint64_t serial;      /* of the last allocation; only grows */
	uint32_t spare;	      /* so many dirty pages are kept */
	uint32_t purged;      /* pages given back, and not wanted since */
	uint32_t missed;      /* of those given back, wanted again */
	bool keeps;	      /* the system takes no pages back */
	uint32_t kept_n;      /* index: of kept, the one given back last at the end */
	struct mpx__kept kept[MPX__KEPT];
	uint32_t partial[MPX__HEAP_CLASSES]; /* index: first slab with room + 1 */
};

/* Over zeroed memory, once. */
void mpx__heap_init(struct mpx__heap *heap, char *begin, char *end);

/* A block; NULL with ENOMEM (or EAGAIN: the caller has no peer id). */
void *mpx__heap_alloc(size_t size, uint64_t tag);
/* The same, zeroed. */
void *mpx__heap_calloc(size_t size, uint64_t tag);

/* For who writes all of it at once: its pages, if they are not there, come together. */
void *mpx__heap_alloc_to_fill(size_t size, uint64_t tag);

/* False, and nothing happens, if block is none, or if its tag is not from. */
bool mpx__heap_free(void *block, uint64_t from);
/* Nor if it is another allocation than the one with this serial number. */
bool mpx__heap_free_noted(void *block, uint64_t from, uint64_t serial);

/* Of a block that the caller owns. */
uint64_t mpx__heap_serial(void *block);

/* Hands a block over; false if its tag is not from. */
bool mpx__heap_retag(void *block, uint64_t from, uint64_t to);

/* Is p a block with that tag? As far as its header tells: users' bytes may look like one. */
bool mpx__heap_has_tag(const void *p, uint64_t tag);

/* Frees every block with this tag; a walk over the heap. */
void mpx__heap_sweep(uint64_t tag);

/* Blocks in use, and pages. */
void mpx__heap_count(uint64_t *blocks, uint64_t *used_pages, uint64_t *dirty_pages);

#endif
