/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 */
#include "sync/eventcount.h"

#include "shm/family.h"

#include <limits.h>

bool mpx__event_wait_until(_Atomic uint32_t *e, bool (*ready)(void *arg), void *arg,
			   struct mpx__slice *slice, int64_t deadline)
{
	uint32_t ticket;

	if (deadline == 0)
		return ready(arg);
	for (int i = 0; i < mpx__spins; i++) {
		if (ready(arg))
			return true;
		mpx__relax();
	}
	if (mpx__passed(deadline))
		return ready(arg);
	ticket = mpx__event_prepare(e);
	if (!ready(arg))
		mpx__event_wait(e, ticket, mpx__slice_end(slice, deadline));
	return true;
}

void mpx__event_post_slowly(_Atomic uint32_t *e, bool all)
{
	uint32_t now = atomic_fetch_add(e, 2) + 2;

	if (!all && mpx__os_wake(e, 1) > 0)
		return; /* there may be more: bit 0 stays */
	/* Nobody is asleep, or nobody shall be: whoever is about to sleep will find
	 * another number there, and whoever fell asleep on this one is woken. */
	atomic_compare_exchange_strong(e, &now, now & ~UINT32_C(1));
	mpx__os_wake(e, INT_MAX);
}
