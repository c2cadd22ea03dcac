/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * multiprocessing.shared_memory.ShareableList: a handle, and checks, around the
 * layout. What is found in the segment is never trusted, and neither is that it is
 * still open.
 */
#include "base/handle.h"
#include "base/utf8.h"
#include "shm/list_layout.h"
#include "shm/shared_memory.h"

#include <errno.h>
#include <string.h>

struct mpx_shareable_list {
	struct mpx__handle handle;
	mpx_shared_memory *shm;
	struct mpx__list_layout layout;
};

static struct mpx__handles lists = {.size = sizeof(mpx_shareable_list)};

static int fail(int error)
{
	errno = error;
	return -1;
}

static bool is_list(const mpx_shareable_list *l)
{
	return mpx__handle_is(&lists, l);
}

static bool is_text(const mpx_shareable_item *item)
{
	return item->type == MPX_SHAREABLE_STR || item->type == MPX_SHAREABLE_BYTES;
}

/* Can it be an item anywhere? 0, or an errno value. */
static int check_item(const mpx_shareable_item *item)
{
	if ((int)item->type < MPX_SHAREABLE_NONE || (int)item->type > MPX_SHAREABLE_BYTES)
		return EINVAL;
	if (!is_text(item))
		return 0;
	/* No text at all is fine for bytes. */
	if (!item->text && (item->size || item->type == MPX_SHAREABLE_STR))
		return EINVAL;
	if (item->type == MPX_SHAREABLE_STR && !mpx__utf8(item->text, item->size))
		return EILSEQ;
	return 0;
}

/* --- making and attaching ------------------------------------------------------------ */

struct contents {
	struct mpx__list_layout layout;
	const mpx_shareable_item *items;
};

static void fill(void *buf, const void *arg)
{
	const struct contents *c = arg;

	mpx__list_write(&c->layout, buf);
	for (size_t i = 0; i < c->layout.n; i++)
		mpx__list_store(&c->layout, buf, i, &c->items[i]);
}

static int check_items(const mpx_shareable_item *items, size_t n)
{
	if (n && !items)
		return EINVAL;
	for (size_t i = 0; i < n; i++) {
		int error = check_item(&items[i]);

		if (error)
			return error;
		if (is_text(&items[i]) && items[i].size >= MPX__LIST_MOST)
			return EMSGSIZE;
	}
	return 0;
}

/* A failed constructor's end. */
static mpx_shareable_list *give_up(mpx_shareable_list *l, int error)
{
	mpx_shareable_list_free(l);
	errno = error;
	return NULL;
}

mpx_shareable_list *mpx_shareable_list_create(const mpx_shareable_item *items, size_t n,
					      const char *name_or_null)
{
	struct contents c = {.items = items};
	int error = check_items(items, n);
	mpx_shareable_list *l;
	size_t size;

	if (error) {
		errno = error;
		return NULL;
	}
	l = mpx__handle_new(&lists);
	if (!l)
		return NULL;
	error = mpx__list_plan(&l->layout, items, n);
	if (error)
		return give_up(l, error);
	c.layout = l->layout;
	size = mpx__list_size(&l->layout);
	l->shm = mpx__shared_memory_make(name_or_null, size ? size : SIZE_MAX, fill, &c);
	return l->shm ? l : give_up(l, errno);
}

mpx_shareable_list *mpx_shareable_list_open(const char *name)
{
	mpx_shareable_list *l = mpx__handle_new(&lists);
	int error;

	if (!l)
		return NULL;
	l->shm = mpx_shared_memory_open(name);
	if (!l->shm)
		return give_up(l, errno);
	error = mpx__list_read(&l->layout, mpx_shared_memory_buf(l->shm),
			       mpx_shared_memory_size(l->shm));
	return error ? give_up(l, error) : l;
}

/* --- items ---------------------------------------------------------------------------- */

