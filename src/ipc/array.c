/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * multiprocessing.Array and RawArray: the whole ones. Their items: array_items.c.
 */
#include "ipc/array.h"

#include "ipc/element.h"
#include "ipc/number.h"

#include <errno.h>
#include <string.h>

bool mpx__is_array(const mpx_array *a)
{
	return mpx__object_is(a, sizeof *a, MPX__ARRAY);
}

static void *invalid(void)
{
	errno = EINVAL;
	return NULL;
}

/* n zeros. */
static mpx_array *make(char typecode, size_t size, size_t n, bool raw)
{
	size_t total;
	mpx_array *a;

	if (size == 0 || __builtin_mul_overflow(n, size, &total) ||
	    __builtin_add_overflow(total, sizeof *a, &total))
		return invalid();
	a = mpx__object_new(total, MPX__ARRAY);
	if (!a)
		return NULL;
	a->typecode = typecode;
	a->raw = raw;
	a->size = size;
	a->length = n;
	if (!raw) {
		mpx__rlock_init_inside(&a->own);
		atomic_store(&a->lock, &a->own);
	}
	return a;
}

static mpx_array *create(char typecode, size_t size, size_t n, const void *init, bool raw)
{
	mpx_array *a = make(typecode, size, n, raw);

	if (a && init)
		memcpy(a->bytes, init, n * size);
	return a;
}

static mpx_array *create_typed(char typecode, size_t n, const void *init, char init_typecode,
			       bool raw)
{
	if (init && init_typecode != '*' && !mpx__typecode_fits(typecode, init_typecode))
		return invalid();
	return create(typecode, mpx__typecode_size(typecode), n, init, raw);
}

mpx_array *mpx_array_create(char typecode, size_t n, const void *init, char init_typecode)
{
	return create_typed(typecode, n, init, init_typecode, false);
}

mpx_array *mpx_raw_array_create(char typecode, size_t n, const void *init, char init_typecode)
{
	return create_typed(typecode, n, init, init_typecode, true);
}

static mpx_array *create_of(char typecode, size_t size, size_t n, const void *init, bool raw)
{
	if (typecode != '\0' && mpx__typecode_size(typecode) != size)
		return invalid();
	return create(typecode, size, n, init, raw);
}

mpx_array *mpx_array_create_of(char typecode, size_t size, size_t n, const void *init)
{
	return create_of(typecode, size, n, init, false);
}

mpx_array *mpx_raw_array_create_of(char typecode, size_t size, size_t n, const void *init)
{
	return create_of(typecode, size, n, init, true);
}

mpx_array *mpx_array_copy(mpx_array *a)
{
	mpx_array *copy;

	if (!mpx__is_array(a))
		return NULL;
	copy = make(a->typecode, a->size, a->length, !atomic_load(&a->lock));
	if (copy)
		mpx__elements_load(a->bytes, a->size, a->length, copy->bytes);
	return copy;
}

void *mpx_array_pointer_of(mpx_array *a, char typecode, size_t size)
{
	if (!mpx__is_array(a))
		return NULL;
	if (a->typecode ? !mpx__typecode_fits(a->typecode, typecode)
			: typecode != '\0' || size != a->size)
		return invalid();
	return a->bytes;
}

void *mpx_array_pointer(mpx_array *a, char typecode)
{
	return mpx_array_pointer_of(a, typecode, 0);
}

size_t mpx_array_len(const mpx_array *a)
{
	return mpx__is_array(a) ? a->length : 0;
}

size_t mpx_array_itemsize(const mpx_array *a)
{
	return mpx__is_array(a) ? a->size : 0;
}

char mpx_array_typecode(const mpx_array *a)
{
	return mpx__is_array(a) ? a->typecode : '\0';
}

mpx_rlock *mpx_array_lock(mpx_array *a)
{
	mpx_rlock *lock = mpx__is_array(a) ? atomic_load(&a->lock) : NULL;

	return lock ? lock : invalid();
}

int mpx_array_synchronized(mpx_array *a, mpx_rlock *lock)
{
	if (!mpx__is_array(a))
		return -1;
	return mpx__rlock_lend(&a->lock, lock);
}

void mpx_array_free(mpx_array *a)
{
	if (!a || !mpx__is_array(a))
		return;
	if (!a->raw)
		atomic_store(&a->own.object.type, 0);
	mpx__object_free(a);
}
