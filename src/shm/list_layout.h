/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * How Python's ShareableList stands in its segment, in the machine's byte order:
 *
 *     8 bytes             n, the number of items
 *     (n + 1) * 8 bytes   where each item's slot begins in the data, and where the
 *                         last one ends: from 0 on, multiples of 8
 *     the slots           8 bytes or more each
 *     n * 8 bytes         format of each item, for Python's struct module
 *     n bytes             code of each item: 0 number, 1 str, 2 bytes, 3 None
 *
 * The first two never change: they are checked once, and copied. Formats, codes and
 * slots may be written by anybody at any time and are judged at each look.
 *
 * Whatever its format, an item of code 3 is None, also for Python. So a change of
 * type, or of text, is: code 3, slot, format, the new code.
 */
#ifndef MPX_SHM_LIST_LAYOUT_H
#define MPX_SHM_LIST_LAYOUT_H

#include <mpx/shared_memory.h>

struct mpx__list_layout {
	size_t n;
	uint64_t *offsets; /* n + 1 of them, in private memory */
};

/* For these items, which have been checked; errno value: ENOMEM. */
int mpx__list_plan(struct mpx__list_layout *layout, const mpx_shareable_item *items, size_t n);

/* Takes the layout of the segment; errno value: EBADMSG, ENOMEM. */
int mpx__list_read(struct mpx__list_layout *layout, const void *buf, size_t size);

/* Writes n and the offsets. */
void mpx__list_write(const struct mpx__list_layout *layout, void *buf);

void mpx__list_forget(struct mpx__list_layout *layout);

/* Bytes of the segment; 0 if that is more than can be. */
size_t mpx__list_size(const struct mpx__list_layout *layout);

/* Bytes of slot i. */
size_t mpx__list_room(const struct mpx__list_layout *layout, size_t i);

/* Item i into *item, whose text points into the segment; errno value: EBADMSG. */
int mpx__list_load(const struct mpx__list_layout *layout, void *buf, size_t i,
		   mpx_shareable_item *item);

/* Item i becomes *item, which fits. */
void mpx__list_store(const struct mpx__list_layout *layout, void *buf, size_t i,
		     const mpx_shareable_item *item);

/* Its format, as text; errno value: EBADMSG. */
int mpx__list_format(const struct mpx__list_layout *layout, void *buf, size_t i, char format[9]);

/* The largest slot that a format of 8 characters can tell. */
enum { MPX__LIST_MOST = 9999992 };

#endif