/* The segment, for item i; NULL with errno. */
static void *find(const mpx_shareable_list *l, size_t i)
{
	void *buf = is_list(l) ? mpx_shared_memory_buf(l->shm) : NULL;

	if (buf && i >= l->layout.n) {
		errno = ERANGE;
		return NULL;
	}
	return buf;
}

static int load(const mpx_shareable_list *l, size_t i, mpx_shareable_item *item)
{
	void *buf = find(l, i);
	int error = buf ? mpx__list_load(&l->layout, buf, i, item) : errno;

	return error ? fail(error) : 0;
}

/* Likewise, but it must be of this type, and there must be room for it. */
static int load_as(const mpx_shareable_list *l, size_t i, mpx_shareable_type type, const void *out,
		   mpx_shareable_item *item)
{
	if (load(l, i, item) != 0)
		return -1;
	return item->type == type && out ? 0 : fail(EINVAL);
}

size_t mpx_shareable_list_len(const mpx_shareable_list *l)
{
	return is_list(l) ? l->layout.n : 0;
}

int mpx_shareable_list_type(const mpx_shareable_list *l, size_t i)
{
	mpx_shareable_item item;

	return load(l, i, &item) == 0 ? (int)item.type : -1;
}

ssize_t mpx_shareable_list_room(const mpx_shareable_list *l, size_t i)
{
	return find(l, i) ? (ssize_t)mpx__list_room(&l->layout, i) : -1;
}

int mpx_shareable_list_get_int(const mpx_shareable_list *l, size_t i, int64_t *out)
{
	mpx_shareable_item item;

	if (load_as(l, i, MPX_SHAREABLE_INT, out, &item) != 0)
		return -1;
	*out = item.i;
	return 0;
}

int mpx_shareable_list_get_double(const mpx_shareable_list *l, size_t i, double *out)
{
	mpx_shareable_item item;

	if (load_as(l, i, MPX_SHAREABLE_DOUBLE, out, &item) != 0)
		return -1;
	*out = item.d;
	return 0;
}

int mpx_shareable_list_get_bool(const mpx_shareable_list *l, size_t i, bool *out)
{
	mpx_shareable_item item;

	if (load_as(l, i, MPX_SHAREABLE_BOOL, out, &item) != 0)
		return -1;
	*out = item.b;
	return 0;
}

ssize_t mpx_shareable_list_get_str(const mpx_shareable_list *l, size_t i, char *buf, size_t cap)
{
	mpx_shareable_item item;

	if (load_as(l, i, MPX_SHAREABLE_STR, buf, &item) != 0)
		return -1;
	if (item.size >= cap)
		return fail(EMSGSIZE);
	memcpy(buf, item.text, item.size);
	buf[item.size] = '\0';
	/* The copy is judged: it stays as it is. */
	return mpx__utf8(buf, item.size) ? (ssize_t)item.size : fail(EILSEQ);
}

ssize_t mpx_shareable_list_get_bytes(const mpx_shareable_list *l, size_t i, void *buf, size_t cap)
{
	mpx_shareable_item item;

	if (load_as(l, i, MPX_SHAREABLE_BYTES, buf, &item) != 0)
		return -1;
	if (item.size > cap)
		return fail(EMSGSIZE);
	memcpy(buf, item.text, item.size);
	return (ssize_t)item.size;
}

int mpx_shareable_list_set(mpx_shareable_list *l, size_t i, mpx_shareable_item item)
{
	void *buf = find(l, i);
	int error = buf ? check_item(&item) : errno;

	if (!error && is_text(&item) && item.size > mpx__list_room(&l->layout, i))
		error = EMSGSIZE;
	if (error)
		return fail(error);
	mpx__list_store(&l->layout, buf, i, &item);
	return 0;
}

/* --- looking for an item ------------------------------------------------------------- */

/* Exactly, as in Python: 2^53 + 1 is not 2.0^53. */
static bool int_is_double(int64_t i, double d)
{
	return d >= -0x1p63 && d < 0x1p63 && (int64_t)d == i && (double)(int64_t)d == d;
}

