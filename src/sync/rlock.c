/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * multiprocessing.RLock: an owner word, and which thread of the family holds it. To
 * all others, thread says only that it is not theirs; depth is the holder's own.
 */
#include "sync/rlock.h"

#include "base/deadline.h"
#include "base/log.h"
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

bool mpx__is_rlock(const mpx_rlock *l)
{
	return mpx__object_is(l, sizeof *l, MPX__RLOCK);
}

static bool is_mine(const mpx_rlock *l)
{
	return atomic_load(&l->thread) == this_thread();
}

mpx_rlock *mpx_rlock_new(void)
{
	return mpx__object_new(sizeof(mpx_rlock), MPX__RLOCK);
}

static int take(mpx_rlock *l, uint32_t depth, int64_t deadline)
{
	int error = mpx__word_acquire(&l->word, deadline);

	if (!error || error == EOWNERDEAD) {
		atomic_store(&l->thread, this_thread());
		l->depth = depth;
	}
	return error;
}

int mpx_rlock_acquire(mpx_rlock *l, double timeout)
{
	int64_t deadline;
	int error;

	if (!mpx__is_rlock(l))
		return -1;
	error = mpx__deadline(timeout, &deadline);
	if (!error && is_mine(l)) {
		if (l->depth < INT_MAX) {
			l->depth++;
			return 0;
		}
		error = EAGAIN;
	} else if (!error) {
		error = take(l, 1, deadline);
	}
	if (!error)
		return 0;
	if (error == EOWNERDEAD)
		mpx__log_note(MPX__LOG_LOCK, l);
	errno = error;
	return -1;
}

int mpx__rlock_must_be_mine(const mpx_rlock *l)
{
	if (!mpx__is_rlock(l))
		return -1;
	if (is_mine(l))
		return 0;
	errno = EPERM;
	return -1;
}

static void give_back(mpx_rlock *l)
{
	l->depth = 0;
	atomic_store(&l->thread, 0);
	mpx__word_release(&l->word);
	mpx__log_tell();
}

int mpx_rlock_release(mpx_rlock *l)
{
	if (mpx__rlock_must_be_mine(l) != 0) {
		if (errno == EPERM && !mpx_rlock_locked(l))
			errno = EOVERFLOW;
		return -1;
	}
	if (l->depth > 1)
		l->depth--;
	else
		give_back(l);
	return 0;
}

uint32_t mpx__rlock_release_all(mpx_rlock *l)
{
	uint32_t depth = l->depth;

	give_back(l);
	return depth;
}

int mpx__rlock_acquire_again(mpx_rlock *l, uint32_t depth)
{
	return take(l, depth, INT64_MAX);
}

int mpx_rlock_consistent(mpx_rlock *l)
{
	if (mpx__rlock_must_be_mine(l) != 0)
		return -1;
	mpx__word_consistent(&l->word);
	return 0;
}

bool mpx_rlock_locked(mpx_rlock *l)
{
	return mpx__is_rlock(l) && mpx__word_owner(&l->word);
}

void mpx_rlock_free(mpx_rlock *l)
{
	if (l && mpx__is_rlock(l) && !l->inside)
		mpx__object_free(l);
}

int mpx__rlock_lend(_Atomic(struct mpx_rlock *) *where, struct mpx_rlock *lock)
{
	struct mpx_rlock *none = NULL;

	if (!mpx__is_rlock(lock))
		return -1;
	if (atomic_compare_exchange_strong(where, &none, lock))
		return 0;
	errno = EBUSY;
	return -1;
}
