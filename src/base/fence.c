/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 */
#include "base/fence.h"

#include "base/processor.h"
#include "platform/platform.h"

enum { LONGER_THAN_A_STORE = 2000 }; /* nanoseconds */

void mpx__fence_heavy(void)
{
	int64_t end = mpx__os_now() + LONGER_THAN_A_STORE;

	atomic_thread_fence(memory_order_seq_cst);
	while (MPX__SEEN_SOON && mpx__os_now() < end)
		mpx__relax();
}
