/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * Blocks: large ones are runs of pages (pages.h), small ones stand in slabs. Which of
 * a slab's are taken is truth, which slabs have room is index; see heap.h.
 */
#include "shm/heap.h"

#include "base/log.h"
#include "platform/platform.h"
#include "shm/bitmap.h"
#include "shm/family.h"
#include "shm/pages.h"
#include "shm/word.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { LARGE = MPX__RUN_LARGE, SLAB = MPX__RUN_SLAB };
enum { SLAB_PAGES = 16, SLAB_SIZE = SLAB_PAGES * MPX__PAGE, LARGE_OFFSET = 64 };

/* Immediately before each block. */
struct header {
	_Atomic uint64_t tag;
	uint64_t serial;
};

/* Block sizes, header included; multiples of 64 from 64 on, so that blocks of
 * more than a cache line start on one. */
static const uint16_t class_size[MPX__HEAP_CLASSES] = {
	32,   64,   128,  192,	256,  384,  512,   768,	  1024,
	1536, 2048, 3072, 4096, 6144, 8192, 12288, 16384,
};

struct slab {
	uint32_t cls;
	uint32_t blocks;     /* how many fit */
	uint32_t free;	     /* index */
	uint32_t next, prev; /* index: page numbers + 1, of slabs with room */
	_Alignas(64) _Atomic uint64_t taken[SLAB_SIZE / 32 / 64]; /* truth: a bit per block */
};

/* The first block's header; the block behind it is aligned to 64. */
#define SLAB_FIRST (sizeof(struct slab) + 64 - sizeof(struct header))

_Static_assert(sizeof(struct header) == 16, "blocks are aligned to 16");
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "words must be lock-free to be shared");

static struct header *header_of(void *block)
{
	return (struct header *)block - 1;
}

static struct header *slab_header(struct slab *slab, uint32_t i)
{
	return (struct header *)(void *)((char *)slab + SLAB_FIRST +
					 (size_t)i * class_size[slab->cls]);
}

static uint32_t run_pages(size_t size)
{
	return (uint32_t)((size + LARGE_OFFSET + MPX__PAGE - 1) / MPX__PAGE);
}

void mpx__heap_init(struct mpx__heap *h, char *begin, char *end)
{
	/* Per page: 8 bytes of head, 2 bits, and the page. */
	size_t pages = (size_t)(end - begin) * 4 / (MPX__PAGE * 4 + 33);
	size_t words = pages / 64 + 1;
	size_t unit = (size_t)sysconf(_SC_PAGESIZE) / MPX__PAGE;

	h->head = (_Atomic uint64_t *)(void *)begin;
	h->used = (uint64_t *)(void *)(begin + pages * 8);
	h->dirty = h->used + words;
	begin = (char *)(h->dirty + words);
	unit = unit ? unit : 1;
	begin += unit * MPX__PAGE - (uintptr_t)begin % (unit * MPX__PAGE);
	while (begin + pages * MPX__PAGE > end)
		pages--;
	h->base = begin;
	h->pages = (uint32_t)pages;
	h->unit = (uint32_t)unit;
	h->size = pages * MPX__PAGE;
	h->spare = MPX__SPARE_LEAST;
}

/* --- the index of slabs with room ------------------------------------------------ */

static struct slab *slab_at(uint32_t page_plus_1)
{
	return page_address(page_plus_1 - 1);
}

static void partial_add(struct slab *slab)
{
	uint32_t *first = &heap()->partial[slab->cls];

	slab->prev = 0;
	slab->next = *first;
	*first = page_of(slab) + 1;
	if (slab->next)
		slab_at(slab->next)->prev = *first;
}

static void partial_remove(struct slab *slab)
{
	if (slab->prev)
		slab_at(slab->prev)->next = slab->next;
	else
		heap()->partial[slab->cls] = slab->next;
	if (slab->next)
		slab_at(slab->next)->prev = slab->prev;
}

/* Makes all of the index from the truth. */
static void rebuild(void)
{
	struct mpx__heap *h = heap();
	uint32_t page = 0;

	mpx__pages_rebuild();
	memset(h->partial, 0, sizeof h->partial);
	while (page < h->top) {
		uint64_t head = atomic_load(&h->head[page]);
		struct slab *slab = page_address(page);

		if (head_kind(head) == SLAB) {
			slab->free =
				slab->blocks - bit_count((uint64_t *)slab->taken, 0, slab->blocks);
			if (slab->free)
				partial_add(slab);
		}
		page += head ? head_length(head) : 1;
	}
}

/* --- the lock -------------------------------------------------------------------- */

/* 0, or EAGAIN: the caller has no peer id. */
static int lock(void)
{
	int error = mpx__word_acquire(&heap()->lock, INT64_MAX);

	if (error == EOWNERDEAD) {
		rebuild();
		mpx__word_consistent(&heap()->lock);
		mpx__log_note(MPX__LOG_HEAP, heap());
		error = 0;
	}
	return error;
}

