/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * The RLock's layout, for the objects that have one inside or are lent one (value,
 * array).
 */
#ifndef MPX_SYNC_RLOCK_H
#define MPX_SYNC_RLOCK_H

#include "shm/object.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct mpx_rlock {
	struct mpx__object object; /* MPX__RLOCK */
	struct mpx__word word;	   /* the holding process */
	_Atomic uint64_t thread;   /* the holding thread, of all; written by the holder */
	uint32_t depth;		   /* the holder's own */
	uint32_t inside;	   /* 1: part of another object, not freed alone; constant */
};

/* For Condition. Is it one? Otherwise false, with EINVAL. */
bool mpx__is_rlock(const struct mpx_rlock *l);
/* Is it one, and does the calling thread hold it? Otherwise -1 with
 * EINVAL or EPERM. */
int mpx__rlock_must_be_mine(const struct mpx_rlock *l);
/* Releases it however often it was acquired, and says how often that was. */
uint32_t mpx__rlock_release_all(struct mpx_rlock *l);
/* Acquires it as often. 0 or EOWNERDEAD, or EAGAIN; it takes as long as it takes. */
int mpx__rlock_acquire_again(struct mpx_rlock *l, uint32_t depth);

/* Makes the zeroed lock part of another object. */
static inline void mpx__rlock_init_inside(struct mpx_rlock *l)
{
	l->inside = 1;
	atomic_store(&l->object.type, MPX__RLOCK);
}

/* Where is what an object uses, NULL so far: 0, or -1 with EBUSY (it has one) or
 * EINVAL (lock is none). */
int mpx__rlock_lend(_Atomic(struct mpx_rlock *) *where, struct mpx_rlock *lock);

#endif
