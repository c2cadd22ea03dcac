/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 */
#include "base/deadline.h"

int64_t mpx__deadline_after(double timeout)
{
	double end = (double)mpx__os_now() + timeout * 1e9;

	return end >= 9e18 ? INT64_MAX : (int64_t)end + 1;
}

int64_t mpx__nanoseconds(double seconds)
{
	if (seconds >= 9e9)
		return 0;
	return (int64_t)(seconds * 1e9) + 1;
}

int64_t mpx__slice_end(struct mpx__slice *slice, int64_t deadline)
{
	int64_t end;

	if (slice->length == 0)
		slice->length = MPX__SLICE_MIN;
	else if (slice->length < MPX__SLICE_MAX)
		slice->length *= 2;
	end = mpx__os_now() + slice->length;
	return end < deadline ? end : deadline;
}
