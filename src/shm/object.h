/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * Objects in the family's heap that users hold pointers to. Each begins with its
 * type, so that any other pointer, also to an object that has been freed, is told
 * apart: EINVAL instead of a crash.
 */
#ifndef MPX_SHM_OBJECT_H
#define MPX_SHM_OBJECT_H

#include "shm/family.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	MPX__LOCK = 0x6d70780a,
	MPX__RLOCK,
	MPX__VALUE,
	MPX__ARRAY,
	MPX__QUEUE,
	MPX__PROCESS,
	MPX__POOL,
	MPX__RESULT,
	MPX__SEMAPHORE,
	MPX__CONDITION,
	MPX__EVENT,
	MPX__BARRIER
};

struct mpx__object {
	_Atomic uint32_t type;
};

/* A zeroed object of that type; NULL with errno. */
void *mpx__object_new(size_t size, uint32_t type);
/* One that belongs to the calling process, and goes when it dies. */
void *mpx__object_new_own(size_t size, uint32_t type);

/* False, with EINVAL. */
bool mpx__object_is_not(void);

/* Is p such an object? Otherwise false, with EINVAL. */
static inline bool mpx__object_is(const void *p, size_t size, uint32_t type)
{
	if ((uintptr_t)p % 16 == 0 && mpx__heap_contains(p, size) &&
	    atomic_load_explicit(&((struct mpx__object *)(uintptr_t)p)->type,
				 memory_order_acquire) == type)
		return true;
	return mpx__object_is_not();
}

/* What it was is forgotten first. */
void mpx__object_free(void *p);
void mpx__object_free_own(void *p);

#endif
