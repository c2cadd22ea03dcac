/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * What is in an array: single elements, slices, strings.
 */
#include "ipc/array.h"
#include "ipc/element.h"
#include "ipc/locked.h"

#include <errno.h>
#include <string.h>

static int fail(int error)
{
	errno = error;
	return -1;
}

/* May elements [first, first + n) be copied from or to argument? */
static int check(mpx_array *a, size_t first, size_t n, const void *argument)
{
	if (!mpx__is_array(a))
		return -1;
	if (!argument && n > 0)
		return fail(EINVAL);
	if (first > a->length || n > a->length - first)
		return fail(ERANGE);
	return 0;
}

static void load(mpx_array *a, size_t first, size_t n, void *out)
{
	if (n > 0)
		mpx__elements_load(a->bytes + first * a->size, a->size, n, out);
}

static void store(mpx_array *a, size_t first, size_t n, const void *in)
{
	if (n > 0)
		mpx__elements_store(a->bytes + first * a->size, a->size, n, in);
}

int mpx_array_get(mpx_array *a, size_t i, void *out)
{
	return mpx_array_slice(a, i, 1, out);
}

int mpx_array_set(mpx_array *a, size_t i, const void *in)
{
	return mpx_array_assign(a, i, 1, in);
}

int mpx_array_slice(mpx_array *a, size_t first, size_t n, void *out)
{
	if (check(a, first, n, out) != 0)
		return -1;
	load(a, first, n, out);
	return 0;
}

int mpx_array_assign(mpx_array *a, size_t first, size_t n, const void *in)
{
	if (check(a, first, n, in) != 0)
		return -1;
	store(a, first, n, in);
	return 0;
}

int mpx_array_read(mpx_array *a, size_t first, size_t n, void *out, double timeout)
{
	mpx_rlock *lock;
	int begun;

	if (check(a, first, n, out) != 0)
		return -1;
	lock = atomic_load(&a->lock);
	begun = mpx__locked_begin(lock, timeout);
	if (begun == 0 || begun == EOWNERDEAD) {
		load(a, first, n, out);
		mpx_rlock_release(lock);
	}
	return mpx__locked_end(begun);
}

int mpx_array_write(mpx_array *a, size_t first, size_t n, const void *in, double timeout)
{
	mpx_rlock *lock;
	int begun;

	if (check(a, first, n, in) != 0)
		return -1;
	lock = atomic_load(&a->lock);
	begun = mpx__locked_begin(lock, timeout);
	if (begun == 0 || begun == EOWNERDEAD) {
		store(a, first, n, in);
		mpx_rlock_release(lock);
	}
	return mpx__locked_end(begun);
}

/* --- strings ------------------------------------------------------------------------- */

static int check_string(mpx_array *a, const void *argument)
{
	if (!mpx__is_array(a))
		return -1;
	return a->typecode == 'c' && argument ? 0 : fail(EINVAL);
}

ssize_t mpx_array_str(mpx_array *a, char *buf, size_t cap)
{
	size_t length;

	if (check_string(a, buf) != 0)
		return -1;
	/* No longer than there is room for, whatever others write meanwhile. */
	length = strnlen(a->bytes, a->length < cap ? a->length : cap);
	if (length == cap)
		return fail(EMSGSIZE);
	memcpy(buf, a->bytes, length);
	buf[length] = '\0';
	return (ssize_t)length;
}

int mpx_array_set_str(mpx_array *a, const char *text)
{
	size_t length;

	if (check_string(a, text) != 0)
		return -1;
	length = strlen(text);
	if (length > a->length)
		return fail(EMSGSIZE);
	memcpy(a->bytes, text, length < a->length ? length + 1 : length);
	return 0;
}