static bool number(const mpx_shareable_item *item, int64_t *i)
{
	*i = item->type == MPX_SHAREABLE_BOOL ? item->b : item->i;
	return item->type == MPX_SHAREABLE_BOOL || item->type == MPX_SHAREABLE_INT;
}

static bool equal(const mpx_shareable_item *a, const mpx_shareable_item *b)
{
	int64_t i, k;
	bool a_is_int = number(a, &i), b_is_int = number(b, &k);

	if (a_is_int && b_is_int)
		return i == k;
	if (a_is_int && b->type == MPX_SHAREABLE_DOUBLE)
		return int_is_double(i, b->d);
	if (b_is_int && a->type == MPX_SHAREABLE_DOUBLE)
		return int_is_double(k, a->d);
	if (a->type != b->type)
		return false;
	if (a->type == MPX_SHAREABLE_DOUBLE)
		return a->d == b->d;
	return a->size == b->size && (a->size == 0 || memcmp(a->text, b->text, a->size) == 0);
}

/* How many are equal to what, up to the first one if that is asked for: *first. */
static ssize_t look_for(const mpx_shareable_list *l, const mpx_shareable_item *what, size_t *first)
{
	ssize_t count = 0;
	int error = check_item(what);

	if (!is_list(l) || !mpx_shared_memory_buf(l->shm))
		return -1;
	if (error)
		return fail(error);
	for (size_t i = 0; i < l->layout.n && !(first && count); i++) {
		mpx_shareable_item item;

		if (load(l, i, &item) != 0)
			return -1;
		if (!equal(&item, what))
			continue;
		count++;
		if (first)
			*first = i;
	}
	return count;
}

ssize_t mpx_shareable_list_count(const mpx_shareable_list *l, mpx_shareable_item item)
{
	return look_for(l, &item, NULL);
}

ssize_t mpx_shareable_list_index(const mpx_shareable_list *l, mpx_shareable_item item)
{
	size_t first = 0;
	ssize_t found = look_for(l, &item, &first);

	return found > 0 ? (ssize_t)first : found == 0 ? fail(ENOENT) : -1;
}

ssize_t mpx_shareable_list_format(const mpx_shareable_list *l, char *buf, size_t cap)
{
	void *segment = is_list(l) ? mpx_shared_memory_buf(l->shm) : NULL;
	size_t length = 0;

	if (!segment)
		return -1;
	if (!buf)
		return fail(EINVAL);
	for (size_t i = 0; i < l->layout.n; i++) {
		char format[9];
		int error = mpx__list_format(&l->layout, segment, i, format);
		size_t n = strlen(format);

		if (error)
			return fail(error);
		if (n >= cap - length)
			return fail(EMSGSIZE);
		memcpy(buf + length, format, n);
		length += n;
	}
	if (cap == 0)
		return fail(EMSGSIZE);
	buf[length] = '\0';
	return (ssize_t)length;
}

/* --- the segment ------------------------------------------------------------------------- */

mpx_shared_memory *mpx_shareable_list_shm(const mpx_shareable_list *l)
{
	return is_list(l) ? l->shm : NULL;
}

const char *mpx_shareable_list_name(const mpx_shareable_list *l)
{
	return is_list(l) ? mpx_shared_memory_name(l->shm) : NULL;
}

int mpx_shareable_list_close(mpx_shareable_list *l)
{
	return is_list(l) ? mpx_shared_memory_close(l->shm) : -1;
}

int mpx_shareable_list_unlink(mpx_shareable_list *l)
{
	return is_list(l) ? mpx_shared_memory_unlink(l->shm) : -1;
}

void mpx_shareable_list_free(mpx_shareable_list *l)
{
	if (!l || !is_list(l))
		return;
	mpx_shared_memory_free(l->shm);
	mpx__list_forget(&l->layout);
	mpx__handle_free(l);
}
