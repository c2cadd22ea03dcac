/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 */
#include "shm/guard.h"

#include "platform/platform.h"
#include "shm/peers.h"

#include <errno.h>

/* How long even who does not want to wait waits for a guard, in nanoseconds. */
enum { PATIENCE = 20000000, SECOND = 1000000000 };

int mpx__guard_slowly(struct mpx__word *guard, int64_t deadline, void (*recover)(void *arg),
		      void *arg)
{
	int error;

	if (deadline == MPX__SOON)
		deadline = mpx__os_now() + SECOND;
	error = mpx__word_acquire(guard, deadline);
	if (error == ETIMEDOUT && deadline == 0)
		error = mpx__word_acquire(guard, mpx__os_now() + PATIENCE);
	if (error != EOWNERDEAD)
		return error;
	recover(arg);
	mpx__word_consistent(guard);
	mpx__log_note(MPX__LOG_OBJECT, arg);
	return 0;
}

bool mpx__guard_is_dead(struct mpx__word *guard)
{
	uint32_t holder = mpx__word_owner(guard);

	return holder && holder != mpx__self() && mpx__peer_dead(holder);
}
