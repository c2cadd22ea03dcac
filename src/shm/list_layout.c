/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 */
#include "shm/list_layout.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORD = 8, NUMBER = 0, STR = 1, BYTES = 2, NONE = 3 };

/* What each item needs besides its slot: an offset, a format, a code. */
enum { BESIDES = 2 * WORD + 1 };

static const char int_format[WORD + 1] = "q", double_format[WORD + 1] = "d";
static const char bool_format[WORD + 1] = "xxxxxxx?", none_format[WORD + 1] = "xxxxxx?x";

/* --- where things are ------------------------------------------------------------ */

static size_t data_begin(size_t n)
{
	return (n + 2) * WORD;
}

static char *at(const struct mpx__list_layout *l, void *buf, size_t i)
{
	return (char *)buf + data_begin(l->n) + l->offsets[i];
}

static _Atomic uint64_t *format_of(const struct mpx__list_layout *l, void *buf, size_t i)
{
	return (_Atomic uint64_t *)(void *)(at(l, buf, l->n) + i * WORD);
}

static _Atomic signed char *code_of(const struct mpx__list_layout *l, void *buf, size_t i)
{
	return (_Atomic signed char *)(at(l, buf, l->n) + l->n * WORD + i);
}

size_t mpx__list_room(const struct mpx__list_layout *layout, size_t i)
{
	return (size_t)(layout->offsets[i + 1] - layout->offsets[i]);
}

/* --- the part that never changes ------------------------------------------------------ */

static int allocate(struct mpx__list_layout *l, size_t n)
{
	l->n = n;
	l->offsets = calloc(n + 1, sizeof *l->offsets);
	return l->offsets ? 0 : ENOMEM;
}

void mpx__list_forget(struct mpx__list_layout *layout)
{
	free(layout->offsets);
	layout->offsets = NULL;
	layout->n = 0;
}

int mpx__list_plan(struct mpx__list_layout *layout, const mpx_shareable_item *items, size_t n)
{
	if (n > SIZE_MAX / (BESIDES + WORD) - 1 || allocate(layout, n) != 0)
		return ENOMEM;
	for (size_t i = 0; i < n; i++) {
		bool text =
			items[i].type == MPX_SHAREABLE_STR || items[i].type == MPX_SHAREABLE_BYTES;

		layout->offsets[i + 1] =
			layout->offsets[i] + (text ? (items[i].size / WORD + 1) * WORD : WORD);
	}
	return 0;
}

size_t mpx__list_size(const struct mpx__list_layout *layout)
{
	size_t rest = data_begin(layout->n) + layout->n * (WORD + 1);

	return layout->offsets[layout->n] > SIZE_MAX - rest
		       ? 0
		       : (size_t)layout->offsets[layout->n] + rest;
}

void mpx__list_write(const struct mpx__list_layout *layout, void *buf)
{
	uint64_t n = layout->n;

	memcpy(buf, &n, WORD);
	memcpy((char *)buf + WORD, layout->offsets, (layout->n + 1) * WORD);
}

/* Offsets that begin at 0 and leave each item a slot, inside of the segment. */
static bool plausible(const struct mpx__list_layout *l, size_t size)
{
	size_t rest = data_begin(l->n) + l->n * (WORD + 1);

	if (l->offsets[0] != 0)
		return false;
	for (size_t i = 0; i < l->n; i++)
		if (l->offsets[i + 1] % WORD || l->offsets[i + 1] < l->offsets[i] + WORD ||
		    l->offsets[i + 1] > size - rest)
			return false;
	return true;
}

/* Formats and codes that stand for something, if perhaps not for the same. */
static bool items_plausible(const struct mpx__list_layout *l, void *buf)
{
	char format[WORD + 1];

	for (size_t i = 0; i < l->n; i++) {
		signed char code = atomic_load(code_of(l, buf, i));

		if (code < NUMBER || code > NONE || mpx__list_format(l, buf, i, format) != 0)
			return false;
	}
	return true;
}

int mpx__list_read(struct mpx__list_layout *layout, const void *buf, size_t size)
{
	uint64_t n;

	if (size < 2 * WORD)
		return EBADMSG;
	memcpy(&n, buf, WORD);
	if (n > (size - 2 * WORD) / (BESIDES + WORD))
		return EBADMSG;
	if (allocate(layout, (size_t)n) != 0)
		return ENOMEM;
	memcpy(layout->offsets, (const char *)buf + WORD, (layout->n + 1) * WORD);
	if (plausible(layout, size) && items_plausible(layout, (void *)buf))
		return 0;
	mpx__list_forget(layout);
	return EBADMSG;
}

/* --- formats ------------------------------------------------------------------------------ */

static uint64_t word_of(const char *bytes)
{
	uint64_t word;

	memcpy(&word, bytes, sizeof word);
	return word;
}

