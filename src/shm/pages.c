/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * Runs of pages. mpx__run_begin and mpx__run_end alone write what recovery relies
 * on: a run begins and ends by one store, to its head.
 */
#include "shm/pages.h"

#include "platform/platform.h"
#include "shm/bitmap.h"

/* --- the index ---------------------------------------------------------------------- */

/* So many pages are taken that the system has to provide. */
static void learn(uint32_t fresh)
{
	struct mpx__heap *h = heap();
	uint32_t missed = fresh < h->purged ? fresh : h->purged;

	h->purged -= missed;
	h->missed += missed;
	if (h->missed < h->spare)
		return;
	h->missed = 0;
	if (h->spare < MPX__SPARE_MOST)
		h->spare *= 2;
}

static void index_take(uint32_t page, uint32_t n)
{
	uint32_t dirty = bit_count(heap()->dirty, page, n);

	bit_fill(heap()->used, page, n, true);
	bit_fill(heap()->dirty, page, n, false);
	heap()->dirty_pages -= dirty;
	heap()->used_pages += n;
	if (heap()->purged)
		learn(n - dirty);
}

static void index_give(uint32_t page, uint32_t n)
{
	bit_fill(heap()->used, page, n, false);
	bit_fill(heap()->dirty, page, n, true);
	heap()->dirty_pages += n;
	heap()->used_pages -= n;
	if (page < heap()->lowest)
		heap()->lowest = page;
}

/* Kept runs count as dirty, but stand in the bitmaps as if they were used. */
static void let_go(void)
{
	struct mpx__heap *h = heap();

	for (; h->kept_n > 0; h->kept_n--) {
		struct mpx__kept k = h->kept[h->kept_n - 1];

		atomic_store_explicit(&h->head[k.page], 0, memory_order_release);
		h->dirty_pages -= k.n;
		h->used_pages += k.n;
		index_give(k.page, k.n);
	}
}

void mpx__pages_rebuild(void)
{
	struct mpx__heap *h = heap();
	uint32_t page = 0;

	bit_fill(h->used, 0, h->top, false);
	bit_fill(h->dirty, 0, h->top, true);
	h->dirty_pages = h->top;
	h->used_pages = 0;
	h->lowest = 0;
	h->purged = h->missed = 0;
	h->edges = 0;
	h->kept_n = 0;
	while (page < h->top) {
		uint64_t head = atomic_load(&h->head[page]);

		if (head_kind(head) == MPX__RUN_KEPT)
			atomic_store_explicit(&h->head[page], 0, memory_order_release);
		else if (head)
			index_take(page, head_length(head));
		page += head ? head_length(head) : 1;
	}
}

/* Of n free pages, gives back those that are whole pages of the system's: what it is told to
 * discard it rounds up. False: it discards nothing. */
static bool give_back(uint32_t page, uint32_t n)
{
	struct mpx__heap *h = heap();
	uint32_t end = (page + n) / h->unit * h->unit;

	page = (page + h->unit - 1) / h->unit * h->unit;
	if (page >= end)
		return true;
	n = end - page;
	if (!mpx__os_discard(page_address(page), (size_t)n * MPX__PAGE))
		return false;
	bit_fill(h->dirty, page, n, false);
	h->dirty_pages -= n;
	h->purged += n;
	return true;
}

void mpx__pages_purge(void)
{
	struct mpx__heap *h = heap();
	uint32_t page = 0, end;

	let_go();
	for (; (page = bit_find(h->dirty, page, h->top, true)) < h->top; page = end) {
		end = bit_find(h->dirty, page, h->top, false);
		if (!give_back(page, end - page)) {
			h->keeps = true;
			return;
		}
	}
	h->edges = h->dirty_pages;
}

/* --- runs ------------------------------------------------------------------------------ */

static uint32_t find(uint32_t n, uint32_t align)
{
	struct mpx__heap *h = heap();
	uint32_t page = bit_find(h->used, h->lowest, h->top, false);

	h->lowest = page;
	for (;;) {
		uint32_t blocked;

		page = bit_find(h->used, page, h->pages, false);
		page = (page + align - 1) / align * align;
		if (page >= h->pages || n > h->pages - page)
			return MPX__NO_PAGE;
		if (page >= h->top)
			return page;
		blocked = bit_find(h->used, page, page + n, true);
		if (blocked == page + n)
			return page;
		page = blocked;
	}
}

/* Before anything is written up there: who repairs takes for zero what is above. */
static void raise_top(uint32_t end)
{
	if (end > heap()->top) {
		heap()->top = end;
		atomic_thread_fence(memory_order_release);
	}
}

uint32_t mpx__run_find(uint32_t n, uint32_t align)
{
	struct mpx__heap *h = heap();
	uint32_t page = find(n, align);

	if (h->kept_n > 0 && (page == MPX__NO_PAGE || page > h->top || n > h->top - page)) {
		let_go(); /* before the heap grows */
		page = find(n, align);
	}
	if (page != MPX__NO_PAGE)
		raise_top(page + n);
	return page;
}

bool mpx__run_dirty(uint32_t page, uint32_t n)
{
	return bit_find(heap()->dirty, page, page + n, true) < page + n;
}

void mpx__run_begin(uint32_t page, uint32_t kind, uint32_t n)
{
	atomic_store_explicit(&heap()->head[page], (uint64_t)kind << 32 | n, memory_order_release);
	index_take(page, n);
}

void mpx__run_end(uint32_t page)
{
	uint32_t n = head_length(atomic_load(&heap()->head[page]));

	atomic_store_explicit(&heap()->head[page], 0, memory_order_release);
	index_give(page, n);
}

void mpx__run_keep(uint32_t page)
{
	struct mpx__heap *h = heap();
	uint32_t n = head_length(atomic_load(&h->head[page]));

	if (h->keeps) { /* holes would stay for ever: there had better be few */
		mpx__run_end(page);
		return;
	}
	if (h->kept_n == MPX__KEPT)
		let_go();
	atomic_store_explicit(&h->head[page], (uint64_t)MPX__RUN_KEPT << 32 | n,
			      memory_order_release);
	h->kept[h->kept_n++] = (struct mpx__kept){page, n};
	h->dirty_pages += n;
	h->used_pages -= n;
}

uint32_t mpx__run_reuse(uint32_t n)
{
	struct mpx__heap *h = heap();

	for (uint32_t i = h->kept_n; i-- > 0;) {
		uint32_t page = h->kept[i].page;

		if (h->kept[i].n != n)
			continue;
		for (h->kept_n--; i < h->kept_n; i++)
			h->kept[i] = h->kept[i + 1];
		h->dirty_pages -= n;
		h->used_pages += n;
		return page;
	}
	return MPX__NO_PAGE;
}

void mpx__run_begin_again(uint32_t page, uint32_t kind, uint32_t n)
{
	atomic_store_explicit(&heap()->head[page], (uint64_t)kind << 32 | n, memory_order_release);
}
