/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 */
#include "shm/object.h"

#include "shm/family.h"

#include <errno.h>

static void *new_tagged(size_t size, uint32_t type, uint64_t tag)
{
	struct mpx__object *o = mpx__heap_calloc(size < 64 ? 64 : size, tag);

	if (o)
		atomic_store_explicit(&o->type, type, memory_order_release);
	return o;
}

static void free_tagged(void *p, uint64_t tag)
{
	atomic_store_explicit(&((struct mpx__object *)p)->type, 0, memory_order_release);
	mpx__heap_free(p, tag);
}

void *mpx__object_new(size_t size, uint32_t type)
{
	return new_tagged(size, type, MPX__TAG_OBJECT);
}

void *mpx__object_new_own(size_t size, uint32_t type)
{
	return mpx__family() ? new_tagged(size, type, mpx__self()) : NULL;
}

bool mpx__object_is_not(void)
{
	errno = EINVAL;
	return false;
}

void mpx__object_free(void *p)
{
	free_tagged(p, MPX__TAG_OBJECT);
}

void mpx__object_free_own(void *p)
{
	free_tagged(p, mpx__self());
}