/* "24s" is 24; 0 for anything else, also for more than most. */
static size_t text_format(const char *format, size_t most)
{
	size_t n = 0;

	while (*format >= '0' && *format <= '9')
		n = n * 10 + (size_t)(*format++ - '0');
	return format[0] == 's' && format[1] == '\0' && n <= most ? n : 0;
}

static bool is(const char *format, const char *expected)
{
	return strcmp(format, expected) == 0;
}

int mpx__list_format(const struct mpx__list_layout *layout, void *buf, size_t i, char format[9])
{
	uint64_t word = atomic_load(format_of(layout, buf, i));

	memcpy(format, &word, WORD);
	format[WORD] = '\0';
	return is(format, int_format) || is(format, double_format) || is(format, bool_format) ||
			       is(format, none_format) ||
			       text_format(format, mpx__list_room(layout, i))
		       ? 0
		       : EBADMSG;
}

/* --- items ----------------------------------------------------------------------------- */

static int load_number(const char *format, char *slot, mpx_shareable_item *item)
{
	uint64_t word = atomic_load((_Atomic uint64_t *)(void *)slot);

	if (is(format, int_format)) {
		item->type = MPX_SHAREABLE_INT;
		item->i = (int64_t)word;
	} else if (is(format, double_format)) {
		item->type = MPX_SHAREABLE_DOUBLE;
		memcpy(&item->d, &word, sizeof item->d);
	} else if (is(format, bool_format)) {
		item->type = MPX_SHAREABLE_BOOL;
		item->b = ((const char *)&word)[WORD - 1] != 0;
	} else {
		return EBADMSG;
	}
	return 0;
}

static int load_text(const char *format, size_t room, char *slot, mpx_shareable_item *item)
{
	item->size = text_format(format, room);
	if (item->size == 0)
		return EBADMSG;
	while (item->size > 0 && slot[item->size - 1] == '\0')
		item->size--;
	item->text = slot;
	return 0;
}

int mpx__list_load(const struct mpx__list_layout *layout, void *buf, size_t i,
		   mpx_shareable_item *item)
{
	signed char code = atomic_load(code_of(layout, buf, i));
	char format[WORD + 1], *slot = at(layout, buf, i);

	*item = mpx_shareable_none();
	if (code == NONE)
		return 0;
	if (mpx__list_format(layout, buf, i, format) != 0)
		return EBADMSG;
	if (code == NUMBER)
		return load_number(format, slot, item);
	if (code != STR && code != BYTES)
		return EBADMSG;
	item->type = code == STR ? MPX_SHAREABLE_STR : MPX_SHAREABLE_BYTES;
	return load_text(format, mpx__list_room(layout, i), slot, item);
}

/* The 8 bytes of an item that is no text, and its format and code. */
static signed char encode(const mpx_shareable_item *item, uint64_t *word, uint64_t *format)
{
	char bytes[WORD] = {0};

	switch (item->type) {
	case MPX_SHAREABLE_INT:
		*word = (uint64_t)item->i;
		*format = word_of(int_format);
		return NUMBER;
	case MPX_SHAREABLE_DOUBLE:
		memcpy(word, &item->d, sizeof *word);
		*format = word_of(double_format);
		return NUMBER;
	case MPX_SHAREABLE_BOOL:
		bytes[WORD - 1] = item->b;
		*word = word_of(bytes);
		*format = word_of(bool_format);
		return NUMBER;
	default:
		*word = 0;
		*format = word_of(none_format);
		return NONE;
	}
}

static void store_text(const struct mpx__list_layout *layout, void *buf, size_t i,
		       const mpx_shareable_item *item)
{
	size_t room = mpx__list_room(layout, i);
	char format[24] = {0}, *slot = at(layout, buf, i);

	snprintf(format, sizeof format, "%zus", room);
	atomic_store(code_of(layout, buf, i), NONE);
	if (item->size)
		memmove(slot, item->text, item->size);
	memset(slot + item->size, 0, room - item->size);
	atomic_store(format_of(layout, buf, i), word_of(format));
	atomic_store(code_of(layout, buf, i), item->type == MPX_SHAREABLE_STR ? STR : BYTES);
}

void mpx__list_store(const struct mpx__list_layout *layout, void *buf, size_t i,
		     const mpx_shareable_item *item)
{
	_Atomic uint64_t *slot = (_Atomic uint64_t *)(void *)at(layout, buf, i);
	uint64_t word, format;
	signed char code;

	if (item->type == MPX_SHAREABLE_STR || item->type == MPX_SHAREABLE_BYTES) {
		store_text(layout, buf, i, item);
		return;
	}
	code = encode(item, &word, &format);
	if (atomic_load(code_of(layout, buf, i)) != code ||
	    atomic_load(format_of(layout, buf, i)) != format) {
		atomic_store(code_of(layout, buf, i), NONE);
		atomic_store(slot, word);
		atomic_store(format_of(layout, buf, i), format);
		atomic_store(code_of(layout, buf, i), code);
	} else {
		atomic_store(slot, word);
	}
}
