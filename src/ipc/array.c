/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * multiprocessing.Array: typecode, length, a lock, and the elements behind them in
 * the same block.
 */
#include "ipc/number.h"
#include "shm/object.h"
#include "sync/rlock.h"

#include <errno.h>
#include <mpx/value.h>
#include <string.h>

struct mpx_array {
	struct mpx__object object;
	char typecode; /* constant */
	size_t length; /* constant; in elements */
	_Alignas(16) struct mpx_rlock lock;
	_Alignas(64) char bytes[]; /* by anybody, atomically or under the lock */
};

static bool is_array(const mpx_array *a)
{
	return mpx__object_is(a, sizeof *a, MPX__ARRAY);
}

static size_t element(const mpx_array *a)
{
	return mpx__typecode_size(a->typecode);
}

mpx_array *mpx_array_create(char typecode, size_t n, const void *init, char init_typecode)
{
	size_t size = mpx__typecode_size(typecode), total;
	mpx_array *a;

	if (size == 0 || __builtin_mul_overflow(n, size, &total) ||
	    __builtin_add_overflow(total, sizeof *a, &total) ||
	    (init && init_typecode != '*' && !mpx__typecode_fits(typecode, init_typecode))) {
		errno = EINVAL;
		return NULL;
	}
	a = mpx__object_new(total, MPX__ARRAY);
	if (!a)
		return NULL;
	a->typecode = typecode;
	a->length = n;
	mpx__rlock_init_inside(&a->lock);
	if (init)
		memcpy(a->bytes, init, n * size);
	return a;
}

void *mpx_array_pointer(mpx_array *a, char typecode)
{
	if (!is_array(a))
		return NULL;
	if (!mpx__typecode_fits(a->typecode, typecode)) {
		errno = EINVAL;
		return NULL;
	}
	return a->bytes;
}

size_t mpx_array_len(const mpx_array *a)
{
	return is_array(a) ? a->length : 0;
}

char mpx_array_typecode(const mpx_array *a)
{
	return is_array(a) ? a->typecode : '\0';
}

/* May elements [first, first + n) be copied from or to argument? */
static int check(mpx_array *a, size_t first, size_t n, const void *argument)
{
	if (!is_array(a))
		return -1;
	if (!argument && n > 0) {
		errno = EINVAL;
		return -1;
	}
	if (first > a->length || n > a->length - first) {
		errno = ERANGE;
		return -1;
	}
	return 0;
}

int mpx_array_get(mpx_array *a, size_t i, void *out)
{
	if (check(a, i, 1, out) != 0)
		return -1;
	mpx__element_load(a->bytes + i * element(a), element(a), out);
	return 0;
}

int mpx_array_set(mpx_array *a, size_t i, const void *in)
{
	if (check(a, i, 1, in) != 0)
		return -1;
	mpx__element_store(a->bytes + i * element(a), element(a), in);
	return 0;
}

int mpx_array_slice(mpx_array *a, size_t first, size_t n, void *out)
{
	if (check(a, first, n, out) != 0)
		return -1;
	if (n > 0)
		memcpy(out, a->bytes + first * element(a), n * element(a));
	return 0;
}

int mpx_array_assign(mpx_array *a, size_t first, size_t n, const void *in)
{
	if (check(a, first, n, in) != 0)
		return -1;
	if (n > 0)
		memcpy(a->bytes + first * element(a), in, n * element(a));
	return 0;
}

mpx_rlock *mpx_array_lock(mpx_array *a)
{
	return is_array(a) ? &a->lock : NULL;
}

void mpx_array_free(mpx_array *a)
{
	if (a && is_array(a)) {
		atomic_store(&a->lock.object.type, 0);
		mpx__object_free(a);
	}
}
