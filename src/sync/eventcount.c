/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 */
#include "sync/eventcount.h"

#include <limits.h>

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