static void unlock(void)
{
	mpx__word_release(&heap()->lock);
}

/* --- large blocks ------------------------------------------------------------------- */

static void fill_header(struct header *header, uint64_t tag)
{
	atomic_store_explicit(&header->tag, tag, memory_order_relaxed);
	header->serial = ++heap()->serial;
}

static void *alloc_large(size_t size, uint64_t tag, bool *dirty)
{
	uint32_t n = run_pages(size);
	uint32_t page = mpx__run_reuse(n);
	bool again = page != MPX__NO_PAGE;
	struct header *header;

	if (!again)
		page = mpx__run_find(n, 1);
	if (page == MPX__NO_PAGE)
		return NULL;
	*dirty = again || mpx__run_dirty(page, n);
	header = (struct header *)(void *)((char *)page_address(page) + LARGE_OFFSET) - 1;
	fill_header(header, tag);
	if (again)
		mpx__run_begin_again(page, LARGE, n);
	else
		mpx__run_begin(page, LARGE, n);
	return header + 1;
}

/* --- blocks in slabs ---------------------------------------------------------------- */

static struct slab *new_slab(uint32_t cls)
{
	uint32_t page = mpx__run_find(SLAB_PAGES, SLAB_PAGES);
	struct slab *slab;

	if (page == MPX__NO_PAGE)
		return NULL;
	slab = page_address(page);
	memset(slab, 0, sizeof *slab);
	slab->cls = cls;
	slab->blocks = (uint32_t)((SLAB_SIZE - SLAB_FIRST) / class_size[cls]);
	slab->free = slab->blocks;
	mpx__run_begin(page, SLAB, SLAB_PAGES);
	partial_add(slab);
	return slab;
}

static void *alloc_small(size_t size, uint64_t tag)
{
	uint32_t cls = 0, i;
	struct slab *slab;
	struct header *header;

	while (class_size[cls] < size + sizeof(struct header))
		cls++;
	if (heap()->partial[cls])
		slab = slab_at(heap()->partial[cls]);
	else
		slab = new_slab(cls);
	if (!slab)
		return NULL;
	i = bit_find((uint64_t *)slab->taken, 0, slab->blocks, false);
	header = slab_header(slab, i);
	fill_header(header, tag);
	atomic_store_explicit(&slab->taken[i / 64], slab->taken[i / 64] | UINT64_C(1) << i % 64,
			      memory_order_release);
	if (--slab->free == 0)
		partial_remove(slab);
	return header + 1;
}

static void free_small(struct slab *slab, uint32_t i)
{
	bool only_one;

	atomic_store_explicit(&slab->taken[i / 64], slab->taken[i / 64] & ~(UINT64_C(1) << i % 64),
			      memory_order_release);
	if (slab->free++ == 0)
		partial_add(slab);
	only_one = !slab->next && !slab->prev;
	if (slab->free == slab->blocks && !only_one) {
		partial_remove(slab);
		mpx__run_end(page_of(slab));
	}
}

/* Finds the slab and the number of a block; false if there is no such block. */
static bool find_small(void *block, struct slab **slab, uint32_t *i)
{
	uint32_t page = page_of(block) / SLAB_PAGES * SLAB_PAGES;
	size_t offset = (size_t)((char *)block - (char *)page_address(page));
	struct slab *s = page_address(page);

	if (head_kind(atomic_load(&heap()->head[page])) != SLAB)
		return false;
	offset -= SLAB_FIRST + sizeof(struct header);
	*i = (uint32_t)(offset / class_size[s->cls]);
	if (offset >= SLAB_SIZE || offset % class_size[s->cls] != 0 || *i >= s->blocks ||
	    !bit_test((uint64_t *)s->taken, *i))
		return false;
	*slab = s;
	return true;
}

static bool is_large(void *block)
{
	return (char *)block - LARGE_OFFSET == (char *)page_address(page_of(block)) &&
	       head_kind(atomic_load(&heap()->head[page_of(block)])) == LARGE;
}

/* --- the interface ------------------------------------------------------------------- */

enum contents { ANY, ZERO, WRITTEN_SOON };

/* Of smaller blocks pages come one by one. */
enum { MANY_BYTES = 65536 };

