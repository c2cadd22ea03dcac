/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * The RLock's layout, for the objects that have one inside (value, array).
 */
#ifndef MPX_SYNC_RLOCK_H
#define MPX_SYNC_RLOCK_H

#include "shm/object.h"

#include <stdatomic.h>
#include <stdint.h>

struct mpx_rlock {
	struct mpx__object object; /* MPX__RLOCK */
	_Atomic uint32_t word;	   /* the holding process */
	_Atomic uint64_t thread;   /* the holding thread, of all; written by the holder */
	uint32_t depth;		   /* the holder's own */
	uint32_t inside;	   /* 1: part of another object, not freed alone; constant */
};

/* Makes the zeroed lock part of another object. */
static inline void mpx__rlock_init_inside(struct mpx_rlock *l)
{
	l->inside = 1;
	atomic_store(&l->object.type, MPX__RLOCK);
}

#endif
