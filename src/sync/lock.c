/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * multiprocessing.Lock: an owner word, and nothing more.
 */
#include "base/deadline.h"
#include "base/log.h"
#include "shm/object.h"
#include "shm/word.h"

#include <errno.h>
#include <mpx/sync.h>

struct mpx_lock {
	struct mpx__object object;
	struct mpx__word word;
};

static bool is_lock(const mpx_lock *l)
{
	return mpx__object_is(l, sizeof *l, MPX__LOCK);
}

mpx_lock *mpx_lock_new(void)
{
	return mpx__object_new(sizeof(mpx_lock), MPX__LOCK);
}

int mpx_lock_acquire(mpx_lock *l, double timeout)
{
	int64_t deadline;
	int error;

	if (!is_lock(l))
		return -1;
	error = timeout == timeout ? mpx__word_try(&l->word) : EINVAL;
	if (!error)
		return 0; /* and what time it is did not matter */
	if (error == EBUSY) {
		mpx__deadline(timeout, &deadline);
		error = mpx__word_acquire(&l->word, deadline);
	}
	if (!error)
		return 0;
	if (error == EOWNERDEAD)
		mpx__log_note(MPX__LOG_LOCK, l);
	errno = error;
	return -1;
}

int mpx_lock_release(mpx_lock *l)
{
	if (!is_lock(l))
		return -1;
	if (!mpx__word_mine(&l->word)) {
		errno = mpx_lock_locked(l) ? EPERM : EOVERFLOW;
		return -1;
	}
	mpx__word_release(&l->word);
	mpx__log_tell();
	return 0;
}

int mpx_lock_consistent(mpx_lock *l)
{
	if (!is_lock(l))
		return -1;
	if (!mpx__word_mine(&l->word)) {
		errno = EPERM;
		return -1;
	}
	mpx__word_consistent(&l->word);
	return 0;
}

bool mpx_lock_locked(mpx_lock *l)
{
	return is_lock(l) && mpx__word_owner(&l->word);
}

void mpx_lock_free(mpx_lock *l)
{
	if (l && is_lock(l))
		mpx__object_free(l);
}
