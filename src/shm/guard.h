/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * A guard: an owner word inside an object, held for moments and never while its
 * holder waits for anything. What it guards is put right by the next holder if one
 * dies: recover(arg) may run again from its beginning, so it must bear that.
 *
 *     error = mpx__guard(&o->guard, deadline, recover, o);
 *     if (!error) {
 *             ...
 *             mpx__guard_release(&o->guard);
 *     }
 *
 * The caller holds no other guard.
 */
#ifndef MPX_SHM_GUARD_H
#define MPX_SHM_GUARD_H

#include "base/log.h"
#include "shm/word.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* A deadline for those whose users gave none: a second from now. Only a process that
 * is stopped inside can make it pass. */
#define MPX__SOON INT64_C(-1)

int mpx__guard_slowly(struct mpx__word *guard, int64_t deadline, void (*recover)(void *arg),
		      void *arg);

/* 0 or an errno value. Who does not want to wait (deadline 0) waits for that. */
static inline int mpx__guard(struct mpx__word *guard, int64_t deadline, void (*recover)(void *arg),
			     void *arg)
{
	int error = mpx__word_try(guard);

	return error == EBUSY ? mpx__guard_slowly(guard, deadline, recover, arg) : error;
}

static inline void mpx__guard_release(struct mpx__word *guard)
{
	mpx__word_release(guard);
	mpx__log_tell();
}

/* Did its holder die, and nobody has taken it since? */
bool mpx__guard_is_dead(struct mpx__word *guard);

#endif
