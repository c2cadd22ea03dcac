/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * Time inside the library: absolute monotonic nanoseconds, INT64_MAX for never, 0
 * for "do not wait". The user's seconds become that once, at the edge, so that no
 * retry and no signal can stretch them.
 */
#ifndef MPX_BASE_DEADLINE_H
#define MPX_BASE_DEADLINE_H

#include "platform/platform.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

int64_t mpx__deadline_after(double timeout);

/* 0, or EINVAL for NaN. What time it is matters only to who wants to wait, and not for
 * centuries. */
static inline int mpx__deadline(double timeout, int64_t *deadline)
{
	*deadline = 0;
	if (timeout != timeout)
		return EINVAL;
	if (timeout > 0)
		*deadline = timeout < 9e9 ? mpx__deadline_after(timeout) : INT64_MAX;
	return 0;
}

/* A span of time, at least 1; 0 for one that never ends. */
int64_t mpx__nanoseconds(double seconds);

static inline bool mpx__passed(int64_t deadline)
{
	return deadline == 0 || (deadline != INT64_MAX && mpx__os_now() >= deadline);
}

/* No sleep lasts longer than a slice: whoever may be waiting for the dead looks
 * again at its end. Slices grow from 2 ms to MPX__SLICE_MAX, which bounds how late
 * a death is noticed. */
#define MPX__SLICE_MIN INT64_C(2000000)
#define MPX__SLICE_MAX INT64_C(64000000)

struct mpx__slice {
	int64_t length; /* 0 before the first */
};

/* The end of the next slice, at most deadline. */
int64_t mpx__slice_end(struct mpx__slice *slice, int64_t deadline);

#endif
