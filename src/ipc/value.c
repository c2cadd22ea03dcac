/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * multiprocessing.Value and RawValue.
 */
#include "ipc/value.h"

#include "ipc/element.h"
#include "ipc/locked.h"
#include "ipc/number.h"

#include <errno.h>

bool mpx__is_value(const mpx_value *v)
{
	return mpx__object_is(v, sizeof *v, MPX__VALUE);
}

static mpx_value *make(char typecode, bool raw)
{
	size_t size = sizeof(mpx_value) + (raw ? 0 : sizeof(struct mpx_rlock));
	mpx_value *v = mpx__object_new(size, MPX__VALUE);

	if (!v)
		return NULL;
	v->typecode = typecode;
	v->raw = raw;
	if (!raw) {
		mpx__rlock_init_inside(v->own);
		atomic_store(&v->lock, v->own);
	}
	return v;
}

static mpx_value *create(char typecode, mpx_number init, bool raw)
{
	uint64_t bits;
	int error = mpx__number_encode(typecode, init, &bits);
	mpx_value *v;

	if (error) {
		errno = error;
		return NULL;
	}
	v = make(typecode, raw);
	if (v)
		mpx_value_update(v, MPX_VALUE_EXCHANGE, init, init);
	return v;
}

mpx_value *mpx_value_create(char typecode, mpx_number init)
{
	return create(typecode, init, false);
}

mpx_value *mpx_raw_value_create(char typecode, mpx_number init)
{
	return create(typecode, init, true);
}

mpx_value *mpx_value_copy(mpx_value *v)
{
	mpx_value *copy;

	if (!mpx__is_value(v))
		return NULL;
	copy = make(v->typecode, !atomic_load(&v->lock));
	if (copy)
		mpx__element_load(&v->bytes, sizeof v->bytes, &copy->bytes);
	return copy;
}

void *mpx_value_pointer(mpx_value *v, char typecode)
{
	if (!mpx__is_value(v))
		return NULL;
	if (!mpx__typecode_fits(v->typecode, typecode)) {
		errno = EINVAL;
		return NULL;
	}
	return &v->bytes;
}

char mpx_value_typecode(const mpx_value *v)
{
	return mpx__is_value(v) ? v->typecode : '\0';
}

static int check(mpx_value *v, const void *argument)
{
	if (!mpx__is_value(v))
		return -1;
	if (!argument) {
		errno = EINVAL;
		return -1;
	}
	return 0;
}

static void load(mpx_value *v, void *out)
{
	mpx__element_load(&v->bytes, mpx__typecode_size(v->typecode), out);
}

static void store(mpx_value *v, const void *in)
{
	mpx__element_store(&v->bytes, mpx__typecode_size(v->typecode), in);
}

int mpx_value_get(mpx_value *v, void *out)
{
	if (check(v, out) != 0)
		return -1;
	load(v, out);
	return 0;
}

int mpx_value_set(mpx_value *v, const void *in)
{
	if (check(v, in) != 0)
		return -1;
	store(v, in);
	return 0;
}

int mpx_value_read(mpx_value *v, void *out, double timeout)
{
	mpx_rlock *lock;
	int begun;

	if (check(v, out) != 0)
		return -1;
	lock = atomic_load(&v->lock);
	begun = mpx__locked_begin(lock, timeout);
	if (begun == 0 || begun == EOWNERDEAD) {
		load(v, out);
		mpx_rlock_release(lock);
	}
	return mpx__locked_end(begun);
}

int mpx_value_write(mpx_value *v, const void *in, double timeout)
{
	mpx_rlock *lock;
	int begun;

	if (check(v, in) != 0)
		return -1;
	lock = atomic_load(&v->lock);
	begun = mpx__locked_begin(lock, timeout);
	if (begun == 0 || begun == EOWNERDEAD) {
		store(v, in);
		mpx_rlock_release(lock);
	}
	return mpx__locked_end(begun);
}

mpx_rlock *mpx_value_lock(mpx_value *v)
{
	mpx_rlock *lock = mpx__is_value(v) ? atomic_load(&v->lock) : NULL;

	if (!lock)
		errno = EINVAL;
	return lock;
}

int mpx_value_synchronized(mpx_value *v, mpx_rlock *lock)
{
	if (!mpx__is_value(v))
		return -1;
	return mpx__rlock_lend(&v->lock, lock);
}

void mpx_value_free(mpx_value *v)
{
	if (!v || !mpx__is_value(v))
		return;
	if (!v->raw)
		atomic_store(&v->own->object.type, 0);
	mpx__object_free(v);
}
