/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * What values and arrays do under their lock.
 *
 *     begun = mpx__locked_begin(lock, timeout);
 *     if (begun is 0 or EOWNERDEAD) {
 *             ...
 *             mpx_rlock_release(lock);
 *     }
 *     return mpx__locked_end(begun);
 */
#ifndef MPX_IPC_LOCKED_H
#define MPX_IPC_LOCKED_H

#include <errno.h>
#include <mpx/sync.h>

/* 0 or EOWNERDEAD: the lock is held. Otherwise why not; lock may be NULL. */
static inline int mpx__locked_begin(mpx_rlock *lock, double timeout)
{
	if (!lock)
		return EINVAL;
	return mpx_rlock_acquire(lock, timeout) == 0 ? 0 : errno;
}

/* What the user is told. */
static inline int mpx__locked_end(int begun)
{
	if (begun == 0)
		return 0;
	errno = begun;
	return -1;
}

#endif
