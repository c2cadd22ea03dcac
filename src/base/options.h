/* SPDX-License-Identifier: MIT
 * Copyright (c) 2026 The libmpx authors
 *
 * Options in a struct that grows: its first member says how large it was when the
 * user's program was compiled. What such a program did not know of is 0.
 */
#ifndef MPX_BASE_OPTIONS_H
#define MPX_BASE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* Copies the user's options over ours, size bytes of zeros. False, and nothing
 * happens, if there are none or if their size was never filled in. */
static inline bool mpx__options(void *ours, size_t size, const void *theirs)
{
	size_t given = 0;

	if (theirs)
		memcpy(&given, theirs, sizeof given);
	if (given < sizeof given)
		return false;
	memcpy(ours, theirs, given < size ? given : size);
	return true;
}

#endif
