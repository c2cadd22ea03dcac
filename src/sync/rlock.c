/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * multiprocessing.RLock: an owner word, and which thread of the family holds it. To
 * all others, thread says only that it is not theirs; depth is the holder's own.
 */
#include "sync/rlock.h"

#include "base/deadline.h"
#include "shm/peers.h"
#include "shm/word.h"

#include <errno.h>
#include <limits.h>
#include <mpx/sync.h>

/* A number that no other thread of the family has: only this thread writes it, when
 * it holds the lock, and takes it away before it releases. */
static uint64_t this_thread(void)
{
	static _Atomic uint32_t last;
	static _Thread_local uint32_t number;

	if (!number)
		number = atomic_fetch_add(&last, 1) + 1;
	return (uint64_t)mpx__self() << 32 | number;
}

static bool is_rlock(const mpx_rlock *l)
{
	return mpx__object_is(l, sizeof *l, MPX__RLOCK);
}

static bool is_mine(mpx_rlock *l)
{
	return atomic_load(&l->thread) == this_thread();
}

mpx_rlock *mpx_rlock_new(void)
{
	return mpx__object_new(sizeof(mpx_rlock), MPX__RLOCK);
}

int mpx_rlock_acquire(mpx_rlock *l, double timeout)
{
	int64_t deadline;
	int error;

	if (!is_rlock(l))
		return -1;
	error = mpx__deadline(timeout, &deadline);
	if (!error && is_mine(l)) {
		if (l->depth < INT_MAX) {
			l->depth++;
			return 0;
		}
		error = EAGAIN;
	} else if (!error) {
		error = mpx__word_acquire(&l->word, deadline);
		if (!error || error == EOWNERDEAD) {
			atomic_store(&l->thread, this_thread());
			l->depth = 1;
		}
	}
	if (!error)
		return 0;
	errno = error;
	return -1;
}

/* The holder's; otherwise -1 with what release says. */
static int must_be_mine(mpx_rlock *l, int if_free)
{
	if (!is_rlock(l))
		return -1;
	if (is_mine(l))
		return 0;
	errno = mpx_rlock_locked(l) ? EPERM : if_free;
	return -1;
}

int mpx_rlock_release(mpx_rlock *l)
{
	if (must_be_mine(l, EOVERFLOW) != 0)
		return -1;
	if (--l->depth == 0) {
		atomic_store(&l->thread, 0);
		mpx__word_release(&l->word);
	}
	return 0;
}

int mpx_rlock_consistent(mpx_rlock *l)
{
	if (must_be_mine(l, EPERM) != 0)
		return -1;
	mpx__word_consistent(&l->word);
	return 0;
}

bool mpx_rlock_locked(mpx_rlock *l)
{
	return is_rlock(l) && atomic_load(&l->word) & MPX__OWNER;
}

void mpx_rlock_free(mpx_rlock *l)
{
	if (l && is_rlock(l) && !l->inside)
		mpx__object_free(l);
}