static void *alloc(size_t size, uint64_t tag, enum contents contents)
{
	bool small = size + sizeof(struct header) <= class_size[MPX__HEAP_CLASSES - 1];
	bool dirty = true, mine;
	void *block = NULL;
	int error = 0;

	if (!mpx__family())
		return NULL;
	if (size >= (size_t)heap()->pages * MPX__PAGE ||
	    (size >= (size_t)16 << 20 && size > mpx__os_memory_available())) {
		errno = ENOMEM;
		return NULL;
	}
	mine = tag == mpx__self();
	if (mine)
		mpx__peer_count_claim(1);
	for (int tries = 0; !block && !error && tries < 2; tries++) {
		if (tries > 0)
			mpx__peers_tidy(); /* the dead may hold something */
		error = lock();
		if (error)
			break;
		block = small ? alloc_small(size, tag) : alloc_large(size, tag, &dirty);
		unlock();
	}
	if (!block) {
		if (mine)
			mpx__peer_count_claim(-1);
		errno = error ? error : ENOMEM;
	} else if (contents == ZERO && dirty) {
		memset(block, 0, size);
	} else if (contents == WRITTEN_SOON && !dirty && size >= MANY_BYTES) {
		mpx__os_populate(block, size);
	}
	return block;
}

void *mpx__heap_alloc(size_t size, uint64_t tag)
{
	return alloc(size, tag, ANY);
}

void *mpx__heap_calloc(size_t size, uint64_t tag)
{
	return alloc(size, tag, ZERO);
}

void *mpx__heap_alloc_to_fill(size_t size, uint64_t tag)
{
	return alloc(size, tag, WRITTEN_SOON);
}

static bool free_if(void *block, uint64_t from, const uint64_t *serial)
{
	struct header *header;
	struct slab *slab = NULL;
	uint32_t i;
	bool found;

	if (!mpx__heap_contains(block, 1) || (uintptr_t)block % 16 != 0 || lock() != 0)
		return false;
	header = header_of(block);
	found = (find_small(block, &slab, &i) || is_large(block)) &&
		atomic_load(&header->tag) == from && (!serial || header->serial == *serial);
	if (found && slab)
		free_small(slab, i);
	else if (found)
		mpx__run_keep(page_of(block));
	if (found)
		purge_if_much();
	unlock();
	if (found && from == mpx__self())
		mpx__peer_count_claim(-1);
	return found;
}

bool mpx__heap_free(void *block, uint64_t from)
{
	return free_if(block, from, NULL);
}

bool mpx__heap_free_noted(void *block, uint64_t from, uint64_t serial)
{
	return free_if(block, from, &serial);
}

bool mpx__heap_has_tag(const void *p, uint64_t tag)
{
	void *block = (void *)(uintptr_t)p;

	return (uintptr_t)p % 16 == 0 && mpx__heap_contains(p, 1) &&
	       mpx__heap_contains(header_of(block), sizeof(struct header)) &&
	       atomic_load(&header_of(block)->tag) == tag;
}

uint64_t mpx__heap_serial(void *block)
{
	return header_of(block)->serial;
}

bool mpx__heap_retag(void *block, uint64_t from, uint64_t to)
{
	uint32_t me = mpx__self();

	if (to == me)
		mpx__peer_count_claim(1);
	if (!atomic_compare_exchange_strong(&header_of(block)->tag, &from, to)) {
		if (to == me)
			mpx__peer_count_claim(-1);
		return false;
	}
	if (from == me)
		mpx__peer_count_claim(-1);
	return true;
}

/* Calls fn for each block in use, under the lock; fn may free that block. */
static void walk(void (*fn)(struct header *header, struct slab *slab, uint32_t i, uint64_t *arg),
		 uint64_t *arg)
{
	struct mpx__heap *h = heap();
	uint32_t page = 0;

	while (page < h->top) {
		uint64_t head = atomic_load(&h->head[page]);

		if (head_kind(head) == SLAB) {
			struct slab *slab = page_address(page);
			uint32_t n = slab->blocks, i = 0;

			for (; i < n && atomic_load(&h->head[page]); i++)
				if (bit_test((uint64_t *)slab->taken, i))
					fn(slab_header(slab, i), slab, i, arg);
		} else if (head_kind(head) == LARGE) {
			fn(header_of((char *)page_address(page) + LARGE_OFFSET), NULL, page, arg);
		}
		if (head)
			page += head_length(head);
		else /* free pages are many: skip them by the index */
			page = bit_find(h->used, page, h->top, true);
	}
}

static void sweep_one(struct header *header, struct slab *slab, uint32_t i, uint64_t *tag)
{
	if (atomic_load(&header->tag) != *tag)
		return;
	if (slab)
		free_small(slab, i);
	else
		mpx__run_end(i);
}

void mpx__heap_sweep(uint64_t tag)
{
	if (lock() != 0)
		return;
	walk(sweep_one, &tag);
	purge_if_much();
	unlock();
}

static void count_one(struct header *header, struct slab *slab, uint32_t i, uint64_t *count)
{
	(void)header;
	(void)slab;
	(void)i;
	++*count;
}

void mpx__heap_count(uint64_t *blocks, uint64_t *used_pages, uint64_t *dirty_pages)
{
	*blocks = *used_pages = *dirty_pages = 0;
	if (lock() != 0)
		return;
	walk(count_one, blocks);
	*used_pages = heap()->used_pages;
	*dirty_pages = heap()->dirty_pages;
	unlock();
}
